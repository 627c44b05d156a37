"""What an operator gets wrong, or a machine lacks: one line that says what, 503 for that model, and the rest serves on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.backends.exllama.folders import make_model
from tests.e2e.conftest import ROOT, Router
from tests.ports import free_port

pytestmark = pytest.mark.slow

MODELS = """
server: {{port: 0, allow_anonymous: true}}
pipeline: [openai_errors]
models:
  fine: {{provider: p, context_length: 100, backend: echo}}
  not-installed: {{provider: p, context_length: 100, backend: sglang, options: {{model: a/b}}}}
  no-interpreter: {{provider: p, context_length: 100, backend: echo, python: /nowhere/bin/python}}
  broken-interpreter: {{provider: p, context_length: 100, backend: echo, python: {broken}}}
  no-gpu:
    provider: p
    context_length: 100
    backend: onnxruntime
    options: {{model: {onnx}, provider: cuda}}
  wrong-form: {{provider: p, context_length: 100, backend: exllamav2, options: {{model: {exl3}}}}}
  no-folder: {{provider: p, context_length: 100, backend: onnxruntime, options: {{model: nowhere}}}}
  no-server: {{provider: p, context_length: 100, backend: sglang, url: "http://127.0.0.1:{port}"}}
"""
TOLD = {
    "not-installed": ("The sglang backend is not installed here.", "env sync sglang"),
    "no-interpreter": ("The environment of its engine is missing.", "/nowhere/bin/python"),
    "broken-interpreter": ("The environment of its engine does not work.", "no such library"),
    "no-gpu": ("This model needs an NVIDIA GPU, and there is none.", "provider: cuda"),
    "wrong-form": ("in a form that this engine cannot read", "backend: exllamav3"),
    "no-folder": ("The model's folder is missing.", "no folder"),
}
"""For each model what clients may read, and what only the operator reads beside it."""


def command(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator does."""
    program = str(Path(sys.executable).with_name("hoonify-router"))
    return subprocess.run(
        [program, *words, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOONIFY_STATE_DIR": str(config.parent / "state")},
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog that is full of mistakes."""
    if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    folder = tmp_path_factory.mktemp("mistakes")
    broken = folder / "broken-python"
    broken.write_text("#!/bin/sh\necho 'error: no such library' >&2\nexit 127\n")
    broken.chmod(0o755)
    text = MODELS.format(
        broken=broken,
        exl3=make_model(folder / "exl3", "exl3"),
        onnx=ROOT / "models" / "tiny-chat" / "onnx",
        port=free_port(),
    )
    (folder / "router.yaml").write_text(text)
    return folder / "router.yaml"


@pytest.fixture(scope="module")
def router(config: Path) -> Iterator[Router]:
    """A router that serves it."""
    router = Router(config, config.parent)
    try:
        router.wait_ready(120)
        yield router
    finally:
        router.clean_up()


def ask(router: Router, model: str) -> tuple[int, Any]:
    """Ask a model; return the status and the body."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{router.base_url}/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_check_tells_each_on_a_line(config: Path) -> None:
    """With its place in the file; none is a mistake of the file itself."""
    done = command(config, "check")
    assert (done.returncode, done.stderr) == (0, "")
    _, *lines = done.stdout.splitlines()
    by_model = {line.split("models.")[1].partition(".")[0]: line for line in lines}
    assert set(by_model) == set(TOLD)
    for model, (reason, detail) in TOLD.items():
        assert by_model[model].startswith(f"{config}:")
        assert reason in by_model[model]
        assert detail in by_model[model]


@pytest.mark.usefixtures("router")
def test_the_running_router_tells_the_same(config: Path) -> None:
    """State, reason, and what to do."""
    rows = {row["id"]: row for row in json.loads(command(config, "models", "--json").stdout)}
    assert rows["fine"]["state"] == "ready"
    for model, (reason, detail) in TOLD.items():
        assert rows[model]["state"] == "unavailable"
        assert reason in rows[model]["reason"]
        assert detail in rows[model]["detail"]
    status = command(config, "status").stdout
    assert all(reason in status for reason, _ in TOLD.values())


@pytest.mark.parametrize("model", TOLD)
def test_a_request_gets_the_reason_at_once(router: Router, model: str) -> None:
    """503, in words that name no path; and the model beside it answers."""
    status, body = ask(router, model)
    assert status == 503
    error = body["error"]
    assert (error["type"], error["code"]) == ("server_error", "model_unavailable")
    assert TOLD[model][0].rstrip(".") in error["message"]
    assert "/" not in error["message"]
    assert ask(router, "fine")[0] == 200


def test_a_server_that_cannot_be_reached_takes_nothing_else_down(
    router: Router, config: Path
) -> None:
    """It is looked for again and again, and named as missing; the router is ready all the same."""
    rows = {row["id"]: row for row in json.loads(command(config, "models", "--json").stdout)}
    assert rows["no-server"]["state"] == "failed"
    assert "cannot be reached" in rows["no-server"]["reason"]
    status, body = ask(router, "no-server")
    assert (status, body["error"]["code"]) == (503, "model_unavailable")
    assert "cannot be reached" in body["error"]["message"]
    assert "127.0.0.1" not in body["error"]["message"]
    assert router.get("/ready") == (200, {"status": "ready", "missing": ["no-server"]})


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "router.yaml").write_text(
        "server: {allow_anonymous: true}\nmodels: {m: {provider: p, context_length: 9, backend: echo}}\n"
    )
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = command(tmp_path / "router.yaml", "serve", "--port", str(port))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(port) in line
