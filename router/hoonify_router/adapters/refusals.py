"""What a server home complains of, as one of our errors that tells clients nothing of the inside."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from hoonify_router.adapters.upstream import (
    ConnectFailed,
    ConnectTimedOut,
    NoFilesLeft,
    UpstreamError,
)
from hoonify_router.discretion import tells_of_inside
from hoonify_router.errors import (
    ConnectTimeout,
    ContextLengthExceeded,
    EngineDead,
    HomeMisconfigured,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    ModelUnavailable,
    Overloaded,
    PayloadTooLarge,
    RouterError,
    RouterFull,
    UnknownParameter,
    Unsupported,
    WrongEndpoint,
)
from hoonify_router.types import ChatRequest, CompletionRequest, EmbeddingRequest, Task

log = logging.getLogger(__name__)

_TOO_LONG = re.compile(
    r"context.?(length|size|window)|max(imum)?_model_len|longer than the model", re.IGNORECASE
)
_NO_MODEL = re.compile(r"model.*(not exist|not found)|(no|unknown) model", re.IGNORECASE)
_PARAM = re.compile(r"([a-z_]+)(\[\d+\]|\.[a-z_]+)*")
_MAX_MESSAGE = 400
_MAX_PARAM = 100

REFUSED = "The model's engine cannot serve this request."
FULL = "The model's queue is full."
NO_ROOM = "The router is serving as many requests as it can."
AWAY = "The model's engine cannot be reached."
SLOW = "No connection to the model's engine came about in time."
FAILED = "The model's engine has failed."
BROKEN_OFF = "The connection to the model's engine broke before the answer was complete."
MISCONFIGURED = "The model's home is not set up correctly."
ELSEWHERE = "The model's engine does not serve this endpoint."

_KINDS: dict[str, type[InvalidRequest]] = {
    kind.code: kind
    for kind in (
        InvalidType,
        InvalidValue,
        MissingParameter,
        UnknownParameter,
        Unsupported,
    )
}
"""Codes of OpenAI's that say what is wrong with a request, wherever they come from."""

_FIELDS = frozenset(
    name
    for kind in (ChatRequest, CompletionRequest, EmbeddingRequest)
    for name in kind.__struct_fields__
)
_PROMPTS: dict[Task, str] = {"chat": "messages", "completion": "prompt", "embedding": "input"}


def refusal(
    status: int, headers: Mapping[bytes, bytes], body: bytes, task: Task = "chat"
) -> RouterError:
    """Return our error for an answer whose status is not 200.

    Args:
        status: Of the answer.
        headers: Those that matter, with lower-case names.
        body: What it says.
        task: What was asked for.
    """
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        told = None
    return _translate(task, status, _read(told), _seconds(headers.get(b"retry-after")))


def stream_refusal(error: Any, task: Task = "chat") -> RouterError:
    """Return our error for what stood under ``error`` in an answer that began with status 200."""
    status = 500
    if isinstance(error, dict):
        for key in ("code", "status", "status_code"):
            value = error.get(key)
            if isinstance(value, str) and value.isdigit():
                value = int(value)
            if isinstance(value, int) and 400 <= value < 600:
                status = value
                break
    return _translate(task, status, _read({"error": error}), None)


def breakdown(error: UpstreamError) -> RouterError:
    """Return our error for an upstream that did not answer, or not to the end."""
    if isinstance(error, NoFilesLeft):
        return RouterFull(NO_ROOM, retry_after=1)
    if isinstance(error, ConnectTimedOut):
        return ConnectTimeout(SLOW, retry_after=2)
    if isinstance(error, ConnectFailed):
        return ModelUnavailable(AWAY, retry_after=2)
    return EngineDead(BROKEN_OFF, retry_after=1)


def discreet(error: RouterError) -> RouterError:
    """Return what clients may read of an engine's own failure; what tells of the inside is for the log.

    A refusal of what the client sent is meant for the client and stays as it is.
    """
    if error.status < 500 or _public(error.message, "") == error.message:
        return error
    log.warning("an engine failed: %s", error.message)
    return type(error)(FAILED, param=error.param, retry_after=error.retry_after)


def with_model_named(error: RouterError, served_name: str, model: str) -> RouterError:
    """Return a refusal that calls the model as the client does, not as its home does.

    Args:
        error: What the home refused, and why.
        served_name: The model as the home calls it; empty if it goes by the catalog's ID.
        model: The model that the client asked for.
    """
    if not served_name or served_name == model or served_name not in error.message:
        return error
    name = re.escape(served_name)
    if served_name.isalpha():  # it may stand there as a word of the language
        name = rf"(?:(?<=['\"`]){name}(?=['\"`])|(?<=\bmodel ){name}\b)"
    message = re.sub(rf"(?<![\w./-]){name}(?![\w/-])", lambda _: model, error.message)
    return type(error)(message, param=error.param, retry_after=error.retry_after)


class _Complaint(NamedTuple):
    """What a server says in any of the forms that servers use."""

    message: str = ""
    param: str | None = None
    code: str = ""


def _translate(
    task: Task, status: int, complaint: _Complaint, retry_after: float | None
) -> RouterError:
    message, param, code = complaint
    if code == "context_length_exceeded" or (status < 500 and _TOO_LONG.search(message)):
        return ContextLengthExceeded(_public(message, REFUSED), param=param or _PROMPTS[task])
    if status == 413:
        return PayloadTooLarge("The request is too large for the model's engine.")
    if status == 429 or (status == 503 and "queue" in message.lower()):
        return Overloaded(FULL, retry_after=retry_after or 1)
    if code == WrongEndpoint.code:
        return WrongEndpoint(ELSEWHERE, param="model")
    if status in (400, 422):
        return _KINDS.get(code, InvalidRequest)(_public(message, REFUSED), param=param)
    if task != "chat" and status in (404, 405, 501) and not _NO_MODEL.search(message):
        return WrongEndpoint(ELSEWHERE, param="model")
    if status in (401, 403, 404, 405, 407) or 300 <= status < 400:
        return HomeMisconfigured(MISCONFIGURED, retry_after=retry_after or 30)
    if status in (408, 502, 503, 504):
        return ModelUnavailable(FAILED, retry_after=retry_after or 2)
    return EngineDead(FAILED, retry_after=retry_after or 1)


def _read(told: Any) -> _Complaint:
    error = told.get("error", told) if isinstance(told, dict) else told
    if isinstance(error, str):
        return _Complaint(error)
    if not isinstance(error, dict):
        return _Complaint()
    message = error.get("message") or error.get("detail")
    param, code = error.get("param"), error.get("code")
    return _Complaint(
        message if isinstance(message, str) else "",
        param if isinstance(param, str) and _is_ours(param) else None,
        code if isinstance(code, str) else "",
    )


def _is_ours(param: str) -> bool:
    match = _PARAM.fullmatch(param[: _MAX_PARAM + 1])
    if len(param) > _MAX_PARAM:
        return False
    return match is not None and match[1] in _FIELDS


def _public(message: str, otherwise: str) -> str:
    """Return what clients may read of a server's message: all of it or nothing."""
    if not message or len(message) > _MAX_MESSAGE or tells_of_inside(message):
        return otherwise
    return message if message.isprintable() else otherwise


def _seconds(value: bytes | None) -> float | None:
    """Return a Retry-After in seconds; its form as a date is not worth a parser."""
    if value is None or not value.isdigit() or len(value) > 5:
        return None
    return float(value)
