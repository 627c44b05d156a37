"""The supervisor as the process that it is, with a main process above it and an engine below."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.errors import ModelUnavailable
from hoonify_router.loader import load_plugins, plugin_context
from hoonify_router.supervisor.client import SupervisorClient
from hoonify_router.supervisor.entry import _start_plugins

MAIN = """
import multiprocessing, pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from hoonify_router.config import load_config
from hoonify_router.loader import load_plugins, names_in
from hoonify_router.supervisor import run_supervisor

def main(config, runtime_dir):
    plugins = load_plugins()
    loaded = load_config(
        config, backend_options=plugins.backend_options, plugin_settings=plugins.plugin_settings
    )
    process = multiprocessing.get_context("spawn").Process(
        target=run_supervisor,
        kwargs=dict(
            loaded=loaded,
            runtime_dir=pathlib.Path(runtime_dir),
            address="http://127.0.0.1:8000",
            plugins_required=names_in(loaded.config),
        ),
    )
    process.start()
    print("supervisor", process.pid, flush=True)
    process.join()
    sys.exit(process.exitcode)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""

YAML = """
models:
  parrot: {provider: Nobody, context_length: 10, backend: echo}
"""


class MainProcess:
    """A main process with a supervisor and a ready engine below it."""

    def __init__(self, process: asyncio.subprocess.Process, runtime_dir: Path) -> None:
        self.process = process
        self.client = SupervisorClient(runtime_dir / "supervisor.sock", lambda table: None)
        self.supervisor = 0
        self.engine = 0

    async def get_ready(self) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            self.supervisor = int((await self.process.stdout.readline()).split()[1])
            await self.client.connect()
            await self.client.ensure_ready("parrot")
            self.engine = (await self.client.status()).homes[0].pid

    async def said(self) -> str:
        """Return all that it has written, at its end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            return (await self.process.stdout.read()).decode()


@pytest.fixture
async def start_main(tmp_path: Path, runtime_dir: Path) -> AsyncIterator[Any]:
    """``await start_main(yaml)``."""
    started: list[MainProcess] = []
    (tmp_path / "main.py").write_text(MAIN)

    async def start(text: str = YAML, **environment: str) -> MainProcess:
        (tmp_path / "router.yaml").write_text(text)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, tmp_path / "main.py", tmp_path / "router.yaml", runtime_dir),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "HOONIFY_STATE_DIR": str(tmp_path / "state"), **environment},
        )
        started.append(MainProcess(process, runtime_dir))
        return started[-1]

    yield start
    for main in started:
        main.client.close()
        if main.process.returncode is None:
            os.killpg(main.process.pid, signal.SIGKILL)
        await main.process.communicate()


async def all_gone(*pids: int) -> None:
    """Fail unless all go by themselves."""
    async with asyncio.timeout(60):
        while any(map(_alive, pids)):  # noqa: ASYNC110 - they are no children of ours
            await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_sigkill_of_the_main_process_takes_everything_along(
    start_main: Any, runtime_dir: Path
) -> None:
    """Within a second: the supervisor, the engine, their sockets."""
    main = await start_main()
    await main.get_ready()
    main.process.kill()
    await all_gone(main.supervisor, main.engine)
    assert os.listdir(runtime_dir) == ["banner.done"]


async def test_sigkill_of_the_supervisor_leaves_no_engine(start_main: Any) -> None:
    """The death pipe does it; a gateway's client is told at once."""
    main = await start_main()
    await main.get_ready()
    os.kill(main.supervisor, signal.SIGKILL)
    await all_gone(main.supervisor, main.engine)
    with pytest.raises(ModelUnavailable):
        await main.client.ensure_ready("parrot")


async def test_a_signal_ends_it_in_good_order(start_main: Any, runtime_dir: Path) -> None:
    """Exit 0, no process, no socket, no traceback; twice at once is once."""
    main = await start_main()
    await main.get_ready()
    main.client.close()
    os.kill(main.supervisor, signal.SIGINT)
    os.kill(main.supervisor, signal.SIGINT)
    said = await main.said()
    assert await main.process.wait() == 0
    await all_gone(main.supervisor, main.engine)
    assert os.listdir(runtime_dir) == ["banner.done"]
    assert "Traceback" not in said


async def test_plugins_start_first_and_stop_last(start_main: Any, tmp_path: Path) -> None:
    """What one announces is in the banner."""
    install(
        tmp_path,
        "diary",
        """
        def hoonify_startup(context):
            print("startup", flush=True)
            context.announcements["api_key"] = "hoo_test"

        def hoonify_backend_event(event):
            print("event", event.home.state, flush=True)

        def hoonify_shutdown(context):
            print("shutdown", flush=True)
        """,
    )
    main = await start_main(PYTHONPATH=str(tmp_path))
    await main.get_ready()
    main.client.close()
    os.kill(main.supervisor, signal.SIGTERM)
    said = await main.said()
    order = ["startup", "event starting", "event ready", "Hoonify Router", "event stopped"]
    places = [said.index(word) for word in [*order, "shutdown"]]
    assert places == sorted(places)
    assert "shown only this once: hoo_test" in said


async def test_a_stop_while_plugins_start_waits_for_them(start_main: Any, tmp_path: Path) -> None:
    """What has started is shut down; no engine is started any more."""
    install(
        tmp_path,
        "slow",
        """
        import os, pathlib, time

        def hoonify_startup(context):
            print("startup", os.getpid(), flush=True)
            while not pathlib.Path(__file__).with_name("go_on").exists():
                time.sleep(0.01)

        def hoonify_shutdown(context):
            print("shutdown", flush=True)
        """,
    )
    main = await start_main(PYTHONPATH=str(tmp_path))
    while not (line := (await main.process.stdout.readline()).split())[0].startswith(b"startup"):
        pass
    os.kill(int(line[1]), signal.SIGTERM)
    (tmp_path / "go_on").touch()
    said = await main.said()
    assert await main.process.wait() == 0
    assert "shutdown" in said
    assert "ready" not in said


MOODY = """
    from hoonify_backends.echo import EchoOptions
    from hoonify_router.api import WorkerBackend

    def hoonify_register_backends():
        return [WorkerBackend("moody", "Moody.", EchoOptions, "a:B")]

    def hoonify_startup(context):
        raise RuntimeError("not today")
"""


async def test_a_named_plugin_that_cannot_start_is_refused(start_main: Any, tmp_path: Path) -> None:
    """One line, exit 2, no traceback."""
    install(tmp_path, "grumpy", MOODY)
    main = await start_main(YAML.replace("echo", "moody"), PYTHONPATH=str(tmp_path))
    said = await main.said()
    assert await main.process.wait() == 2
    assert "hoonify-router: plugin 'grumpy' (grumpy 1): cannot start: RuntimeError" in said
    assert "Traceback" not in said


def test_an_installed_plugin_that_cannot_start_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    load_yaml: Any,
) -> None:
    """The file does not name it, so the router serves without it."""
    install(tmp_path, "grumpy", MOODY)
    monkeypatch.syspath_prepend(tmp_path)
    _start_plugins(load_plugins(), plugin_context(load_yaml(YAML)))
    assert "cannot start: RuntimeError: not today" in caplog.text


def install(folder: Path, module: str, code: str) -> None:
    """Install a plugin as a distribution of its own."""
    source = textwrap.dedent(code).replace("def hoonify", "@hookimpl\ndef hoonify")
    (folder / f"{module}.py").write_text(f"from hoonify_router.api import hookimpl\n{source}")
    info = folder / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[hoonify_router]\n{module} = {module}\n")
