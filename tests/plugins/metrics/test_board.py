"""Cells that any process reads, and that survive the one which wrote them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hoonify_plugins.metrics import board as module
from hoonify_plugins.metrics.board import Board, Description, read_boards

COUNTER = Description("parrots_total", "counter", "How many.")
GAUGE = Description("parrots", "gauge", "How many are there.", ("cage",), ("1",))

WRITER = """
import sys
from pathlib import Path
from hoonify_plugins.metrics.board import Board, Description
board = Board(Path(sys.argv[1]))
cells = board.cells(Description("parrots_total", "counter", "How many."))
gauge = board.cells(Description("parrots", "gauge", "How many are there.", ("cage",), ("1",)))
gauge[0] = 7.0
for _ in range(int(sys.argv[2])):
    cells[0] += 1.0
print(board.slot, flush=True)
sys.stdin.read()
"""


def writer(folder: Path, count: int) -> subprocess.Popen[str]:
    """Start a process that counts, says so, and lives until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read(folder: Path) -> list[tuple[bool, str, float]]:
    return [(alive, one.name, cells[0]) for alive, one, cells in read_boards(folder)]


def test_what_is_counted_is_seen_at_once(tmp_path: Path) -> None:
    """Nothing is flushed: readers look at the same memory."""
    board = Board(tmp_path)
    board.cells(COUNTER)[0] += 2.5
    assert read(tmp_path) == [(True, "parrots_total", 2.5)]
    assert board.cells(COUNTER)[0] == 2.5


def test_killed_processes_leave_their_counts(tmp_path: Path) -> None:
    """The next one goes on counting where they stopped; what they had in hand is of nobody."""
    for turn in (1, 2):
        process = writer(tmp_path, 1000)
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "0\n"
        assert read(tmp_path) == [(True, "parrots_total", 1000.0 * turn), (True, "parrots", 7.0)]
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()
    assert read(tmp_path) == [(False, "parrots_total", 2000.0), (False, "parrots", 7.0)]
    board = Board(tmp_path)
    assert board.slot == 0
    assert read(tmp_path) == [(True, "parrots_total", 2000.0), (True, "parrots", 0.0)]


def test_processes_have_files_of_their_own(tmp_path: Path) -> None:
    """As many as live at the same time, and no more."""
    first, second = Board(tmp_path), Board(tmp_path)
    assert (first.slot, second.slot) == (0, 1)
    first.close()
    assert Board(tmp_path).slot == 0


def test_a_file_grows_and_what_was_in_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that were handed out before go on counting."""
    monkeypatch.setattr(module, "_SIZE", 4096)
    board = Board(tmp_path)
    early = board.cells(COUNTER)
    for number in range(200):
        description = Description("cages", "gauge", "Size.", ("cage",), (str(number),))
        board.cells(description)[0] = number
    early[0] += 1.0
    told = read(tmp_path)
    assert told[0] == (True, "parrots_total", 1.0)
    assert [value for _, name, value in told[1:]] == list(range(200))


def test_a_full_file_counts_no_further_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody who counts notices."""
    monkeypatch.setattr(module, "_SIZE", 4096)
    monkeypatch.setattr(module, "_LARGEST", 4096)
    board = Board(tmp_path)
    for number in range(200):
        board.cells(Description("cages", "gauge", "Size.", ("cage",), (str(number),)))[0] = 1.0
    assert 10 < len(read(tmp_path)) < 100


def test_a_half_written_record_is_not_read(tmp_path: Path) -> None:
    """A process that dies while it appends one has not appended it."""
    board = Board(tmp_path)
    board.cells(COUNTER)[0] = 1.0
    used = board._used
    board._bytes[used : used + 8] = b"\x10\x00\x00\x00\x01\x00\x00\x00"
    assert read(tmp_path) == [(True, "parrots_total", 1.0)]
    board.cells(GAUGE)[0] = 2.0
    assert len(read(tmp_path)) == 2


def test_a_histogram_has_a_cell_for_each_bucket_and_two_more() -> None:
    """One for what is above all bounds, one for the sum."""
    assert Description("seconds", "histogram", "", bounds=(1.0, 2.0)).size == 4
