"""Values that have the right shape and make no sense: one explicit check for each."""

from __future__ import annotations

from operator import attrgetter
from typing import NoReturn

from hoonify_router.errors import InvalidValue, Unsupported
from hoonify_router.types import ChatRequest, InferenceRequest, StreamOptions
from hoonify_router.validation_messages import check_messages
from hoonify_router.validation_tools import check_response_format, check_tools

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_VERBOSITIES = ("low", "medium", "high")
_INT64 = 1 << 63
_RARE = (
    "logit_bias",
    "metadata",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "response_format",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
)
_rare = attrgetter(*_RARE)
_NONE_OF_THEM = (None,) * len(_RARE)


def check_values(request: InferenceRequest) -> None:
    """Refuse a request whose values no model could honour.

    Raises:
        InvalidRequest: One of its kinds, most often ``InvalidValue``, with ``param``.
    """
    if isinstance(request, ChatRequest):
        _check_chat(request)


def _check_chat(chat: ChatRequest) -> None:
    _check_sampling(chat)
    _check_limits(chat)
    if chat.stream_options is not None:
        _check_stream(chat, chat.stream_options)
    if chat.stop is not None:
        _check_stop(chat.stop)
    if _rare(chat) != _NONE_OF_THEM:
        _check_rare(chat)
    check_messages(chat.messages)


def _check_rare(chat: ChatRequest) -> None:
    """Check the fields that most requests leave out."""
    if chat.logit_bias is not None:
        _check_logit_bias(chat.logit_bias)
    if chat.metadata is not None:
        _check_metadata(chat.metadata)
    _check_words(chat)
    check_response_format(chat)
    check_tools(chat)


def _refuse(name: str, why: str) -> NoReturn:
    raise InvalidValue(f"Invalid value for '{name}': {why}.", param=name)


def _refuse_range(name: str, value: float, low: float, high: float) -> NoReturn:
    _refuse(name, f"it must be from {low:g} to {high:g}, not {value:g}")


def _check_sampling(chat: ChatRequest) -> None:
    value = chat.temperature
    if value is not None and not 0 <= value <= 2:
        _refuse_range("temperature", value, 0, 2)
    value = chat.top_p
    if value is not None and not 0 <= value <= 1:
        _refuse_range("top_p", value, 0, 1)
    value = chat.frequency_penalty
    if value is not None and not -2 <= value <= 2:
        _refuse_range("frequency_penalty", value, -2, 2)
    value = chat.presence_penalty
    if value is not None and not -2 <= value <= 2:
        _refuse_range("presence_penalty", value, -2, 2)
    value = chat.min_p
    if value is not None and not 0 <= value <= 1:
        _refuse_range("min_p", value, 0, 1)
    value = chat.repetition_penalty
    if value is not None and not 0 < value <= 2:
        _refuse("repetition_penalty", f"it must be over 0 and at most 2, not {value:g}")
    if chat.top_k is not None and chat.top_k < -1:
        _refuse("top_k", "it must be -1 (all tokens) or more")
    if chat.seed is not None and not -_INT64 <= chat.seed < _INT64:
        _refuse("seed", "it must fit into 64 bits")


def _check_limits(chat: ChatRequest) -> None:
    limit = chat.max_tokens
    if limit is not None and not 1 <= limit < _INT64:
        _refuse_limit("max_tokens", limit)
    limit = chat.max_completion_tokens
    if limit is not None and not 1 <= limit < _INT64:
        _refuse_limit("max_completion_tokens", limit)
    if chat.n is not None and not 1 <= chat.n <= 128:
        _refuse_range("n", chat.n, 1, 128)
    top = chat.top_logprobs
    if top is not None:
        if not 0 <= top <= 20:
            _refuse_range("top_logprobs", top, 0, 20)
        if top and not chat.logprobs:
            _refuse("top_logprobs", "it is only allowed when 'logprobs' is true")


def _refuse_limit(name: str, limit: int) -> NoReturn:
    _refuse(name, "it must be 1 or more" if limit < 1 else "it is too large")


def _check_stream(chat: ChatRequest, options: StreamOptions) -> None:
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


def _check_words(chat: ChatRequest) -> None:
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
