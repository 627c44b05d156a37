"""The form of a key: ``hoo_``, 40 random characters, 6 characters of checksum.

Prefix, length and checksum are fixed so that a secret scanner finds a leaked key, and finds nothing else:
``hoo_[0-9A-Za-z]{46}``, where the last 6 characters are the CRC-32 of all before them in base 62.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib

PREFIX = "hoo_"
RANDOM_LENGTH = 40
CHECKSUM_LENGTH = 6
KEY_LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def generate_key() -> str:
    """Return a new key with 238 bits of randomness."""
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the six characters that belong at the end of ``body``."""
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def is_well_formed(key: str) -> bool:
    """Tell whether ``key`` can be one of ours, without looking anything up."""
    if len(key) != KEY_LENGTH or not key.startswith(PREFIX):
        return False
    rest = key[len(PREFIX) :]
    return rest.isascii() and rest.isalnum() and key.endswith(checksum(key[:-CHECKSUM_LENGTH]))


def digest_of(key: str) -> bytes:
    """Return what is stored instead of the key. A plain hash will do, since the key is no password:
    there is nothing to guess in 238 random bits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
