"""How a worker is started, in our own interpreter or in that of its engine."""

from __future__ import annotations

import sys
from pathlib import Path

from hoonify_router.api import WorkerBackend
from hoonify_router.environments import link_packages
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.process import EngineProcess

_PACKAGES = "packages"


async def start_worker(plan: HomePlan, socket: Path) -> EngineProcess:
    """Start the worker of a home, which will listen on ``socket``.

    Raises:
        OSError: Its interpreter cannot be started.
    """
    assert isinstance(plan.backend, WorkerBackend)
    command = [plan.interpreter, "-m", "hoonify_router.worker"]
    command += ["--socket", str(socket), "--engine", plan.backend.engine, "--home", plan.id]
    variables = worker_variables(plan, socket.parent)
    return await EngineProcess.start(command, plan.id, plan.base_dir, variables)


def worker_variables(plan: HomePlan, folder: Path) -> dict[str, str]:
    """Return what a home's engine needs in its environment: its GPUs, and the way to the router's code.

    Args:
        plan: The home.
        folder: Private folder in which links to it may be made.
    """
    if plan.interpreter == sys.executable:
        return plan.variables
    assert isinstance(plan.backend, WorkerBackend)
    # Of our environment it needs this router's own code, and nothing else.
    packages = link_packages(folder / _PACKAGES, plan.backend.engine)
    return {**plan.variables, "PYTHONPATH": str(packages), "PYTHONNOUSERSITE": "1"}
