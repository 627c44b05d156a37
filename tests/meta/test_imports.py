"""Engines stay out of the router's processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "onnxruntime",
    "numpy",
    "tokenizers",
    "transformers",
    "sglang",
    "exllamav2",
    "exllamav3",
)


@pytest.mark.parametrize(
    "modules",
    ["hoonify_router.app, hoonify_router.loader", "hoonify_router.cli", "hoonify_router.worker"],
)
def test_no_engine_is_imported(modules: str) -> None:
    """Not by the gateway, not by the command line, not by the worker before it is told which engine."""
    code = (
        f"import sys, {modules}\n"
        "from hoonify_router.loader import load_plugins\n"
        "load_plugins()\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
