"""``hoonify-router plan`` and ``apply``: what a changed configuration would do, and doing it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hoonify_router.cli.output import complain, show_json
from hoonify_router.cli.parser import BuiltIn, Installed, UsageError
from hoonify_router.cli.reload import report
from hoonify_router.cli.running import RunningRouter, find_router
from hoonify_router.config import read_config
from hoonify_router.config.sizes import show_size
from hoonify_router.supervisor.outcomes import Outcome
from hoonify_router.types.plan import GpuStep, HomeStep, Plan

NOTHING = 0
REFUSED = 2
CHANGES = 3
_NOT_NOW = 1
_PATIENCE = 90.0


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and ``--json``."""
    _add_file(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, in a shape that stays")


def add_apply_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and ``--yes``."""
    _add_file(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def plan(arguments: argparse.Namespace, installed: Installed) -> int:
    """Show what would change; the exit status tells whether anything would."""
    router = find_router(arguments.config)
    found = _ask(router, _text_of(arguments.file))
    if arguments.json:
        show_json(msgspec.to_builtins(found))
    else:
        _show(router, found)
    return _status(found)


def apply(arguments: argparse.Namespace, installed: Installed) -> int:
    """Show what would change, ask, and do it."""
    router = find_router(arguments.config)
    text = _text_of(arguments.file)
    found = _ask(router, text)
    _show(router, found)
    if found.result == "refused":
        return REFUSED
    if found.result == "nothing" and text is None:
        return NOTHING
    if not arguments.yes and not _confirmed():
        complain("nothing was done")
        return _NOT_NOW
    given = {"digest": found.digest} if text is None else {"text": text}
    told = router.ask("apply", given, patience=None)
    return report(msgspec.convert(told, Outcome))


PLAN = BuiltIn(
    "plan",
    "Show what a changed configuration would do to the running router.",
    add_plan_arguments,
    plan,
    description=(
        "Ask the router that runs on this configuration what the file, or another one, would change: homes that stop and"
        " start, requests that are there now, GPU memory, what keys lose. Nothing is done. The exit status is 0 when"
        " nothing would change, 3 when something would, 2 when the file cannot be served."
    ),
)

APPLY = BuiltIn(
    "apply",
    "Show what a changed configuration would do, ask, and do it.",
    add_apply_arguments,
    apply,
    description=(
        "Show the plan, ask, and let it take effect, exactly as it was shown. With a FILE, that one's text takes the"
        " place of the configuration's; `rollback` gets the old one back. The exit status is that of `reload`."
    ),
)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="another configuration; default: what the router's own says",
    )


def _text_of(file: str | None) -> str | None:
    return None if file is None else read_config(Path(file))


def _ask(router: RunningRouter, text: str | None) -> Plan:
    given = {} if text is None else {"text": text}
    return msgspec.convert(router.ask("plan", given, patience=_PATIENCE), Plan)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to say yes: use --yes")
    print("Apply this? Only `yes` is a yes: ", end="", flush=True)
    return sys.stdin.readline().strip() == "yes"


def _status(found: Plan) -> int:
    return {"nothing": NOTHING, "changes": CHANGES, "refused": REFUSED}[found.result]


def _show(router: RunningRouter, found: Plan) -> None:
    complain(*found.problems)
    if found.result == "refused":
        print(f"It cannot take effect; generation {found.generation} serves on.")
        return
    if found.result == "nothing":
        print(
            f"Nothing would change; generation {found.generation} serves what {router.name} says."
        )
        return
    print("\n".join(_lines(found)))


def _lines(found: Plan) -> Iterator[str]:
    """Yield the plan as a person reads it."""
    yield f"Generation {found.generation} -> {found.generation + 1}"
    for change in found.changes:
        yield f"  ~ {change}"
    for move in found.moves:
        yield f"{move.model}:"
        for step in move.stop:
            yield f"  - {step.home} on {step.backend}{_about(step, stopping=True)}"
        for step in move.start:
            yield f"  + {step.home} on {step.backend}{_about(step, stopping=False)}"
        if move.swap:
            yield "  ! there is no room for both: the old one goes first, and requests wait for the new one"
    for gpu in found.gpus:
        yield _memory(gpu)
    for line in found.consequences:
        yield f"  ! {line}"
    if found.moves and any(move.start for move in found.moves):
        known = found.load_seconds
        yield "Loading takes " + ("an unknown time" if known is None else f"about {known:.0f} s")


def _about(step: HomeStep, *, stopping: bool) -> str:
    told = [f"{show_size(size)} on GPU {gpu}" for gpu, size in step.memory.items()]
    if stopping:
        told.append(f"{step.in_flight} in flight, which are answered to their end")
        told.append(step.state)
    elif step.load_seconds is not None:
        told.append(f"loads in about {step.load_seconds:.0f} s")
    return f" ({'; '.join(filter(None, told))})" if any(told) else ""


def _memory(gpu: GpuStep) -> str:
    budget = "" if gpu.budget is None else f" of {show_size(gpu.budget)}"
    sizes = f"{show_size(gpu.before)} now, {show_size(gpu.after)} then"
    return f"GPU {gpu.gpu}: {sizes}, {show_size(gpu.meanwhile)} at most{budget}"
