"""A session's requests meet, and few move when homes do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from hoonify_plugins.balancers.session import Session, SessionSettings
from hoonify_router.api import Candidate, RequestContext
from hoonify_router.types import HomeView

MakeCandidates = Callable[..., list[Candidate]]
MakeContext = Callable[..., RequestContext]

SESSIONS = [f"user-{number}" for number in range(3000)]


def balancer(**settings: str) -> Session:
    return Session(SessionSettings(**settings), random.Random(1))


def places(
    one: Session, made: list[Candidate], context: MakeContext, sessions: list[str] = SESSIONS
) -> dict[str, str]:
    """Return where each session goes."""
    return {name: one.choose(made, context("hi", user=name)).home.id for name in sessions}


def test_a_session_stays_whatever_the_load(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """And all gateways agree, without a word between them."""
    idle, busy = candidates(1, 1, 1), candidates(1, 1, 1, busy=[9, 0, 50])
    assert places(balancer(), idle, context) == places(balancer(), busy, context)


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1), (1, 2, 3, 4)])
def test_homes_have_as_many_sessions_as_they_weigh(
    candidates: MakeCandidates, context: MakeContext, weights: tuple[int, ...]
) -> None:
    """Within a few per cent."""
    shares = Counter(places(balancer(), candidates(*weights), context).values())
    for number, weight in enumerate(weights):
        assert abs(shares[f"m/{number}"] / len(SESSIONS) - weight / sum(weights)) < 0.03


def test_only_the_sessions_of_a_home_that_goes_move(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """They spread over all others, and return when it does."""
    made = candidates(1, 1, 1, 1)
    before = places(balancer(), made, context)
    after = places(balancer(), made[:2] + made[3:], context)
    assert {name for name in SESSIONS if before[name] != after[name]} == {
        name for name, home in before.items() if home == "m/2"
    }
    assert {after[name] for name, home in before.items() if home == "m/2"} == {"m/0", "m/1", "m/3"}


def test_a_home_that_comes_takes_only_its_share(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Nobody moves between the old ones."""
    before = places(balancer(), candidates(1, 1), context)
    after = places(balancer(), candidates(1, 1, 1), context)
    moved = {name for name in SESSIONS if before[name] != after[name]}
    assert all(after[name] == "m/2" for name in moved)
    assert abs(len(moved) / len(SESSIONS) - 1 / 3) < 0.03


def test_a_header_counts_before_a_cache_key_before_a_user(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """The first of them that says something; the header's name is the operator's choice."""
    made, one = candidates(*[1] * 16), balancer(header="X-Conversation")
    by = places(one, made, context)

    def home(headers: dict[str, str] | None = None, **fields: str) -> str:
        return one.choose(made, context("hi", headers, **fields)).home.id

    a, b, c = (next(n for n in SESSIONS if by[n] == f"m/{place}") for place in range(3))
    assert home(user=a) == "m/0"
    assert home(user=a, prompt_cache_key=b) == "m/1"
    assert home({"x-conversation": c}, user=a, prompt_cache_key=b) == "m/2"
    assert home({"x-conversation": ""}, user=a) == "m/0"
    assert home({"x-session-id": c}, user=a) == "m/0"


def test_without_a_session_the_less_busy_home_is_taken(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Nothing is kept together that does not belong together."""
    made = candidates(1, 1, busy=[5, 0])
    for asked in (context("hi"), context("hi", user=""), context()):
        assert balancer().choose(made, asked).home.id == "m/1"


def test_a_server_is_known_by_its_address(context: MakeContext) -> None:
    """Its place in the file may change; an engine's socket is new at every start, its place is not."""

    def made(kind: str, *pairs: tuple[str, str]) -> list[Candidate]:
        return [
            Candidate(HomeView(name, "m", "openai", kind, "ready", address))  # type: ignore[arg-type]
            for name, address in pairs
        ]

    def addresses(some: list[Candidate]) -> list[str]:
        return [
            balancer().choose(some, context("hi", user=name)).home.address
            for name in SESSIONS[:200]
        ]

    first = made("server", ("m/0", "http://a"), ("m/1", "http://b"), ("m/2", "http://c"))
    moved = made("server", ("m/0", "http://c"), ("m/1", "http://a"), ("m/2", "http://b"))
    assert addresses(first) == addresses(moved)
    old = made("worker", ("m/0", "/run/1"), ("m/1", "/run/2"))
    new = made("worker", ("m/0", "/run/8"), ("m/1", "/run/9"))
    assert places(balancer(), old, context) == places(balancer(), new, context)


def test_odd_names_are_names_too(candidates: MakeCandidates, context: MakeContext) -> None:
    """Very long, not even Unicode."""
    made = candidates(1, 1)
    for name in ("x" * 100_000, "\ud800", "日本"):
        homes = {balancer().choose(made, context("hi", user=name)).home.id for _ in range(3)}
        assert len(homes) == 1


def test_a_header_has_a_name() -> None:
    """One that no request could have is refused with the configuration."""
    for bad in ("", "two words", "x:y"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"header": bad}, SessionSettings)
