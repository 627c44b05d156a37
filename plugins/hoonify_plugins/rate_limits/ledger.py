"""What a request costs against its limits, and what came of asking; the same for every store."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Protocol

from msgspec import Struct

from hoonify_plugins.rate_limits.settings import Limits

WINDOW = 60
"""Seconds; windows begin with the minutes of UTC."""

LimitName = Literal["requests", "tokens", "concurrent"]


def scope_tag(key_id: str, scope: str = "") -> bytes:
    """Return the 16 bytes by which a key's counts are found.

    Args:
        key_id: Public id of the key.
        scope: What of the key's use is counted there; empty for all of it.
    """
    return blake2b(f"{key_id}\0{scope}".encode(), digest_size=16).digest()


@dataclass(slots=True, frozen=True)
class Charge:
    """One set of limits that a request must stay below.

    Args:
        tag: Where its counts are.
        limits: The limits.
    """

    tag: bytes
    limits: Limits


class Balance(Struct, gc=False):
    """What is left of one set of limits; ``None`` where there is no limit."""

    requests: int | None = None
    tokens: int | None = None


class Verdict(Struct, gc=False):
    """Whether a request may pass.

    Args:
        window: Number of the window, ``time // WINDOW``.
        left: What is left of the first charge's limits.
        refused_by: The limit that is exhausted; ``None`` when the request may pass.
        charge: Which of the charges that limit belongs to.
    """

    window: int
    left: Balance
    refused_by: LimitName | None = None
    charge: int = 0


class Ledger(Protocol):
    """A place that counts, exactly, whoever else counts there at the same time."""

    @property
    def uncounted(self) -> tuple[int, int]:
        """Return how many requests have passed, and how many were refused, while it could not be reached."""

    def admit(
        self, charges: Sequence[Charge], tokens: int, now: float
    ) -> Verdict | Awaitable[Verdict]:
        """Reserve one request and ``tokens`` with every charge, or with none of them."""

    def settle(
        self, charges: Sequence[Charge], window: int, reserved: int, used: int, now: float
    ) -> Awaitable[None] | None:
        """Replace a reservation by what was used, and end the request's time under way."""

    def close(self) -> None:
        """Give everything back."""
