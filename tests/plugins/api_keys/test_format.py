"""Keys have one fixed form that a scanner can find, and a checksum that catches slips."""

from __future__ import annotations

import re
import zlib

from hypothesis import given
from hypothesis import strategies as st

from hoonify_plugins.api_keys.format import (
    ALPHABET,
    KEY_LENGTH,
    checksum,
    digest_of,
    generate_key,
    is_well_formed,
)

bodies = st.text(ALPHABET, min_size=40, max_size=40).map("hoo_".__add__)


def test_a_key_looks_as_documented() -> None:
    """Prefix, 46 characters, nothing that a shell or a URL would mind."""
    keys = {generate_key() for _ in range(500)}
    assert len(keys) == 500
    for key in keys:
        assert re.fullmatch(r"hoo_[0-9A-Za-z]{46}", key)
        assert len(key) == KEY_LENGTH == 50
        assert is_well_formed(key)


def test_every_character_of_the_alphabet_is_used() -> None:
    """The random part has the full 62 characters to choose from."""
    assert {c for _ in range(500) for c in generate_key()[4:44]} == set(ALPHABET)


@given(bodies)
def test_the_checksum_is_the_crc_in_base_62(body: str) -> None:
    """Whoever writes a scanner can recompute it."""
    number = 0
    for character in checksum(body):
        number = number * 62 + ALPHABET.index(character)
    assert number == zlib.crc32(body.encode())
    assert len(checksum(body)) == 6
    assert is_well_formed(body + checksum(body))


@given(bodies, st.integers(4, 49), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_found(body: str, place: int, character: str) -> None:
    """A CRC-32 finds every error of one character."""
    key = body + checksum(body)
    changed = key[:place] + character + key[place + 1 :]
    assert is_well_formed(changed) == (changed == key)


@given(bodies, st.integers(4, 48))
def test_two_swapped_neighbours_are_always_found(body: str, place: int) -> None:
    """The commonest slip when a key is typed."""
    key = body + checksum(body)
    changed = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert is_well_formed(changed) == (changed == key)


@given(st.text())
def test_anything_else_is_refused_without_an_error(text: str) -> None:
    """Headers hold whatever people send."""
    assert not is_well_formed(text)
    assert not is_well_formed("hoo_" + text)
    assert len(digest_of(text)) == 32


def test_foreign_digits_are_no_digits() -> None:
    """Other scripts' digits and letters do not count, nor do surrogates break anything."""
    assert not is_well_formed("hoo_" + "٣" * 46)
    assert not is_well_formed("hoo_" + "é" * 46)
    assert len(digest_of("hoo_\udcff")) == 32
