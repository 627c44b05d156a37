"""A running router is asked over its supervisor's socket; whatever goes wrong there, `models` goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_router import runfile
from hoonify_router.cli import running
from hoonify_router.config.model import Config, LoadedConfig
from hoonify_router.protocol import FrameReader, encode_frame
from hoonify_router.supervisor.messages import (
    AskStatus,
    HomeStatus,
    Join,
    Status,
    Table,
    ToSupervisor,
)
from hoonify_router.types import HomeView, RoutingTable

HOME = HomeView("parrot", "parrot", "echo", "worker", "ready")


class FakeSupervisor(asyncio.Protocol):
    """Answers as the supervisor does, or never."""

    def __init__(self, answers: bool, roles: list[str], transports: list[Any]) -> None:
        self._answers = answers
        self._transports = transports
        self._roles = roles
        self._reader = FrameReader(msgspec.msgpack.Decoder(ToSupervisor))
        self._encoder = msgspec.msgpack.Encoder()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._transports.append(transport)

    def data_received(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if isinstance(frame, Join):
                self._roles.append(frame.role)
                self._send(Table(RoutingTable(1, (HOME,))))
            elif isinstance(frame, AskStatus) and self._answers:
                self._send(Status(frame.call, 1, 1, [HomeStatus(HOME)]))

    def _send(self, frame: msgspec.Struct) -> None:
        self._transport.write(encode_frame(frame, self._encoder))


@contextmanager
def supervisor(socket: Path, *, answers: bool = True) -> Iterator[list[str]]:
    """Run a fake supervisor in a thread; what it gives back fills with its clients' roles."""
    roles: list[str] = []
    transports: list[Any] = []
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_unix_server(lambda: FakeSupervisor(answers, roles, transports), str(socket))
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield roles
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for transport in transports:
            transport.abort()
        loop.run_until_complete(asyncio.sleep(0))  # each is told that it is lost, and closed
        loop.close()


@pytest.fixture
def announced(tmp_path: Path) -> tuple[LoadedConfig, Path]:
    """Return a configuration on which a router seems to run, and its supervisor's socket."""
    loaded = LoadedConfig(tmp_path / "router.yaml", Config(models={}), tmp_path / "state")
    socket = tmp_path / "s.sock"
    runfile.announce(loaded, address="http://127.0.0.1:1", supervisor=socket)
    return loaded, socket


def test_the_supervisor_is_asked(announced: tuple[LoadedConfig, Path]) -> None:
    """As a command line, which does not count as an open door."""
    loaded, socket = announced
    with supervisor(socket) as roles:
        assert running.homes_of_running_router(loaded) == {"parrot": HOME}
    assert roles == ["cli"]


def test_a_supervisor_that_is_gone_is_no_router(announced: tuple[LoadedConfig, Path]) -> None:
    """The note may be older than the socket."""
    loaded, _ = announced
    assert running.homes_of_running_router(loaded) is None


def test_a_supervisor_that_hangs_is_not_waited_for(
    announced: tuple[LoadedConfig, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command answers, come what may."""
    loaded, socket = announced
    monkeypatch.setattr(running, "PATIENCE", 0.1)
    with supervisor(socket, answers=False):
        assert running.homes_of_running_router(loaded) is None


def test_models_shows_what_the_supervisor_says(run: Callable[..., Any], folder: Path) -> None:
    """From the note in the state folder to the table."""
    path = folder / "config" / "router.yaml"
    loaded = LoadedConfig(path, Config(models={}), folder / "config" / "var")
    runfile.announce(loaded, address="http://127.0.0.1:1", supervisor=folder / "s.sock")
    with supervisor(folder / "s.sock"):
        done = run("models")
    assert done.err == []
    assert done.out.splitlines()[1].split() == ["parrot", "Nobody", "4096", "echo", "ready", "-"]
