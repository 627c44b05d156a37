"""Grammars that an answer must follow, token by token, by llguidance."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from hoonify_backends.generation.sampling import Floats
from hoonify_router.errors import InvalidRequest, Unsupported

_KEPT = 32  # compiled grammars; most clients send the same few again and again
_KEPT_CHARACTERS = 256 * 1024  # of them all: a large one may take some 100 bytes for each
_LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
    "verbose_errors": False,
}
_PLACE = re.compile(r"^at \d+\(\d+\): (failed to compile JSON schema: )?")
_SOURCE = re.compile(r"\n +\d+ \| ")  # the grammar's own line, which the client did not write
_JSON = {
    # One blank, or a new line with its indentation: a small model that loops on blanks gets no further.
    "whitespace_pattern": r" |\n {0,16}",
    # No \uXXXX: nothing needs it, a name could hide behind it, and half a surrogate pair is no text.
    "json_allowed_escapes": 'nrbtf\\"',
}


def json_rule(schema: Mapping[str, Any]) -> str:
    """Return the grammar of the JSON values that satisfy a schema; it stands in a rule of its own."""
    return "%json " + json.dumps({**schema, "x-guidance": _JSON})


def literal(text: str) -> str:
    """Return the grammar of exactly this text."""
    return json.dumps(text, ensure_ascii=False)


class Constraint:
    """Lets only tokens through with which an answer still follows its grammar.

    Args:
        matcher: An llguidance matcher of its own.
        vocabulary: How many tokens the matcher knows.
        param: What of the request to name when the grammar can no longer be followed.
    """

    __slots__ = ("_address", "_bits", "_matcher", "_param", "_words")

    def __init__(self, matcher: Any, vocabulary: int, param: str) -> None:
        self._matcher = matcher
        self._param = param
        self._words = np.zeros((vocabulary + 31) // 32, np.int32)
        self._bits = self._words.view(np.uint8)
        self._address = self._words.ctypes.data

    @property
    def complete(self) -> bool:
        """Whether the grammar allows nothing more."""
        return bool(self._matcher.is_stopped() and not self._matcher.is_error())

    def apply(self, logits: Floats) -> None:
        """Make every token impossible that the grammar does not allow here.

        Raises:
            InvalidRequest: The grammar is too complex to follow any further.
        """
        self._matcher.unsafe_compute_mask_ptr(self._address, self._words.nbytes)
        if self._matcher.is_error():
            raise InvalidRequest(
                "The answer cannot be kept to its structure any further:"
                f" {explain(self._matcher.get_error())}",
                param=self._param,
            )
        allowed = np.unpackbits(self._bits, count=len(logits), bitorder="little")
        np.putmask(logits, allowed == 0, -np.inf)

    def saw(self, token: int) -> None:
        """Follow the grammar along a chosen token."""
        self._matcher.consume_token(
            token
        )  # one that does not fit shows as an error at the next step


class Grammars:
    """Compiles grammars for one model's tokens.

    Args:
        tokenizer: The model's ``tokenizers.Tokenizer``.
        vocabulary: How many scores the model gives.
        eos: Tokens that end an answer.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, eos: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._eos = sorted(eos)
        self.vocabulary = max(vocabulary, tokenizer.get_vocab_size(with_added_tokens=True))
        added = tokenizer.get_added_tokens_decoder()
        self._added = {entry.content: token for token, entry in added.items()}
        # llguidance counts every added token in angle brackets as one that is no text.
        self._apart = {
            token
            for token, entry in added.items()
            if entry.special or (entry.content.startswith("<") and entry.content.endswith(">"))
        }
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Any] = OrderedDict()
        self._kept = 0  # characters of what is compiled
        self._library: Any = None  # llguidance's tokenizer, once it is needed

    def token(self, text: str) -> int | None:
        """Return the token that stands for a marker as a whole, if the model has one."""
        return self._added.get(text)

    def is_token(self, text: str) -> bool:
        """Tell whether a marker is a token of its own that is no text."""
        return self._added.get(text) in self._apart

    def marker(self, text: str) -> str:
        """Return the grammar of a marker: its own token where the model has one, else its text."""
        return f"<[{self._added[text]}]>" if self.is_token(text) else literal(text)

    def others(self, markers: frozenset[str]) -> str | None:
        """Return the grammar of one token that is no text, other than these markers and an answer's end."""
        excluded = {self._added.get(marker) for marker in markers} | set(self._eos)
        rest = sorted(self._apart - excluded)
        return f"<[{','.join(map(str, rest))}]>" if rest else None

    def check(self, grammar: str, param: str) -> None:
        """Compile a grammar in llguidance's Lark, unless it is at hand.

        Args:
            grammar: The whole grammar.
            param: What of the request it was made from.

        Raises:
            InvalidRequest: Nothing can follow the grammar, or it is too costly.
            Unsupported: This model's tokens cannot be held to a grammar.
        """
        self._compiled_one(grammar, param)

    def constraint(self, grammar: str, param: str) -> Constraint:
        """Return a new constraint for a grammar; otherwise as ``check``."""
        matcher = self._compiled_one(grammar, param)
        return Constraint(matcher.deep_copy(), self.vocabulary, param)

    def _compiled_one(self, grammar: str, param: str) -> Any:
        with self._lock:
            matcher = self._compiled.get(grammar)
            if matcher is None:
                matcher = self._compiled[grammar] = self._compile(grammar, param)
                self._kept += len(grammar)
                while len(self._compiled) > (_KEPT if self._kept < _KEPT_CHARACTERS else 1):
                    self._kept -= len(self._compiled.popitem(last=False)[0])
            else:
                self._compiled.move_to_end(grammar)
            return matcher

    def _compile(self, grammar: str, param: str) -> Any:
        from llguidance import LLMatcher, LLParserLimits

        if self._library is None:
            self._library = self._read_tokenizer(param)
        matcher = LLMatcher(
            self._library,
            LLMatcher.grammar_from_lark(grammar),
            log_level=0,
            limits=LLParserLimits(**_LIMITS),
        )
        if not matcher.is_error():
            # Some grammars fail only at their first token: nothing at all could be said in them.
            words = np.zeros((self.vocabulary + 31) // 32, np.int32)
            first = matcher.deep_copy()
            first.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
            matcher = first if first.is_error() else matcher
        if matcher.is_error():
            raise InvalidRequest(
                f"Invalid schema for '{param}': {explain(matcher.get_error())}", param=param
            )
        return matcher

    def _read_tokenizer(self, param: str) -> Any:
        from llguidance import LLTokenizer

        if not self._eos:
            raise Unsupported("This model has no token that ends a structured answer.", param=param)
        try:
            return LLTokenizer(
                self._tokenizer.to_str(), n_vocab=self.vocabulary, eos_token=self._eos
            )
        except Exception as exc:  # the library raises whatever its reader stumbles over
            raise Unsupported(
                "This model's tokenizer does not allow structured answers.", param=param
            ) from exc


def explain(error: str) -> str:
    """Return an error of the library in plain words."""
    error = _SOURCE.split(error.partition("<state>")[0])[0]
    error = _PLACE.sub("", error.strip())
    if error.startswith("NoExtension"):
        return "no value can satisfy it."
    if "oneOf constraints are not supported" in error:
        return (
            "the alternatives of 'oneOf' are not certain to exclude each other; give each a required"
            " property with a different 'const', or use 'anyOf'."
        )
    if unknown := re.search(r"Unimplemented keys: \[(.*?)\]", error):
        return f"these keywords are not supported: {unknown[1].replace(chr(34), chr(39))}."
    if bad := re.search(r"regex parse error:\s*(.*?)\n.*\berror: (.*)", error, re.DOTALL):
        return f"the regular expression '{bad[1].strip()[:200]}' cannot be used: {bad[2].strip()}."
    if unsatisfiable := re.search(r"Unsatisfiable schema: (.*)", error):
        return f"no value can satisfy it: {unsatisfiable[1].strip()}."
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return (lines[0] if lines else "it cannot be used")[:300].rstrip(".") + "."
