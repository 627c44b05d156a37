"""Write down what each request came to, before its client sees the end of the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from hoonify_plugins.usage.journal import Journal
from hoonify_router.api import Middleware, ModelConfig, Phase, PluginContext, RequestContext
from hoonify_router.types import Usage

_MILLION = 1_000_000
_NOTHING = Usage()


class UsageMiddleware(Middleware):
    """Keeps one durable record per request for a model.

    Args:
        models: The catalog, for prices; what is not in it is written down as ``other``.
        open_journal: Opens this process's journal.
    """

    phase = Phase.OBSERVE

    def __init__(
        self, models: Mapping[str, ModelConfig], open_journal: Callable[[], Journal]
    ) -> None:
        self._prices = _prices(models)
        self._open_journal = open_journal
        self._journal: Journal | None = None

    def reload(self, settings: Any, context: PluginContext) -> None:
        """Count with the new prices from now on."""
        self._prices = _prices(context.current.config.models)

    async def startup(self) -> None:
        """Begin this process's journal."""
        self._journal = self._open_journal()

    async def shutdown(self) -> None:
        """Close it."""
        if self._journal is not None:
            self._journal.close()

    def on_finally(self, ctx: RequestContext) -> None:
        """Write the record; a request that asks no model has none."""
        request = ctx.request
        if request is None or self._journal is None:
            return
        now = time.perf_counter()
        usage, error, first = ctx.usage or _NOTHING, ctx.error, ctx.first_token_at
        principal = ctx.principal
        prices = self._prices.get(request.model)
        price = 0.0
        if prices is not None and ctx.usage is not None:
            cost = usage.prompt_tokens * prices[0] + usage.completion_tokens * prices[1]
            price = cost / _MILLION
        self._journal.write(
            (
                ctx.request_id,
                time.time() - (now - ctx.started),
                "" if principal is None else principal.id,
                "" if principal is None else principal.owner,
                "other" if prices is None else request.model,
                "" if ctx.home is None else ctx.home.id,
                request.task,
                ctx.status,
                "" if error is None else error.code,
                ctx.finish_reason or "",
                1 if request.streams else 0,
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                usage.reasoning_tokens,
                price,
                None if first is None else first - ctx.started,
                now - ctx.started,
            )
        )


def _prices(models: Mapping[str, ModelConfig]) -> dict[str, tuple[float, float]]:
    return {
        name: (model.pricing.input, model.pricing.output) if model.pricing else (0.0, 0.0)
        for name, model in models.items()
    }
