"""How much of what is random the tests try: all of it in CI, a quarter elsewhere, so that `make test` stays quick."""

from __future__ import annotations

import os


def examples(number: int) -> int:
    """Return how many of ``number`` random examples are tried here; all with ``CI`` in the environment."""
    return number if os.environ.get("CI") else max(10, number // 4)
