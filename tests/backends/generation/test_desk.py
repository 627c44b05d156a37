"""Requests in, events out: who is refused, who waits, what is left when somebody goes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from tests.backends.generation.vocabularies import byte_level
from tests.backends.images import about, plain

from hoonify_backends.generation.desk import Desk
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.jobs import Job
from hoonify_backends.generation.plan import Plan, Prompt
from hoonify_backends.generation.runner import BeyondRepair
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.generation.sight import Seen, Sight
from hoonify_router.errors import EngineDead, InvalidRequest, InvalidValue, Overloaded
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    Counted,
    Event,
    Finish,
    Health,
    Message,
    Text,
)

TOKENIZER = byte_level()
TOKEN = TOKENIZER.token_to_id("a")


class Reader:
    """Reads every request alike: three tokens of prompt, as many answers and tokens as it says."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.refusal: Exception | None = None
        self.images: list[Sequence[Seen]] = []

    def read(self, request: ChatRequest | CompletionRequest, images: Sequence[Seen] = ()) -> Plan:
        self.gate.wait(10)
        self.images.append(images)
        if self.refusal is not None:
            raise self.refusal
        limit = 2 if request.token_limit is None else request.token_limit
        prompts = tuple(
            Prompt([1, 2, 3], limit) for _ in range(request.choices // (request.n or 1))
        )
        return Plan(prompts, request.n or 1, Sampling(temperature=0), Detokenizer(TOKENIZER))


class Turns:
    """Gives every answer an ``a`` with each step, while it may."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.may = threading.Event()
        self.may.set()
        self.failures: list[Exception] = []
        self.gives_up: set[int] = set()

    @property
    def busy(self) -> bool:
        return bool(self.jobs) and self.may.is_set()

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def cancel(self, job: Job) -> None:
        if job in self.jobs:
            self.jobs.remove(job)

    def abandon(self) -> list[Job]:
        lost, self.jobs = self.jobs, []
        return lost

    def step(self) -> list[tuple[Job, list[Event]]]:
        if not self.may.is_set():
            return []
        if self.failures and self.jobs:
            raise self.failures.pop()
        news: list[tuple[Job, list[Event]]] = []
        for job in tuple(self.jobs):
            if job.answer.index in self.gives_up:
                job.chooser.failure = InvalidRequest("too complex", param="tools")
            news.append((job, [] if job.chooser.failure else job.take(TOKEN)))
            if job.over:
                self.jobs.remove(job)
        return news


class Office:
    """A desk, and what it is made of."""

    def __init__(self, sight: Sight | None = None) -> None:
        self.reader, self.turns = Reader(), Turns()
        self.fatal = asyncio.Event()
        self.desk: Desk[Job] = Desk(
            self.reader,  # type: ignore[arg-type]
            self.turns,
            lambda job: job,
            slots=2,
            max_waiting=3,
            explain=lambda failure: EngineDead(str(failure)),
            on_fatal=self.fatal.set,
            log=logging.getLogger(__name__),
            sight=sight,
        )

    async def ask(self, **wishes: Any) -> list[Event]:
        return [event async for event in self.desk.serve(chat(**wishes))]


def chat(**wishes: Any) -> ChatRequest:
    return ChatRequest("m", [Message("user", "hi")], **wishes)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    office.turns.may.set()
    office.reader.gate.set()
    await office.desk.close()


Until = Callable[[Callable[[], bool]], Any]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - pytest's timeout ends a wait in vain
        await asyncio.sleep(0.001)


def texts(events: list[Event], index: int = 0) -> str:
    return "".join(e.text for e in events if isinstance(e, Text) and e.index == index)


async def test_an_answer_is_texts_an_end_and_a_count(office: Office) -> None:
    """In this order, and nothing is left."""
    *said, finish, counted = await office.ask(max_tokens=3)
    assert (texts(said), finish) == ("aaa", Finish("length"))
    assert isinstance(counted, Counted)
    assert (counted.usage.prompt_tokens, counted.usage.completion_tokens) == (3, 3)
    assert office.desk.health() == Health()


async def test_every_answer_ends_before_the_count(office: Office) -> None:
    """Which is one, with each prompt once."""
    request = CompletionRequest("m", ["a", "b"], n=2, max_tokens=2)
    events = [event async for event in office.desk.serve(request)]
    assert [texts(events, index) for index in range(4)] == ["aa"] * 4
    assert {e.index for e in events if isinstance(e, Finish)} == {0, 1, 2, 3}
    assert isinstance(events[-1], Counted)
    assert (events[-1].usage.prompt_tokens, events[-1].usage.completion_tokens) == (6, 8)


async def test_answers_of_no_tokens_reach_no_engine(office: Office) -> None:
    """They end at once."""
    office.turns.may.clear()
    request = CompletionRequest("m", ["a", "b"], max_tokens=0)
    events = [event async for event in office.desk.serve(request)]
    assert events[:2] == [Finish("length", 0), Finish("length", 1)]


async def test_room_is_counted_in_answers(office: Office) -> None:
    """Two run, three wait; a request for more than that can never be served."""
    with pytest.raises(InvalidValue) as refused:
        await office.ask(n=6)
    assert refused.value.param == "n"
    with pytest.raises(InvalidValue) as refused:
        [e async for e in office.desk.serve(CompletionRequest("m", ["a"] * 6))]
    assert refused.value.param == "prompt"
    office.turns.may.clear()
    waiting = asyncio.ensure_future(office.ask(n=4))
    await until(lambda: office.desk.health() != Health())
    assert (office.desk.health().running, office.desk.health().queued) == (2, 2)
    with pytest.raises(Overloaded) as busy:
        await office.ask(n=2)
    assert 1 <= (busy.value.retry_after or 0) <= 60
    last = asyncio.ensure_future(office.ask())
    await until(lambda: office.desk.health().queued == 3)
    office.turns.may.set()
    office.desk._runner._wake.set()
    assert len([e for e in await waiting if isinstance(e, Finish)]) == 4
    assert await last


async def test_room_is_looked_for_again_after_a_long_reading(office: Office) -> None:
    """Others may have come meanwhile."""
    office.reader.gate.clear()
    long = asyncio.ensure_future(office.ask(n=5, tool_choice="none"))
    await asyncio.sleep(0)
    office.turns.may.clear()
    office.reader.gate.set()
    quick = asyncio.ensure_future(office.ask())
    with pytest.raises(Overloaded):
        await long
    office.turns.may.set()
    office.desk._runner._wake.set()
    assert await quick


async def test_a_refusal_leaves_nothing(office: Office) -> None:
    """Neither in the books nor in the engine."""
    office.reader.refusal = InvalidRequest("no")
    for wishes in ({}, {"tool_choice": "none"}):
        with pytest.raises(InvalidRequest):
            await office.ask(**wishes)
    assert office.desk.health() == Health()
    assert office.turns.jobs == []


@pytest.mark.parametrize("begun", [True, False])
async def test_who_leaves_takes_all_answers_along(office: Office, begun: bool) -> None:
    """When the iterator is closed the engine has forgotten them, and the others go on."""
    serving = office.desk.serve(chat(n=4, max_tokens=10**9))
    if begun:
        await anext(serving)
        await serving.aclose()  # type: ignore[attr-defined]
    else:
        office.turns.may.clear()
        taking = asyncio.ensure_future(anext(serving))
        await until(lambda: office.desk.health() != Health())
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        office.turns.may.set()
    assert office.turns.jobs == []
    assert office.desk.health() == Health()
    assert texts(await office.ask()) == "aa"


async def test_one_answer_that_fails_fails_its_request(office: Office) -> None:
    """Its other answers are forgotten, and no other request hears of it."""
    office.turns.gives_up.add(2)
    fine = asyncio.ensure_future(office.ask(max_tokens=500))
    with pytest.raises(InvalidRequest, match="too complex"):
        await office.ask(n=3, max_tokens=10**9)
    assert texts(await fine) == "a" * 500
    assert office.turns.jobs == []
    assert office.desk.health() == Health()


async def test_a_failed_step_fails_its_requests_once(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """With the engine's own words for it; the next is served."""
    office.turns.failures.append(RuntimeError("lost"))
    with pytest.raises(EngineDead, match="lost"):
        await office.ask(n=3)
    assert office.desk.health() == Health()
    assert await office.ask()


async def test_a_desk_beyond_repair_takes_nobody_in(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """After three failures in a row, and it says so."""
    office.turns.failures += [RuntimeError("lost")] * 3
    for _ in range(3):
        with pytest.raises(EngineDead):
            await office.ask()
    with pytest.raises(EngineDead, match="has failed"):
        await office.ask()
    await asyncio.wait_for(office.fatal.wait(), 10)


async def test_closing_ends_what_runs(office: Office) -> None:
    """With an error, not in silence, also for who waits."""
    serving = office.desk.serve(chat(n=5, max_tokens=10**9))
    await anext(serving)
    await office.desk.close()
    with pytest.raises(EngineDead):
        [event async for event in serving]


# ------------------------------------------------------------------ images


class Colours:
    """Sees an image as one token; may have to wait for it."""

    around = ""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.failure: Exception | None = None
        self.looked = 0

    def look(self, image: Any) -> Seen:
        self.looked += 1
        self.may.wait(60)
        if self.failure is not None:
            raise self.failure
        return Seen("seen", lambda place: [10**9], 1)


@pytest.fixture
async def gallery() -> AsyncIterator[tuple[Office, Colours]]:
    """A desk of a model that sees."""
    tower = Colours()
    office = Office(Sight(tower, images=4, pixels=10**6))
    yield office, tower
    tower.may.set()
    await office.desk.close()


def seeing(color: str = "red", **wishes: Any) -> ChatRequest:
    return ChatRequest("m", about("What?", plain(color)), **wishes)


async def test_images_are_looked_at_before_the_request_is_read(
    gallery: tuple[Office, Colours],
) -> None:
    """Those without any are read at once."""
    office, tower = gallery
    await office.ask()
    assert not tower.looked
    events = [event async for event in office.desk.serve(seeing(max_tokens=2))]
    assert texts(events) == "aa"
    assert tower.looked == 1
    handles = [[image.handle for image in images] for images in office.reader.images]
    assert handles == [[], ["seen"]]


async def test_looking_is_work(gallery: tuple[Office, Colours]) -> None:
    """It counts as the request's answers do, for health and for those who come meanwhile."""
    office, tower = gallery
    tower.may.clear()
    waiting = asyncio.ensure_future(anext(office.desk.serve(seeing(n=5))))
    await until(lambda: tower.looked == 1)
    health = office.desk.health()
    assert (health.running, health.queued) == (2, 3)
    assert health.step_age > 0
    with pytest.raises(Overloaded):
        await office.ask()
    tower.may.set()
    await waiting
    await until(lambda: office.desk.health().running == 0 or bool(office.turns.jobs))


async def test_who_leaves_meanwhile_is_forgotten(gallery: tuple[Office, Colours]) -> None:
    """Also while another's image is looked at."""
    office, tower = gallery
    tower.may.clear()
    first, second = [
        asyncio.ensure_future(anext(office.desk.serve(seeing(color)))) for color in ("red", "blue")
    ]
    await until(lambda: tower.looked == 1)
    for one in (second, first):
        one.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert office.desk.health() == Health()
    tower.may.set()
    await office.ask()
    assert tower.looked == 1


async def test_an_image_that_fails_fails_its_request(gallery: tuple[Office, Colours]) -> None:
    """The next one is served."""
    office, tower = gallery
    tower.failure = EngineDead("The engine failed on an image of this request.")
    with pytest.raises(EngineDead):
        [event async for event in office.desk.serve(seeing())]
    tower.failure = None
    assert texts([event async for event in office.desk.serve(seeing(max_tokens=1))]) == "a"


async def test_an_image_that_breaks_the_engine_ends_all(gallery: tuple[Office, Colours]) -> None:
    """As a step would."""
    office, tower = gallery
    office.turns.may.clear()
    running = asyncio.ensure_future(office.ask(max_tokens=50))
    await until(lambda: bool(office.turns.jobs))
    tower.failure = BeyondRepair("the GPU failed")
    with pytest.raises(EngineDead):
        [event async for event in office.desk.serve(seeing())]
    with pytest.raises(EngineDead):
        await running
    await office.fatal.wait()
