"""``hoonify-router env``: the engines' own environments, built, listed and looked at."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from hoonify_router.api import Backend
from hoonify_router.cli.output import show_json, show_table
from hoonify_router.cli.parser import BuiltIn, Installed, UnknownName
from hoonify_router.cli.preparation import prepare
from hoonify_router.config import LoadedConfig
from hoonify_router.loader import did_you_mean

_STYLES = {"ready": "green", "outdated": "yellow", "not built": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``env list``, ``env sync`` and ``env doctor``."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show which environments there are and could be")
    listing.add_argument("--json", action="store_true", help="as JSON")
    sync = actions.add_parser(
        "sync",
        help="build an environment, or what has changed of it",
        description=(
            "Build the locked environment of a backend, apart from the router's own, with uv where it"
            " is installed, else with venv and pip. What is in use stays in use until all is in place."
        ),
    )
    sync.add_argument(
        "backend", nargs="?", metavar="BACKEND", help="default: what the configuration lacks"
    )
    sync.add_argument(
        "--accelerator",
        choices=("cpu", "cuda"),
        help="what it computes on; default: what the configuration's homes need",
    )
    sync.add_argument(
        "--python", metavar="PROGRAM", help="the Python that makes it; default: the router's own"
    )
    doctor = actions.add_parser(
        "doctor",
        help="look at GPUs, interpreters and engines, and say what is missing",
    )
    doctor.add_argument("backend", nargs="?", metavar="BACKEND", help="default: all of them")
    doctor.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Do what the action says."""
    # Imported here, because not every command needs it.
    from hoonify_router.cli.env_doctor import examine, show_findings
    from hoonify_router.cli.env_sync import sync_environments

    loaded = prepare(arguments.config, installed.plugins)
    backends = installed.plugins.backends
    if arguments.action == "list":
        return _list(loaded, backends, arguments.json)
    if arguments.backend is not None and arguments.backend not in backends:
        hint = did_you_mean(arguments.backend, backends)
        known = ", ".join(sorted(backends))
        raise UnknownName(f"there is no backend {arguments.backend!r}{hint} (there are: {known})")
    if arguments.action == "sync":
        return sync_environments(
            loaded, backends, arguments.backend, arguments.accelerator, arguments.python
        )
    findings = examine(loaded, backends, arguments.backend)
    if arguments.json:
        show_json(findings.as_data())
    else:
        show_findings(findings)
    return 0


COMMAND = BuiltIn(
    "env",
    "Build and look at the engines' own environments.",
    add_arguments,
    run,
    description=(
        "Engines need libraries that do not get on with each other, so each backend has an environment"
        " of its own. They are kept in $HOONIFY_ENVIRONMENTS, else in the state folder."
    ),
)


def _list(loaded: LoadedConfig, backends: Mapping[str, Backend], as_json: bool) -> int:
    from hoonify_router.cli.env_sync import all_environments, has_worker
    from hoonify_router.environments import EnvironmentStore, environments_folder, is_outdated

    store = EnvironmentStore(environments_folder(loaded))
    found = []
    for environment, users in all_environments(backends):
        built = store.current(environment)
        state = "not built"
        if built is not None:
            outdated = is_outdated(environment, built, has_worker(backends, users))
            state = "outdated" if outdated else "ready"
        found.append((environment, users, state, built))
    if as_json:
        show_json(
            [
                {
                    "environment": environment.name,
                    "accelerator": environment.accelerator,
                    "state": state,
                    "backends": users,
                    "python": built.mark.python if built else None,
                    "folder": str(built.folder) if built else None,
                    "packages": built.mark.packages if built else None,
                }
                for environment, users, state, built in found
            ]
        )
        return 0
    cells = [
        (each.name, each.accelerator, state, ", ".join(users), str(built.folder) if built else "")
        for each, users, state, built in found
    ]
    show_table(("environment", "accelerator", "state", "for", "folder"), cells, _STYLES)
    return 0
