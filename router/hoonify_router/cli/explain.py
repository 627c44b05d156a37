"""``hoonify-router explain MODEL``: what the router would run for a model, command by command."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from hoonify_router.api import Explanation, Step, Subject, WorkerBackend
from hoonify_router.cli.availability import Report, reports_of
from hoonify_router.cli.output import show_json
from hoonify_router.cli.parser import BuiltIn, Installed, UnknownName
from hoonify_router.cli.preparation import prepare
from hoonify_router.config import LoadedConfig, options_for
from hoonify_router.config.sizes import show_size
from hoonify_router.discretion import discreet
from hoonify_router.loader import did_you_mean

_SOCKET = "SOCKET"  # each start has its own


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model."""
    parser.add_argument("model", metavar="MODEL", help="a model of the catalog")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Tell each home of the model: where it runs, with what, and whether it can."""
    loaded = prepare(arguments.config, installed.plugins)
    if arguments.model not in loaded.config.models:
        hint = did_you_mean(arguments.model, loaded.config.models)
        raise UnknownName(f"{loaded.name} has no model {arguments.model!r}{hint}")
    homes = _explain(loaded, installed, arguments.model)
    if arguments.json:
        show_json(homes)
        return 0
    for number, home in enumerate(homes):
        if number:
            print()
        _show(home)
    return 0


COMMAND = BuiltIn(
    "explain",
    "Show what the router would run for a model.",
    add_arguments,
    run,
    description=(
        "Show what the router would run for a model: for each home the command, its environment, its GPU"
        " memory, and for a model that spans several machines the command of every node. Nothing is started."
    ),
)


def _explain(loaded: LoadedConfig, installed: Installed, model: str) -> list[dict[str, Any]]:
    # Imported here, because not every command needs it.
    from hoonify_router.supervisor.budget import claim_of
    from hoonify_router.supervisor.lifecycle import Limits
    from hoonify_router.supervisor.plan import HomePlan, plan_homes

    reports: dict[str, Report] = {each.id: each for each in reports_of(loaded, installed.plugins)}

    def explanation_of(plan: HomePlan) -> Explanation:
        backend, home = plan.backend, plan.home
        if home.url is not None:
            return Explanation(notes=(f"Nothing is started here: its server is at {home.url}.",))
        if backend.explain is not None:
            options = options_for(loaded, home, backend.options)
            subject = Subject(plan.model, home, plan.interpreter, plan.base_dir)
            return backend.explain(options, subject)
        if not isinstance(backend, WorkerBackend):
            return Explanation()
        command = [plan.interpreter, "-m", "hoonify_router.worker", "--socket", _SOCKET]
        command += ["--engine", backend.engine, "--home", plan.id]
        note = f"The worker is told its options and loads the model; {_SOCKET} is another one at each start."
        return Explanation((Step("the router runs this", tuple(command)),), (note,))

    found = []
    for plan in plan_homes(loaded, installed.plugins.backends, Limits()):
        if plan.model != model:
            continue
        report, explained = reports[plan.id], explanation_of(plan)
        found.append(
            {
                "home": plan.id,
                "backend": plan.backend.name,
                "interpreter": plan.interpreter if plan.home.url is None else None,
                "environment": plan.environment.name if plan.environment else None,
                "folder": str(plan.base_dir),
                "options": discreet(plan.options),
                "gpu_memory": claim_of(loaded, plan.home, plan.backend),
                "state": report.state,
                "reason": report.reason or None,
                "detail": report.detail or None,
                "steps": [
                    {
                        "title": step.title,
                        "command": list(step.command),
                        "variables": dict(step.variables),
                    }
                    for step in explained.steps
                ],
                "notes": list(explained.notes),
            }
        )
    return found


def _show(home: dict[str, Any]) -> None:
    print(f"{home['home']} on {home['backend']}: {home['state']}")
    facts = {
        "reason": " ".join(
            part for part in (home["reason"], home["detail"] and f"({home['detail']})") if part
        ),
        "environment": home["environment"],
        "interpreter": home["interpreter"],
        "folder": home["folder"] if home["interpreter"] else None,
        "GPU memory": ", ".join(
            f"{show_size(size)} on GPU {gpu}" for gpu, size in home["gpu_memory"].items() if size
        ),
        "options": ", ".join(f"{name}: {value}" for name, value in home["options"].items()),
    }
    for label, told in facts.items():
        if told:
            print(f"  {label:<12} {' '.join(str(told).split())}")
    for step in home["steps"]:
        print(f"\n# {step['title']}\n{_as_typed(step['command'], step['variables'])}")
    if home["steps"] and home["notes"]:
        print()
    for note in home["notes"]:
        print(f"{'# ' if home['steps'] else '  '}{note}")


def _as_typed(command: list[str], variables: dict[str, str]) -> str:
    """Return a command as one would type it, with an option and its value on each line."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    line: list[str] = []
    for word in command:
        if word.startswith("--") and line:
            lines.append(" ".join(line))
            line = []
        line.append(shlex.quote(word))
    lines.append(" ".join(line))
    return " \\\n  ".join(lines)
