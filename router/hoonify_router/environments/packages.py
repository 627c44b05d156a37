"""The router's own code within reach of another interpreter, and nothing else of the router's environment.

An engine's environment holds the engine and what the worker host imports. The host itself, and the package of
the backend, come from the router that runs, so that the two never differ in version.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from pathlib import Path

WORKER_LOCK = Path(__file__).with_name("worker.txt")
"""What the worker host imports that is not of the standard library, with exact versions."""

WORKER_MODULES = ("msgspec", "pluggy")
_OURS = "hoonify_router"


def link_packages(folder: Path, engine: str) -> Path:
    """Make a folder for ``PYTHONPATH`` with the router's package and that of an engine; return it.

    Args:
        folder: Private to this router; made if need be, and shared by all engines.
        engine: ``"module:Class"`` of the engine. Its package may be at home in its interpreter alone.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (_OURS, engine.partition(":")[0].partition(".")[0]):
        source = _source_of(name)
        if source is None:
            continue
        link = folder / source.name
        fresh = folder / f".{source.name}.{os.getpid()}"
        with contextlib.suppress(OSError):
            if Path(os.readlink(link)) == source:
                continue
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(source)
        fresh.replace(link)
    return folder


def _source_of(name: str) -> Path | None:
    """Return the folder of a package, or the file of a module, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).absolute()
    return Path(spec.origin).absolute() if spec.origin and spec.has_location else None
