"""``hoonify-router schema``: what the configuration may say, for editors."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from hoonify_router.cli.output import complain
from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.config.schema import json_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--write``."""
    parser.add_argument("--write", metavar="FILE", type=Path, help="write it to FILE instead")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Print or write the JSON Schema, the options of all installed plugins included."""
    plugins = installed.plugins
    schema = json_schema(
        backend_options=plugins.backend_options,
        plugin_settings=plugins.plugin_settings,
        balancer_settings=plugins.balancer_settings,
    )
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if arguments.write is None:
        print(text, end="")
        return 0
    try:
        Path(arguments.write).write_text(text, encoding="utf-8")
    except OSError as error:
        complain(f"cannot write {os.fspath(arguments.write)}: {error.strerror}")
        return 2
    return 0


COMMAND = BuiltIn(
    "schema",
    "Print the JSON Schema of the configuration.",
    add_arguments,
    run,
    description=(
        "Print the JSON Schema of the configuration, with the options of all installed plugins,"
        " for an editor that completes and checks YAML."
    ),
    takes_config=False,
)
