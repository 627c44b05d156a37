"""The command line as a whole: help, mistakes, plugins' commands, exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_router import __version__
from hoonify_router.cli import check, main

Run = Callable[..., Any]
Install = Callable[..., Path]

COMMANDS = ("serve", "check", "models", "plugins", "schema", "keys")


def test_the_version(run: Run) -> None:
    """One line, for scripts."""
    done = run("--version")
    assert (done.status, done.out, done.err) == (0, f"hoonify-router {__version__}\n", [])


def test_help_lists_every_command_with_a_summary(run: Run) -> None:
    """Ours and the plugins'."""
    done = run("--help")
    assert done.status == 0
    for command in COMMANDS:
        (line,) = [line for line in done.out.splitlines() if line.startswith(f"    {command} ")]
        assert line.endswith(".")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    """`--help` works everywhere, and says where the configuration comes from where it matters."""
    done = run(command, "--help")
    assert done.status == 0
    assert done.out.startswith(f"usage: hoonify-router {command} ")
    assert ("--config FILE" in done.out) == (command != "schema")


def test_no_command_is_a_mistake_with_help(run: Run) -> None:
    """A script that forgot the command must not go on."""
    done = run()
    assert done.status == 2
    assert done.out == ""
    assert done.err[0].startswith("usage: hoonify-router")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["chek"], "there is no command 'chek', did you mean 'check'? (there are: serve, check,"),
        (["frobnicate"], "there is no command 'frobnicate' (there are: serve,"),
        (
            ["plugins"],
            "the following arguments are required: ACTION; see `hoonify-router plugins --help`",
        ),
        (
            ["plugins", "lst"],
            "there is no action 'lst', did you mean 'list'? (there are: list, show, new)",
        ),
        (["keys", "creat"], "there is no action 'creat', did you mean 'create'?"),
        (
            ["serve", "--prot", "1"],
            "there is no option --prot, did you mean --port?; see `hoonify-router serve --help`",
        ),
        (["serve", "--prot=1"], "there is no option --prot, did you mean --port?;"),
        (["keys", "list", "--xml"], "there is no option --xml; see `hoonify-router keys list"),
        (["--verison"], "there is no option --verison, did you mean --version?; see `hoonify-"),
        (
            ["check", "config/router.yaml"],
            "'config/router.yaml' is too much; see `hoonify-router c",
        ),
        (["serve", "--port", "x"], "argument --port: expected a number from 0 to 65535, not 'x'"),
        (["serve", "--port", "65536"], "argument --port: expected a number from 0 to 65535"),
        (["serve", "--workers", "0"], "argument --workers: expected a number from 1 to 256"),
        (["check", "--config"], "argument --config: expected one argument"),
        (["check", "--config="], "argument --config: expected a file; see `hoonify-router --help`"),
        (["serve", "--conf", "x"], "there is no option --conf, did you mean --config?;"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    run: Run, words: list[str], expected: str
) -> None:
    """With what was probably meant, or where to read on."""
    done = run(*words)
    assert done.status == 2
    assert done.out == ""
    (line,) = done.err
    assert line.startswith(f"hoonify-router: {expected}")


def test_config_may_stand_anywhere(run: Run, folder: Path) -> None:
    """Before the command, after it, and behind a plugin's own words."""
    (folder / "config" / "router.yaml").rename(folder / "other.yaml")
    assert run("check").status == 2
    for words in (
        ["--config", "other.yaml", "check"],
        ["check", "--config", "other.yaml"],
        ["check", "--config=other.yaml"],
        ["keys", "list", "--config", "other.yaml"],
        ["keys", "--config", "other.yaml", "list"],
    ):
        assert run(*words).status == 0, words


def test_the_environment_may_name_the_configuration(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line wins over it."""
    monkeypatch.setenv("HOONIFY_CONFIG", "elsewhere.yaml")
    assert run("check").err == ["elsewhere.yaml: no such file"]
    assert run("check", "--config", "config/router.yaml").status == 0


MOTD = """
def add_arguments(parser):
    parser.add_argument("--loud", action="store_true")

def run(arguments, context):
    {0}
    print("HELLO" if arguments.loud else "hello", *context.loaded.config.models)
    return {1}

@hookimpl
def hoonify_register_commands():
    return [Command("motd", "Say hello.", add_arguments, run)]
"""


def test_a_plugins_command_runs_with_the_configuration(run: Run, install: Install) -> None:
    """It gets its arguments and the checked configuration; its status is ours."""
    install("acme", motd=MOTD.format("", 0))
    done = run("motd", "--loud")
    assert (done.status, done.out, done.err) == (0, "HELLO parrot\n", [])
    assert "Say hello." in run("--help").out


def test_a_plugins_command_may_fail_helpfully(run: Run, install: Install) -> None:
    """A PluginError is a line for the operator."""
    install(
        "acme",
        motd="from hoonify_router.errors import PluginError\n"
        + MOTD.format("raise PluginError('the sea is rough')", 0),
    )
    done = run("motd")
    assert (done.status, done.out, done.err) == (2, "", ["hoonify-router: the sea is rough"])


def test_a_bug_in_a_plugins_command_names_the_plugin(run: Run, install: Install) -> None:
    """The traceback is kept, with a note whose command it was."""
    install("acme", motd=MOTD.format("1 / 0", 0))
    with pytest.raises(ZeroDivisionError) as caught:
        run("motd")
    assert caught.value.__notes__ == ["in command 'motd' of plugin 'motd' (acme 1.0)"]


def test_a_broken_plugin_bricks_nothing(run: Run, install: Install) -> None:
    """All of our commands go on, and who asks for its command reads why it is missing."""
    install("acme", motd="import not_there_at_all")
    for words in (
        ["check"],
        ["models"],
        ["plugins", "list"],
        ["schema"],
        ["keys", "list"],
        ["--help"],
    ):
        assert run(*words).status == 0, words
    assert any("'motd' (acme 1.0)" in line for line in run("check").warnings)
    done = run("motd")
    assert done.status == 2
    assert done.err[0].startswith("hoonify-router: there is no command 'motd'")
    assert any("not_there_at_all" in line for line in done.warnings)


def test_a_plugin_that_prints_does_not_spoil_the_output(run: Run, install: Install) -> None:
    """Somebody may be about to read a key or JSON."""
    install("acme", motd="print('thank you for choosing acme')\n" + MOTD.format("", 0))
    done = run("plugins", "list", "--json")
    assert any("choosing acme" in line for line in done.err)
    assert json.loads(done.out)


def test_ctrl_c_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As shells expect, and without a traceback."""

    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "prepare", interrupted)
    done = run("check")
    assert (done.status, done.out, done.err) == (130, "", [])


def test_the_words_of_the_process_are_the_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The console script calls main() without arguments."""
    monkeypatch.setattr("sys.argv", ["hoonify-router", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("hoonify-router ")
