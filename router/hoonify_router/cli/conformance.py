"""``hoonify-router conformance``: does a backend keep the promises that the router makes in its name?"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hoonify_router.cli.output import complain, note, show_table
from hoonify_router.cli.parser import BuiltIn, Installed, UsageError
from hoonify_router.cli.preparation import prepare
from hoonify_router.config import load_options
from hoonify_router.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from hoonify_router.testing.report import Report, Result
    from hoonify_router.testing.subject import Subject

FAILED = 1
STYLES = {"passed": "green", "failed": "bold red", "waived": "yellow", "skipped": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is tested, how far, and where the results go."""
    parser.add_argument(
        "subject",
        metavar="BACKEND",
        help="an installed backend; with --config the id of a home: MODEL or MODEL/NUMBER",
    )
    parser.add_argument("--options", metavar="FILE", type=Path, help="YAML: the home's `options:`")
    parser.add_argument("--url", help="base URL of a server that runs, for a backend that is one")
    parser.add_argument(
        "--api-key-env", metavar="NAME", help="environment variable that holds the server's key"
    )
    parser.add_argument("--python", metavar="FILE", help="interpreter that runs the engine")
    parser.add_argument(
        "--level", type=int, choices=range(4), default=3, help="how far to go; default: 3"
    )
    parser.add_argument(
        "--override",
        metavar="CHECK=REASON",
        action="append",
        default=[],
        help="a check that may fail, and why; may be repeated",
    )
    parser.add_argument(
        "--patience", type=_seconds, default=60.0, help="seconds for what is not quick; default: 60"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report to FILE")
    parser.add_argument("--badge", metavar="FILE", type=Path, help="write an SVG to FILE")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Run the checks; the exit status is 0 when none failed, 1 when one did, 2 after a mistake."""
    import asyncio  # most commands never need it

    from hoonify_router.testing.checks import all_checks
    from hoonify_router.testing.runner import run_conformance

    logging.basicConfig(level=logging.CRITICAL)  # faults are told by the checks
    subject = _subject(arguments, installed)
    running = run_conformance(
        subject,
        all_checks(),
        level=arguments.level,
        patience=arguments.patience,
        overrides=_overrides(arguments.override),
        on_result=_tell,
    )
    report = asyncio.run(running)
    _show(report)
    return _write(report, arguments) or (0 if report.passed else FAILED)


COMMAND = BuiltIn(
    "conformance",
    "Put a backend to the test.",
    add_arguments,
    run,
    description=(
        "Put a backend to the test: start one home of it, or attach to a server, and check that it keeps"
        " every promise that the router makes in its name. Level 0 looks at what the plugin says of"
        " itself, 1 speaks to the engine in its worker, 2 is OpenAI's API through a real gateway, 3 is"
        " abuse. The exit status is 0 when no check failed, else 1."
    ),
)


def _subject(arguments: argparse.Namespace, installed: Installed) -> Subject:
    from hoonify_router.testing.subject import find_subject, make_subject

    given = (arguments.options, arguments.url, arguments.api_key_env, arguments.python)
    if arguments.config is not None:
        if any(one is not None for one in given):
            raise UsageError("--config says all of a home: no other options beside it")
        return find_subject(
            installed.plugins, prepare(arguments.config, installed.plugins), arguments.subject
        )
    backend = installed.plugins.backends.get(arguments.subject)
    if backend is None:
        raise PluginError(installed.plugins.explain_missing(arguments.subject))
    file = arguments.options
    key = None
    if arguments.api_key_env is not None:
        key = os.environ.get(arguments.api_key_env)
        if not key:
            raise UsageError(f"--api-key-env: there is no variable {arguments.api_key_env!r}")
    return make_subject(
        installed.plugins,
        arguments.subject,
        {} if file is None else load_options(file, backend.options),
        url=arguments.url,
        api_key=key,
        python=arguments.python,
        base_dir=None if file is None else file.absolute().parent,
        name="--options" if file is None else str(file),
    )


def _overrides(given: list[str]) -> dict[str, str]:
    overrides = {}
    for one in given:
        name, equals, reason = one.partition("=")
        if not equals or not reason.strip():
            raise ConfigError([f"--override {one}: expected CHECK=REASON"])
        overrides[name] = reason
    return overrides


def _tell(result: Result) -> None:
    """Say on standard error how far it is."""
    if result.status == "failed":
        note(f"L{result.level} {result.name}: {result.told}")


def _show(report: Report) -> None:
    rows = [
        (f"L{one.level}", one.name, one.status, f"{one.seconds:.1f} s", one.told or one.proves)
        for one in report.results
    ]
    show_table(("level", "check", "result", "took", "why"), rows, STYLES)
    where = f" on {report.device}" if report.device else ""
    print(f"{report.backend}{where}: {report.summary}; {report.seconds:g} s")
    if report.unavailable:
        print(f"It cannot run here: {report.unavailable}")


def _write(report: Report, arguments: argparse.Namespace) -> int:
    from hoonify_router.testing.report import badge, write_file

    texts = ((arguments.json, report.to_json()), (arguments.badge, badge(report)))
    for path, text in texts:
        if path is None:
            continue
        try:
            write_file(path, text)
        except OSError as error:
            complain(f"cannot write {path}: {error.strerror}")
            return 2
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds, not {text!r}")
    return seconds
