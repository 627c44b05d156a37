"""Homes that are servers which the router starts: with a port and a key of their own, watched, and ended whole."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_router.adapters.fetch import fetch
from hoonify_router.adapters.origin import parse_url
from hoonify_router.adapters.pool import Pool
from hoonify_router.api import (
    HomeConfig,
    Launch,
    LaunchSite,
    LoadSignal,
    LoadStep,
    ServerBackend,
)
from hoonify_router.loader import Plugins, load_plugins
from hoonify_router.supervisor import launched_home
from hoonify_router.supervisor.launch_draw import FOLDERS
from hoonify_router.types import Capabilities, Health

from .conftest import ECHO

PROGRAM = Path(__file__).with_name("fake_server.py")
CAPABILITIES = Capabilities(frozenset({"max_tokens"}), 100, device="a fake")
_STEP = re.compile(r"loading (\d)/(\d)")


class FakeOptions(msgspec.Struct, forbid_unknown_fields=True):
    """What a test wants."""

    folder: str
    name: str = "parrot"
    drains: bool = True


def progress(line: str) -> LoadStep | None:
    """Read a line of the fake server."""
    match = _STEP.match(line)
    return ("loading", int(match[1]), int(match[2])) if match else None


def launch(options: msgspec.Struct, home: HomeConfig, site: LaunchSite) -> Launch:
    """Start the fake server."""
    assert isinstance(options, FakeOptions)
    command = (site.python, str(PROGRAM), "--port", "{port}", "--key-file", "{files}/key")
    return Launch(
        (*command, "--folder", options.folder, "--name", options.name),
        env={"FAKE": "at {port}"},
        files={"key": "{key}"},
        capabilities=CAPABILITIES,
        ready_path="/ready",
        moves_path="/moves",
        read_progress=progress,
        drains=options.drains,
        grace=5.0,
    )


@pytest.fixture
def plugins() -> Plugins:
    """A backend whose server can be launched."""
    found = load_plugins(entry_points=[ECHO])
    load = LoadSignal("/load", lambda body: msgspec.json.decode(body, type=Health))
    fake = ServerBackend("fake", "A server.", FakeOptions, launch=launch, load=load)
    return Plugins({**found.backends, "fake": fake}, {}, found.manager, found.infos)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test leaves its wishes and the server its traces."""
    path = tmp_path / "fake"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched_home, "_LOOK_INTERVAL", 0.02)
    monkeypatch.setattr(launched_home, "_READY_INTERVAL", 0.02)


def yaml(folder: Path, more: str = "") -> str:
    return f"""
models:
  parrot:
    provider: Nobody
    context_length: 10
    backend: fake
    options: {{folder: "{folder}"{more}}}
"""


def starts(folder: Path) -> list[tuple[int, int]]:
    """Return port and process of each start."""
    try:
        lines = (folder / "starts").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [(int(port), int(pid)) for port, pid in (line.split() for line in lines)]


def lives(pid: int) -> bool:
    """Tell whether a process is there and is no mere remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def keys(private: Path) -> list[Path]:
    """Return the files in which servers are told their keys."""
    return list(private.glob(f"{FOLDERS}/key"))


def told(pid: int) -> tuple[str, str]:
    """Return a process's command line, which all may read, and its environment."""
    return Path(f"/proc/{pid}/cmdline").read_text(), Path(f"/proc/{pid}/environ").read_text()


async def until(condition: Callable[[], object], patience: float = 30) -> None:
    """Wait for something that has no event."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_it_is_started_warmed_up_and_published(supervise: Any, folder: Path) -> None:
    """On loopback, with a key drawn for it; the model had answered before anyone could ask."""
    running = await supervise(yaml(folder))
    home = await running.until_state("ready")
    ((port, pid),) = starts(folder)
    assert (home.kind, home.address) == ("server", f"http://127.0.0.1:{port}/v1")
    assert re.fullmatch("[0-9a-f]{64}", home.api_key)
    assert home.capabilities == CAPABILITIES
    assert any(name.startswith("asked-") for name in os.listdir(folder))
    await running.stop()
    assert not lives(pid)
    assert (folder / "terminated").exists()


async def test_its_key_is_in_no_log_and_no_status(
    supervise: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Although the server itself writes it down."""
    caplog.set_level("INFO")
    running = await supervise(yaml(folder))
    home = await running.until_state("ready")
    assert "my arguments" in caplog.text
    assert home.api_key not in caplog.text
    status = await running.client.status()
    assert home.api_key not in repr(msgspec.to_builtins(status))


async def test_its_key_is_for_nobody_else_to_read(
    supervise: Any, folder: Path, runtime_dir: Path
) -> None:
    """Neither in the list of processes nor in a file that others may open; with the server it is gone."""
    running = await supervise(yaml(folder))
    home = await running.until_state("ready")
    ((port, pid),) = starts(folder)
    guard = await running.engine()
    assert home.api_key not in told(pid)[0] + told(guard)[0]
    assert f"FAKE=at {port}" in told(pid)[1]
    (file,) = keys(runtime_dir)
    assert file.read_text() == home.api_key
    assert (file.stat().st_mode & 0o77, file.parent.stat().st_mode & 0o77) == (0, 0)
    os.kill(pid, signal.SIGKILL)
    await running.until(lambda home: home.starts == 2 and home.state == "ready", patience=60)
    (second,) = keys(runtime_dir)
    assert second != file
    await running.stop()
    assert not keys(runtime_dir)


async def test_files_that_a_killed_supervisor_has_left_are_removed(
    supervise: Any, folder: Path, runtime_dir: Path
) -> None:
    """By the next one, before it starts anything."""
    left = runtime_dir / FOLDERS.replace("*", "left")
    left.mkdir()
    (left / "key").touch()
    running = await supervise(yaml(folder))
    await running.until_state("ready")
    assert left / "key" not in keys(runtime_dir)


async def test_progress_is_told_and_keeps_a_slow_load_alive(supervise: Any, folder: Path) -> None:
    """As its own log has it."""
    (folder / "slow").touch()
    running = await supervise(yaml(folder))
    home = await running.until(lambda home: home.progress is not None)
    assert home.progress == ("loading", 1, 3)
    (folder / "slow").unlink()
    await running.until_state("ready")


@pytest.mark.slow
async def test_a_load_that_shows_no_progress_has_failed(supervise: Any, folder: Path) -> None:
    """With its last words."""
    (folder / "slow").touch()
    running = await supervise(yaml(folder), load_stall=6.0)
    home = await running.until(lambda home: home.state == "failed", patience=60)
    assert home.reason == "Its engine got stuck while loading."
    assert "loading 1/3" in home.detail


async def test_a_taken_port_is_no_failure(supervise: Any, folder: Path) -> None:
    """Another one is drawn."""
    (folder / "port-taken").touch()
    running = await supervise(yaml(folder))
    await running.until_state("ready")
    first, second = starts(folder)
    assert first[0] != second[0]
    assert "failed" not in running.states()


async def test_a_warm_up_that_fails_is_a_failure(supervise: Any, folder: Path) -> None:
    """It is never published as ready; what it said is for the operator, without its key."""
    (folder / "broken").touch()
    running = await supervise(yaml(folder))
    home = await running.until_state("failed")
    assert home.reason == "Its engine failed its first answer."
    assert "500" in home.detail
    assert "the key is ..." in home.detail
    assert "ready" not in running.states()


async def test_want_of_memory_is_told_as_such(supervise: Any, folder: Path) -> None:
    """By what the server said last."""
    (folder / "no-memory").touch()
    running = await supervise(yaml(folder))
    home = await running.until_state("failed")
    assert home.reason == "Its engine ran out of memory while loading."
    assert "exit status 1" in home.detail


async def test_a_server_without_the_model_never_gets_ready(supervise: Any, folder: Path) -> None:
    """Somebody else may have taken the port in the meantime."""
    running = await supervise(yaml(folder, ", name: somebody"), load_stall=1.0)
    await running.until_state("failed")
    assert "ready" not in running.states()


async def test_a_killed_server_is_started_again(supervise: Any, folder: Path) -> None:
    """With another key, so that nothing goes to whoever gets its port."""
    running = await supervise(yaml(folder))
    first = await running.until_state("ready")
    os.kill(starts(folder)[0][1], signal.SIGKILL)
    home = await running.until(lambda home: home.starts == 2 and home.state == "ready", patience=60)
    assert home.api_key != first.api_key
    assert len(starts(folder)) == 2


@pytest.mark.slow
async def test_a_deaf_server_is_replaced(supervise: Any, folder: Path) -> None:
    """It lives, but it does not answer."""
    running = await supervise(yaml(folder), heartbeat_timeout=1.0)
    await running.until_state("ready")
    (folder / "deaf").touch()
    await running.until(lambda home: home.state != "ready", patience=60)
    (folder / "deaf").unlink()
    await running.until(lambda home: home.starts >= 2 and home.state == "ready", patience=60)
    assert not lives(starts(folder)[0][1])


@pytest.mark.slow
async def test_a_stuck_engine_is_replaced(
    supervise: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server answers, but its engine makes no progress."""
    monkeypatch.setattr(launched_home, "_MOVES_INTERVAL", 0.5)
    running = await supervise(yaml(folder), step_timeout=4.0)
    await running.until_state("ready")
    (folder / "stuck").touch()
    await running.until(lambda home: home.starts >= 2, patience=60)
    (folder / "stuck").unlink()
    await running.until(lambda home: home.state == "ready", patience=60)


async def test_its_load_is_known(supervise: Any, folder: Path) -> None:
    """As the server tells it."""
    running = await supervise(yaml(folder))
    await running.until_state("ready")
    (folder / "running-1").touch()

    async def running_requests() -> int:
        status = await running.client.status()
        return int(status.homes[0].health.running)

    async with asyncio.timeout(30):
        while await running_requests() != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    (folder / "running-1").unlink()


@pytest.mark.parametrize("drains", ["true", "false"])
async def test_what_runs_may_finish(
    supervise: Any, folder: Path, drains: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the server drains by itself or the router has to wait for it."""
    caplog.set_level("INFO")
    running = await supervise(yaml(folder, f", drains: {drains}"))
    await running.until_state("ready")
    pid = starts(folder)[0][1]
    request = folder / "running-1"
    request.touch()
    running.client.close()
    running.supervisor.stop()
    if drains == "true":
        await until((folder / "terminated").exists)
    else:
        await until(lambda: "stopping" in caplog.text)
    assert lives(pid)
    request.unlink()
    await running.life
    assert not lives(pid)


async def test_what_it_has_started_goes_with_it(supervise: Any, folder: Path) -> None:
    """Even what has moved to another session and another parent."""
    (folder / "child").touch()
    running = await supervise(yaml(folder))
    await running.until_state("ready")
    child = int((folder / "child-pid").read_text())
    assert lives(child)
    await running.stop()
    assert not lives(child)


async def test_all_of_it_ends_when_its_guardian_is_killed(folder: Path) -> None:
    """As when the supervisor gets SIGKILL: the death pipe closes, and within a moment nothing is left."""
    (folder / "child").touch()
    guard = Path(launched_home.guard.__file__)
    (key := folder / "key").write_text("k")
    code = f"""
        import subprocess, sys, time
        command = [sys.executable, "-I", "-S", {str(guard)!r}, "--", sys.executable, {str(PROGRAM)!r},
                   "--port", "0", "--key-file", {str(key)!r}, "--folder", {str(folder)!r}]
        subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        time.sleep(600)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(code)]
    parent = subprocess.Popen(arguments)  # noqa: ASYNC220
    await until(lambda: (folder / "child-pid").exists() and (folder / "child-pid").read_text())
    child, server = int((folder / "child-pid").read_text()), starts(folder)[0][1]
    assert lives(server)
    parent.kill()
    parent.wait()
    await until(lambda: not lives(server) and not lives(child))


async def test_a_program_that_is_not_there_is_told(folder: Path) -> None:
    """With an exit status like a shell's."""
    command = [sys.executable, "-I", "-S", launched_home.guard.__file__, "--", "/no/such/program"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, stdin=subprocess.PIPE, check=False
    )
    assert done.returncode == 127
    assert "/no/such/program cannot be started" in done.stderr


async def test_a_small_answer_is_fetched_whole(supervise: Any, folder: Path) -> None:
    """Through the pool that requests go through."""
    running = await supervise(yaml(folder))
    home = await running.until_state("ready")
    origin, _ = parse_url(home.address)
    pool = Pool(origin)
    answer = await fetch(pool, "/v1/models", api_key=home.api_key)
    assert (answer.status, b"parrot" in answer.body) == (200, True)
    assert (await fetch(pool, "/v1/models", api_key="wrong")).status == 401
    pool.close()
