"""Build what the configuration names out of the loaded plugins: pipeline, balancers, extra routes and commands."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from hoonify_router.api import APIRoute, Balancer, Command, Middleware, Phase, PluginContext, Route
from hoonify_router.config import LoadedConfig, balance_options_for, settings_for
from hoonify_router.config.model import ROUND_ROBIN
from hoonify_router.errors import PluginError
from hoonify_router.loader.plugins import Failure, PluginInfo, Plugins
from hoonify_router.loader.records import RecordT, checked_list
from hoonify_router.loader.suggestions import explain

log = logging.getLogger(__name__)


def plugin_context(loaded: LoadedConfig, runtime_dir: Path | None = None) -> PluginContext:
    """Return what plugins may know of the router; the state folder exists afterwards.

    Args:
        loaded: The checked configuration.
        runtime_dir: What all processes of one ``serve`` share, where there is one.

    Raises:
        PluginError: The state folder cannot be made or written.
    """
    folder = loaded.state_dir
    hint = "name another one with HOONIFY_STATE_DIR or `server: state_dir:`"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror
        raise PluginError(f"the state folder {folder} cannot be made: {why}; {hint}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PluginError(f"the state folder {folder} cannot be written; {hint}")
    log = logging.getLogger("hoonify_router.plugins")
    return PluginContext(loaded, log, runtime_dir=runtime_dir)


def build_pipeline(
    plugins: Plugins, loaded: LoadedConfig, context: PluginContext
) -> list[Middleware]:
    """Return the middleware that ``pipeline:`` names, in the order of their phases.

    Raises:
        PluginError: One of them is missing or cannot be built. The router must not serve without it.
    """
    names = loaded.config.pipeline
    plugins.require(names)
    built = [_build(plugins, name, loaded, context) for name in names]
    return sorted(built, key=lambda middleware: middleware.phase)


def _build(plugins: Plugins, name: str, loaded: LoadedConfig, context: PluginContext) -> Middleware:
    spec = plugins.middleware.get(name)
    if spec is None:
        raise PluginError(f"{name!r} is a backend, `pipeline:` takes middleware")
    try:
        middleware = spec.build(settings_for(loaded, name, spec.settings), _own(context, name))
    except Exception as error:
        raise PluginError(f"middleware {name!r} cannot be built: {explain(error)}") from error
    if not isinstance(middleware, Middleware):
        raise PluginError(
            f"middleware {name!r}: build returned {type(middleware).__name__}, expected a Middleware"
        )
    if not isinstance(middleware.phase, Phase):
        raise PluginError(
            f"middleware {name!r}: phase is {middleware.phase!r}, expected one of Phase"
        )
    middleware.name = name
    return middleware


def reload_pipeline(
    plugins: Plugins, middleware: Iterable[Middleware], loaded: LoadedConfig, context: PluginContext
) -> None:
    """Tell middleware of a new generation; one that fails is logged and goes on as it was.

    Args:
        plugins: All plugins.
        middleware: What ``build_pipeline`` has returned.
        loaded: The configuration that is in force from now on.
        context: What plugins may know.
    """
    for one in middleware:
        try:
            settings = settings_for(loaded, one.name, plugins.middleware[one.name].settings)
            one.reload(settings, _own(context, one.name))
        except Exception:
            log.exception("middleware %r failed to take over the new configuration", one.name)


def _own(context: PluginContext, name: str) -> PluginContext:
    return dataclasses.replace(context, log=context.log.getChild(name))


def build_balancers(plugins: Plugins, loaded: LoadedConfig) -> dict[str, Balancer]:
    """Return a balancer for each model that has a way of its own to choose among its homes, by the model's ID.

    Raises:
        PluginError: One of them is missing or cannot be built.
    """
    built: dict[str, Balancer] = {}
    for model_id, model in loaded.config.models.items():
        if model.balance == ROUND_ROBIN:
            continue
        plugins.require([model.balance])
        spec = plugins.balancers.get(model.balance)
        if spec is None:
            raise PluginError(f"{model.balance!r} is no balancer, and `balance:` takes one")
        try:
            balancer = spec.build(balance_options_for(model, spec.settings))
        except Exception as error:
            told = f"balancer {spec.name!r} cannot be built for {model_id}: {explain(error)}"
            raise PluginError(told) from error
        if not isinstance(balancer, Balancer):
            came = type(balancer).__name__
            raise PluginError(f"balancer {spec.name!r}: build returned {came}, expected a Balancer")
        built[model_id] = balancer
    return built


def collect_routes(
    plugins: Plugins, context: PluginContext
) -> tuple[list[Route | APIRoute], list[Failure]]:
    """Return the plugins' extra routes, and why some plugins' cannot be used."""
    kinds: tuple[type[Route | APIRoute], ...] = (Route, APIRoute)
    found, failures = _collect(plugins, "hoonify_register_routes", kinds, context=context)
    return [route for _, route in found], failures


def review_change(
    plugins: Plugins, context: PluginContext, old: LoadedConfig, new: LoadedConfig
) -> list[str]:
    """Return what plugins say of a change of the configuration, one line each; one that fails says nothing."""
    lines: list[str] = []
    for outcome in plugins.call("hoonify_review_change", context=context, old=old, new=new):
        if outcome.error is not None:
            told = f"plugin {outcome.plugin.name!r} cannot tell what the change means"
            lines.append(f"{told}: {explain(outcome.error)}")
        elif outcome.result is not None:
            lines += map(str, outcome.result)
    return lines


def collect_commands(
    plugins: Plugins, reserved: Collection[str]
) -> tuple[dict[str, tuple[PluginInfo, Command]], list[Failure]]:
    """Return the plugins' extra commands by name, and why some cannot be used.

    Args:
        plugins: All plugins.
        reserved: Names that no plugin may take.
    """
    found, failures = _collect(plugins, "hoonify_register_commands", (Command,))
    commands: dict[str, tuple[PluginInfo, Command]] = {}
    for plugin, command in sorted(found, key=lambda pair: (pair[1].name, pair[0].name)):
        try:
            if command.name in reserved:
                raise PluginError(f"the command {command.name!r} is the router's own")
            if command.name in commands:
                other = commands[command.name][0]
                raise PluginError(
                    f"plugin {other.name!r} ({other.distribution}) brings the command"
                    f" {command.name!r} too; uninstall one of them"
                )
            _try_arguments(command)
        except PluginError as error:
            failures.append(Failure(plugin.name, plugin.distribution, str(error), error=error))
        else:
            commands[command.name] = (plugin, command)
    return commands, failures


def _try_arguments(command: Command) -> None:
    """Find out on a parser of no consequence whether a command can declare its arguments."""
    try:
        command.add_arguments(argparse.ArgumentParser(add_help=False))
    except Exception as error:
        raise PluginError(f"the command {command.name!r} failed: {explain(error)}") from error


def _collect(
    plugins: Plugins, hook: str, kinds: tuple[type[RecordT], ...], **arguments: Any
) -> tuple[list[tuple[PluginInfo, RecordT]], list[Failure]]:
    found: list[tuple[PluginInfo, RecordT]] = []
    failures: list[Failure] = []
    for outcome in plugins.call(hook, **arguments):
        plugin = outcome.plugin
        try:
            if outcome.error is not None:
                raise PluginError(f"{hook} failed: {explain(outcome.error)}") from outcome.error
            records = checked_list(hook, outcome.result, kinds)
        except PluginError as error:
            failures.append(Failure(plugin.name, plugin.distribution, str(error), error=error))
        else:
            found.extend((plugin, record) for record in records)
    return found, failures
