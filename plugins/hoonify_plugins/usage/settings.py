"""What ``plugins: usage:`` in the configuration may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hoonify_router.api import LoadedConfig

NAME = "usage"


class UsageSettings(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Usage records."""

    store: Annotated[
        str | None,
        Meta(
            description="The database, as in `api_keys: store:`. Default: hoonify.db in the state folder."
        ),
    ] = None


def settings_in(loaded: LoadedConfig) -> UsageSettings:
    """Return the settings that a checked configuration holds."""
    return msgspec.convert(loaded.config.plugins.get(NAME, {}), UsageSettings)


def journal_folder(loaded: LoadedConfig) -> Path:
    """Return where records are until they are in the database."""
    return loaded.state_dir / NAME
