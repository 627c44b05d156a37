"""One real router with homes of every kind, for the whole session, and the unmodified OpenAI client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.e2e.conftest import ROOT, Router, wait_until
from tests.ports import free_port
from tests.sdk.wire import Wire

DOOR = """
server: {{port: {port}, ping_interval: 2s}}
pipeline: [api_keys, openai_errors]
plugins: {{api_keys: {{plans: [standard]}}}}
models:
"""
MODELS = """
  tiny-chat:
    provider: Hoonify
    context_length: 1024
    created: 2026-11-23
    backend: onnxruntime
    options:
      model: {models}/tiny-chat/onnx
      provider: cpu
      threads: 1
      slots: 16
      tool_parser: hermes
  echo:
    provider: Hoonify
    context_length: 4096
    created: 2026-11-23
    backend: echo
    options: {{context_length: 4096}}
    breaker: &scripted {{failures: 1000}}
  narrow:
    provider: Hoonify
    context_length: 4096
    backend: echo
    options: {{slots: 1, queue: 0}}
    breaker: *scripted
  gone:
    provider: Hoonify
    context_length: 4096
    backend: sglang
    options: {{model: nobody/nothing}}
    start: on_demand
  untaught:
    provider: Hoonify
    context_length: 1024
    backend: onnxruntime
    options: {{model: {models}/tiny-chat/onnx, provider: cpu, threads: 1, slots: 1}}
    start: on_demand
  far-tiny-chat:
    {far}
    options: {{model: tiny-chat}}
  far-echo:
    {far}
    options: {{model: echo}}
    breaker: *scripted
"""
"""`narrow` takes one request at a time, `gone` cannot run here at all, `untaught` has no format for calls."""

FAR = """provider: Hoonify
    context_length: 1024
    created: 2026-11-23
    backend: openai
    url: http://127.0.0.1:{port}/v1
    api_key: {key}"""

HOMES = ("tiny-chat", "echo", "far-tiny-chat", "far-echo")
"""An ONNX Runtime home, a scripted one, and both again behind an OpenAI-compatible server."""


class Served(Router):
    """The router, with a key for everything and one for the model `echo` alone."""

    key_for_all: str
    key_for_echo: str

    def client(self, **options: Any) -> openai.OpenAI:
        """Return an unmodified client; it takes nothing that OpenAI's models forbid."""
        return openai.OpenAI(**{**self._defaults, **options})

    def async_client(self, **options: Any) -> openai.AsyncOpenAI:
        """Return the same for asyncio."""
        return openai.AsyncOpenAI(**{**self._defaults, **options})

    @property
    def _defaults(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "api_key": self.key_for_all,
            "max_retries": 0,
            "timeout": 60,
            "_strict_response_validation": True,
        }


def make_key(config: Path, state: Path, *more: str) -> str:
    """Make an API key as an operator does."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("hoonify-router")),
            *("keys", "create", "--config", str(config), "--name", "sdk", "--plan", "standard"),
            *more,
        ],
        env={**os.environ, "HOONIFY_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@contextmanager
def serving(folder: Path, models: str) -> Iterator[Served]:
    """Run a router until the block ends.

    Args:
        folder: Where its files go.
        models: Its catalog in YAML; ``{far}`` makes a home of this very router.
    """
    config = folder / "router.yaml"
    port = free_port()

    def write(key: str) -> None:
        fields = {"port": port, "models": ROOT / "models", "far": FAR.format(port=port, key=key)}
        config.write_text((DOOR + models).format(**fields))

    write("none-yet")
    key_for_all = make_key(config, folder / "state")
    key_for_echo = make_key(config, folder / "state", "--model", "echo")
    write(key_for_all)
    served = Served(config, folder, "--port", str(port))
    served.port = port
    served.key_for_all, served.key_for_echo = key_for_all, key_for_echo
    try:
        served.wait_ready(60)
        yield served
    finally:
        served.clean_up()


@pytest.fixture(scope="session")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The router, which is an OpenAI-compatible server for two of its own models, too."""
    with serving(tmp_path_factory.mktemp("sdk"), MODELS) as served:
        yield served


@pytest.fixture(scope="session")
def client(router: Served) -> Iterator[openai.OpenAI]:
    """The unmodified client for Python, with retries off."""
    with router.client() as client:
        yield client


@pytest.fixture(scope="session")
def wire(router: Served) -> Iterator[Wire]:
    """Plain HTTP, without any client's leniency."""
    wire = Wire(router.port, router.key_for_all)
    yield wire
    wire.close()


def wait_for_slot(client: openai.OpenAI, model: str = "narrow") -> None:
    """Wait until a home with one slot takes a request again; fail after five seconds."""

    def answered() -> bool:
        try:
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])
        except openai.RateLimitError:
            return False
        return True

    wait_until(answered, 60, "the slot")


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest) -> str:
    """Each kind of home in turn."""
    return str(request.param)
