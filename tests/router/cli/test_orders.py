"""``drain`` and ``models start|stop|restart``: orders to the running router."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hoonify_router.cli import orders

Run = Callable[..., Any]


class FakeRouter:
    """Remembers what it is asked for, and answers with what the test wants."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.outcome: dict[str, Any] = {
            "state": "ready",
            "in_flight": 0,
            "done": True,
            "told": "",
        }

    def ask(self, command: str, arguments: dict[str, Any], *, patience: float | None) -> Any:
        self.asked.append((command, arguments))
        return [{"home": arguments["name"], **self.outcome}]


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> FakeRouter:
    fake = FakeRouter()
    monkeypatch.setattr(orders, "find_router", lambda config: fake)
    return fake


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("drain",), "drain"),
        (("models", "stop"), "stop"),
        (("models", "start"), "start"),
        (("models", "restart"), "restart"),
    ],
)
def test_an_order_is_given_for_each_name(
    run: Run, router: FakeRouter, words: tuple[str, ...], command: str
) -> None:
    """And what has become of each is a line."""
    done = run(*words, "big/0", "small", "--timeout", "2m")
    assert (done.status, done.err) == (0, [])
    assert router.asked == [
        (command, {"name": name, "timeout": 120.0}) for name in ("big/0", "small")
    ]
    assert [line.split() for line in done.out.splitlines()] == [
        ["HOME", "STATE", "TOLD"],
        ["big/0", "ready", "-"],
        ["small", "ready", "-"],
    ]


def test_what_has_not_come_about_is_an_exit_status(run: Run, router: FakeRouter) -> None:
    """With what is left."""
    router.outcome.update(done=False, in_flight=2, told="It is slow.", state="draining")
    done = run("drain", "big", "--timeout", "1s")
    assert (done.status, done.err) == (1, ["hoonify-router: not done yet: big"])
    assert "2 requests under way. It is slow." in done.out
    router.outcome.update(in_flight=1)
    assert "1 request under way." in run("drain", "big").out


def test_orders_answer_in_json(run: Run, router: FakeRouter) -> None:
    """As the router answers."""
    assert json.loads(run("drain", "big", "--json").out) == [{"home": "big", **router.outcome}]
    assert json.loads(run("models", "--json", "start", "big").out)[0]["done"] is True


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("models", "stop"), "`models stop` needs a model or a home: which?"),
        (("models", "list", "x"), "`models list` takes no names; it lists all of them"),
        (("models", "strat", "x"), "there is no action 'strat', did you mean 'start'?"),
        (("drain", "x", "--timeout", "soon"), "expected a duration, such as 90s or 10m"),
        (("drain",), "required: MODEL|HOME"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, router: FakeRouter, words: tuple[str, ...], line: str
) -> None:
    """Before the router hears of them."""
    done = run(*words)
    assert (done.status, len(done.err)) == (2, 1)
    assert line in done.err[0]
    assert router.asked == []


def test_without_a_router_nothing_can_be_drained(run: Run) -> None:
    """It says so."""
    assert "no router runs on config/router.yaml" in run("drain", "parrot").err[0]
