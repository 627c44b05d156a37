"""The admin routes of a real router reach its supervisor, from every gateway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import StartRouter, wait_until
from .keyed import declared, key_of, line, settings

pytestmark = pytest.mark.slow  # it starts a router


def test_homes_are_told_to_admins_alone(start_router: StartRouter) -> None:
    """With what gateways do not need, and without any key of an engine's."""
    config = settings(
        declared("boss", "free", scopes=["admin"]),
        declared("guest", "free"),
        limits={"plans": {"free": {}}},
    )
    router = start_router(config, "--workers", "2")
    router.wait_ready()
    with line(router.port, key_of("boss")) as boss, line(router.port, key_of("guest")) as guest:
        told = boss.ask("GET", "/v1/admin/homes")
        assert told.status == 200
        parrot, gone = told.json["data"]
        assert (parrot["home"]["state"], gone["home"]["state"]) == ("ready", "unavailable")
        assert parrot["pid"] in router.engines()
        assert guest.ask("GET", "/v1/admin/homes").status == 403
    with line(router.port, None) as nobody:
        assert nobody.ask("GET", "/v1/admin/homes").status == 401


STREAMS = """
models:
  parrot:
    {provider: Nobody, context_length: 4096, backend: echo, options: {token_delay: 0.02}}
"""


def test_the_status_is_of_all_gateways(start_router: StartRouter, tmp_path: Path) -> None:
    """What streams now and what has ended, with its times; the command line reads the same."""
    router = start_router(STREAMS, "--workers", "2")
    router.wait_ready()
    ask = {"model": "parrot", "messages": [{"role": "user", "content": "a b c d e f g h"}]}
    for _ in range(4):
        router.post({**ask, "stream": True}).read()

    def status() -> Any:
        program = Path(sys.executable).with_name("hoonify-router")
        command = [program, "status", "--json", "--config", tmp_path / "router.yaml"]
        told = subprocess.run(
            command,
            env={**os.environ, "HOONIFY_STATE_DIR": str(router.state)},
            capture_output=True,
            check=True,
            timeout=60,
        )
        return json.loads(told.stdout)

    told = status()
    (parrot,) = told["models"]
    assert (told["gateways"], told["gateways_heard"]) == (2, 2)
    assert parrot["traffic"]["requests"] == 4
    assert parrot["traffic"]["itl_p50"] >= 0.015
    assert parrot["traffic"]["ttft_p99"] >= parrot["traffic"]["ttft_p50"] > 0
    assert parrot["homes"][0]["pid"] in router.engines()
    with router.post({**ask, "stream": True}) as stream:
        stream.readline()
        os.kill(router.engines()[0], signal.SIGKILL)
        stream.read()
    told = wait_until(lambda: (now := status())["errors"] and now, 30, "the error")
    assert "a b c d" not in json.dumps(told)
    assert {error["home"] for error in told["errors"]} == {"parrot"}
