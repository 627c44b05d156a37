"""The installed command in processes of its own: on a terminal, in a pipe, with a reader that leaves."""

from __future__ import annotations

import os
import pty
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


def on_a_terminal(*words: str) -> tuple[int, str]:
    """Run the command with its output on a pseudo-terminal; return status and what it shows."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
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
