"""The parameters that several kinds of request share: type, range, default and meaning, each said once.

What is refused, in which words, and the pages under ``docs/endpoints`` all follow from these annotations.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Task = Literal["chat", "completion", "embedding"]

INT64 = (1 << 63) - 1
"""The largest number that travels; ranges that end here have no limit that a client could meet."""


def says(meaning: str, default: str = "", value: str = "") -> Meta:
    """Return what the documentation says of a field.

    Args:
        meaning: What it does.
        default: What holds while it is left out, where that is not plain.
        value: What it may be, where the type would say it at length.
    """
    return Meta(description=meaning, extra={"default": default, "value": value})


class StreamOptions(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What a stream carries besides the text."""

    include_usage: Annotated[
        bool | None, says("A last chunk, without choices, counts the tokens.", "`false`")
    ] = None
    include_obfuscation: Annotated[
        bool | None, says("Padding against traffic analysis; `true` is refused.", "`false`")
    ] = None


Model = Annotated[
    Annotated[str, Meta(min_length=1)],
    says("A model of the catalog: an `id` of `GET /v1/models`."),
]
Stream = Annotated[
    bool | None, says("Send the answer piece by piece, as server-sent events.", "`false`")
]
StreamOptionsField = Annotated[StreamOptions | None, says("Only together with `stream: true`.")]
Temperature = Annotated[
    Annotated[float, Meta(ge=0, le=2)] | None,
    says("Randomness; 0 always takes the likeliest token.", "the home's"),
]
TopP = Annotated[
    Annotated[float, Meta(ge=0, le=1)] | None,
    says("Only the likeliest tokens that together have this much probability.", "the home's"),
]
Choices = Annotated[
    Annotated[int, Meta(ge=1, le=128)] | None,
    says("Answers to the same prompt; each has its own `index`.", "1"),
]
Seed = Annotated[
    Annotated[int, Meta(ge=-INT64 - 1, le=INT64)] | None,
    says("Equal requests with equal seeds get equal answers.", "fresh randomness"),
]
StopText = Annotated[str, Meta(min_length=1)]
Stop = Annotated[
    StopText | Annotated[list[StopText], Meta(max_length=4)] | None,
    says(
        "Texts that end the answer; they are not part of it.",
        value="string or list of strings, none of them empty, at most 4",
    ),
]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
FrequencyPenalty = Annotated[
    Penalty | None,
    says("Over 0 makes a token less likely, the more often the answer already has it.", "0"),
]
PresencePenalty = Annotated[
    Penalty | None, says("Over 0 makes tokens less likely that the answer already has.", "0")
]
LogitBias = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=10)], Annotated[float, Meta(ge=-100, le=100)]]
    | None,
    says("Token ids, as strings, and what is added to their scores; -100 bans, 100 forces."),
]
User = Annotated[
    str | None, says("Who asks, in the client's own words; keeps a session on one home.")
]
TopK = Annotated[
    Annotated[int, Meta(ge=-1, le=INT64)] | None,
    says("Only this many likeliest tokens; 0 and -1 are no limit.", "the home's"),
]
MinP = Annotated[
    Annotated[float, Meta(ge=0, le=1)] | None,
    says("Only tokens at least this probable, relative to the likeliest.", "the home's"),
]
RepetitionPenalty = Annotated[
    Annotated[float, Meta(gt=0, le=2)] | None,
    says("Over 1 makes tokens less likely that prompt or answer already have.", "the home's"),
]
IgnoreEos = Annotated[
    bool | None, says("Go on to the token limit where the model would end.", "`false`")
]
Token = Annotated[int, Meta(ge=0, le=INT64)]
Tokens = Annotated[list[Token], Meta(min_length=1)]
MAX_PROMPTS = 2048
"""Prompts or inputs that one request may hold, and answers that it may ask for."""
