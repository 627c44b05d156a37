"""One home after the other: who is asked, who is not, and what the client is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.router.doubles import Play, Stage, Wire, home, request
from tests.router.reading import read_stream
from tests.router.scene import NoDice, Scene, homes, models

from hoonify_router.api import Balancer, Candidate, Principal, RequestContext
from hoonify_router.catalog import Catalog
from hoonify_router.errors import (
    Cancelled,
    ContextLengthExceeded,
    EngineDead,
    FirstTokenTimeout,
    IdleTimeout,
    InvalidRequest,
    InvalidValue,
    ModelUnavailable,
    Overloaded,
    RouterError,
    TotalTimeout,
    Unsupported,
)
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply
from hoonify_router.types import Capabilities, Health, HomeView, RoutingTable

Acts = dict[str, Any]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait between two homes."""
    monkeypatch.setattr("hoonify_router.serving.random", NoDice())


FAILURES = [
    EngineDead("boom"),
    ModelUnavailable("away"),
    FirstTokenTimeout("slow"),
    IdleTimeout("silent"),
    Overloaded("full"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failure", FAILURES)
async def test_another_home_answers_when_one_fails(stream: bool, failure: RouterError) -> None:
    """The client reads nothing of it but a header; the request's record knows who answered."""
    scene = Scene(homes(2), parrot_0=failure)
    wire, ctx = await scene.ask(stream=stream)
    assert scene.asked == ["parrot/0", "parrot/1"]
    assert wire.status == 200
    assert b"hello" in wire.body
    assert wire.headers["x-router-attempts"] == "2"
    assert "x-router-model" not in wire.headers
    assert (ctx.attempts, ctx.home and ctx.home.id, ctx.error) == (2, "parrot/1", None)
    if stream:
        assert read_stream(wire.body, with_usage=False).error is None
    assert scene.stage.plays[0].cancelled == 1


async def test_the_usual_request_is_told_nothing_of_attempts() -> None:
    """One home was asked, it answered."""
    wire, ctx = await Scene(homes(2)).ask()
    assert ctx.attempts == 1
    told = {name for name in wire.headers if name.startswith("x-router")}
    assert told <= {"x-router-generation"}


async def test_a_home_that_cannot_be_spoken_to_has_failed_too() -> None:
    """The adapter says so before anything was sent."""

    async def refuse(play: Play) -> None:
        raise ModelUnavailable("no address")

    scene = Scene(homes(2), parrot_0=refuse)
    wire, _ = await scene.ask()
    assert wire.status == 200
    assert scene.asked == ["parrot/0", "parrot/1"]


@pytest.mark.parametrize("failure", FAILURES)
async def test_nobody_else_is_asked_after_the_first_real_event(failure: RouterError) -> None:
    """The stream ends with an error, and the home has failed all the same."""
    scene = Scene(homes(2), parrot_0=("He", failure))
    wire, ctx = await scene.ask(stream=True)
    assert scene.asked == ["parrot/0"]
    read = read_stream(wire.body, with_usage=False)
    assert read.texts == {0: "He"}
    assert read.error is not None
    assert ctx.attempts == 1
    for _ in range(10):  # half of them go to the other one
        await scene.ask(stream=True)
    closed = isinstance(failure, Overloaded)
    assert scene.places["parrot/0"].breaker.closed is closed


async def test_a_whole_answer_may_fail_over_in_the_middle() -> None:
    """The client has read nothing of it; nothing of the first home's is in the second's."""
    scene = Scene(homes(2), parrot_0=("He", EngineDead("boom")))
    wire, _ = await scene.ask()
    assert wire.json["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("no"),
        InvalidValue("no"),
        Unsupported("no"),
        ContextLengthExceeded("no"),
        TotalTimeout("no"),
        RouterError("a bug"),
    ],
)
async def test_the_clients_own_mistakes_are_tried_once(error: RouterError) -> None:
    """Every home would say the same; a breaker hears nothing of it."""
    scene = Scene(homes(2), parrot_0=error, parrot_1=error)
    for number in range(1, 9):
        wire, _ = await scene.ask()
        assert wire.status == error.status
        assert len(scene.asked) == number
    assert all(place.breaker.closed for place in scene.places.values())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_names_the_model_that_was_asked_for(stream: bool) -> None:
    """What it is called at its home is nothing that a client knows."""
    refused = Unsupported("The model 'org/bird-7b' does not sing.", param="audio")
    scene = Scene([home("parrot", served_name="org/bird-7b")], parrot=refused)
    wire, _ = await scene.ask(stream=stream)
    assert wire.status == 400
    assert b"The model 'parrot' does not sing." in wire.body


async def test_no_more_homes_are_asked_than_the_model_allows() -> None:
    """Each at most once; the client hears the last failure."""
    for attempts, asked in ((1, 1), (3, 3), (10, 5)):
        acts = {f"parrot_{n}": EngineDead(f"boom {n}", retry_after=n + 1) for n in range(5)}
        scene = Scene(homes(5), models(parrot={"attempts": attempts}), **acts)
        wire, ctx = await scene.ask()
        assert len(scene.asked) == len(set(scene.asked)) == asked == ctx.attempts
        assert wire.status == 503
        assert wire.json["error"]["message"] == f"boom {asked - 1}"
        assert wire.headers["retry-after"] == str(asked)
        assert wire.headers.get("x-router-attempts") == (str(asked) if asked > 1 else None)


async def test_a_full_home_is_better_news_than_a_broken_one() -> None:
    """It lives: a client that comes back soon will be served."""
    for acts in (
        {"parrot_0": Overloaded("full", retry_after=3), "parrot_1": EngineDead("boom")},
        {"parrot_1": Overloaded("full", retry_after=3), "parrot_0": EngineDead("boom")},
    ):
        wire, _ = await Scene(homes(2), **acts).ask()
        assert (wire.status, wire.headers["retry-after"]) == (429, "3")
        assert wire.json["error"]["code"] == "queue_full"


@pytest.mark.pure
async def test_the_pause_before_another_home_grows_and_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With full jitter, so that many who failed together do not come back together."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    class Dice:
        def random(self) -> float:
            return 0.5

    monkeypatch.setattr("hoonify_router.serving.random", Dice())
    monkeypatch.setattr("hoonify_router.serving.asyncio.sleep", sleep)
    acts = {f"parrot_{n}": EngineDead("boom") for n in range(7)}
    await Scene(homes(7), models(parrot={"attempts": 10}), **acts).ask()
    assert pauses == [0.025, 0.05, 0.1, 0.2, 0.2, 0.2]


async def test_nothing_is_tried_for_a_client_that_has_left() -> None:
    """It is the only one who would have waited."""
    wire = Wire()
    ctx = request()
    reply = Reply(wire, ctx.response_headers)

    def leave(play: Play) -> None:
        reply.closed = True
        play.answer.fail(EngineDead("boom"))

    scene = Scene(homes(2), parrot_0=leave)
    await scene.gateway.pipeline.infer(ctx, reply, "chat")
    assert scene.asked == ["parrot/0"]
    assert isinstance(ctx.error, Cancelled)


# ---------------------------------------------------------------- fallbacks

TWO = {"parrot": {"fallback": ["crow"]}, "crow": {}}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fallback_answers_when_no_home_of_the_model_can(stream: bool) -> None:
    """A header says who; the body still says what was asked for."""
    scene = Scene([home("parrot"), home("crow")], models(**TWO), parrot=EngineDead("boom"))
    wire, ctx = await scene.ask(stream=stream)
    assert scene.asked == ["parrot", "crow"]
    assert wire.headers["x-router-model"] == "crow"
    assert wire.headers["x-router-attempts"] == "2"
    assert b'"model":"parrot"' in wire.body.replace(b": ", b":")
    assert ctx.home is not None
    assert ctx.home.model == "crow"


@pytest.mark.parametrize("state", ["failed", "unavailable", "starting", "loading", "draining"])
async def test_a_model_that_is_down_falls_back_at_once(state: str) -> None:
    """Nobody of its own is asked, and nobody waits."""
    scene = Scene([home("parrot", state=state, address=""), home("crow")], models(**TWO))

    async def never(home_id: str) -> HomeView:
        raise AssertionError(home_id)

    scene.gateway.catalog.ensure_ready = never
    wire, ctx = await scene.ask()
    assert scene.asked == ["crow"]
    assert wire.headers["x-router-model"] == "crow"
    assert "x-router-attempts" not in wire.headers
    assert ctx.attempts == 1


async def test_a_sleeping_home_is_woken_rather_than_replaced() -> None:
    """The first request starts it; only if that takes too long the fallback answers."""
    sleeping = home("parrot", state="stopped", always=False, address="")
    scene = Scene([sleeping, home("crow")], models(**TWO))
    woken: list[str] = []

    async def wake(home_id: str) -> HomeView:
        woken.append(home_id)
        if len(woken) == 1:
            raise ModelUnavailable("no luck")
        return home("parrot")

    scene.gateway.catalog.ensure_ready = wake
    await scene.ask()
    await scene.ask()
    assert woken == ["parrot", "parrot"]
    assert scene.asked == ["crow", "parrot"]


async def test_a_fallback_that_sleeps_is_woken() -> None:
    """It is needed now, whoever was tried before; a model that has been tried is not woken again."""
    sleeping = home("crow", state="stopped", always=False, address="")
    scene = Scene([home("parrot"), sleeping], models(**TWO), parrot=EngineDead("boom"))
    woken: list[str] = []

    async def wake(home_id: str) -> HomeView:
        woken.append(home_id)
        return home("crow")

    scene.gateway.catalog.ensure_ready = wake
    wire, _ = await scene.ask()
    assert (wire.status, woken) == (200, ["crow"])
    assert scene.asked == ["parrot", "crow"]


async def test_fallbacks_come_in_order_and_only_one_level_deep() -> None:
    """A fallback's own fallback is its own business; all together keep to the attempts."""
    config = models(
        parrot={"fallback": ["crow", "owl"], "attempts": 4},
        crow={"fallback": ["hen"]},
        owl={},
        hen={},
    )
    views = [home("parrot"), *homes(2, "crow"), home("owl"), home("hen")]
    dead = EngineDead("boom")
    acts: Acts = {"parrot": EngineDead("mine"), "crow_0": dead, "crow_1": dead, "owl": dead}
    scene = Scene(views, config, **acts)
    wire, _ = await scene.ask()
    assert scene.asked == ["parrot", "crow/0", "crow/1", "owl"]
    assert wire.json["error"]["message"] == "mine"
    assert "x-router-model" not in wire.headers  # nobody has answered
    config.models["parrot"].attempts = 2
    scene.asked.clear()
    await scene.ask()
    assert scene.asked[0] == "parrot"
    assert len(scene.asked) == 2


async def test_a_key_falls_back_only_to_what_it_may_use() -> None:
    """Whatever is out of order, nobody is let in."""
    config = models(parrot={"fallback": ["crow", "owl"]}, crow={}, owl={})
    views = [home("parrot"), home("crow"), home("owl")]
    scene = Scene(views, config, parrot=EngineDead("boom"))
    scene.principal = Principal("k", models=("parrot", "o*"))
    wire, _ = await scene.ask()
    assert scene.asked == ["parrot", "owl"]
    assert wire.headers["x-router-model"] == "owl"


@pytest.mark.parametrize("error", [ContextLengthExceeded("too long"), Unsupported("not here")])
async def test_a_fallback_that_the_request_does_not_fit_is_passed_over(error: RouterError) -> None:
    """The client asked for another model, whose limits it has kept."""
    config = models(parrot={"fallback": ["crow", "owl"]}, crow={}, owl={})
    views = [home("parrot"), home("crow"), home("owl")]
    scene = Scene(views, config, parrot=EngineDead("boom"), crow=error)
    wire, _ = await scene.ask()
    assert scene.asked == ["parrot", "crow", "owl"]
    assert wire.headers["x-router-model"] == "owl"
    scene = Scene(views[:2], config, parrot=EngineDead("boom"), crow=error)
    wire, _ = await scene.ask()
    assert (wire.status, wire.json["error"]["message"]) == (503, "boom")
    assert "x-router-model" not in wire.headers


async def test_a_fallback_that_cannot_honour_the_request_is_not_asked() -> None:
    """Nor is a parameter dropped; the model's own refusal stays a refusal."""
    views = [
        home("parrot", capabilities=Capabilities(frozenset({"seed"}), 4096)),
        home("crow", capabilities=Capabilities(frozenset(), 4096)),
    ]
    scene = Scene(views, models(**TWO), parrot=EngineDead("boom"))
    wire, _ = await scene.ask(seed=1)
    assert scene.asked == ["parrot"]
    assert (wire.status, wire.json["error"]["message"]) == (503, "boom")
    wire, _ = await scene.ask(top_k=5)
    assert scene.asked == ["parrot"]
    assert (wire.status, wire.json["error"]["param"]) == (400, "top_k")


async def test_a_mistake_that_a_fallback_finds_is_told() -> None:
    """It is the client's, whoever found it."""
    scene = Scene(
        [home("parrot"), home("crow")],
        models(**TWO),
        parrot=EngineDead("boom"),
        crow=InvalidRequest("no such schema"),
    )
    wire, _ = await scene.ask()
    assert (wire.status, wire.json["error"]["message"]) == (400, "no such schema")


async def test_a_balancer_hears_what_the_adapter_knows_of_engines() -> None:
    """Where there is a choice, and only then."""
    seen: list[Any] = []

    class Curious(Balancer):
        def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
            seen.append(({one.home.id: one.load for one in candidates}, ctx.request_id))
            return candidates[-1]

    class Telling(Stage):
        def load(self, home: HomeView) -> Health | None:
            return Health(running=5) if home.id == "parrot/1" else None

    config = models()
    catalog = Catalog(config, {}, balancers={"parrot": Curious()})
    stage = Telling(lambda play: play.say("hello"))
    made = Gateway(config, [], {"worker": stage}, catalog)
    for count in (1, 2):
        made.on_table(RoutingTable(1, tuple(homes(count))))
        ctx = request()
        await made.pipeline.infer(ctx, Reply(Wire(), ctx.response_headers), "chat")
    assert seen == [({"parrot/0": None, "parrot/1": Health(running=5)}, "req-1")]
    assert [play.job.home.id for play in stage.plays] == ["parrot/0", "parrot/1"]


async def test_each_home_that_is_asked_counts_it() -> None:
    """A failure at the first, an answer at the second, and nothing is under way in the end."""
    scene = Scene(homes(2), parrot_0=EngineDead("boom"))
    await scene.ask(stream=True)
    told = scene.gateway.tallies()
    failed, served = told["parrot/0"], told["parrot/1"]
    assert (failed.requests, failed.failed, failed.in_flight) == (1, 1, 0)
    assert [error.kind for error in failed.errors] == ["EngineDead"]
    assert (served.requests, served.failed, served.completion_tokens) == (1, 0, 1)
    assert sum(served.ttft.values()) == 1
    assert not any(place.tally.live for place in scene.places.values())


async def test_a_clients_mistake_is_no_failure_of_a_home() -> None:
    """It counts as a request only."""
    scene = Scene(homes(1), parrot_0=InvalidValue("no", param="n"))
    await scene.ask()
    told = scene.gateway.tallies()["parrot/0"]
    assert (told.requests, told.failed, told.errors) == (1, 0, [])
