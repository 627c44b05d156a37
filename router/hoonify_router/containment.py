"""Middleware is asked here: what fails or blocks is named, and an observer that misbehaves is turned off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from time import perf_counter

from hoonify_router.api import Middleware, Phase, RequestContext
from hoonify_router.config.model import Containment
from hoonify_router.errors import ModelUnavailable, RouterError
from hoonify_router.stopwatch import Stopwatch, stopwatches

log = logging.getLogger(__name__)

_TOO_LONG = "The router's own checks take too long."
_TELL_AGAIN = (
    100  # stalls of one middleware are logged for the first time, and then once in so many
)


class Contained:
    """Asks middleware, and keeps its faults from doing more harm than they must.

    A bug fails the request, or keys and limits would not count: they never fail open. But not one of an
    observer, who decides nothing: it is logged, and where the configuration has a limit, an observer that
    reaches it is not asked any more in this process.

    Args:
        middleware: All that may be asked.
        limits: What they may do.

    Attributes:
        watches: How long requests are in each, and its faults.
    """

    def __init__(self, middleware: Iterable[Middleware], limits: Containment) -> None:
        self.watches = stopwatches(middleware)
        self._limits = limits
        self._stall = float(limits.stall)
        self._patience = float(limits.patience)

    async def ask(
        self, phase: Sequence[Middleware], ctx: RequestContext, seen: list[Middleware]
    ) -> None:
        """Let the middleware of one phase see the request, each once.

        Raises:
            RouterError: One of them refuses it.
        """
        for middleware in phase:
            watch = self.watches[middleware]
            if middleware in seen or watch.off:
                continue
            seen.append(middleware)
            began = perf_counter()
            try:
                waiting = middleware.on_request(ctx)
                if perf_counter() - began >= self._stall:
                    self.stalled(middleware, perf_counter() - began)
                if waiting is not None:
                    if self._patience:
                        await self._wait(waiting)
                    else:
                        await waiting
            except RouterError:
                raise
            except Exception as bug:
                self.failed(middleware, bug, ctx)
                if middleware.phase is not Phase.OBSERVE:
                    if isinstance(bug, _TookTooLong):
                        raise ModelUnavailable(_TOO_LONG, retry_after=1) from bug
                    bug.add_note(f"in middleware {middleware.name!r}")
                    raise
            else:
                watch.in_a_row = 0
            finally:
                watch.calls += 1
                watch.seconds += perf_counter() - began

    async def _wait(self, waiting: object) -> None:
        try:
            async with asyncio.timeout(self._patience) as timeout:
                await waiting  # type: ignore[misc]
        except TimeoutError as error:
            if timeout.expired():
                raise _TookTooLong(f"it took longer than {self._patience:g} s") from error
            raise

    def failed(self, middleware: Middleware, bug: BaseException, ctx: RequestContext) -> None:
        """Count a failure of ``middleware``, and log one of an observer: any other fails the request."""
        watch = self.watches[middleware]
        watch.failures += 1
        watch.in_a_row += 1
        if middleware.phase is Phase.OBSERVE or isinstance(bug, _TookTooLong):
            told = "middleware %r failed on request %s"
            log.error(told, middleware.name, ctx.request_id, exc_info=bug)
        if self._limits.failures and watch.in_a_row >= self._limits.failures:
            self._turn_off(middleware, watch, f"it failed {watch.in_a_row} times in a row")

    def stalled(self, middleware: Middleware, seconds: float) -> None:
        """Count and name middleware that has held the event loop up."""
        watch = self.watches[middleware]
        if watch.stalls % _TELL_AGAIN == 0:
            told = "middleware %r held the event loop up for %.2f s (stall %d): it must not block"
            log.warning(told, middleware.name, seconds, watch.stalls + 1)
        watch.stalls += 1
        if self._limits.stalls and watch.stalls >= self._limits.stalls:
            self._turn_off(middleware, watch, f"it held the event loop up {watch.stalls} times")

    def _turn_off(self, middleware: Middleware, watch: Stopwatch, why: str) -> None:
        if middleware.phase is Phase.OBSERVE and not watch.off:
            watch.off = why
            told = "middleware %r is turned off in this process until it starts again: %s"
            log.error(told, middleware.name, why)


class _TookTooLong(Exception):
    """Middleware has kept a request waiting for longer than it may."""
