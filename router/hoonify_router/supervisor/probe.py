"""A light look whether an OpenAI-compatible server is there, with nothing but the standard library."""

from __future__ import annotations

import asyncio
import re
import ssl
from urllib.parse import urlsplit

from hoonify_router.supervisor.lifecycle import Trouble

_TIMEOUT = 5.0
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


async def probe(base_url: str, api_key: str | None) -> None:
    """Ask ``GET {base_url}/models``; any answer that a living server gives to us is good.

    Raises:
        Trouble: Nobody answers, the key is refused, or the server is in trouble itself.
    """
    url = f"{base_url}/models"
    try:
        async with asyncio.timeout(_TIMEOUT):
            status = await _get(url, api_key)
    except TimeoutError:
        raise Trouble(
            "Its server does not answer.", f"{url}: no answer in {_TIMEOUT:g} s"
        ) from None
    except (OSError, ValueError) as exc:
        raise Trouble("Its server cannot be reached.", f"{url}: {exc}") from exc
    if status in (401, 403):
        raise Trouble("Its server refuses the router.", f"{url}: {status}: check `api_key:`")
    if status >= 500 or status < 200:
        raise Trouble("Its server is in trouble.", f"{url}: status {status}")


async def _get(url: str, api_key: str | None) -> int:
    """Return the status of a plain GET; the body is not read."""
    parts = urlsplit(url)
    if parts.hostname is None:
        raise ValueError("is no URL")
    secure = parts.scheme == "https"
    context = ssl.create_default_context() if secure else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += ["Accept: application/json", "Connection: close"]
        if api_key:
            lines.append(f"Authorization: Bearer {api_key}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        match = _STATUS.match(await reader.readline())
        if match is None:
            raise ValueError("the answer is no HTTP")
        return int(match[1])
    finally:
        writer.transport.abort()
