"""What is drawn anew for every start of a server, and the files in which it is told what nobody else may read."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hoonify_router.api import Launch

HOST = "127.0.0.1"
FOLDERS = "launch-*"
"""Names of the folders that ``Draw.of`` makes."""


@dataclass(frozen=True)
class Draw:
    """A port, a key and a place for private files.

    Args:
        port: That nobody had at the moment.
        key: Hexadecimal, so that no program takes it for an option.
        folder: Where the launch's files are; ``None`` where it has none.
    """

    port: int
    key: str
    folder: Path | None = None

    @classmethod
    def of(cls, launch: Launch, private: Path) -> Draw:
        """Draw what one start of a server needs, and write its files.

        Args:
            launch: How it is started.
            private: A folder that nobody else may enter.

        Raises:
            OSError: They cannot be written.
        """
        draw = cls(free_port(), secrets.token_hex(32))
        if not launch.files:
            return draw
        folder = Path(tempfile.mkdtemp(prefix=FOLDERS.rstrip("*"), dir=private))
        draw = cls(draw.port, draw.key, folder)
        try:
            for name, text in launch.files.items():
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                with os.fdopen(os.open(folder / name, flags, 0o600), "w", encoding="utf-8") as file:
                    file.write(draw.fill(text))
        except OSError:
            draw.discard()
            raise
        return draw

    def fill(self, text: str) -> str:
        """Return ``text`` with what it only names."""
        text = text.replace("{port}", str(self.port)).replace("{key}", self.key)
        return text if self.folder is None else text.replace("{files}", str(self.folder))

    def discard(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
