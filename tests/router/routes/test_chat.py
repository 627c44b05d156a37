"""Chat through the unmodified OpenAI SDK, and what it shows of our errors."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from tests.router.doubles import Play, home, notes

from hoonify_router.api import Phase, Principal
from hoonify_router.errors import (
    AuthenticationFailed,
    ContextLengthExceeded,
    EngineDead,
    ModelNotAllowed,
    Overloaded,
    RateLimited,
    RouterError,
)
from hoonify_router.types import Usage

from .conftest import OpenDoor

HI: Any = [{"role": "user", "content": "hi"}]


async def test_a_plain_answer(open_up: OpenDoor) -> None:
    """The SDK's own types hold it."""
    door = await open_up(lambda play: play.say("Hel", "lo ", "😀"))
    async with door.client() as client:
        answer = await client.chat.completions.create(model="parrot", messages=HI)
    assert answer.choices[0].message.content == "Hello 😀"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "parrot"
    assert answer.id.startswith("chatcmpl-")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6


async def test_a_stream(open_up: OpenDoor) -> None:
    """Role first, one finish, the same id in every chunk."""
    door = await open_up(lambda play: play.say("Hel", "lo"))
    async with door.client() as client:
        stream = await client.chat.completions.create(model="parrot", messages=HI, stream=True)
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


async def test_usage_at_the_end_of_a_stream(open_up: OpenDoor) -> None:
    """Null before, as OpenAI has it."""
    door = await open_up(lambda play: play.say("a"))
    async with door.client() as client:
        stream = await client.chat.completions.create(
            model="parrot", messages=HI, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_several_choices(open_up: OpenDoor) -> None:
    """Told apart by their index."""

    def script(play: Play) -> None:
        for index in (1, 0):
            play.answer.text(f"text {index}", index)
            play.answer.finish("stop", index)
        play.answer.count(Usage(1, 1))
        play.answer.complete()

    door = await open_up(script)
    async with door.client() as client:
        answer = await client.chat.completions.create(model="parrot", messages=HI, n=2)
    assert [choice.message.content for choice in answer.choices] == ["text 0", "text 1"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ContextLengthExceeded("too long", param="messages"), openai.BadRequestError),
        (ModelNotAllowed("not you"), openai.PermissionDeniedError),
        (Overloaded("full", retry_after=1), openai.RateLimitError),
        (EngineDead("gone"), openai.InternalServerError),
        (RouterError("bug"), openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_s_error_is_the_sdk_s(
    open_up: OpenDoor, error: RouterError, kind: Any, stream: bool
) -> None:
    """Also for streams, as long as nothing was said."""
    door = await open_up(lambda play: play.answer.fail(error))
    async with door.client() as client:
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(model="parrot", messages=HI, stream=stream)
    assert caught.value.code == error.code
    assert caught.value.type == error.type
    assert caught.value.param == error.param
    assert error.message in caught.value.message
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"model": "parot"}, openai.NotFoundError, "model_not_found"),
        ({"temperature": 3}, openai.UnprocessableEntityError, "invalid_value"),
        ({"messages": []}, openai.UnprocessableEntityError, "invalid_value"),
        ({"messages": [{"role": "user"}]}, openai.BadRequestError, "missing_required_parameter"),
        ({"extra_body": {"best_of": 2}}, openai.BadRequestError, "unknown_parameter"),
        ({"extra_body": {"max_tokens": "x"}}, openai.BadRequestError, "invalid_type"),
    ],
)
async def test_a_client_s_mistake_is_the_sdk_s_error(
    open_up: OpenDoor, fields: dict[str, Any], kind: Any, code: str
) -> None:
    """No home is bothered with it."""
    door = await open_up()
    async with door.client() as client:
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(**{"model": "parrot", "messages": HI, **fields})
    assert caught.value.code == code
    assert door.stage.plays == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AuthenticationFailed("who are you?"), openai.AuthenticationError),
        (RateLimited("slow down", retry_after=3), openai.RateLimitError),
    ],
)
async def test_middleware_refuses_with_the_sdk_s_error(
    open_up: OpenDoor, error: RouterError, kind: Any
) -> None:
    """With the headers that it sets."""

    def refuse(ctx: Any) -> None:
        ctx.response_headers["x-ratelimit-limit-requests"] = "60"
        raise error

    door = await open_up(None, [notes(Phase.AUTHENTICATE, "auth", [], on_request=refuse)])
    async with door.client() as client:
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(model="parrot", messages=HI)
    assert caught.value.response.headers["x-ratelimit-limit-requests"] == "60"
    assert ("retry-after" in caught.value.response.headers) == (error.retry_after is not None)


async def read_all(stream: Any, texts: list[str]) -> None:
    """Read a stream's texts as far as they go."""
    async for chunk in stream:
        texts.append(chunk.choices[0].delta.content)


async def test_an_error_in_mid_stream_is_raised_by_the_sdk(open_up: OpenDoor) -> None:
    """After everything that was said before."""

    def script(play: Play) -> None:
        play.answer.text("Hel")
        play.answer.fail(EngineDead("The engine is gone."))

    door = await open_up(script)
    texts: list[str] = []
    async with door.client() as client:
        stream = await client.chat.completions.create(model="parrot", messages=HI, stream=True)
        with pytest.raises(openai.APIError, match=r"The engine is gone\."):
            await read_all(stream, texts)
    assert texts == ["", "Hel"]


async def test_many_streams_at_the_same_time(open_up: OpenDoor) -> None:
    """A hundred of them, each with its own words."""

    speaking = set()

    async def speak(play: Play) -> None:
        for turn in range(5):
            await asyncio.sleep(0)
            play.answer.text(f"{play.job.request.messages[0].content}.{turn} ")
        play.say()

    def script(play: Play) -> None:
        speaking.add(asyncio.ensure_future(speak(play)))

    door = await open_up(script)

    async def talk(number: int) -> str:
        stream = await client.chat.completions.create(
            model="parrot", messages=[{"role": "user", "content": f"w{number}"}], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async with door.client() as client:
        texts = await asyncio.gather(*(talk(number) for number in range(100)))
    assert texts == ["".join(f"w{number}.{turn} " for turn in range(5)) for number in range(100)]


async def test_a_model_that_cannot_run_says_why(open_up: OpenDoor) -> None:
    """At once, and tells the SDK not to try again by itself."""
    dead = home(state="unavailable", address="", reason="The sglang backend is not installed here.")
    door = await open_up(homes=[dead])
    async with door.client() as client:
        with pytest.raises(openai.InternalServerError, match="sglang") as caught:
            await client.with_options(max_retries=5).chat.completions.create(
                model="parrot", messages=HI
            )
    assert caught.value.status_code == 503
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_the_key_s_owner_is_known_behind_the_door(open_up: OpenDoor) -> None:
    """Headers reach middleware in lower case."""
    seen = []

    def authenticate(ctx: Any) -> None:
        seen.append((ctx.headers["authorization"], ctx.remote, ctx.method, ctx.path))
        ctx.principal = Principal("k1")

    door = await open_up(
        lambda play: play.say("a"), [notes(Phase.AUTHENTICATE, "a", [], on_request=authenticate)]
    )
    async with door.client() as client:
        await client.chat.completions.create(model="parrot", messages=HI)
    assert seen == [("Bearer hoo_x", "127.0.0.1", "POST", "/v1/chat/completions")]
