"""What copies of requests tell of a candidate home, as ``hoonify-router compare --json`` tells it. No text is in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

Judgement = Literal["unknown", "failing", "same", "close", "different"]


class Agreement(Struct, kw_only=True):
    """How far two homes said the same.

    Args:
        compared: Pairs of answers.
        exact: Those that are equal to the last character.
        prefix: Sum over all pairs of the share of the longer answer that both begin with.
    """

    compared: int = 0
    exact: int = 0
    prefix: float = 0.0


class Side(Struct, kw_only=True):
    """How one of the two did, over the same requests.

    Args:
        failed: Requests that failed there.
        tokens: Of its answers, as far as it counted them.
        counted: Answers whose tokens it counted.
        characters: Of its answers.
        ttft: How many first tokens took how long, by the number of the bucket.
        itl: The same for the average pause between tokens.
    """

    failed: int = 0
    tokens: int = 0
    counted: int = 0
    characters: int = 0
    ttft: dict[int, int] = {}
    itl: dict[int, int] = {}


class ShadowTally(Struct, kw_only=True):
    """What one gateway has counted of a model's shadow; tallies of several with the same key add up.

    Args:
        key: Which shadow, beside which homes: when one of them is another, counting begins anew.
        since: When it began, in seconds since 1970.
        requests: That came to the model.
        busy: Copies that were not made because as many as may be were under way.
        away: Copies that were not made, or were cut, because the shadow was not there.
        long: Answers that were too long to be kept for the comparison.
        errors: Failures of the shadow by the name of the error.
        repeatable: Answers that should be equal: greedy, or with a seed on the same backend.
        sampled: All others.
        home: How the homes did.
        shadow: How the shadow did.
    """

    key: str
    since: float
    requests: int = 0
    busy: int = 0
    away: int = 0
    long: int = 0
    errors: dict[str, int] = {}
    repeatable: Agreement = field(default_factory=Agreement)
    sampled: Agreement = field(default_factory=Agreement)
    home: Side = field(default_factory=Side)
    shadow: Side = field(default_factory=Side)


class TextsCompared(Struct, kw_only=True):
    """Pairs of answers; shares are 0 to 1, ``null`` where there is no pair."""

    compared: int
    exact: float | None
    common_prefix: float | None


class SideCompared(Struct, kw_only=True):
    """One of the two; times are seconds, what is not known is ``null``."""

    backend: str
    failed: int
    mean_tokens: float | None
    mean_characters: float | None
    ttft_p50: float | None
    ttft_p99: float | None
    itl_p50: float | None
    itl_p99: float | None


class Comparison(Struct, kw_only=True):
    """The whole comparison of a model's shadow with its homes.

    Args:
        model: Catalog ID.
        state: Of the shadow; ``reason`` is why it does not serve.
        since: When counting began, in seconds since 1970; ``null`` where nothing has come yet.
        share: Of requests that are copied, by the configuration.
        requests: That came to the model since.
        compared: Pairs of answers.
        busy: Copies that were not made because as many as may be were under way.
        away: Copies that were not made, or were cut, because the shadow was not there.
        long: Answers that were too long to be compared.
        errors: Failures of the shadow by the name of the error.
        repeatable: Answers that should be equal: greedy, or with a seed on the same backend.
        sampled: All others, which differ by nature.
        home: How the homes did.
        shadow: How the shadow did with the same requests.
        judgement: What it comes to, in a word.
        verdict: The same in a sentence.
    """

    model: str
    state: str
    reason: str = ""
    since: float | None
    share: float
    requests: int
    compared: int
    busy: int
    away: int
    long: int
    errors: dict[str, int]
    repeatable: TextsCompared
    sampled: TextsCompared
    home: SideCompared
    shadow: SideCompared
    judgement: Judgement
    verdict: str


def key_of(shadow: str, homes: Iterable[str]) -> str:
    """Return the key of a tally, from the keys of the shadow and of the model's homes."""
    return " ".join([shadow, *homes])
