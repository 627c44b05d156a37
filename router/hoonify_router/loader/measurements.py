"""What plugins measure of themselves, asked for again and again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from hoonify_router.api import Measurement, Middleware, PluginContext
from hoonify_router.errors import PluginError
from hoonify_router.loader.plugins import Plugins
from hoonify_router.loader.suggestions import explain

log = logging.getLogger(__name__)

_HOOK = "hoonify_collect_metrics"


class Measurements:
    """Asks all plugins; one that fails is logged once and goes without until it works.

    Args:
        plugins: All plugins.
        context: What they may know.
    """

    def __init__(self, plugins: Plugins, context: PluginContext) -> None:
        self._plugins = plugins
        self._context = context
        self._failed: set[str] = set()

    def collect(self, pipeline: Mapping[str, Middleware]) -> Iterator[Measurement]:
        """Yield what they measure.

        Args:
            pipeline: This gateway's middleware by name.
        """
        for outcome in self._plugins.call(_HOOK, context=self._context, pipeline=pipeline):
            name = outcome.plugin.name
            try:
                if outcome.error is not None:
                    raise outcome.error
                told = list(outcome.result)
                if not all(isinstance(one, Measurement) for one in told):
                    raise PluginError("it returned something else than Measurements")
            except Exception as error:
                if name not in self._failed:
                    self._failed.add(name)
                    log.warning("plugin %r: %s failed: %s", name, _HOOK, explain(error))
            else:
                self._failed.discard(name)
                yield from told
