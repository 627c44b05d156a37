"""The engine's thread: news in one piece per step, failures told, and an end when asked."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.sampling import Chooser, Sampling
from hoonify_backends.onnxruntime.runner import Runner
from hoonify_backends.onnxruntime.scheduler import Job, Progress, Scheduler


class Silent:
    """Every token is a dot."""

    def push(self, token: int) -> str:
        return "."


def job(limit: int = 3) -> Job:
    return Job([1, 2], Chooser(Sampling(temperature=0), [1, 2]), Answer(Silent(), limit=limit))


class Desk:
    """A runner and what it reported."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.news: list[Sequence[Progress]] = []
        self.failures: list[tuple[Sequence[Job], Exception, bool]] = []
        self.changed = asyncio.Event()
        self.threads: set[int] = set()
        self.runner = Runner(
            Scheduler(model, prefill_chunk=16),
            asyncio.get_running_loop(),
            on_progress=self._progress,
            on_failure=self._failure,
            log=logging.getLogger(__name__),
        )

    def _progress(self, progress: Sequence[Progress]) -> None:
        self.threads.add(threading.get_ident())
        self.news.append(progress)
        self.changed.set()

    def _failure(self, jobs: Sequence[Job], failure: Exception, fatal: bool) -> None:
        self.failures.append((jobs, failure, fatal))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def ended(self) -> list[Job]:
        return [entry.job for step in self.news for entry in step if entry.finish]


@pytest.fixture
async def desk(fake_model: Callable[..., Any]) -> AsyncIterator[Desk]:
    desk = Desk(fake_model(context_length=10_000))
    yield desk
    await asyncio.to_thread(desk.runner.stop)


async def test_news_come_to_the_loop_once_per_step(desk: Desk) -> None:
    """However many requests a step served, in the loop's own thread."""
    jobs = [job(8), job(8), job(8)]
    for one in jobs:
        desk.runner.submit(one)
    await desk.until(lambda: len(desk.ended()) == 3)
    assert set(desk.ended()) == set(jobs)
    assert len(desk.news) < sum(len(step) for step in desk.news) == 24
    assert desk.threads == {threading.get_ident()}


async def test_a_cancelled_request_brings_no_more_news(desk: Desk) -> None:
    """The others go on."""
    gone, stays = job(9_000), job(20)
    desk.runner.submit(gone)
    await desk.until(lambda: bool(desk.news))
    desk.runner.cancel(gone)
    desk.runner.submit(stays)
    await desk.until(lambda: bool(desk.ended()))
    assert desk.ended() == [stays]


async def test_a_failed_step_ends_its_requests_and_the_next_ones_work(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """One failure is not the end."""
    desk.model.failures.append(RuntimeError("kernel failed"))
    lost, next_one = job(), job()
    desk.runner.submit(lost)
    await desk.until(lambda: bool(desk.failures))
    jobs, failure, fatal = desk.failures[0]
    assert (list(jobs), str(failure), fatal) == ([lost], "kernel failed", False)
    assert "kernel failed" in caplog.text
    desk.runner.submit(next_one)
    await desk.until(lambda: desk.ended() == [next_one])


async def test_failures_in_a_row_are_the_end(desk: Desk) -> None:
    """A GPU that is lost stays lost in this process."""
    desk.model.failures += [RuntimeError("lost")] * 3
    for count in range(1, 4):
        desk.runner.submit(job())
        await desk.until(lambda count=count: len(desk.failures) == count)  # type: ignore[misc]
    assert [fatal for _, _, fatal in desk.failures] == [False, False, True]
    await asyncio.to_thread(desk.runner._thread.join, 10)
    assert not desk.runner._thread.is_alive()


async def test_steps_leave_their_time(desk: Desk) -> None:
    """So that health can tell a busy engine from a stuck one."""
    before = desk.runner.stepped_at
    desk.runner.submit(job())
    await desk.until(lambda: bool(desk.ended()))
    assert desk.runner.stepped_at > before


async def test_it_stops_idle_and_busy(fake_model: Callable[..., Any]) -> None:
    """After the step that runs, whatever waits."""
    for busy in (False, True):
        desk = Desk(fake_model(context_length=10_000))
        if busy:
            desk.runner.submit(job(9_000))
            await desk.until(lambda desk=desk: bool(desk.news))  # type: ignore[misc]
        await asyncio.to_thread(desk.runner.stop)
        assert not desk.runner._thread.is_alive()
