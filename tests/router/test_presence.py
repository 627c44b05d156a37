"""What the readiness probe reads: what is down, and whether requests should come all the same."""

from __future__ import annotations

from tests.router.doubles import home

from hoonify_router.presence import Presence


def test_what_has_failed_keeps_nothing_else_from_serving() -> None:
    """From the first result of each home on, while any of them runs; one that is tried again and again changes nothing."""
    presence, seen = Presence(), []
    for a, b in (
        ("ready", "loading"),
        ("ready", "failed"),
        ("ready", "loading"),
        ("failed", "loading"),
        ("failed", "ready"),
        ("loading", "unavailable"),
        ("unavailable", "unavailable"),
    ):
        presence.update(("a", "b"), (home("a", state=a), home("b", state=b)))
        seen.append((presence.serves, presence.missing))
    assert seen == [
        (False, ["b"]),
        (True, ["b"]),
        (True, ["b"]),
        (False, ["a", "b"]),
        (True, ["a"]),
        (False, ["a"]),
        (True, []),
    ]


def test_a_model_without_a_home_is_missing() -> None:
    """Before the first table all are."""
    presence = Presence()
    presence.update(("a", "b"), ())
    assert (presence.serves, presence.missing) == (False, ["a", "b"])
    presence.update(("a", "b"), (home("a"),))
    assert (presence.serves, presence.missing) == (False, ["b"])


def test_what_need_not_run_is_not_missed() -> None:
    """A home that sleeps, one that an operator holds, a shadow, and what is not in the catalog."""
    presence = Presence()
    homes = (
        home("a", state="stopped", always=False),
        home("b", state="draining", held=True),
        home("c"),
        home("c", state="failed", shadow=True),
        home("gone", state="loading"),
    )
    presence.update(("a", "b", "c"), homes)
    assert (presence.serves, presence.missing) == (True, [])
