"""The command ``hoonify-router``: one module per sub-command, plugins may add more."""

from hoonify_router.cli.entry import main

__all__ = ["main"]
