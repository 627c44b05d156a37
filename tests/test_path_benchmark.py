"""What a request costs in Python, held against what it may cost."""

from __future__ import annotations

import sys

import pytest
import uvloop
from benchmarks.path import ENTRIES, count_steps

pytestmark = pytest.mark.skipif(
    sys.gettrace() is not None, reason="a debugger or a coverage tool traces already"
)

MOST = {("bare", "request"): 3950, ("full", "request"): 5950, ("full", "stream start"): 7700}
"""Steps of the interpreter, about a tenth more than there are: dearer requests are a decision, not an accident."""


@pytest.mark.parametrize(("entry", "kind"), MOST)
def test_a_request_takes_no_more_steps_than_it_may(entry: str, kind: str) -> None:
    """The same number on every machine, whatever else runs there; newer Pythons have other steps."""
    steps = uvloop.run(count_steps(ENTRIES[entry], kind)).steps.total() / 20
    most = MOST[entry, kind] * (1.0 if sys.version_info < (3, 12) else 1.3)
    assert steps < most
