"""Where a server home is: scheme, host, port and the path before OpenAI's own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Origin:
    """One place that connections go to.

    Args:
        host: Name or address, without brackets.
        port: TCP port.
        tls: Whether it speaks https.
    """

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """Return what the ``Host`` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how the connection is secured, if it is."""
        return ssl.create_default_context() if self.tls else None


def parse_url(url: str) -> tuple[Origin, str]:
    """Return origin and path prefix of a base URL; without a path it is OpenAI's ``/v1``.

    Raises:
        ValueError: It is no http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected a URL such as http://gpu-1:30000 or https://example.com/v1")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("expected a plain URL: no user, no query, no fragment")
    tls = parts.scheme == "https"
    path = parts.path.rstrip("/") or "/v1"
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError("its path must be plain ASCII")
    return Origin(parts.hostname, parts.port or (443 if tls else 80), tls), path
