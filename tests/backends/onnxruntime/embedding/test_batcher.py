"""Which inputs share a call, and in which order requests are served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_backends.onnxruntime.embedding.batcher import Batcher, Job, News
from hoonify_backends.onnxruntime.embedding.model import Floats, Halt, Tokens
from hoonify_router.errors import ModelUnavailable
from hoonify_router.types import Counted, Embedded


class FakeEncoder:
    """Gives each row a vector that no other row has; remembers its calls' lengths."""

    normalize = True

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.during: Callable[[], None] = lambda: None

    def embed(self, rows: Sequence[Tokens], halt: Halt | None = None) -> Floats:
        self.calls.append([len(row) for row in rows])
        self.during()
        if halt is not None and halt.requested:
            raise RuntimeError("terminated")
        return np.array([vector_of(row) for row in rows], np.float32)


def vector_of(row: Tokens) -> list[float]:
    return [float(len(row)), float(row[0]), float(row.sum()), 2.0]


def job(*lengths: int, first: int = 1, **wishes: Any) -> Job:
    return Job([np.arange(first, first + n, dtype=np.int32) for n in lengths], **wishes)


class Served:
    """Runs steps and gathers what each request got."""

    def __init__(self, batcher: Batcher) -> None:
        self.batcher = batcher
        self.got: dict[Job, dict[int, list[float]]] = {}
        self.ended: list[Job] = []

    def step(self) -> list[News]:
        news = self.batcher.step()
        for one, events in news:
            for event in events:
                assert one not in self.ended
                if type(event) is Embedded:
                    vector = np.frombuffer(event.vector, "<f4").tolist()
                    assert self.got.setdefault(one, {}).setdefault(event.index, vector) is vector
                else:
                    assert type(event) is Counted
                    assert event.usage.prompt_tokens == one.tokens
                    self.ended.append(one)
        return news

    def all(self) -> None:
        while self.batcher.busy:
            self.step()


def serve(batch_tokens: int, *jobs: Job) -> tuple[FakeEncoder, Served]:
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=batch_tokens)
    for one in jobs:
        batcher.submit(one)
    served = Served(batcher)
    served.all()
    return model, served


def test_inputs_of_like_length_share_a_call() -> None:
    """The longest first, and no short one is filled up to its double."""
    model, _ = serve(1024, job(200, 10, 190, 12, 100, 210, 9))
    assert model.calls == [[190, 200, 210], [100], [9, 10, 12]]


def test_short_inputs_share_a_call_whatever_their_length() -> None:
    """A call of its own costs more than a few tokens that fill up."""
    model, _ = serve(1024, job(1, 16, 2, 8))
    assert model.calls == [[1, 2, 8, 16]]


def test_a_call_has_no_more_tokens_than_it_may() -> None:
    """What fills up counts too."""
    model, _ = serve(64, job(*[16] * 7, 10))
    assert model.calls == [[16] * 4, [10, *[16] * 3]]


def test_an_input_over_the_limit_has_a_call_of_its_own() -> None:
    """Nothing waits for ever."""
    model, _ = serve(8, job(20, 18, 3, 3))
    assert model.calls == [[20], [18], [3, 3]]


def test_requests_share_a_call() -> None:
    """Many clients with one input each are served at once."""
    jobs = [job(5 + i, first=i + 1) for i in range(8)]
    model, served = serve(1024, *jobs)
    assert len(model.calls) == 1
    assert sorted(model.calls[0]) == list(range(5, 13))
    assert served.ended == jobs


def test_every_vector_goes_to_its_input() -> None:
    """Whatever the order in which they are read."""
    lengths = [7, 300, 1, 45, 45, 46, 299, 16, 17]
    one, two = job(*lengths), job(*reversed(lengths), first=9)
    _, served = serve(128, one, two)
    for each in (one, two):
        assert served.got[each] == {place: vector_of(row) for place, row in enumerate(each.inputs)}


def test_a_small_request_does_not_wait_for_a_large_one() -> None:
    """It is in the next call, though the large one came first and has enough to fill it."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=64)
    served = Served(batcher)
    large, small = job(*[16] * 100), job(12)
    batcher.submit(large)
    served.step()
    batcher.submit(small)
    served.step()
    assert served.ended == [small]
    assert model.calls[1] == [12, 16, 16, 16]


def test_a_small_request_of_another_length_waits_for_one_call() -> None:
    """It cannot share, but it leads the next."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=1024)
    served = Served(batcher)
    large, small = job(*[256] * 100), job(5)
    batcher.submit(large)
    served.step()
    batcher.submit(small)
    served.step()
    assert (model.calls[1], served.ended) == ([5], [small])


def test_large_requests_get_equal_shares() -> None:
    """Of the calls they share and, by turns, of those they cannot share."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=64)
    served = Served(batcher)
    same, other, long = job(*[16] * 40), job(*[15] * 40), job(*[60] * 40)
    for one in (same, other, long):
        batcher.submit(one)
    for _ in range(12):
        served.step()
    read = [one.tokens - one.waiting for one in (same, other, long)]
    assert max(read) - min(read) <= 64


def test_who_comes_later_is_not_served_for_the_time_before() -> None:
    """Old requests go on beside a new one."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=32)
    served = Served(batcher)
    old, new = job(*[16] * 50), job(*[16] * 50)
    batcher.submit(old)
    for _ in range(10):
        served.step()
    batcher.submit(new)
    before = old.waiting
    for _ in range(4):
        served.step()
    assert before - old.waiting >= 48
    assert new.tokens - new.waiting >= 48


def test_a_cancelled_request_is_read_no_further() -> None:
    """What it shared goes on for the others."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=32)
    served = Served(batcher)
    gone, stays = job(*[16] * 9), job(*[16] * 3)
    batcher.submit(gone)
    batcher.submit(stays)
    served.step()
    batcher.cancel(gone)
    batcher.cancel(gone)
    served.all()
    assert served.ended == [stays]
    assert gone.waiting == 8 * 16


def test_a_call_that_nobody_waits_for_any_more_ends_early() -> None:
    """It is no failure, and the next request has the model at once."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=32)
    gone, next_one = job(16, 16), job(3)
    batcher.submit(gone)
    model.during = lambda: batcher.disown(gone)
    assert batcher.step() == []
    assert not batcher.busy
    model.during = lambda: None
    batcher.submit(next_one)
    served = Served(batcher)
    served.all()
    assert served.ended == [next_one]


def test_a_call_that_others_wait_for_goes_on() -> None:
    """One of two leaves: the other gets its vectors."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=64)
    gone, stays = job(16), job(16)
    batcher.submit(gone)
    batcher.submit(stays)
    model.during = lambda: batcher.disown(gone)
    served = Served(batcher)
    served.step()
    assert stays in served.ended


def test_a_request_that_left_before_its_call_is_not_read() -> None:
    """Its cancellation may still be on the way to the thread."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=64)
    gone = job(16)
    batcher.submit(gone)
    batcher.disown(gone)
    assert batcher.step() == []
    assert (model.calls, batcher.busy, batcher.running) == ([], False, 0)


def test_only_a_failed_calls_requests_are_lost() -> None:
    """The others are served by the next."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=32)
    lost, waits = job(*[16] * 4), job(200)

    def fail() -> None:
        raise MemoryError

    batcher.submit(lost)
    batcher.submit(waits)
    model.during = fail
    with pytest.raises(MemoryError):
        batcher.step()
    assert batcher.abandon() == [lost]
    model.during = lambda: None
    served = Served(batcher)
    served.all()
    assert served.ended == [waits]


def test_vectors_that_are_no_numbers_reach_nobody() -> None:
    """The request fails; its neighbours do not."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=64)
    bad, good = job(16), job(15)
    batcher.submit(bad)
    batcher.submit(good)
    plain = model.embed

    def embed(rows: Sequence[Tokens], halt: Halt | None = None) -> Floats:
        vectors = plain(rows, halt)
        vectors[[len(row) == 16 for row in rows]] = np.inf
        return vectors

    model.embed = embed  # type: ignore[method-assign]
    news = dict(batcher.step())
    assert (news[bad], type(bad.failure)) == ([], ModelUnavailable)
    assert len(news[good]) == 2
    assert not batcher.busy


@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_are_cut_and_scaled_again(normalize: bool) -> None:
    """To length 1, where the model's have it; only those of the request that asked."""
    model = FakeEncoder()
    model.normalize = normalize
    batcher = Batcher(model, batch_tokens=64)
    cut, whole = job(3, first=4, dimensions=2), job(3, first=4)
    batcher.submit(cut)
    batcher.submit(whole)
    served = Served(batcher)
    served.all()
    assert served.got[whole][0] == [3, 4, 15, 2]
    assert served.got[cut][0] == pytest.approx([0.6, 0.8] if normalize else [3, 4])


def test_the_pace_is_known() -> None:
    """For honest words to who has to wait."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=64)
    clock = iter(range(0, 1000, 64))
    batcher.submit(job(*[16] * 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: float(next(clock)))
        batcher.step()
    assert batcher.seconds_per_token == pytest.approx(1)


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 80), min_size=1, max_size=12),  # lengths of a request
            st.integers(0, 6),  # steps before it comes
            st.none() | st.integers(0, 6),  # steps before it is cancelled
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 200),
)
def test_whatever_comes_and_goes_everyone_is_served_once(
    requests: list[tuple[list[int], int, int | None]], batch_tokens: int
) -> None:
    """Every input of every request that stays, its own vector, one end; no call over its limit; nothing left."""
    model = FakeEncoder()
    batcher = Batcher(model, batch_tokens=batch_tokens)
    served = Served(batcher)
    jobs = [job(*lengths, first=i + 1) for i, (lengths, _, _) in enumerate(requests)]
    gone = set()
    for now in range(8):
        for one, (_, comes, goes) in zip(jobs, requests, strict=True):
            if now == comes:
                batcher.submit(one)
            if goes is not None and now == comes + goes and one not in served.ended:
                batcher.disown(one)
                batcher.cancel(one)
                gone.add(one)
        served.step()
    for one, (_, comes, goes) in zip(jobs, requests, strict=True):
        if goes is not None and comes + goes >= 8 and one not in served.ended:
            batcher.cancel(one)
            gone.add(one)
    served.all()
    assert set(served.ended) == set(jobs) - gone
    for one in served.ended:
        assert served.got[one] == {i: vector_of(row) for i, row in enumerate(one.inputs)}
        assert one.waiting == 0
    assert all(len(call) == 1 or len(call) * max(call) <= batch_tokens for call in model.calls)
    assert batcher.running == 0
