"""The body for a server home: the client's own bytes, changed only where they must be."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from hoonify_router.types import InferenceRequest

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
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
    fields = _fields(body)
    fields.update(wanted)
    return _encode(fields)
