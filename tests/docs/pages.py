"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Return all Markdown files that are part of the documentation."""
    folders = (
        ROOT,
        ROOT / "docs",
        ROOT / "docs" / "cookbook",
        ROOT / "docs" / "endpoints",
        ROOT / "docs" / "hooks",
        ROOT / "benchmarks",
        ROOT / "changelog.d",
    )
    return [
        page for folder in folders for page in sorted(folder.glob("*.md")) if page.name[0] != "+"
    ]


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: Where it stands.
        line: Line of its fence.
        text: What is inside.
    """

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Return all blocks of one language."""
    found = []
    for page in pages():
        text = page.read_text()
        for fence in FENCE.finditer(text):
            if fence[1] == language:
                line = text.count("\n", 0, fence.start()) + 1
                found.append(Block(page, line, fence[2]))
    return found
