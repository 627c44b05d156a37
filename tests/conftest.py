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
