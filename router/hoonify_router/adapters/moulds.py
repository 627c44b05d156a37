"""Passing a chunk on without decoding it.

In the chunks of one stream only the text differs. What stands before and after it is learnt from a chunk
that was decoded; from then on a chunk with the same beginning and the same end has only its text taken
out and goes on between our own beginning and end. That is proof enough: the same keys at the same
places, one choice, no finish, no error, no usage, a text that means the same in every JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCALAR = rb'"[a-z_]+": ?(?:"[^"\\]*"|-?[0-9]+|null|true|false)'
_NULL = rb'"[a-z_]+": ?null'
_TAIL = rb"\}\](?:, ?" + _SCALAR + rb")*\}"
_UNFINISHED = re.compile(rb'"finish_reason": ?null')
_INSIDE = re.compile(rb'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt])*')  # no \u: half a surrogate is no text


@dataclass(frozen=True)
class Shape:
    """How the chunks of one endpoint look around their text.

    Args:
        before: Up to the text's opening quote, the quote included; its group is the text's key.
        after: From the closing quote on.
        thoughts: Keys whose text is a thought.
    """

    before: re.Pattern[bytes]
    after: re.Pattern[bytes]
    thoughts: frozenset[bytes] = frozenset()


CHAT = Shape(
    re.compile(
        rb"data: \{(?:" + _SCALAR + rb', ?)*"choices": ?\[\{"index": ?0, ?"delta": ?\{'
        rb"(?:(?:" + _NULL + rb'|"role": ?"assistant"|"content": ?""), ?)*'
        rb'"(content|reasoning_content|reasoning)": ?"'
    ),
    re.compile(rb'"(?:, ?' + _NULL + rb")*\}(?:, ?" + _NULL + rb")*" + _TAIL),
    frozenset({b"reasoning_content", b"reasoning"}),
)
TEXT = Shape(
    re.compile(
        rb"data: \{(?:" + _SCALAR + rb', ?)*"choices": ?\[\{(?:"index": ?0, ?)?"(text)": ?"'
    ),
    re.compile(rb'"(?:, ?(?:' + _NULL + rb'|"index": ?0))*' + _TAIL),
)


class Mould:
    """Beginning and end that the chunks of one stream have in common.

    Args:
        before: Everything up to the text's opening quote, the quote included.
        after: Everything from its closing quote on.
        thinks: Whether the text is a thought.

    Attributes:
        whole_after: ``after``, and the end of an event that is the whole chunk of a body.
    """

    __slots__ = ("after", "before", "thinks", "whole_after")

    def __init__(self, before: bytes, after: bytes, thinks: bool) -> None:
        self.before = before
        self.after = after
        self.whole_after = after + b"\n\n\r\n"
        self.thinks = thinks

    def text_of(self, event: bytes) -> bytes | None:
        """Return the text in ``event``, as JSON has it, or ``None`` if the event must be decoded."""
        before, after = self.before, self.after
        if not (event.startswith(before) and event.endswith(after)):
            return None
        text = event[len(before) : -len(after)]
        return text if len(event) >= len(before) + len(after) and is_inside(text) else None


def learn(event: bytes, shape: Shape) -> Mould | None:
    """Return the mould of a chunk with a text, if it is one whose every part is understood."""
    before = shape.before.match(event)
    if before is None or not all(name in before[0] for name in (b'"id":', b'"model":')):
        return None
    end = event.find(b'"', before.end())
    after = event[end:]
    if event[end - 1 : end] == b"\\" or shape.after.fullmatch(after) is None:
        return None  # a quote of the text's own, or an end that says something
    if _UNFINISHED.search(after) is None or b'"error"' in after or b'"error"' in before[0]:
        return None
    return Mould(before[0], after, before[1] in shape.thoughts)


def is_inside(text: bytes) -> bool:
    """Tell whether ``text`` is the inside of a JSON string; one with codes of characters is better decoded."""
    if _INSIDE.fullmatch(text) is None:
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
