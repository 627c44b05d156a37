"""What can be told of each home without starting anything: whether it can run here, and why not."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import msgspec

from hoonify_router.api import Backend, Unavailable, WorkerBackend
from hoonify_router.config import HomeConfig, LoadedConfig, home_id, options_for
from hoonify_router.loader import Plugins, explain

AVAILABLE = "available"
UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Report:
    """What is known of one home.

    Args:
        id: Its name within the configuration.
        model: Catalog ID that it serves.
        backend: Name of its backend.
        state: Its state in the running router; ``available`` or ``unavailable`` when none runs.
        reason: Why it cannot serve.
        detail: What to do about it.
    """

    id: str
    model: str
    backend: str
    state: str
    reason: str = ""
    detail: str = ""


def reports_of(loaded: LoadedConfig, plugins: Plugins) -> list[Report]:
    """Return a report on every home, in the order of the file."""
    reports = []
    for model_id, model in loaded.config.models.items():
        homes = model.all_homes()
        for index, home in enumerate(homes):
            found = _look(loaded, plugins.backends[home.backend], home)
            reports.append(
                Report(
                    home_id(model_id, index, len(homes)),
                    model_id,
                    home.backend,
                    UNAVAILABLE if found else AVAILABLE,
                    found.reason if found else "",
                    found.detail if found else "",
                )
            )
    return reports


def _look(loaded: LoadedConfig, backend: Backend, home: HomeConfig) -> Unavailable | None:
    defaults = loaded.config.backends.get(home.backend)
    if home.python is None and defaults is not None:
        home = msgspec.structs.replace(home, python=defaults.python)
    try:
        if refused := backend.check(
            options_for(loaded, home, backend.options), home, loaded.base_dir
        ):
            return refused
    except Exception as error:
        return Unavailable("It cannot be told whether it can run here.", explain(error))
    starts_here = isinstance(backend, WorkerBackend) or home.url is None
    if not starts_here or home.python is not None:
        return None  # its modules are not ours to look for
    for module in backend.requires:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            hint = f"pip install 'hoonify-router[{backend.extra}]'" if backend.extra else ""
            return Unavailable(f"{module} is not installed.", hint)
    return None
