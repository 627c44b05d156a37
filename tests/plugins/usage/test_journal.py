"""A gateway's journal on file systems of all kinds."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from hoonify_plugins.usage.journal import Journal
from hoonify_plugins.usage.reading import has_a_writer, read_journal
from hoonify_plugins.usage.record import Row


def row(number: int, owner: str = "ada") -> Row:
    """Return a record."""
    return (
        f"req-{number}", 1.0, "key", owner, "m", "m", "chat", 200, "", "stop", 0, 1, 2, 0, 0, 0.5, None, 0.1
    )  # fmt: skip


def written(folder: Path) -> list[Row]:
    """Return what can be read in the journals of a folder, each of which is whole."""
    readings = [read_journal(path, 0, 10_000) for path in sorted(folder.glob("*.journal"))]
    assert not any(reading.damaged for reading in readings)
    return [each for reading in readings for each in reading.rows]


@pytest.fixture(params=["mapped", "written", "macos"])
def journal(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Journal:
    """A journal where files can be mapped into memory, and where they cannot."""
    if request.param == "written":

        def refuse(*arguments: Any, **more: Any) -> Any:
            raise OSError(errno.ENODEV, "this file system cannot")

        monkeypatch.setattr(mmap, "mmap", refuse)
    if request.param == "macos":
        monkeypatch.delattr(os, "posix_fallocate")
    return Journal(tmp_path, window=2 * mmap.PAGESIZE)


def test_each_record_can_be_read_at_once(journal: Journal, tmp_path: Path) -> None:
    """Beyond the part of the file that is in memory, too, and in batches of any size."""
    rows = [row(number, "x" * (number % 700)) for number in range(100)]
    for count, each in enumerate(rows, 1):
        journal.write(each)
        assert len(written(tmp_path)) == count
    (path,) = tmp_path.iterdir()
    place, read = 0, []
    while (reading := read_journal(path, place, 7)).rows:
        place, read = reading.place, read + reading.rows
    assert read == rows
    journal.close()
    assert path.stat().st_size == place
    assert written(tmp_path) == rows


def test_a_record_that_is_being_written_is_none_yet(journal: Journal, tmp_path: Path) -> None:
    """Its length is written last: whoever is killed before it leaves nothing that is read."""
    journal.write(row(1))
    journal._window[journal._at + 4 : journal._at + 20] = b"x" * 16
    assert written(tmp_path) == [row(1)]
    journal.write(row(2))
    assert written(tmp_path) == [row(1), row(2)]
    journal.close()


def test_a_full_disk_is_told_and_got_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room is refused, and what follows when there is room again is kept."""
    journal = Journal(tmp_path, large=2 * mmap.PAGESIZE, window=2 * mmap.PAGESIZE)
    free = os.posix_fallocate

    def full(*arguments: int) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    kept = []
    for number in range(600):
        monkeypatch.setattr(os, "posix_fallocate", full if number % 20 < 10 else free)
        try:
            journal.write(row(number))
        except OSError:
            continue
        kept.append(row(number))
    journal.close()
    assert 300 < len(kept) < 600
    assert sorted(written(tmp_path)) == sorted(kept)


def test_a_disk_that_takes_a_part_leaves_whole_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file is written piece by piece."""

    def refuse(*arguments: Any, **more: Any) -> Any:
        raise OSError(errno.ENODEV, "this file system cannot")

    monkeypatch.setattr(mmap, "mmap", refuse)
    journal = Journal(tmp_path)
    journal.write(row(1))
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, place: pwrite(file, data[:9], place))
    with pytest.raises(OSError, match="whole"):
        journal.write(row(2))
    monkeypatch.setattr(os, "pwrite", pwrite)
    journal.write(row(3))
    journal.close()
    assert written(tmp_path) == [row(1), row(3)]


def test_a_record_that_is_too_long_is_refused(journal: Journal, tmp_path: Path) -> None:
    """It would be taken for damage; those after it are kept."""
    with pytest.raises(OSError, match="too long"):
        journal.write(row(1, "x" * 70_000))
    journal.write(row(2))
    journal.close()
    assert written(tmp_path) == [row(2)]


def test_whoever_can_see_a_journal_finds_it_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the supervisor would delete it as one whose writer has gone."""
    rename, seen = Path.rename, []

    def look(self: Path, target: Path) -> Path:
        assert not list(tmp_path.glob("*.journal"))
        seen.append(has_a_writer(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", look)
    Journal(tmp_path).close()
    assert seen == [True]
