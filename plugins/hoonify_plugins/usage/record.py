"""What is written down of a request."""

from __future__ import annotations

from typing import cast

from msgspec import Struct
from msgspec.structs import astuple

Row = tuple[
    str,
    float,
    str,
    str,
    str,
    str,
    str,
    int,
    str,
    str,
    int,
    int,
    int,
    int,
    int,
    float,
    float | None,
    float,
]
"""A record as it is written and put into the database: the fields of :class:`UsageRecord` in their order, ``streamed``
as 0 or 1."""


class UsageRecord(Struct):
    """One request of one key, as it ended.

    Args:
        request_id: As the client was told it.
        at: When it came, in Unix seconds.
        key_id: Public id of the key; empty where the router asks for none.
        owner: Whose key it is.
        model: Catalog ID that was asked for.
        home: Who answered.
        task: ``chat``, ``completion`` or ``embedding``.
        status: HTTP status of the answer.
        error: Code of the error; empty where there was none.
        finish_reason: How the answer ended.
        streamed: Whether it was sent in pieces.
        prompt_tokens: As the engine counted them, and so on.
        price: In the currency of the catalog.
        first_token: Seconds to the first token.
        duration: Seconds to the end.
    """

    request_id: str
    at: float
    key_id: str
    owner: str
    model: str
    home: str
    task: str
    status: int
    error: str
    finish_reason: str
    streamed: bool
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    price: float
    first_token: float | None
    duration: float

    def row(self) -> Row:
        """Return it as it is written."""
        fields = astuple(self)
        streamed = UsageRecord.__struct_fields__.index("streamed")
        return cast("Row", (*fields[:streamed], int(self.streamed), *fields[streamed + 1 :]))
