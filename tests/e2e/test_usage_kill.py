"""Whoever is killed, and whenever: what a client has read to its end stands in the records, once."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Router, wait_until
from tests.e2e.keyed import Line, declared, key_of, settings

LIMITS = {"plans": {"unlimited": {}}}
CONFIG = settings(declared("ada", "unlimited"), limits=LIMITS)
CLIENTS = 4


class Clients:
    """Ask all the time, and remember which answers were complete.

    Args:
        port: Of the router; may be changed when another one has taken its place.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered: list[str] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stopping.is_set():
            opened = Line(self.port, key_of("ada"))
            try:
                for _ in range(20):
                    self._ask(opened, chance)
            except (OSError, http.client.HTTPException, ValueError):
                self._stopping.wait(0.02)  # somebody has been killed
            finally:
                opened.connection.close()

    def _ask(self, opened: Line, chance: random.Random) -> None:
        stream = chance.random() < 0.5
        told = opened.chat("a b c", stream=stream)
        if told.status != 200:
            self._stopping.wait(0.02)
        elif stream:
            if told.body.endswith(b"data: [DONE]\n\n") and b'"error"' not in told.body:
                self.answered.append(told.headers["x-request-id"])
        elif json.loads(told.body)["usage"]["prompt_tokens"] == 3:
            self.answered.append(told.headers["x-request-id"])


class Victim:
    """A router of which one process after the other is killed.

    Args:
        folder: For its configuration and state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "router.yaml").write_text(CONFIG)
        self.started: list[Router] = []
        self.start()

    @property
    def router(self) -> Router:
        return self.started[-1]

    def start(self) -> None:
        self.started.append(Router(self.folder / "router.yaml", self.folder, "--workers", "2"))
        self.router.wait_ready()

    def gateways(self) -> list[int]:
        """Return the processes that write journals."""
        return [pid for pid in self.router.processes() if _writes_a_journal(pid)]

    def kill(self, what: str, chance: random.Random) -> None:
        """Kill one of its processes; where that is the end of all, start it again."""
        if what == "main":
            self.router.process.kill()
            self.router.process.wait()
            wait_until(lambda: not self.router.processes(), 60, "everything to go")
            self.start()
            return
        if what == "gateway":
            found = wait_until(self.gateways, 60, "a gateway")
        else:
            found = wait_until(self.router.engines, 60, "an engine")
            if what == "supervisor":
                found = [_parent(found[0])]
        with contextlib.suppress(ProcessLookupError):  # it may just have gone with another one
            os.kill(chance.choice(found), signal.SIGKILL)

    def records(self) -> list[str]:
        """Stop the router, let the command take over what is left, and return the ids of all records."""
        self.router.stop()
        subprocess.run(
            [
                sys.executable,
                "-m",
                "hoonify_router",
                "usage",
                "--config",
                self.folder / "router.yaml",
            ],
            env={**os.environ, "HOONIFY_STATE_DIR": str(self.router.state)},
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert not list((self.router.state / "usage").glob("*.journal"))
        with contextlib.closing(sqlite3.connect(self.router.state / "hoonify.db")) as database:
            return [row[0] for row in database.execute("SELECT request_id FROM usage_records")]


def _writes_a_journal(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(fd).endswith(".journal"):
                    return True
    return False


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    made = Victim(tmp_path)
    try:
        yield made
    finally:
        for router in made.started:
            router.clean_up()


def check_that_nothing_is_lost(victim: Victim, kills: list[str], seed: int = 0) -> None:
    """Kill one after the other while clients ask; each in the middle of its work."""
    chance = random.Random(seed)
    clients = Clients(victim.router.port)
    try:
        before = "the start"
        for number, what in enumerate(kills):
            enough = len(clients.answered) + chance.randint(5, 40)
            wait_until(
                lambda enough=enough: len(clients.answered) >= enough,
                60,
                f"answers after {number} kills, of {before} the last",
            )
            before = what
            victim.kill(what, chance)
            clients.port = victim.router.port
        enough = len(clients.answered) + 20
        wait_until(lambda: len(clients.answered) >= enough, 60, "answers after the last kill")
    finally:
        clients.stop()
    recorded = victim.records()
    assert len(set(recorded)) == len(recorded)
    assert set(clients.answered) - set(recorded) == set()
    assert len(clients.answered) > 5 * len(kills)


def test_a_few_kills_lose_nothing(victim: Victim) -> None:
    """A gateway, the supervisor, the main process, an engine."""
    check_that_nothing_is_lost(victim, ["gateway", "supervisor", "gateway", "main", "engine"])


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_hundred_kills_lose_nothing(victim: Victim) -> None:
    """Most of them of gateways, who hold what is not in the database yet; one that died more often would be given up."""
    kills = ["gateway", "gateway", "supervisor", "gateway", "main"] * 20
    check_that_nothing_is_lost(victim, kills, seed=7)
