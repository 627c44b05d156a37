"""``status``: how the running router does, for eyes and for scripts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from rich.console import Console

from hoonify_router.cli import status, status_view
from hoonify_router.cli.running import NoRouter
from hoonify_router.types.status import (
    ErrorSnapshot,
    GpuSnapshot,
    HomeSnapshot,
    LoadStage,
    ModelSnapshot,
    Snapshot,
    Traffic,
)

Run = Callable[..., Any]

BUSY = Traffic(
    requests=60,
    failed=1,
    tokens_per_second=123.4,
    ttft_p50=0.0123,
    ttft_p99=1.5,
    itl_p50=0.0042,
    itl_p99=0.02,
)
STATUS = Snapshot(
    version="9.9",
    at=1.0,
    config="router.yaml",
    address="http://127.0.0.1:8000",
    generation=4,
    uptime=7300.0,
    gateways=2,
    gateways_heard=1,
    models=[
        ModelSnapshot(
            id="big",
            state="ready",
            homes=[
                HomeSnapshot(
                    id="big/0", backend="sglang", state="ready", in_flight=3, traffic=BUSY
                ),
                HomeSnapshot(
                    id="big/1",
                    backend="sglang",
                    state="loading",
                    loading=LoadStage(stage="weights", done=3, total=10),
                ),
            ],
        ),
        ModelSnapshot(
            id="small",
            state="failed",
            homes=[
                HomeSnapshot(
                    id="small",
                    backend="echo",
                    state="failed",
                    reason="It ended.",
                    detail="killed by SIGKILL",
                    retry_after=9.6,
                    breaker="open",
                )
            ],
        ),
    ],
    gpus=[
        GpuSnapshot(
            index=0,
            name="NVIDIA H200",
            memory_used_bytes=70 * 1024**3,
            memory_total_bytes=140 * 1024**3,
            utilization=0.5,
        )
    ],
    errors=[ErrorSnapshot(at=0.0, home="small", kind="EngineDead", what="It died.")],
    notes=["the last reload was refused: router.yaml:3"],
    traffic=BUSY,
    in_flight=3,
)
TOLD = msgspec.to_builtins(STATUS)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let a router answer with what is in this list, then press Ctrl-C."""
    answers: list[Any] = []

    def ask(config: str | None) -> Any:
        if not answers:
            raise KeyboardInterrupt
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(status, "_ask", ask)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return answers


def test_in_a_pipe_each_home_is_a_line(run: Run, asked: list[Any]) -> None:
    """With what is known of it, and what all of them make together."""
    asked.append(TOLD)
    done = run("status")
    assert done.status == 0
    title, head, *lines = done.out.splitlines()
    assert title == (
        "Hoonify Router 9.9 at http://127.0.0.1:8000, router.yaml, generation 4, up 2.0 h,"
        " 2 gateways (only 1 answer)"
    )
    assert head.split()[:3] == ["HOME", "BACKEND", "STATE"]
    assert [" ".join(line.split()) for line in lines[:4]] == [
        "big/0 sglang ready 3 60 1 123 12 ms / 1.5 s 4.2 ms / 20 ms -",
        "big/1 sglang loading 0 0 0 0 - - weights, 3 of 10",
        "small echo failed 0 0 0 0 - - It ended. killed by SIGKILL; next try in 10 s;"
        " circuit breaker open",
        "(all) - - 3 60 1 123 12 ms / 1.5 s 4.2 ms / 20 ms -",
    ]
    assert lines[4:6] == [
        "GPU 0 NVIDIA H200: 70.0 of 140.0 GiB, 50% busy",
        "the last reload was refused: router.yaml:3",
    ]
    assert lines[6].endswith("small: EngineDead: It died.")


def test_as_json_it_is_what_the_router_said(run: Run, asked: list[Any]) -> None:
    """A newer router may say more than this command line knows."""
    asked.append({**TOLD, "more": 1})
    assert json.loads(run("status", "--json").out) == {**TOLD, "more": 1}


def test_watching_goes_on_until_ctrl_c(run: Run, asked: list[Any]) -> None:
    """A router that is away for a moment is waited for."""
    asked += [TOLD, TOLD, NoRouter("it is away"), TOLD]
    done = run("status", "--watch", "--json")
    assert (done.status, done.err) == (0, ["it is away"])
    assert [json.loads(line) for line in done.out.splitlines()] == [TOLD, TOLD]


def test_watching_nothing_is_a_mistake(run: Run, asked: list[Any]) -> None:
    """There must be a router at first."""
    asked.append(NoRouter("no router runs"))
    done = run("status", "--watch")
    assert (done.status, done.err) == (2, ["hoonify-router: no router runs"])


@pytest.mark.parametrize("interval", ["0", "-1", "x", "nan", "1e9"])
def test_the_interval_is_some_seconds(run: Run, asked: list[Any], interval: str) -> None:
    """Neither none nor for ever."""
    done = run("status", "--watch", "--interval", interval)
    assert done.status == 2
    assert "expected seconds, from 0.1 to 3600" in done.err[0]


def test_on_a_terminal_it_is_a_table() -> None:
    """With colours for states."""
    out = io.StringIO()
    console = Console(file=out, width=180, force_terminal=True, color_system="standard")
    console.print(status_view.render(STATUS))
    shown = out.getvalue()
    for text in ("generation 4", "\x1b[32mready", "weights, 3 of 10", "70.0 of 140.0 GiB"):
        assert text in shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.00012, "0.1 ms"),
        (0.0099, "9.9 ms"),
        (0.25, "250 ms"),
        (0.9999, "1.0 s"),
        (12.3, "12.3 s"),
    ],
)
def test_pauses_are_short(seconds: float, said: str) -> None:
    """Two digits or three."""
    assert status_view.pause(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5.0, "5 s"), (600.0, "10 min"), (5400.0, "1.5 h"), (200_000.0, "2.3 d")],
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    """In the unit that fits."""
    assert status_view.duration(seconds) == said


def test_a_home_that_sleeps_says_so() -> None:
    """It is no fault."""
    home = HomeSnapshot(id="x", backend="echo", state="stopped", always=False, queued=0)
    assert status_view.note_of(home) == "starts on demand"
