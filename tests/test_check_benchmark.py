"""The check that finds out, on any machine, when requests have become much dearer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import check
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
    costs = {"python": 10.0, "direct": 10.0}
    return {name: {**costs, "router": 20 * r, "ratio": r} for name, r in ratios.items()}


def test_what_costs_as_usual_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """With a line for each thing, and no complaint."""
    usual = {name: bound / 1.6 for name, bound in check.BOUNDS.items()}
    assert check.report([a_round(**usual)] * 4, None) == 0
    said = capsys.readouterr()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == list(check.BOUNDS)
    assert said.err == ""


def test_what_has_become_much_dearer_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """With one line that names it."""
    dear = {**check.BOUNDS, "request": check.BOUNDS["request"] * 1.01}
    assert check.report([a_round(**dear)] * 4, None) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("benchmarks.check: a request costs ")


def test_rounds_that_others_disturbed_do_not_fail(tmp_path: Path) -> None:
    """Most rounds may be: it is the quiet ones that tell what something costs."""
    usual = {name: bound / 1.6 for name, bound in check.BOUNDS.items()}
    wild = {name: bound * 5 for name, bound in check.BOUNDS.items()}
    record = tmp_path / "record.json"
    measured = [a_round(**wild)] * 7 + [a_round(**usual)] * 5
    assert check.report(measured, record) == 0
    assert '"cpu"' in record.read_text()


def test_the_piece_of_python_has_a_cost() -> None:
    """Of CPU time, whatever else the machine does."""
    assert check.work_in_python(10) > 0


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
            *(sys.executable, "-m", "benchmarks.check", "--rounds", "2"),
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
