"""The unmodified OpenAI clients for Node, current and last major version, notice nothing either."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.sdk.conftest import Served

NODE = Path(__file__).resolve().parent / "node"
PACKAGES = ("openai", "openai-6")
OLDEST = {"openai": 20, "openai-6": 18}
"""Major versions of Node with which the packages work, whatever they declare."""

pytestmark = pytest.mark.slow  # installs packages, and runs Node ten times


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the tests and the packages that the lock names."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node or npm is not installed")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(NODE, folder, dirs_exist_ok=True)
    done = subprocess.run(
        [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if done.returncode:
        why = re.search(r"npm (?:ERR!|error) (?:code|network|errno) .*", done.stderr)
        if re.search(r"\b(ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENOTCACHED)\b", done.stderr):
            pytest.skip(f"the packages cannot be had here: {why[0] if why else 'no network'}")
        pytest.fail(f"npm ci failed:\n{done.stdout}\n{done.stderr}")
    return folder


def node_version() -> int:
    """Return the major version of Node."""
    told = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    return int(told.removeprefix("v").partition(".")[0])


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", ["chat", "tools", "errors", "patience", "others"])
def test_the_node_client(router: Served, installed: Path, name: str, package: str) -> None:
    """Every test in the file passes, and there are some."""
    if node_version() < OLDEST[package]:
        pytest.skip(f"this Node is older than {OLDEST[package]}, which {package} needs")
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", f"{name}.test.mjs"],
        cwd=installed,
        env={
            **os.environ,
            "SDK_PACKAGE": package,
            "SDK_BASE_URL": router.base_url,
            "SDK_API_KEY": router.key_for_all,
            "SDK_API_KEY_FOR_ECHO": router.key_for_echo,
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed is not None
    assert int(passed[1]) > 1


def test_the_lock_names_no_registry() -> None:
    """It works with any mirror, and pins both versions."""
    lock = json.loads((NODE / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in lock.items() if "resolved" in package]
    assert lock["node_modules/openai"]["version"].startswith("7.")
    assert lock["node_modules/openai-6"]["version"].startswith("6.")
    assert all("integrity" in package for name, package in lock.items() if name)
