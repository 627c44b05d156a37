"""A gateway goes from one generation to the next, and no request suffers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.router.doubles import Play, home, request
from tests.router.scene import Scene, models

from hoonify_router.api import Balancer
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Config
from hoonify_router.errors import EngineDead, ModelNotFound, ModelUnavailable
from hoonify_router.types import ChatRequest, HomeView, RoutingTable

CHAT = ChatRequest("parrot", [])


def catalog(*homes: HomeView, **given: dict[str, Any]) -> Catalog:
    made = Catalog(models(**given), {})
    made.update(RoutingTable(1, homes))
    return made


async def test_every_answer_names_its_generation() -> None:
    """Also a refusal, which is of the generation that refuses."""
    scene = Scene([home(uid="a")])
    scene.gateway.on_table(RoutingTable(7, (home(uid="a"),)))
    wire, _ = await scene.ask()
    assert wire.headers["x-router-generation"] == "7"
    scene.acts["parrot"] = EngineDead("It died.")
    wire, _ = await scene.ask()
    assert (wire.status, wire.headers["x-router-generation"]) == (503, "7")


async def test_a_request_whose_home_is_replaced_goes_to_its_successor() -> None:
    """The old one turned it away; that is no attempt, and the answer names the new generation."""
    scene = Scene([home(uid="old")], models(parrot={"attempts": 1}))

    def replaced(play: Play) -> None:
        if play.job.home.uid == "old":
            scene.gateway.on_table(RoutingTable(2, (home(uid="new"),)))
            play.answer.fail(EngineDead("The model's home is being stopped."))
        else:
            play.say("hello")

    scene.acts["parrot"] = replaced
    wire, ctx = await scene.ask()
    assert scene.asked == ["parrot", "parrot"]
    assert (ctx.status, ctx.attempts) == (200, 1)
    assert ctx.home is not None
    assert ctx.home.uid == "new"
    assert wire.headers["x-router-generation"] == "2"
    assert "x-router-attempts" not in wire.headers


async def test_a_home_that_fails_and_is_still_there_is_an_attempt() -> None:
    """As it was without generations."""
    scene = Scene([home(uid="a")], models(parrot={"attempts": 1}))
    scene.acts["parrot"] = EngineDead("It died.")
    _, ctx = await scene.ask()
    assert ctx.status == 503


async def test_a_request_that_waits_for_a_home_gets_its_successor() -> None:
    """The home it waited for was stopped, because the configuration has another one now."""
    made = catalog(home(state="stopped", address="", always=False, uid="old"))
    asked: list[str] = []

    async def ensure_ready(home_id: str) -> HomeView:
        asked.append(home_id)
        made.update(RoutingTable(2, (home(uid="new"),)))
        raise ModelUnavailable("It is being stopped.")

    made.ensure_ready = ensure_ready
    place = await made.choose(made.resolve("parrot"), request(), CHAT)
    assert place.home.uid == "new"
    assert asked == ["parrot"]
    assert made.stamp == "2"


async def test_whoever_waits_for_the_old_home_keeps_nobody_from_the_new_one() -> None:
    """They share an id, not a wait."""
    made = catalog(home(state="stopped", address="", always=False, uid="old"))
    never: asyncio.Future[HomeView] = asyncio.get_running_loop().create_future()
    asked: list[str] = []

    async def ensure_ready(home_id: str) -> HomeView:
        asked.append(home_id)
        return home(uid="new") if len(asked) > 1 else await never

    made.ensure_ready = ensure_ready
    model = made.resolve("parrot")
    first = asyncio.create_task(made.choose(model, request(), CHAT))
    await asyncio.sleep(0)
    made.update(RoutingTable(2, (home(state="loading", address="", always=False, uid="new"),)))
    place = await made.choose(model, request(), CHAT)
    assert place.home.uid == "new"
    never.set_exception(ModelUnavailable("It is being stopped."))
    assert (await first).home.uid == "new"


async def test_a_new_home_is_judged_afresh_and_an_old_one_is_not() -> None:
    """By itself, not by its id: breakers and counts go with the home."""
    made = catalog(home(uid="a", id="parrot/0"), home(uid="b", id="parrot/1"))
    model = made.resolve("parrot")
    before = model.places.copy()
    before["parrot/1"].in_flight = 3
    made.update(RoutingTable(2, (home(uid="b", id="parrot/0"), home(uid="c", id="parrot/1"))))
    assert model.places["parrot/0"] is before["parrot/1"]
    assert model.places["parrot/1"] not in before.values()
    assert model.places["parrot/1"].in_flight == 0


async def test_a_balancer_forgets_the_home_that_was_replaced() -> None:
    """What it knows of the old one, such as cached prompts, is not true of the new one."""
    told: list[list[str]] = []

    class Listening(Balancer):
        def update(self, homes: Any) -> None:
            told.append([one.uid for one in homes])

        def choose(self, candidates: Any, ctx: Any) -> Any:
            return candidates[0]

    made = Catalog(models(parrot={"balance": "x"}), {}, balancers={"parrot": Listening()})
    one, two = home(uid="a", id="parrot/0"), home(uid="b", id="parrot/1")
    made.update(RoutingTable(1, (one, two)))
    made.update(RoutingTable(2, (one, home(uid="c", id="parrot/1"))))
    assert told == [["a", "b"], ["a"], ["a", "c"]]


async def test_models_come_change_and_go() -> None:
    """Requests that have found a model follow it; one whose model is gone is told so."""
    made = catalog(home(uid="a"), parrot={}, crow={})
    parrot, crow = made.resolve("parrot"), made.resolve("crow")
    config: Config = models(parrot={"description": "Talks."}, owl={})
    made.adopt(config, {})
    made.update(RoutingTable(2, (home(uid="a"),)))
    assert [model.id for model in made.models()] == ["parrot", "owl"]
    assert made.resolve("parrot") is parrot
    assert parrot.config.description == "Talks."
    with pytest.raises(ModelNotFound):
        await made.choose(crow, request(), CHAT)


async def test_timeouts_and_breakers_apply_to_homes_that_stay() -> None:
    """From the next request on."""
    from hoonify_router.config.model import Breaker, Timeouts

    made = catalog(home(uid="a"))
    place = made.resolve("parrot").places["parrot"]
    changed = {"timeouts": Timeouts(total=3.0), "breaker": Breaker(failures=2)}
    made.adopt(models(parrot=changed), {})
    assert place.timeouts.total == 3.0
    assert place.breaker.limit == 2


async def test_the_next_ping_knows_the_new_interval() -> None:
    """Settings of the door that can change live do."""
    scene = Scene([home(uid="a")])
    config = models()
    config.server.ping_interval = 3.0
    scene.gateway.adopt(2, config)
    assert scene.gateway._pulse.interval == 3.0
