"""``plugins show``: all of one plugin, whatever is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
Install = Callable[..., Path]


def test_a_plugin_that_works(run: Run) -> None:
    """Distribution, version, module, hooks and what it brings with its settings."""
    [told] = json.loads(run("plugins", "show", "api_keys", "--json").out)
    assert told["state"] == "works"
    assert told["distribution"].startswith("hoonify-router ")
    assert told["module"] == "hoonify_plugins.api_keys"
    assert "hoonify_register_middleware" in told["hooks"]
    kinds = {(one["kind"], one["name"]) for one in told["provides"]}
    assert {("middleware", "api_keys"), ("command", "keys")} <= kinds
    assert "api_keys: works" in run("plugins", "show", "api_keys").out


def test_it_is_found_by_what_it_brings(run: Run) -> None:
    """Whoever reads `balance: prefix` need not know which plugin that is."""
    assert run("plugins", "show", "prefix").out.startswith("balancers: works\n")


def test_a_broken_one_tells_its_first_cause(run: Run, install: Install) -> None:
    """The failure, and the exception at the bottom of it."""
    source = (
        "try:\n    import not_there_at_all\n"
        "except ImportError as error:\n    raise RuntimeError('no engine') from error\n"
    )
    install("acme", version="0.3", aaa=source)
    done = run("plugins", "show", "aaa")
    assert done.status == 0
    assert done.out.startswith("aaa: broken\n  distribution  acme 0.3\n  module        acme_aaa\n")
    assert "RuntimeError: no engine" in done.out
    assert "first cause   ModuleNotFoundError: No module named 'not_there_at_all'" in done.out


def test_one_that_is_not_there(run: Run) -> None:
    """With what may have been meant."""
    done = run("plugins", "show", "ehco")
    assert done.status == 2
    assert "there is no plugin 'ehco', did you mean 'echo'?" in done.err[-1]
