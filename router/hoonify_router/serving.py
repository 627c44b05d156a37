"""Getting an answer from a home: which one, in what form, and from whom else if that one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from hoonify_router.adapters.base import Adapter, Job
from hoonify_router.answer import Answer
from hoonify_router.api import RequestContext
from hoonify_router.catalog import Catalog, Model
from hoonify_router.errors import Cancelled, ModelUnavailable, Overloaded, RouterError
from hoonify_router.forms import new_answer
from hoonify_router.identity import Names
from hoonify_router.pulse import Pulse
from hoonify_router.reply import Reply
from hoonify_router.types import HomeView, InferenceRequest


class Serving:
    """Serves checked requests.

    Args:
        catalog: Chooses homes.
        adapters: Speak to homes, by kind.
        names: Makes the answers' ids.
        pulse: Pings streams that wait.
        transformed: Whether middleware may have changed a request, so that the client's own bytes of it
            are not to be used.
    """

    def __init__(
        self,
        catalog: Catalog,
        adapters: Mapping[str, Adapter],
        names: Names,
        pulse: Pulse,
        transformed: bool = False,
    ) -> None:
        self._catalog = catalog
        self._adapters = adapters
        self._names = names
        self._pulse = pulse
        self._transformed = transformed

    async def serve(
        self, ctx: RequestContext, request: InferenceRequest, model: Model, reply: Reply
    ) -> Callable[[], None]:
        """Get an answer; its stream is written as it comes, its end by what is returned.

        Raises:
            RouterError: Nobody could answer, or not to the end. The reply tells whether the client has
                seen a part of it.
        """
        if request.streams:
            self._pulse.add(reply)
        tried: list[str] = []
        failure: RouterError | None = None
        try:
            while True:  # one home after the other, while the client has not read anything real
                try:
                    home = await self._catalog.choose(model, tried)
                except ModelUnavailable as error:
                    raise failure or error from None
                ctx.home = home
                self._catalog.support(model, home).check(request)
                answer = await self._ask(ctx, request, home, reply)
                failure = answer.error
                if failure is None:
                    return answer.close
                if answer.begun or not isinstance(failure, ModelUnavailable | Overloaded):
                    raise failure
                tried.append(home.id)
        finally:
            if request.streams:
                self._pulse.discard(reply)

    async def _ask(
        self, ctx: RequestContext, request: InferenceRequest, home: HomeView, reply: Reply
    ) -> Answer:
        """Ask one home and wait for the end, whichever it is."""
        if reply.closed:
            raise Cancelled("The client has left.")
        done = asyncio.get_running_loop().create_future()
        answer = new_answer(request, self._names, reply, partial(_wake, done))
        reply.watch(answer.abandon)
        call = None
        try:
            body = None if self._transformed else ctx.body
            job = Job(ctx.request_id, request, body, home, released=reply.released)
            call = await self._adapters[home.kind].start(job, answer)
            reply.serve(call)
            await done
        except RouterError as error:
            answer.fail(error)
        finally:
            reply.release()
            if call is not None and (answer.error is not None or not answer.ended):
                call.cancel()
            ctx.first_token_at = answer.first_at
            ctx.finish_reason = answer.finish_reason
            ctx.usage = answer.usage
        return answer


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
