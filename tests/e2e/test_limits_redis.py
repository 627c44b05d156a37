"""A router whose Redis goes away and comes back while it serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conftest import wait_until
from tests.e2e.keyed import Line, Told, declared, key_of, line, settings
from tests.servers import Redis, redis

PLANS = {"wide": {"requests_per_minute": 100_000, "tokens_per_minute": 10_000_000}}


@pytest.fixture
def server() -> Iterator[Redis]:
    with redis() as started:
        yield started


@pytest.fixture
def start_with(start_router: Any, server: Redis) -> Iterator[Any]:
    """Start a router with a choice of what to do without Redis; return it, and a connection to it."""
    opened: list[Any] = []

    def start(choice: str) -> tuple[Any, Line]:
        limits = {"plans": PLANS, "store": server.url, "when_store_is_away": choice}
        router = start_router(settings(declared("ada", "wide"), limits=limits))
        router.wait_ready()
        context = line(router.port, key_of("ada"))
        opened.append(context)
        return router, context.__enter__()

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def lines_about_redis(router: Any) -> list[str]:
    return [line for line in router.lines if "Redis can" in line]


def metrics(router: Any) -> str:
    with line(router.port, None) as anybody:
        return anybody.ask("GET", "/metrics").body.decode()


def counted(told: Told) -> bool:
    return "x-ratelimit-remaining-requests" in told.headers


@pytest.mark.parametrize("choice", ["fail_open", "fail_closed"])
def test_redis_goes_and_comes_back(start_with: Any, server: Redis, choice: str) -> None:
    """The operator's choice counts meanwhile; it is logged once, and over by itself."""
    router, ada = start_with(choice)
    assert ada.chat().left() == 99_999
    server.kill()
    for _ in range(20):
        began = time.monotonic()
        told = ada.chat()
        assert time.monotonic() - began < 20
        if choice == "fail_open":
            assert (told.status, counted(told)) == (200, False)
        else:
            assert (told.status, told.json["error"]["code"]) == (503, "rate_limits_unavailable")
            assert told.headers["retry-after"] == "1"
    wait_until(lambda: lines_about_redis(router), 60, "a word in the log")
    outcome = "passed" if choice == "fail_open" else "refused"
    counter = f'hoonify_rate_limits_uncounted_total{{outcome="{outcome}"}} 20.0'
    wait_until(lambda: counter in metrics(router), 60, "the number of them")
    server.start()
    wait_until(lambda: counted(ada.chat()), 60, "limits to be told again")
    assert ada.chat().status == 200
    wait_until(lambda: len(lines_about_redis(router)) == 2, 60, "a word of relief")
    away, back = lines_about_redis(router)
    assert "cannot be reached" in away
    assert "can be reached again" in back
    assert server.url not in router.output


@pytest.mark.parametrize("choice", ["fail_open", "fail_closed"])
def test_redis_is_away_from_the_start(start_with: Any, server: Redis, choice: str) -> None:
    """The router starts all the same."""
    server.kill()
    _, ada = start_with(choice)
    assert ada.chat().status == (200 if choice == "fail_open" else 503)
    server.start()
    wait_until(lambda: counted(ada.chat()), 60, "limits to be told")


def test_a_stream_is_not_cut_when_redis_goes(start_with: Any, server: Redis) -> None:
    """It was admitted, and ends as it should."""
    _, ada = start_with("fail_closed")
    body = {
        "model": "parrot",
        "stream": True,
        "messages": [{"role": "user", "content": "[[delay 0.05]] a b c d"}],
    }
    answer = ada.send("POST", "/v1/chat/completions", body)
    assert answer.status == 200
    answer.readline()
    server.kill()
    assert answer.read().endswith(b"data: [DONE]\n\n")
