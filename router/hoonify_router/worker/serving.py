"""One request inside the worker: from the engine's iterator to the frames of its client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from hoonify_router import errors
from hoonify_router.errors import RouterError
from hoonify_router.types import (
    Event,
    Failure,
    InferenceRequest,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from hoonify_router.worker.contract import ContractBreach, Truth, checked
from hoonify_router.worker.flow import Outlet

log = logging.getLogger(__name__)

_BREATHER = 64  # events after which an engine that never awaits lets others have the loop
_SPOKEN = (Text, Reasoning, ToolCall)
_FAULT = "The model's engine failed on this request."


def failure_of(error: RouterError) -> Failure:
    """Return ``error`` as the event that crosses the socket.

    Only classes of ``errors`` have a meaning on the other side; a subclass of an engine's own goes as
    the nearest of those.
    """
    kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
    return Failure(kind, error.message, error.param, error.retry_after)


class Serving:
    """A request being served; lives until its last event is on its way or nobody wants it any more.

    Args:
        request: What is asked for.
        answer: The engine's method for such a request.
        emit: Takes each event that may go out.
        ended: Called once, when nothing more will be emitted and the engine is done with it.
    """

    def __init__(
        self,
        request: InferenceRequest,
        answer: Callable[[Any], AsyncIterator[Event]],
        emit: Callable[[Event], None],
        ended: Callable[[Serving], None],
    ) -> None:
        self._emit = emit
        self._ended = ended
        self._outlet = Outlet()
        self._over = False  # the terminal event was pushed, or must never be
        self._truth = Truth(request)
        self._room: asyncio.Future[None] | None = None
        self._settled = False
        self._said = 0
        self._spent: Usage | None = None
        self._loop = asyncio.get_running_loop()
        self.moved_at = self._loop.time()
        self._task = asyncio.create_task(self._run(answer, request))
        self._task.add_done_callback(lambda _: self._settle())

    @property
    def running(self) -> bool:
        """Return whether the engine is still at work on it."""
        return not self._task.done()

    @property
    def held_back(self) -> bool:
        """Return whether the engine waits for the client, which does not read."""
        return self._room is not None

    @property
    def spent(self) -> Usage:
        """Return what the request has cost so far: as its engine counts, or a token for each piece it has said."""
        return self._spent or Usage(completion_tokens=self._said)

    def grant(self, events: int) -> None:
        """Let ``events`` more go out."""
        for event in self._outlet.grant(events):
            self._emit(event)
        if self._room is not None and not self._outlet.full and not self._room.done():
            self._room.set_result(None)
        self._settle()

    def cancel(self) -> None:
        """Emit nothing more and give the engine's slot back."""
        self._stop()
        self._outlet = Outlet()
        self._settle()

    def fail(self, error: RouterError) -> None:
        """End it with ``error``, past whatever waits for credit."""
        waiting, self._outlet = self._outlet, Outlet()
        if not self._over or waiting:
            self._emit(failure_of(error))
        self._stop()
        self._settle()

    def _stop(self) -> None:
        if not self._over:
            self._over = True
            self._task.cancel()

    def _settle(self) -> None:
        if not self._settled and not self._outlet and self._task.done():
            self._settled = True
            self._ended(self)

    async def _run(
        self, answer: Callable[[Any], AsyncIterator[Event]], request: InferenceRequest
    ) -> None:
        try:
            events = answer(request)
            self._spent = getattr(events, "usage", None)
            try:
                await self._forward(events)
            finally:
                close = getattr(events, "aclose", None)
                if close is not None:
                    await close()
        except RouterError as error:
            self._push(failure_of(error))
        except ContractBreach as breach:
            log.error("the engine broke its contract: %s", breach)
            self._push(Failure("RouterError", _FAULT))
        except MemoryError:
            log.exception("the engine ran out of memory")
            self._push(
                Failure("OutOfMemory", "The model's engine has no memory left for this request.")
            )
        except asyncio.CancelledError:  # by ``_stop``, and nothing is pushed; or out of the engine
            self._push(Failure("EngineDead", "The model's engine gave up this request."))
        except Exception:
            log.exception("the engine failed on a request")
            self._push(Failure("RouterError", _FAULT))

    async def _forward(self, events: AsyncIterator[Event]) -> None:
        count = 0
        async for event in events:
            count += 1
            if self._over:
                if self._truth.counted:
                    raise ContractBreach("events after Counted")
                return
            self._push(checked(event))
            if self._outlet.full and not self._over:
                await self._wait_for_room()
            if count % _BREATHER == 0:
                await asyncio.sleep(0)
        if not self._over:
            raise ContractBreach("the answer ended without Counted")

    def _push(self, event: Event) -> None:
        if self._over:
            return
        self._truth.note(event)
        self._over = self._truth.counted or type(event) is Failure
        self.moved_at = self._loop.time()
        if type(event) in _SPOKEN:
            self._said += 1
        if self._outlet.push(event):
            self._emit(event)

    async def _wait_for_room(self) -> None:
        self._room = self._loop.create_future()
        try:
            await self._room
        finally:
            self._room = None
            self.moved_at = self._loop.time()
