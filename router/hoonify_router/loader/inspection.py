"""Look at one plugin before it is registered: its hooks, and the API version it is made for."""

from __future__ import annotations

import inspect
from typing import Any

import pluggy

from hoonify_router import hookspecs
from hoonify_router.api import API_VERSION
from hoonify_router.errors import PluginError
from hoonify_router.loader.suggestions import did_you_mean, on_one_line

PREFIX = "hoonify_"


def version_warning(plugin: Any) -> str:
    """Return what to say about the API version that a plugin is made for; nothing if it fits.

    Raises:
        PluginError: It is made for another major version.
    """
    version = getattr(plugin, "hoonify_api_version", API_VERSION)
    if not (
        isinstance(version, tuple) and len(version) == 2 and all(type(n) is int for n in version)
    ):
        raise PluginError(
            f"hoonify_api_version is {version!r}, expected a pair such as {API_VERSION}"
        )
    made_for, here = f"{version[0]}.{version[1]}", f"{API_VERSION[0]}.{API_VERSION[1]}"
    if version[0] != API_VERSION[0]:
        raise PluginError(f"it is made for plugin API {made_for}, this router has {here}")
    if version > API_VERSION:
        return f"it is made for plugin API {made_for}, this router has {here}; parts may be missing"
    return ""


def hooks_of(manager: pluggy.PluginManager, plugin: Any) -> tuple[str, ...]:
    """Return the hooks that a plugin implements.

    Raises:
        PluginError: Something in it would never be called, or not as its author thinks.
    """
    known = {name for name in dir(hookspecs) if name.startswith(PREFIX)}
    hooks = []
    marked = False
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            _check_unmarked(manager, plugin, attribute, known)
            continue
        marked = True
        hook = options.get("specname") or attribute
        if hook not in known:
            if options.get("optionalhook"):
                continue
            raise PluginError(f"there is no hook {hook!r}{did_you_mean(hook, known)}")
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginError(f"{hook} is a hook wrapper; the router calls plain functions only")
        if inspect.iscoroutinefunction(getattr(plugin, attribute)):
            raise PluginError(f"{hook} is declared with `async def`; hooks are plain functions")
        hooks.append(hook)
    if not marked:
        raise PluginError("it implements no hook; is anything in it marked with @hookimpl?")
    return tuple(hooks)


def _check_unmarked(
    manager: pluggy.PluginManager, plugin: Any, attribute: str, known: set[str]
) -> None:
    """Refuse a function that looks like a hook and lacks the mark of one."""
    if not attribute.startswith(PREFIX):
        return
    if not inspect.isfunction(inspect.getattr_static(plugin, attribute, None)):
        return
    if manager.parse_hookspec_opts(plugin, attribute) is not None:
        return
    hint = "put @hookimpl above it"
    if attribute not in known:
        hint = f"no hook has this name{did_you_mean(attribute, known)}"
    raise PluginError(f"{attribute} would never be called: {hint}")


def validation_message(
    manager: pluggy.PluginManager, plugin: Any, error: pluggy.PluginValidationError
) -> str:
    """Return why pluggy refuses a plugin, in words that tell what to change."""
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            continue
        hook = options.get("specname") or attribute
        spec = getattr(hookspecs, hook, None)
        if spec is None:
            continue  # an optional hook of a newer router
        takes = set(inspect.signature(spec).parameters)
        given = inspect.signature(getattr(plugin, attribute)).parameters
        if extra := [name for name in given if name not in takes]:
            return (
                f"{hook} declares {', '.join(map(repr, extra))}, which the hook does not have;"
                f" it has {', '.join(map(repr, sorted(takes))) or 'no arguments'}"
            )
    return on_one_line(str(error))
