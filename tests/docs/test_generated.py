"""What the code knows best is in the documentation as the code has it."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
from docs.generate import DOCS, hook_names, refreshed
from tests.docs.pages import pages

from hoonify_router import hookspecs


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_generated_parts_are_current(page: Path) -> None:
    """Tables, hooks and help texts are what `make docs` writes."""
    if page.name == "commands.md" and sys.version_info >= (3, 13):
        pytest.skip("argparse of 3.13 lays help texts out in another way; 3.11 and 3.12 check them")
    text = page.read_text()
    assert refreshed(text) == text, "run `make docs`"


@pytest.mark.parametrize("name", hook_names())
def test_every_hook_has_a_page_with_its_exact_signature(name: str) -> None:
    """A plugin author sees how to declare it, when it is called, whether it may block, and an example."""
    page = (DOCS / "hooks" / f"{name}.md").read_text()
    assert f"```python\n{name}{inspect.signature(getattr(hookspecs, name))}\n```" in page
    assert "\nCalled " in page
    assert "block" in page or "event loop" in page or "quick" in page
    assert f"def {name}(" in page


def test_no_page_is_of_a_hook_that_is_gone() -> None:
    """One page per hook, and the index."""
    pages = {path.stem for path in (DOCS / "hooks").glob("*.md")}
    assert pages == {"README", *hook_names()}
    assert len(pages) >= 10
