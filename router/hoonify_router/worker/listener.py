"""Unix sockets that nobody but this user can reach."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

MAX_PATH_BYTES = 100
"""A little less than the smallest limit of a system that we run on."""


def listen_privately(path: Path) -> socket.socket:
    """Return a socket of mode 0600 bound to ``path``.

    Raises:
        OSError: The folder is open to others, the path is too long, or it cannot be bound.
    """
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o077:
        raise PermissionError(f"{path.parent} must be private (mode 0700)")
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OSError(f"{path} is too long for a socket, {MAX_PATH_BYTES} bytes are the limit")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener
