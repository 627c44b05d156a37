"""Sizes as people write them."""

from __future__ import annotations

import pytest

from hoonify_router.config.sizes import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("0", 0),
        ("20GiB", 20 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("80GB", 80 * 10**9),
        ("512MiB", 2**29),
        ("7kB", 7000),
    ],
)
def test_a_number_with_a_unit_is_bytes(text: str, size: int) -> None:
    """Units are those of storage (GB) and of memory (GiB)."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "20 gigs", "20gb", "1e9", "20G", "1GiB\n"])
def test_no_other_text_is_a_size(text: str) -> None:
    """No guessing: whether 20G is GB or GiB is anybody's."""
    assert parse_size(text) is None


def test_a_size_is_shown_in_gibibytes() -> None:
    """As nvidia-smi and the engines do."""
    assert show_size(20 * 2**30) == "20 GiB"
    assert show_size(3 * 2**29) == "1.5 GiB"
    assert show_size(300 * 2**20) == "300 MiB"
