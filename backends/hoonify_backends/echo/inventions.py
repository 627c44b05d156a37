"""Numbers that a model would compute and the test instrument makes up: the same for the same text, always.

They mean nothing, but they are consistent: probabilities add up to less than 1, the token that was said is
the likeliest, a vector has the length 1, and a shorter vector is the beginning of the longer one.
"""

from __future__ import annotations

import hashlib
import math
import struct

from hoonify_router.types import TokenLogprob


def invent_logprob(token: str, top: int) -> TokenLogprob:
    """Return how probable ``token`` is said to be, and the ``top`` likeliest tokens in its place."""
    said = token.encode()
    chance = 0.5 + hashlib.sha256(said).digest()[0] / 512
    likely = [(said, math.log(chance))]
    rest = 1 - chance
    for number in range(1, top):
        rest /= 2
        likely.append((b" or%d" % number, math.log(rest)))
    return TokenLogprob(said, math.log(chance), likely[:top])


def invent_vector(text: str | list[int], dimensions: int) -> bytes:
    """Return the unit vector of ``text`` as little-endian float32."""
    seed = text if isinstance(text, str) else repr(text)
    digest = hashlib.shake_256(seed.encode()).digest(2 * dimensions)
    # Odd numbers: no component and no length is zero.
    numbers = [number | 1 for number in struct.unpack(f"<{dimensions}h", digest)]
    length = math.sqrt(sum(number * number for number in numbers))
    return struct.pack(f"<{dimensions}f", *(number / length for number in numbers))
