"""What ``plugins: rate_limits:`` in the configuration may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

NAME = "rate_limits"
MEMORY = "memory"
REDIS_URLS = ("redis://", "rediss://", "unix://")


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class Limits(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What one key may use; a limit that is left out does not exist."""

    requests_per_minute: Annotated[
        Annotated[int, Meta(ge=1)] | None, _says("Requests in one minute of the clock.")
    ] = None
    tokens_per_minute: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _says("Tokens of prompts and answers in one minute of the clock."),
    ] = None
    concurrent_requests: Annotated[
        Annotated[int, Meta(ge=1)] | None, _says("Requests under way at the same time.")
    ] = None


class Plan(Limits, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """The limits of every key on one plan."""

    models: Annotated[
        dict[str, Limits],
        _says("Further limits for models, by globs of their IDs; the first that fits counts."),
    ] = field(default_factory=dict)


class RateLimitsSettings(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Rate limits."""

    plans: Annotated[
        dict[str, Plan], _says("Limits by plan; `unlimited: {}` has none.", min_length=1)
    ] = field(
        default_factory=lambda: {
            "free": Plan(requests_per_minute=60, tokens_per_minute=40_000),
            "standard": Plan(requests_per_minute=600, tokens_per_minute=400_000),
            "unlimited": Plan(),
        }
    )
    store: Annotated[
        str,
        _says(
            "Where the counts are: memory (exact across this machine's gateway processes) or redis://…"
            " (exact across machines)."
        ),
    ] = "memory"
    when_store_is_away: Annotated[
        Literal["fail_open", "fail_closed"],
        _says("While Redis cannot be reached: let every request pass, or refuse every one."),
    ] = "fail_open"
    answer_tokens: Annotated[
        int,
        _says("Tokens reserved for an answer whose request sets no max_tokens.", ge=1),
    ] = 1024
