"""``check``: one line when all is well, else one line for each problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Install = Callable[..., Path]


def write(folder: Path, text: str) -> None:
    """Replace the configuration."""
    (folder / "config" / "router.yaml").write_text(text)


MODEL = "models:\n  m:\n    provider: p\n    context_length: 1\n    backend: {}\n"


def test_a_good_file_is_one_line(run: Run) -> None:
    """It counts the models and names the pipeline."""
    done = run("check")
    assert (done.status, done.err) == (0, [])
    assert done.out == "config/router.yaml: fine; 1 model; pipeline: api_keys\n"


def test_models_that_cannot_run_here_are_told(run: Run, folder: Path) -> None:
    """Each with its line and why; they are no mistake: the same file serves machines with and without GPUs."""
    write(folder, MODEL.format("onnxruntime") + "    options: {model: nowhere}\n")
    done = run("check")
    assert (done.status, done.err) == (0, [])
    summary, line = done.out.splitlines()
    assert "1 model, 1 of them cannot run here; pipeline: " in summary
    assert line.startswith("config/router.yaml:5: models.m.backend: cannot run here: ")
    assert "nowhere" in line


def test_each_home_that_cannot_run_here_is_told(run: Run, folder: Path) -> None:
    """Where the file has it."""
    homes = (
        "    homes:\n      - {backend: echo}\n"
        "      - {backend: onnxruntime, options: {model: nowhere}}\n"
    )
    write(folder, MODEL.format("echo").replace("    backend: echo\n", homes))
    summary, line = run("check").out.splitlines()
    assert "1 of them cannot run here" in summary
    assert line.startswith("config/router.yaml:7: models.m.homes[1].backend: cannot run here: ")


def test_each_problem_is_one_line(run: Run, folder: Path) -> None:
    """All at once, with file, line, path and what was probably meant."""
    write(folder, "pipelin: []\n" + MODEL.format("ecko").replace("provider:", "provder:"))
    done = run("check")
    assert (done.status, done.out) == (2, "")
    assert len(done.err) >= 3
    assert all(line.startswith("config/router.yaml:") for line in done.err)
    assert done.err[0].startswith("config/router.yaml:1: pipelin")
    assert "pipeline" in done.err[0]
    assert any("ecko" in line and "did you mean echo" in line for line in done.err)


def test_a_broken_plugin_that_is_named_is_a_problem(
    run: Run, folder: Path, install: Install
) -> None:
    """The line says where it is named and why it is broken; there is no second line about it."""
    install("acme", guard="import not_there_at_all")
    write(folder, "pipeline: [guard]\n" + MODEL.format("echo"))
    done = run("check")
    assert done.status == 2
    (line,) = done.err
    assert line.startswith("config/router.yaml:1: pipeline[0]: ")
    assert "plugin 'guard' (acme 1.0)" in line
    assert "not_there_at_all" in line
    assert not any("guard" in warning for warning in done.warnings)


def test_two_plugins_for_one_name_are_a_problem_where_it_is_named(
    run: Run, folder: Path, install: Install, backend_source: Callable[[str], str]
) -> None:
    """Both distributions are named."""
    install("acme", one=backend_source("parrot"))
    install("umbrella", two=backend_source("parrot"))
    write(folder, MODEL.format("parrot"))
    (line,) = run("check").err
    assert "'one' (acme 1.0)" in line
    assert "'two' (umbrella 1.0)" in line


VALIDATE = "@hookimpl\ndef hoonify_validate_config(loaded):\n    {}\n"


def test_plugins_see_what_only_they_can_see(run: Run, folder: Path, install: Install) -> None:
    """Their problems get file and line like ours."""
    install("acme", one=VALIDATE.format("return ['models.parrot.context_length: too short']"))
    install("fine", two=VALIDATE.format("return None"))
    done = run("check")
    assert done.status == 2
    assert done.err == ["config/router.yaml:6: models.parrot.context_length: too short"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("1 / 0", "hoonify_validate_config failed: ZeroDivisionError: division by zero"),
        ("return 'bad'", "hoonify_validate_config returned str, expected a list of strings"),
    ],
)
def test_a_check_that_fails_is_a_warning_unless_the_plugin_is_named(
    run: Run, folder: Path, install: Install, body: str, complaint: str
) -> None:
    """The same rule as for plugins that cannot be loaded."""
    install(
        "acme",
        guard=VALIDATE.format(body)
        + "@hookimpl\ndef hoonify_register_middleware():\n"
        + "    return [MiddlewareSpec('guard', 'x', Options, lambda s, c: Middleware())]\n",
    )
    done = run("check")
    assert done.status == 0
    assert any("'guard' (acme 1.0)" in line and complaint in line for line in done.warnings)
    write(folder, "pipeline: [guard]\n" + MODEL.format("echo"))
    done = run("check")
    assert done.status == 2
    assert complaint in done.err[0]


def test_settings_of_the_key_plugin_are_checked(run: Run, folder: Path) -> None:
    """From the plugin's hook to a line with its number, without the password."""
    write(
        folder,
        "pipeline: [api_keys]\nplugins:\n  api_keys:\n    store: mysql://u:secret@h/d\n"
        + MODEL.format("echo"),
    )
    assert run("check").err == [
        "config/router.yaml:4: plugins.api_keys.store: expected sqlite:/// and a path,"
        " or a URL postgresql://user@host/database"
    ]
