"""What can be told of each home without starting anything: whether it can run here, and why not."""

from __future__ import annotations

from dataclasses import dataclass

from hoonify_router.config import LoadedConfig, shadow_id
from hoonify_router.loader import Plugins

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
        retry_after: Seconds until the running router tries again.
        progress: How far the load has come.
    """

    id: str
    model: str
    backend: str
    state: str
    reason: str = ""
    detail: str = ""
    retry_after: int | None = None
    progress: str = ""

    @property
    def story(self) -> str:
        """Return all that is known, for one cell of a table."""
        told = [self.reason, f"({self.detail})" if self.detail else "", self.progress]
        if self.retry_after is not None:
            told.append(f"Next try in {self.retry_after} s.")
        return " ".join(part for part in told if part)


def place_of(loaded: LoadedConfig, model: str, home: str) -> str:
    """Return where the file says that a home lives, such as ``models.m.backend`` or ``models.m.homes[1].backend``."""
    config = loaded.config.models[model]
    if home == shadow_id(model) and config.shadow is not None:
        return f"models.{model}.shadow.backend"
    index = f".homes[{home.removeprefix(model).lstrip('/') or '0'}]" if config.homes else ""
    return f"models.{model}{index}.backend"


def reports_of(loaded: LoadedConfig, plugins: Plugins) -> list[Report]:
    """Return a report on every home, in the order of the file, as the supervisor would find it."""
    # Imported here, because not every command needs it.
    from hoonify_router.supervisor.lifecycle import Limits
    from hoonify_router.supervisor.plan import plan_homes, why_unavailable

    reports = []
    for plan in plan_homes(loaded, plugins.backends, Limits()):
        found = why_unavailable(loaded, plan)
        reports.append(
            Report(
                plan.id,
                plan.model,
                plan.backend.name,
                UNAVAILABLE if found else AVAILABLE,
                found.reason if found else "",
                found.detail if found else "",
            )
        )
    return reports
