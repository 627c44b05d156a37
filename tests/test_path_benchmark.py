"""What a request costs in Python, held against what it may cost."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

MOST = {("bare", "request"): 3950, ("full", "request"): 5800, ("full", "stream start"): 7500}
"""Steps of the interpreter, about a tenth more than there are: dearer requests are a decision, not an accident."""

COMMAND = [sys.executable, "-m", "benchmarks.path", "--steps", "0"]


@pytest.mark.parametrize(("entry", "kind"), MOST)
def test_a_request_takes_no_more_steps_than_it_may(entry: str, kind: str) -> None:
    """The same number on every machine, whatever else runs there; newer Pythons have other steps."""
    command = [*COMMAND, "--entry", entry, "--kind", kind]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"(\d+) steps", told.stdout)
    assert found is not None, told.stderr
    room = 1.0 if sys.version_info < (3, 12) else 1.3
    assert int(found[1]) < MOST[entry, kind] * room
