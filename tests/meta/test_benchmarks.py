"""The benchmark measures; whether its numbers are good is not a test's business."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import report
from benchmarks.entries import Direct
from benchmarks.native import Programs, compile_programs
from benchmarks.processes import Cores
from benchmarks.scenarios import Meter

ROOT = Path(__file__).resolve().parents[2]
ANYWHERE = Cores(frozenset(), frozenset(), frozenset())

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None,
    reason="the benchmark needs Linux and a C compiler",
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return compile_programs(tmp_path_factory.mktemp("programs"))


def test_programs_are_compiled_once(programs: Programs) -> None:
    """A second run starts at once."""
    before = programs.mock.stat().st_mtime_ns
    assert compile_programs(programs.mock.parent).mock.stat().st_mtime_ns == before


def test_the_load_generator_reads_what_the_mock_sends(programs: Programs, tmp_path: Path) -> None:
    """Requests are answered, streams are complete, every token's transit is measured."""
    direct = Direct(ANYWHERE, tmp_path / "direct", programs)
    try:
        meter = Meter(programs, direct, 0.2)
        plain, _ = meter.load(
            "--connections", 2, "--seconds", 5, "--requests", 40, "--padding", 9000
        )
        assert plain["answered"] == 40
        streams, _ = meter.streams(4, 2000)
        assert streams["answered"] == 4
        assert streams["usages"] == 4
        assert streams["tokens"] == streams["transit_us"]["count"] == 400
        paced, _ = meter.load("--connections", 2, "--seconds", 0.2, "--rate", 100)
        assert 1 <= paced["answered"] <= 20  # a busy machine keeps no pace
    finally:
        direct.tree.stop()
    assert direct.tree.process.poll() is not None


def test_what_is_added_is_compared_within_each_round() -> None:
    """A slow round does not count against the gateway that it slowed together with the direct way."""
    rounds = [
        {"direct": {"latency_p50_us": 100.0}, "router": {"latency_p50_us": 150.0}},
        {"direct": {"latency_p50_us": 900.0}, "router": {"latency_p50_us": 950.0}},
    ]
    assert report.added(rounds, "latency_p50_us", "router") == 50.0


@pytest.mark.slow
def test_the_whole_comparison_runs(tmp_path: Path) -> None:
    """The table appears, and the record holds every quantity of every entry."""
    record = tmp_path / "record.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks",
            "--quick",
            "--seconds",
            "0.3",
            "--no-peers",
            "--json",
            record,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CPU per request" in done.stdout
    kept = json.loads(record.read_text())
    assert set(kept["medians"]) == {"direct", "router, bare", "router, full"}
    assert kept["medians"]["router, full"]["cpu_request_us"] > 0
    assert kept["machine"]["cores"] >= 1
