"""Requests that meet a home which is being stopped wait for its next start; nobody is told of it."""

from __future__ import annotations

import pytest
from tests.router.doubles import Play, home
from tests.router.reading import read_stream
from tests.router.scene import NoDice, Scene, models

from hoonify_router.errors import EngineDead, HomeStopping, RouterError
from hoonify_router.types import HomeView, RoutingTable


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait between two tries."""
    monkeypatch.setattr("hoonify_router.serving.random", NoDice())


def scene(*failures: RouterError, state: str = "draining", hold: float = 60) -> Scene:
    """Return a home that fails so often, in a table that says ``state`` from then on, and then is back."""
    left = list(failures)

    def act(play: Play) -> None:
        if not left:
            play.say("hello")
            return
        set_up.gateway.on_table(RoutingTable(2, (home(state=state, always=False),)))
        play.answer.fail(left.pop(0))

    async def ensure_ready(home_id: str) -> HomeView:
        return home(always=False)

    views = [home(always=False)]
    set_up = Scene(views, models(parrot={"hold_timeout": hold}), parrot=act)
    set_up.gateway.catalog.ensure_ready = ensure_ready
    return set_up


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (HomeStopping("I am about to leave."), "draining"),
        (HomeStopping("I am about to leave."), "ready"),
        (EngineDead("Nobody is there."), "draining"),
        (EngineDead("Nobody is there."), "stopped"),
    ],
)
async def test_a_request_that_was_turned_away_is_served_by_the_next_start(
    failure: RouterError, state: str, stream: bool
) -> None:
    """Also where the table that says so comes later than the engine's word; nothing counts as a failure."""
    set_up = scene(failure, failure, state=state)
    wire, ctx = await set_up.ask(stream=stream)
    assert wire.status == 200
    assert b"hello" in wire.body
    assert len(set_up.asked) == 3
    assert (ctx.attempts, len(ctx.calls), ctx.error) == (1, 1, None)
    assert "x-router-attempts" not in wire.headers
    place = set_up.gateway.catalog.resolve("parrot").places["parrot"]
    assert place.breaker.state == "closed"
    assert place.in_flight == 0
    if stream:
        assert read_stream(wire.body, with_usage=False).error is None


async def test_a_request_that_has_begun_is_never_asked_again() -> None:
    """Its client has read a part of it."""

    def act(play: Play) -> None:
        play.answer.text("hel")
        set_up.gateway.on_table(RoutingTable(2, (home(state="draining"),)))
        play.answer.fail(EngineDead("Its time was over."))

    set_up = Scene([home()], parrot=act)
    wire, ctx = await set_up.ask(stream=True)
    assert set_up.asked == ["parrot"]
    assert isinstance(ctx.error, EngineDead)
    assert b'"error"' in wire.body


async def test_a_home_that_died_by_itself_has_failed() -> None:
    """To wait for it is not what the next home, or the client, needs."""
    set_up = scene(EngineDead("boom"), state="starting")
    wire, _ = await set_up.ask()
    assert wire.status == 503
    assert set_up.asked == ["parrot"]


async def test_waiting_has_an_end() -> None:
    """A home that always turns everybody away is one that cannot serve."""
    set_up = scene(*[HomeStopping("no")] * 100, hold=0.0001)
    wire, _ = await set_up.ask()
    assert wire.status == 503
    assert int(wire.headers["retry-after"]) >= 1
