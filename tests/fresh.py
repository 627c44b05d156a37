"""Environments that have nothing but the router's wheel, and third parties' packages from this one."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command to its end and return what it says; it must not fail."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**clean_environment(), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that say where Python looks."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HOONIFY_", "PIP_"))
    }
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"):
        kept.pop(name, None)
    return kept


def build_wheel(source: Path, into: Path) -> Path:
    """Build the wheel of a distribution with the tools of this environment."""
    before = set(into.glob("*.whl"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", into, source, cwd=into)
    [made] = set(into.glob("*.whl")) - before
    return made


def make_environment(folder: Path, *wheels: Path) -> Path:
    """Make an environment with these wheels; return its interpreter.

    What they depend on is taken from this environment, for tests have no network: its folder is looked in
    last, and the links of an editable install in it are not followed.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    lend_packages(folder)
    install = ("install", "-q", "--no-index", "--no-deps", "--ignore-installed")
    run(sys.executable, "-m", "pip", "--python", python, *install, *wheels, cwd=folder.parent)
    return python


def lend_packages(environment: Path) -> None:
    """Let an environment find the packages of this one."""
    [site] = (environment / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
