"""Load every installed plugin by itself, so that one that is broken leaves the others alone."""

from __future__ import annotations

import importlib.metadata
import inspect
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from hoonify_router import hookspecs
from hoonify_router.api import (
    ENTRY_POINT_GROUP,
    Backend,
    BalancerSpec,
    MiddlewareSpec,
    ServerBackend,
    WorkerBackend,
)
from hoonify_router.errors import PluginError
from hoonify_router.loader.inspection import hooks_of, validation_message, version_warning
from hoonify_router.loader.plugins import Failure, PluginInfo, Plugins
from hoonify_router.loader.records import checked_list
from hoonify_router.loader.suggestions import explain


def load_plugins(
    *,
    names_required: Collection[str] = (),
    entry_points: Iterable[EntryPoint] | None = None,
) -> Plugins:
    """Load, check and register all installed plugins.

    Args:
        names_required: Backends, middleware and balancers that must be there, see ``names_in``.
        entry_points: What to load instead of the installed plugins.

    Raises:
        PluginError: Something required is missing or broken; anything else broken is a failure
            of the result.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    loading = _Loading()
    for entry_point in _without_duplicates(entry_points, loading.failures):
        loading.take(entry_point)
    plugins = loading.finish()
    plugins.require(names_required)
    return plugins


def distribution_of(entry_point: EntryPoint) -> str:
    """Return name and version of the distribution that brings an entry point."""
    try:
        return f"{entry_point.dist.name} {entry_point.dist.version}"  # type: ignore[union-attr]
    except Exception:  # given by hand, or its METADATA is missing or damaged
        return "unknown distribution"


def _without_duplicates(
    entry_points: Iterable[EntryPoint], failures: list[Failure]
) -> list[EntryPoint]:
    """Return what to load, by name; of a name that is taken twice neither is loaded."""
    by_name: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in entry_points:
        if entry_point not in by_name[entry_point.name]:
            by_name[entry_point.name].append(entry_point)
    unique = []
    for name, found in sorted(by_name.items()):
        if len(found) == 1:
            unique.append(found[0])
            continue
        owners = sorted(distribution_of(entry_point) for entry_point in found)
        failures.append(
            Failure(
                name,
                " and ".join(owners),
                f"{' and '.join(owners)} both bring a plugin of this name, so neither is used;"
                " uninstall one of them",
            )
        )
    return unique


@dataclass
class _Loading:
    """What has been found so far."""

    manager: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager("hoonify"))
    infos: list[PluginInfo] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    backends: dict[str, list[tuple[PluginInfo, Backend]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    middleware: dict[str, list[tuple[PluginInfo, MiddlewareSpec]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    balancers: dict[str, list[tuple[PluginInfo, BalancerSpec]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        self.manager.add_hookspecs(hookspecs)

    def take(self, entry_point: EntryPoint) -> None:
        """Load one plugin whole, or note why it cannot be used and leave no trace of it."""
        name, distribution = entry_point.name, distribution_of(entry_point)
        try:
            plugin = _import(entry_point)
            warning = version_warning(plugin)
            hooks = hooks_of(self.manager, plugin)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", DeprecationWarning)
                self._register(plugin, name)
            deprecated = dict.fromkeys(str(one.message) for one in caught)
            backends = self._records(
                name, "hoonify_register_backends", WorkerBackend, ServerBackend
            )
            middleware = self._records(name, "hoonify_register_middleware", MiddlewareSpec)
            balancers = self._records(name, "hoonify_register_balancers", BalancerSpec)
        except Exception as error:  # whatever a plugin does wrong, the others must load
            if self.manager.has_plugin(name):  # older pluggys leave a refused one half registered
                self.manager.unregister(name=name)
            self.failures.append(
                Failure(name, distribution, explain(error), error=error.__cause__ or error)
            )
            return
        for told in filter(None, (warning, *deprecated)):
            self.warnings.append(f"plugin {name!r} ({distribution}): {told}")
        provides = tuple(dict.fromkeys(one.name for one in (*backends, *middleware, *balancers)))
        info = PluginInfo(name, distribution, _summary(plugin), provides, hooks)
        self.infos.append(info)
        for backend in backends:
            self.backends[backend.name].append((info, backend))
        for spec in middleware:
            self.middleware[spec.name].append((info, spec))
        for balancer in balancers:
            self.balancers[balancer.name].append((info, balancer))

    def finish(self) -> Plugins:
        """Return everything, without the records whose names are taken twice."""
        return Plugins(
            backends=self._unique("backend", self.backends),
            middleware=self._unique("middleware", self.middleware),
            balancers=self._unique("balancer", self.balancers),
            manager=self.manager,
            infos=tuple(self.infos),
            failures=tuple(self.failures),
            warnings=tuple(self.warnings),
        )

    def _register(self, plugin: Any, name: str) -> None:
        try:
            if self.manager.register(plugin, name) is None:
                raise PluginError("pluggy did not register it")
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(validation_message(self.manager, plugin, error)) from error
        except ValueError as error:
            other = self.manager.get_name(plugin)
            raise PluginError(f"its module is already registered as plugin {other!r}") from error

    def _records(self, name: str, hook: str, *kinds: type[Any]) -> list[Any]:
        """Call one plugin's registration hook and return its checked records."""
        records: list[Any] = []
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            if impl.plugin_name != name:
                continue
            try:
                result = impl.function()
            except (Exception, SystemExit) as error:
                raise PluginError(f"{hook} failed: {explain(error)}") from error
            records.extend(checked_list(hook, result, kinds))
        return records

    def _unique(self, kind: str, found: dict[str, list[tuple[PluginInfo, Any]]]) -> dict[str, Any]:
        unique = {}
        for name, owners in sorted(found.items()):
            if len(owners) == 1:
                unique[name] = owners[0][1]
                continue
            by = " and ".join(f"plugin {info.name!r} ({info.distribution})" for info, _ in owners)
            self.failures.append(
                Failure(
                    owners[0][0].name,
                    " and ".join(sorted({info.distribution for info, _ in owners})),
                    f"{kind} {name!r} is brought by {by}, so neither is used; uninstall one of them",
                    names=(name,),
                )
            )
        return unique


def _import(entry_point: EntryPoint) -> Any:
    try:
        return entry_point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{entry_point.value} cannot be imported: {explain(error)}") from error


def _summary(plugin: Any) -> str:
    lines = (inspect.getdoc(plugin) or "").strip().splitlines()
    return lines[0] if lines else ""
