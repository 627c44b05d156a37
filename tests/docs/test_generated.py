"""What the code knows best is in the documentation as the code has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from docs.generate import hook_names, hook_signature, refreshed
from tests.docs.pages import ROOT, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_generated_parts_are_current(page: Path) -> None:
    """Tables, hooks and help texts are what `make docs` writes."""
    if page.name == "commands.md" and sys.version_info >= (3, 13):
        pytest.skip("argparse of 3.13 lays help texts out in another way; 3.11 and 3.12 check them")
    text = page.read_text()
    assert refreshed(text) == text, "run `make docs`"


def test_every_hook_is_documented_with_its_exact_arguments() -> None:
    """A plugin author finds each hook as a heading that shows how to declare it."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    missing = [name for name in hook_names() if f"### {hook_signature(name)}\n" not in page]
    assert not missing
    assert len(hook_names()) >= 9
