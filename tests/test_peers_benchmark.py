"""Other routers that the benchmark compares with."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import peers


@pytest.mark.parametrize("kind", peers.KINDS, ids=lambda kind: kind.name)
def test_each_is_told_where_to_listen_and_whom_to_ask(kind: peers.Kind, tmp_path: Path) -> None:
    """On its command line or in a file beside it."""
    setup = peers.Setup(Path("/bin/router"), 4001, 4002, 4003, tmp_path)
    command = kind.command(setup)
    told = " ".join([*command, *(file.read_text() for file in tmp_path.iterdir())])
    assert command[0] == "/bin/router"
    assert "4001" in command
    assert "127.0.0.1:4003" in told


def test_none_is_measured_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a broken installation is none."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    (tmp_path / "smg").mkdir()
    assert peers.installed() == []
    program = tmp_path / "smg" / "bin" / "smg"
    program.parent.mkdir()
    program.touch()
    assert [kind.name for kind in peers.installed()] == ["smg"]


def test_an_unknown_one_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of those that there are."""
    with pytest.raises(SystemExit) as ended:
        peers.main(["envoy"])
    assert ended.value.code == 2
    assert "there is no envoy (there are: sglang-router" in capsys.readouterr().err
