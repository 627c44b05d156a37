"""The policy: every request gets what it would get alone, and nobody waits for a stranger's long prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.onnxruntime.scheduler import Job, Progress, Scheduler
from hoonify_router.errors import InvalidRequest
from hoonify_router.types import Finish, Text

GREEDY = Sampling(temperature=0)


class Numbers:
    """Writes each token as its number."""

    def push(self, token: int) -> str:
        return f"{token} "

    def share(self, token: int, text: str) -> bytes:
        return text.encode()

    def spell(self, token: int) -> bytes:
        return f"{token} ".encode()


def job(prompt: list[int], limit: int = 5, sampling: Sampling = GREEDY, index: int = 0) -> Job:
    chooser = Chooser(sampling, prompt, choice=index)
    return Job(prompt, chooser, Answer(Numbers(), limit=limit, index=index))


def family(prompt: list[int], count: int, limit: int = 5, sampling: Sampling = GREEDY) -> list[Job]:
    """Return several answers to one prompt."""
    return [job(prompt, limit, sampling, index) for index in range(count)]


def alone(model: Any, prompt: list[int], limit: int = 5) -> list[int]:
    """Return what a request gets when there is no other."""
    tokens = list(prompt)
    for _ in range(limit):
        tokens.append(model.after(tokens))
    return tokens[len(prompt) :]


def run(scheduler: Scheduler) -> list[Progress]:
    progress = []
    while scheduler.busy:
        progress += scheduler.step()
    return progress


def text_of(progress: list[Progress], wanted: Job) -> str:
    events = [event for one, events in progress if one is wanted for event in events]
    return "".join(event.text for event in events if isinstance(event, Text))


def finishes(progress: list[Progress]) -> list[Any]:
    """Return why each step's answer ended, or ``None``."""
    ends = (next((e for e in events if isinstance(e, Finish)), None) for _, events in progress)
    return [end and end.reason for end in ends]


def written(tokens: list[int]) -> str:
    return "".join(f"{token} " for token in tokens)


def test_one_request(fake_model: Callable[..., Any]) -> None:
    """Text comes token by token, the end with the last."""
    model = fake_model()
    scheduler, one = Scheduler(model, prefill_chunk=16), job([1, 2, 3])
    scheduler.submit(one)
    progress = run(scheduler)
    texts = [events[0].text for _, events in progress if isinstance(events[0], Text)]
    assert texts == [f"{t} " for t in alone(model, [1, 2, 3])]
    assert finishes(progress) == [None] * 4 + ["length"]


def test_more_requests_than_rows(fake_model: Callable[..., Any]) -> None:
    """Those that do not fit wait, in their order, and each gets its own answer."""
    model = fake_model(slots=2)
    scheduler = Scheduler(model, prefill_chunk=16)
    jobs = [job([i, i + 1], limit=3) for i in range(7)]
    for one in jobs:
        scheduler.submit(one)
    progress = run(scheduler)
    for one in jobs:
        assert text_of(progress, one) == written(alone(model, one.tokens[:2], 3))
    ended = [job for (job, _), end in zip(progress, finishes(progress), strict=True) if end]
    assert ended == jobs
    assert max(rows for name, rows in model.calls if name == "decode") == 2


@pytest.mark.parametrize("chunk", [1, 2, 3, 16, 40, 64])
def test_a_prompt_is_read_in_pieces(fake_model: Callable[..., Any], chunk: int) -> None:
    """The pieces are no longer than asked for, and make no difference to the answer."""
    model = fake_model()
    prompt = list(range(40))
    scheduler, one = Scheduler(model, prefill_chunk=chunk), job(prompt)
    scheduler.submit(one)
    progress = run(scheduler)
    assert text_of(progress, one) == written(alone(model, prompt))
    pieces = [what[1] for name, what in model.calls if name == "prefill"]
    assert max(pieces) == min(chunk, 40)
    assert sum(pieces) == 40


def test_a_long_prompt_adds_one_chunk_between_two_tokens(fake_model: Callable[..., Any]) -> None:
    """While it is read, answers go on in every second call."""
    model = fake_model(slots=2, context_length=200)
    scheduler, short, long = Scheduler(model, prefill_chunk=16), job([1], 30), job([2] * 128, 2)
    scheduler.submit(short)
    scheduler.step()
    scheduler.submit(long)
    model.calls.clear()
    while not long.decoding:
        scheduler.step()
    names = [name for name, _ in model.calls]
    assert names == ["decode", "prefill"] * 8


def test_a_new_prompt_is_next(fake_model: Callable[..., Any]) -> None:
    """It came while a piece of a long one was read, so the long one's next piece comes after it."""
    model = fake_model(slots=3, context_length=400)
    scheduler = Scheduler(model, prefill_chunk=16)
    long, short = job([2] * 300), job([3] * 10, limit=1)
    scheduler.submit(long)
    scheduler.step()
    scheduler.submit(short)
    scheduler.step()
    assert short.ended
    scheduler.cancel(long)
    assert not scheduler.busy


def test_new_prompts_do_not_starve_a_long_one(fake_model: Callable[..., Any]) -> None:
    """However many come: between two of its turns each row has one at most."""
    model = fake_model(slots=8, context_length=400)
    scheduler = Scheduler(model, prefill_chunk=16)
    long, steps = job([2] * 64), 0
    scheduler.submit(long)
    while not long.decoding:
        scheduler.submit(job([3 + steps] * 16, limit=1))
        scheduler.step()
        steps += 1
    assert steps <= 4 * model.slots


def test_prompts_take_turns(fake_model: Callable[..., Any]) -> None:
    """A short prompt behind a long one is answered before the long one has been read."""
    model = fake_model(slots=3, context_length=400)
    scheduler = Scheduler(model, prefill_chunk=16)
    long, short = job([2] * 300), job([3] * 10, limit=1)
    scheduler.submit(long)
    scheduler.submit(short)
    for _ in range(2):
        scheduler.step()
    assert short.ended
    assert not long.decoding


def test_short_prompts_share_a_turn(fake_model: Callable[..., Any]) -> None:
    """A chunk's worth of tokens is read before the running answers go on, from several prompts."""
    model = fake_model(slots=8)
    scheduler = Scheduler(model, prefill_chunk=32)
    for i in range(4):
        scheduler.submit(job([i] * 8))
    scheduler.step()
    assert [name for name, _ in model.calls] == ["prefill"] * 4


@pytest.mark.parametrize("can_swap", [True, False])
def test_a_free_row_in_between_disturbs_nobody(
    fake_model: Callable[..., Any], can_swap: bool
) -> None:
    """The last answer is moved down where rows can move; elsewhere the free row rides along."""
    model = fake_model(slots=3, can_swap=can_swap)
    scheduler = Scheduler(model, prefill_chunk=64)
    jobs = [job([1] * 3, 1), job([2] * 4, 2), job([3] * 5, 9)]
    for one in jobs:
        scheduler.submit(one)
    progress = run(scheduler)
    for one in jobs:
        length = one.prompt_length
        assert text_of(progress, one) == written(
            alone(model, one.tokens[:length], one.answer.tokens)
        )
    decoded = [what for name, what in model.calls if name == "decode"]
    assert decoded[-1] == (1 if can_swap else 3)
    assert any(name == "swap" for name, _ in model.calls) is can_swap


def test_rows_are_not_moved_while_others_wait(fake_model: Callable[..., Any]) -> None:
    """The free row is taken by the next request at once; copying would be for nothing."""
    model = fake_model(slots=2)
    scheduler = Scheduler(model, prefill_chunk=64)
    for i in range(6):
        scheduler.submit(job([i] * 3, limit=3 + i))
    while scheduler._waiting:
        scheduler.step()
    assert not any(name == "swap" for name, _ in model.calls)


def test_cancelling_frees_the_row_at_once(fake_model: Callable[..., Any]) -> None:
    """While it waits, while its prompt is read, and in the middle of its answer; others go on."""
    model = fake_model(slots=2, context_length=200)
    scheduler = Scheduler(model, prefill_chunk=16)
    answering, reading, waiting, last = job([1], 90), job([2] * 100), job([3]), job([4], 3)
    for one in (answering, reading, waiting, last):
        scheduler.submit(one)
    while not reading.filled:
        scheduler.step()
    assert answering.decoding
    assert not reading.decoding
    for one in (waiting, reading, answering):
        scheduler.cancel(one)
        scheduler.cancel(one)  # twice is fine
    progress = run(scheduler)
    assert {job for job, _ in progress} == {last}
    assert text_of(progress, last) == written(alone(model, [4], 3))


def test_the_next_turn_of_a_conversation_starts_where_the_last_one_ended(
    fake_model: Callable[..., Any],
) -> None:
    """What a free row holds is kept, and only the rest of a prompt that begins alike is read."""
    model = fake_model(slots=2, context_length=200)
    scheduler = Scheduler(model, prefill_chunk=64)
    first, other = job([5] * 50, 6), job([6] * 40, 6)
    for one in (first, other):
        scheduler.submit(one)
    run(scheduler)
    again = job([*first.tokens, 7, 7], 4)
    model.calls.clear()
    scheduler.submit(again)
    progress = run(scheduler)
    assert again.cached == 55  # the very last token of an answer is never read
    assert model.calls[0][1][1:] == (3, 55)  # so many tokens, from there on
    assert text_of(progress, again) == written(alone(model, again.tokens[:58], 4))


@pytest.mark.parametrize("reuse", [True, False])
def test_prefixes_are_reused_only_when_allowed_and_worth_it(
    fake_model: Callable[..., Any], reuse: bool
) -> None:
    """Short ones are read anew, and the last token of a prompt always is."""
    model = fake_model(slots=1, context_length=200)
    scheduler = Scheduler(model, prefill_chunk=64, reuse_prefixes=reuse)
    cached = []
    for prompt in ([1] * 20, [1] * 20, [1] * 60, [1] * 60):
        one = job(prompt, 2)
        scheduler.submit(one)
        run(scheduler)
        cached.append(one.cached)
    assert cached == ([0, 0, 0, 59] if reuse else [0, 0, 0, 0])


def test_a_row_that_rode_along_is_not_reused(fake_model: Callable[..., Any]) -> None:
    """Its first place was written to; what else it holds is worth nothing without."""
    model = fake_model(slots=2, context_length=200, can_swap=False)
    scheduler = Scheduler(model, prefill_chunk=64)
    short, long = job([5] * 40, 2), job([6] * 40, 30)
    for one in (short, long):
        scheduler.submit(one)
    while not short.ended:
        scheduler.step()
    for _ in range(3):
        scheduler.step()
    again = job([5] * 50, 2)
    scheduler.submit(again)
    assert text_of(run(scheduler), again) == written(alone(model, [5] * 50, 2))
    assert again.cached == 0


def test_after_a_failure_everything_is_forgotten(fake_model: Callable[..., Any]) -> None:
    """Rows may hold anything then: nothing of them is used again."""
    model = fake_model(slots=1)
    scheduler = Scheduler(model, prefill_chunk=64)
    running, waiting = job([1] * 40), job([2])
    scheduler.submit(running)
    scheduler.step()
    scheduler.submit(waiting)
    model.failures.append(RuntimeError("gone"))
    with pytest.raises(RuntimeError, match="gone"):
        scheduler.step()
    assert scheduler.abandon() == [running, waiting]
    assert not scheduler.busy
    scheduler.cancel(running)  # its client may learn of it later
    again = job([1] * 40)
    scheduler.submit(again)
    assert text_of(run(scheduler), again) == written(alone(model, [1] * 40))
    assert again.cached == 0


@pytest.mark.parametrize("chunk", [7, 16, 64])
def test_answers_to_one_prompt_read_it_once(fake_model: Callable[..., Any], chunk: int) -> None:
    """Its row is copied, and all begin with the same scores."""
    model = fake_model(slots=4, context_length=80)
    scheduler, jobs = Scheduler(model, prefill_chunk=chunk), family(list(range(40)), 4)
    for one in jobs:
        scheduler.submit(one)
    progress = run(scheduler)
    for one in jobs:
        assert text_of(progress, one) == written(alone(model, list(range(40))))
    assert sum(what[1] for name, what in model.calls if name == "prefill") == 40
    assert [name for name, _ in model.calls].count("copy") == 3


def test_answers_that_come_later_copy_what_runs(fake_model: Callable[..., Any]) -> None:
    """More than there are rows: only the last token of the prompt is read again."""
    model = fake_model(slots=2, context_length=80)
    scheduler = Scheduler(model, prefill_chunk=64, reuse_prefixes=False)
    prompt = list(range(40))
    jobs = [job(prompt, 3 + 2 * i, index=i) for i in range(6)]
    for one in jobs:
        scheduler.submit(one)
    progress = run(scheduler)
    for i, one in enumerate(jobs):
        assert text_of(progress, one) == written(alone(model, prompt, 3 + 2 * i))
    assert sum(what[1] for name, what in model.calls if name == "prefill") == 40 + 4


def test_rows_that_cannot_be_copied_read_the_prompt_again(fake_model: Callable[..., Any]) -> None:
    """The answers are the same."""
    model = fake_model(slots=3, context_length=80, can_copy=False)
    scheduler, jobs = Scheduler(model, prefill_chunk=64), family([4] * 20, 3)
    for one in jobs:
        scheduler.submit(one)
    progress = run(scheduler)
    assert {text_of(progress, one) for one in jobs} == {written(alone(model, [4] * 20))}
    assert not any(name == "copy" for name, _ in model.calls)


def test_another_request_with_the_same_prompt_is_a_stranger(fake_model: Callable[..., Any]) -> None:
    """Only answers of one request wait for each other."""
    model = fake_model(slots=2)
    scheduler = Scheduler(model, prefill_chunk=64)
    for one in (job([1, 2, 3]), job([1, 2, 3])):
        scheduler.submit(one)
    run(scheduler)
    assert not any(name == "copy" for name, _ in model.calls)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_an_answer_that_leaves_takes_no_other_along(
    fake_model: Callable[..., Any], gone: int
) -> None:
    """Another goes on with the prompt that it was reading for all."""
    model = fake_model(slots=3, context_length=200)
    scheduler, jobs = Scheduler(model, prefill_chunk=16), family([3] * 60, 3)
    for one in jobs:
        scheduler.submit(one)
    scheduler.step()
    scheduler.cancel(jobs[gone])
    progress = run(scheduler)
    for i, one in enumerate(jobs):
        expected = "" if i == gone else written(alone(model, [3] * 60))
        assert text_of(progress, one) == expected
    assert all(row is None for row in scheduler._rows)


def test_cancelling_all_answers_frees_all_rows(fake_model: Callable[..., Any]) -> None:
    """Those that read, those that wait for them, those that wait for a row."""
    model = fake_model(slots=3, context_length=200)
    scheduler, jobs = Scheduler(model, prefill_chunk=16), family([3] * 60, 7)
    for one in jobs:
        scheduler.submit(one)
    for steps in (0, 1, 4):
        for _ in range(steps):
            scheduler.step()
        for one in jobs:
            scheduler.cancel(one)
        assert not scheduler.busy
        assert not scheduler._prefilling
        assert not scheduler._following
        jobs = family([3] * 60, 7)
        for one in jobs:
            scheduler.submit(one)


class Refuses:
    """A constraint that gives up at its third token."""

    complete = False

    def __init__(self) -> None:
        self._seen = 0

    def apply(self, logits: Any) -> None:
        if self._seen == 2:
            raise InvalidRequest("too complex", param="tools")

    def saw(self, token: int) -> None:
        self._seen += 1


def test_an_answer_that_fails_leaves_the_others_alone(fake_model: Callable[..., Any]) -> None:
    """Its row is free, and the news says so without events."""
    model = fake_model()
    scheduler, fine = Scheduler(model, prefill_chunk=64), job([1, 2], 9)
    lost = Job([3, 4], Chooser(GREEDY, [], constraint=Refuses()), Answer(Numbers(), limit=9))
    for one in (fine, lost):
        scheduler.submit(one)
    progress = run(scheduler)
    assert text_of(progress, fine) == written(alone(model, [1, 2], 9))
    assert text_of(progress, lost) == written(alone(model, [3, 4], 2))
    assert [events for one, events in progress if one is lost][-1] == []
    assert isinstance(lost.chooser.failure, InvalidRequest)
    assert lost.ended


class Completes(Refuses):
    """A constraint whose form is complete after two tokens."""

    @property
    def complete(self) -> bool:  # type: ignore[override]
        return self._seen == 2

    def apply(self, logits: Any) -> None:
        pass


def test_a_complete_form_ends_the_answer_without_another_step(
    fake_model: Callable[..., Any],
) -> None:
    """Whatever the model would have said next."""
    model = fake_model()
    scheduler = Scheduler(model, prefill_chunk=64)
    one = Job([3, 4], Chooser(GREEDY, [], constraint=Completes()), Answer(Numbers(), limit=9))
    scheduler.submit(one)
    progress = run(scheduler)
    assert text_of(progress, one) == written(alone(model, [3, 4], 2))
    assert finishes(progress)[-1] == "stop"
    assert len(model.calls) == 2


Plan = list[tuple[int, int, int, int | None, int]]


@settings(
    deadline=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # the fixture is a class and holds nothing
@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 12),  # at which step it comes
            st.sampled_from([1, 2, 5, 17, 33, 60]),  # length of its prompt
            st.integers(1, 12),  # tokens of its answer
            st.none() | st.integers(0, 12),  # steps until it is cancelled
            st.sampled_from([1, 1, 1, 2, 5]),  # answers to it
        ),
        min_size=1,
        max_size=12,
    ),
    slots=st.integers(1, 4),
    chunk=st.sampled_from([1, 7, 16, 64]),
    can_swap=st.booleans(),
    can_copy=st.booleans(),
    alike=st.booleans(),
)
def test_any_crowd_gets_what_each_would_get_alone(
    *,
    fake_model: Callable[..., Any],
    plan: Plan,
    slots: int,
    chunk: int,
    can_swap: bool,
    can_copy: bool,
    alike: bool,
) -> None:
    """Whoever comes, leaves or waits, whatever is moved or kept: the answers are the same."""
    model = fake_model(slots=slots, context_length=80, can_swap=can_swap, can_copy=can_copy)
    scheduler = Scheduler(model, prefill_chunk=chunk)
    jobs: dict[int, list[Job]] = {}
    progress: list[Progress] = []
    cancelled: set[int] = set()
    step = 0
    while len(jobs) < len(plan) or scheduler.busy:
        for i, (at, length, limit, leaves, answers) in enumerate(plan):
            if at == step:
                prompt = [(j * 7 + 3 + (0 if alike else i)) % 97 for j in range(length)]
                jobs[i] = family(prompt, answers, limit)
                for one in jobs[i]:
                    scheduler.submit(one)
            if leaves is not None and at + leaves == step:
                for one in jobs[i]:
                    scheduler.cancel(one)
                cancelled.add(i)
        progress += scheduler.step()
        step += 1
    for i, family_of_one in jobs.items():
        for one in family_of_one:
            whole = written(alone(model, one.tokens[: plan[i][1]], plan[i][2]))
            got = text_of(progress, one)
            assert got == whole or (i in cancelled and whole.startswith(got))
    assert all(row is None for row in scheduler._rows)
    assert not scheduler._prefilling
    assert not scheduler._following
