"""Single fields of a request, read and checked; what is impossible is refused by the field's name."""

from __future__ import annotations

import math

from hoonify_router.errors import InvalidRequest, InvalidValue, Unsupported
from hoonify_router.types import ChatRequest, CompletionRequest

_MOST_BIAS = 100
_MOST_TOLD = 20
_MOST_TOLD_IN_COMPLETIONS = 5


def read_limit(request: ChatRequest | CompletionRequest) -> int | None:
    """Return how many tokens an answer may have; a completion may have none at all."""
    limit = request.token_limit
    least = 0 if isinstance(request, CompletionRequest) else 1
    if limit is not None and limit < least:
        newer = getattr(request, "max_completion_tokens", None) is not None
        name = "max_completion_tokens" if newer else "max_tokens"
        raise InvalidValue(f"{name} must be at least {least}.", param=name)
    return limit


def read_stops(request: ChatRequest | CompletionRequest) -> tuple[str, ...]:
    """Return the strings that end an answer."""
    stop = request.stop
    if stop is None:
        return ()
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(stops):
        raise InvalidValue("A stop string must not be empty.", param="stop")
    return stops


def read_penalty(request: ChatRequest | CompletionRequest) -> float | None:
    """Return the repetition penalty."""
    penalty = request.repetition_penalty
    if penalty is not None and penalty <= 0:
        raise InvalidValue("repetition_penalty must be greater than 0.", param="repetition_penalty")
    return penalty


def read_bias(
    request: ChatRequest | CompletionRequest, vocabulary: int
) -> tuple[tuple[int, float], ...]:
    """Return tokens and what is added to their scores.

    Args:
        request: The request.
        vocabulary: How many tokens there are.
    """
    biases: dict[int, float] = {}
    for name, bias in (request.logit_bias or {}).items():
        token = int(name) if name.isascii() and name.isdecimal() and len(name) < 10 else -1
        if not 0 <= token < vocabulary:
            raise InvalidValue(
                f"logit_bias names the token {name[:20]!r}; this model's go from 0 to {vocabulary - 1}.",
                param=f"logit_bias.{name[:20]}",
            )
        if not (math.isfinite(bias) and abs(bias) <= _MOST_BIAS):
            raise InvalidValue(
                f"logit_bias must be between -{_MOST_BIAS} and {_MOST_BIAS}, and is {bias:g} for the"
                f" token {token}.",
                param=f"logit_bias.{name[:20]}",
            )
        biases[token] = bias
    return tuple(biases.items())


def read_chat_watch(request: ChatRequest) -> int | None:
    """Return how many of the likeliest tokens are told with each; ``None`` tells nothing of any."""
    top = request.top_logprobs
    if top is not None and not 0 <= top <= _MOST_TOLD:
        raise InvalidValue(
            f"top_logprobs must be between 0 and {_MOST_TOLD}.", param="top_logprobs"
        )
    if request.logprobs:
        return top or 0
    if top:
        raise InvalidValue("top_logprobs needs logprobs to be true.", param="top_logprobs")
    return None


def read_completion_watch(request: CompletionRequest) -> int | None:
    """Return the same for a completion, where one number says both."""
    told = request.logprobs
    if told is None:
        return None
    if not 0 <= told <= _MOST_TOLD_IN_COMPLETIONS:
        raise InvalidValue(
            f"logprobs must be between 0 and {_MOST_TOLD_IN_COMPLETIONS}.", param="logprobs"
        )
    if request.echo:
        raise Unsupported(
            "Unsupported parameter: 'echo' together with 'logprobs': how probable the prompt's own"
            " tokens are is not told.",
            param="echo",
        )
    return told


def refuse_foreign(request: CompletionRequest) -> None:
    """Refuse what no engine of ours does.

    Raises:
        Unsupported: With the parameter's name.
    """
    if request.suffix:
        raise Unsupported(
            "Unsupported parameter: 'suffix': this model only goes on with a text.", param="suffix"
        )
    best_of, n = request.best_of, request.n or 1
    if best_of is not None and best_of < n:
        raise InvalidValue(f"best_of must be at least n, which is {n}.", param="best_of")
    if best_of is not None and best_of > n:
        raise Unsupported(
            "Unsupported parameter: 'best_of': only as many answers are made as are returned.",
            param="best_of",
        )
    if not request.prompts:
        raise InvalidRequest("There is no prompt.", param="prompt")
