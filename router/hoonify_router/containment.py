"""Middleware is asked here: what fails or blocks is named, and an observer that misbehaves is turned off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from time import perf_counter

from hoonify_router.api import Middleware, Phase, RequestContext
from hoonify_router.config.model import Containment
from hoonify_router.errors import ModelUnavailable, RouterError
from hoonify_router.stopwatch import Stopwatch

log = logging.getLogger(__name__)

_TOO_LONG = "The router's own checks take too long."
_TELL_AGAIN = (
    100  # stalls of one middleware are logged for the first time, and then once in so many
)


class Step:
    """One middleware on the way of requests, and what it takes.

    Attributes:
        middleware: It.
        enter: Its ``on_request``; ``None`` where it lets all requests pass.
        settle: Its ``on_finally``; ``None`` where it has nothing to settle.
        watch: How long requests are in it, and its faults.
    """

    __slots__ = ("enter", "middleware", "settle", "watch")

    def __init__(self, middleware: Middleware, watch: Stopwatch) -> None:
        self.middleware = middleware
        enter, settle = middleware.on_request, middleware.on_finally
        self.enter = None if _is(enter, Middleware.on_request) else enter
        self.settle = None if _is(settle, Middleware.on_finally) else settle
        self.watch = watch


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
        self._steps = [Step(one, Stopwatch()) for one in middleware]
        self.watches = {step.middleware: step.watch for step in self._steps}
        self._limits = limits
        self._stall = float(limits.stall)
        self._patience = float(limits.patience)

    def steps(self, *phases: Phase) -> tuple[Step, ...]:
        """Return the steps of some phases, one phase after the other."""
        return tuple(
            step for phase in phases for step in self._steps if step.middleware.phase is phase
        )

    def ask(
        self, steps: Sequence[Step], ctx: RequestContext, seen: list[Step]
    ) -> Awaitable[None] | None:
        """Let middleware see the request, one after the other; return what is to be awaited, if anything is.

        Nearly always nothing is: then no coroutine is made. Each look at the clock ends one step and begins the next.

        Raises:
            RouterError: One of them refuses it.
        """
        stall = self._stall
        began = perf_counter()
        for step in steps:
            watch = step.watch
            if watch.off:
                continue
            seen.append(step)
            enter = step.enter
            if enter is None:
                continue
            try:
                waiting = enter(ctx)
            except BaseException as error:
                self._count(step, began)
                self._judge(step, error, ctx)
                began = perf_counter()
                continue
            now = perf_counter()
            taken = now - began
            if taken >= stall:
                self.stalled(step.middleware, taken)
            if waiting is not None:
                rest = steps[steps.index(step) + 1 :]
                return self._go_on(self._wait_for(step, waiting, began, ctx), rest, ctx, seen)
            watch.calls += 1
            watch.seconds += taken
            if watch.in_a_row:
                watch.in_a_row = 0
            began = now
        return None

    async def _go_on(
        self,
        waiting: Awaitable[None],
        rest: Sequence[Step],
        ctx: RequestContext,
        seen: list[Step],
    ) -> None:
        """Wait for a step, then let the others see the request."""
        await waiting
        more = self.ask(rest, ctx, seen)
        if more is not None:
            await more

    async def _wait_for(
        self, step: Step, waiting: Awaitable[None], began: float, ctx: RequestContext
    ) -> None:
        try:
            if self._patience:
                await self._wait(waiting)
            else:
                await waiting
            step.watch.in_a_row = 0
        except BaseException as error:
            self._judge(step, error, ctx)
        finally:
            self._count(step, began)

    @staticmethod
    def _count(step: Step, began: float) -> None:
        step.watch.calls += 1
        step.watch.seconds += perf_counter() - began

    def _judge(self, step: Step, error: BaseException, ctx: RequestContext) -> None:
        """Raise what ends the request; note what does not."""
        if isinstance(error, RouterError) or not isinstance(error, Exception):
            raise error
        middleware = step.middleware
        self.failed(middleware, error, ctx)
        if middleware.phase is Phase.OBSERVE:
            return
        if isinstance(error, _TookTooLong):
            raise ModelUnavailable(_TOO_LONG, retry_after=1) from error
        error.add_note(f"in middleware {middleware.name!r}")
        raise error

    async def _wait(self, waiting: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._patience) as timeout:
                await waiting
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


def _is(method: object, of: object) -> bool:
    """Tell whether a bound method is that of the base class, which does nothing."""
    return getattr(method, "__func__", None) is of


class _TookTooLong(Exception):
    """Middleware has kept a request waiting for longer than it may."""
