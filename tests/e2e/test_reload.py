"""The configuration of a whole running router is changed, by every way there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Router, StartRouter, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
server: {workers: 2, watch: false}
pipeline: [api_keys, rate_limits, usage, metrics]
plugins:
  rate_limits:
    plans:
      unlimited: {requests_per_minute: 1000}
models:
  parrot: {provider: Nobody, context_length: 1000, backend: echo, pricing: {input: 1, output: 2}}
"""
CHANGED = CONFIG.replace("requests_per_minute: 1000", "requests_per_minute: 700").replace(
    "input: 1", "input: 3"
)


def ask(
    router: Router, path: str, body: Any = None, key: str = ""
) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{router.port}{path}", data)
    request.add_header("content-type", "application/json")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": "hi"}], **more}


def command(router: Router, config: Path, *words: str) -> tuple[int, str]:
    """Run a command of the command line beside the router; return its exit status and what it said."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hoonify-router")), *words, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOONIFY_STATE_DIR": str(router.state)},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def router(start_router: StartRouter) -> Router:
    """One that is ready."""
    running = start_router(CONFIG)
    running.wait_ready()
    return running


def test_every_response_names_its_generation(router: Router) -> None:
    """Answers, streams, refusals of every kind, probes, and plugins' plain routes."""
    key = router.key()
    asked = [
        ask(router, "/v1/chat/completions", chat(), key),
        ask(router, "/v1/chat/completions", chat(stream=True), key),
        ask(router, "/v1/chat/completions", chat(model="dodo"), key),
        ask(router, "/v1/chat/completions", chat(), "hoo_wrong"),
        ask(router, "/v1/chat/completions", {"nonsense": 1}, key),
        ask(router, "/v1/models", None, key),
        ask(router, "/nowhere", None, key),
        ask(router, "/health"),
        ask(router, "/ready"),
        ask(router, "/metrics"),
    ]
    assert [status for status, _, _ in asked] == [200, 200, 404, 401, 400, 200, 404, 200, 200, 200]
    assert {headers["x-router-generation"] for _, headers, _ in asked} == {"1"}


def test_plans_and_prices_change_while_it_serves(router: Router, tmp_path: Path) -> None:
    """At once, for everyone, and no process is touched; SIGHUP says when."""
    key = router.key()
    engines = router.engines()
    (tmp_path / "router.yaml").write_text(CHANGED)
    os.kill(router.process.pid, signal.SIGHUP)

    def changed() -> bool:
        _, headers, _ = ask(router, "/v1/chat/completions", chat(), key)
        return headers["x-router-generation"] == "2"

    wait_until(changed, 60, "the second generation")
    wait_until(lambda: all(changed() for _ in range(8)), 60, "it in both gateways")
    _, headers, _ = ask(router, "/v1/chat/completions", chat(), key)
    assert headers["x-ratelimit-limit-requests"] == "700"
    _, _, body = ask(router, "/v1/models/parrot", None, key)
    assert json.loads(body)["pricing"] == {"input": 3.0, "output": 2.0}
    assert router.engines() == engines
    _, _, body = ask(router, "/metrics")
    assert b'hoonify_reloads_total{result="applied"} 1.0' in body
    assert b"hoonify_generation 2.0" in body


def test_the_command_line_plans_applies_and_goes_back(router: Router, tmp_path: Path) -> None:
    """With exit statuses that scripts can go by."""
    path = tmp_path / "router.yaml"
    assert command(router, path, "plan")[0] == 0
    other = tmp_path / "other.yaml"
    other.write_text(CHANGED)
    status, told = command(router, path, "plan", str(other))
    assert (status, "parrot: pricing" in told) == (3, True), told
    assert command(router, path, "apply", str(other), "--yes")[0] == 0
    assert path.read_text() == CHANGED
    path.write_text(CHANGED.replace("echo", "ecco"))
    assert command(router, path, "reload")[0] == 2
    status, told = command(router, path, "rollback", "1")
    assert (status, path.read_text()) == (0, CONFIG), told
    status, told = command(router, path, "history", "--json")
    assert [one["number"] for one in json.loads(told)] == [1, 2, 3]
    status, told = command(router, path, "history", "2")
    assert told == CHANGED
    assert ask(router, "/health")[1]["x-router-generation"] == "3"


def test_admins_reload_over_http(router: Router, tmp_path: Path) -> None:
    """With a key that has the scope; a refusal is a conflict, and says why."""
    path = tmp_path / "router.yaml"
    status, told = command(
        router, path, "keys", "create", "--name", "ops", "--plan", "unlimited", "--scope", "admin"
    )
    assert status == 0, told
    admin = next(word for word in told.split() if word.startswith("hoo_"))
    assert ask(router, "/v1/admin/reload", {}, router.key())[0] == 403
    status, _, body = ask(router, "/v1/admin/reload", {}, admin)
    assert (status, json.loads(body)["result"]) == (200, "unchanged")
    path.write_text("models: [")
    status, _, body = ask(router, "/v1/admin/reload", {}, admin)
    assert (status, json.loads(body)["result"]) == (409, "refused")
    path.write_text(CHANGED)
    status, _, body = ask(router, "/v1/admin/reload", {}, admin)
    assert json.loads(body)["trigger"].startswith("admin: command (key_")
