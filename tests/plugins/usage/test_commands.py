"""``hoonify-router usage``, as an operator asks it."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hoonify_plugins.usage.journal import Journal
from hoonify_plugins.usage.record import UsageRecord
from hoonify_plugins.usage.store import UsageStore
from hoonify_router.cli import main

CONFIG = """
pipeline: [usage]
models:
  parrot: {provider: Nobody, context_length: 4096, backend: echo}
"""

Run = Callable[..., tuple[int, str, str]]


def record(at: float, model: str = "parrot") -> UsageRecord:
    """Return a record of a request that came at this time."""
    return UsageRecord(
        "req",
        at,
        "key_1",
        "",
        model,
        "",
        "chat",
        200,
        "",
        "stop",
        False,
        3,
        4,
        0,
        0,
        0.5,
        None,
        1.0,
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``hoonify-router usage …`` where some records are in the database, and one in a journal."""
    (tmp_path / "router.yaml").write_text(CONFIG)
    monkeypatch.setenv("HOONIFY_CONFIG", str(tmp_path / "router.yaml"))
    monkeypatch.setenv("HOONIFY_STATE_DIR", str(tmp_path / "state"))
    store = UsageStore(f"sqlite:///{tmp_path}/state/hoonify.db")
    store.add([record(time.time() - 86400 * 3), record(time.time())])
    store.close()
    journal = Journal(tmp_path / "state" / "usage")
    journal.write(record(time.time(), "other").row())
    journal.close()

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["usage", *words])
        out, err = capsys.readouterr()
        return (
            status,
            out,
            "".join(
                line for line in err.splitlines(keepends=True) if "warning: plugin" not in line
            ),
        )

    return run


def test_a_table_for_people(run: Run) -> None:
    """By model unless told otherwise; what no running router has taken over counts."""
    status, out, err = run()
    assert (status, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split()[:3] == ["MODEL", "REQUESTS", "FAILED"]
    assert [line.split()[:2] for line in lines] == [["other", "1"], ["parrot", "2"]]


def test_json_and_csv_for_programs(run: Run) -> None:
    """The same sums."""
    rows = json.loads(run("--by", "key", "--json")[1])
    assert rows == [
        {
            "key": "key_1",
            "requests": 3,
            "failed": 0,
            "prompt_tokens": 9,
            "completion_tokens": 12,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "price": 1.5,
        }
    ]
    (row,) = csv.DictReader(io.StringIO(run("--by", "key", "--csv")[1]))
    assert (row["key"], row["requests"], row["price"]) == ("key_1", "3", "1.5")


def test_since_a_time(run: Run) -> None:
    """Said as a span or as a day."""
    (row,) = json.loads(run("--since", "2d", "--by", "key", "--json")[1])
    assert row["requests"] == 2
    assert json.loads(run("--since", "2100-01-01", "--json")[1]) == []


def test_a_mistake_is_one_line(run: Run) -> None:
    """It says what is expected."""
    status, out, err = run("--since", "yesterday")
    assert (status, out) == (2, "")
    assert "expected a day such as 2026-11-01" in err
    assert err.count("\n") == 1
