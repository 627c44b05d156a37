"""News of one request, for the coroutine that serves it."""

from __future__ import annotations

import asyncio

import pytest

from hoonify_backends.onnxruntime.mailbox import Mailbox
from hoonify_router.errors import EngineDead


@pytest.fixture
async def mailbox() -> Mailbox:
    return Mailbox(asyncio.get_running_loop())


async def test_texts_that_wait_are_joined(mailbox: Mailbox) -> None:
    """A slow reader gets one larger piece."""
    mailbox.put("a", None)
    mailbox.put("b", "stop")
    assert await mailbox.take() == ("ab", "stop")


async def test_a_reader_waits_for_news(mailbox: Mailbox) -> None:
    """And goes on with the first."""
    taking = asyncio.ensure_future(mailbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    mailbox.put("a", None)
    mailbox.put("b", None)
    assert await taking == ("ab", None)


async def test_a_failure_comes_after_the_text(mailbox: Mailbox) -> None:
    """What was generated before it is not lost."""
    mailbox.put("a", None)
    mailbox.fail(EngineDead("gone"))
    assert await mailbox.take() == ("a", None)
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
    mailbox.put("a", None)
    assert await mailbox.take() == ("a", None)
