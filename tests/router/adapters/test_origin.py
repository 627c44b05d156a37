"""Base URLs become places to connect to."""

from __future__ import annotations

import pytest

from hoonify_router.adapters.origin import Origin, parse_url


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("http://gpu-1:30000", Origin("gpu-1", 30000, False), "/v1", "gpu-1:30000"),
        ("http://gpu-1:30000/", Origin("gpu-1", 30000, False), "/v1", "gpu-1:30000"),
        ("http://gpu-1/v1/", Origin("gpu-1", 80, False), "/v1", "gpu-1"),
        ("https://a.example/x/v2", Origin("a.example", 443, True), "/x/v2", "a.example"),
        ("https://a.example:8443/v1", Origin("a.example", 8443, True), "/v1", "a.example:8443"),
        ("http://[::1]:9/v1", Origin("::1", 9, False), "/v1", "[::1]:9"),
        ("http://[::1]/v1", Origin("::1", 80, False), "/v1", "[::1]"),
    ],
)
def test_a_base_url_is_taken_apart(url: str, origin: Origin, path: str, authority: str) -> None:
    """A bare host means OpenAI's own path."""
    assert parse_url(url) == (origin, path)
    assert origin.authority == authority
    assert (origin.tls_context() is not None) == origin.tls


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gpu-1:30000",
        "ftp://x",
        "http://",
        "http://u:p@x/v1",
        "http://x/v1?a=b",
        "http://x/v1#a",
        "http://x:port/v1",
        "http://x/v 1",
        "http://x/vé",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    """With a word on what is expected."""
    with pytest.raises(ValueError, match=r"."):
        parse_url(url)
