"""Homes are taken out of service and given back under streams, and nobody loses a word."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from .conftest import Router, StartRouter, wait_until
from .keyed import declared, key_of, line, settings

pytestmark = pytest.mark.slow  # each starts a router

TWINS = """
models:
  twins:
    provider: Nobody
    context_length: 4096
    homes:
      - {backend: echo, options: {token_delay: 0.05}}
      - {backend: echo, options: {token_delay: 0.05}}
"""
WORDS = " ".join(f"w{number}" for number in range(40))


def order(router: Router, folder: Path, *words: str) -> tuple[int, str, str]:
    """Run the command line on the router's configuration."""
    program = Path(sys.executable).with_name("hoonify-router")
    done = subprocess.run(
        [program, *words, "--config", folder / "router.yaml"],
        env={**os.environ, "HOONIFY_STATE_DIR": str(router.state)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


class Listener(threading.Thread):
    """A client with streams one after the other, until it is told to stop."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self.router = router
        self.over = threading.Event()
        self.whole = 0
        self.broken: list[str] = []
        self.start()

    def run(self) -> None:
        ask = {"model": "twins", "messages": [{"role": "user", "content": WORDS}], "stream": True}
        while not self.over.is_set():
            try:
                with self.router.post(ask, timeout=60) as answer:
                    text = answer.read().decode()
            except OSError as error:
                self.broken.append(repr(error))
                continue
            said = "".join(
                json.loads(event[6:])["choices"][0]["delta"].get("content", "")
                for event in text.split("\n\n")
                if event.startswith("data: {")
            )
            if said == WORDS and "[DONE]" in text:
                self.whole += 1
            else:
                self.broken.append(text[-300:])


def test_homes_are_drained_and_restarted_under_streams(
    start_router: StartRouter, tmp_path: Path
) -> None:
    """With two gateways: no stream fails, is cut or is mixed up."""
    router = start_router(TWINS, "--workers", "2")
    router.wait_ready()
    listeners = [Listener(router) for _ in range(8)]
    try:
        wait_until(lambda: all(one.whole for one in listeners), 60, "the first answers")
        status, out, err = order(router, tmp_path, "drain", "twins/0")
        assert (status, "twins/0  draining" in out) == (0, True), out + err

        def at_rest() -> Any:
            """Its engine says what it runs once a second."""
            told = json.loads(order(router, tmp_path, "status", "--json")[1])
            drained, other = told["models"][0]["homes"]
            assert (drained["held"], drained["in_flight"]) == (True, 0)
            return drained["running"] == 0 and other

        other = wait_until(at_rest, 60, "the drained engine to say that it rests")
        assert (other["held"], other["state"]) == (False, "ready")
        assert order(router, tmp_path, "models", "stop", "twins/0")[0] == 0
        assert len(router.engines()) == 1
        assert order(router, tmp_path, "models", "start", "twins/0")[0] == 0
        engines = set(router.engines())
        assert len(engines) == 2
        status, out, err = order(router, tmp_path, "models", "restart", "twins")
        assert status == 0, out + err
        assert not engines & set(router.engines())
    finally:
        for one in listeners:
            one.over.set()
        for one in listeners:
            one.join(60)
    assert [one.broken for one in listeners] == [[]] * 8


def test_what_is_out_of_service_is_refused_with_the_reason(
    start_router: StartRouter, tmp_path: Path
) -> None:
    """At once, while the router itself stays ready; nobody can wake it but an operator."""
    router = start_router(TWINS)
    router.wait_ready()
    assert order(router, tmp_path, "models", "stop", "twins")[0] == 0
    ask = {"model": "twins", "messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(urllib.error.HTTPError) as caught:
        router.post(ask)
    with caught.value as answer:
        told: dict[str, Any] = json.loads(answer.read())
    assert answer.code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "being kept out of service" in told["error"]["message"]
    assert router.get("/ready")[0] == 200
    assert order(router, tmp_path, "models", "start", "twins")[0] == 0
    with router.post(ask) as answer:
        assert answer.status == 200


def test_admins_do_the_same_over_http(start_router: StartRouter) -> None:
    """With a key that has the scope."""
    config = settings(
        declared("boss", "free", scopes=["admin", "inference"]),
        declared("guest", "free"),
        limits={"plans": {"free": {}}},
    )
    router = start_router(config)
    router.wait_ready()
    with line(router.port, key_of("boss")) as boss, line(router.port, key_of("guest")) as guest:
        for path in ("/v1/admin/drain", "/v1/admin/models/stop"):
            assert guest.ask("POST", path, {"name": "parrot"}).status == 403
            told = boss.ask("POST", path, {"name": "parrot"})
            assert (told.status, told.json["data"][0]["done"]) == (200, True)
            assert boss.chat().status == 503
        homes = boss.ask("GET", "/v1/admin/homes").json["data"]
        assert homes[0]["home"]["detail"].startswith("by key ")
        told = boss.ask("POST", "/v1/admin/models/start", {"name": "parrot"})
        assert told.json["data"][0]["state"] == "ready"
        assert boss.chat().status == 200
        assert boss.ask("POST", "/v1/admin/models/start", {"name": "parot"}).status == 404
        assert boss.ask("POST", "/v1/admin/models/start", {}).status == 422


def test_weights_are_changed_live(start_router: StartRouter, tmp_path: Path) -> None:
    """By an edit of the file alone: no engine is touched, and the next requests go by the new shares."""
    config = TWINS.replace("options: {token_delay: 0.05}", "weight: 1")
    router = start_router(config)
    router.wait_ready()
    engines = set(router.engines())
    ask = {"model": "twins", "messages": [{"role": "user", "content": "hi"}]}

    def homes() -> list[dict[str, Any]]:
        told = json.loads(order(router, tmp_path, "status", "--json")[1])
        found: list[dict[str, Any]] = told["models"][0]["homes"]
        return found

    (tmp_path / "router.yaml").write_text(config.replace("weight: 1", "weight: 9", 1))
    assert order(router, tmp_path, "reload")[0] == 0
    assert [home["weight"] for home in homes()] == [9, 1]
    assert set(router.engines()) == engines
    before = [home["traffic"]["requests"] for home in homes()]
    for _ in range(20):
        router.post(ask).read()
    after = [home["traffic"]["requests"] for home in homes()]
    assert [now - then for now, then in zip(after, before, strict=True)] == [18, 2]
