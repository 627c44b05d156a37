"""What the engine tells becomes what clients get, whatever goes wrong in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.jobs import Job
from hoonify_backends.generation.runner import BeyondRepair
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.onnxruntime.genai.stepper import GenaiStepper
from hoonify_router.errors import EngineDead, OutOfMemory
from hoonify_router.types import Finish, Text

EOS = 99


class Letters:
    """Token 0 is ``a``."""

    def push(self, token: int) -> str:
        """Return its text."""
        return chr(ord("a") + token)


@dataclass(eq=False)
class Request:
    """Remembers what was done to it."""

    done: list[str] = field(default_factory=list)

    def cancel_turn(self, turn: int) -> bool:
        """Remember it."""
        self.done.append(f"cancel {turn}")
        return True

    def close(self) -> None:
        """Remember it."""
        self.done.append("close")


class ScriptedEngine:
    """Says what the test wants it to say."""

    def __init__(self) -> None:
        self.script: list[Any] = []

    def create_event_buffer(self, capacity: int) -> int:
        """Return something."""
        return capacity

    def run(self, buffer: int) -> list[Any]:
        """Return the next events."""
        return self.script.pop(0) if self.script else []


def event(
    request: Request, token: int | None = None, finish: str = "NONE", error: str = "NONE"
) -> Any:
    """Return one of the engine's events."""
    return SimpleNamespace(
        request=request,
        token=token,
        finish_reason=SimpleNamespace(name=finish),
        error_code=SimpleNamespace(name=error),
        usage=SimpleNamespace(cached_prompt_tokens=3),
    )


@dataclass
class Scene:
    """A stepper, its engine, and a request for each job that was begun."""

    engine: ScriptedEngine
    stepper: GenaiStepper
    requests: list[Request]

    def submit(self, limit: int = 10) -> Job:
        """Submit an answer."""
        answer = Answer(Letters(), limit=limit, eos=frozenset({EOS}))  # type: ignore[arg-type]
        job = Job([1, 2], Chooser(Sampling(), [1, 2]), answer)
        self.stepper.submit(job)
        return job

    def hears(self, *events: Any) -> Any:
        """Let the engine say it and return what comes of it."""
        self.engine.script.append(list(events))
        return self.stepper.step()


@pytest.fixture
def scene() -> Scene:
    """An engine that begins whatever it gets."""
    requests: list[Request] = []

    def begin(job: Job) -> tuple[Request, int]:
        requests.append(Request())
        return requests[-1], 7

    engine = ScriptedEngine()
    return Scene(engine, GenaiStepper(lambda: (engine, begin), slots=2, eos=EOS), requests)


def test_tokens_become_text_and_the_end_is_told(scene: Scene) -> None:
    """The token that ends an answer is not among the engine's events."""
    job = scene.submit()
    assert scene.hears() == []
    (request,) = scene.requests
    assert scene.hears(event(request, 0)) == [(job, [Text("a", 0)])]
    assert scene.hears(event(request, None, "EOS")) == [(job, [Finish("stop", 0)])]
    assert (job.cached, job.answer.tokens) == (3, 1)
    assert request.done == ["close"]
    assert not scene.stepper.busy


@pytest.mark.parametrize("limit", [1, 10])
def test_the_engines_limit_ends_an_answer_too(scene: Scene, limit: int) -> None:
    """Whether ours is as low or not."""
    job = scene.submit(limit)
    scene.hears()
    (request,) = scene.requests
    told = scene.hears(event(request, 0, "MAX_SESSION_TOKENS"))
    assert told == [(job, [Text("a", 0), Finish("length", 0)])]


def test_a_cancelled_answer_is_waited_for_and_not_told(scene: Scene) -> None:
    """The engine may still say something of it."""
    job = scene.submit()
    scene.hears()
    (request,) = scene.requests
    scene.stepper.cancel(job)
    scene.stepper.cancel(job)
    assert request.done == ["cancel 7"]
    assert scene.stepper.busy
    assert scene.hears(event(request, 0), event(request, None, "CANCELLED")) == []
    assert request.done == ["cancel 7", "close"]
    assert not scene.stepper.busy


def test_an_answer_that_waits_is_just_forgotten(scene: Scene) -> None:
    """The engine never hears of it."""
    job = scene.submit()
    scene.stepper.cancel(job)
    assert not scene.stepper.busy
    assert (job.ended, scene.requests) == (True, [])


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("EXECUTION_CAPACITY_EXCEEDED", OutOfMemory),
        ("REQUEST_UNSERVICEABLE", OutOfMemory),
        ("RETRYABLE_EXECUTION", EngineDead),
    ],
)
def test_a_failed_answer_fails_alone(scene: Scene, code: str, failure: type[Exception]) -> None:
    """The others go on."""
    job, other = scene.submit(), scene.submit()
    scene.hears()
    first, second = scene.requests
    told = scene.hears(event(first, None, "FAILED", code), event(second, 1))
    assert told == [(job, []), (other, [Text("b", 0)])]
    assert isinstance(job.chooser.failure, failure)


def test_an_engine_that_is_broken_ends_it_all(scene: Scene) -> None:
    """Only a new process gets rid of it."""
    job = scene.submit()
    scene.hears()
    with pytest.raises(BeyondRepair):
        scene.hears(event(scene.requests[0], None, "FAILED", "ENGINE_EXECUTION_FAILURE"))
    assert scene.stepper.abandon() == [job]


def test_an_answer_that_cannot_begin_fails_alone() -> None:
    """Whatever the library has against it."""

    def begin(job: Job) -> tuple[Request, int]:
        raise RuntimeError("no such thing")

    engine = ScriptedEngine()
    scene = Scene(engine, GenaiStepper(lambda: (engine, begin), slots=2, eos=EOS), [])
    job = scene.submit()
    assert scene.hears() == [(job, [])]
    assert isinstance(job.chooser.failure, EngineDead)
    assert not scene.stepper.busy
