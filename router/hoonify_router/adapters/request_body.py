"""The body for a server home: the client's own bytes, changed only where they must be."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from hoonify_router.types import InferenceRequest

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_MODEL = b'"model"'
_TEXT = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')
_SHORT = 2048  # bytes; to search more of them for words is dearer than to read them as JSON
_WITH_USAGE = Raw(b'{"include_usage":true}')


def request_body(
    request: InferenceRequest,
    body: bytes | None,
    served_name: str,
    more: Mapping[str, str | float] | None = None,
) -> bytes:
    """Return what to send: under the name that the home knows, and asking for usage.

    Only the values of those top-level keys are new, whatever the JSON looks like: nested keys of the
    same name, escapes and the order of the keys stay as they were. Of a key that stands there twice the
    last one is sent, which is the one that was checked.

    Args:
        request: The checked request.
        body: The client's bytes of it, or ``None`` when ``request`` was changed since.
        served_name: The model as the home calls it; empty if it goes by the catalog's ID.
        more: Fields that the home takes beside OpenAI's, or other values of those that the request has.
    """
    if body is None:
        body = _encode(request)
    wanted: dict[str, Raw] = {}
    if served_name and served_name != request.model:
        wanted["model"] = Raw(_encode(served_name))
    if request.streams and not request.wants_usage:
        wanted["stream_options"] = _WITH_USAGE
    for name, value in (more or {}).items():
        wanted[name] = Raw(_encode(value))
    if not wanted:
        return body
    if (amended := _amend(body, wanted)) is not None:
        return amended
    fields = _fields(body)
    fields.update(wanted)
    return _encode(fields)


def _amend(body: bytes, wanted: Mapping[str, Raw]) -> bytes | None:
    """Return ``body`` with other values without reading it, or ``None`` where it must be read.

    A checked request has its model at the top. Where nothing is spelled with ``\\u`` and ``"model"`` stands in it
    once, that one is the key. New fields follow it, if nothing in the body looks like one of them.
    """
    if len(body) > _SHORT:
        return None
    place = body.find(_MODEL)
    if place < 0 or body.find(_MODEL, place + 1) >= 0 or b"\\u" in body:
        return None
    value = _TEXT.match(body, place + len(_MODEL))
    if value is None:
        return None
    start, end = value.span(1)
    pieces: list[bytes | memoryview] = [body[:start], wanted.get("model", value[1])]
    for name, raw in wanted.items():
        if name != "model":
            key = b'"%b"' % name.encode()
            if key in body:
                return None
            pieces += (b",", key, b":", raw)
    pieces.append(body[end:])
    return b"".join(pieces)
