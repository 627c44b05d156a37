"""Bringing an engine to life: its class, its options, and word of how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import msgspec

from hoonify_router.api import Engine
from hoonify_router.errors import InvalidRequest, RouterError
from hoonify_router.protocol import Progress

_REPORT_INTERVAL = 0.05


def find_engine(path: str) -> type[Engine[Any]]:
    """Return the engine class that ``module:Class`` names.

    Raises:
        RouterError: There is no such thing, or it is no ``Engine``.
    """
    module_name, _, class_name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as exc:
        raise RouterError(f"engine {path!r} cannot be imported: {exc}") from exc
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise RouterError(f"engine {path!r} is not a subclass of hoonify_router.api.Engine")
    return found


async def load_engine(
    engine: Engine[Any], options: dict[str, Any], progress: Callable[[str, int, int], None]
) -> None:
    """Load ``engine`` with the options of the YAML, as the Struct it declares.

    Raises:
        RouterError: The options do not fit, or the engine says that it cannot be loaded.
    """
    options_type = getattr(type(engine), "options_type", None)
    if options_type is None:
        raise RouterError(f"{type(engine).__name__} does not declare its options_type")
    try:
        typed = msgspec.convert(options, options_type)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"options: {exc}") from exc
    await engine.load(typed, progress)


def printable(text: str) -> str:
    """Return ``text`` without what UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()


class ProgressReporter:
    """Carries an engine's progress from any thread to the event loop, at most 20 times a second.

    Args:
        report: Called on the loop with the newest progress.
    """

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report
        self._newest: Progress | None = None
        self._scheduled = False
        self._earliest = 0.0

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Take how far the load has come; may be called from any thread and as often as one likes."""
        self._newest = Progress(printable(str(stage)), int(done), int(total))
        if not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
                self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        self._loop.call_at(max(self._earliest, self._loop.time()), self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False  # before the newest is taken, so that none is ever left behind
        newest, self._newest = self._newest, None
        if newest is not None:
            self._earliest = self._loop.time() + _REPORT_INTERVAL
            self._report(newest)
