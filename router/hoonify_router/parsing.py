"""From the bytes of a body to a request, or to the error that says what is wrong with them."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from hoonify_router.api import RequestContext
from hoonify_router.errors import (
    InvalidJSON,
    RouterError,
    UnsupportedMediaType,
)
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    InferenceRequest,
    Task,
)
from hoonify_router.validation_complaints import explain
from hoonify_router.validation_hints import ABSENT

RequestT = TypeVar("RequestT")

_decode_chat = msgspec.json.Decoder(ChatRequest).decode
_decode_completion = msgspec.json.Decoder(CompletionRequest).decode
_decode_embedding = msgspec.json.Decoder(EmbeddingRequest).decode
_look_again = msgspec.json.Decoder(float_hook=float).decode


def check_content_type(content_type: str | None) -> None:
    """Refuse a body that is not declared as JSON.

    Raises:
        UnsupportedMediaType: It is declared as something else, or not at all.
    """
    if content_type == "application/json":
        return
    media, _, parameters = (content_type or "").partition(";")
    media = media.strip().lower()
    if media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    ):
        charset = parameters.lower().partition("charset=")[2].strip(' "')
        if charset in ("", "utf-8", "utf8"):
            return
        raise UnsupportedMediaType("The body must be JSON in UTF-8.")
    raise UnsupportedMediaType(
        "The body must be JSON: send the header Content-Type: application/json."
    )


def parse_request(ctx: RequestContext, task: Task) -> RouterError | None:
    """Fill in ``ctx.request``, or return why that cannot be done; limits come before the refusal."""
    try:
        check_content_type(ctx.headers.get("content-type"))
        ctx.request = _PARSERS[task](ctx.body)
    except InvalidJSON as error:
        return _compressed(ctx.headers.get("content-encoding")) or error
    except RouterError as error:
        return error
    return None


def _compressed(encoding: str | None) -> RouterError | None:
    """Return the refusal of a body that is no JSON because it is compressed."""
    if (encoding or "identity").strip().lower() == "identity":
        return None
    return UnsupportedMediaType("The body must be sent as it is: no Content-Encoding is taken.")


def parse_chat(body: bytes) -> ChatRequest:
    """Return the chat request in ``body``.

    Raises:
        InvalidRequest: One of its kinds, with the path of the offending field as ``param``.
    """
    return _parse(body, _decode_chat, ChatRequest)


def parse_completion(body: bytes) -> CompletionRequest:
    """Return the completion request in ``body``; fails as ``parse_chat`` does."""
    return _parse(body, _decode_completion, CompletionRequest)


def parse_embedding(body: bytes) -> EmbeddingRequest:
    """Return the embedding request in ``body``; fails as ``parse_chat`` does."""
    return _parse(body, _decode_embedding, EmbeddingRequest)


_PARSERS: dict[Task, Callable[[bytes], InferenceRequest]] = {
    "chat": parse_chat,
    "completion": parse_completion,
    "embedding": parse_embedding,
}


def _parse(
    body: bytes, decode: Callable[[bytes], RequestT], kind: type[InferenceRequest]
) -> RequestT:
    try:
        try:
            return decode(body)
        except msgspec.ValidationError as error:
            raise explain(str(error), kind, _plain(body)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidJSON(f"The body is not valid JSON. {_why(error, body)}") from None


def _why(error: Exception, body: bytes) -> str:
    if not body:
        return "There is no body."
    if body.startswith(codecs.BOM_UTF8):
        return "It begins with a byte order mark."
    if isinstance(error, RecursionError):
        return "It is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return "It is not UTF-8."
    return f"{error}."


def _plain(body: bytes) -> Any:
    """Return what a body that was refused holds, whatever it should have been.

    Raises:
        msgspec.DecodeError: It is not even JSON.
    """
    try:
        return _look_again(body)
    except (msgspec.ValidationError, RecursionError):  # a number of thousands of digits, such depth
        return ABSENT
