"""The generations of a configuration, kept in the state folder: who changed what, when, and the text of it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

log = logging.getLogger(__name__)

KEPT = 20
"""So many generations can be rolled back to."""

_FOLDER = "generations"


class Generation(Struct, omit_defaults=True, frozen=True):
    """One generation.

    Args:
        number: Which; ``x-router-generation`` of every answer names it.
        at: Unix time at which it began to serve.
        trigger: Who brought it and how; ``start`` for the first one of a router's life.
        changes: What it changed, one line each.
        text: The configuration file as it was.
    """

    number: int
    at: float
    trigger: str = ""
    changes: tuple[str, ...] = ()
    text: str = ""


class History:
    """The generations of one configuration file, the last ``KEPT`` of them.

    Args:
        state_dir: The router's state folder.
        config: Absolute path of the file.
    """

    def __init__(self, state_dir: Path, config: Path) -> None:
        name = hashlib.sha256(str(config).encode()).hexdigest()[:12]
        self.folder = state_dir / _FOLDER / name

    def all(self) -> list[Generation]:
        """Return all that are kept, the oldest first; damaged ones are left out.

        Raises:
            PermissionError: They are somebody else's.
        """
        found = []
        for path in self._paths():
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Generation))
            except PermissionError:
                raise
            except (OSError, msgspec.DecodeError):
                continue
        return found

    def latest(self) -> Generation | None:
        """Return the newest, if there is one."""
        kept = self.all()
        return kept[-1] if kept else None

    def find(self, number: int) -> Generation | None:
        """Return the one with this number, if it is kept."""
        return next((one for one in self.all() if one.number == number), None)

    def add(self, generation: Generation) -> None:
        """Keep one more, and let the oldest go.

        Raises:
            OSError: It cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=".new")  # readable for us alone
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(generation))
            os.replace(name, self.folder / f"{generation.number:08d}.json")
        except BaseException:
            os.unlink(name)
            raise
        for path in self._paths()[:-KEPT]:
            with contextlib.suppress(OSError):
                path.unlink()

    def begin(self, text: str, now: float) -> int:
        """Return the number of the generation that a router begins with; it is kept afterwards.

        A router that starts on the text that served last goes on with that number.
        """
        try:
            last = self.latest()
            if last is not None and last.text == text:
                return last.number
            number = 1 if last is None else last.number + 1
            self.add(Generation(number, now, "start", (), text))
        except OSError as error:
            log.warning("the generations cannot be kept: %s", error)
            return 1
        return number

    def _paths(self) -> list[Path]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return [self.folder / name for name in sorted(names) if name.endswith(".json")]
