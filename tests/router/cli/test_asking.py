"""A command of the command line's is asked of the router that runs on the configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hoonify_router import runfile
from hoonify_router.cli import entry, running
from hoonify_router.cli.parser import BuiltIn
from hoonify_router.cli.running import NoRouter, find_router
from hoonify_router.config.model import Config, LoadedConfig
from hoonify_router.errors import EngineDead, NotFound
from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.supervisor.control import ControlServer

Run = Callable[..., Any]


async def who(arguments: NoArguments, asker: Asker) -> str:
    asker.tell("looking")
    return asker.who


async def missing(arguments: NoArguments, asker: Asker) -> None:
    raise NotFound("There is no model 'dodo'.")


async def dead(arguments: NoArguments, asker: Asker) -> None:
    raise EngineDead("It died of sk-0123456789abcdef.")


async def _nobody(home_id: str) -> Any:
    raise AssertionError


@pytest.fixture
def loaded(folder: Path) -> LoadedConfig:
    path = folder / "config" / "router.yaml"
    return LoadedConfig(path, Config(models={}), folder / "config" / "var")


@pytest.fixture
def router(loaded: LoadedConfig, runtime_dir: Path) -> Iterator[Path]:
    """Run a supervisor with three commands in a thread, and announce it."""
    socket = runtime_dir / "supervisor.sock"
    loop = asyncio.new_event_loop()

    async def listen() -> ControlServer:
        commands = Commands()
        for name, run in (("who", who), ("missing", missing), ("dead", dead)):
            commands.add(name, run)
        server = ControlServer(_nobody, list, lambda count: None, commands)
        await server.listen(socket)
        return server

    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runfile.announce(loaded, address="http://127.0.0.1:1", supervisor=socket)
    yield socket
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(asyncio.sleep(0.05))  # its connections close
    loop.close()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line have a command for each of the supervisor's."""

    def made(name: str) -> BuiltIn:
        def ask(arguments: Any, installed: Any) -> int:
            print(find_router(arguments.config).ask(name))
            return 0

        return BuiltIn(name, "Ask.", lambda parser: None, ask)

    monkeypatch.setattr(entry, "BUILT_IN", tuple(map(made, ("who", "missing", "dead"))))


pytestmark = pytest.mark.usefixtures("commands")


def test_the_router_is_told_who_asks(
    run: Run, router: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says meanwhile goes to standard error."""
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    done = run("who")
    assert (done.status, done.out, done.err) == (0, "user ada\n", ["looking"])


def test_a_user_without_a_name_is_a_number(
    run: Run, router: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container."""

    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert run("who").out.startswith("user ")


def test_a_file_that_is_broken_meanwhile_does_not_matter(
    run: Run, router: Path, folder: Path
) -> None:
    """The router runs on what it was; its operator must be able to ask."""
    (folder / "config" / "router.yaml").write_text("models: [")
    assert run("who").status == 0


def test_a_refusal_is_one_line_and_a_mistake(run: Run, router: Path) -> None:
    """As any other mistake of the user's."""
    done = run("missing")
    assert (done.status, done.out) == (2, "")
    assert done.err == ["hoonify-router: There is no model 'dodo'."]


def test_a_failure_is_one_line_without_secrets(run: Run, router: Path) -> None:
    """It is nobody's mistake here."""
    done = run("dead")
    assert (done.status, done.err) == (1, ["hoonify-router: It died of ...."])


def test_no_router_is_one_line(run: Run, folder: Path) -> None:
    """It says where it looked: the router may have been given another folder."""
    done = run("who")
    assert done.status == 2
    (line,) = done.err
    assert line == (
        "hoonify-router: no router runs on config/router.yaml"
        f" (looked in {folder / 'config' / 'var'})"
    )


def test_a_file_that_is_not_there_is_named(run: Run, folder: Path) -> None:
    """Most likely its name is mistyped."""
    done = run("who", "--config", "rooter.yaml")
    assert done.status == 2
    assert done.err == ["hoonify-router: rooter.yaml: no such file, and no router runs on it"]


def test_a_router_that_does_not_answer_is_one_line(
    run: Run, loaded: LoadedConfig, runtime_dir: Path
) -> None:
    """It starts, or stops, or was killed in this very moment."""
    runfile.announce(loaded, address="http://127.0.0.1:1", supervisor=runtime_dir / "none.sock")
    done = run("who")
    assert done.status == 2
    assert "does not answer; it may be starting or stopping" in done.err[0]


def test_the_state_of_another_user_is_named(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than that no router runs."""
    monkeypatch.setattr(runfile, "is_foreign", lambda where: True)
    done = run("who")
    assert done.status == 2
    assert done.err[0].endswith("belongs to another user: ask as that user")


def test_a_socket_of_another_user_is_named(
    loaded: LoadedConfig, router: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note may be readable while the socket is not."""

    async def refuse(self: Any, patience: float) -> None:
        raise PermissionError

    monkeypatch.setattr("hoonify_router.supervisor.client.SupervisorClient.connect", refuse)
    with pytest.raises(NoRouter, match="belongs to another user"):
        find_router(str(loaded.path)).ask("who")


def test_a_supervisor_that_hangs_is_not_waited_for(
    loaded: LoadedConfig, router: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not even say hello."""

    async def hang(self: Any, patience: float) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(running, "PATIENCE", 0.1)
    monkeypatch.setattr("hoonify_router.supervisor.client.SupervisorClient.connect", hang)
    with pytest.raises(NoRouter, match="does not answer"):
        find_router(str(loaded.path)).ask("who")
