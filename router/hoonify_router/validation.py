"""Values that have the right shape and make no sense: one explicit check for each."""

from __future__ import annotations

from typing import NoReturn

from hoonify_router.errors import InvalidValue, Unsupported
from hoonify_router.types import ChatRequest
from hoonify_router.validation_messages import check_messages
from hoonify_router.validation_tools import check_response_format, check_tools

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_VERBOSITIES = ("low", "medium", "high")
_INT64 = 1 << 63


def check_values(chat: ChatRequest) -> None:
    """Refuse a request whose values no model could honour.

    Raises:
        InvalidRequest: One of its kinds, most often ``InvalidValue``, with ``param``.
    """
    _check_sampling(chat)
    _check_limits(chat)
    _check_stream(chat)
    if chat.stop is not None:
        _check_stop(chat.stop)
    if chat.logit_bias is not None:
        _check_logit_bias(chat.logit_bias)
    if chat.metadata is not None:
        _check_metadata(chat.metadata)
    _check_choices(chat)
    check_response_format(chat)
    check_tools(chat)
    check_messages(chat.messages)


def _refuse(name: str, why: str) -> NoReturn:
    raise InvalidValue(f"Invalid value for '{name}': {why}.", param=name)


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        _refuse(name, f"it must be from {low:g} to {high:g}, not {value:g}")


def _check_sampling(chat: ChatRequest) -> None:
    _check_range("temperature", chat.temperature, 0, 2)
    _check_range("top_p", chat.top_p, 0, 1)
    _check_range("frequency_penalty", chat.frequency_penalty, -2, 2)
    _check_range("presence_penalty", chat.presence_penalty, -2, 2)
    _check_range("min_p", chat.min_p, 0, 1)
    if chat.top_k is not None and chat.top_k < -1:
        _refuse("top_k", "it must be -1 (all tokens) or more")
    penalty = chat.repetition_penalty
    if penalty is not None and not 0 < penalty <= 2:
        _refuse("repetition_penalty", f"it must be over 0 and at most 2, not {penalty:g}")
    if chat.seed is not None and not -_INT64 <= chat.seed < _INT64:
        _refuse("seed", "it must fit into 64 bits")


def _check_limits(chat: ChatRequest) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        limit = getattr(chat, name)
        if limit is not None and not 1 <= limit < _INT64:
            _refuse(name, "it must be 1 or more" if limit < 1 else "it is too large")
    if chat.n is not None and not 1 <= chat.n <= 128:
        _refuse("n", f"it must be from 1 to 128, not {chat.n}")
    if chat.top_logprobs is not None:
        _check_range("top_logprobs", chat.top_logprobs, 0, 20)
        if chat.top_logprobs and not chat.logprobs:
            _refuse("top_logprobs", "it is only allowed when 'logprobs' is true")


def _check_stream(chat: ChatRequest) -> None:
    options = chat.stream_options
    if options is None:
        return
    if not chat.stream:
        _refuse("stream_options", "it is only allowed when 'stream' is true")
    if options.include_obfuscation:
        param = "stream_options.include_obfuscation"
        raise Unsupported(f"The parameter '{param}' is not supported here.", param=param)


def _check_stop(stop: str | list[str]) -> None:
    stops = [stop] if isinstance(stop, str) else stop
    if len(stops) > 4:
        _refuse("stop", f"at most 4 stop sequences are allowed, not {len(stops)}")
    if not all(stops):
        _refuse("stop", "a stop sequence must not be empty")


def _check_logit_bias(bias: dict[str, float]) -> None:
    for token, value in bias.items():
        if not (token.isascii() and token.isdigit()):
            _refuse("logit_bias", "its keys must be token ids")
        if not -100 <= value <= 100:
            _refuse("logit_bias", f"a bias must be from -100 to 100, not {value:g}")


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > 16:
        _refuse("metadata", f"at most 16 pairs are allowed, not {len(metadata)}")
    for key, value in metadata.items():
        if len(key) > 64:
            _refuse("metadata", "a key may have at most 64 characters")
        if len(value) > 512:
            _refuse("metadata", "a value may have at most 512 characters")


def _check_choices(chat: ChatRequest) -> None:
    """Check the fields that take one word out of a few."""
    if chat.reasoning_effort is not None and chat.reasoning_effort not in _EFFORTS:
        _refuse("reasoning_effort", f"it must be one of {', '.join(_EFFORTS)}")
    if chat.verbosity is not None and chat.verbosity not in _VERBOSITIES:
        _refuse("verbosity", f"it must be one of {', '.join(_VERBOSITIES)}")
    if chat.modalities is not None:
        if not chat.modalities:
            _refuse("modalities", "it must not be empty")
        if not {"text", "audio"}.issuperset(chat.modalities):
            _refuse("modalities", "it may hold text and audio")
