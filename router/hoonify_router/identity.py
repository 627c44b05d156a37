"""Names for requests and answers."""

from __future__ import annotations

import itertools
import os
import re

_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Names:
    """Makes ids that are unique, not secret; one per gateway process.

    Each is this process's own random beginning and a running number: drawing random bits for every id
    would cost more than parsing a short request.
    """

    def __init__(self) -> None:
        process = os.urandom(8).hex()
        self._request = f"req_{process}"
        self._chat = f"chatcmpl-{process}"
        self._text = f"cmpl-{process}"
        self._numbers = itertools.count(1)

    def request_id(self, wanted: str | None) -> str:
        """Return the client's own id where it is sane, else a new one."""
        if wanted is not None and _SANE.fullmatch(wanted):
            return wanted
        return f"{self._request}{next(self._numbers):08x}"

    def completion_id(self) -> str:
        """Return a new id for an answer to a chat."""
        return f"{self._chat}{next(self._numbers):08x}"

    def text_id(self) -> str:
        """Return a new id for an answer to a plain completion."""
        return f"{self._text}{next(self._numbers):08x}"


def call_id(answer_id: str, index: int, number: int) -> str:
    """Return an id for a call of a function, as unique as that of its answer.

    Args:
        answer_id: Of the whole answer.
        index: Which of its choices calls.
        number: Which of that choice's calls it is.
    """
    return f"call_{answer_id.partition('-')[2]}{index:02x}{number:02x}"
