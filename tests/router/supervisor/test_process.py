"""Engine processes: their group, their words, their end."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from pathlib import Path

import pytest

from hoonify_router.supervisor.process import EngineProcess


async def run(code: str, folder: Path) -> EngineProcess:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return await EngineProcess.start(command, "test", folder)


async def exited(process: EngineProcess) -> None:
    async with asyncio.timeout(60):
        await process.exited


async def until_said(process: EngineProcess, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in process.tail:  # noqa: ASYNC110 - its words have no event
            await asyncio.sleep(0.01)


async def test_its_last_words_are_kept_within_bounds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty lines of bounded length, from both outputs, progress bars and bad bytes included."""
    caplog.set_level("INFO")
    process = await run(
        """
        import os, sys
        os.write(1, b"first\\n" + b"x" * 100000 + b"\\n")
        os.write(2, b"10%\\r20%\\r100%\\n\\xff bytes\\n")
        for number in range(15): print("line", number)
        os.write(1, b"no newline at the end")
        """,
        tmp_path,
    )
    await exited(process)
    await process.end(0.0)
    lines = process.tail.splitlines()
    assert len(lines) == 20
    assert lines[-1] == "no newline at the end"
    assert "100%" in lines
    assert "\ufffd bytes" in lines
    assert max(map(len, lines)) <= 400
    assert "[test] line 14" in caplog.text
    assert process.ending == "exit status 0"


async def test_it_leads_a_session_of_its_own(tmp_path: Path) -> None:
    """The terminal's Ctrl-C does not reach it; it runs where it is told to."""
    process = await run(
        "import os; print(os.getsid(0), os.getcwd(), flush=True); input()", tmp_path
    )
    await until_said(process, str(tmp_path))
    assert process.tail.startswith(f"{process.pid} ")
    assert os.getsid(0) != process.pid
    await process.end(0.0)
    assert process.ending == "killed by SIGKILL"


async def test_who_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    """Politely first, for as long as the grace lasts."""
    process = await run(
        """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        print("child", child.pid, flush=True)
        while True: time.sleep(1000)
        """,
        tmp_path,
    )
    await until_said(process, "child")
    child = int(process.tail.split()[1])
    await process.end(0.2)
    assert "no" in process.tail
    assert process.ending == "killed by SIGKILL"
    async with asyncio.timeout(60):
        while _alive(child):  # noqa: ASYNC110 - it is no child of ours
            await asyncio.sleep(0.01)


async def test_children_that_hold_its_output_hide_no_death(tmp_path: Path) -> None:
    """The engine is gone when its process is, not when the last pipe is closed."""
    process = await run(
        """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        sys.exit(7)
        """,
        tmp_path,
    )
    await exited(process)
    assert process.ending == "exit status 7"
    await process.end(1.0)


async def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    """As the error that it is."""
    with pytest.raises(OSError, match="No such file"):
        await EngineProcess.start(["/nowhere/python"], "test", tmp_path)


async def test_the_environment_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the web server's; modules of the working folder shadow nothing."""
    monkeypatch.setenv("SANIC_WORKER_NAME", "x")
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    process = await run(
        "import json, os; print(sorted(k for k in os.environ if 'SANIC' in k))", tmp_path
    )
    await exited(process)
    await process.end(0.0)
    assert process.tail == "[]"


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
