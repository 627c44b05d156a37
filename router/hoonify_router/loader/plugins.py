"""What the loader found: the plugins that work, what they bring, and why the others do not."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy
from msgspec import Struct

from hoonify_router.api import (
    Backend,
    BalancerSpec,
    ErrorBody,
    MiddlewareSpec,
    RequestContext,
    ServerBackend,
)
from hoonify_router.config.model import ROUND_ROBIN, Config
from hoonify_router.errors import PluginError, RouterError, envelope
from hoonify_router.loader.suggestions import did_you_mean, explain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a plugin, or something that it brings, cannot be used.

    Args:
        plugin: Name of its entry point.
        distribution: Name and version of the distribution that brings it.
        message: What is wrong, on one line.
        names: Backends, middleware and balancers that are missing because of it, as far as they are known.
        error: The exception behind it.
    """

    plugin: str
    distribution: str
    message: str
    names: tuple[str, ...] = ()
    error: BaseException | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.distribution}): {self.message}"


@dataclass(frozen=True)
class PluginInfo:
    """One plugin that works, as ``plugins list`` shows it.

    Args:
        name: Name of its entry point.
        distribution: Name and version of the distribution that brings it.
        summary: First line of its module's docstring.
        provides: Names of its backends, middleware and balancers.
        hooks: Hooks that it implements.
    """

    name: str
    distribution: str
    summary: str
    provides: tuple[str, ...]
    hooks: tuple[str, ...]

    def is_named(self, names: Collection[str]) -> bool:
        """Tell whether one of ``names`` is this plugin or something that it brings."""
        return self.name in names or not set(self.provides).isdisjoint(names)


@dataclass(frozen=True)
class Outcome:
    """What one plugin's implementation of a hook came to: a result or an error."""

    plugin: PluginInfo
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Plugins:
    """All installed plugins after checking.

    Args:
        backends: What ``backend:`` in the YAML may say.
        middleware: What ``pipeline:`` in the YAML may say.
        balancers: What ``balance:`` in the YAML may say, beside ``round_robin``.
        manager: Holds the working plugins' hooks; prefer ``call`` and ``notify``, under which one
            raising implementation does not hide the others.
        infos: The working plugins.
        failures: The broken ones.
        warnings: What works but deserves a word.
    """

    backends: Mapping[str, Backend]
    middleware: Mapping[str, MiddlewareSpec]
    manager: pluggy.PluginManager
    infos: tuple[PluginInfo, ...] = ()
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()
    balancers: Mapping[str, BalancerSpec] = field(default_factory=dict)

    @property
    def backend_options(self) -> dict[str, type[Struct]]:
        """Return each backend's Struct of options."""
        return {name: backend.options for name, backend in self.backends.items()}

    @property
    def plugin_settings(self) -> dict[str, type[Struct]]:
        """Return each middleware's Struct of settings."""
        return {name: spec.settings for name, spec in self.middleware.items()}

    @property
    def balancer_settings(self) -> dict[str, type[Struct]]:
        """Return each balancer's Struct of settings."""
        return {name: spec.settings for name, spec in self.balancers.items()}

    @property
    def url_backends(self) -> frozenset[str]:
        """Return the backends whose homes may be servers that already run."""
        return frozenset(name for name, b in self.backends.items() if isinstance(b, ServerBackend))

    @property
    def broken(self) -> dict[str, str]:
        """Return why something cannot be used, by its name as far as it is known."""
        reasons: dict[str, str] = {}
        for failure in self.failures:
            for name in (failure.plugin, *failure.names):
                reasons.setdefault(name, str(failure))
        return reasons

    def call(self, hook: str, **arguments: Any) -> Iterator[Outcome]:
        """Call each plugin's implementation by itself, in pluggy's order."""
        infos = {info.name: info for info in self.infos}
        for impl in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            plugin = infos[impl.plugin_name]
            try:
                result = impl.function(
                    *(arguments[name] for name in impl.argnames),
                    **{name: arguments[name] for name in impl.kwargnames if name in arguments},
                )
            except Exception as error:
                yield Outcome(plugin, error=error)
            else:
                yield Outcome(plugin, result)

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell all plugins; an implementation that raises is logged and does not stop the others."""
        for outcome in self.call(hook, **arguments):
            if outcome.error is not None:
                log.error(
                    "plugin %r (%s): %s failed: %s",
                    outcome.plugin.name,
                    outcome.plugin.distribution,
                    hook,
                    explain(outcome.error),
                    exc_info=outcome.error,
                )

    def shape_error(
        self, error: RouterError, context: RequestContext
    ) -> dict[str, Any] | ErrorBody:
        """Return the JSON body for an error: the first plugin's that gives one, else the envelope."""
        for outcome in self.call("hoonify_shape_error", error=error, context=context):
            if isinstance(outcome.result, dict | ErrorBody):
                return outcome.result
            if outcome.error is not None:
                log.error(
                    "plugin %r: hoonify_shape_error failed: %s",
                    outcome.plugin.name,
                    explain(outcome.error),
                )
        return envelope(error)

    def explain_missing(self, name: str) -> str:
        """Return why nothing of this name can be used, for an operator to act on."""
        blamed = [f for f in self.failures if name == f.plugin or name in f.names]
        if blamed:
            return "; ".join(str(failure) for failure in blamed)
        known = sorted({*self.backends, *self.middleware, *self.balancers})
        message = f"no installed plugin brings {name!r}{did_you_mean(name, known)}"
        message += f" (installed: {', '.join(known) or 'none'}"
        if self.failures:
            message += f"; broken: {', '.join(sorted({f.plugin for f in self.failures}))}"
        return message + ")"

    def require(self, names: Collection[str]) -> None:
        """Check that everything named in the YAML can be used.

        Raises:
            PluginError: Something is missing or broken; one line for each.
        """
        missing = sorted(
            set(names) - set(self.backends) - set(self.middleware) - set(self.balancers)
        )
        if missing:
            raise PluginError("\n".join(self.explain_missing(name) for name in missing))


def names_in(config: Config) -> frozenset[str]:
    """Return the backends, middleware and balancers that a configuration names."""
    models = config.models.values()
    homes = (home.backend for model in models for home in model.every_home())
    balancers = {model.balance for model in models} - {ROUND_ROBIN}
    return frozenset(config.pipeline).union(homes, balancers)
