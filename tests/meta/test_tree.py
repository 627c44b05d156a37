"""Rules about the files of the repository."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400
LONGEST_TEST = 600
CODE = {".py", ".c", ".h", ".sh"}
HOSTS = tuple(
    f"{name}.org" for name in ("pypi", "pythonhosted", "npmjs", "deb.debian", "download.pytorch")
)
MACHINE_PATH = re.compile(r"(?<![\w.{}$])/(?:root|work|home|Users)/\w")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Return the files under version control; skip where there is none, as in an sdist."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this is no git checkout")
    return tuple(
        path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()
    )


def texts() -> list[tuple[Path, str]]:
    """Return the content of all text files."""
    found = []
    for path in tracked_files():
        try:
            found.append((path.relative_to(ROOT), path.read_text()))
        except UnicodeDecodeError:
            continue
    return found


def test_no_file_of_code_is_too_long() -> None:
    """A module over 400 lines has a second idea in it that wants its own room; tests get a little more."""
    long = {
        str(path): lines
        for path, text in texts()
        if path.suffix in CODE
        and (lines := text.count("\n")) > (LONGEST_TEST if path.parts[0] == "tests" else LONGEST)
    }
    assert not long


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the installer's business; a lock works with any mirror."""
    assert not [f"{path}: {host}" for path, text in texts() for host in HOSTS if host in text]


def test_no_file_names_a_path_of_somebody_s_machine() -> None:
    """What is committed works anywhere."""
    found = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found


def test_source_roots_hold_one_package_each() -> None:
    """`router`, `backends` and `plugins` are folders to put on the path, not packages."""
    for root, package in (
        ("router", "hoonify_router"),
        ("backends", "hoonify_backends"),
        ("plugins", "hoonify_plugins"),
    ):
        inside = {
            p.relative_to(ROOT).parts[1] for p in tracked_files() if p.is_relative_to(ROOT / root)
        }
        assert inside == {package}
        assert (ROOT / root / package / "py.typed").is_file()


def test_every_folder_of_code_is_a_package() -> None:
    """Import checks and type checks see every module."""
    code = [path for path in tracked_files() if path.suffix == ".py"]
    roots = [ROOT / "router", ROOT / "backends", ROOT / "plugins"]
    folders = {path.parent for path in code if any(path.is_relative_to(root) for root in roots)}
    assert not [
        str(folder)
        for folder in folders
        if folder.name != "plain_cpu" and not (folder / "__init__.py").is_file()
    ]
