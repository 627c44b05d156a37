"""All that is known of one plugin, whatever its state."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from hoonify_router.api import ENTRY_POINT_GROUP
from hoonify_router.cli.parser import Installed
from hoonify_router.loader import Failure, PluginInfo, explain

_LONGEST = 20


def details_of(installed: Installed, name: str) -> list[dict[str, Any]]:
    """Return what is known of the plugins called ``name``, or that bring something called so."""
    plugins = installed.plugins
    found = [
        _working(installed, info)
        for info in plugins.infos
        if name in (info.name, *info.provides, *_commands(installed, info))
    ]
    shown = {one["plugin"] for one in found}
    for failure in plugins.failures:
        if name in (failure.plugin, *failure.names):
            if failure.plugin in shown:  # it works, but for something that it brings
                broken = next(one for one in found if one["plugin"] == failure.plugin)
                broken["state"] = "works in part"
                broken["failures"].append(_failure(failure))
            else:
                found.append(_broken(failure))
    return found


def describe(details: dict[str, Any]) -> str:
    """Return the same for people to read."""
    lines = [f"{details['plugin']}: {details['state']}"]
    for key in ("summary", "distribution", "module", "api", "hooks"):
        value = details.get(key)
        if value:
            shown = ", ".join(value) if isinstance(value, list) else value
            lines.append(f"  {key:<13} {shown}")
    for one in details.get("provides", ()):
        lines.append(f"  {one['kind']:<13} {one['name']}: {one['summary']}")
        if one["settings"]:
            lines.append(f"  {'':<13} settings: {', '.join(one['settings'])}")
    for live in details.get("live", ()):
        lines.append(f"  {'live':<13} {live.name}: {live.story}")
    for warning in details.get("warnings", ()):
        lines.append(f"  {'warning':<13} {warning}")
    for failure in details["failures"]:
        lines.append(f"  {'failure':<13} {failure['message']}")
        if failure["cause"]:
            lines.append(f"  {'first cause':<13} {failure['cause']}")
    return "\n".join(lines)


def _working(installed: Installed, info: PluginInfo) -> dict[str, Any]:
    prefix = f"plugin {info.name!r} "
    warnings = [line for line in installed.plugins.warnings if line.startswith(prefix)]
    module, api = _module(info.name), ""
    with_module = installed.plugins.manager.get_plugin(info.name)
    version = getattr(with_module, "hoonify_api_version", None)
    if version is not None:
        api = ".".join(map(str, version))
    return {
        "plugin": info.name,
        "state": "works",
        "summary": info.summary,
        "distribution": info.distribution,
        "module": module,
        "api": api,
        "hooks": list(info.hooks),
        "provides": list(_provided(installed, info)),
        "warnings": warnings,
        "failures": [],
    }


def _broken(failure: Failure) -> dict[str, Any]:
    return {
        "plugin": failure.plugin,
        "state": "broken",
        "distribution": failure.distribution,
        "module": _module(failure.plugin),
        "failures": [_failure(failure)],
    }


def _failure(failure: Failure) -> dict[str, str]:
    first = failure.error
    seen: set[int] = set()
    while first is not None and id(first) not in seen:
        seen.add(id(first))
        behind = first.__cause__ or first.__context__
        if behind is None:
            break
        first = behind
    cause = "" if first is None else explain(first)
    return {"message": failure.message, "cause": "" if cause in failure.message else cause}


def _provided(installed: Installed, info: PluginInfo) -> Iterator[dict[str, Any]]:
    plugins = installed.plugins
    for name in info.provides:
        if (backend := plugins.backends.get(name)) is not None:
            yield _thing(f"{backend.kind} backend", name, backend.summary, backend.options)
        if (spec := plugins.middleware.get(name)) is not None:
            yield _thing("middleware", name, spec.summary, spec.settings)
        if (balancer := plugins.balancers.get(name)) is not None:
            yield _thing("balancer", name, balancer.summary, balancer.settings)
    for name in _commands(installed, info):
        yield _thing("command", name, installed.commands[name][1].summary, None)


def _thing(kind: str, name: str, summary: str, settings: type[Struct] | None) -> dict[str, Any]:
    fields = [] if settings is None else list(settings.__struct_fields__)
    if len(fields) > _LONGEST:
        fields = [*fields[:_LONGEST], "..."]
    return {"kind": kind, "name": name, "summary": summary, "settings": fields}


def _commands(installed: Installed, info: PluginInfo) -> list[str]:
    return [name for name, (owner, _) in installed.commands.items() if owner == info]


def _module(name: str) -> str:
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=name)
    return " and ".join(sorted({point.value for point in points}))
