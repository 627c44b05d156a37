"""`hoonify-router conformance`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hoonify_router.cli import main


def test_level_0_of_the_test_instrument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table on the terminal, a report, a badge; nothing is started."""
    told, svg = tmp_path / "echo.json", tmp_path / "echo.svg"
    words = ["conformance", "echo", "--level", "0", "--json", str(told), "--badge", str(svg)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "imports_nothing_heavy" in out
    assert "0 failed" not in out
    assert json.loads(told.read_text())["backend"] == "echo"
    assert svg.read_text().startswith("<svg")


def test_options_are_read_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in it is told with its line, and the status is 2."""
    file = tmp_path / "echo.yaml"
    file.write_text("slots: 2\nreplay: text\n")
    assert main(["conformance", "echo", "--options", str(file), "--level", "0"]) == 2
    assert f"{file}:2: replay: " in capsys.readouterr().err


def test_a_home_of_a_configuration_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its model; another name is told with those that there are."""
    file = tmp_path / "router.yaml"
    file.write_text("models: {parrot: {provider: Me, context_length: 9, backend: echo}}")
    assert main(["conformance", "--config", str(file), "parrot", "--level", "0"]) == 0
    assert main(["conformance", "--config", str(file), "polly", "--level", "0"]) == 2
    assert "there is no home 'polly' (there are: parrot)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ehco"], "did you mean 'echo'"),
        (["echo", "--override", "says_hello"], "expected CHECK=REASON"),
        (["echo", "--override", "says_hallo=because"], "there is no such check"),
        (["echo", "--level", "4"], "--level"),
        (["echo", "--patience", "0"], "expected seconds"),
        (["openai", "--api-key-env", "NO_SUCH_NAME"], "there is no variable 'NO_SUCH_NAME'"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the status is 2."""
    assert main(["conformance", *words]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
