"""Models are found, homes take turns, and whoever cannot serve says why."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.doubles import config, home

from hoonify_router.catalog import Catalog, weighted_turns
from hoonify_router.errors import ModelNotFound, ModelUnavailable, Unsupported
from hoonify_router.parsing import parse_chat
from hoonify_router.types import Capabilities, HomeView, RoutingTable


def catalog(*homes: HomeView, models: tuple[str, ...] = ("parrot",), hold: float = 5) -> Catalog:
    made = Catalog(config(*models), {"openai": frozenset({"seed"}), "any": None}, hold)
    made.update(RoutingTable(7, homes))
    return made


def test_a_model_is_found_by_its_id() -> None:
    """And only by it."""
    made = catalog(home(), models=("parrot", "crow"))
    assert made.resolve("parrot").id == "parrot"
    assert made.generation == 7
    assert [model.id for model in made.models()] == ["parrot", "crow"]


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("parot", "Did you mean 'parrot'?"),
        ("crow-1", "Did you mean 'crow-3' or 'crow-2'?"),
        ("gpt-4o", "GET /v1/models lists them all."),
        ("x" * 5000, "GET /v1/models"),
    ],
)
def test_an_unknown_model_gets_those_that_are_close(wanted: str, hint: str) -> None:
    """Most are typing mistakes."""
    made = catalog(models=("parrot", "crow-2", "crow-3"))
    with pytest.raises(ModelNotFound) as caught:
        made.resolve(wanted)
    assert hint in caught.value.message
    assert caught.value.param == "model"
    assert len(caught.value.message) < 400


async def test_ready_homes_take_turns_by_weight() -> None:
    """Three to one, well mixed; those that are not ready have no turn."""
    made = catalog(
        home(id="parrot/0", weight=3),
        home(id="parrot/1", weight=1),
        home(id="parrot/2", weight=9, state="failed"),
    )
    model = made.resolve("parrot")
    chosen = [(await made.choose(model)).id for _ in range(8)]
    assert Counter(chosen) == {"parrot/0": 6, "parrot/1": 2}
    assert chosen[:4].count("parrot/1") == 1


async def test_a_home_that_was_tried_has_no_turn() -> None:
    """Until none is left."""
    made = catalog(home(id="parrot/0"), home(id="parrot/1"))
    model = made.resolve("parrot")
    first = await made.choose(model)
    second = await made.choose(model, [first.id])
    assert {first.id, second.id} == {"parrot/0", "parrot/1"}
    with pytest.raises(ModelUnavailable):
        await made.choose(model, [first.id, second.id])


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_turns_have_the_right_shares(weights: list[int]) -> None:
    """Nobody is left out, and a table of turns is never long."""
    homes = [home(id=f"parrot/{i}", weight=weight) for i, weight in enumerate(weights)]
    turns = weighted_turns(homes)
    assert len(turns) <= 1024 + len(homes)
    shares = Counter(one.id for one in turns)
    assert set(shares) == {one.id for one in homes}
    for one in homes:
        exact = one.weight / sum(weights)
        assert abs(shares[one.id] / len(turns) - exact) <= 0.02


@pytest.mark.parametrize(
    ("fields", "reason", "retry_after"),
    [
        ({"state": "starting"}, "it is starting", 5),
        ({"state": "loading"}, "it is loading", 5),
        ({"state": "draining"}, "it is about to stop", 2),
        ({"state": "failed", "reason": "Out of memory.", "retry_after": 40.0}, "Out of memory", 40),
        (
            {"state": "unavailable", "reason": "The sglang backend is not installed here."},
            "The sglang backend is not installed here",
            3600,
        ),
        ({"state": "ready", "address": ""}, "it is busy", 1),
    ],
)
async def test_who_cannot_serve_says_why_and_when(
    fields: dict[str, Any], reason: str, retry_after: float
) -> None:
    """With the home's own reason where it has one."""
    made = catalog(home(**{"address": "", **fields}))
    with pytest.raises(ModelUnavailable) as caught:
        await made.choose(made.resolve("parrot"))
    assert caught.value.message == f"The model 'parrot' is not available: {reason}."
    assert caught.value.retry_after == retry_after


async def test_the_soonest_home_gives_the_reason() -> None:
    """A client should come back when the first one may serve."""
    made = catalog(
        home(id="parrot/0", state="unavailable", reason="No GPU."),
        home(id="parrot/1", state="failed", reason="Crashed.", retry_after=3.0),
    )
    with pytest.raises(ModelUnavailable, match="Crashed") as caught:
        await made.choose(made.resolve("parrot"))
    assert caught.value.retry_after == 3


async def test_before_the_first_table_the_router_is_starting() -> None:
    """Which is no fault of the model."""
    made = Catalog(config(), {})
    with pytest.raises(ModelUnavailable, match="the router is starting"):
        await made.choose(made.resolve("parrot"))
    assert made.resolve("parrot").state == "starting"
    assert made.missing() == ["parrot"]


async def test_a_home_on_demand_is_woken_once_for_all() -> None:
    """Everybody who asks meanwhile waits for the same start."""
    made = catalog(home(state="stopped", always=False, address=""))
    asked = []
    gate = asyncio.Event()

    async def ensure_ready(home_id: str) -> HomeView:
        asked.append(home_id)
        await gate.wait()
        return home()

    made.ensure_ready = ensure_ready
    model = made.resolve("parrot")
    waiting = [asyncio.ensure_future(made.choose(model)) for _ in range(5)]
    leaves = asyncio.ensure_future(made.choose(model))
    await asyncio.sleep(0)
    leaves.cancel()
    gate.set()
    chosen = await asyncio.gather(*waiting)
    assert {one.id for one in chosen} == {"parrot"}
    assert asked == ["parrot"]


async def test_nobody_waits_long_for_a_home_on_demand() -> None:
    """It goes on starting, the client is told to come back."""
    made = catalog(home(state="stopped", always=False, address=""), hold=0.01)
    gate = asyncio.Event()
    woken = []

    async def ensure_ready(home_id: str) -> HomeView:
        await gate.wait()
        woken.append(home_id)
        return home()

    made.ensure_ready = ensure_ready
    with pytest.raises(ModelUnavailable) as caught:
        await made.choose(made.resolve("parrot"))
    assert caught.value.retry_after == 5
    gate.set()
    while not woken:  # noqa: ASYNC110 - a task of the catalog's own
        await asyncio.sleep(0)


async def test_a_start_that_fails_is_told_to_all_who_wait() -> None:
    """With the supervisor's reason; the next request tries again."""
    made = catalog(home(state="stopped", always=False, address=""))

    async def ensure_ready(home_id: str) -> HomeView:
        raise ModelUnavailable("It has no weights.", retry_after=60)

    made.ensure_ready = ensure_ready
    model = made.resolve("parrot")
    results = await asyncio.gather(*(made.choose(model) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["It has no weights."] * 3
    with pytest.raises(ModelUnavailable, match="weights"):
        await made.choose(model)


def test_readiness_counts_what_should_always_run() -> None:
    """Not what runs on demand, and not what cannot run here at all."""
    made = catalog(
        home("a", state="ready"),
        home("b", state="loading"),
        home("c", state="failed"),
        home("d", state="unavailable"),
        home("e", state="stopped", always=False),
        models=("a", "b", "c", "d", "e"),
    )
    assert made.missing() == ["b", "c"]
    assert {model.id: model.state for model in made.models()} == {
        "a": "ready",
        "b": "loading",
        "c": "failed",
        "d": "unavailable",
        "e": "stopped",
    }


def test_what_a_home_can_do_counts_more_than_what_its_backend_says() -> None:
    """A loaded engine tells itself."""
    chat = parse_chat(b'{"model":"parrot","messages":[],"top_k":5}')
    abilities = Capabilities(frozenset({"top_k"}), 4096)
    for one, refused in (
        (home(backend="openai"), True),
        (home(backend="openai", capabilities=abilities), False),
        (home(backend="any"), False),
        (home(backend="unknown"), False),
    ):
        made = catalog(one)
        model = made.resolve("parrot")
        for support in (made.support(model, one), made.support(model, home(id="just-woken"))):
            if refused and support is made.support(model, one):
                with pytest.raises(Unsupported):
                    support.check(chat)
            else:
                support.check(chat)
