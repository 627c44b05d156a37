"""The compiled wheel: what is in it, and that it answers as the pure one does."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.cli import main

ROOT = Path(__file__).resolve().parents[2]
LISTED = [
    line.partition("#")[0].strip()
    for line in (ROOT / "requirements" / "compiled-modules.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]
COMPILED = not str(importlib.import_module(LISTED[0]).__file__).endswith(".py")

pytestmark = pytest.mark.skipif(not COMPILED, reason="needs the compiled wheel: make test-compiled")


def answers(seed: int, requests: int, *folders: str) -> tuple[str, list[Any]]:
    """Return which build answered, and what, in a process of its own."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("", *folders))
    done = subprocess.run(
        [sys.executable, "-m", "tests.compiled.answering", str(seed), str(requests)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["build"], told["answers"]


@pytest.mark.parametrize("module", LISTED)
def test_every_module_of_the_list_is_compiled(module: str) -> None:
    """Their sources travel along for tracebacks, and are not what runs."""
    path = Path(str(importlib.import_module(module).__file__))
    assert path.suffix == ".so"
    assert path.with_name(f"{module.rpartition('.')[2]}.py").is_file()


def test_its_version_tells(capsys: pytest.CaptureFixture[str]) -> None:
    """An operator sees which build runs."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip().endswith(" (compiled)")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 6))]
)
def test_it_answers_as_the_pure_build_does(seed: int) -> None:
    """Byte for byte, over generated requests: good and bad ones, whole answers, streams, engines that break."""
    build, compiled = answers(seed, 400)
    other, pure = answers(seed, 400, "router", "backends", "plugins")
    assert (Path(build).suffix, Path(other).suffix) == (".so", ".py")
    for one, another in zip(compiled, pure, strict=True):
        assert one == another
    statuses = Counter(status for status, *_ in pure)
    assert statuses[200] > 100
    assert len(statuses) > 6
