"""``schema``: what an editor needs to know of the configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
Install = Callable[..., Path]


def test_it_holds_the_options_of_installed_plugins(
    run: Run, install: Install, backend_source: Callable[[str], str]
) -> None:
    """A third party's backend is completed like ours."""
    install("acme", parrot=backend_source("parrot"))
    schema = json.loads(run("schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "parrot" in json.dumps(schema)
    assert "api_keys" in schema["properties"]["plugins"]["properties"]


def test_it_can_be_written_to_a_file(run: Run, folder: Path) -> None:
    """The same text, nothing on standard output."""
    printed = run("schema").out
    done = run("schema", "--write", "new.json")
    assert (done.status, done.out, done.err) == (0, "", [])
    assert (folder / "new.json").read_text() == printed


def test_a_file_that_cannot_be_written_is_one_line(run: Run) -> None:
    """Which one, and why."""
    done = run("schema", "--write", "no/such/folder.json")
    assert done.status == 2
    assert done.err == [
        "hoonify-router: cannot write no/such/folder.json: No such file or directory"
    ]
