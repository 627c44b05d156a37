"""The note that a running router leaves in its state folder, for ``hoonify-router models`` to find it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

from hoonify_router.config.model import LoadedConfig

NAME = "running.json"


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
    """Write the note; the router's main process calls it before the door opens.

    Raises:
        OSError: The state folder cannot be written.
    """
    running = RunFile(os.getpid(), str(loaded.path), address, str(supervisor))
    loaded.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=loaded.state_dir, prefix=NAME)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(running))
        os.replace(name, loaded.state_dir / NAME)
    except BaseException:
        os.unlink(name)
        raise


def withdraw(loaded: LoadedConfig) -> None:
    """Remove the note at the end, unless another router has written its own since."""
    running = find(loaded)
    if running is not None and running.pid == os.getpid():
        with contextlib.suppress(OSError):
            (loaded.state_dir / NAME).unlink()


def find(loaded: LoadedConfig) -> RunFile | None:
    """Return the router that runs on this very configuration, if there is one."""
    try:
        running = msgspec.json.decode((loaded.state_dir / NAME).read_bytes(), type=RunFile)
    except (OSError, msgspec.DecodeError):
        return None
    try:
        os.kill(running.pid, 0)
    except PermissionError:
        pass  # it runs under another account
    except (OSError, OverflowError):
        return None
    return running if running.config == str(loaded.path) else None
