"""The lines of chunked bodies that were made before."""

from __future__ import annotations

import pytest

from hoonify_router.chunked import LINES_BY_LENGTH, SIZE_LINES, SMALL, as_chunk


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, SMALL - 1, SMALL, 70_000])
def test_a_chunk_tells_its_size_whatever_it_is(size: int) -> None:
    """In hexadecimal, as if it were made for itself."""
    data = b"x" * size
    assert as_chunk(data) == b"%x\r\n%b\r\n" % (size, data)


def test_the_length_of_a_chunk_tells_its_line() -> None:
    """Each small chunk is found by its length, and no other length has a line."""
    lengths = {}
    for size in range(1, SMALL):
        chunk = as_chunk(b"x" * size)
        if len(chunk) < SMALL:
            lengths[len(chunk)] = SIZE_LINES[size]
    for length, line in enumerate(LINES_BY_LENGTH):
        assert line == lengths.get(length, b"")
