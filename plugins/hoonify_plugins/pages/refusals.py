"""The errors that clients may meet, from the classes that they are made of."""

from __future__ import annotations

import inspect
from typing import NamedTuple

from hoonify_router import errors

_NEVER_SENT = 499
_ADVICE = {
    400: "Mend the request; sent again, it fails again.",
    401: "Send a good key.",
    403: "Ask for a key that may do this.",
    404: "Look the name up.",
    405: "Use the method that the endpoint takes.",
    413: "Send less at once.",
    415: "Send JSON, and say so in Content-Type.",
    422: "Mend the value that `param` names.",
    429: "Wait as long as Retry-After says, then send it again.",
    500: "Try again later; if it stays, report the x-request-id.",
    503: "Wait as long as Retry-After says, then send it again.",
    504: "Try again, with a shorter prompt or answer if it stays.",
}


class Refusal(NamedTuple):
    """One kind of error.

    Args:
        status: HTTP status.
        type: As the body has it.
        code: As the body has it.
        meaning: When it comes.
    """

    status: int
    type: str
    code: str
    meaning: str


def refusals() -> list[tuple[int, str, list[Refusal]]]:
    """Return all errors by status: the status, what to do about it, and the codes that it comes with."""
    by_status: dict[int, dict[str, Refusal]] = {}
    for kind in errors.error_kinds().values():
        if kind.status == _NEVER_SENT or kind.__module__.partition(".")[0] != "hoonify_router":
            continue
        meaning = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
        one = Refusal(kind.status, kind.type, kind.code, meaning)
        by_status.setdefault(kind.status, {}).setdefault(kind.code, one)
    return [
        (status, _ADVICE.get(status, ""), list(by_status[status].values()))
        for status in sorted(by_status)
    ]
