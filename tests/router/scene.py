"""Homes that act as a test says: an error, texts and then an error, or an answer."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from tests.router.doubles import Play, Stage, Wire, gateway, home, notes, request

from hoonify_router.api import Phase, Principal, RequestContext
from hoonify_router.config.model import Config, ModelConfig, Timeouts
from hoonify_router.errors import RouterError
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply
from hoonify_router.types import HomeView


class NoDice:
    """Dice that let nobody wait."""

    def random(self) -> float:
        return 0.0


def models(**given: dict[str, Any]) -> Config:
    """Return a configuration with these models, each with what is not the default."""
    return Config(
        {
            name: ModelConfig("Nobody", 4096, backend="echo", **more)
            for name, more in (given or {"parrot": {}}).items()
        }
    )


def homes(count: int, model: str = "parrot", **more: Any) -> list[HomeView]:
    return [home(model, id=f"{model}/{number}", **more) for number in range(count)]


def timeouts(**given: float) -> dict[str, Any]:
    """Return the part of a model that says how long things may take."""
    return {"timeouts": Timeouts(**given)}  # type: ignore[arg-type]


class Scene:
    """A gateway in front of such homes.

    Args:
        views: The homes.
        config: The models; by default one that is called parrot.
        acts: What each home does, by its id with ``_`` for ``/``; by default it says hello.
    """

    def __init__(self, views: list[HomeView], config: Config | None = None, **acts: Any) -> None:
        self.acts = {name.replace("_", "/"): act for name, act in acts.items()}
        self.asked: list[str] = []
        self.stage = Stage(self._act)
        self.gateway: Gateway = gateway(
            self.stage, self.middleware(), homes=views, settings=config or models()
        )
        self.views = views
        self.principal: Principal | None = None

    def middleware(self) -> list[Any]:
        def identify(ctx: RequestContext) -> None:
            ctx.principal = self.principal

        return [notes(Phase.AUTHENTICATE, "keys", [], on_request=identify)]

    def _act(self, play: Play) -> Awaitable[None] | None:
        name = play.job.home.id
        self.asked.append(name)
        act = self.acts.get(name, "hello")
        if callable(act):
            return act(play)  # type: ignore[no-any-return]
        if isinstance(act, RouterError):
            play.answer.fail(act)
        elif isinstance(act, tuple):
            play.answer.text(act[0])
            play.answer.fail(act[1])
        else:
            play.say(act)
        return None

    async def ask(self, **body: Any) -> tuple[Wire, RequestContext]:
        """Send one request to its end."""
        wire, ctx = Wire(), request(body)
        reply = Reply(wire, ctx.response_headers)
        await self.gateway.pipeline.infer(ctx, reply, "chat")
        assert self.in_flight == 0
        return wire, ctx

    @property
    def places(self) -> dict[str, Any]:
        return {
            name: place
            for model in self.gateway.catalog.models()
            for name, place in model.places.items()
        }

    @property
    def in_flight(self) -> int:
        return sum(place.in_flight for place in self.places.values())
