"""Which homes an operator keeps out of service; a supervisor that is killed leaves it to the next one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec


class Holds:
    """Remembers them in a file.

    Args:
        path: In the folder that goes with the router, so that a new start begins afresh.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, str] = {}
        with contextlib.suppress(OSError, msgspec.DecodeError):
            self._held = msgspec.json.decode(path.read_bytes(), type=dict[str, str])

    def by(self, home: str) -> str:
        """Return who holds a home; nobody is empty."""
        return self._held.get(home, "")

    def add(self, home: str, who: str) -> None:
        """Remember that a home is held."""
        self._held[home] = who
        self._write()

    def remove(self, home: str) -> None:
        """Forget it."""
        if self._held.pop(home, None) is not None:
            self._write()

    def _write(self) -> None:
        beside = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):  # it is only for the case that we are killed
            beside.write_bytes(msgspec.json.encode(self._held))
            os.replace(beside, self._path)
