"""The tutorial's commands and code, run as they stand in its text."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import FENCE
from tests.fresh import ROOT, build_wheel, clean_environment
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = ROOT / "docs" / "tutorial.md"
PORT = "8123"
LEND = """
import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "lent.pth").write_text({packages!r} + "\\n")
"""


def script(port: int) -> str:
    """Return the page as one script for bash: a block of Python is a file, its first line has the name."""
    lines = ["set -em"]
    for fence in FENCE.finditer(PAGE.read_text()):
        language, text = fence[1], fence[2]
        if language == "sh":
            lines.append(text.replace(PORT, str(port)))
        elif language == "python":
            name, _, code = text.partition("\n")
            lines.append(f"cat > {name.removeprefix('# ')} <<'END_OF_FILE'\n{code}END_OF_FILE")
    return "\n".join(lines)


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    """From an empty folder to an answer, with the router's wheel and without a network.

    The only things that a reader's machine does otherwise: packages of third parties come from the environment
    of the tests, and the port is a free one.
    """
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    build_wheel(ROOT, wheels)
    work = tmp_path / "work"
    work.mkdir()
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    lend = tmp_path / "lend.py"
    lend.write_text(LEND.format(packages=packages))
    activated = ". .venv/bin/activate\n"
    text = script(free_port())
    assert activated in text
    text = text.replace(activated, f"{activated}python {lend}\n", 1)
    environment = {
        **clean_environment(),
        "PATH": f"{Path(sys.executable).parent}:{clean_environment()['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_DEPS": "1",
        "PIP_IGNORE_INSTALLED": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # which means: no isolation
        "HOONIFY_STATE_DIR": str(tmp_path / "state"),
    }
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", text],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert '"content":"HELLO THERE"' in done.stdout
    assert re.search(r"shout on cpu: \d+ passed, \d+ skipped;", done.stdout)
    assert "shout: works" in done.stdout
