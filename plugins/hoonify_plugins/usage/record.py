"""What is written down of a request."""

from __future__ import annotations

from msgspec import Struct


class UsageRecord(Struct, array_like=True):
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
