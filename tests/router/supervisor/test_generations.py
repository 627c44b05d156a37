"""The history of a configuration: bounded, private, and robust against damage."""

from __future__ import annotations

import stat
from pathlib import Path

from hoonify_router.supervisor.generations import KEPT, Generation, History


def test_the_last_generations_are_kept_the_oldest_first(tmp_path: Path) -> None:
    """And not more of them than is said."""
    history = History(tmp_path, Path("/etc/router.yaml"))
    for number in range(1, KEPT + 6):
        history.add(
            Generation(number, 1.0, "command (ada)", ("a: echo -> onnxruntime",), f"text {number}")
        )
    kept = history.all()
    assert [one.number for one in kept] == list(range(6, KEPT + 6))
    assert kept[0].changes == ("a: echo -> onnxruntime",)
    assert history.find(7) == kept[1]
    assert history.find(1) is None


def test_the_text_is_for_the_owners_eyes_alone(tmp_path: Path) -> None:
    """It may hold secrets."""
    history = History(tmp_path, Path("/etc/router.yaml"))
    history.add(Generation(1, 1.0, "start", (), "api_key: s3cret"))
    (path,) = history.folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_file_costs_only_itself(tmp_path: Path) -> None:
    """The others are still there."""
    history = History(tmp_path, Path("/etc/router.yaml"))
    history.add(Generation(1, 1.0))
    history.add(Generation(2, 1.0))
    (history.folder / "00000001.json").write_text("{")
    assert [one.number for one in history.all()] == [2]


def test_a_start_on_the_same_text_goes_on_with_its_number(tmp_path: Path) -> None:
    """Another text is the next generation."""
    history = History(tmp_path, Path("/etc/router.yaml"))
    assert history.begin("one", 1.0) == 1
    assert history.begin("one", 2.0) == 1
    assert history.begin("two", 3.0) == 2
    assert [(one.number, one.trigger) for one in history.all()] == [(1, "start"), (2, "start")]


def test_two_configurations_in_one_state_folder_have_a_history_each(tmp_path: Path) -> None:
    """They are told apart by their files."""
    one, other = History(tmp_path, Path("/etc/a.yaml")), History(tmp_path, Path("/etc/b.yaml"))
    one.begin("text", 1.0)
    assert other.latest() is None


def test_a_folder_that_cannot_be_written_stops_no_router(tmp_path: Path) -> None:
    """It serves without a history then."""
    (tmp_path / "generations").write_text("in the way")
    assert History(tmp_path, Path("/etc/a.yaml")).begin("text", 1.0) == 1
