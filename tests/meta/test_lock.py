"""The lock has everything that pyproject.toml asks for, with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hoonify_router.loader import load_plugins

ROOT = Path(__file__).resolve().parents[2]
LOCKED = re.compile(
    r"^(?P<requirement>[a-z0-9].*?)(?: \\)?$(?P<hashes>(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)*)",
    re.MULTILINE,
)
PYTHONS = ("3.11", "3.12", "3.13")


def locked(name: str) -> list[tuple[Requirement, int]]:
    """Return the lock's packages, each with the number of its hashes."""
    text = (ROOT / "requirements" / name).read_text()
    return [
        (Requirement(found["requirement"]), found["hashes"].count("--hash"))
        for found in LOCKED.finditer(text)
    ]


def asked(*extras: str) -> list[Requirement]:
    """Return what pyproject.toml and the build need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    build = (ROOT / "requirements" / "build.in").read_text().splitlines()
    return [Requirement(line) for line in lines + build if line and not line.startswith("#")]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("lock", "extras"), [("default.txt", ("onnx",)), ("dev.txt", ("onnx", "dev"))]
)
def test_the_lock_satisfies_what_is_asked_for(
    lock: str, extras: tuple[str, ...], python: str
) -> None:
    """After a change in pyproject.toml somebody has run `make lock`."""
    environment = {**default_environment(), "python_version": python}
    environment["python_full_version"] = f"{python}.0"
    versions = {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement, _ in locked(lock)
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }
    unmet = [
        str(requirement)
        for requirement in asked(*extras)
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0"), prereleases=True
        )
    ]
    assert not unmet


@pytest.mark.parametrize("lock", ["default.txt", "dev.txt"])
def test_every_package_is_pinned_by_hash(lock: str) -> None:
    """What is installed is what was locked, wherever it comes from."""
    packages = locked(lock)
    assert len(packages) > 40
    assert not [str(requirement) for requirement, hashes in packages if not hashes]


def test_what_only_tests_need_the_data_of_is_pinned_too() -> None:
    """And nothing else is in its lock, which is installed without dependencies."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    packages = locked("models-test.txt")
    assert sorted(str(requirement) for requirement, _ in packages) == sorted(groups["models-test"])
    assert all(hashes for _, hashes in packages)


def test_the_default_is_light() -> None:
    """`make serve` brings neither torch nor any CUDA package."""
    names = {requirement.name for requirement, _ in locked("default.txt")}
    assert not [name for name in names if name == "torch" or name.startswith("nvidia")]
    assert "onnxruntime-gpu" not in names


ENGINES = ROOT / "requirements" / "engines"


def locks_of_engines() -> dict[str, Path]:
    """Return where `make lock` writes the lock for each list of an engine's requirements."""
    written = re.findall(
        r"requirements/engines/(\S+\.in).* -o (backends/\S+)", (ROOT / "tox.ini").read_text()
    )
    return {name: ROOT / path for name, path in written}


@pytest.mark.parametrize("name", sorted(path.name for path in ENGINES.glob("*.in")))
def test_an_engines_lock_satisfies_what_is_asked_for(name: str) -> None:
    """With hashes for all of it; and the backend ships it."""
    lock = locks_of_engines()[name]
    found = list(LOCKED.finditer(lock.read_text()))
    assert all(each["hashes"] for each in found)
    versions: dict[str, set[str]] = {}
    for each in found:
        requirement = Requirement(each["requirement"])
        pinned = str(requirement.specifier).removeprefix("==")
        versions.setdefault(canonicalize_name(requirement.name), set()).add(pinned)
    lines = (ENGINES / name).read_text().splitlines()
    for asked_for in (Requirement(line) for line in lines if line and line[0] != "#"):
        pinned_versions = versions[canonicalize_name(asked_for.name)]
        assert all(asked_for.specifier.contains(version) for version in pinned_versions)
    environments = [e for b in load_plugins().backends.values() for e in b.environments]
    shipped = {path.read_bytes() for each in environments for path in each.locks}
    assert lock.read_bytes() in shipped  # by what is in it: the backends may be those of a wheel
