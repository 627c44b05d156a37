"""Whether there is a GPU, as far as that can be seen without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_backends import gpus


def test_devices_are_found_by_file_or_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A device file is enough; without one the driver's tool is asked, and may be missing or fail."""
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "_device_files", lambda: ["nvidia0", "null"])
    assert gpus.has_nvidia_device()
    monkeypatch.setattr(gpus, "_device_files", lambda: ["nvidiactl", "null"])
    assert not gpus.has_nvidia_device()
    for script, found in (
        ("echo 'GPU 0: NVIDIA H200'", True),
        ("echo 'No devices were found'", False),
        ("echo 'GPU?'; exit 9", False),
    ):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        assert gpus.has_nvidia_device() is found


def test_their_memory_is_asked_for_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It does not change; but a tool that fails is asked again, and one that is missing tells nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.nvidia_memory() == {}
    tool, calls = tmp_path / "nvidia-smi", tmp_path / "calls"
    calls.touch()
    for script in ("exit 9", "echo '0, 143771'; echo '1, [N/A]'; echo '2, 81920'"):
        tool.write_text(f"#!/bin/sh\necho call >> {calls}\n{script}\n")
        tool.chmod(0o755)
        told = [gpus.nvidia_memory() for _ in range(2)]
    assert told == [{0: 143771 * 2**20, 2: 81920 * 2**20}] * 2
    assert len(calls.read_text().splitlines()) == 3
