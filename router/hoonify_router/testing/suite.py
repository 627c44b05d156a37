"""The checks as tests of a plugin's own test suite."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from hoonify_router.api import Backend

T = TypeVar("T")

REPORTS = "HOONIFY_CONFORMANCE_REPORTS"


class BackendConformance:
    """Puts a backend to the test: each check is a test of its own.

    Subclass it in a test module, with a name that begins with ``Test``; pytest does the rest.

    Example::

        class TestParrot(BackendConformance):
            backend = "parrot"
            options = {"times": 2}

    Attributes:
        backend: Name of the installed backend, or a record that is not installed.
        options: What ``options:`` of the home says; relative paths count from pytest's root.
        url: Where the server runs, for a backend that is a server.
        api_key: The server's key.
        python: Interpreter of the engine.
        level: The highest level to go to, 0 to 3.
        patience: Seconds that a thing may take that is not said to be quick.
        overrides: Checks that may fail, each with the reason.
    """

    backend: ClassVar[str | Backend]
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    url: ClassVar[str | None] = None
    api_key: ClassVar[str | None] = None
    python: ClassVar[str | None] = None
    level: ClassVar[int] = 3
    patience: ClassVar[float] = 60.0
    overrides: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def test_conformance(self, conformance_check: Any, conformance_bench: Any) -> None:
        """The backend keeps this promise."""
        conformance_bench.test(conformance_check)


class BenchThread:
    """A bench with an event loop in a thread of its own, for tests that have none.

    Args:
        suite: The class whose backend is tested.
        base_dir: Folder from which relative paths in the options count.
    """

    def __init__(self, suite: type[BackendConformance], base_dir: Path) -> None:
        from hoonify_router.loader import load_plugins
        from hoonify_router.testing.bench import Bench
        from hoonify_router.testing.checks import all_checks
        from hoonify_router.testing.report import new_report
        from hoonify_router.testing.runner import check_overrides
        from hoonify_router.testing.subject import make_subject

        check_overrides(suite.overrides, all_checks())
        self._overrides = suite.overrides
        subject = make_subject(
            load_plugins(),
            suite.backend,
            suite.options,
            url=suite.url,
            api_key=suite.api_key,
            python=suite.python,
            base_dir=base_dir,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="conformance")
        self._thread.start()
        self._bench = Bench(subject, patience=suite.patience)
        self._report = new_report(subject, suite.level)

    def test(self, check: Any) -> None:
        """Run a check as the body of a test."""
        import pytest

        from hoonify_router.testing.runner import run_check

        result = self._do(run_check(check, self._bench, self._overrides))
        self._report.results.append(result)
        self._report.seconds = round(self._report.seconds + result.seconds, 1)
        if self._bench.capabilities is not None:
            self._report.device = self._bench.capabilities.device
        if result.status == "skipped":
            pytest.skip(result.told)
        elif result.status == "waived":
            pytest.xfail(result.told)
        elif result.status == "failed":
            pytest.fail(f"{result.told}\n\nThe promise: {result.proves}", pytrace=False)

    def close(self) -> None:
        """Leave nothing behind; write the report where ``HOONIFY_CONFORMANCE_REPORTS`` names a folder."""
        from hoonify_router.testing.report import write_file

        if folder := os.environ.get(REPORTS):
            write_file(Path(folder) / f"{self._report.backend}.json", self._report.to_json())
        try:
            self._do(self._bench.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
