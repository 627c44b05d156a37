"""What grows makes no request dearer: counted here, for time would depend on the machine; measured by a benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, SupportsIndex, cast

from tests.router.doubles import Stage, Wire, config, gateway, home, request

from hoonify_router.answer import Answer
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Config, ModelConfig
from hoonify_router.errors import ModelUnavailable
from hoonify_router.reply import Reply
from hoonify_router.types import ChatRequest, Message, RoutingTable

CHAT = ChatRequest("parrot", [Message("user", "Hello")])


class Looks:
    """How often somebody looked."""

    def __init__(self) -> None:
        self.number = 0


class Watched(tuple[Any, ...]):
    """A tuple that counts who looks at its items."""

    looks: Looks

    def __getitem__(self, index: Any) -> Any:
        self.looks.number += 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Any]:
        for one in super().__iter__():
            self.looks.number += 1
            yield one

    def index(self, value: object, *bounds: SupportsIndex) -> int:
        self.looks.number += len(self)
        return super().index(value, *bounds)


class Shelf(dict[str, Any]):
    """A dictionary that counts who looks things up, and does not let itself be walked through."""

    def __init__(self, *content: Any) -> None:
        super().__init__(*content)
        self.looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("a request walks through all models")

    def keys(self) -> Any:
        raise AssertionError("a request walks through all models")

    values = items = keys


def crowded(number: int) -> Catalog:
    """Return a catalog whose model has so many homes."""
    catalog = Catalog(Config({"parrot": ModelConfig("Nobody", 4096, backend="echo")}), {})
    homes = tuple(home(id=f"parrot/{n}", address=f"/tmp/{n}") for n in range(number))
    catalog.update(RoutingTable(1, homes))
    return catalog


def looks_of(catalog: Catalog, choices: int) -> float:
    """Return how many homes a choice looks at, when all have been looked at once."""
    model = catalog.resolve("parrot")
    watched = Watched(model.ready)
    watched.looks = Looks()
    model.ready = cast(Any, watched)
    ctx = request()
    for _ in range(len(watched)):
        model.pick(ctx, CHAT, ())
    watched.looks.number = 0
    for _ in range(choices):
        model.pick(ctx, CHAT, ())
    return watched.looks.number / choices


def test_a_turn_costs_the_same_for_two_homes_and_for_two_hundred() -> None:
    """Once a round is known, nobody looks at all of them."""
    assert looks_of(crowded(200), 400) == looks_of(crowded(2), 400) <= 3


def test_a_home_in_trouble_is_left_out_and_comes_back() -> None:
    """While one is left alone the others are looked at one by one; afterwards nobody is."""
    catalog = crowded(20)
    model = catalog.resolve("parrot")
    bad = model.ready[3]
    for _ in range(bad.breaker.limit):
        permit = bad.enter(cast(Answer, object()))
        assert permit is not None
        bad.leave(permit, ModelUnavailable("It is gone."))
    ctx = request()
    chosen = {id(model.pick(ctx, CHAT, ())) for _ in range(60)}
    assert len(chosen) == 19
    assert id(bad) not in chosen
    catalog.update(
        RoutingTable(2, tuple(home(id=f"parrot/{n}", address=f"/x/{n}") for n in range(20)))
    )
    assert len({id(model.pick(ctx, CHAT, ())) for _ in range(20)}) == 20


async def test_a_request_looks_its_model_up_and_walks_through_none() -> None:
    """A thousand models cost it what one does."""
    names = [f"model-{number}" for number in range(1000)]
    stage = Stage(lambda play: play.say("Hello"))
    one = gateway(stage, homes=map(home, names), settings=config(*names))
    shelf = Shelf(one.catalog._models)
    one.catalog._models = shelf
    ctx = request({"model": "model-777", "messages": [{"role": "user", "content": "Hello"}]})
    wire = Wire()
    await one.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    assert wire.status == 200, json.loads(wire.body)
    assert shelf.looks <= 3


def test_a_table_is_walked_through_once_however_many_models_there_are() -> None:
    """Each of a thousand homes is looked at a few times, not once for each of a thousand models."""
    names = [f"model-{number}" for number in range(1000)]
    catalog = Catalog(config(*names), {})
    homes = Watched(home(name) for name in names)
    homes.looks = Looks()
    catalog.update(RoutingTable(1, homes))
    assert homes.looks.number <= 3 * 1000
    assert all(model.ready for model in catalog.models())
