"""A running router leaves a note by which ``models`` finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hoonify_router import runfile
from hoonify_router.config.model import Config, LoadedConfig


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    """Return a configuration whose state folder does not exist yet."""
    return LoadedConfig(tmp_path / "router.yaml", Config(models={}), tmp_path / "state")


def announce(loaded: LoadedConfig) -> None:
    """Write the note for this process."""
    runfile.announce(
        loaded, address="http://127.0.0.1:8000", supervisor=Path("/run/x/supervisor.sock")
    )


def test_a_running_router_is_found(loaded: LoadedConfig) -> None:
    """With its process, its door and its supervisor; the note is private."""
    assert runfile.find(loaded) is None
    announce(loaded)
    found = runfile.find(loaded)
    assert found is not None
    assert (found.pid, found.address) == (os.getpid(), "http://127.0.0.1:8000")
    assert found.supervisor == "/run/x/supervisor.sock"
    (note,) = loaded.state_dir.iterdir()
    assert note.stat().st_mode & 0o777 == 0o600


def test_a_router_that_ends_withdraws_its_note(loaded: LoadedConfig) -> None:
    """Nothing is left, and to do it twice does no harm."""
    announce(loaded)
    runfile.withdraw(loaded)
    runfile.withdraw(loaded)
    assert list(loaded.state_dir.iterdir()) == []


def test_the_note_of_a_killed_router_counts_for_nothing(loaded: LoadedConfig) -> None:
    """Its process is gone, so no router runs."""
    announce(loaded)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    note = runfile.path_of_note(loaded, os.getpid())
    dead = runfile.path_of_note(loaded, ended.pid)
    dead.write_text(note.read_text().replace(str(os.getpid()), str(ended.pid)))
    note.unlink()
    assert runfile.find(loaded) is None
    announce(loaded)
    assert list(loaded.state_dir.iterdir()) == [note]


def test_a_second_router_takes_nothing_from_the_first(loaded: LoadedConfig) -> None:
    """The newest is found; when it has ended, the first one is again."""
    first = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    announce(loaded)
    note = runfile.path_of_note(loaded, os.getpid())
    firsts = runfile.path_of_note(loaded, first.pid)
    firsts.write_text(note.read_text().replace(str(os.getpid()), str(first.pid)))
    os.utime(firsts, (1, 1))
    found = [runfile.find(loaded)]
    runfile.withdraw(loaded)
    found.append(runfile.find(loaded))
    first.communicate(b"\n")
    found.append(runfile.find(loaded))
    assert [one and one.pid for one in found] == [os.getpid(), first.pid, None]


def test_some_things_are_done_once(tmp_path: Path) -> None:
    """Whoever comes first does them."""
    assert [runfile.first_time(tmp_path, "this") for _ in range(3)] == [True, False, False]
    assert runfile.first_time(tmp_path, "that")


def test_another_routers_note_is_not_ours(loaded: LoadedConfig, tmp_path: Path) -> None:
    """Two configurations may share a state folder."""
    announce(loaded)
    other = LoadedConfig(tmp_path / "other.yaml", loaded.config, loaded.state_dir)
    assert runfile.find(other) is None
    runfile.withdraw(other)
    assert runfile.find(loaded) is not None


@pytest.mark.parametrize("text", ["", "{}", "[]", "\x00", '{"pid": 99999999999999999999}'])
def test_a_damaged_note_counts_for_nothing(loaded: LoadedConfig, text: str) -> None:
    """Whatever is in the file, `models` goes on."""
    loaded.state_dir.mkdir()
    runfile.path_of_note(loaded, os.getpid()).write_text(text)
    assert runfile.find(loaded) is None


def test_a_note_that_cannot_be_written_leaves_no_litter(
    loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half-written file is removed."""

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(runfile.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        announce(loaded)
    assert list(loaded.state_dir.iterdir()) == []


def test_notes_that_nobody_else_may_read_are_noticed(
    loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No router seems to run where its state belongs to another user."""
    assert not runfile.is_foreign(loaded)
    announce(loaded)
    assert not runfile.is_foreign(loaded)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert runfile.is_foreign(loaded)


def test_a_folder_that_nobody_else_may_read_is_noticed(
    loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is private as a rule."""

    def refuse(folder: Path) -> list[str]:
        raise PermissionError

    monkeypatch.setattr(os, "listdir", refuse)
    assert runfile.is_foreign(loaded)
