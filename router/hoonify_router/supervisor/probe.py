"""A light look whether an OpenAI-compatible server is there, and whether it has the model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from hoonify_router.adapters.fetch import fetch
from hoonify_router.adapters.origin import parse_url
from hoonify_router.adapters.pool import Pool
from hoonify_router.adapters.upstream import UpstreamError
from hoonify_router.supervisor.lifecycle import Trouble

_TIMEOUT = 5.0
_SHOWN = 8


class _Listed(Struct):
    id: str


class _List(Struct):
    data: list[_Listed]


_decode = msgspec.json.Decoder(_List).decode


async def probe(base_url: str, api_key: str | None, model: str = "", ready_path: str = "") -> None:
    """Ask ``GET {base_url}/models``; any answer that a living server gives to us is good.

    Args:
        base_url: Where the server's API is.
        api_key: The server's key.
        model: What must be on its list, as a server answers to any name; nothing need be, if it is empty.
        ready_path: From its root, where it says 503 while it should get no requests; empty where it does not tell.

    Raises:
        Trouble: Nobody answers, the key is refused, the server is in trouble itself, lacks the model or takes no
            requests.
    """
    url = f"{base_url}/models"
    try:
        origin, path = parse_url(base_url)
    except ValueError as exc:
        raise Trouble("Its server cannot be reached.", f"{url}: {exc}") from exc
    pool = Pool(origin)
    try:
        async with asyncio.timeout(_TIMEOUT):
            status, body = await fetch(pool, f"{path}/models", api_key=api_key or "")
            ready = status
            if ready_path and status == 200:
                root = path.removesuffix("/v1")
                ready = (await fetch(pool, f"{root}{ready_path}", api_key=api_key or "")).status
    except TimeoutError:
        raise Trouble(
            "Its server does not answer.", f"{url}: no answer in {_TIMEOUT:g} s"
        ) from None
    except UpstreamError as exc:
        raise Trouble("Its server cannot be reached.", f"{url}: {exc}") from exc
    finally:
        pool.close()
    if status in (401, 403):
        raise Trouble("Its server refuses the router.", f"{url}: {status}: check `api_key:`")
    if status >= 500 or status < 200:
        raise Trouble("Its server is in trouble.", f"{url}: status {status}")
    if ready == 503:
        raise Trouble(
            "Its server takes no requests.", f"{url}: {ready_path} is 503: it starts or drains"
        )
    if model and (lacks := missing(model, listed(body))):
        raise Trouble("Its server does not have the model.", f"{url}: {lacks}")


def listed(body: bytes) -> list[str] | None:
    """Return the models on a server's list; ``None`` where it is no list."""
    try:
        return [model.id for model in _decode(body).data]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def missing(model: str, names: Iterable[str] | None) -> str:
    """Return why a model is not served, or nothing if it is; ``base:adapter`` needs the base at least."""
    if names is None:
        return "the answer is no list of models"
    names = list(names)
    if model in names or model.partition(":")[0] in names:
        return ""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"it serves {shown or 'nothing'}, not {model}"
