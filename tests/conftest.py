"""What concerns every test."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

import pytest

# Tests start some hundreds of processes, and each would compile the whole router again: a quarter of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What starts processes takes longest: it comes first, and thousands of small tests fill the gaps at the end.
_FIRST = (
    "tests/e2e/",
    "tests/router/supervisor/",
    "tests/router/environments/",
    "tests/router/cli/",
    "tests/sdk/",
    "tests/plugins/",
    "tests/backends/onnxruntime/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files before short ones; a file's tests stay together and in their order."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(name: str) -> int:
    return next(
        (rank for rank, folder in enumerate(_FIRST) if name.startswith(folder)), len(_FIRST)
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores: tests also wait, for processes that start and end."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (cores or 1) + 1


@pytest.fixture(autouse=True)
def the_null_device() -> Iterator[None]:
    """Name the test that does away with /dev/null, which an administrator's process may do.

    Everything after it would fail for reasons that nobody understands.
    """
    yield
    try:
        broken = not stat.S_ISCHR(os.stat(os.devnull).st_mode)
    except FileNotFoundError:
        broken = True
    assert not broken, f"{os.devnull} is no device any more"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None] | pytest.TestReport:
    """Keep lone surrogates, which some tests log on purpose, from the pipe between test processes."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
