"""What is looked at again and again: the loop, and what the router tells of itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.metrics.reading import Told

from hoonify_plugins.metrics import stalls
from hoonify_plugins.metrics.board import Board
from hoonify_plugins.metrics.exposition import Exposition
from hoonify_plugins.metrics.stalls import StallWatch
from hoonify_plugins.metrics.watch import LoopWatch
from hoonify_router.api import HomeVitals, Measurement, MiddlewareTime, Vitals
from hoonify_router.types import Health, HomeView

HOME = HomeView("p/0", "p", "echo", "worker", "ready")


class Watched:
    """A watch of a gateway whose vitals the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vitals = Vitals()
        self.board = Board(folder)
        self.watch = LoopWatch(self.board, lambda: self.vitals)

    def look(self, **vitals: Any) -> Told:
        self.vitals = Vitals(**vitals)
        self.watch.look()
        return Told(Exposition(self.folder).text())


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Return one that looks when it is told to."""
    return Watched(tmp_path)


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_homes_are_told_as_this_gateway_sees_them(watched: Watched, state: Any) -> None:
    """What is there, what the engine says is there, and whether it may be asked."""
    told = watched.look(homes=(HomeVitals(HOME, 3, state, Health(2, 5)),))
    home = {"model": "p", "home": "p/0"}
    assert told.value("hoonify_home_requests_in_flight", **home) == 3
    assert told.value("hoonify_home_requests", **home, state="running") == 2
    assert told.value("hoonify_home_requests", **home, state="queued") == 5
    for one in ("closed", "open", "half-open"):
        assert told.value("hoonify_home_breakers", **home, state=one) == (one == state)


def test_the_load_of_an_engine_is_told_once(watched: Watched) -> None:
    """All gateways hear the same heartbeats; their own requests add up."""
    home = HomeVitals(HOME, 1, "closed", Health(2))
    other = Watched(watched.folder)
    other.look(homes=(home,))
    told = watched.look(homes=(home,))
    labels = {"model": "p", "home": "p/0"}
    assert told.value("hoonify_home_requests", **labels, state="running") == 2
    assert told.value("hoonify_home_requests_in_flight", **labels) == 2
    assert told.value("hoonify_home_breakers", **labels, state="closed") == 2


def test_what_only_grows_is_added(watched: Watched) -> None:
    """The cells may hold what an earlier process of this place has counted."""
    time_ = MiddlewareTime("keys", "authenticate", 10, 0.5)
    watched.look(middleware=(time_,), cut_streams=1)
    watched.look(middleware=(time_,), cut_streams=1)
    watched.board.close()
    told = Watched(watched.folder).look(middleware=(time_,), cut_streams=2)
    labels = {"plugin": "keys", "phase": "authenticate"}
    assert told.value("hoonify_plugin_calls_total", **labels) == 20
    assert told.value("hoonify_plugin_seconds_total", **labels) == 1.0
    assert told.value("hoonify_untruthful_streams_total") == 3


def test_plugins_numbers_stand_beside_the_router_s(watched: Watched) -> None:
    """Counters and gauges, with the labels that they say."""
    told = watched.look(
        measurements=(
            Measurement("hours_refusals_total", "Sent home.", 4, "counter", {"day": "sunday"}),
            Measurement("hours_open", "Whether.", 1),
        )
    )
    assert told.value("hours_refusals_total", day="sunday") == 4
    assert told.value("hours_open") == 1


@pytest.mark.parametrize(
    "one",
    [
        Measurement("hoonify_requests_total", "Mine now.", 1, "counter"),
        Measurement("no spaces", "x", 1),
        Measurement("labelled", "x", 1, labels={"a-b": "c"}),
        Measurement("refusals", "A counter ends in _total.", 1, "counter"),
    ],
)
def test_a_number_that_cannot_be_told_is_left_out(
    watched: Watched, one: Measurement, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and breaks nobody's page."""
    for _ in range(2):
        told = watched.look(measurements=(one, Measurement("fine", "x", 1)))
    assert told.value("fine") == 1
    assert one.name not in told.names
    assert len(caplog.records) == 1


async def test_the_loop_s_lag_is_timed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, per gateway; a look comes with it, and a last one at the end."""
    monkeypatch.setattr("hoonify_plugins.metrics.watch.BEAT", 0.001)
    watched.vitals = Vitals(cut_streams=1)
    watched.watch.start()
    await until(lambda: "hoonify_untruthful_streams_total" in read(watched).names)
    watched.vitals = Vitals(cut_streams=5)
    watched.watch.stop()
    told = read(watched)
    assert (told.value("hoonify_event_loop_lag_seconds_count", gateway="0") or 0) >= 10
    assert told.value("hoonify_untruthful_streams_total") == 5


def read(watched: Watched) -> Told:
    return Told(Exposition(watched.folder).text())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a timer of the code under test is waited for
        await asyncio.sleep(0.005)


# ---------------------------------------------------------------- stalls

BLOCK = """
import time
def block(until):
    while not until():
        time.sleep(0.001)
"""


def block(module: str, until: Callable[[], bool]) -> None:
    """Block in a function of a module until something is so."""
    names: dict[str, Any] = {"__name__": module}
    exec(BLOCK, names)
    names["block"](until)


class Looker:
    """Looks from another thread, as often as it is told to, at this one while it blocks."""

    def __init__(self, watch: StallWatch) -> None:
        self.watch = watch
        self.watched = threading.get_ident()

    def look_at(self, module: str, times: int = 1) -> None:
        blocked = threading.Event()

        def look() -> None:
            blocked.wait(10)
            for _ in range(times):
                self.watch.look(self.watched)

        thread = threading.Thread(target=look)
        thread.start()

        def over() -> bool:
            blocked.set()
            return not thread.is_alive()

        block(module, over)
        thread.join()


@pytest.mark.parametrize(
    ("module", "plugin"),
    [
        ("hoonify_plugins.api_keys.keyring", "api_keys"),
        ("hoonify_plugins.openai_errors", "openai_errors"),
        ("hoonify_router.pipeline", "router"),
        ("somebody.else", "other"),
    ],
)
def test_who_blocks_the_loop_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, module: str, plugin: str
) -> None:
    """By the innermost plugin on the stack; one stall counts once, however long it is."""
    watch = StallWatch(Board(tmp_path), 0.1)
    looker = Looker(watch)

    def stalls_told() -> dict[str, float]:
        samples = Told(Exposition(tmp_path).text()).samples
        return {s.labels["plugin"]: s.value for s in samples if s.value}

    watch.beat = time.monotonic()
    looker.look_at(module)
    assert stalls_told() == {}
    for stall in (1, 2):
        watch.beat = time.monotonic() - 10 + stall
        looker.look_at(module, times=3)
        assert stalls_told() == {plugin: stall}
    assert f"in {plugin} ({module}:" in caplog.text
    assert len(caplog.records) == 1  # the log is not flooded


def test_the_thread_that_starts_it_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a thread of its own, until it is stopped."""
    monkeypatch.setattr(stalls, "STALL", 0.01)
    watch = StallWatch(Board(tmp_path), 0.001)
    counted = watch._cells("api_keys")  # looked at without any plugin's code on the stack

    def seen() -> bool:
        watch.beat = watch.beat - 1.0  # each is another stall: an earlier one was of this test
        return counted[0] > 0

    watch.start()
    try:
        block("hoonify_plugins.api_keys", seen)
    finally:
        watch.stop()
