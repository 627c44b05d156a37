"""Sampling where a client says nothing: the operator's wish, or else the model's own.

Read in the router's processes too, as a part of homes' options, so nothing heavy is imported with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from hoonify_backends.generation.sampling import Sampling


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class SamplingDefaults(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What is sampled where the client says nothing.

    A field that is left out here counts as the model's own files say, and so a client that sets no
    temperature gets the model's, not OpenAI's 1.
    """

    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        _says("Randomness; 0 always takes the likeliest token."),
    ] = None
    top_p: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        _says("Only the likeliest tokens that together have this much probability."),
    ] = None
    top_k: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        _says("Only this many likeliest tokens; 0 is no limit."),
    ] = None
    min_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        _says("Only tokens at least this probable, relative to the likeliest."),
    ] = None
    repetition_penalty: Annotated[
        Annotated[float, Meta(gt=0, le=10)] | None,
        _says("Over 1 makes tokens that have been seen less likely."),
    ] = None


class Suggested(Protocol):
    """How a model's makers would sample it, as their files say; ``None`` where they say nothing."""

    do_sample: bool
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None


def default_sampling(own: SamplingDefaults, suggested: Suggested) -> Sampling:
    """Return what counts where the client says nothing.

    A model whose makers say ``do_sample: false`` answers greedily; their limits beside it mean nothing then.
    """
    from hoonify_backends.generation.sampling import Sampling

    neutral = Sampling()
    greedy = {"temperature": 0.0, "repetition_penalty": suggested.repetition_penalty}

    def first(name: str) -> Any:
        theirs = getattr(suggested, name) if suggested.do_sample else greedy.get(name)
        for value in (getattr(own, name), theirs):
            if value is not None:
                return value
        return getattr(neutral, name)

    return Sampling(
        temperature=first("temperature"),
        top_p=first("top_p"),
        top_k=first("top_k"),
        min_p=first("min_p"),
        repetition_penalty=first("repetition_penalty") or neutral.repetition_penalty,
    )
