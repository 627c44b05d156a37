"""The benchmark of the engines counts right; what it measures is for people to read."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.engines.__main__ import Speeds, print_rates
from benchmarks.engines.ways import TOKENS, Setting, Way


class Clockwork(Way):
    """Answers without delay, at a fixed price in CPU."""

    name = "clockwork"
    spent = 0.0

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        self.spent += 0.001 * streams * TOKENS

    def cpu(self) -> float:
        return self.spent


async def test_rates_are_by_way_kind_and_streams(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
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
    print_rates("streams:", speeds.cpu())
    assert "clockwork, greedy" in capsys.readouterr().out
