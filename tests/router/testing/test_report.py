"""Reports: what they say, and how they are written."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hoonify_router.testing.report import Report, Result, badge, read_report, write_file


def report(*statuses: str, unavailable: str = "") -> Report:
    results = [Result(f"check_{n}", 1, "It works.", s) for n, s in enumerate(statuses)]
    about = (
        "parrot",
        "worker",
        "hoonify-parrot 1.0",
        3,
        "1.0",
        "1.0",
        "3.11",
        "Linux",
        "2026-01-01",
    )
    return Report(*about, unavailable=unavailable, results=results)


def test_it_passes_when_nothing_failed() -> None:
    """What was waived or skipped is no failure; nothing at all is no success."""
    assert report("passed", "waived", "skipped").passed
    assert not report("passed", "failed").passed
    assert not report("skipped").passed
    assert not report("passed", unavailable="no GPU").passed


def test_it_comes_back_from_json() -> None:
    """What is written is what is read."""
    told = report("passed", "failed")
    assert read_report(told.to_json()) == told


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (report("passed", "passed", "skipped"), "level 3: 2/2"),
        (report("passed", "failed"), "level 3: 1/2"),
        (report("passed", unavailable="no GPU"), "not tested"),
    ],
)
def test_the_badge_tells_how_it_went(told: Report, says: str) -> None:
    """It counts what was run."""
    svg = badge(told)
    assert svg.startswith("<svg ")
    assert f">{says}</text>" in svg


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Nothing is left beside it."""
    file = tmp_path / "report.json"
    file.write_text("old")
    write_file(file, "new")
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it points to is written."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    link.symlink_to(file)
    write_file(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    """It is written to and not replaced, as a device must not be."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "new")
    reader.join(30)
    assert heard == ["new"]
    assert pipe.is_fifo()
