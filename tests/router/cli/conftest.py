"""A small configuration, and the command line run on it in this process."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hoonify_router.cli import main

SMALL = """
pipeline: [api_keys]
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
"""


@dataclass(frozen=True)
class Done:
    """What a run came to.

    Args:
        status: Exit status.
        out: Standard output.
        err: Standard error without warnings, which depend on what else is installed here.
        warnings: The warnings.
    """

    status: int
    out: str
    err: list[str]
    warnings: list[str]


RunCommand = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a small ``config/router.yaml``, which is the current one now."""
    folder = tmp_path / "here"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "router.yaml").write_text(SMALL)
    monkeypatch.chdir(folder)
    for name in ("CONFIG", "STATE_DIR", "ENVIRONMENTS"):
        monkeypatch.delenv(f"HOONIFY_{name}", raising=False)
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """Return a private folder whose path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="hoonify_test_", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[RunCommand]:
    """Run the command line: ``run("keys", "list")``."""

    def run(*words: str) -> Done:
        status = main(words)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        lines = err.splitlines()
        warning = "hoonify-router: warning: "
        return Done(
            status,
            out,
            [line for line in lines if not line.startswith(warning)],
            [line.removeprefix(warning) for line in lines if line.startswith(warning)],
        )

    return run
