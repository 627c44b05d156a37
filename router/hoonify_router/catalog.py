"""The models that clients may ask for, and the choice among the homes that serve one."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from hoonify_router.api import Balancer, RequestContext
from hoonify_router.balancing import Choice, RoundRobin
from hoonify_router.config.model import Config
from hoonify_router.errors import ModelNotFound, ModelUnavailable
from hoonify_router.model import Model
from hoonify_router.places import LoadOf, Place, time_until_it_may
from hoonify_router.presence import Presence
from hoonify_router.support import Support
from hoonify_router.types import Health, HomeView, InferenceRequest, RoutingTable, Task

_NEARNESS = {"loading": 0, "starting": 1, "stopped": 2, "draining": 3}
"""How far homes are from being ready that need no more than to be asked for."""

_CHAT: frozenset[Task] = frozenset({"chat"})

_Abilities = tuple[frozenset[str] | None, bool, frozenset[Task]]

EnsureReady = Callable[[str], Awaitable[HomeView]]


class Catalog:
    """All models, kept up to date by routing tables.

    Args:
        config: Its ``models``.
        parameters: Request fields that each server backend honours; a home's own word counts more.
        tasks: What the homes of each server backend may be asked for; chats, if it is not here.
        balancers: Chooses among a model's homes, by the model's ID; where there is none, they take turns.

    Attributes:
        ensure_ready: Starts such a home; ``None`` where none can be started.
        load_of: Tells how a home's engine does; ``None`` where nobody knows.
        generation: Of the last table.
        reloads: How many had which result, by the last table.
        stamp: The same as a text, for the head of every answer.
    """

    def __init__(
        self,
        config: Config,
        parameters: Mapping[str, frozenset[str] | None],
        *,
        tasks: Mapping[str, frozenset[Task]] | None = None,
        balancers: Mapping[str, Balancer] | None = None,
    ) -> None:
        self._models: dict[str, Model] = {}
        self.adopt(config, balancers or {})
        self._parameters = parameters
        self._tasks = tasks or {}
        self.ensure_ready: EnsureReady | None = None
        self.load_of: LoadOf | None = None
        self._waking: dict[str, asyncio.Task[HomeView]] = {}
        self._told = asyncio.Event()
        self._presence = Presence()
        self._presence.update(self._models, ())
        self.generation = 0
        self.stamp = "0"
        self.reloads: Mapping[str, int] = {}

    def adopt(self, config: Config, balancers: Mapping[str, Balancer]) -> None:
        """Take over the models of a configuration; the table with their homes is taken over next.

        Args:
            config: Its ``models``.
            balancers: Choose among the homes of models whose way to choose is new.
        """
        models = {}
        for name, wanted in config.models.items():
            model = self._models.get(name)
            choosing = wanted.balance, wanted.balance_options
            anew = model is None or (model.config.balance, model.config.balance_options) != choosing
            choice = None
            if anew:
                choice = Choice(name, balancers.get(name) or RoundRobin())
            if model is None:
                assert choice is not None
                model = Model(name, wanted, choice, self._load)
            else:
                model.reconfigure(wanted, choice)
            models[name] = model
        self._models = models

    def update(self, table: RoutingTable) -> None:
        """Replace all homes by those of ``table``."""
        if self.generation != table.generation:
            self.stamp = str(table.generation)
        self.generation = table.generation
        self.reloads = table.reloads
        by_model: dict[str, list[HomeView]] = {}
        for home in table.homes:
            by_model.setdefault(home.model, []).append(home)
        for model in self._models.values():
            its = by_model.get(model.id, ())
            homes = tuple(home for home in its if not home.shadow)
            shadow = next((home for home in its if home.shadow), None)
            model.shadow = None
            if shadow is not None:
                model.shadow = shadow, Support(model.id, *self._abilities_of(model, shadow))
            shared: dict[_Abilities, Support] = {}
            supports = {}
            for home in homes:
                can = self._abilities_of(model, home)
                if can not in shared:
                    shared[can] = Support(model.id, *can)
                supports[home.id] = shared[can]
            model.update(homes, supports)
        self._presence.update(self._models, table.homes)
        self._told.set()

    def has(self, home: HomeView) -> bool:
        """Tell whether the newest table has this very home."""
        model = self._models.get(home.model)
        return model is not None and any(one.key == home.key for one in model.homes)

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

    def pick(
        self, model: Model, ctx: RequestContext, request: InferenceRequest, tried: Collection[str]
    ) -> Place | None:
        """Return the place that shall be asked next, if one may be asked at once; fails as ``choose`` does."""
        told = self._told.is_set()
        return self.resolve(model.id).pick(ctx, request, tried) if told else None

    async def choose(
        self,
        model: Model,
        ctx: RequestContext,
        request: InferenceRequest,
        tried: Collection[str] = (),
    ) -> Place:
        """Return the place that shall be asked next for a model.

        Args: as ``Model.pick`` has them.

        Raises:
            ModelNotFound: The model has gone since the request came.
            InvalidRequest: No home can do what is asked.
            ModelUnavailable: No home may be asked, with the reason and the time after which one may.
        """
        if not self._told.is_set() and self.ensure_ready is not None:
            with contextlib.suppress(
                TimeoutError
            ):  # the supervisor starts just as this gateway does
                async with asyncio.timeout(self.hold_left(model, ctx)):
                    await self._told.wait()
        while True:
            model, generation = self.resolve(model.id), self.generation
            place = model.pick(ctx, request, tried)
            if place is None and not any(home.key in tried for home in model.homes):
                try:
                    place = await self._wake(model, self.hold_left(model, ctx))
                except ModelUnavailable:
                    if generation == self.generation:
                        raise
                    continue  # its home has been replaced meanwhile
                if place is not None:
                    place.support.check(request)
            if place is not None:
                return place
            if generation == self.generation:
                raise self._unavailable(model)

    def hold_left(self, model: Model, ctx: RequestContext) -> float:
        """Return the seconds that a request may still wait for a home of ``model`` to come up."""
        hold = model.config.hold_timeout
        hold = min(hold, model.config.timeouts.total or hold)
        return max(0.0, hold - (time.perf_counter() - ctx.started))

    def missing(self) -> list[str]:
        """Return the homes that should always run and do not, and models that have none yet."""
        return self._presence.missing

    @property
    def serves(self) -> bool:
        """Return whether requests should come, for the readiness probe."""
        return self._presence.serves

    def _parameters_of(self, home: HomeView) -> frozenset[str] | None:
        if home.capabilities is not None:
            return home.capabilities.parameters
        return self._parameters.get(home.backend)

    def _tasks_of(self, home: HomeView) -> frozenset[Task]:
        if home.capabilities is not None:
            return home.capabilities.tasks
        return self._tasks.get(home.backend, _CHAT)

    def _abilities_of(self, model: Model, home: HomeView) -> _Abilities:
        """Return what a home honours, whether images go to it, and what it may be asked for."""
        sees = home.capabilities is None or home.capabilities.images is not False
        images = sees and "image" in model.config.modalities
        return self._parameters_of(home), images, self._tasks_of(home)

    def _load(self, home: HomeView) -> Health | None:
        return None if self.load_of is None else self.load_of(home)

    async def _wake(self, model: Model, patience: float) -> Place | None:
        """Start a home that sleeps, or is about to, and wait for it; of several, the one that is nearest.

        Where others can answer instead, nobody waits for a home that starts again after a failure.
        """
        coming = [
            (_NEARNESS[home.state], number, home)
            for number, home in enumerate(model.homes)
            if home.state in _NEARNESS
            and not (home.held or (home.always and model.config.fallback))
        ]
        if self.ensure_ready is None or not coming or not patience:
            return None
        wanted = min(coming, key=lambda one: one[:2])[-1]
        waking = self.rouse(wanted)
        if waking is None:
            return None
        try:
            async with asyncio.timeout(patience):
                home = await asyncio.shield(waking)
        except TimeoutError:
            return None
        return model.arrived(home, Support(model.id, *self._abilities_of(model, home)))

    def rouse(self, home: HomeView) -> asyncio.Task[HomeView] | None:
        """Have a home started, in the background; ``None`` where none can be."""
        if self.ensure_ready is None:
            return None
        waking = self._waking.get(home.key)
        if waking is None:
            waking = asyncio.ensure_future(self.ensure_ready(home.id))
            self._waking[home.key] = waking
            waking.add_done_callback(lambda done: self._awake(home.key, done))
        return waking

    def _awake(self, key: str, done: asyncio.Future[HomeView]) -> None:
        del self._waking[key]
        if not done.cancelled():
            done.exception()  # whoever still waits has heard of it

    def _unavailable(self, model: Model) -> ModelUnavailable:
        if not model.homes:
            return ModelUnavailable(
                f"The model '{model.id}' is not available yet: the router is starting.",
                retry_after=2,
            )
        now = time.monotonic()
        seconds, reason = min(
            [time_until_it_may(place, now) for place in model.places.values()],
            key=lambda told: told[0],
        )
        return ModelUnavailable(
            f"The model '{model.id}' is not available: {reason.rstrip('.')}.", retry_after=seconds
        )


def _either(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
