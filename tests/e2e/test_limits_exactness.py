"""Limits are exact: over the gateways of one router, over two routers with one Redis, and after any number of aborts."""

from __future__ import annotations

import multiprocessing
import random
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Router, wait_until
from tests.e2e.keyed import Line, Seen, declared, hammer, key_of, line, said, settings
from tests.servers import Redis, redis

SPAWN = multiprocessing.get_context("spawn")
PROCESSES = 8
LIMIT = 300
AGAIN = [0, *(pytest.param(run, marks=pytest.mark.slow) for run in range(1, 5))]
PLANS = {
    "narrow": {"requests_per_minute": LIMIT, "tokens_per_minute": 10_000_000},
    "calm": {"requests_per_minute": 10**6, "tokens_per_minute": 10**9, "concurrent_requests": 4},
}
KEYS = (declared("ada", "narrow"), declared("bob", "calm"))


def hammered(ports: Sequence[int]) -> list[list[Seen]]:
    """Let eight processes hammer one key; return what each has seen."""
    gates, workers = [], []
    for number in range(PROCESSES):
        ours, theirs = SPAWN.Pipe()
        workers.append(SPAWN.Process(target=hammer, args=(ports, key_of("ada"), number, theirs)))
        workers[-1].start()
        theirs.close()
        gates.append(ours)
    for gate in gates:
        gate.recv()
    for gate in gates:
        gate.send(None)
    told = [gate.recv() for gate in gates]
    for worker in workers:
        worker.join()
    return told


def check_exactness(told: list[list[Seen]]) -> None:
    """Never one too many, never one too few before somebody is refused, and no remainder ever goes up."""
    admitted: dict[str, list[int]] = defaultdict(list)
    refused: dict[str, int] = defaultdict(int)
    for seen in told:
        last: dict[str, int] = {}
        for status, window, left in seen:
            assert status in (200, 429)
            assert left <= last.get(window, LIMIT)
            last[window] = left
            if status == 200:
                admitted[window].append(left)
            else:
                assert left == 0
                refused[window] += 1
    assert refused  # eight times sixty are more than the limit, in whatever window
    for window, left in admitted.items():
        assert len(left) <= LIMIT
        assert len(set(left)) == len(left)
        if refused[window]:
            assert sorted(left) == list(range(LIMIT))


@pytest.mark.parametrize("run", AGAIN)
def test_memory_is_exact_over_four_gateways(start_router: Any, run: int) -> None:
    """Eight processes at one key's limit, on the gateways of one machine."""
    router = start_router(settings(*KEYS, limits={"plans": PLANS}), "--workers", "4")
    router.wait_ready()
    check_exactness(hammered([router.port]))
    journals = [path for path in (router.state / "usage").iterdir() if path.stat().st_size]
    assert len(journals) >= 3  # or it was no test of several gateways


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    with redis() as started:
        yield started


@pytest.fixture
def start_two(tmp_path: Path) -> Iterator[Any]:
    """Start two routers with one configuration, each with a state of its own."""
    started: list[Router] = []

    def start(config: str) -> list[Router]:
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "router.yaml").write_text(config)
            started.append(Router(folder / "router.yaml", folder))
        for router in started:
            router.wait_ready()
        return started

    yield start
    for router in started:
        router.clean_up()


@pytest.mark.parametrize("run", AGAIN)
def test_redis_is_exact_over_two_routers(redis_server: Redis, start_two: Any, run: int) -> None:
    """The same with two routers that share nothing else."""
    limits = {"plans": PLANS, "store": redis_server.url, "when_store_is_away": "fail_closed"}
    routers = start_two(settings(*KEYS, limits=limits))
    check_exactness(hammered([router.port for router in routers]))
    for router in routers:
        assert any(path.stat().st_size for path in (router.state / "usage").iterdir())


# ---------------------------------------------------------------- aborts


def be_a_nuisance(port: int, seed: int) -> None:
    """Ask and leave, at any moment."""
    chance = random.Random(seed)
    for _ in range(12):
        opened = Line(port, key_of("bob"))
        words = " ".join(f"w{number}" for number in range(chance.randint(1, 60)))
        text = f"[[delay {chance.choice(['0', '0.002', '0.01'])}]] {words}"
        if chance.random() < 0.2:
            text += chance.choice([" [[error Overloaded]]", " [[bug after 3]]", " [[first 0.2]]"])
        try:
            answer = opened.send(
                "POST",
                "/v1/chat/completions",
                said(text, stream=chance.random() < 0.7, max_tokens=100),
            )
            for _ in range(chance.randint(0, 40)):
                if not answer.readline():
                    break
            if chance.random() < 0.3:
                answer.read()
        except OSError:
            pass
        finally:
            sock = opened.connection.sock
            if sock is not None and chance.random() < 0.5:  # with a reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            opened.connection.close()


def be_impatient(port: int, seed: int) -> None:
    """Send a request and leave without a look at the answer."""
    chance = random.Random(seed)
    for _ in range(8):
        opened = Line(port, key_of("bob"))
        body = said("[[first 0.05]] a b c", stream=chance.random() < 0.5)
        opened.connection.timeout = chance.random() * 0.08 + 0.001
        try:
            opened.send("POST", "/v1/chat/completions", body)
        except OSError:
            pass
        finally:
            opened.connection.close()


@pytest.mark.parametrize("store", ["memory", pytest.param("redis", marks=pytest.mark.slow)])
def test_counters_return_to_rest_after_random_aborts(
    start_router: Any, store: str, request: pytest.FixtureRequest
) -> None:
    """No slot leaks, and each token that counts against the limit stands in the records."""
    limits: dict[str, Any] = {"plans": PLANS}
    if store == "redis":
        limits["store"] = request.getfixturevalue("redis_server").url
    router = start_router(settings(*KEYS, limits=limits), "--workers", "2")
    router.wait_ready()
    for attempt in range(3):
        with line(router.port, key_of("bob")) as bob:
            before = bob.ask("GET", "/v1/usage")
        used_before = 10**9 - before.left("tokens")
        recorded_before = recorded(before)
        threads = [
            threading.Thread(target=nuisance, args=(router.port, 100 * attempt + number))
            for number, nuisance in enumerate([be_a_nuisance] * 6 + [be_impatient] * 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hold_all_slots(router)
        window = before.headers["x-ratelimit-reset-tokens"]

        def settled(window: str = window, rest: int = used_before - recorded_before) -> Any:
            with line(router.port, key_of("bob")) as bob:
                now = bob.ask("GET", "/v1/usage")
            if now.headers["x-ratelimit-reset-tokens"] != window:
                return "another window"
            return 10**9 - now.left("tokens") == recorded(now) + rest

        if wait_until(settled, 60, "all tokens in the records") is True:
            break
    else:
        pytest.fail("each attempt was cut by the end of a minute")


def recorded(usage: Any) -> int:
    """Return the tokens in an answer of ``/v1/usage``."""
    rows = usage.json["data"]
    return sum(int(row["prompt_tokens"]) + int(row["completion_tokens"]) for row in rows)


def hold_all_slots(router: Router) -> None:
    """Show that the key's four slots are free: four streams run at once, and the fifth request is refused."""
    lines = [Line(router.port, key_of("bob")) for _ in range(4)]
    body = said("[[delay 5]] a b c", stream=True)

    def taken() -> bool:
        answers = [one.send("POST", "/v1/chat/completions", body) for one in lines]
        for answer in answers:
            if answer.status == 200:
                answer.readline()
        done = [answer.status for answer in answers] == [200] * 4
        if not done:
            for one in lines:
                one.connection.close()
        return done

    wait_until(taken, 60, "four free slots")
    with line(router.port, key_of("bob")) as fifth:
        assert fifth.chat().status == 429
    for one in lines:
        one.connection.close()

    def free() -> bool:
        with line(router.port, key_of("bob")) as another:
            return another.chat().status == 200

    wait_until(free, 60, "the slots of those who left")
