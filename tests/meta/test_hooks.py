"""Every hook is tested somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.generate import hook_names

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", hook_names())
def test_the_hook_is_implemented_in_a_test(name: str) -> None:
    """A test implements it, so that it is seen to be called."""
    files = (path for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    assert any(re.search(rf"def {name}\(", path.read_text()) for path in files)
