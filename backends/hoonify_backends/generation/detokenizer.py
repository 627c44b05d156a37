"""Tokens to text, piece by piece: never half a character, never the whole answer again."""

from __future__ import annotations

import codecs
import re
from typing import Any, Protocol

_REPLACEMENT = "\ufffd"
_LONGEST_CHARACTER = 4  # bytes; so many byte tokens may have to wait for each other
_BYTE = re.compile("<0x[0-9A-F]{2}>")  # how SentencePiece names single bytes


class TokenDecoder(Protocol):
    """The text of one answer as it grows."""

    def push(self, token: int) -> str:
        """Take the next token and return the text that is complete now, often that token's own.

        Characters that are still incomplete wait; at the end of an answer they are dropped.
        """

    def share(self, token: int, text: str) -> bytes:
        """Return the bytes that ``token`` has in the answer's text.

        Args:
            token: The token that was pushed last.
            text: What ``push`` returned for it.
        """

    def spell(self, token: int) -> bytes:
        """Return the bytes of any token; of one that is no text, its name."""


class Detokenizer:
    """Makes the decoders for one tokenizer's answers.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``.
        visible: Special tokens that are text all the same.
    """

    def __init__(self, tokenizer: Any, visible: frozenset[int] = frozenset()) -> None:
        from tokenizers.decoders import ByteLevel

        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        special = frozenset(token for token, entry in added.items() if entry.special)
        self._special = special - visible
        self._spelling = Spelling(tokenizer, special)
        byte_level = isinstance(tokenizer.decoder, ByteLevel)
        self._table = ByteTable(tokenizer, self._special) if byte_level else None

    def new(self) -> TokenDecoder:
        """Return a decoder for a new answer."""
        if self._table is not None:
            return ByteDecoder(self._table, self._spelling)
        return WindowDecoder(self._tokenizer, self._special, self._spelling)


class ByteTable(dict[int, bytes]):
    """The bytes of each token of a byte-level vocabulary, filled as tokens are asked for.

    Args:
        tokenizer: A ``tokenizers.Tokenizer`` whose decoder is ``ByteLevel``.
        special: Tokens that are no text.
    """

    def __init__(self, tokenizer: Any, special: frozenset[int]) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._special = special
        self._bytes = _byte_alphabet()

    def __missing__(self, token: int) -> bytes:
        name = None if token in self._special else self._tokenizer.id_to_token(token)
        if name is None:  # special, or a number that pads the vocabulary
            value = b""
        else:
            try:
                value = bytes([self._bytes[character] for character in name])
            except KeyError:  # an added token that is written as it is
                value = name.encode()
        self[token] = value
        return value


def _byte_alphabet() -> dict[str, int]:
    """Return which byte each character of a byte-level vocabulary stands for.

    Bytes that are printable characters stand for themselves, the others for characters from 256 on, as
    GPT-2 began it and every byte-level tokenizer since has kept.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


class Spelling(dict[int, bytes]):
    """The bytes of each token by itself, filled as tokens are asked for; a special token's are its name's.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``.
        special: Tokens that are no text.
    """

    def __init__(self, tokenizer: Any, special: frozenset[int]) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._special = special
        self._anchor: tuple[int, str] | None = None

    def __missing__(self, token: int) -> bytes:
        name = self._tokenizer.id_to_token(token)
        if name is None:  # a number that pads the vocabulary
            value = b""
        elif token in self._special:
            value = name.encode()
        elif _BYTE.fullmatch(name):
            value = bytes([int(name[3:5], 16)])
        else:
            value = self._in_text(token)
        self[token] = value
        return value

    def _in_text(self, token: int) -> bytes:
        """Return what a token adds to a text that has begun; at its beginning a space may be dropped."""
        if self._anchor is None:
            self._anchor = self._find_anchor()
        anchor, begun = self._anchor
        text: str = self._tokenizer.decode([anchor, token], skip_special_tokens=False)
        return text[len(begun) :].encode()

    def _find_anchor(self) -> tuple[int, str]:
        for letter in "aeiost0.":
            token = self._tokenizer.token_to_id(letter)
            if token is not None:
                return token, self._tokenizer.decode([token])
        return 0, self._tokenizer.decode([0])


class ByteDecoder:
    """For byte-level vocabularies: bytes are joined as UTF-8; what never can be is shown as U+FFFD.

    Args:
        table: The bytes of each token.
        spelling: The same, with names of tokens that are no text.
    """

    __slots__ = ("_decode", "_spelling", "_table")

    def __init__(self, table: ByteTable, spelling: Spelling) -> None:
        self._table = table
        self._spelling = spelling
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def push(self, token: int) -> str:
        """Take the next token and return the text that is complete now."""
        return self._decode(self._table[token])

    def share(self, token: int, text: str) -> bytes:
        """Return the bytes that the token has in the answer's text."""
        return self._table[token]

    def spell(self, token: int) -> bytes:
        """Return the bytes of any token; of one that is no text, its name."""
        return self._table[token] or self._spelling[token]


class WindowDecoder:
    """For any other vocabulary: decodes the last few tokens with the new one and takes what is added.

    A token's text may depend on the one before it (a space at the very beginning is dropped), so one piece
    of context is kept.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``.
        special: Tokens that are no text.
        spelling: The bytes of each token by itself.
    """

    def __init__(self, tokenizer: Any, special: frozenset[int], spelling: Spelling) -> None:
        self._tokenizer = tokenizer
        self._special = special
        self._spelling = spelling
        self._alone = True  # the last push had nothing to wait for and nothing that waited
        self._window: list[int] = []
        self._context = 0  # tokens of the window that have been shown
        self._shown = 0  # characters that these are
        self._held = 0  # last tokens that wait for the rest of a character

    def push(self, token: int) -> str:
        """Take the next token and return the text that is complete now."""
        if token in self._special or self._tokenizer.id_to_token(token) is None:
            return ""
        self._window.append(token)
        text = self._tokenizer.decode(self._window, skip_special_tokens=False)
        self._alone = not self._held
        if text.endswith(_REPLACEMENT) and self._held < _LONGEST_CHARACTER - 1:
            self._held += 1
            return ""
        self._held = 0
        new: str = text[self._shown :]
        if new:
            self._window = self._window[self._context :]
            self._context = len(self._window)
            self._shown = len(self._tokenizer.decode(self._window, skip_special_tokens=False))
        return new

    def share(self, token: int, text: str) -> bytes:
        """Return the bytes that the token has in the answer's text."""
        if token in self._special or not (text or self._held):
            return b""
        if text and self._alone and _REPLACEMENT not in text:
            return text.encode()  # without the space that may be dropped at the very beginning
        return self._spelling[token]

    def spell(self, token: int) -> bytes:
        """Return the bytes of any token; of one that is no text, its name."""
        return self._spelling[token]
