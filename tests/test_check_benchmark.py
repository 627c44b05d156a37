"""The check that finds out, on any machine, when requests have become much dearer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import check, yardstick
from benchmarks.native import CannotMeasure, compile_programs

ROOT = Path(__file__).resolve().parents[1]
BURNER = """
import time

from msgspec import Struct

from hoonify_router.api import Middleware, MiddlewareSpec, hookimpl


class Settings(Struct, forbid_unknown_fields=True):
    pass


class Burner(Middleware):
    def on_request(self, ctx):
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass


@hookimpl
def hoonify_register_middleware():
    return [MiddlewareSpec("burner", "Burns a millisecond.", Settings, lambda *given: Burner())]
"""


def a_round(**ratios: float) -> check.Round:
    """Return the readings of a round in which each thing cost so many times its yardstick."""
    return {
        name: {"yardstick": 100.0, "router": 100 * ratio, "ratio": ratio}
        for name, ratio in ratios.items()
    }


USUAL = {name: bound / 1.6 for name, bound in check.BOUNDS.items()}


def test_what_costs_as_usual_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """With a line for each thing, and no complaint."""
    assert check.report([a_round(**USUAL)] * 4) == 0
    said = capsys.readouterr()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == list(check.BOUNDS)
    assert said.err == ""


def test_what_has_become_much_dearer_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """With one line that names it."""
    dear = {**check.BOUNDS, "request": check.BOUNDS["request"] * 1.01}
    assert check.report([a_round(**dear)] * 4) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("benchmarks.check: a request costs ")


def test_rounds_that_others_disturbed_do_not_fail() -> None:
    """Most rounds may be: it is the quiet ones that tell what something costs."""
    wild = {name: bound * 5 for name, bound in check.BOUNDS.items()}
    assert not check.too_dear([a_round(**wild)] * 7 + [a_round(**USUAL)] * 5)


async def test_the_yardstick_passes_bytes_on_both_ways() -> None:
    """Whatever comes before its own connection stands is kept; an end ends both."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(5)).upper())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(shout, "127.0.0.1", 0) as upstream:
        behind = upstream.sockets[0].getsockname()[1]
        server = await yardstick.listen(0, behind)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.read(), 30) == b"HELLO"
            writer.close()
            await writer.wait_closed()


def test_a_machine_without_a_compiler_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotMeasure, match=r"a C compiler is needed \(cc\)"):
        compile_programs(tmp_path / "build")
    monkeypatch.setattr(check, "compile_programs", lambda: compile_programs(tmp_path / "build"))
    assert check.main([]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("benchmarks.check: a C compiler is needed")


@pytest.mark.slow
def test_a_plugin_that_burns_a_millisecond_is_found(tmp_path: Path) -> None:
    """By a real run, which fails with a line for each thing that is too dear."""
    info = tmp_path / "burner-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: burner\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hoonify_router]\nburner = burner_plugin\n")
    (tmp_path / "burner_plugin.py").write_text(BURNER)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.check", "--rounds", "1"),
            *("--pipeline", ",".join([*check.FULL_PIPELINE, "burner"])),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1, done.stderr
    first, *_ = done.stderr.splitlines()
    assert first.startswith("benchmarks.check: a request costs ")
