"""Every error class can be answered with, and its place in OpenAI's scheme is a possible one."""

from __future__ import annotations

import re

import pytest
from docs.generate import own_errors

from hoonify_router import errors

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    417: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    499: "invalid_request_error",
    500: "server_error",
    503: "server_error",
    504: "server_error",
}


@pytest.mark.parametrize("kind", own_errors().values(), ids=lambda kind: kind.__name__)
def test_the_envelope_has_openai_s_shape(kind: type[errors.RouterError]) -> None:
    """Message, type, param and code, in that order, with the type that goes with the status."""
    envelope = errors.envelope(kind("It went wrong.", param="model"))
    assert list(envelope) == ["error"]
    assert list(envelope["error"]) == ["message", "type", "param", "code"]
    assert envelope["error"]["message"] == "It went wrong."
    assert envelope["error"]["param"] == "model"
    assert envelope["error"]["type"] == TYPES[kind.status]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", envelope["error"]["code"])


def test_the_tree_at_the_top_of_the_module_is_true() -> None:
    """Whoever reads it sees every class, with its status, below the class that it derives from."""
    shown: dict[str, tuple[int, int]] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"[ │├└─]*([A-Z]\w+) +(\d{3})\b", line):
            shown[found[1]] = (found.start(1), int(found[2]))
    kinds = {n: k for n, k in own_errors().items() if k.__module__ == errors.__name__}
    assert set(shown) == set(kinds)
    for name, (column, status) in shown.items():
        assert status == kinds[name].status, name
        parent = kinds[name].__base__
        assert parent is not None
        assert parent is Exception or shown[parent.__name__][0] == column - 4, name
