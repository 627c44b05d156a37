"""One span per request: begun when it is served, ended when it has settled."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from hoonify_router import __version__
from hoonify_router.api import Middleware, Phase, PluginContext, RequestContext
from hoonify_router.types import InferenceRequest

_SPAN = "otel.span"
_OTHER = "other"
_LAST_EXPORT = 5.0
_OPERATIONS = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
_ASKED = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")


class TracingMiddleware(Middleware):
    """Makes a span of each request, and tells homes that are HTTP servers of its trace.

    Never in a span: what was asked, what was answered, keys.

    Args:
        open_provider: Opens where spans go.
        models: Catalog IDs; any other name is not told.
    """

    phase = Phase.OBSERVE

    def __init__(self, open_provider: Callable[[], TracerProvider], models: frozenset[str]) -> None:
        self._open_provider = open_provider
        self._models = models
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._context = TraceContextTextMapPropagator()

    def reload(self, settings: Any, context: PluginContext) -> None:
        """Know the new catalog."""
        self._models = frozenset(context.current.config.models)

    async def startup(self) -> None:
        """Open where spans go."""
        self._provider = self._open_provider()
        self._tracer = self._provider.get_tracer("hoonify_router", __version__)

    async def shutdown(self) -> None:
        """Send what is left; a collector that is away holds nobody up for long."""
        if self._provider is None:
            return
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        provider = self._provider

        def send() -> None:
            provider.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody waits any more, the loop is closed
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=send, name="otel-shutdown", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EXPORT):
                await done.wait()

    def on_request(self, ctx: RequestContext) -> None:
        """Begin the span, as of when the request came, in the trace that its client has begun if it has one."""
        if self._tracer is None:
            return
        request = ctx.request
        name = ctx.method if request is None else f"{_OPERATIONS[request.task]} {self._model(ctx)}"
        parent = self._context.extract(ctx.headers)
        now = time.perf_counter()
        began = time.time_ns() - int((now - ctx.started) * 1e9)
        attributes = self._attributes_of(ctx, request)
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes, start_time=began)
        ctx.state[_SPAN] = span, began
        if request is not None:
            self._context.inject(ctx.outgoing_headers, set_span_in_context(span))

    def on_finally(self, ctx: RequestContext) -> None:
        """End it, with what the request came to."""
        begun = ctx.state.pop(_SPAN, None)
        if begun is None:
            return
        span, began = begun
        if span.is_recording():
            _tell(span, ctx, began)
        span.end()

    def _model(self, ctx: RequestContext) -> str:
        assert ctx.request is not None
        return ctx.request.model if ctx.request.model in self._models else _OTHER

    def _attributes_of(
        self, ctx: RequestContext, request: InferenceRequest | None
    ) -> dict[str, AttributeValue]:
        told: dict[str, AttributeValue] = {
            "http.request.method": ctx.method,
            "url.path": ctx.path[:200],
            "hoonify.request.id": ctx.request_id,
        }
        if ctx.principal is not None:
            told["hoonify.key.id"] = ctx.principal.id
        if request is None:
            return told
        told["gen_ai.operation.name"] = _OPERATIONS[request.task]
        told["gen_ai.request.model"] = self._model(ctx)
        told["hoonify.stream"] = request.streams
        for name in _ASKED:
            value = getattr(request, name, None)
            if isinstance(value, int | float):
                told[f"gen_ai.request.{name}"] = value
        limit = getattr(request, "token_limit", None)
        if limit is not None:
            told["gen_ai.request.max_tokens"] = limit
        return told


def _tell(span: Span, ctx: RequestContext, began: int) -> None:
    """Write down what a request came to."""
    told: dict[str, AttributeValue] = {"http.response.status_code": ctx.status}
    if ctx.home is not None:
        told["gen_ai.provider.name"] = ctx.home.backend
        told["gen_ai.response.model"] = ctx.home.model
        told["hoonify.home"] = ctx.home.id
        told["hoonify.attempts"] = ctx.attempts
    if ctx.usage is not None:
        told["gen_ai.usage.input_tokens"] = ctx.usage.prompt_tokens
        told["gen_ai.usage.output_tokens"] = ctx.usage.completion_tokens
    if ctx.finish_reason is not None:
        told["gen_ai.response.finish_reasons"] = [ctx.finish_reason]
    if ctx.first_token_at is not None:
        told["hoonify.time_to_first_token"] = ctx.first_token_at - ctx.started
    if ctx.error is not None:
        told["error.type"] = ctx.error.code
        if ctx.error.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
    span.set_attributes(told)
    for call in ctx.calls:
        asked: dict[str, AttributeValue] = {"hoonify.home": call.home.id}
        if call.error is not None:
            asked["error.type"] = call.error.code
        asked["hoonify.seconds"] = call.ended - call.started
        at = began + int((call.started - ctx.started) * 1e9)
        span.add_event("hoonify.home.asked", asked, at)
