"""What a router needs of the machine before anything else is started: a listening socket, a folder."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import multiprocessing
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BACKLOG = 2048
_PREFIX = "hoonify_"
_LOCK = "in-use"


def open_door(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host`` and ``port``; 0 takes a free port.

    Raises:
        OSError: It cannot be had.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    family, kind, protocol, _, address = found[0]
    door = socket.socket(family, kind, protocol)
    try:
        _bind(door, address)
        door.listen(BACKLOG)
    except BaseException:
        door.close()
        raise
    return door


def open_doors(host: str, port: int, number: int) -> list[socket.socket]:
    """Return sockets for ``host`` and ``port``; the system spreads connections over those that listen.

    Processes that share one socket take connections in bursts: an idle one that wakes first takes all that
    wait, and clients that keep their connections then keep them all there. So each gets its own, and begins to
    listen when it can serve. Whoever opens the doors keeps them open: a process that is started again finds
    what has come for it meanwhile. A single door listens at once.

    Raises:
        OSError: It cannot be had.
    """
    first = open_door(host, port)
    if number == 1:
        return [first]
    doors: list[socket.socket] = []
    with first:
        # Only now that it listens: the port of another program is not shared.
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            for _ in range(number):
                door = socket.socket(first.family, first.type, first.proto)
                doors.append(door)
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                _bind(door, first.getsockname())
        except BaseException:
            for door in doors:
                door.close()
            raise
    return doors


def _bind(door: socket.socket, address: Any) -> None:
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if door.family == socket.AF_INET6:
        door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    door.bind(address)
    door.set_inheritable(True)


def is_public(door: socket.socket) -> bool:
    """Return whether other machines may reach ``door``."""
    return not ipaddress.ip_address(door.getsockname()[0]).is_loopback


def base_url(host: str, port: int) -> str:
    """Return how a client on this machine reaches the door."""
    if host in ("0.0.0.0", ""):
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def runtime_dir() -> Iterator[Path]:
    """Make a private folder whose path is short enough for the names of sockets in it.

    Sockets of multiprocessing go there too: a folder of its own may have a path of any length, and stays
    behind when this process is killed. Folders of routers that were killed with all their processes, so that
    nobody was left to clean up, are removed.
    """
    parent = tempfile.gettempdir()
    parent = parent if len(parent) < 60 else "/tmp"
    sweep(Path(parent))
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    inherited = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = inherited.get("tempdir")
    inherited["tempdir"] = folder
    try:
        with _locked(Path(folder)):
            yield Path(folder)
    finally:
        inherited["tempdir"] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock in ``folder`` that ends with this process, however it ends."""
    unfinished = folder / f"{_LOCK}.new"
    with unfinished.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        unfinished.rename(folder / _LOCK)  # whoever sees the name finds it locked
        yield


def sweep(parent: Path) -> None:
    """Remove the private folders in ``parent`` whose routers are gone."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
