"""Each clock of a request by itself, in a time of the test's own."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.router.doubles import Wire

from hoonify_router.answer import Answer
from hoonify_router.completion import Completion
from hoonify_router.config.model import Timeouts
from hoonify_router.errors import FirstTokenTimeout, IdleTimeout, TotalTimeout
from hoonify_router.patience import Clocks, Patience
from hoonify_router.reply import Reply


class Clock:
    """Stands for the time and the loop; timers fire when the test lets time pass."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.made = 0

    def perf_counter(self) -> float:
        return self.now

    def get_running_loop(self) -> Clock:
        return self

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        timer = (self.now + delay, callback)
        self.timers.append(timer)
        self.made += 1
        clock = self

        class Handle:
            def cancel(self) -> None:
                if timer in clock.timers:
                    clock.timers.remove(timer)

        return Handle()

    def pass_until(self, end: float) -> None:
        """Let time pass, and what is due happen on the way."""
        while due := [timer for timer in self.timers if timer[0] <= 1000.0 + end]:
            first = min(due)
            self.timers.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = 1000.0 + end


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("hoonify_router.patience.time", made)
    monkeypatch.setattr("hoonify_router.patience.asyncio", made)
    return made


class Scene:
    """One request that is looked after."""

    def __init__(
        self, clock: Clock, shows_begin: bool = True, clocks: Clocks | None = None, **limits: float
    ) -> None:
        given: dict[str, Any] = {"connect": 0, "first_token": 0, "idle": 0, "total": 0, **limits}
        self.clock = clock
        self.timeouts = Timeouts(**given)
        self.reply = Reply(Wire(), {})
        self.patience = Patience(clocks or Clocks(), self.timeouts.total, self.reply, clock.now)
        self.ended_at: float | None = None
        self.answer = self.next(shows_begin)

    def next(self, shows_begin: bool = True) -> Answer:
        """Ask a home."""
        self.answer = Completion(self.reply, ("x", 1, "parrot"), 1, self._end)
        self.patience.watch(self.answer, self.timeouts, shows_begin)
        return self.answer

    def _end(self) -> None:
        self.ended_at = self.clock.now - 1000.0


def test_the_first_token_has_its_own_limit(clock: Clock) -> None:
    """Exactly; what comes in time is not cut."""
    scene = Scene(clock, first_token=10, idle=100)
    clock.pass_until(9.9)
    assert not scene.answer.ended
    clock.pass_until(10.1)
    assert isinstance(scene.answer.error, FirstTokenTimeout)
    assert "10 s" in scene.answer.error.message
    assert scene.ended_at == 10.0
    scene = Scene(clock, first_token=10)
    clock.pass_until(15)
    scene.answer.text("a")
    clock.pass_until(1000)
    assert not scene.answer.ended


def test_silence_in_the_middle_has_another(clock: Clock) -> None:
    """It counts from the last piece, and ends late by a quarter at most."""
    scene = Scene(clock, first_token=100, idle=8)
    clock.pass_until(30)  # a prompt may take longer than a pause between two tokens
    assert not scene.answer.ended
    for second in range(30, 90):
        scene.answer.text("a")
        clock.pass_until(second + 1)
    assert not scene.answer.ended
    clock.pass_until(200)
    assert isinstance(scene.answer.error, IdleTimeout)
    assert "8 s" in scene.answer.error.message
    assert 89 + 8 <= (scene.ended_at or 0) <= 89 + 10


@pytest.mark.parametrize("last", [30.0, 30.5, 31.0, 31.9, 32.0, 33.7])
def test_silence_is_never_cut_too_early(clock: Clock, last: float) -> None:
    """Whenever the last piece came."""
    scene = Scene(clock, idle=8)
    clock.pass_until(last)
    scene.answer.text("a")
    clock.pass_until(last + 7.99)
    assert not scene.answer.ended
    clock.pass_until(last + 10)
    assert isinstance(scene.answer.error, IdleTimeout)


def test_a_thought_and_a_part_are_signs_of_life(clock: Clock) -> None:
    """Whatever the engine says counts."""
    scene = Scene(clock, idle=4)
    for second in range(0, 40, 2):
        clock.pass_until(second)
        scene.answer.reasoning("hm")
        clock.pass_until(second + 1)
        scene.answer.parts({"refusal": "no"})
    assert not scene.answer.ended


def test_the_whole_answer_has_a_limit(clock: Clock) -> None:
    """However busily the engine speaks; it counts from the request's arrival, over all attempts."""
    scene = Scene(clock, first_token=20, idle=10, total=50)
    clock.pass_until(15)
    scene.patience.relax()
    scene.next()
    for second in range(15, 60):
        scene.answer.text("a")
        clock.pass_until(second + 1)
    assert isinstance(scene.answer.error, TotalTimeout)
    assert "50 s" in scene.answer.error.message
    assert scene.ended_at == 50.0
    assert scene.patience.left == 0.0


def test_a_client_that_does_not_read_is_no_fault_of_the_home(clock: Clock) -> None:
    """Its engine is held back; it has its whole patience again afterwards. The total goes on."""
    scene = Scene(clock, idle=8, total=500)
    scene.answer.text("a")
    clock.pass_until(7)
    scene.reply.pause()
    clock.pass_until(200)
    assert not scene.answer.ended
    scene.reply.resume()
    clock.pass_until(205)
    assert not scene.answer.ended
    clock.pass_until(212)
    assert isinstance(scene.answer.error, IdleTimeout)
    scene = Scene(clock, idle=8, total=500)
    scene.reply.pause()
    clock.pass_until(1000)
    assert isinstance(scene.answer.error, TotalTimeout)


def test_a_client_that_does_not_even_read_pings_stops_the_first_clock(clock: Clock) -> None:
    """Nobody listens to the home then; the looks stay far apart."""
    scene = Scene(clock, first_token=10)
    scene.reply.pause()
    clock.pass_until(100)
    assert not scene.answer.ended
    assert clock.made <= 12
    scene.reply.resume()
    clock.pass_until(121)
    assert isinstance(scene.answer.error, FirstTokenTimeout)


def test_an_answer_in_one_piece_from_a_server_shows_no_beginning(clock: Clock) -> None:
    """Only its total counts."""
    scene = Scene(clock, shows_begin=False, first_token=10, idle=5, total=60)
    clock.pass_until(59)
    assert not scene.answer.ended
    clock.pass_until(61)
    assert isinstance(scene.answer.error, TotalTimeout)


def test_each_home_has_the_whole_time_for_its_first_token(clock: Clock) -> None:
    """The one before has had its own."""
    scene = Scene(clock, first_token=10)
    clock.pass_until(9)
    scene.patience.relax()
    scene.next()
    clock.pass_until(18)
    assert not scene.answer.ended
    clock.pass_until(20)
    assert isinstance(scene.answer.error, FirstTokenTimeout)


def test_zero_is_no_limit_and_no_timer(clock: Clock) -> None:
    """Not even one that never fires."""
    scene = Scene(clock)
    assert clock.timers == []
    assert scene.patience.left == math.inf
    clock.pass_until(1e9)
    assert not scene.answer.ended


def test_all_requests_share_one_timer(clock: Clock) -> None:
    """One that ends soon makes none; who is due first decides when it fires."""
    clocks = Clocks()
    limits = {"first_token": 900, "idle": 300, "total": 7200}
    scenes = [Scene(clock, clocks=clocks, **limits) for _ in range(50)]
    for second in range(70):
        clock.pass_until(second)
        for scene in scenes:
            scene.answer.text("a")
    assert (clock.made, len(clock.timers)) == (1, 1)
    hasty = Scene(clock, clocks=clocks, idle=4)
    hasty.answer.text("a")
    clock.pass_until(76)
    assert isinstance(hasty.answer.error, IdleTimeout)
    assert not any(scene.answer.ended for scene in scenes)
    assert len(clock.timers) == 1
    for scene in scenes:
        scene.patience.relax()
    clock.pass_until(1000)
    assert clock.timers == []


def test_many_requests_are_not_looked_at_for_each_of_them(clock: Clock) -> None:
    """A look at 5,000 streams for each of 5,000 streams would be 25 million; nobody is let wait for long by less."""
    clocks = Clocks()
    scenes = []
    for number in range(5000):
        clock.pass_until(number / 1000)
        scenes.append(Scene(clock, clocks=clocks, first_token=100))
    looks = clock.made
    clock.pass_until(106)
    assert clock.made - looks < 300
    assert all(isinstance(scene.answer.error, FirstTokenTimeout) for scene in scenes)
    late = [(scene.ended_at or 0) - 100 - n / 1000 for n, scene in enumerate(scenes)]
    assert min(late) + 1e-6 >= 0
    assert max(late) <= 0.101


def test_looks_of_others_do_not_shorten_anybodys_silence(clock: Clock) -> None:
    """Each has its own rhythm, whoever else is looked at meanwhile."""
    clocks = Clocks()
    slow = Scene(clock, clocks=clocks, idle=100)
    slow.answer.text("a")
    busy = Scene(clock, clocks=clocks, idle=1)
    for tenth in range(1, 2000):
        busy.answer.text("a")
        clock.pass_until(tenth / 10)
        if tenth < 1000:
            assert not slow.answer.ended
    assert isinstance(slow.answer.error, IdleTimeout)
    assert 100 <= (slow.ended_at or 0) <= 126
    assert not busy.answer.ended


def test_an_answer_that_has_ended_is_let_go(clock: Clock) -> None:
    """Before whoever asked has done so; nothing more happens to it."""
    scene = Scene(clock, first_token=10, idle=4)
    scene.answer.finish("stop")
    scene.answer.complete()
    clock.pass_until(100)
    assert scene.answer.error is None
    scene.patience.relax()
    clock.pass_until(200)
    assert clock.timers == []


async def test_the_real_loop_does_the_same() -> None:
    """With real timers, however coarse the loop's clock is."""
    ended = asyncio.Event()
    reply = Reply(Wire(), {})
    answer = Completion(reply, ("x", 1, "parrot"), 1, ended.set)
    patience = Patience(Clocks(), 0.0, reply, time.perf_counter())
    patience.watch(answer, Timeouts(0, 0.02, 0, 0), shows_begin=True)  # type: ignore[arg-type]
    await ended.wait()
    assert isinstance(answer.error, FirstTokenTimeout)
    patience.relax()
