"""From the bytes of a body to a ``ChatRequest``, or to the error that says what is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from hoonify_router.api import RequestContext
from hoonify_router.errors import (
    InvalidJSON,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    RouterError,
    UnknownParameter,
    UnsupportedMediaType,
)
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    InferenceRequest,
    Task,
)

RequestT = TypeVar("RequestT")

_decode_chat = msgspec.json.Decoder(ChatRequest).decode
_decode_completion = msgspec.json.Decoder(CompletionRequest).decode
_decode_embedding = msgspec.json.Decoder(EmbeddingRequest).decode
_AT = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*?)`")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`", re.DOTALL)
_WRONG_TYPE = re.compile(r"^Expected `(.*?)`, got `(.*?)`")
_JSON_TYPES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}


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
    except RouterError as error:
        return error
    return None


def parse_chat(body: bytes) -> ChatRequest:
    """Return the chat request in ``body``.

    Raises:
        InvalidRequest: One of its kinds, with the path of the offending field as ``param``.
    """
    return _parse(body, _decode_chat)


def parse_completion(body: bytes) -> CompletionRequest:
    """Return the completion request in ``body``; fails as ``parse_chat`` does."""
    return _parse(body, _decode_completion)


def parse_embedding(body: bytes) -> EmbeddingRequest:
    """Return the embedding request in ``body``; fails as ``parse_chat`` does."""
    return _parse(body, _decode_embedding)


_PARSERS: dict[Task, Callable[[bytes], InferenceRequest]] = {
    "chat": parse_chat,
    "completion": parse_completion,
    "embedding": parse_embedding,
}


def _parse(body: bytes, decode: Callable[[bytes], RequestT]) -> RequestT:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise explain(str(error)) from None
    except msgspec.DecodeError as error:
        what = "There is no body." if not body else f"{error}."
        raise InvalidJSON(f"The body is not valid JSON. {what}") from None
    except (RecursionError, UnicodeDecodeError):
        raise InvalidJSON("The body is not valid JSON that can be read.") from None


def explain(complaint: str) -> RouterError:
    """Return our error for what msgspec complains of in a body that is JSON."""
    path = ""
    if at := _AT.search(complaint):
        path = at[1].removeprefix(".").replace("[...]", "")
        complaint = complaint[: at.start()]
    if missing := _MISSING.match(complaint):
        param = f"{path}.{missing[1]}".removeprefix(".")
        return MissingParameter(f"Missing required parameter: '{param}'.", param=param)
    if unknown := _UNKNOWN.match(complaint):
        param = f"{path}.{unknown[1]}".removeprefix(".")
        return UnknownParameter(
            f"Unknown parameter: '{param[:200]}'.{_suggestion(unknown[1])}", param=param[:200]
        )
    if wrong := _WRONG_TYPE.match(complaint):
        expected, got = _type_names(wrong[1]), _JSON_TYPES.get(wrong[2], wrong[2])
        if not path:
            return InvalidType(f"The body must be a JSON object, not {got}.")
        return InvalidType(
            f"Invalid type for '{path}': expected {expected}, but got {got}.", param=path
        )
    if complaint.startswith(("Invalid enum value", "Invalid value", "Number out of range")):
        return InvalidValue(f"Invalid value for '{path}': {_shorten(complaint)}.", param=path)
    return InvalidRequest(f"'{path}' is not valid: {_shorten(complaint)}.", param=path or None)


def _type_names(union: str) -> str:
    """Return what may stand there, for people; ``null`` stands for a field that is left out."""
    names = [name for name in union.split(" | ") if name != "null"] or ["null"]
    return " or ".join(_JSON_TYPES.get(name, name) for name in names)


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, ChatRequest.__struct_fields__, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def _shorten(complaint: str) -> str:
    text = complaint[:1].lower() + complaint[1:]
    return text if len(text) <= 200 else f"{text[:200]}..."
