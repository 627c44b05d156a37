"""The server adapter: engines that bring an OpenAI-compatible HTTP server, here or elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping

import msgspec

from hoonify_router.adapters.base import Adapter, Call, Job
from hoonify_router.adapters.chat_dialect import ChatDialect
from hoonify_router.adapters.dialects import Dialect
from hoonify_router.adapters.embedding_dialect import EmbeddingDialect
from hoonify_router.adapters.excerpts import excerpt
from hoonify_router.adapters.fetch import Ignored
from hoonify_router.adapters.fetch import request as small_request
from hoonify_router.adapters.origin import Origin, parse_url
from hoonify_router.adapters.pool import Pool
from hoonify_router.adapters.refusals import breakdown, refusal
from hoonify_router.adapters.request_body import request_body
from hoonify_router.adapters.server_loads import ServerLoads
from hoonify_router.adapters.sse import EventReader
from hoonify_router.adapters.text_dialect import TextDialect
from hoonify_router.adapters.upstream import Exchange, Limits, UpstreamError
from hoonify_router.answer import Answer
from hoonify_router.api import AbortSignal, ServerBackend
from hoonify_router.errors import EngineDead, ModelUnavailable
from hoonify_router.stream import EventStream
from hoonify_router.types import Health, HomeView, Task

log = logging.getLogger(__name__)

_LINE_ENDS = str.maketrans("", "", "\r\n\0")
_ABORT_TIMEOUT = 10.0
MAX_ERROR_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024

_DIALECTS: dict[Task, type[Dialect]] = {
    kind.task: kind for kind in (ChatDialect, TextDialect, EmbeddingDialect)
}
_PATHS: dict[Task, str] = {
    "chat": "chat/completions",
    "completion": "completions",
    "embedding": "embeddings",
}


class Intake:
    """Takes one HTTP answer and pours it into an ``Answer``, as stream, as a whole or as a refusal."""

    __slots__ = (
        "_answer",
        "_events",
        "_headers",
        "_home",
        "_pieces",
        "_request",
        "_request_id",
        "_size",
        "_status",
        "_task",
        "relay",
    )

    def __init__(self, answer: Answer, job: Job) -> None:
        self._answer = answer
        self._home = job.home.id
        self._request_id = job.request_id
        self._request = job.request
        self._task = job.request.task
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._size = 0
        self._events: EventReader | None = None
        self.relay: Callable[[bytes], int] | None = None

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Decide by the head what the body is."""
        self._status = status
        self._headers = headers
        kind = headers.get(b"content-type", b"").lower()
        if (
            status == 200
            and isinstance(self._answer, EventStream)
            and kind.startswith(b"text/event-stream")
        ):
            self._events = EventReader(self._answer, _DIALECTS[self._task]())
            self.relay = self._events.relay

    def on_body(self, data: bytes) -> None:
        """Pass events on, keep anything else until it is complete."""
        if self._events is not None:
            self._events.feed(data)
            return
        self._size += len(data)
        if self._size > (MAX_ANSWER_BYTES if self._status == 200 else MAX_ERROR_BYTES):
            self._pieces.clear()
            return
        self._pieces.append(data)

    def on_end(self) -> None:
        """The body is complete; the answer had better be, too."""
        answer = self._answer
        if self._events is not None:
            self._events.close()
            answer.complete()
            return
        body = b"".join(self._pieces)
        if self._status != 200:
            error = refusal(self._status, self._headers, body, self._task)
            if error.status >= 500:
                self._log(f"status {self._status}: {excerpt(body, self._request)}")
            answer.fail(error)
        elif isinstance(answer, EventStream) and b'"error"' not in body[:200]:
            self._log("it was asked for a stream and sent none")
            answer.fail(EngineDead("The model's engine sent no stream."))
        else:
            _DIALECTS[self._task]().pour(body, answer)

    def on_error(self, error: UpstreamError) -> None:
        """It broke; even a stream that had finished lacks its end and its usage then."""
        if not self._answer.ended:
            self._log(f"{type(error).__name__}: {error}")
            self._answer.fail(breakdown(error))

    def _log(self, what: str) -> None:
        log.warning("home %s, request %s: %s", self._home, self._request_id, what)


class _Target:
    """One server home: its pool and the parts of requests' heads that never change."""

    def __init__(self, pool: Pool, path: str, api_key: str) -> None:
        self.pool = pool
        self.root = path.removesuffix("/v1")
        self.api_key = api_key
        key = f"authorization: Bearer {api_key.strip()}\r\n" if api_key else ""
        rest = (
            f"HTTP/1.1\r\nhost: {pool.origin.authority}\r\n"
            f"content-type: application/json\r\nuser-agent: hoonify-router\r\n{key}"
        )
        self.heads = {
            task: f"POST {path}/{endpoint} {rest}".encode("latin-1")
            for task, endpoint in _PATHS.items()
        }


def _lines(headers: Mapping[str, str]) -> bytes:
    """Return lines of a head; whatever a plugin has put there, each stays one line."""
    lines = [f"{name}: {value}".translate(_LINE_ENDS) for name, value in headers.items()]
    return "".join([f"{line}\r\n" for line in lines]).encode("latin-1", "replace")


class AbortableCall:
    """A request that its server is told to give up, beside closing its connection.

    Args:
        exchange: The request and its answer.
        target: Where it went.
        abort: How the server is told.
        name: What the request is called there.
    """

    __slots__ = ("_abort", "_exchange", "_name", "_target", "pause", "resume")

    def __init__(self, exchange: Exchange, target: _Target, abort: AbortSignal, name: str) -> None:
        self._exchange = exchange
        self._target = target
        self._abort = abort
        self._name = name
        self.pause = exchange.pause
        self.resume = exchange.resume

    def cancel(self) -> None:
        """Close the connection, and tell the server which request that was, if it had one."""
        exchange, target = self._exchange, self._target
        asked = exchange.connection is not None and not exchange.ended
        exchange.cancel()
        if asked:
            body = msgspec.json.encode({self._abort.field: self._name})
            path = f"{target.root}{self._abort.path}"
            whole = small_request(target.pool, path, api_key=target.api_key, body=body)
            told = target.pool.send(whole, Ignored(), _ABORT_TIMEOUT)
            asyncio.get_running_loop().call_later(_ABORT_TIMEOUT, told.cancel)


class ServerAdapter(Adapter):
    """Holds one pool of connections per origin.

    Args:
        limits: How much they keep.
        backends: What servers tell and take beyond OpenAI's own, by the name of their backend.
    """

    kind = "server"

    def __init__(
        self, limits: Limits | None = None, backends: Mapping[str, ServerBackend] | None = None
    ) -> None:
        known = backends or {}
        self._aborts = {name: one.abort for name, one in known.items() if one.abort is not None}
        self._floors = {name: one.floors for name, one in known.items() if one.floors}
        self._loads = ServerLoads(
            {name: one.load for name, one in known.items() if one.load is not None}
        )
        self._limits = limits
        self._pools: dict[Origin, Pool] = {}
        self._targets: dict[tuple[str, str], _Target] = {}

    async def start(self, job: Job, answer: Answer) -> Call:
        """Send the job; on a kept connection it is on its way when this returns."""
        home = job.home
        target = self._targets.get((home.address, home.api_key)) or self._aim(home)
        abort = self._aborts.get(home.backend) if job.request.task != "embedding" else None
        more: dict[str, str | float] = {}
        if abort is not None:  # a client's own request ID need not be unique
            more[abort.field] = uuid.uuid4().hex
        if home.backend in self._floors:
            for name, least in self._floors[home.backend].items():
                told = getattr(job.request, name, None)
                if told is not None and told < least:
                    more[name] = least
        body = request_body(job.request, job.body, home.served_name, more)
        head = b"%bx-request-id: %b\r\n%bcontent-length: %d\r\n\r\n" % (
            target.heads[job.request.task],
            job.request_id.encode("ascii"),
            _lines(job.headers) if job.headers else b"",
            len(body),
        )
        exchange = target.pool.send(head + body, Intake(answer, job), job.connect)
        return (
            exchange
            if abort is None
            else AbortableCall(exchange, target, abort, str(more[abort.field]))
        )

    def update(self, homes: Iterable[HomeView]) -> None:
        """Make ready for the servers in the table; let go of the others once they are free."""
        ours = [home for home in homes if home.kind == self.kind and home.address]
        wanted = {(home.address, home.api_key) for home in ours}
        for key in [key for key in self._targets if key not in wanted]:
            del self._targets[key]
            self._loads.end(key)
        used = {target.pool for target in self._targets.values()}
        for origin, pool in list(self._pools.items()):
            if pool not in used:
                del self._pools[origin]
                pool.retire()
        for home in ours:
            if (home.address, home.api_key) not in self._targets:
                with contextlib.suppress(ModelUnavailable):  # told again to whoever asks for it
                    self._aim(home)

    def load(self, home: HomeView) -> Health | None:
        """Return how busy the home's server says that it is."""
        return self._loads.of(home)

    async def close(self) -> None:
        """Close all connections."""
        self._loads.close()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._targets.clear()

    def _aim(self, home: HomeView) -> _Target:
        try:
            origin, path = parse_url(home.address)
        except ValueError as error:
            raise ModelUnavailable("The model's home has no usable address.") from error
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin, self._limits)
        target = self._targets[(home.address, home.api_key)] = _Target(pool, path, home.api_key)
        self._loads.begin(home, pool, path)
        return target
