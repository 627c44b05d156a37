"""Models are found, homes take turns, and whoever cannot serve says why."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Any, Literal

import pytest
from tests.router.doubles import config, home, request

from hoonify_router.answer import Answer
from hoonify_router.catalog import Catalog
from hoonify_router.completion import Completion
from hoonify_router.config.model import Breaker, Config, ModelConfig
from hoonify_router.errors import (
    EngineDead,
    ModelNotFound,
    ModelUnavailable,
    Unsupported,
    WrongEndpoint,
)
from hoonify_router.model import Model
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    EmbeddingRequest,
    HomeView,
    ImagePart,
    ImageURL,
    InferenceRequest,
    Message,
    RoutingTable,
)

CHAT = ChatRequest("parrot", [])
SEEDED = ChatRequest("parrot", [], seed=1)


def catalog(*homes: HomeView, models: tuple[str, ...] = ("parrot",), hold: float = 60) -> Catalog:
    settings = config(*models)
    for model in settings.models.values():
        model.hold_timeout = hold
    made = Catalog(settings, {"openai": frozenset({"seed"}), "any": None})
    made.update(RoutingTable(7, homes))
    return made


async def choose(
    made: Catalog, model: Model, tried: Collection[str] = (), asked: InferenceRequest = CHAT
) -> HomeView:
    """Choose as serving does, and return the home."""
    return (await made.choose(model, request(), asked, tried)).home


def an_answer() -> Answer:
    return Completion(None, ("x", 1, "parrot"), 1, lambda: None)  # type: ignore[arg-type]


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
    chosen = [(await choose(made, model)).id for _ in range(8)]
    assert Counter(chosen) == {"parrot/0": 6, "parrot/1": 2}
    assert chosen[:4].count("parrot/1") == 1


async def test_a_home_that_was_tried_has_no_turn() -> None:
    """Until none is left."""
    made = catalog(home(id="parrot/0"), home(id="parrot/1"))
    model = made.resolve("parrot")
    first = await choose(made, model)
    second = await choose(made, model, [first.id])
    assert {first.id, second.id} == {"parrot/0", "parrot/1"}
    with pytest.raises(ModelUnavailable):
        await choose(made, model, [first.id, second.id])


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
        await choose(made, made.resolve("parrot"))
    assert caught.value.message == f"The model 'parrot' is not available: {reason}."
    assert caught.value.retry_after == retry_after


async def test_the_soonest_home_gives_the_reason() -> None:
    """A client should come back when the first one may serve."""
    made = catalog(
        home(id="parrot/0", state="unavailable", reason="No GPU."),
        home(id="parrot/1", state="failed", reason="Crashed.", retry_after=3.0),
    )
    with pytest.raises(ModelUnavailable, match="Crashed") as caught:
        await choose(made, made.resolve("parrot"))
    assert caught.value.retry_after == 3


async def test_before_the_first_table_the_router_is_starting() -> None:
    """Which is no fault of the model."""
    made = Catalog(config(), {})
    with pytest.raises(ModelUnavailable, match="the router is starting"):
        await choose(made, made.resolve("parrot"))
    assert made.resolve("parrot").state == "starting"
    assert made.missing() == ["parrot"]
    assert not made.serves


async def test_requests_before_the_first_table_wait_for_it() -> None:
    """One gateway may be a moment ahead of another, and of the supervisor."""
    made = Catalog(config(), {})

    async def ensure_ready(home_id: str) -> HomeView:
        raise AssertionError

    made.ensure_ready = ensure_ready
    waiting = asyncio.ensure_future(choose(made, made.resolve("parrot")))
    await asyncio.sleep(0)
    made.update(RoutingTable(1, (home(),)))
    assert (await waiting).id == "parrot"


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
    waiting = [asyncio.ensure_future(choose(made, model)) for _ in range(5)]
    leaves = asyncio.ensure_future(choose(made, model))
    await asyncio.sleep(0)
    leaves.cancel()
    gate.set()
    chosen = await asyncio.gather(*waiting)
    assert {one.id for one in chosen} == {"parrot"}
    assert asked == ["parrot"]


async def test_the_nearest_home_is_waited_for() -> None:
    """One that loads before one that sleeps, and that before one which is just about to stop."""
    states = ["draining", "stopped", "failed", "starting", "loading", "loading"]
    asked = []

    async def ensure_ready(home_id: str) -> HomeView:
        asked.append(home_id)
        return home(id=home_id)

    while states:
        made = catalog(*(home(id=f"parrot/{n}", state=s) for n, s in enumerate(states)))
        made.ensure_ready = ensure_ready
        if states == ["failed"]:
            with pytest.raises(ModelUnavailable):
                await choose(made, made.resolve("parrot"))
            break
        await choose(made, made.resolve("parrot"))
        states.pop(int(asked[-1].rpartition("/")[2]))
    assert states == ["failed"]
    assert asked == [f"parrot/{n}" for n in (4, 4, 3, 1, 0)]


async def test_the_time_to_wait_counts_from_the_arrival() -> None:
    """Whatever a request has met before, it waits no longer in all."""
    made = catalog(home(state="stopped", always=False, address=""), hold=30)
    model = made.resolve("parrot")
    ctx = request()
    assert 29 < made.hold_left(model, ctx) <= 30
    ctx.started -= 31
    assert made.hold_left(model, ctx) == 0
    with pytest.raises(ModelUnavailable):
        await made.choose(model, ctx, CHAT)
    model.config.timeouts.total = 10
    ctx.started += 31
    assert made.hold_left(model, ctx) <= 10


async def test_nobody_waits_for_ever_for_a_home_on_demand() -> None:
    """It goes on starting, the client is told to come back."""
    made = catalog(home(state="stopped", always=False, address=""), hold=0.5)
    gate = asyncio.Event()
    woken = []

    async def ensure_ready(home_id: str) -> HomeView:
        await gate.wait()
        woken.append(home_id)
        return home()

    made.ensure_ready = ensure_ready
    with pytest.raises(ModelUnavailable) as caught:
        await choose(made, made.resolve("parrot"))
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
    results = await asyncio.gather(*(choose(made, model) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["It has no weights."] * 3
    with pytest.raises(ModelUnavailable, match="weights"):
        await choose(made, model)


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
    assert not made.serves  # b may still come
    assert {model.id: model.state for model in made.models()} == {
        "a": "ready",
        "b": "loading",
        "c": "failed",
        "d": "unavailable",
        "e": "stopped",
    }


def test_what_a_home_can_do_counts_more_than_what_its_backend_says() -> None:
    """A loaded engine tells itself."""
    abilities = Capabilities(frozenset({"top_k"}), 4096)
    chat = ChatRequest("parrot", [], top_k=5)
    for one, refused in (
        (home(backend="openai"), True),
        (home(backend="openai", capabilities=abilities), False),
        (home(backend="any"), False),
        (home(backend="unknown"), False),
    ):
        support = catalog(one).resolve("parrot").supports["parrot"]
        if refused:
            with pytest.raises(Unsupported):
                support.check(chat)
        else:
            support.check(chat)


@pytest.mark.parametrize(
    ("modalities", "engine", "taken"),
    [
        (["text", "image"], None, True),
        (["text", "image"], True, True),
        (["text", "image"], False, False),
        (["text"], None, False),
        (["text"], True, False),
    ],
)
def test_images_go_where_both_the_catalog_and_the_engine_take_them(
    modalities: list[Literal["text", "image"]], engine: bool | None, taken: bool
) -> None:
    """An engine that says nothing of them, as those behind a URL, takes the catalog's word."""
    settings = config()
    settings.models["parrot"].modalities = modalities
    made = Catalog(settings, {})
    made.update(RoutingTable(1, (home(capabilities=Capabilities(frozenset(), 9, images=engine)),)))
    seeing = ChatRequest("parrot", [Message("user", [ImagePart(ImageURL("data:,"))])])
    support = made.resolve("parrot").supports["parrot"]
    if taken:
        support.check(seeing)
    else:
        with pytest.raises(Unsupported, match="takes no images"):
            support.check(seeing)


async def test_a_home_may_be_asked_for_what_it_does() -> None:
    """An engine says so itself, of a server its backend does; most are for chats."""
    embed = EmbeddingRequest("parrot", ["hi"])
    engine = Capabilities(frozenset(), 4096, tasks=frozenset({"embedding"}))
    made = Catalog(config(), {}, tasks={"any": frozenset({"chat", "embedding"})})
    for one, tasks in (
        (home(), {"chat"}),
        (home(backend="any"), {"chat", "embedding"}),
        (home(backend="any", capabilities=engine), {"embedding"}),
    ):
        made.update(RoutingTable(1, (one,)))
        for asked in (CHAT, embed):
            if asked.task in tasks:
                assert await choose(made, made.resolve("parrot"), asked=asked) is one
            else:
                with pytest.raises(WrongEndpoint):
                    await choose(made, made.resolve("parrot"), asked=asked)


async def test_homes_that_cannot_honour_a_request_are_not_asked() -> None:
    """Those that can share the work; where none can, the client is told what."""
    can = Capabilities(frozenset({"seed"}), 4096)
    cannot = Capabilities(frozenset(), 4096)
    made = catalog(
        home(id="parrot/0", capabilities=cannot),
        home(id="parrot/1", capabilities=can),
        home(id="parrot/2", capabilities=cannot),
    )
    model = made.resolve("parrot")
    chosen = {(await choose(made, model, asked=SEEDED)).id for _ in range(6)}
    assert chosen == {"parrot/1"}
    with pytest.raises(ModelUnavailable):  # the one that can has failed: that is the news
        await choose(made, model, ["parrot/1"], SEEDED)
    made.update(RoutingTable(8, tuple(view for view in model.homes if view.id != "parrot/1")))
    with pytest.raises(Unsupported, match="seed"):
        await choose(made, model, asked=SEEDED)
    assert (await choose(made, model)).id in ("parrot/0", "parrot/2")


def test_homes_that_can_do_the_same_are_checked_once() -> None:
    """They share what they can do."""
    supports = catalog(home(id="a"), home(id="b")).resolve("parrot").supports
    assert supports["a"] is supports["b"]


def broken(made: Catalog, *home_ids: str, failures: int = 5) -> None:
    """Let homes fail until their breakers open."""
    for home_id in home_ids:
        place = made.resolve("parrot").places[home_id]
        for _ in range(failures):
            permit = place.enter(an_answer())
            assert permit is not None
            place.leave(permit, EngineDead("boom"))


async def test_a_home_that_keeps_failing_is_left_alone() -> None:
    """Others serve; when all are left alone, the soonest says when to come back."""
    made = catalog(home(id="parrot/0"), home(id="parrot/1"))
    model = made.resolve("parrot")
    broken(made, "parrot/0")
    assert {(await choose(made, model)).id for _ in range(5)} == {"parrot/1"}
    broken(made, "parrot/1")
    with pytest.raises(ModelUnavailable, match="keeps failing") as caught:
        await choose(made, model)
    assert 4 < (caught.value.retry_after or 0) <= 5


async def test_the_only_home_is_left_alone_too() -> None:
    """To ask it once more would keep the client waiting and the home from recovering."""
    made = catalog(home())
    model = made.resolve("parrot")
    broken(made, "parrot", failures=4)
    assert (await choose(made, model)).id == "parrot"
    broken(made, "parrot", failures=1)
    with pytest.raises(ModelUnavailable, match="keeps failing"):
        await choose(made, model)
    made.update(RoutingTable(8, (home(state="failed"),)))
    made.update(RoutingTable(9, (home(),)))  # it has been started anew
    assert (await choose(made, model)).id == "parrot"


async def test_tables_that_change_nothing_leave_counts_and_breakers_alone() -> None:
    """A table comes whenever any home of any model moves."""
    made = catalog(home())
    model = made.resolve("parrot")
    place = model.places["parrot"]
    assert place.enter(an_answer()) is not None
    broken(made, "parrot")
    made.update(RoutingTable(8, (home(weight=2),)))
    assert model.places["parrot"] is place
    assert (place.in_flight, place.home.weight, place.breaker.state) == (1, 2, "open")


async def test_a_failed_home_that_starts_again_is_not_waited_for_where_others_can_answer() -> None:
    """Without a fallback it is: a restart may be quick."""
    for fallback, waits in ([], True), (["crow"], False):
        models = {
            "parrot": ModelConfig("Nobody", 4096, backend="echo", fallback=fallback),
            "crow": ModelConfig("Nobody", 4096, backend="echo"),
        }
        made = Catalog(Config(models), {})
        made.update(RoutingTable(1, (home(state="loading", address=""),)))
        asked = []

        async def ensure_ready(home_id: str, asked: list[str] = asked) -> HomeView:
            asked.append(home_id)
            return home()

        made.ensure_ready = ensure_ready
        if waits:
            assert await choose(made, made.resolve("parrot")) == home()
        else:
            with pytest.raises(ModelUnavailable, match="loading"):
                await choose(made, made.resolve("parrot"))
        assert bool(asked) is waits


async def test_the_breaker_is_as_strict_as_the_model_says() -> None:
    """It opens after as many failures, for as long."""
    strict = ModelConfig("Nobody", 4096, backend="echo", breaker=Breaker(1, 60))  # type: ignore[arg-type]
    made = Catalog(Config({"parrot": strict}), {})
    made.update(RoutingTable(1, (home(),)))
    broken(made, "parrot", failures=1)
    with pytest.raises(ModelUnavailable) as caught:
        await choose(made, made.resolve("parrot"))
    assert 59 < (caught.value.retry_after or 0) <= 60
