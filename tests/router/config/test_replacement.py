"""A configuration file gets another text, whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from hoonify_router.config.replacement import replace_text


def test_the_file_has_the_new_text_and_its_old_mode(tmp_path: Path) -> None:
    """And nothing else is left in its folder."""
    path = tmp_path / "router.yaml"
    path.write_text("old")
    path.chmod(0o640)
    replace_text(path, "new, ünd more")
    assert path.read_text() == "new, ünd more"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["router.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it points at is replaced."""
    (tmp_path / "real").mkdir()
    target, path = tmp_path / "real" / "file.yaml", tmp_path / "router.yaml"
    target.write_text("old")
    path.symlink_to(target)
    replace_text(path, "new")
    assert path.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    """Whatever is no file is never replaced by one."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    replace_text(path, "new")
    reader.join(30)
    assert read == ["new"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """For the operator to read."""
    with pytest.raises(OSError, match="No such file"):
        replace_text(tmp_path / "missing" / "router.yaml", "new")
