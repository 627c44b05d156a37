"""The note that each running router leaves in its state folder, for ``hoonify-router models`` to find it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from hoonify_router.config.model import LoadedConfig

_PREFIX, _SUFFIX = "running-", ".json"


class Whereabouts(Protocol):
    """What a router is found by: its configuration's absolute path, and the folder of its state."""

    @property
    def path(self) -> Path:
        """Return the file."""

    @property
    def state_dir(self) -> Path:
        """Return the folder."""


class RunFile(Struct, frozen=True):
    """One running router.

    Args:
        pid: Its main process.
        config: Absolute path of the configuration that it serves.
        address: Base URL of its door.
        supervisor: Path of its supervisor's socket.
    """

    pid: int
    config: str
    address: str
    supervisor: str


def announce(loaded: LoadedConfig, *, address: str, supervisor: Path) -> None:
    """Write this process's note, and remove those of routers on this configuration that were killed.

    The router's main process calls it before the door opens.

    Raises:
        OSError: The state folder cannot be written.
    """
    running = RunFile(os.getpid(), str(loaded.path), address, str(supervisor))
    loaded.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=loaded.state_dir, prefix=".running")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(running))
        os.replace(name, path_of_note(loaded, running.pid))
    except BaseException:
        os.unlink(name)
        raise
    for path, note in _notes(loaded):
        if not _lives(note.pid):
            with contextlib.suppress(OSError):
                path.unlink()


def withdraw(loaded: LoadedConfig) -> None:
    """Remove this process's note at the end; those of other routers stay."""
    for path, note in _notes(loaded):
        if note.pid == os.getpid():
            with contextlib.suppress(OSError):
                path.unlink()


def find(loaded: Whereabouts) -> RunFile | None:
    """Return the router that runs on this very configuration, if there is one; of several the newest."""
    return next((note for _, note in _notes(loaded) if _lives(note.pid)), None)


def is_foreign(loaded: Whereabouts) -> bool:
    """Tell whether there may be notes that this user must not read."""
    folder = loaded.state_dir
    try:
        notes = [name for name in os.listdir(folder) if name.startswith(_PREFIX)]
    except PermissionError:
        return True
    except OSError:
        return False
    return any(not os.access(folder / name, os.R_OK) for name in notes)


def path_of_note(loaded: Whereabouts, pid: int) -> Path:
    """Return where the router whose main process is ``pid`` leaves its note."""
    return loaded.state_dir / f"{_PREFIX}{pid}{_SUFFIX}"


def first_time(folder: Path, what: str) -> bool:
    """Tell whether ``what`` is done for the first time in the life of ``folder``, by whichever process."""
    try:
        (folder / f"{what}.done").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _notes(loaded: Whereabouts) -> list[tuple[Path, RunFile]]:
    """Return all notes of routers on this configuration, the newest first; damaged ones are left out."""
    found = []
    for path in loaded.state_dir.glob(f"{_PREFIX}*{_SUFFIX}"):
        try:
            written = path.stat().st_mtime_ns
            note = msgspec.json.decode(path.read_bytes(), type=RunFile)
        except (OSError, msgspec.DecodeError):
            continue
        if note.config == str(loaded.path):
            found.append((written, path, note))
    found.sort(key=lambda one: one[0], reverse=True)
    return [(path, note) for _, path, note in found]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # it runs under another account
    except (OSError, OverflowError):
        return False
    return True
