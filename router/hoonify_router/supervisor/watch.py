"""Notice when a file has another content, however that came about."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

log = logging.getLogger(__name__)

_DEBOUNCE_MS = 300
_STEP_MS = 50
_LOOK_MS = 2000  # so often it looks itself, where nobody tells of changes (network file systems)
_SETTLE = 0.05
_LONGEST_SETTLING = 40


async def changes_of(path: Path, text: str) -> AsyncIterator[None]:
    """Yield whenever the content of the file at ``path`` is another one than the last time, or than ``text`` at first.

    The folder is watched, not the file: editors write a new one and rename it, and in Kubernetes ``path`` is a link
    to a file behind a link to a folder, which is what is replaced. A file that is gone, or is being written, is
    waited for.
    """
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every look
    known = hashlib.sha256(text.encode()).digest()
    stamp: object = None
    while True:
        folders = _folders_of(path)
        async with contextlib.aclosing(_looks(folders)) as looks:
            async for _ in looks:
                before, stamp = stamp, _stamp(path)
                if stamp == before:
                    continue  # it was something else in the folder
                seen = await _settled_fingerprint(path)
                if seen is not None and seen != known:
                    known = seen
                    yield
                if _folders_of(path) != folders:
                    break


async def _looks(folders: list[Path]) -> AsyncGenerator[None, None]:
    """Yield whenever something has changed in a folder, and every now and then.

    It ends where folders cannot be watched, as happens for a moment when one is replaced; somebody looks all the same.
    """
    from watchfiles import awatch  # costs memory: only where it is used

    changes = awatch(
        *folders,
        watch_filter=None,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        recursive=False,
    )
    try:
        async with contextlib.aclosing(changes):
            async for _ in changes:
                yield
    except (OSError, RuntimeError) as error:
        log.debug("the folder of the configuration cannot be watched: %s", error)
        await asyncio.sleep(_LOOK_MS / 1000)
        yield


def _folders_of(path: Path) -> list[Path]:
    """Return the folders in which something can change that changes the file: on both sides of links."""
    folders = {path.parent}
    with contextlib.suppress(OSError):
        folders.add(Path(os.path.realpath(path)).parent)
    return sorted(folder for folder in folders if folder.is_dir()) or [path.parent]


def _stamp(path: Path) -> object:
    """Return what is another one whenever the file may have another content; found without reading it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _fingerprint(path: Path) -> bytes | None:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None


async def _settled_fingerprint(path: Path) -> bytes | None:
    """Return the fingerprint once two looks in a row find the same, so that nothing is read half written."""
    before = await asyncio.to_thread(_fingerprint, path)
    for _ in range(_LONGEST_SETTLING):
        await asyncio.sleep(_SETTLE)
        now = await asyncio.to_thread(_fingerprint, path)
        if now == before:
            break
        before = now
    return before
