"""Lines before the chunks of a chunked HTTP body, made once for all small chunks."""

from __future__ import annotations

from typing import Final

SMALL: Final = 1024
"""Bytes from which on a chunk's line is made for itself."""

SIZE_LINES: Final = tuple([b"%x\r\n" % size for size in range(SMALL)])
"""The line before a chunk, by the chunk's size."""

_BY_LENGTH = {len(line) + size + 2: line for size, line in enumerate(SIZE_LINES) if size}

LINES_BY_LENGTH: Final = tuple([_BY_LENGTH.get(length, b"") for length in range(SMALL)])
"""The line with which bytes begin that are one whole chunk, by their number; empty where none has as many."""


def as_chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk; there must be some."""
    size = len(data)
    if size < SMALL:
        return SIZE_LINES[size] + data + b"\r\n"
    return b"%x\r\n%b\r\n" % (size, data)
