"""Embeddings through the unmodified OpenAI SDK, which asks for base64 by itself."""

from __future__ import annotations

import base64
import struct
from typing import Any

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from tests.router.doubles import Play, home

from hoonify_router.errors import EngineDead
from hoonify_router.types import Capabilities, Usage

from .conftest import Door, OpenDoor

VECTORS = [
    home(capabilities=Capabilities(frozenset({"dimensions"}), 4096, tasks=frozenset({"embedding"})))
]


def vector(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def script(play: Play) -> None:
    """Give two vectors, the second one first."""
    play.answer.embedding(vector(0.5, -1.5, 3.0), 1)
    play.answer.embedding(vector(1.0, 0.0, 0.25), 0)
    play.answer.count(Usage(7))
    play.answer.complete()


async def ask(door: Door, **more: Any) -> Any:
    """Return what the SDK reads, without its own decoding."""
    async with door.client() as client:
        told = await client.embeddings.with_raw_response.create(
            model="parrot", input=["a", "b"], **more
        )
    return told.http_response.json()


async def test_numbers(open_up: OpenDoor) -> None:
    """In the order of the inputs, each exact."""
    told = await ask(await open_up(script, homes=VECTORS), encoding_format="float")
    CreateEmbeddingResponse.model_validate(told, strict=True)
    assert told == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0, 0.0, 0.25]},
            {"object": "embedding", "index": 1, "embedding": [0.5, -1.5, 3.0]},
        ],
        "model": "parrot",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


async def test_base64(open_up: OpenDoor) -> None:
    """Of little-endian float32."""
    told = await ask(await open_up(script, homes=VECTORS), encoding_format="base64")
    packed = [base64.b64decode(one["embedding"]) for one in told["data"]]
    assert packed == [vector(1.0, 0.0, 0.25), vector(0.5, -1.5, 3.0)]


async def test_the_sdk_s_own_way(open_up: OpenDoor) -> None:
    """It asks for base64 and decodes."""
    door = await open_up(script, homes=VECTORS)
    async with door.client() as client:
        told = await client.embeddings.create(model="parrot", input=["a", "b"])
    assert told.data[1].embedding == [0.5, -1.5, 3.0]


async def test_dimensions_are_those_that_were_asked_for(open_up: OpenDoor) -> None:
    """Or the answer is an error that says how many there are."""
    door = await open_up(script, homes=VECTORS)
    assert len((await ask(door, dimensions=3))["data"]) == 2
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(door, dimensions=2)
    assert caught.value.param == "dimensions"
    assert "3 dimensions" in caught.value.message


def nothing(play: Play) -> None:
    play.answer.embedding(vector(1.0), 0)
    play.answer.complete()


BROKEN: list[Any] = [
    nothing,
    lambda play: play.answer.embedding(b"", 0),
    lambda play: play.answer.embedding(b"\0\0\0", 0),
    lambda play: play.answer.embedding(vector(1.0, float("nan")), 0),
    lambda play: play.answer.embedding(vector(1.0, float("inf")), 0),
    lambda play: play.answer.embedding(vector(1.0), 2),
    lambda play: (play.answer.embedding(vector(1.0), 0), play.answer.embedding(vector(1.0), 0)),
    lambda play: (play.answer.embedding(vector(1.0), 0), play.answer.embedding(vector(1, 2), 1)),
    lambda play: play.answer.text("x"),
    lambda play: play.answer.finish("stop"),
    lambda play: play.answer.fail(EngineDead("gone")),
]


@pytest.mark.parametrize("what", BROKEN)
async def test_what_is_no_list_of_vectors_is_an_error(open_up: OpenDoor, what: Any) -> None:
    """One whole, finite vector for each input, all of one size."""
    door = await open_up(what, homes=VECTORS)
    with pytest.raises(openai.InternalServerError):
        await ask(door)
