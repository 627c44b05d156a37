"""Compile the C programs on demand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "native"
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")


class CannotMeasure(Exception):
    """This machine lacks something that the benchmark needs; one line says what."""


@dataclass(frozen=True)
class Programs:
    """The compiled programs."""

    mock: Path
    load: Path


def compile_programs(folder: Path = HERE / "build") -> Programs:
    """Compile what is missing or older than its sources.

    Raises:
        CannotMeasure: There is no C compiler, or this is not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise CannotMeasure("the benchmark reads /proc and uses epoll: it runs on Linux only")
    folder.mkdir(parents=True, exist_ok=True)
    return Programs(mock=_compile("mock", folder), load=_compile("load", folder))


def _compile(name: str, folder: Path) -> Path:
    program = folder / name
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if program.exists() and program.stat().st_mtime > newest:
        return program
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise CannotMeasure("a C compiler is needed (cc); on Debian: apt install gcc libc6-dev")
    sources = [str(SOURCES / f"{part}.c") for part in (name, "base", "supply")]
    # A folder of its own: several processes may do this at once, and none may run another's half-made file.
    with tempfile.TemporaryDirectory(dir=folder) as own:
        fresh = Path(own) / name
        subprocess.run([compiler, *FLAGS, "-o", str(fresh), *sources], check=True)
        fresh.replace(program)
    return program
