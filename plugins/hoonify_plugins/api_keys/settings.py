"""What ``plugins: api_keys:`` in the configuration may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from hoonify_router.api import LoadedConfig

NAME = "api_keys"
SQLITE = "sqlite:///"


class APIKeysSettings(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """API keys."""

    store: Annotated[
        str | None,
        Meta(
            description="Where the keys are kept, such as `sqlite:///var/hoonify.db`; a relative path"
            " counts from the folder of this file. Default: hoonify.db in the state folder."
        ),
    ] = None
    plans: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        Meta(description="Plans that a key may be on.", min_length=1),
    ] = field(default_factory=lambda: ["free", "standard", "unlimited"])

    @property
    def first_plan(self) -> str:
        """Return the plan of the key that is made for the first start."""
        return "unlimited" if "unlimited" in self.plans else self.plans[0]


def settings_in(loaded: LoadedConfig) -> APIKeysSettings:
    """Return the settings that a checked configuration holds."""
    return msgspec.convert(loaded.config.plugins.get(NAME, {}), APIKeysSettings)


def database_path(settings: APIKeysSettings, loaded: LoadedConfig) -> Path:
    """Return the file that holds the keys."""
    if settings.store is None:
        return loaded.state_dir / "hoonify.db"
    return loaded.base_dir / Path(settings.store.removeprefix(SQLITE)).expanduser()


def problems_of(settings: APIKeysSettings) -> list[str]:
    """Return what the types cannot say; the store is never quoted, it may hold a password."""
    problems = []
    if settings.store is not None and len(settings.store) <= len(SQLITE):
        problems.append(f"plugins.{NAME}.store: expected {SQLITE} and a path")
    elif settings.store is not None and not settings.store.startswith(SQLITE):
        problems.append(f"plugins.{NAME}.store: only {SQLITE} and a path is supported")
    repeated = sorted({plan for plan in settings.plans if settings.plans.count(plan) > 1})
    problems.extend(f"plugins.{NAME}.plans: {plan!r} is listed twice" for plan in repeated)
    return problems
