"""The control socket and its client: they survive each other."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_router.errors import ModelUnavailable
from hoonify_router.protocol import encode_frame
from hoonify_router.supervisor.client import SupervisorClient
from hoonify_router.supervisor.control import ControlServer
from hoonify_router.supervisor.messages import AskStatus, EnsureReady, HomeStatus, Join
from hoonify_router.types import HomeView, RoutingTable

ENCODER = msgspec.msgpack.Encoder()
VIEW = HomeView("parrot", "parrot", "echo", "worker", "ready", address="/tmp/x")


class Fixed:
    """A control server whose homes are made up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gateways: list[int] = []
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.answer: asyncio.Future[HomeView] = asyncio.Future()
        self.server = ControlServer(self._ensure_ready, self._status, self.gateways.append)

    async def open(self) -> None:
        await self.server.listen(self.path)

    async def _ensure_ready(self, home_id: str) -> HomeView:
        self.asked.put_nowait(home_id)
        return await asyncio.shield(self.answer)

    def _status(self) -> list[HomeStatus]:
        return [HomeStatus(VIEW, pid=7)]


@pytest.fixture
async def fixed(runtime_dir: Path) -> Any:
    control = Fixed(runtime_dir / "supervisor.sock")
    await control.open()
    yield control
    await control.server.close()
    assert not os.path.exists(control.path)  # noqa: ASYNC240 - a test may look


@pytest.fixture
def client(fixed: Fixed) -> Any:
    """A client that remembers its tables."""
    tables: list[RoutingTable] = []
    made = SupervisorClient(fixed.path, tables.append)
    made.tables = tables  # type: ignore[attr-defined]
    yield made
    made.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what the other side has seen cannot be awaited
            await asyncio.sleep(0.005)


async def test_the_socket_is_for_this_user_alone(fixed: Fixed) -> None:
    """It tells where engines listen and what keys servers want."""
    assert stat.S_IMODE(os.stat(fixed.path).st_mode) == 0o600


async def test_a_client_gets_the_table_at_once_and_every_new_one(fixed: Fixed, client: Any) -> None:
    """Also one that joins late."""
    fixed.server.publish(RoutingTable(1, (VIEW,)))
    await client.connect()
    assert client.table == RoutingTable(1, (VIEW,))
    fixed.server.publish(RoutingTable(2, ()))
    await until(lambda: client.table.generation == 2)
    assert [table.generation for table in client.tables] == [1, 2]


async def test_only_gateways_are_counted(fixed: Fixed, client: Any) -> None:
    """A command line is no open door."""
    await client.connect()
    operator = SupervisorClient(fixed.path, lambda table: None, role="cli")
    await operator.connect()
    status = await operator.status()
    assert (status.gateways, status.homes[0].pid) == (1, 7)
    operator.close()
    client.close()
    await until(lambda: fixed.gateways == [1, 0])


async def test_ensure_ready_waits_and_answers_many(fixed: Fixed, client: Any) -> None:
    """Each call gets its own answer."""
    await client.connect()
    calls = [asyncio.create_task(client.ensure_ready("parrot")) for _ in range(3)]
    for _ in calls:
        assert await fixed.asked.get() == "parrot"
    fixed.answer.set_result(VIEW)
    assert await asyncio.gather(*calls) == [VIEW] * 3


async def test_a_refusal_is_the_error_that_it_names(fixed: Fixed, client: Any) -> None:
    """With its reason and the time for another try."""
    await client.connect()
    fixed.answer.set_exception(ModelUnavailable("It is loading.", retry_after=4.0))
    with pytest.raises(ModelUnavailable, match="loading") as caught:
        await client.ensure_ready("parrot")
    assert caught.value.retry_after == 4.0


async def test_a_client_survives_a_restart_of_the_supervisor(
    fixed: Fixed, client: Any, runtime_dir: Path
) -> None:
    """Open calls fail, later ones reach the new supervisor, whose table comes by itself."""
    fixed.server.publish(RoutingTable(1, ()))
    await client.connect()
    waiting = asyncio.create_task(client.ensure_ready("parrot"))
    await fixed.asked.get()
    await fixed.server.close()
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        await waiting
    assert not client.connected
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        await client.ensure_ready("parrot")
    again = Fixed(runtime_dir / "supervisor.sock")
    again.server.table = RoutingTable(2, (VIEW,))
    await again.open()
    await until(lambda: client.table.generation == 2)
    again.answer.set_result(VIEW)
    assert await client.ensure_ready("parrot") == VIEW
    client.close()
    await again.server.close()


async def test_a_client_waits_for_a_supervisor_that_is_late(runtime_dir: Path) -> None:
    """Gateways start at the same time; without patience it is an error at once."""
    late = Fixed(runtime_dir / "late.sock")
    client = SupervisorClient(late.path, lambda table: None)
    with pytest.raises(OSError, match="No such file"):
        await client.connect(patience=0)
    connecting = asyncio.create_task(client.connect())
    await asyncio.sleep(0)
    await late.open()
    async with asyncio.timeout(60):
        await connecting
    client.close()
    await late.server.close()


async def test_a_handler_that_raises_does_not_end_the_connection(
    fixed: Fixed, caplog: pytest.LogCaptureFixture
) -> None:
    """The next table may suit it better."""

    def picky(table: RoutingTable) -> None:
        if table.generation == 1:
            raise ZeroDivisionError

    client = SupervisorClient(fixed.path, picky)
    fixed.server.publish(RoutingTable(1, ()))
    await client.connect()
    fixed.server.publish(RoutingTable(2, ()))
    await until(lambda: client.table.generation == 2)
    assert "was not taken over" in caplog.text
    client.close()


async def test_who_does_not_read_gets_the_newest_table_only(fixed: Fixed) -> None:
    """A stopped gateway costs a buffer of bounded size."""
    reader, writer = await asyncio.open_unix_connection(str(fixed.path), limit=2**16)
    writer.write(encode_frame(Join("gateway"), ENCODER))
    await until(lambda: fixed.gateways == [1])
    (member,) = fixed.server._members
    big = msgspec.structs.replace(VIEW, detail="x" * 100_000)
    for generation in range(1, 200):
        fixed.server.publish(RoutingTable(generation, (big,)))
    assert member._transport is not None
    assert member._transport.get_write_buffer_size() < 1_000_000
    received = b""
    async with asyncio.timeout(60):
        while b"\xcc\xc7" not in received:  # generation 199
            received = (received + await reader.read(2**20))[-300_000:]
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        encode_frame(AskStatus(1), ENCODER),
        encode_frame(EnsureReady(1, "parrot"), ENCODER),
        encode_frame(Join("gateway"), ENCODER) * 2,
    ],
)
async def test_nonsense_ends_that_connection_only(
    fixed: Fixed, client: Any, nonsense: bytes
) -> None:
    """The gateways go on."""
    await client.connect()
    reader, writer = await asyncio.open_unix_connection(str(fixed.path))
    writer.write(nonsense)
    async with asyncio.timeout(60):
        while await reader.read(65536):
            pass
    writer.close()
    await writer.wait_closed()
    assert (await client.status()).call == 1


async def test_the_folder_must_be_private_and_the_path_short(runtime_dir: Path) -> None:
    """Both are told before anything listens."""
    with pytest.raises(OSError, match="too long"):
        await Fixed(runtime_dir / ("x" * 100)).open()
    open_to_all = runtime_dir / "open"
    os.mkdir(open_to_all, 0o755)
    with pytest.raises(PermissionError, match="private"):
        await Fixed(open_to_all / "s").open()
