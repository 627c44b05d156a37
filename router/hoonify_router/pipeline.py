"""A request's way through the router, on one screen: ``Pipeline._infer``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import msgspec

from hoonify_router.api import Middleware, Phase, RequestContext, Result
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Containment
from hoonify_router.containment import Contained, Step
from hoonify_router.departure import Departure
from hoonify_router.errors import (
    AuthenticationFailed,
    Cancelled,
    ModelUnavailable,
    RouterError,
)
from hoonify_router.logs import AccessLog
from hoonify_router.parsing import parse_request
from hoonify_router.permission import INFERENCE, check_model, check_scope
from hoonify_router.reply import Reply, error_headers
from hoonify_router.serving import Serving
from hoonify_router.shaping import Shaper, internal_error
from hoonify_router.stream import end_with_error
from hoonify_router.types import Task, Usage
from hoonify_router.validation import check_values

log = logging.getLogger(__name__)

_RELEASE = 2.0  # seconds for an engine to say what an abandoned request has cost
_LEAVING = "The router is shutting down."
_NOT_SETTLED = "middleware %r failed to settle request %s"

Ending = Callable[[], None]
"""Writes the end of an answer, when everything is settled."""

Work = Callable[[RequestContext], Result | Awaitable[Result]]
"""Answers a request that needs no home."""


class Visit:
    """Which middleware has seen a request, and how far it has been settled.

    Attributes:
        seen: The steps of all that have.
        settled: Whether they have been told to settle.
        over: Whether all of them have done so.
        released: Seconds until the slot of a client that left was free, when that came before.
        release: Done when that is known; made where it is waited for.
        spent: What the engine said then that the request has cost.
    """

    __slots__ = ("over", "release", "released", "seen", "settled", "spent")

    def __init__(self) -> None:
        self.seen: list[Step] = []
        self.settled = False
        self.over = False
        self.released: float | None = None
        self.release: asyncio.Future[None] | None = None
        self.spent: Usage | None = None


class Pipeline:
    """Takes requests from the door to a home and back.

    Args:
        middleware: What stands on the way, sorted by phase.
        catalog: Knows the models.
        serving: Gets answers from homes.
        shaper: Makes error bodies.
        access: Takes down what was answered.
        containment: What middleware may do before it is contained.

    Attributes:
        watches: How long requests are in each middleware.
        hurry: Ends a drain at once.
        cut_streams: Streams that ended in neither of the two ways, although the client was there.
    """

    def __init__(
        self,
        middleware: Sequence[Middleware],
        catalog: Catalog,
        serving: Serving,
        shaper: Shaper,
        access: AccessLog,
        *,
        containment: Containment | None = None,
    ) -> None:
        self._contained = contained = Contained(middleware, containment or Containment())
        self._ask = contained.ask
        self.watches = contained.watches
        self._authenticate = contained.steps(Phase.AUTHENTICATE)
        self._admit = contained.steps(Phase.ADMIT)
        self._transform = contained.steps(Phase.TRANSFORM, Phase.OBSERVE)
        self._observe = contained.steps(Phase.OBSERVE)
        self._catalog = catalog
        self._serving = serving
        self._shaper = shaper
        self._access = access
        self.cut_streams = 0
        self._departure = Departure()
        self.hurry = self._departure.hurry

    # ------------------------------------------------------------ the ways

    async def _infer(self, task: Task, ctx: RequestContext, reply: Reply, visit: Visit) -> Ending:
        if waiting := self._ask(self._authenticate, ctx, visit.seen):
            await waiting
        problem = parse_request(ctx, task)
        self._serving.estimate(ctx)
        if waiting := self._ask(self._admit, ctx, visit.seen):  # a malformed request counts, too
            await waiting
        check_scope(ctx.principal, INFERENCE)
        if problem is not None or ctx.request is None:
            raise problem or RouterError("The request was lost on its way.")
        check_values(ctx.request)
        model = self._catalog.resolve(ctx.request.model)
        check_model(ctx.principal, model.id)
        if waiting := self._ask(self._transform, ctx, visit.seen):
            await waiting
        return await self._serving.serve(ctx, ctx.request, model, reply)

    async def _serve(
        self, work: Work, scope: str | None, ctx: RequestContext, reply: Reply, visit: Visit
    ) -> Ending:
        if waiting := self._ask(self._authenticate, ctx, visit.seen):
            await waiting
        if waiting := self._ask(self._admit, ctx, visit.seen):
            await waiting
        check_scope(ctx.principal, scope)
        if waiting := self._ask(self._observe, ctx, visit.seen):
            await waiting
        result = work(ctx)
        if not isinstance(result, Result):
            result = await result
        ctx.status = result.status
        return partial(reply.send, result.status, msgspec.json.encode(result.content))

    async def _decline(
        self, error: RouterError, ctx: RequestContext, reply: Reply, visit: Visit
    ) -> Ending:
        with contextlib.suppress(
            AuthenticationFailed
        ):  # then the error is all that there is to tell
            if waiting := self._ask(self._authenticate, ctx, visit.seen):
                await waiting
            if waiting := self._ask(self._admit, ctx, visit.seen):
                await waiting
        raise error

    def infer(self, ctx: RequestContext, reply: Reply, task: Task) -> Coroutine[Any, Any, None]:
        """Answer a request for a model, whatever becomes of it."""
        return self._answer(partial(self._infer, task), ctx, reply)

    async def serve(
        self, ctx: RequestContext, reply: Reply, work: Work, scope: str | None = None
    ) -> None:
        """Answer a request that needs no home; it passes the same middleware.

        Args:
            ctx: The request.
            reply: Where the answer goes.
            work: Makes it.
            scope: What the key must be allowed to do; ``None`` is nothing in particular.
        """
        await self._answer(partial(self._serve, work, scope), ctx, reply)

    async def decline(self, ctx: RequestContext, reply: Reply, error: RouterError) -> None:
        """Answer a request that nobody takes with ``error``. It counts, and a known key is told its limits."""
        await self._answer(partial(self._decline, error), ctx, reply)

    # ------------------------------------------------------------ the frame around them

    async def _answer(
        self,
        way: Callable[[RequestContext, Reply, Visit], Awaitable[Ending]],
        ctx: RequestContext,
        reply: Reply,
    ) -> None:
        """Go a way to its end, settle, and only then let the client see the end of its answer."""
        visit = Visit()
        reply.on_released = partial(self._released, ctx, visit)
        if self._departure.begun:
            told = ModelUnavailable(_LEAVING, retry_after=1)
            way = partial(self._decline, told)
        task = asyncio.current_task()
        self._departure.running.add(task)
        try:
            end = await way(ctx, reply, visit)
            ctx.status = ctx.status or 200
            if waiting := self._settle(ctx, visit):
                await waiting
            self._say_goodbye(reply)
            end()
        except RouterError as error:
            await self._refuse(error, ctx, reply, visit)
        except asyncio.CancelledError:
            if (
                self._departure.cut and task is not None and not reply.closed
            ):  # by ``drain``, whose time is over
                task.uncancel()
                told = ModelUnavailable(_LEAVING, retry_after=1)
                await self._refuse(told, ctx, reply, visit)
                return
            if not visit.settled:
                ctx.error = Cancelled("The client has left.")
                ctx.status = ctx.error.status
            if reply.opened and not (reply.ended or reply.closed):  # it has not: the door closes
                end_with_error(reply, self._shaper.event(ModelUnavailable(_LEAVING), ctx))
            await self._settle_left(ctx, reply, visit)
            raise
        except Exception as bug:
            await self._refuse(internal_error(ctx, bug), ctx, reply, visit)
        finally:
            if reply.opened and not (reply.ended or reply.closed):
                self.cut_streams += 1
                log.error("the stream of request %s was cut", ctx.request_id)
            self._departure.ended(task)

    async def _refuse(
        self, error: RouterError, ctx: RequestContext, reply: Reply, visit: Visit
    ) -> None:
        """End with an error: by its status, or as the last event of a stream that is under way."""
        ctx.error = error
        ctx.status = 200 if reply.opened else error.status
        for name, value in error_headers(error).items():
            ctx.response_headers.setdefault(name, value)
        with contextlib.suppress(RouterError):  # refused already; observers see such requests, too
            missed = [step for step in self._observe if step not in visit.seen]
            if waiting := self._ask(missed, ctx, visit.seen):
                await waiting
        if isinstance(error, Cancelled):
            await self._settle_left(ctx, reply, visit)
            return
        if waiting := self._settle(ctx, visit):
            await waiting
        self._say_goodbye(reply)
        if reply.opened:
            end_with_error(reply, self._shaper.event(error, ctx))
        else:
            reply.send(error.status, *self._shaper.body(error, ctx))

    def _say_goodbye(self, reply: Reply) -> None:
        if self._departure.begun:
            reply.keep_alive = False

    # ------------------------------------------------------------ middleware

    def _settle(self, ctx: RequestContext, visit: Visit) -> Awaitable[None] | None:
        """Let all middleware that saw the request settle, in reverse order, exactly once.

        What has to wait goes on in a task of its own, which is returned: a client that leaves meanwhile
        changes nothing.
        """
        if visit.settled:
            return None
        visit.settled = True
        began = perf_counter()
        for step in reversed(visit.seen):
            if step.settle is None:
                continue
            try:
                waiting = step.settle(ctx)
            except Exception as bug:
                self._not_settled(step, bug, ctx)
                waiting = None
            now = perf_counter()
            watch = step.watch
            watch.settled += 1
            watch.settling += now - began
            began = now
            if waiting is not None:
                left = visit.seen[: visit.seen.index(step)]
                task = asyncio.ensure_future(self._settle_rest(step, waiting, ctx, visit, left))
                self._departure.settle(task)
                return asyncio.shield(task)
        self._close(ctx, visit)
        return None

    async def _settle_left(self, ctx: RequestContext, reply: Reply, visit: Visit) -> None:
        """Settle a request whose client has left, as soon as its engine has said what it has cost."""
        if not reply.awaits_release or visit.released is not None or visit.settled:
            await self._settle_spent(ctx, visit)
        elif visit.release is None:
            visit.release = asyncio.get_running_loop().create_future()
            task = asyncio.ensure_future(self._settle_released(ctx, visit, visit.release))
            self._departure.settle(task)

    async def _settle_released(
        self, ctx: RequestContext, visit: Visit, release: asyncio.Future[None]
    ) -> None:
        await asyncio.wait([release], timeout=_RELEASE)
        await self._settle_spent(ctx, visit)

    async def _settle_spent(self, ctx: RequestContext, visit: Visit) -> None:
        if (spent := visit.spent) is not None and not visit.settled:
            if spent.completion_tokens and not spent.prompt_tokens:
                spent.prompt_tokens = ctx.prompt_estimate  # its engine does not tell
            ctx.usage = spent
        if waiting := self._settle(ctx, visit):
            await waiting

    async def _settle_rest(
        self,
        step: Step,
        waiting: Awaitable[None] | None,
        ctx: RequestContext,
        visit: Visit,
        left: list[Step],
    ) -> None:
        """Wait until a step has settled, then let those that are left settle."""
        while True:
            began = perf_counter()
            try:
                if waiting is not None:
                    await waiting
            except Exception as bug:
                self._not_settled(step, bug, ctx)
            step.watch.settling += perf_counter() - began
            if not left:
                break
            step = left.pop()
            waiting = self._settle_one(step, ctx)
        self._close(ctx, visit)

    def _settle_one(self, step: Step, ctx: RequestContext) -> Awaitable[None] | None:
        if step.settle is None:
            return None
        began = perf_counter()
        try:
            return step.settle(ctx)
        except Exception as bug:
            self._not_settled(step, bug, ctx)
            return None
        finally:
            step.watch.settled += 1
            step.watch.settling += perf_counter() - began

    def _not_settled(self, step: Step, bug: Exception, ctx: RequestContext) -> None:
        log.error(_NOT_SETTLED, step.middleware.name, ctx.request_id, exc_info=bug)
        step.watch.failures += 1

    def _close(self, ctx: RequestContext, visit: Visit) -> None:
        """Take down a request that has been settled."""
        visit.over = True
        self._access.note(ctx)
        if visit.released is not None:
            self._tell_released(ctx, visit, visit.released)

    def _released(
        self, ctx: RequestContext, visit: Visit, seconds: float, usage: Usage | None = None
    ) -> None:
        """Note what an abandoned request has cost, and when its slot was free; it may settle now."""
        visit.released, visit.spent = seconds, usage
        if visit.release is not None and not visit.release.done():
            visit.release.set_result(None)
        if visit.over:
            self._tell_released(ctx, visit, seconds)

    def _tell_released(self, ctx: RequestContext, visit: Visit, seconds: float) -> None:
        for step in visit.seen:
            middleware = step.middleware
            try:
                middleware.on_released(ctx, seconds)
            except Exception:
                log.exception("middleware %r failed on request %s", middleware.name, ctx.request_id)

    # ------------------------------------------------------------ the end

    @property
    def leaving(self) -> bool:
        """Return whether it is being drained: what comes is refused."""
        return self._departure.begun

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Refuse what comes, wait until everything under way has ended; tell whether it has.

        What has not ended in time is ended with an error: a status of its own, or the last event of its stream.

        Args:
            timeout: Seconds that it may take.
        """
        return await self._departure.drain(timeout)
