"""Engines' own virtual environments: where they are, how they are built, what is in an interpreter.

What goes into one is data of the backend that needs it. An environment is built in a folder of its own, is
complete once its mark is written as the last thing, and is taken into use by moving one link.
"""

from hoonify_router.environments.building import BuildFailed, is_outdated, sync
from hoonify_router.environments.interpreters import (
    BrokenInterpreter,
    Interpreter,
    Looks,
    look_at,
)
from hoonify_router.environments.machine import Graphics, look_for_gpus
from hoonify_router.environments.packages import link_packages
from hoonify_router.environments.store import Built, EnvironmentStore, environments_folder

__all__ = [
    "BrokenInterpreter",
    "BuildFailed",
    "Built",
    "EnvironmentStore",
    "Graphics",
    "Interpreter",
    "Looks",
    "environments_folder",
    "is_outdated",
    "link_packages",
    "look_at",
    "look_for_gpus",
    "sync",
]
