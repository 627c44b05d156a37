"""New plugins: a complete distribution from a template, which installs and passes its tests at once."""

from __future__ import annotations

from hoonify_router.scaffold.distribution import KINDS, NewPlugin, write_plugin

__all__ = ["KINDS", "NewPlugin", "write_plugin"]
