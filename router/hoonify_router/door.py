"""What a router needs of the machine before anything else is started: a listening socket, a folder."""

from __future__ import annotations

import contextlib
import ipaddress
import multiprocessing
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 2048


def open_door(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host`` and ``port``; 0 takes a free port.

    Raises:
        OSError: It cannot be had.
    """
    (door,) = open_doors(host, port, 1)
    return door


def open_doors(host: str, port: int, number: int) -> list[socket.socket]:
    """Return sockets that all listen on ``host`` and ``port``; the system spreads connections over them.

    Processes that share one socket take connections in bursts: an idle one that wakes first takes all that
    wait, and clients that keep their connections then keep them all there. Whoever opens the doors keeps
    them open, so that a process which is started again finds what has come for it meanwhile.

    Raises:
        OSError: It cannot be had.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    family, kind, protocol, _, address = found[0]
    doors: list[socket.socket] = []
    try:
        for _ in range(number):
            door = socket.socket(family, kind, protocol)
            doors.append(door)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if len(doors) > 1:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                address = doors[0].getsockname()
            door.bind(address)
            if (
                number > 1
            ):  # only after the first is bound: a port of another program's is not shared
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            door.listen(BACKLOG)
            door.set_inheritable(True)
    except BaseException:
        for door in doors:
            door.close()
        raise
    return doors


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
    behind when this process is killed.
    """
    parent = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="hoonify_", dir=parent if len(parent) < 60 else "/tmp")
    inherited = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = inherited.get("tempdir")
    inherited["tempdir"] = folder
    try:
        yield Path(folder)
    finally:
        inherited["tempdir"] = before
        shutil.rmtree(folder, ignore_errors=True)
