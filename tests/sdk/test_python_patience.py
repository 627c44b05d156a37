"""The unmodified Python client leaves, waits and tries again, and the router plays along."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from tests.sdk.conftest import Served, wait_for_slot

ENDLESS: Any = [{"role": "user", "content": "[[delay 0.02]][[repeat 3000]]on"}]
HANGING: Any = [{"role": "user", "content": "[[hang]]"}]
HELLO: Any = [{"role": "user", "content": "Hello!"}]


@contextmanager
def counting(router: Served, **options: Any) -> Iterator[tuple[openai.OpenAI, list[Any]]]:
    """Give a client and the list of all answers that it gets."""
    seen: list[Any] = []
    http = openai.DefaultHttpxClient(event_hooks={"response": [seen.append]})
    with router.client(http_client=http, **options) as client:
        yield client, seen


def test_closing_a_stream_frees_the_slot(client: openai.OpenAI) -> None:
    """With one slot, the next request is served."""
    stream = client.chat.completions.create(model="narrow", messages=ENDLESS, stream=True)
    next(iter(stream))
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="narrow", messages=HELLO)
    stream.close()
    wait_for_slot(client)


def test_leaving_the_helper_frees_the_slot(client: openai.OpenAI) -> None:
    """Also when the block ends early."""
    with client.chat.completions.stream(model="narrow", messages=ENDLESS) as stream:
        next(iter(stream))
    wait_for_slot(client)


@pytest.mark.parametrize("stream", [False, True])
def test_a_timeout_frees_the_slot(client: openai.OpenAI, stream: bool) -> None:
    """Before the first token, whether streamed or not."""
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(
            model="narrow", messages=HANGING, stream=stream
        )
    wait_for_slot(client)


async def test_cancelling_a_task_frees_the_slot(router: Served, client: openai.OpenAI) -> None:
    """As an async application does it."""
    async with router.async_client() as patient:
        started = asyncio.Event()

        async def read() -> None:
            stream = await patient.chat.completions.create(
                model="narrow", messages=ENDLESS, stream=True
            )
            async for _ in stream:
                started.set()

        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_for_slot, client)


def test_a_full_queue_is_tried_again_when_we_say(router: Served, client: openai.OpenAI) -> None:
    """The client waits as long as Retry-After says, and is served then."""
    blocker = client.chat.completions.create(model="narrow", messages=ENDLESS, stream=True)
    next(iter(blocker))
    with counting(router, max_retries=2) as (patient, seen):
        started = time.monotonic()
        seen_first: list[float] = []

        def step_aside(response: Any) -> None:
            if response.status_code == 429 and not seen_first:
                seen_first.append(float(response.headers["retry-after"]))
                blocker.close()

        patient._client.event_hooks = {"response": [seen.append, step_aside]}
        raw = patient.chat.completions.with_raw_response.create(model="narrow", messages=HELLO)
    assert raw.retries_taken == 1
    assert [response.status_code for response in seen] == [429, 200]
    assert time.monotonic() - started >= seen_first[0] >= 1


@pytest.mark.parametrize(
    ("request_fields", "status"),
    [
        ({"model": "gone", "messages": HELLO}, 503),
        ({"model": "echo", "messages": HELLO, "temperature": 3}, 422),
        ({"model": "nobody", "messages": HELLO}, 404),
    ],
)
def test_what_is_of_no_use_is_not_tried_again(
    router: Served, request_fields: Any, status: int
) -> None:
    """A model that cannot run here, and the client's own mistakes."""
    with (
        counting(router, max_retries=2) as (patient, seen),
        pytest.raises(openai.APIStatusError) as caught,
    ):
        patient.chat.completions.create(**request_fields)
    assert caught.value.status_code == status
    assert len(seen) == 1
    assert seen[0].headers.get("x-should-retry") == ("false" if status == 503 else None)
