"""Keys over real HTTP and from the command line: what one process changes, all gateways of all routers know at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Router, wait_until
from tests.e2e.keyed import Line, declared, key_of, line, settings
from tests.servers import new_database, postgres

LINES = 10  # connections to each router: each of its gateways has some
SOON = 10.0  # two seconds are promised; a machine that is full of tests takes longer
LIMITS = {"plans": {"free": {"requests_per_minute": 100_000}, "unlimited": {}}}
ROOT_KEY = declared("root", "unlimited", scopes=["inference", "admin"])


class Routers:
    """Two routers of two gateways each, on one database, and a connection with the key of an admin.

    Args:
        started: They.
        stack: Closes what is opened.
    """

    def __init__(self, started: Sequence[Router], stack: ExitStack) -> None:
        self.started = started
        self._stack = stack
        self._opened = 0
        self.admin = stack.enter_context(line(started[0].port, key_of("root")))

    def lines(self, key: str) -> list[Line]:
        """Open connections to all gateways, each from an address of its own."""
        lines = []
        for router in self.started:
            for _ in range(LINES):
                self._opened += 1
                address = f"127.0.{1 + self._opened // 250}.{1 + self._opened % 250}"
                lines.append(self._stack.enter_context(line(router.port, key, address)))
        return lines

    def command(self, *words: str, router: int = 0) -> str:
        """Run ``hoonify-router keys`` and return what it printed."""
        one = self.started[router]
        done = subprocess.run(
            [sys.executable, "-m", "hoonify_router", "keys", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={
                **os.environ,
                "HOONIFY_STATE_DIR": str(one.state),
                "HOONIFY_CONFIG": str(one.state.parent / "router.yaml"),
            },
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routers]:
    with ExitStack() as stack:
        store = new_database(stack.enter_context(postgres()), "keys").replace("+psycopg", "")
        started = []
        for name in ("one", "two"):
            folder: Path = tmp_path_factory.mktemp(name)
            (folder / "router.yaml").write_text(settings(ROOT_KEY, limits=LIMITS, store=store))
            started.append(Router(folder / "router.yaml", folder, "--workers", "2"))
            stack.callback(started[-1].clean_up)
        for router in started:
            router.wait_ready()
        yield Routers(started, stack)


def statuses(lines: Sequence[Line]) -> set[int]:
    return {one.ask("GET", "/v1/models").status for one in lines}


def all_say(lines: Sequence[Line], status: int) -> float:
    """Wait until every connection has got this status, and return how long that took."""
    began = time.monotonic()

    def wait_for(one: Line) -> None:
        wait_until(lambda: statuses([one]) == {status}, 60, f"status {status} everywhere")

    with ThreadPoolExecutor(len(lines)) as threads:
        list(threads.map(wait_for, lines))
    return time.monotonic() - began


def test_the_life_of_a_key(routers: Routers) -> None:
    """Made, used, rotated with an overlap, revoked: over HTTP, and everywhere at once."""
    asked = {
        "name": "robot",
        "plan": "free",
        "owner": "ada",
        "models": ["par*"],
        "notes": "for a test",
    }
    made = routers.admin.ask("POST", "/v1/admin/keys", asked)
    assert made.status == 201
    old_id, old = made.json["id"], routers.lines(made.json["key"])
    assert all_say(old, 200) < SOON
    assert old[0].chat().status == 200
    told = old[-1].chat("hi", model="gone")
    assert (told.status, told.json["error"]["code"]) == (403, "model_not_allowed")
    assert old[0].ask("GET", "/v1/admin/keys").status == 403

    rotated = routers.admin.ask("POST", f"/v1/admin/keys/{old_id}/rotate", {"overlap": 3600})
    assert rotated.status == 201
    new_id, new = rotated.json["id"], routers.lines(rotated.json["key"])
    assert all_say(new, 200) < SOON
    assert statuses(old) == {200}
    shown = routers.admin.ask("GET", f"/v1/admin/keys/{new_id}").json
    assert [shown[name] for name in ("name", "plan", "owner", "notes")] == [
        asked[name] for name in ("name", "plan", "owner", "notes")
    ]
    assert "key" not in shown

    assert routers.admin.ask("DELETE", f"/v1/admin/keys/{old_id}").status == 200
    assert all_say(old, 401) < SOON
    assert statuses(new) == {200}
    assert routers.admin.ask("DELETE", f"/v1/admin/keys/{new_id}").status == 200
    assert all_say(new, 401) < SOON
    assert old[0].chat().json["error"]["code"] == "invalid_api_key"


def test_the_command_line_does_the_same(routers: Routers) -> None:
    """On either machine; only the key is printed."""
    key = routers.command("create", "--name", "cli", "--plan", "free", "--scope", "inference")
    lines = routers.lines(key)
    assert all_say(lines, 200) < SOON
    rows = json.loads(routers.command("list", "--json", router=1))
    (row,) = [row for row in rows if row["name"] == "cli"]
    successor = routers.command("rotate", row["id"], "--overlap", "0", router=1)
    assert all_say(lines, 401) < SOON
    heirs = routers.lines(successor)
    assert all_say(heirs, 200) < SOON
    routers.command("revoke", successor)
    assert all_say(heirs, 401) < SOON


def test_a_rotated_key_ends_with_its_overlap(routers: Routers) -> None:
    """Without anybody doing anything."""
    made = routers.admin.ask("POST", "/v1/admin/keys", {"name": "brief", "plan": "free"})
    lines = routers.lines(made.json["key"])
    all_say(lines, 200)
    body = {"overlap": 2}
    assert routers.admin.ask("POST", f"/v1/admin/keys/{made.json['id']}/rotate", body).status == 201
    assert all_say(lines, 401) < 2 + SOON


def test_a_key_that_expires(routers: Routers) -> None:
    """It is good until then and not a moment longer."""
    body = {"name": "mayfly", "plan": "free", "expires_in": 3}
    began = time.time()
    made = routers.admin.ask("POST", "/v1/admin/keys", body)
    lines = routers.lines(made.json["key"])
    assert statuses(lines[:1]) == {200}
    all_say(lines, 401)
    assert time.time() - began < 3 + SOON


def test_scopes_say_what_a_key_may_do(routers: Routers) -> None:
    """Models need `inference`, keys need `admin`; its own usage may be read with any key."""
    expected = {
        "inference": (200, 200, 403, 403),
        "usage:read": (403, 200, 403, 403),
        "admin": (403, 200, 200, 200),
    }
    for scope, wanted in expected.items():
        body = {"name": scope, "plan": "unlimited", "scopes": [scope]}
        made = routers.admin.ask("POST", "/v1/admin/keys", body)
        with line(routers.started[1].port, made.json["key"]) as one:
            told = (
                one.chat().status,
                one.ask("GET", "/v1/usage").status,
                one.ask("GET", "/v1/admin/usage").status,
                one.ask("GET", "/v1/admin/keys").status,
            )
        assert told == wanted, scope


@pytest.mark.slow
def test_when_a_key_was_last_used_is_known(routers: Routers) -> None:
    """Some seconds later, whichever gateway it was."""
    made = routers.admin.ask("POST", "/v1/admin/keys", {"name": "noted", "plan": "free"})
    assert made.json["used"] is None
    with line(routers.started[1].port, made.json["key"]) as one:
        assert one.chat().status == 200

    def used() -> Any:
        return routers.admin.ask("GET", f"/v1/admin/keys/{made.json['id']}").json["used"]

    assert wait_until(used, 60, "the time of its use")
