"""The engine's thread: news in one piece per step, failures told, and an end when asked."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from hoonify_backends.generation.runner import BeyondRepair, Runner
from hoonify_router.errors import EngineDead
from hoonify_router.types import Event, Finish, Text


class Dots:
    """One job: so many dots."""

    def __init__(self, count: int = 3) -> None:
        self.left = count


News = tuple[Dots, list[Event]]


class Printer:
    """Gives every job a dot with each step."""

    def __init__(self) -> None:
        self.jobs: list[Dots] = []
        self.failures: list[Exception] = []
        self.together: list[int] = []  # how many jobs each step had

    @property
    def busy(self) -> bool:
        return bool(self.jobs)

    def submit(self, job: Dots) -> None:
        self.jobs.append(job)

    def cancel(self, job: Dots) -> None:
        if job in self.jobs:
            self.jobs.remove(job)

    def abandon(self) -> list[Dots]:
        lost, self.jobs = self.jobs, []
        return lost

    def step(self) -> list[News]:
        if self.failures:
            raise self.failures.pop()
        self.together.append(len(self.jobs))
        news: list[News] = []
        for job in tuple(self.jobs):
            job.left -= 1
            news.append((job, [Text(".")] if job.left else [Text("."), Finish("stop")]))
        self.jobs = [job for job in self.jobs if job.left]
        return news


class Desk:
    """A runner and what it reported."""

    def __init__(self) -> None:
        self.printer = Printer()
        self.news: list[Sequence[News]] = []
        self.failures: list[tuple[Sequence[Dots], Exception, bool]] = []
        self.changed = asyncio.Event()
        self.threads: set[int] = set()
        self.runner = Runner(
            self.printer,
            asyncio.get_running_loop(),
            on_progress=self._progress,
            on_failure=self._failure,
            log=logging.getLogger(__name__),
        )

    def _progress(self, news: Sequence[News]) -> None:
        self.threads.add(threading.get_ident())
        self.news.append(news)
        self.changed.set()

    def _failure(self, jobs: Sequence[Dots], failure: Exception, fatal: bool) -> None:
        self.failures.append((jobs, failure, fatal))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def ended(self) -> list[Dots]:
        return [job for step in self.news for job, events in step if type(events[-1]) is Finish]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await asyncio.to_thread(desk.runner.stop)


async def test_news_come_to_the_loop_once_per_step(desk: Desk) -> None:
    """However many jobs a step served, in the loop's own thread."""
    jobs = [Dots(8), Dots(8), Dots(8)]
    desk.runner.submit(jobs)
    await desk.until(lambda: len(desk.ended()) == 3)
    assert set(desk.ended()) == set(jobs)
    assert len(desk.news) == 8
    assert sum(len(step) for step in desk.news) == 24
    assert desk.threads == {threading.get_ident()}


async def test_jobs_of_one_call_begin_with_the_same_step(desk: Desk) -> None:
    """And leave with the same."""
    jobs = [Dots(10**9) for _ in range(5)]
    desk.runner.submit(jobs)
    await desk.until(lambda: bool(desk.news))
    await desk.runner.cancel(jobs)
    assert set(desk.printer.together) <= {5, 0}  # one more step may find nothing left


async def test_a_cancelled_job_brings_no_more_news(desk: Desk) -> None:
    """The others go on, and its room is free when the call says so."""
    gone, stays = Dots(10**9), Dots(20)
    desk.runner.submit([gone])
    await desk.until(lambda: bool(desk.news))
    await desk.runner.cancel([gone])
    assert desk.printer.jobs == []
    desk.runner.submit([stays])
    await desk.until(lambda: bool(desk.ended()))
    assert desk.ended() == [stays]


async def test_a_failed_step_ends_its_jobs_and_the_next_ones_work(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """One failure is not the end."""
    desk.printer.failures.append(RuntimeError("kernel failed"))
    lost, next_one = Dots(), Dots()
    desk.runner.submit([lost])
    await desk.until(lambda: bool(desk.failures))
    jobs, failure, fatal = desk.failures[0]
    assert (list(jobs), str(failure), fatal) == ([lost], "kernel failed", False)
    assert "kernel failed" in caplog.text
    desk.runner.submit([next_one])
    await desk.until(lambda: desk.ended() == [next_one])


async def test_failures_in_a_row_are_the_end(desk: Desk) -> None:
    """A GPU that is lost stays lost in this process; cancelling does not wait for a thread that is gone."""
    desk.printer.failures += [RuntimeError("lost")] * 3
    for count in range(1, 4):
        desk.runner.submit([Dots()])
        await desk.until(lambda count=count: len(desk.failures) == count)  # type: ignore[misc]
    assert [fatal for _, _, fatal in desk.failures] == [False, False, True]
    await asyncio.to_thread(desk.runner._thread.join, 10)
    assert not desk.runner._thread.is_alive()
    await desk.runner.cancel([Dots()])


async def test_steps_leave_their_time(desk: Desk) -> None:
    """So that health can tell a busy engine from a stuck one."""
    before = desk.runner.stepped_at
    desk.runner.submit([Dots()])
    await desk.until(lambda: bool(desk.ended()))
    assert desk.runner.stepped_at > before


async def test_it_stops_idle_and_busy() -> None:
    """After the step that runs, whatever waits; who cancels meanwhile is told."""
    for busy in (False, True):
        desk = Desk()
        if busy:
            desk.runner.submit([Dots(10**9)])
            await desk.until(lambda desk=desk: bool(desk.news))  # type: ignore[misc]
        desk.runner._stopping = True
        free = desk.runner.cancel([])
        await asyncio.to_thread(desk.runner.stop)
        assert not desk.runner._thread.is_alive()
        await free


async def test_the_thread_does_what_it_is_asked(desk: Desk) -> None:
    """Beside its steps, and what fails there fails alone."""
    job = Dots(3)
    desk.runner.submit([job])
    ran_in = await desk.runner.call(threading.get_ident)
    assert ran_in != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await desk.runner.call(lambda: 1 // 0)
    await desk.until(lambda: job in desk.ended())
    assert not desk.failures


async def test_what_nobody_waits_for_any_more_is_not_done(desk: Desk) -> None:
    """When the thread comes to it."""
    gate, done = threading.Event(), []
    first = desk.runner.call(lambda: gate.wait(60))
    dropped = desk.runner.call(lambda: done.append(1))
    dropped.cancel()
    gate.set()
    assert await first
    assert await desk.runner.call(lambda: len(done)) == 0


async def test_what_is_beyond_repair_ends_it_all(desk: Desk) -> None:
    """The caller and all others are told."""

    def fail() -> None:
        raise BeyondRepair("the GPU failed")

    with pytest.raises(EngineDead):
        await desk.runner.call(fail)
    await desk.until(lambda: bool(desk.failures))
    [(_, failure, fatal)] = desk.failures
    assert isinstance(failure, BeyondRepair)
    assert fatal
    with pytest.raises(EngineDead):
        await desk.runner.call(lambda: 1)


async def test_a_stopped_thread_does_nothing_more() -> None:
    """Who asks it is told."""
    desk = Desk()
    await asyncio.to_thread(desk.runner.stop)
    with pytest.raises(EngineDead):
        await desk.runner.call(lambda: 1)
