"""The command ``hoonify-router``: one module per sub-command, plugins may add more."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0, or 2 after a user's mistake.

    Args:
        argv: The words after ``hoonify-router``; default: those of this process.
    """
    # Each process of a router imports the script that it was started with, and this with it; commands it needs none.
    from hoonify_router.cli.entry import main as run_command

    return run_command(argv)
