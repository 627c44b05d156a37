"""Admit requests as their keys' plans allow, tell what is left, and settle what was used."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from msgspec import Struct

from hoonify_plugins.rate_limits.estimate import answer_tokens
from hoonify_plugins.rate_limits.ledger import WINDOW, Balance, Charge, Ledger, Verdict, scope_tag
from hoonify_plugins.rate_limits.settings import NAME, Limits, Plan, RateLimitsSettings
from hoonify_router.api import LoadedConfig, Middleware, Phase, PluginContext, RequestContext
from hoonify_router.errors import PermissionDenied, RateLimited

_KNOWN_KEYS = 16384
_NO_LIMITS = Limits()
_CLOSED = Charge(scope_tag("", "closed"), Limits(requests_per_minute=0))
_PER_MINUTE = "{what} per minute: your plan allows {limit}. Please try again in {seconds} s."


class Reservation(Struct):
    """What was reserved for a request."""

    charges: Sequence[Charge]
    window: int
    tokens: int


class RateLimits(Middleware):
    """Keeps keys within their plans' requests and tokens per minute.

    A request that is refused here costs nothing. One that passes counts as one request; its tokens are reserved as
    estimated and settled with what the engine counted.

    Args:
        settings: The plans.
        models: Context lengths of the catalog's models by their IDs.
        open_ledger: Opens the place that counts.
        log: Where trouble is told.
        clock: Unix time.
    """

    phase = Phase.ADMIT

    def __init__(
        self,
        settings: RateLimitsSettings,
        models: Mapping[str, int],
        open_ledger: Callable[[], Ledger],
        log: logging.Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plans = settings.plans
        self._models = models
        self._open_ledger = open_ledger
        self._log = log
        self._clock = clock
        self._answer_tokens = settings.answer_tokens
        self._ledger: Ledger | None = None
        self._charges: dict[tuple[str, str, str], tuple[Charge, ...]] = {}
        self._reset = (0, "")

    async def startup(self) -> None:
        """Open the place that counts."""
        self._ledger = self._open_ledger()

    async def shutdown(self) -> None:
        """Close it."""
        if self._ledger is not None:
            self._ledger.close()

    def reload(self, settings: RateLimitsSettings, context: PluginContext) -> None:
        """Take over plans and catalog; what keys have used in this minute still counts."""
        self._plans = settings.plans
        self._answer_tokens = settings.answer_tokens
        self._models = room_of_models(context.current)
        self._charges.clear()

    @property
    def uncounted(self) -> tuple[int, int]:
        """Return how many requests have passed, and how many were refused, while nobody could count them."""
        return (0, 0) if self._ledger is None else self._ledger.uncounted

    async def balance(self, key_id: str, plan: str) -> tuple[Limits, Balance]:
        """Return a key's limits, and what is left of them in this minute; to ask costs nothing.

        Args:
            key_id: Public id of the key.
            plan: The plan it is on.

        Raises:
            PermissionDenied: The plan is not set up.
        """
        charges = self._find_charges(key_id, plan, "")
        if not charges or self._ledger is None:
            return _NO_LIMITS, Balance()
        # With a second charge that lets nothing pass, all of it is refused: nothing is counted.
        verdict = self._ledger.admit([charges[0], _CLOSED], 0, self._clock())
        if not isinstance(verdict, Verdict):
            verdict = await verdict
        return charges[0].limits, verdict.left

    # ------------------------------------------------------------ in

    def on_request(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Reserve what the request may take.

        Raises:
            RateLimited: A limit is exhausted.
            PermissionDenied: The key is on a plan that is not set up.
        """
        principal = ctx.principal
        if principal is None:
            return None
        request = ctx.request
        model = "" if request is None else request.model
        charges = self._charges.get((principal.id, principal.plan, model))
        if charges is None:
            charges = self._find_charges(principal.id, principal.plan, model)
        if not charges or self._ledger is None:
            return None
        tokens = 0
        if request is not None:
            room = self._models.get(model, 0)
            tokens = ctx.prompt_estimate + answer_tokens(request, self._answer_tokens, room)
        verdict = self._ledger.admit(charges, tokens, self._clock())
        if type(verdict) is Verdict:
            self._judge(ctx, Reservation(charges, verdict.window, tokens), verdict)
            return None
        return self._wait(ctx, charges, tokens, verdict)  # type: ignore[arg-type]

    async def _wait(
        self,
        ctx: RequestContext,
        charges: Sequence[Charge],
        tokens: int,
        verdict: Awaitable[Verdict],
    ) -> None:
        told = await verdict
        self._judge(ctx, Reservation(charges, told.window, tokens), told)

    def _judge(self, ctx: RequestContext, reservation: Reservation, verdict: Verdict) -> None:
        limits = reservation.charges[0].limits
        self._tell(ctx.response_headers, limits, verdict)
        if verdict.refused_by is None:
            ctx.state[NAME] = reservation
            return
        raise self._refusal(reservation, verdict)

    def _refusal(self, reservation: Reservation, verdict: Verdict) -> RateLimited:
        limits = reservation.charges[verdict.charge].limits
        seconds = max(1, math.ceil((verdict.window + 1) * WINDOW - self._clock()))
        if verdict.refused_by == "concurrent":
            told = f"Too many requests at the same time: your plan allows {limits.concurrent_requests}."
            return RateLimited(told, retry_after=1)
        if verdict.refused_by == "requests":
            what, limit = "Too many requests", limits.requests_per_minute
        else:
            what, limit = "Too many tokens", limits.tokens_per_minute
        told = _PER_MINUTE.format(what=what, limit=limit, seconds=seconds)
        return RateLimited(told, retry_after=seconds)

    # ------------------------------------------------------------ out

    def on_finally(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Settle the reservation with what was really used."""
        reservation: Reservation | None = ctx.state.pop(NAME, None)
        if reservation is None or self._ledger is None:
            return None
        usage = ctx.usage
        used = 0 if usage is None else usage.prompt_tokens + usage.completion_tokens
        return self._ledger.settle(
            reservation.charges, reservation.window, reservation.tokens, used, self._clock()
        )

    # ------------------------------------------------------------ plans and headers

    def _find_charges(self, key_id: str, plan_name: str, model: str) -> tuple[Charge, ...]:
        plan = self._plans.get(plan_name)
        if plan is None:
            raise PermissionDenied(f"The key's plan {plan_name!r} is not set up on this router.")
        charges = [Charge(scope_tag(key_id), _own_limits(plan))]
        if model in self._models:
            for glob, limits in plan.models.items():
                if fnmatchcase(model, glob):
                    charges.append(Charge(scope_tag(key_id, glob), limits))
                    break
        found = tuple(charges) if any(c.limits != _NO_LIMITS for c in charges) else ()
        if model in self._models or not model:  # a name that does not exist is not worth memory
            if len(self._charges) >= _KNOWN_KEYS:
                del self._charges[next(iter(self._charges))]
            self._charges[(key_id, plan_name, model)] = found
        return found

    def _tell(self, headers: dict[str, str], limits: Limits, verdict: Verdict) -> None:
        left = verdict.left
        if self._reset[0] != verdict.window:
            at = datetime.fromtimestamp((verdict.window + 1) * WINDOW, UTC)
            self._reset = (verdict.window, at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        reset = self._reset[1]
        if left.requests is not None:
            headers["x-ratelimit-limit-requests"] = f"{limits.requests_per_minute}"
            headers["x-ratelimit-remaining-requests"] = f"{left.requests}"
            headers["x-ratelimit-reset-requests"] = reset
        if left.tokens is not None:
            headers["x-ratelimit-limit-tokens"] = f"{limits.tokens_per_minute}"
            headers["x-ratelimit-remaining-tokens"] = f"{left.tokens}"
            headers["x-ratelimit-reset-tokens"] = reset


def room_of_models(loaded: LoadedConfig) -> dict[str, int]:
    """Return the context lengths of the catalog's models."""
    return {name: model.context_length for name, model in loaded.config.models.items()}


def _own_limits(plan: Plan) -> Limits:
    return Limits(plan.requests_per_minute, plan.tokens_per_minute, plan.concurrent_requests)
