"""Every endpoint through real processes: answers, and what is left of a stream when its engine is killed."""

from __future__ import annotations

import json
import os
import signal
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Router, wait_until

MODELS = ("chatty", "likely", "handy", "older")
ENTRY = """
  {name}:
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {{token_delay: 0.01}}
"""
CONFIG = "server: {port: 8000}\nmodels:" + "".join(ENTRY.format(name=name) for name in MODELS)
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
LONG = "word [[repeat 1000]]"
ARGUMENTS = json.dumps({"words": ["word"] * 1000})


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router whose models have an engine each."""
    folder = tmp_path_factory.mktemp("endpoints")
    (folder / "router.yaml").write_text(CONFIG)
    running = Router(folder / "router.yaml", folder)
    try:
        running.wait_ready(60)
        yield running
    finally:
        running.clean_up()


def post(router: Router, path: str, body: dict[str, Any]) -> Any:
    """Return the open answer."""
    request = urllib.request.Request(
        f"{router.base_url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=30)


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **more}


def engine_of(router: Router, model: str) -> int:
    """Return the engine's process, which is told its home by name."""
    for pid in router.engines():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[words.index(b"--home") + 1].decode() == model:
            return pid
    return 0


def test_a_completion_goes_on(router: Router) -> None:
    """Each prompt has its answer, with how probable its words were."""
    body = {"model": "older", "prompt": ["one two", "three"], "logprobs": 2}
    with post(router, "completions", body) as answer:
        told = json.load(answer)
    assert told["object"] == "text_completion"
    assert [choice["index"] for choice in told["choices"]] == [0, 1]
    assert [choice["text"].strip() for choice in told["choices"]] == ["one two", "three"]
    assert len(told["choices"][0]["logprobs"]["tokens"]) == 2


@pytest.mark.parametrize("form", ["float", "base64"])
def test_texts_become_vectors(router: Router, form: str) -> None:
    """The same text the same vector, whatever its place."""
    body = {"model": "older", "input": ["one", "two", "one"], "encoding_format": form}
    with post(router, "embeddings", body) as answer:
        told = json.load(answer)
    assert [each["index"] for each in told["data"]] == [0, 1, 2]
    one, two, again = (each["embedding"] for each in told["data"])
    assert one == again != two
    if form == "float":
        assert struct.pack(f"{len(one)}f", *one)
    assert told["usage"]["prompt_tokens"] > 0


STREAMS = {
    "chatty": ("chat/completions", chat(LONG), '"content":" word'),
    "likely": ("chat/completions", chat(LONG, logprobs=True, top_logprobs=3), '"top_logprobs":[{'),
    "handy": (
        "chat/completions",
        chat(f"[[tool look_up {ARGUMENTS}]]", tools=[TOOL]),
        '"arguments":"',
    ),
    "older": ("completions", {"prompt": LONG, "logprobs": 2, "max_tokens": 900}, '"tokens":["'),
}


@pytest.mark.parametrize("model", MODELS)
def test_a_killed_engine_leaves_no_finished_stream(router: Router, model: str) -> None:
    """SIGKILL in the middle of words, probabilities or arguments: an error, [DONE], and soon a new engine."""
    path, body, sign = STREAMS[model]
    killed = engine_of(router, model)
    assert killed
    with post(router, path, {"model": model, "stream": True, **body}) as answer:
        lines = (line.decode().rstrip() for line in answer if line.startswith(b"data: "))
        seen = []
        while sum(sign in line for line in seen) < 5:
            seen.append(next(lines))
        os.kill(killed, signal.SIGKILL)
        seen += lines
    assert seen[-1] == "data: [DONE]"
    error = json.loads(seen[-2].removeprefix("data: "))["error"]
    assert error["code"] == "model_unavailable"
    for line in seen[:-2]:
        (choice,) = json.loads(line.removeprefix("data: "))["choices"]
        assert choice["finish_reason"] is None

    def answers_again() -> bool:
        short = {"prompt": "hi"} if path == "completions" else chat("hi")
        try:
            with post(router, path, {"model": model, **short}) as answer:
                return bool(json.load(answer)["choices"][0]["finish_reason"] == "stop")
        except urllib.error.HTTPError as error:
            error.close()
            return False

    wait_until(answers_again, 60, "a new engine")
    assert engine_of(router, model) not in (0, killed)
