"""Other routers that the benchmark compares with."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import peers
from benchmarks.native import CannotMeasure


@pytest.mark.parametrize("kind", peers.KINDS, ids=lambda kind: kind.name)
def test_each_is_told_where_to_listen_and_whom_to_ask(kind: peers.Kind, tmp_path: Path) -> None:
    """On its command line or in a file beside it."""
    setup = peers.Setup(Path("/bin/router"), 4001, 4002, 4003, tmp_path)
    command = kind.command(setup)
    told = " ".join([*command, *(file.read_text() for file in tmp_path.iterdir())])
    assert command[0] == "/bin/router"
    assert any(word.endswith("4001") for word in command)
    assert "127.0.0.1:4003" in " ".join([told, *kind.headers(4003)])


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
    assert "there is no envoy (there are: nginx, sglang-router" in capsys.readouterr().err


def test_those_that_are_named_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In that order; all that are installed where none is named; nginx needs no naming."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    for name in ("smg", "litellm", "portkey"):
        _install(name)
    assert [kind.name for kind in peers.choose("")] == ["smg", "litellm", "portkey"]
    assert [kind.name for kind in peers.choose("portkey,nginx,smg")] == ["portkey", "smg"]
    assert peers.choose("nginx") == []


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("", "no other router is installed; `make bench-peers`"),
        ("envoy", "there is no peer envoy (there are: nginx, sglang-router"),
        ("nginx,litellm", 'litellm is not installed: make bench-peers ARGS="litellm"'),
    ],
)
def test_one_that_cannot_be_measured_is_a_mistake(
    named: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line that says what to do."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    with pytest.raises(CannotMeasure) as refused:
        peers.choose(named)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_records_tell_which_release_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the environment says, not as was wished."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    kinds = {kind.name: kind for kind in peers.KINDS}
    info = tmp_path / "litellm" / "lib" / "python3.11" / "site-packages" / "litellm-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: litellm\nVersion: 9.9\n")
    assert kinds["litellm"].installed_version() == "9.9"
    package = tmp_path / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "8.8"}')
    assert kinds["portkey"].installed_version() == "8.8"


def test_what_cannot_be_installed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Node, and where nginx is for somebody else to install."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert peers.main(["portkey", "nginx"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "benchmarks: portkey needs Node (on Debian: apt install nodejs npm)",
        "benchmarks: nginx is for an administrator to install (on Debian: apt install nginx-light)",
    ]


def _install(name: str) -> None:
    (kind,) = (kind for kind in peers.KINDS if kind.name == name)
    kind.path.parent.mkdir(parents=True)
    kind.path.touch()
