"""Put another text in the place of a configuration file, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Let the file at ``path`` say ``text``; a reader sees the old text or the new one, nothing in between.

    A link stays a link: what it points at is replaced. What is no regular file is written to as it is.

    Raises:
        OSError: It cannot be written; the old text is still there.
    """
    target = Path(os.path.realpath(path))
    content = text.encode()
    try:
        before = target.stat()
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with target.open("wb") as file:
            file.write(content)
        return
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            shutil.copymode(target, name)
            with contextlib.suppress(OSError):  # only root may give files away
                os.chown(name, before.st_uid, before.st_gid)
        else:
            os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
