"""News of one request, for the coroutine that serves it."""

from __future__ import annotations

import asyncio

import pytest

from hoonify_backends.generation.mailbox import Mailbox
from hoonify_router.errors import EngineDead
from hoonify_router.types import Event, Finish, Text, TokenLogprob, ToolCall


@pytest.fixture
async def mailbox() -> Mailbox:
    return Mailbox(asyncio.get_running_loop())


async def test_texts_that_wait_are_joined(mailbox: Mailbox) -> None:
    """A slow reader gets one larger piece."""
    mailbox.put(0, [Text("a")])
    mailbox.put(0, [Text("b"), Finish("stop")])
    assert await mailbox.take() == [Text("ab"), Finish("stop")]


async def test_answers_are_joined_each_by_itself(mailbox: Mailbox) -> None:
    """Their order does not matter, that of one answer's events does."""
    mailbox.put(0, [Text("a", 0)])
    mailbox.put(1, [Text("x", 1)])
    mailbox.put(0, [Text("b", 0), ToolCall(0, "f", "", 0), Text("c", 0)])
    mailbox.put(1, [Text("y", 1), Finish("length", 1)])
    assert await mailbox.take() == [
        Text("ab", 0),
        Text("xy", 1),
        ToolCall(0, "f", "", 0),
        Text("c", 0),
        Finish("length", 1),
    ]


async def test_log_probabilities_are_joined_with_their_texts(mailbox: Mailbox) -> None:
    """None is lost, also where a text has none."""
    one, two = TokenLogprob(b"a", -1.0), TokenLogprob(b"b", -2.0)
    for logprobs in ([one], None, [two]):
        mailbox.put(0, [Text(".", 0, logprobs)])
    assert await mailbox.take() == [Text("...", 0, [one, two])]


async def test_what_was_taken_does_not_change(mailbox: Mailbox) -> None:
    """A text that comes later is another event."""
    mailbox.put(0, [Text("a")])
    taken = await mailbox.take()
    mailbox.put(0, [Text("b")])
    assert taken == [Text("a")]
    assert await mailbox.take() == [Text("b")]


async def test_a_reader_waits_for_news(mailbox: Mailbox) -> None:
    """And goes on with the first."""
    taking = asyncio.ensure_future(mailbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    mailbox.put(0, [Text("a")])
    mailbox.put(0, [Text("b")])
    assert await taking == [Text("ab")]


async def test_a_failure_comes_after_the_text(mailbox: Mailbox) -> None:
    """What was generated before it is not lost."""
    mailbox.put(0, [Text("a")])
    mailbox.fail(EngineDead("gone"))
    said: list[Event] = await mailbox.take()
    assert said == [Text("a")]
    with pytest.raises(EngineDead, match="gone"):
        await mailbox.take()


async def test_a_failure_wakes_the_reader(mailbox: Mailbox) -> None:
    """Nobody waits for ever."""
    taking = asyncio.ensure_future(mailbox.take())
    await asyncio.sleep(0)
    mailbox.fail(EngineDead("gone"))
    with pytest.raises(EngineDead):
        await taking


async def test_a_reader_that_left_does_no_harm(mailbox: Mailbox) -> None:
    """News after a cancelled wait are kept for the next."""
    taking = asyncio.ensure_future(mailbox.take())
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    mailbox.put(0, [Text("a")])
    assert await mailbox.take() == [Text("a")]
