"""Tokens to text: the same text as decoding everything at once, and never half a character."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.generation.vocabularies import byte_level, sentence_piece
from tokenizers import Tokenizer

from hoonify_backends.generation.detokenizer import ByteDecoder, Detokenizer, WindowDecoder

TEXTS = [
    "Hello",
    " world",
    "naïve café",
    "日本語のテキスト",
    "👩‍👩‍👧‍👦 family",
    "a\u0301",
    "\n\n  indented",
    "Ünïcödé €5",
]


BYTES = byte_level()
PIECES = sentence_piece()


def pushed(tokenizer: Any, tokens: list[int]) -> list[str]:
    decoder = Detokenizer(tokenizer).new()
    return [decoder.push(token) for token in tokens]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("tokenizer", [BYTES, PIECES], ids=["bytes", "pieces"])
def test_pieces_join_to_the_text(tokenizer: Tokenizer, text: str) -> None:
    """Every character arrives, once, and none before it is complete."""
    tokens = BYTES.encode(text).ids if tokenizer is BYTES else spelled(text)
    pieces = pushed(tokenizer, tokens)
    assert "".join(pieces) == text == tokenizer.decode(tokens)
    assert not any("\ufffd" in piece for piece in pieces)


def spelled(text: str) -> list[int]:
    """Spell a text in bytes; the decoder drops one space at the very beginning."""
    return [PIECES.token_to_id("▁"), *(PIECES.token_to_id(f"<0x{b:02X}>") for b in text.encode())]


def test_the_kind_of_vocabulary_decides() -> None:
    """Byte-level vocabularies get the decoder that needs no window."""
    assert isinstance(Detokenizer(BYTES).new(), ByteDecoder)
    assert isinstance(Detokenizer(PIECES).new(), WindowDecoder)


def test_spaces_between_pieces_are_kept() -> None:
    """Only the first space of the answer goes, as the tokenizer itself does it."""
    tokens = [PIECES.token_to_id(p) for p in ["▁Hel", "lo", "▁wor", "ld", "▁", "▁▁", "a"]]
    assert "".join(pushed(PIECES, tokens)) == "Hello world   a" == PIECES.decode(tokens)


def test_a_special_token_is_no_text_and_no_border() -> None:
    """What comes after one is not treated as the beginning of an answer."""
    tokens = [PIECES.token_to_id(p) for p in ["▁Hel", "lo", "<s>", "▁wor", "ld"]]
    assert "".join(pushed(PIECES, tokens)) == "Hello world"
    assert pushed(BYTES, [BYTES.token_to_id("<|end|>"), BYTES.token_to_id("he")]) == ["", "he"]


def test_added_tokens_that_are_text_are_shown() -> None:
    """A token such as <think> is part of the answer, also one with other letters than bytes have."""
    tokens = [BYTES.token_to_id("<think>"), BYTES.token_to_id("日本")]
    assert pushed(BYTES, tokens) == ["<think>", "日本"]


def test_numbers_that_only_pad_the_vocabulary_are_no_text() -> None:
    """Models have a few more outputs than their tokenizer has tokens."""
    assert pushed(BYTES, [100_000]) == [""]
    assert pushed(PIECES, [100_000]) == [""]


def test_an_unfinished_character_at_the_end_is_not_shown() -> None:
    """An answer cut by its limit ends before the character, not in the middle."""
    tokens = BYTES.encode("a€").ids
    assert "".join(pushed(BYTES, tokens[:-1])) == "a"
    assert "".join(pushed(PIECES, spelled("a€")[:-1])) == "a"


def test_bytes_that_are_no_text_do_not_hold_up_the_answer() -> None:
    """What can never become a character is shown as a replacement, and the answer goes on."""
    stray = PIECES.token_to_id("<0xB0>")
    pieces = pushed(PIECES, [stray] * 40 + [PIECES.token_to_id("a")])
    assert "".join(pieces) == "\ufffd" * 40 + "a"
    assert "".join(pieces[:20]).count("\ufffd") >= 16


@given(st.lists(st.integers(0, BYTES.get_vocab_size() + 2), max_size=40))
def test_any_tokens_of_a_byte_level_vocabulary_join_to_their_text(tokens: list[int]) -> None:
    """Even nonsense gives what decoding it at once gives, up to an unfinished character at the end."""
    whole = BYTES.decode(tokens)
    joined = "".join(pushed(BYTES, tokens))
    assert whole.startswith(joined)
    assert whole[len(joined) :].strip("\ufffd") == ""
    assert len(whole) - len(joined) <= 2  # half a surrogate is two bytes that never become text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=8))
def test_any_text_comes_back(texts: list[str]) -> None:
    """Whatever is written in tokens is read from them."""
    text = "".join(texts)
    tokens = [token for part in texts for token in BYTES.encode(part).ids]
    assert "".join(pushed(BYTES, tokens)) == BYTES.decode(tokens)
    clean = text.replace("\ufffd", "")
    assert "".join(pushed(PIECES, spelled(clean))) == clean


@given(st.lists(st.integers(1, 10), max_size=30))
def test_any_pieces_join_to_their_text(tokens: list[int]) -> None:
    """Spaces of a SentencePiece vocabulary come out as the tokenizer itself writes them."""
    assert "".join(pushed(PIECES, tokens)) == PIECES.decode(tokens)


def test_the_shipped_tokenizer_reads_what_it_writes(tokenizer: Any) -> None:
    """With the real vocabulary too."""
    for text in TEXTS:
        assert "".join(pushed(tokenizer, tokenizer.encode(text).ids)) == text


def test_special_tokens_may_be_shown() -> None:
    """Where a parser of calls looks for them; others stay hidden."""
    end, start = BYTES.token_to_id("<|end|>"), PIECES.token_to_id("<s>")
    for tokenizer, token, name in ((BYTES, end, "<|end|>"), (PIECES, start, "<s>")):
        decoder = Detokenizer(tokenizer, frozenset({token})).new()
        assert decoder.push(token) == name
        assert decoder.share(token, name) == name.encode()


def test_tokens_are_spelled_by_themselves() -> None:
    """As they are within a text; half a character as its bytes, a special token by its name."""
    spell = Detokenizer(BYTES).new().spell
    euro = BYTES.encode("€").ids
    assert b"".join(map(spell, euro)) == "€".encode()
    assert spell(BYTES.token_to_id("Ġt")) == b" t"
    assert spell(BYTES.token_to_id("<|end|>")) == b"<|end|>"
    assert spell(BYTES.token_to_id("日本")) == "日本".encode()
    assert spell(100_000) == b""
    spell = Detokenizer(PIECES).new().spell
    assert spell(PIECES.token_to_id("▁wor")) == b" wor"
    assert spell(PIECES.token_to_id("<0xE2>")) == b"\xe2"
    assert spell(PIECES.token_to_id("<s>")) == b"<s>"
    assert spell(100_000) == b""


def test_a_tokens_share_of_the_text() -> None:
    """Without the space that is dropped at the beginning; nothing for what is no text."""
    decoder = Detokenizer(PIECES).new()
    names = ["<s>", "▁Hel", "lo", "▁wor", "<0xE2>", "<0x82>", "<0xAC>", "é"]
    tokens = [PIECES.token_to_id(name) for name in names]
    shares = [decoder.share(token, decoder.push(token)) for token in tokens]
    expected = [b"", b"Hel", b"lo", b" wor", b"\xe2", b"\x82", b"\xac", "é".encode()]
    assert shares == expected
