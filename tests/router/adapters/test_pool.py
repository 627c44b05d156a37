"""The upstream pool against real servers: kept, stale, broken, slow and silent connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from hoonify_router.adapters.origin import Origin
from hoonify_router.adapters.pool import Pool
from hoonify_router.adapters.upstream import (
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    Limits,
    UpstreamError,
)

from .conftest import Session, Upstream

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Catcher:
    """A receiver that keeps what it hears."""

    relay: Callable[[bytes], int] | None = None
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    error: UpstreamError | None = None
    ends: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        assert not self.status
        self.status, self.headers = status, headers

    def on_body(self, data: bytes) -> None:
        assert self.status
        assert not self.ends
        self.body += data
        self.pieces.append(data)
        self.grown.set()

    def on_end(self) -> None:
        self.ends += 1
        self.done.set()

    def on_error(self, error: UpstreamError) -> None:
        self.ends += 1
        self.error = error
        self.done.set()


@pytest.fixture
async def pool(upstream: Upstream) -> AsyncIterator[Pool]:
    """Return a pool to the test's server."""
    pool = Pool(upstream.origin)
    yield pool
    pool.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    while not condition():  # noqa: ASYNC110 - what it waits for has no event
        await asyncio.sleep(0)


async def ask(pool: Pool, request: bytes = REQUEST) -> Catcher:
    """Send a request and wait for the end of its answer."""
    catcher = Catcher()
    pool.send(request, catcher)
    await catcher.done.wait()
    assert catcher.ends == 1
    return catcher


async def test_a_connection_is_kept_and_used_again(upstream: Upstream, pool: Pool) -> None:
    """A hundred requests, one connection."""

    async def script(session: Session) -> None:
        while True:
            await session.request()
            await session.send(OK)

    upstream.script = script
    for _ in range(100):
        catcher = await ask(pool)
        assert (catcher.status, catcher.body, catcher.error) == (200, b"hello", None)
    assert upstream.connections == 1
    assert pool.kept == 1


async def test_requests_at_the_same_time_have_connections_of_their_own(
    upstream: Upstream, pool: Pool
) -> None:
    """All of which are kept afterwards."""
    gate = asyncio.Barrier(8)

    async def script(session: Session) -> None:
        while True:
            await session.request()
            await gate.wait()
            await session.send(OK)

    upstream.script = script
    for _ in range(3):
        catchers = await asyncio.gather(*(ask(pool) for _ in range(8)))
        assert all(catcher.body == b"hello" for catcher in catchers)
    assert upstream.connections == 8
    assert pool.kept == 8


async def test_nagle_is_off(upstream: Upstream, pool: Pool) -> None:
    """Or the first token of a stream would wait for an acknowledgement."""
    flags = []

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await session.left()

    upstream.script = script
    await ask(pool)
    for connection in pool._kept:
        sock = connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
        flags.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert flags == [1]


async def test_a_stale_connection_is_replaced_without_a_word(
    upstream: Upstream, pool: Pool
) -> None:
    """The server closes a kept connection in the moment in which the next request is sent."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        if session.number == 1:
            await session.request()  # it has come, and is never answered
            session.reset()
        else:
            await session.left()

    upstream.script = script
    await ask(pool)
    catcher = await ask(pool)
    assert (catcher.body, catcher.error) == (b"hello", None)
    assert upstream.connections == 2


async def test_a_connection_that_the_server_has_closed_is_not_used(
    upstream: Upstream, pool: Pool
) -> None:
    """It goes out of the pool as soon as its end is seen."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        session.close()

    upstream.script = script
    await ask(pool)
    await until(lambda: not pool.kept)
    assert (await ask(pool)).body == b"hello"
    assert upstream.connections == 2


async def test_a_request_is_sent_again_only_once(upstream: Upstream, pool: Pool) -> None:
    """A server that closes every connection unanswered is not asked forever."""
    asked = 0

    async def script(session: Session) -> None:
        nonlocal asked
        await session.request()
        asked += 1
        if asked == 1:
            await session.send(OK)
            await session.request()
            asked += 1
        session.reset()

    upstream.script = script
    await ask(pool)
    catcher = await ask(pool)
    assert isinstance(catcher.error, ConnectionLost)
    assert asked == 3


async def test_a_new_connection_that_breaks_is_told_at_once(upstream: Upstream, pool: Pool) -> None:
    """The server has seen the request: to send it again is not ours to decide."""

    async def script(session: Session) -> None:
        await session.request()
        session.reset()

    upstream.script = script
    assert isinstance((await ask(pool)).error, ConnectionLost)
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
    ],
)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_answer_that_breaks_off_is_an_error(
    upstream: Upstream, pool: Pool, part: bytes, how: str
) -> None:
    """Never an end, not even when the server closes politely."""
    gate = asyncio.Event()

    async def script(session: Session) -> None:
        await session.request()
        await session.send(part)
        await gate.wait()
        getattr(session, how)()

    upstream.script = script
    catcher = Catcher()
    exchange = pool.send(REQUEST, catcher)
    if b"hel" in part:
        await catcher.grown.wait()
    gate.set()
    await catcher.done.wait()
    assert isinstance(catcher.error, ConnectionLost)
    assert catcher.body in (b"", b"hel", b"hello")
    assert exchange.ended
    assert pool.kept == 0


async def test_a_retry_never_follows_the_first_byte(upstream: Upstream, pool: Pool) -> None:
    """On a kept connection, too."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await session.request()
        await session.send(b"H")
        await asyncio.sleep(0)
        session.close()

    upstream.script = script
    await ask(pool)
    assert isinstance((await ask(pool)).error, ConnectionLost)
    assert upstream.connections == 1


async def test_every_byte_may_come_alone(upstream: Upstream, pool: Pool) -> None:
    """Slow networks cut anywhere."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send_each(CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        await session.left()

    upstream.script = script
    assert (await ask(pool)).body == b"hello world"


async def test_what_comes_together_is_told_together(upstream: Upstream, pool: Pool) -> None:
    """Many chunks in one packet are one call."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(CHUNKED + b"1\r\nx\r\n" * 100 + b"0\r\n\r\n")
        await session.left()

    upstream.script = script
    catcher = await ask(pool)
    assert catcher.pieces == [b"x" * 100]


async def test_what_is_no_http_ends_the_connection(upstream: Upstream, pool: Pool) -> None:
    """And is told as such."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(b"220 mail.example.com ESMTP\r\n\r\n")
        await session.left()

    upstream.script = script
    assert isinstance((await ask(pool)).error, BadAnswer)
    assert pool.kept == 0


async def test_a_server_that_speaks_unasked_loses_its_connection(
    upstream: Upstream, pool: Pool
) -> None:
    """What it says could be taken for the next answer."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        if session.number == 1:
            await session.send(OK)
        await session.left()

    upstream.script = script
    await ask(pool)
    await until(lambda: not pool.kept)
    assert (await ask(pool)).body == b"hello"
    assert upstream.connections == 2


async def test_nobody_there(unused_tcp_port: int) -> None:
    """A refused connection is told as one: nothing was sent."""
    pool = Pool(Origin("127.0.0.1", unused_tcp_port, tls=False))
    assert isinstance((await ask(pool)).error, ConnectFailed)
    pool.close()


async def test_a_name_that_does_not_exist() -> None:
    """The resolver's refusal is the same kind of failure."""
    pool = Pool(Origin("no-such-host.invalid", 80, tls=False))
    assert isinstance((await ask(pool)).error, ConnectFailed)
    pool.close()


async def test_tls_to_a_server_without_it(upstream: Upstream) -> None:
    """A failed handshake is a failed connection."""

    async def script(session: Session) -> None:
        await session.send(b"hello?\r\n" * 10)
        session.close()

    upstream.script = script
    pool = Pool(Origin("127.0.0.1", upstream.origin.port, tls=True))
    assert isinstance((await ask(pool)).error, ConnectFailed)
    pool.close()


async def test_a_cancelled_exchange_closes_its_connection(upstream: Upstream, pool: Pool) -> None:
    """So that the server stops at once; the receiver hears nothing more."""
    gone = asyncio.Event()

    async def script(session: Session) -> None:
        await session.request()
        await session.send(CHUNKED + b"5\r\nhello\r\n")
        await session.left()
        gone.set()

    upstream.script = script
    catcher = Catcher()
    exchange = pool.send(REQUEST, catcher)
    await catcher.grown.wait()
    exchange.cancel()
    exchange.cancel()
    await gone.wait()
    assert catcher.ends == 0
    assert pool.kept == 0


async def test_an_exchange_cancelled_while_it_connects_sends_nothing(
    upstream: Upstream, pool: Pool
) -> None:
    """The connection serves the next one."""
    heads = []

    async def script(session: Session) -> None:
        while True:
            heads.append(await session.request())
            await session.send(OK)

    upstream.script = script
    catcher = Catcher()
    pool.send(REQUEST, catcher).cancel()
    assert (await ask(pool)).body == b"hello"
    assert len(heads) == 1
    assert catcher.ends == 0


async def test_a_paused_exchange_lets_the_server_wait(upstream: Upstream, pool: Pool) -> None:
    """Until it is resumed; memory in between is bounded by the sockets' buffers."""
    sent = 0
    stuck = asyncio.Event()

    async def script(session: Session) -> None:
        nonlocal sent
        await session.request()
        await session.send(CHUNKED)
        block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(200):
            try:
                async with asyncio.timeout(0.05 if not stuck.is_set() else None):
                    await session.send(block)
            except TimeoutError:
                stuck.set()
                await session.send(b"")
            sent += 1
        await session.send(b"0\r\n\r\n")
        await session.left()

    upstream.script = script
    catcher = Catcher()
    exchange = pool.send(REQUEST, catcher)
    await catcher.grown.wait()
    exchange.pause()
    await stuck.wait()
    assert sent < 200
    held = len(catcher.body)
    exchange.resume()
    await catcher.done.wait()
    assert len(catcher.body) == 200 * 65536 > held
    assert catcher.error is None


async def test_a_connection_nobody_needs_is_closed_after_a_while(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more than a few are kept at all."""
    monkeypatch.setattr("hoonify_router.adapters.pool.TICK", 0.01)
    pool = Pool(upstream.origin, Limits(keep=0.0))
    gone = asyncio.Event()

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await session.left()
        gone.set()

    upstream.script = script
    await ask(pool)
    await gone.wait()
    assert pool.kept == 0
    pool.close()
    meagre = Pool(upstream.origin, Limits(max_kept=0))
    await ask(meagre)
    assert meagre.kept == 0
    meagre.close()


async def test_closing_the_pool_fails_what_is_under_way(upstream: Upstream) -> None:
    """Every receiver hears of its end."""

    async def script(session: Session) -> None:
        await session.request()
        await session.left()

    upstream.script = script
    pool = Pool(upstream.origin)
    first = Catcher()
    pool.send(REQUEST, first)
    await until(lambda: bool(pool._all))
    second = Catcher()
    pool.send(REQUEST, second)
    pool.close()
    await first.done.wait()
    await second.done.wait()
    assert isinstance(first.error, ConnectionLost)
    assert isinstance(second.error, ConnectFailed)


async def test_a_receiver_that_fails_ends_its_exchange_only(upstream: Upstream, pool: Pool) -> None:
    """A bug of ours is logged and told; the connection is not used again."""

    class Clumsy(Catcher):
        def on_body(self, data: bytes) -> None:
            raise RuntimeError("oops")

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await session.left()

    upstream.script = script
    catcher = Clumsy()
    pool.send(REQUEST, catcher)
    await catcher.done.wait()
    assert isinstance(catcher.error, UpstreamError)
    assert (await ask(pool)).body == b"hello"
    assert upstream.connections == 2


async def test_the_kernel_looks_after_connections_that_are_silent(
    upstream: Upstream, pool: Pool
) -> None:
    """A host that is gone without a word breaks its connections within minutes, not hours."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await session.left()

    upstream.script = script
    await ask(pool)
    (connection,) = pool._kept
    assert connection._transport is not None
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
