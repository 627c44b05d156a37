"""Getting an answer from a home: which one, in what form, and from whom else if that one fails."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from functools import partial

from hoonify_router.adapters.base import Adapter, Job
from hoonify_router.adapters.refusals import with_model_named
from hoonify_router.answer import Answer
from hoonify_router.api import HomeCall, RequestContext
from hoonify_router.catalog import Catalog
from hoonify_router.errors import (
    Cancelled,
    ContextLengthExceeded,
    EngineDead,
    HomeStopping,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    RouterError,
    Unsupported,
    WrongEndpoint,
)
from hoonify_router.estimate import Estimator, may_show
from hoonify_router.forms import Paper, new_answer
from hoonify_router.identity import Names
from hoonify_router.model import Model
from hoonify_router.patience import Clocks, Patience
from hoonify_router.permission import may_use
from hoonify_router.places import Place, is_fault_of_home
from hoonify_router.pulse import Pulse
from hoonify_router.reply import Reply
from hoonify_router.shadow import Mirror
from hoonify_router.types import InferenceRequest, Usage

ATTEMPTS = "x-router-attempts"
ANSWERED_BY = "x-router-model"
GENERATION = "x-router-generation"

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.4
_ELSEWHERE = (ModelUnavailable, Overloaded)
_NOT_FOR_THIS_MODEL = (Unsupported, WrongEndpoint, ContextLengthExceeded)
_GIVEN_UP = Cancelled("The request was given up.")


class Serving:
    """Serves checked requests.

    Args:
        catalog: Chooses homes.
        adapters: Speak to homes, by kind.
        names: Makes the answers' ids.
        pulse: Pings streams that wait.
        transformed: Whether middleware may have changed a request, so that the client's own bytes of it
            are not to be used.
        mirror: Sends copies of requests to candidates, where models have one.
    """

    def __init__(
        self,
        catalog: Catalog,
        adapters: Mapping[str, Adapter],
        names: Names,
        pulse: Pulse,
        transformed: bool = False,
        *,
        mirror: Mirror | None = None,
    ) -> None:
        self._catalog = catalog
        self._adapters = adapters
        self._names = names
        self._pulse = pulse
        self._transformed = transformed
        self._mirror = mirror
        self._clocks = Clocks()
        self._estimator = Estimator()

    def estimate(self, ctx: RequestContext) -> None:
        """Fill in how many tokens the prompt may have."""
        request = ctx.request
        if request is not None:
            images = may_show(request)
            ctx.prompt_estimate = self._estimator.prompt(request.model, ctx.body, images=images)

    async def serve(
        self, ctx: RequestContext, request: InferenceRequest, model: Model, reply: Reply
    ) -> Callable[[], None]:
        """Get an answer; its stream is written as it comes, its end by what is returned.

        Raises:
            RouterError: Nobody could answer, or not to the end. The reply tells whether the client has
                seen a part of it.
        """
        if self._mirror is not None and model.config.shadow is not None:
            tape = self._mirror.sample(model, request, reply)
            if tape is not None:
                try:
                    answer = await self._serve(ctx, request, model, reply, paper=tape)
                except BaseException as error:
                    self._mirror.give_up(model, tape, error)
                    raise
                body = None if self._transformed else ctx.body
                self._mirror.follow(model, tape, ctx, body, answer)
                return answer.close
        return (await self._serve(ctx, request, model, reply, paper=reply)).close

    async def _serve(
        self,
        ctx: RequestContext,
        request: InferenceRequest,
        model: Model,
        reply: Reply,
        *,
        paper: Paper,
    ) -> Answer:
        patience = Patience(self._clocks, model.config.timeouts.total, reply, ctx.started)
        if request.streams:
            self._pulse.add(reply)
        try:
            return await self._seek(ctx, request, model, reply, patience, paper=paper)
        except RouterError:
            ctx.response_headers.pop(ANSWERED_BY, None)  # nobody has
            raise
        finally:
            if request.streams:
                self._pulse.discard(reply)

    async def _seek(
        self,
        ctx: RequestContext,
        request: InferenceRequest,
        model: Model,
        reply: Reply,
        patience: Patience,
        *,
        paper: Paper,
    ) -> Answer:
        """Ask one home after the other, while the client has not read anything real."""
        failure: RouterError | None = None
        tried: list[str] = []
        for candidate in self._line_up(model, ctx) if model.config.fallback else (model,):
            while len(tried) < model.config.attempts:
                try:
                    place = self._catalog.pick(candidate, ctx, request, tried)
                    if place is None:
                        place = await self._catalog.choose(candidate, ctx, request, tried)
                except ModelUnavailable as error:
                    failure = failure or error
                    break
                except InvalidRequest:
                    if candidate is model:
                        raise
                    break
                if tried:
                    await _take_breath(len(tried), reply, patience)
                if candidate is not model:
                    ctx.response_headers[ANSWERED_BY] = candidate.id
                answer = await self._ask(ctx, request, place, reply, patience, paper=paper)
                if answer is None:
                    continue
                if (trouble := answer.error) is None:
                    return answer
                if not answer.begun and self._is_replaced(place, trouble):
                    ctx.calls.pop()
                    ctx.attempts -= 1
                    continue  # its successor is there
                turned_away = not answer.begun and _was_turned_away(place, trouble)
                if turned_away and self._catalog.hold_left(candidate, ctx) > 0:
                    ctx.calls.pop()
                    ctx.attempts -= 1
                    await _take_breath(1, reply, patience)
                    continue  # until the home is back: it was told to stop, it has not failed
                tried.append(place.home.key)
                trouble = with_model_named(trouble, place.home.served_name, request.model)
                if candidate is not model and isinstance(trouble, _NOT_FOR_THIS_MODEL):
                    break
                if answer.begun or not isinstance(trouble, _ELSEWHERE):
                    raise trouble
                if candidate is model and not isinstance(failure, Overloaded):
                    failure = trouble  # that a home lives and is full is the best news for a client
        raise failure or RouterError("Nobody was asked.")

    def _is_replaced(self, place: Place, trouble: RouterError) -> bool:
        """Tell whether a home that did not answer is no home of the model any more, so that its successor is asked."""
        return isinstance(trouble, _ELSEWHERE) and not self._catalog.has(place.home)

    def _line_up(self, model: Model, ctx: RequestContext) -> list[Model]:
        """Return who may answer: the model, then those of its fallbacks that the key may use."""
        fallback = [name for name in model.config.fallback if may_use(ctx.principal, name)]
        return [model, *map(self._catalog.resolve, fallback)]

    async def _ask(
        self,
        ctx: RequestContext,
        request: InferenceRequest,
        place: Place,
        reply: Reply,
        patience: Patience,
        *,
        paper: Paper,
    ) -> Answer | None:
        """Ask one home and wait for the end, whichever it is; ``None`` if its breaker is open by now."""
        if reply.closed:
            raise Cancelled("The client has left.")
        done = asyncio.get_running_loop().create_future()
        answer = new_answer(request, self._names, paper, partial(_wake, done))
        permit = place.enter(answer)
        if permit is None:
            return None
        home, timeouts = place.home, place.timeouts
        ctx.home = home
        ctx.response_headers[GENERATION] = self._catalog.stamp
        asked = HomeCall(home, time.perf_counter())
        ctx.calls.append(asked)
        ctx.attempts += 1
        if ctx.attempts > 1:
            ctx.response_headers[ATTEMPTS] = str(ctx.attempts)
        call = None
        try:
            reply.watch(answer.abandon)
            patience.watch(answer, timeouts, home.kind == "worker" or request.streams)
            body = None if self._transformed else ctx.body
            job = Job(ctx.request_id, request, body, home, timeouts.connect, reply.released)
            if ctx.outgoing_headers:
                job.headers = ctx.outgoing_headers
            call = await self._adapters[home.kind].start(job, answer)
            reply.serve(call)
            await done
        except RouterError as error:
            answer.fail(error)
        finally:
            patience.relax()
            reply.release()
            if call is not None and (answer.error is not None or not answer.ended):
                call.cancel()
            place.leave(permit, answer.error if answer.ended else _GIVEN_UP)
            asked.ended = time.perf_counter()
            _tally(place, ctx, request, answer, asked.ended)
            asked.error = answer.error
            asked.first_at = answer.first_at
            ctx.first_token_at = answer.first_at
            ctx.finish_reason = answer.finish_reason
            ctx.usage = answer.usage
            if answer.usage is not None:
                self._learn(ctx, request, answer.usage)
            elif call is not None:
                left = isinstance(answer.error, Cancelled)
                # A worker says what an abandoned request has cost, a server does not.
                reply.awaits_release = left and home.kind == "worker"
                if answer.pieces or (left and home.kind == "server"):
                    ctx.usage = _seen(ctx, request, answer)
        return answer

    def _learn(self, ctx: RequestContext, request: InferenceRequest, usage: Usage) -> None:
        images = may_show(request)
        self._estimator.learn(request.model, ctx.body, usage.prompt_tokens, images=images)


def _was_turned_away(place: Place, trouble: RouterError) -> bool:
    """Tell whether a request that has not begun met a home that was just being stopped."""
    return isinstance(trouble, HomeStopping) or (
        isinstance(trouble, EngineDead) and place.home.state in ("draining", "stopped")
    )


async def _take_breath(tried: int, reply: Reply, patience: Patience) -> None:
    """Wait a moment before another home is asked, so that a failure does not become a storm."""
    if not reply.closed:
        pause = min(_FIRST_PAUSE * 2.0 ** (tried - 1), _LONGEST_PAUSE)
        await asyncio.sleep(random.random() * pause)
    if patience.left == 0.0:
        raise patience.out_of_time()


def _tally(
    place: Place, ctx: RequestContext, request: InferenceRequest, answer: Answer, ended: float
) -> None:
    """Count a request that has ended at a home, for ``status``."""
    tally, error = place.tally, answer.error
    tally.live.discard(answer)
    streamed = request.streams or place.home.kind == "worker"
    usage = answer.usage or _seen(ctx, request, answer)
    tally.note(answer, ctx.started, ended, streamed, usage)
    if error is not None and is_fault_of_home(error):
        tally.note_failure(error, place.home.id)


def _seen(ctx: RequestContext, request: InferenceRequest, answer: Answer) -> Usage:
    """Return about what an answer has cost whose engine has not told."""
    said = 0 if request.task == "embedding" else answer.pieces
    return Usage(ctx.prompt_estimate, said)


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
