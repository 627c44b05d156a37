"""What has happened at a home in the last minute: counted in slots, added up over gateways."""

from __future__ import annotations

import msgspec
import pytest
from tests.router.doubles import Wire

from hoonify_router.answer import Answer
from hoonify_router.errors import EngineDead
from hoonify_router.forms import new_answer
from hoonify_router.identity import Names
from hoonify_router.reply import Reply
from hoonify_router.tally import Tally, bucket_of, merged, percentile, traffic_of
from hoonify_router.types import EmbeddingRequest, Usage
from hoonify_router.types.status import HomeTally


def said(first_at: float | None, pieces: int = 0) -> Answer:
    """Return an answer of which only the times matter."""
    answer = new_answer(EmbeddingRequest("parrot", "hi"), Names(), Reply(Wire(), {}), lambda: None)
    answer.first_at = first_at
    answer.pieces = pieces
    return answer


def note(
    tally: Tally, at: float, *, first: float | None = 0.1, lasts: float = 1.0, tokens: int = 11
) -> None:
    """Count a stream that came at ``at``."""
    answer = said(None if first is None else at + first)
    tally.note(answer, at, at + lasts, True, Usage(7, tokens))


def test_what_ended_is_counted_with_its_times() -> None:
    """Time to the first token from the request's arrival, then the average pause."""
    tally = Tally()
    note(tally, 100.0, first=0.5, lasts=1.5, tokens=11)
    told = tally.read(3, now=102.0)
    assert (told.in_flight, told.requests, told.failed) == (3, 1, 0)
    assert (told.prompt_tokens, told.completion_tokens, told.produced) == (7, 11, 11.0)
    assert told.ttft == {bucket_of(0.5): 1}
    assert told.itl == {bucket_of(0.1): 1}


def test_a_minute_later_all_is_forgotten() -> None:
    """Whether anything has come since or not."""
    tally = Tally()
    for second in range(300):
        note(tally, float(second))
    assert 50 <= tally.read(now=300.0).requests <= 62
    assert tally.read(now=330.0).requests < 35
    assert tally.read(now=400.0) == HomeTally()


def test_an_answer_in_one_piece_has_no_times() -> None:
    """A server's first word is its last there."""
    tally = Tally()
    tally.note(said(101.0), 100.0, 101.0, False, Usage(7, 11))
    told = tally.read(now=102.0)
    assert (told.requests, told.completion_tokens, told.ttft, told.itl) == (1, 11, {}, {})


def test_one_token_has_no_pause() -> None:
    """And an answer that never began has no first token."""
    tally = Tally()
    note(tally, 100.0, tokens=1)
    note(tally, 100.0, first=None, tokens=0)
    told = tally.read(now=102.0)
    assert (told.requests, sum(told.ttft.values()), told.itl) == (2, 1, {})


def test_long_answers_count_as_they_are_written() -> None:
    """And when they end they count no more than a minute can hold."""
    tally = Tally()
    tally.live.add(said(90.0, pieces=100))
    tally.live.add(said(None))
    assert tally.read(now=100.0).produced == 100.0
    tally.live = {said(0.0, pieces=600)}
    assert tally.read(now=600.0).produced == pytest.approx(60.0)
    note(tally, 0.0, first=0.0, lasts=600.0, tokens=6000)
    tally.live.clear()
    assert tally.read(now=600.0).produced == pytest.approx(600.0)


def test_failures_are_kept_without_their_words() -> None:
    """They may be a client's."""
    tally = Tally()
    for number in range(9):
        note(tally, 100.0)
        tally.note_failure(EngineDead(f"my secret prompt {number}"), "parrot")
    told = tally.read(now=102.0)
    assert (told.requests, told.failed, len(told.errors)) == (9, 9, 5)
    assert told.errors[0].kind == "EngineDead"
    assert told.errors[0].what.startswith("The engine ended, or its connection broke")
    assert b"secret" not in msgspec.json.encode(told)


@pytest.mark.parametrize("seconds", [0.00002, 0.0005, 0.0123, 0.5, 3.0, 77.0, 1000.0])
def test_a_percentile_is_right_within_three_percent(seconds: float) -> None:
    """Whatever the size."""
    for near in (seconds, seconds * 1.01, seconds * 1.02, seconds * 1.04):
        assert percentile({bucket_of(near): 5}, 0.5) == pytest.approx(near, rel=0.035)


def test_percentiles_of_many() -> None:
    """The median is in the middle, the slowest hundredth at its end; of none there is none."""
    buckets: dict[int, int] = {}
    for number in range(1, 1001):
        bucket = bucket_of(number / 1000)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    assert percentile(buckets, 0.5) == pytest.approx(0.5, rel=0.05)
    assert percentile(buckets, 0.99) == pytest.approx(0.99, rel=0.05)
    assert percentile({}, 0.5) is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e9])
def test_odd_durations_have_a_bucket(seconds: float) -> None:
    """A clock that does not move, and one that never stops."""
    assert 0 <= bucket_of(seconds) <= 27 * 12


def test_tallies_add_up() -> None:
    """Over gateways or homes; the worst breaker is told."""
    one = HomeTally(in_flight=1, requests=60, produced=120.0, ttft={3: 1}, breaker="open")
    two = HomeTally(in_flight=2, requests=60, failed=1, ttft={3: 1, 4: 2}, breaker="half-open")
    both = merged([one, two, HomeTally()])
    assert (both.in_flight, both.requests, both.failed, both.breaker) == (3, 120, 1, "open")
    assert both.ttft == {3: 2, 4: 2}
    traffic = traffic_of(both)
    assert (traffic.requests_per_second, traffic.tokens_per_second) == (2.0, 2.0)
    assert traffic.ttft_p50 is not None
    assert traffic.itl_p50 is None
