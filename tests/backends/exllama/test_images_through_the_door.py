"""Images on their whole way: as JSON through the gateway and as frames to a worker, and what clients are told of them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backends.exllama.test_engine import MODEL
from tests.backends.images import data_url, file_of, plain

from hoonify_backends.exllama import hoonify_register_backends
from hoonify_router.api import WorkerBackend
from hoonify_router.loader import load_plugins
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.checks import all_checks
from hoonify_router.testing.runner import run_check
from hoonify_router.testing.subject import make_subject

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A gateway before a worker with a model by script that sees."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    backend = hoonify_register_backends()[0]
    assert isinstance(backend, WorkerBackend)
    seeing = dataclasses.replace(
        backend,
        engine="tests.backends.exllama.test_images:SeeingEngine",
        check=lambda *home: None,
        requires=(),
    )
    options = {"model": str(MODEL), "images": 2, "slots": 4}
    bench = Bench(make_subject(load_plugins(entry_points=()), seeing, options))
    yield bench
    await bench.close()


def said(*content: Any) -> list[dict[str, Any]]:
    """Return a conversation of one message, of texts and images, as JSON has it."""
    parts = [
        {"type": "text", "text": one} if isinstance(one, str) else msgspec.to_builtins(one)
        for one in content
    ]
    return [{"role": "user", "content": parts}]


async def test_an_image_is_answered(bench: Bench) -> None:
    """In one piece and as a stream, and its tokens are charged."""
    blind = await bench.ask(said("What is it?"))
    for color, channel in (("red", "255"), ("gray", "128")):
        answer = await bench.ask(said("What is it?", plain(color)))
        assert answer.text == channel
        assert answer.usage["prompt_tokens"] == blind.usage["prompt_tokens"] + 4
        told = await bench.tell(
            said("What is it?", plain(color)), stream_options={"include_usage": True}
        )
        assert told.text() == channel
        assert told.usage is not None
        assert told.usage["prompt_tokens"] == answer.usage["prompt_tokens"]


@pytest.mark.parametrize(
    ("content", "status", "code", "param"),
    [
        (
            {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}},
            400,
            "unsupported_parameter",
            "messages[0].content[1].image_url.url",
        ),
        (
            {"type": "image_url", "image_url": {"url": data_url(b"GIF89a nothing")}},
            422,
            "invalid_value",
            "messages[0].content[1].image_url.url",
        ),
        (
            {"type": "image_url", "image_url": {"url": ""}},
            422,
            "invalid_value",
            "messages[0].content[1].image_url.url",
        ),
        ({"type": "image_url"}, 400, "missing_required_parameter", "messages[0].content[1]"),
    ],
    ids=["another address", "no image", "empty", "no URL"],
)
async def test_what_clients_are_told(
    bench: Bench, content: Any, status: int, code: str, param: str
) -> None:
    """Which image it is, and what is wrong with it."""
    text = {"type": "text", "text": "What is it?"}
    answer = await bench.post(await bench.body([{"role": "user", "content": [text, content]}]))
    assert (answer.status, answer.error["code"]) == (status, code)
    assert str(answer.error["param"]).startswith(param)
    assert "127.0.0.1" not in answer.error["message"]


async def test_too_many_images(bench: Bench) -> None:
    """The first of them that is too many."""
    answer = await bench.post(await bench.body(said(*[plain("red")] * 3)))
    assert (answer.status, answer.error["param"]) == (422, "messages[0].content[2]")


async def test_large_images(bench: Bench) -> None:
    """Of megabytes, many at once: each gets its own answer."""
    from PIL import Image

    images = [
        {
            "type": "image_url",
            "image_url": {"url": data_url(file_of(Image.new("RGB", (1400, 1000), color), "BMP"))},
        }
        for color in ("red", "gray")
    ]
    refused = await bench.post(await bench.body(said(images[0])))
    assert refused.status == 422  # megabytes of what is not read
    colors = ["red", "gray", "black", "white"] * 3
    answers = await asyncio.gather(
        *(bench.ask(said(plain(color, (1400, 1000)), color)) for color in colors)
    )
    channels = {"red": "255", "gray": "128", "black": "0", "white": "255"}
    assert [answer.text for answer in answers] == [channels[color] for color in colors]


async def test_it_keeps_the_promise_about_images(bench: Bench) -> None:
    """Of the conformance kit."""
    [check] = [one for one in all_checks() if one.name == "sees_images_or_refuses_them"]
    result = await run_check(check, bench, {})
    assert (result.status, result.told) == ("passed", "")
