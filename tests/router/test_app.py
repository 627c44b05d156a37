"""What the wiring refuses before any process is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_router import app, runfile
from hoonify_router.config.model import Config, LoadedConfig, ServerConfig


def test_a_state_folder_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk, say, is no traceback."""

    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(app, "configure_logging", lambda: None)
    monkeypatch.setattr(runfile, "announce", full)
    config = Config(models={}, server=ServerConfig(port=0))
    loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path)
    assert app.serve(loaded) == 2
    told = (
        f"hoonify-router: the state folder {tmp_path} cannot be written: No space left on device\n"
    )
    assert capsys.readouterr().err == told
