"""``plugins list``: works whatever is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
Install = Callable[..., Path]


def test_everything_that_ships_is_listed(run: Run) -> None:
    """Backends, middleware and commands, each with its kind and summary."""
    rows = {
        (row["name"], row["kind"]): row for row in json.loads(run("plugins", "list", "--json").out)
    }
    assert ("echo", "worker backend") in rows
    assert ("api_keys", "middleware") in rows
    assert rows["prefix", "balancer"]["plugin"] == "balancers"
    keys = rows["keys", "command"]
    assert keys["plugin"] == "api_keys"
    assert keys["distribution"].startswith("hoonify-router ")
    assert keys["summary"] == "Make, list, rotate and revoke API keys."


def test_it_needs_no_configuration(run: Run, folder: Path) -> None:
    """It is what one calls to find out what to write there."""
    (folder / "config" / "router.yaml").unlink()
    assert run("plugins", "list").status == 0


def test_broken_plugins_come_last_with_the_reason(
    run: Run, install: Install, backend_source: Callable[[str], str]
) -> None:
    """Import errors, clashes of names, and commands that cannot be used."""
    install("acme", version="0.3", aaa="import not_there_at_all")
    install("b", bbb=backend_source("echo"))
    install(
        "c",
        ccc="@hookimpl\ndef hoonify_register_commands():\n"
        "    return [Command('serve', 'x', lambda p: None, lambda a, c: 0)]\n",
    )
    install("d", ddd='"""Listens."""\n@hookimpl\ndef hoonify_backend_event(event): ...\n')
    done = run("plugins", "list")
    assert done.status == 0
    lines = done.out.splitlines()
    broken = [line for line in lines if " broken " in line]
    assert broken == lines[-len(broken) :]
    (line,) = [line for line in broken if line.startswith("aaa ")]
    assert line.split()[1:4] == ["broken", "acme", "0.3"]
    assert "No module named 'not_there_at_all'" in line
    assert any("backend 'echo' is brought by" in line for line in broken)
    assert any("the command 'serve' is the router's own" in line for line in broken)
    assert any(line.split()[:2] == ["ddd", "hooks"] for line in lines)
    assert not any(line.startswith("echo ") and "worker" in line for line in lines)


def test_warnings_are_shown(
    run: Run, install: Install, backend_source: Callable[[str], str]
) -> None:
    """A plugin for a newer router is used, with a word about it."""
    install("acme", parrot="hoonify_api_version = (1, 9)" + backend_source("parrot"))
    done = run("plugins", "list")
    assert any("plugin API 1.9" in line for line in done.warnings)
