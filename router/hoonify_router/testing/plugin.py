"""The pytest plugin of the conformance kit: a test for each check of a ``BackendConformance`` class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hoonify_router.testing.suite import BackendConformance, BenchThread


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each check up to the class's level."""
    suite = metafunc.cls
    if "conformance_check" not in metafunc.fixturenames or suite is None:
        return
    from hoonify_router.testing.checks import all_checks

    checks = [check for check in all_checks() if check.level <= suite.level]
    ids = [f"L{check.level}-{check.name}" for check in checks]
    metafunc.parametrize("conformance_check", checks, ids=ids)


@pytest.fixture(scope="class")
def conformance_bench(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The bench that the checks of one class share."""
    suite = request.cls
    assert isinstance(suite, type)
    assert issubclass(suite, BackendConformance)
    bench = BenchThread(suite, request.config.rootpath)
    yield bench
    bench.close()
