"""The models that clients may ask for, and the choice among the homes that serve one."""

from __future__ import annotations

import asyncio
import difflib
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from hoonify_router.config.model import Config, ModelConfig
from hoonify_router.errors import ModelNotFound, ModelUnavailable
from hoonify_router.support import Support
from hoonify_router.types import HomeView, RoutingTable

HOLD = 5.0
"""Seconds that a request waits for a home that is started on demand, before it is told to come back."""

_STATE_REASONS = {
    "stopped": "it is stopped",
    "starting": "it is starting",
    "loading": "it is loading",
    "draining": "it is about to stop",
    "failed": "it has failed and will be restarted",
    "unavailable": "it cannot run here",
}
_STATE_RETRY = {"starting": 5.0, "loading": 5.0, "draining": 2.0, "failed": 10.0, "stopped": 5.0}
_NEVER = 3600.0
_MAX_TURNS = 1024

EnsureReady = Callable[[str], Awaitable[HomeView]]


class Model:
    """One model of the catalog and its homes as the last routing table has them."""

    __slots__ = ("_turn", "_turns", "config", "homes", "id", "ready", "supports")

    def __init__(self, model_id: str, config: ModelConfig) -> None:
        self.id = model_id
        self.config = config
        self.homes: tuple[HomeView, ...] = ()
        self.ready: list[HomeView] = []
        self.supports: dict[str, Support] = {}
        self._turns: Sequence[HomeView] = ()
        self._turn = 0

    def update(self, homes: tuple[HomeView, ...]) -> None:
        """Take over what a new table says."""
        self.homes = homes
        self.supports = {}
        self.ready = [home for home in homes if home.state == "ready" and home.address]
        self._turns = weighted_turns(self.ready)
        self._turn %= max(1, len(self._turns))  # tables come often, turns go on

    def next_ready(self, tried: Collection[str]) -> HomeView | None:
        """Return the home whose turn it is, by their weights; none of those already tried."""
        for _ in self._turns:
            home = self._turns[self._turn]
            self._turn = (self._turn + 1) % len(self._turns)
            if home.id not in tried:
                return home
        return None

    @property
    def state(self) -> str:
        """Return the best state that one of its homes is in."""
        if self.ready:
            return "ready"
        states = {home.state for home in self.homes}
        order = ("loading", "starting", "stopped", "draining", "failed", "unavailable")
        return next((state for state in order if state in states), "starting")


class Catalog:
    """All models, kept up to date by routing tables.

    Args:
        config: Its ``models``.
        parameters: Request fields that each server backend honours; a home's own word counts more.
        hold: Seconds that a request waits for a home that is started on demand.

    Attributes:
        ensure_ready: Starts such a home; ``None`` where none can be started.
        generation: Of the last table.
    """

    def __init__(
        self,
        config: Config,
        parameters: Mapping[str, frozenset[str] | None],
        hold: float = HOLD,
    ) -> None:
        self._models = {name: Model(name, model) for name, model in config.models.items()}
        self._parameters = parameters
        self.ensure_ready: EnsureReady | None = None
        self._hold = hold
        self._waking: dict[str, asyncio.Task[HomeView]] = {}
        self.generation = 0

    def update(self, table: RoutingTable) -> None:
        """Replace all homes by those of ``table``."""
        self.generation = table.generation
        for model in self._models.values():
            homes = tuple(home for home in table.homes if home.model == model.id)
            model.update(homes)
            model.supports = {home.id: self.support(model, home) for home in homes}

    def models(self) -> Collection[Model]:
        """Return all models, in the order of the file."""
        return self._models.values()

    def resolve(self, model_id: str) -> Model:
        """Return the model with this ID.

        Raises:
            ModelNotFound: There is none; the message names those that are close.
        """
        model = self._models.get(model_id)
        if model is not None:
            return model
        close = difflib.get_close_matches(model_id[:200], self._models, n=3)
        hint = f" Did you mean {_either(close)}?" if close else " GET /v1/models lists them all."
        raise ModelNotFound(f"The model '{model_id[:200]}' does not exist.{hint}", param="model")

    async def choose(self, model: Model, tried: Collection[str] = ()) -> HomeView:
        """Return the home that shall serve the next request of ``model``.

        Raises:
            ModelUnavailable: None can, with the reason and the time after which one may.
        """
        home = model.next_ready(tried)
        if home is None:
            if not tried:
                home = await self._wake(model)
            if home is None:
                raise self._unavailable(model)
        return home

    def support(self, model: Model, home: HomeView) -> Support:
        """Return what ``home`` can do for a request."""
        known = model.supports.get(home.id)
        if known is None:  # it has just been woken, the table that says so is on its way
            images = "image" in model.config.modalities
            known = Support(model.id, self._parameters_of(home), images)
        return known

    def missing(self) -> list[str]:
        """Return the homes that should always run and do not, for the readiness probe."""
        models = self._models.values()
        missing = [
            model.id for model in models if model.config.start == "always" and not model.homes
        ]
        return missing + [
            home.id
            for model in models
            for home in model.homes
            if home.always and home.state not in ("ready", "unavailable")
        ]

    def _parameters_of(self, home: HomeView) -> frozenset[str] | None:
        if home.capabilities is not None:
            return home.capabilities.parameters
        return self._parameters.get(home.backend)

    async def _wake(self, model: Model) -> HomeView | None:
        """Start a home that waits for its first request; wait for it, but not for long."""
        asleep = [home for home in model.homes if not home.always and home.state == "stopped"]
        coming = [home for home in model.homes if home.state in ("starting", "loading")]
        if self.ensure_ready is None or not (asleep or coming):
            return None
        home_id = (coming or asleep)[0].id
        waking = self._waking.get(home_id)
        if waking is None:
            waking = asyncio.ensure_future(self.ensure_ready(home_id))
            self._waking[home_id] = waking
            waking.add_done_callback(lambda done: self._awake(home_id, done))
        try:
            async with asyncio.timeout(self._hold):
                return await asyncio.shield(waking)
        except TimeoutError:
            return None

    def _awake(self, home_id: str, done: asyncio.Future[HomeView]) -> None:
        del self._waking[home_id]
        if not done.cancelled():
            done.exception()  # whoever still waits has heard of it

    def _unavailable(self, model: Model) -> ModelUnavailable:
        if not model.homes:
            return ModelUnavailable(
                f"The model '{model.id}' is not available yet: the router is starting.",
                retry_after=2,
            )
        best = min(model.homes, key=_time_until_it_may)
        reason = best.reason or _STATE_REASONS.get(best.state, "it is busy")
        return ModelUnavailable(
            f"The model '{model.id}' is not available: {reason.rstrip('.')}.",
            retry_after=_time_until_it_may(best),
        )


def weighted_turns(homes: Sequence[HomeView]) -> list[HomeView]:
    """Return the order in which homes take turns: each as often as its weight says, well mixed."""
    if len(homes) < 2:
        return list(homes)
    divisor = math.gcd(*(home.weight for home in homes))
    weights = [home.weight // divisor for home in homes]
    total = sum(weights)
    if total > _MAX_TURNS:  # coarse shares are good enough, and nobody is left out
        weights = [max(1, weight * _MAX_TURNS // total) for weight in weights]
        total = sum(weights)
    current = [0] * len(homes)
    turns = []
    for _ in range(total):
        for place, weight in enumerate(weights):
            current[place] += weight
        chosen = current.index(max(current))
        current[chosen] -= total
        turns.append(homes[chosen])
    return turns


def _time_until_it_may(home: HomeView) -> float:
    if home.retry_after is not None:
        return home.retry_after
    return _STATE_RETRY.get(home.state, _NEVER if home.state == "unavailable" else 1.0)


def _either(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
