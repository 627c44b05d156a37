"""Mistakes become helpful lines with every Python's argparse."""

from __future__ import annotations

import argparse

import pytest

from hoonify_router.cli.parser import Parser, UnknownName, UsageError, split_config


@pytest.mark.parametrize(
    "known", ["'serve', 'check'", "serve, check", "serve, check, maybe you meant 'check'?"]
)
@pytest.mark.parametrize("infix", ["", ", maybe you meant 'check'?"])
def test_the_wording_of_argparse_may_change(known: str, infix: str) -> None:
    """Python 3.12 dropped the quotes, 3.14 adds a guess of its own."""
    with pytest.raises(UnknownName) as caught:
        Parser("x").error(f"argument COMMAND: invalid choice: 'chek'{infix} (choose from {known})")
    assert str(caught.value).startswith("there is no command 'chek', did you mean 'check'?")


def test_a_wrong_choice_of_an_option_names_the_option() -> None:
    """Plugins may declare choices of their own."""
    parser = Parser("x")
    parser.add_argument("--size", choices=["small", "large"])
    with pytest.raises(UnknownName) as caught:
        parser.parse_args(["--size", "lage"])
    assert str(caught.value) == (
        "--size: there is no 'lage', did you mean 'large'? (there are: small, large)"
    )


def test_children_raise_too() -> None:
    """argparse makes them of their parent's class."""
    parser = Parser("x")
    child = parser.add_subparsers().add_parser("y")
    child.add_argument("--n", type=int)
    with pytest.raises(UsageError, match="see `x y --help`"):
        parser.parse_args(["y", "--n", "z"])
    assert isinstance(child, argparse.ArgumentParser)


@pytest.mark.parametrize(
    ("words", "config", "rest"),
    [
        ([], None, []),
        (["check", "--config", "a"], "a", ["check"]),
        (["--config=a", "check", "--config=b"], "b", ["check"]),
        (["keys", "create", "--name", "-x"], None, ["keys", "create", "--name", "-x"]),
        (["keys", "--conf", "a"], None, ["keys", "--conf", "a"]),
    ],
)
def test_config_is_taken_from_anywhere(
    words: list[str], config: str | None, rest: list[str]
) -> None:
    """Everything else stays as it is, the last one wins."""
    assert split_config(words) == (config, rest)
