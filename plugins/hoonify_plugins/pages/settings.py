"""What ``plugins: pages:`` in the configuration may say."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hoonify_router.api import LoadedConfig

NAME = "pages"


class PagesSettings(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Pages for browsers."""

    title: Annotated[
        str, Meta(description="What the pages call this service.", min_length=1, max_length=60)
    ] = "Hoonify Router"
    url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^/?#\s]+\Z")] | None,
        Meta(
            description="Where clients reach the router, such as https://api.example.com; default: as each browser"
            " reached it."
        ),
    ] = None
    currency: Annotated[
        str, Meta(description="What stands before prices.", min_length=1, max_length=8)
    ] = "$"
    session_hours: Annotated[
        int, Meta(description="Hours after which a browser signs in again.", ge=1, le=720)
    ] = 12


def settings_in(loaded: LoadedConfig) -> PagesSettings:
    """Return the settings that a checked configuration holds."""
    return msgspec.convert(loaded.config.plugins.get(NAME, {}), PagesSettings)
