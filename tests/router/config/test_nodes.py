"""Paths as people read them."""

from __future__ import annotations

import pytest

from hoonify_router.config.nodes import dotted


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("models", "qwen-3", "homes", 1, "url"), "models.qwen-3.homes[1].url"),
        (("models", "qwen2.5:7b", "options"), "models.qwen2.5:7b.options"),
        (("models", "org/name"), "models.org/name"),
        (("models", "two words"), "models.'two words'"),
        (("models", ""), "models.''"),
        (("models", "a\nb"), "models.'a\\nb'"),
        (("models", "x" * 200), "models." + "x" * 160 + "…"),
    ],
)
def test_a_path_is_one_line_whatever_its_keys_are(path: tuple[str | int, ...], text: str) -> None:
    """Odd keys are quoted, long ones are cut."""
    assert dotted(path).isprintable()
    assert dotted(path) == text
