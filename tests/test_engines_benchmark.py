"""The benchmark of the engines counts right; what it measures is for people to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.engines.__main__ import Speeds
from benchmarks.engines.table import put_into_page, rates_lines
from benchmarks.engines.ways import TOKENS, Setting, Way

DOCS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"


class Clockwork(Way):
    """Answers without delay, at a fixed price in CPU."""

    name = "clockwork"
    spent = 0.0

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        self.spent += 0.001 * streams * TOKENS

    def cpu(self) -> float:
        return self.spent


async def test_rates_are_by_way_kind_and_streams(tmp_path: Path) -> None:
    """A millisecond of CPU a token is told as 1,000 microseconds, whatever the number of streams."""
    speeds, way = Speeds(), Clockwork(Setting(tmp_path, {}))
    for streams in (1, 8):
        for _ in range(3):
            await speeds.note(way, "greedy", streams)
    assert speeds.cpu() == {"clockwork": {"greedy": {1: 1000.0, 8: 1000.0}}}
    rates = speeds.rates()["clockwork"]["greedy"]
    assert rates.keys() == {1, 8}
    assert all(rates[streams] <= speeds.best()["clockwork"]["greedy"][streams] for streams in rates)
    assert speeds.ratio("clockwork", "clockwork") == 1
    assert speeds.scaling("clockwork", "greedy") > 0
    assert "clockwork, greedy" in "\n".join(rates_lines("streams:", speeds.cpu()))


def test_the_committed_record_is_what_the_page_says(tmp_path: Path) -> None:
    """The page was written from the record beside it, and not by hand."""
    page, copy = DOCS / "engines.md", tmp_path / "engines.md"
    copy.write_text(page.read_text())
    put_into_page(copy, _with_numbers(json.loads((DOCS / "engines.json").read_text())))
    assert copy.read_text() == page.read_text()


def _with_numbers(value: Any) -> Any:
    """Return what JSON has made of a record with its numbers of streams as numbers again."""
    if not isinstance(value, dict):
        return value
    return {
        int(key) if key.isdigit() else key: _with_numbers(inner) for key, inner in value.items()
    }
