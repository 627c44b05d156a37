"""The installed command in processes of its own: on a terminal, in a pipe, with a reader that leaves."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("hoonify-router")
WIDE = """
models:
  a-model-with-a-rather-long-name-that-would-not-fit-beside-the-rest-on-a-narrow-terminal:
    provider: A provider with a long name as well
    context_length: 4096
    backend: echo
"""


def on_a_terminal(*words: str, width: int = 120) -> tuple[int, str]:
    """Run the command with its output on a pseudo-terminal; return status and what it shows."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(width)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [PROGRAM, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux tells the end of a pseudo-terminal this way
        pass
    finally:
        os.close(ours)
    return process.wait(30), shown.decode()


def piped(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command with its output in pipes."""
    return subprocess.run(
        [PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_a_terminal_gets_colours_and_a_pipe_does_not(folder: Path) -> None:
    """Escape sequences are for eyes only."""
    status, shown = on_a_terminal("plugins", "list")
    assert status == 0
    assert "\x1b[" in shown
    assert "api_keys" in shown
    done = piped("plugins", "list")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "api_keys" in done.stdout


def test_a_pipe_is_never_wrapped(folder: Path) -> None:
    """A line of the table is a line of the output, however long."""
    (folder / "config" / "router.yaml").write_text(WIDE)
    done = piped("models")
    head, line = done.stdout.splitlines()
    assert len(line) > 120
    assert line.split()[0].endswith("narrow-terminal")
    assert line.index("echo") == head.index("BACKEND")


def test_a_narrow_terminal_gets_long_texts_below_their_rows(folder: Path) -> None:
    """A column of a few letters would make ten lines of one."""
    long = "Test instrument without a model: says the last message again, or what a script wants."
    for width in (40, 80):
        _, shown = on_a_terminal("plugins", "list", width=width)
        lines = re.sub("\x1b\\[[0-9;]*m", "", shown).splitlines()
        at = lines.index(f"    {long}")
        assert lines[at - 1].split()[:3] == ["echo", "worker", "backend"]
    _, shown = on_a_terminal("plugins", "list", width=160)
    assert any("worker backend" in line and long in line for line in shown.splitlines())


def test_the_module_is_the_command(folder: Path) -> None:
    """``python -m hoonify_router`` says the same."""
    done = subprocess.run(
        [sys.executable, "-m", "hoonify_router", "check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == piped("check").stdout


def test_a_key_can_be_caught_in_a_variable(folder: Path) -> None:
    """Only the key is on standard output, also when warnings are told."""
    done = piped("keys", "create", "--name", "ada", "--plan", "free")
    assert done.returncode == 0
    assert done.stdout.startswith("hoo_")
    assert len(done.stdout) == 51
    assert "hoo_" not in done.stderr


@pytest.mark.parametrize("command", [["schema"], ["plugins", "list"], ["--help"]])
def test_a_reader_that_leaves_is_no_drama(folder: Path, command: list[str]) -> None:
    """`hoonify-router schema | head -1` says nothing on standard error."""
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [PROGRAM, *command],
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    errors = [line for line in done.stderr.splitlines() if "warning: plugin" not in line]
    assert errors == []
    assert done.returncode in (0, 141)


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_streams_are_no_drama(folder: Path, closed: tuple[int, ...]) -> None:
    """A service manager may start us without any, and nothing else may take their numbers."""

    def close() -> None:
        for number in closed:
            os.close(number)

    code = (
        "import os, sys; from hoonify_router.cli import main; status = main(['keys', 'list']);"
        "null = os.stat(os.devnull);"
        f"there = all(os.path.samestat(os.fstat(n), null) for n in {closed});"
        "sys.exit(status if there else 3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stderr=None if 2 in closed else subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=close,
    )
    assert (done.returncode, done.stderr or "") == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told(folder: Path) -> None:
    """Not with a traceback, and not with exit status 0."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "hoonify-router: cannot write: No space left on device\n"


def test_what_the_output_cannot_encode_is_escaped(folder: Path) -> None:
    """An old locale is no reason to fail."""
    (folder / "config" / "router.yaml").write_text(WIDE.replace("A provider", "Ünser"))
    done = piped("models", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, "\\xdcnser" in done.stdout) == (0, True)


def test_checking_imports_nothing_heavy(folder: Path) -> None:
    """No web server, no engine: the command answers at once."""
    code = (
        "import sys; from hoonify_router.cli import main; status = main(['check']);"
        "print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'sanic', 'asyncio', 'sqlite3', 'rich', 'onnxruntime', 'numpy', 'torch'}));"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
