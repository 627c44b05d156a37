"""What a new configuration changes, as pure policy: homes by their identity, models, and what needs a restart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from hoonify_router.config import Config
from hoonify_router.supervisor.plan import HomePlan

LIVE_SERVER_SETTINGS = frozenset({"allow_anonymous", "ping_interval", "watch"})
"""What may change of ``server:`` while the router runs."""

_HOMES = frozenset({"backend", "options", "url", "api_key", "python", "homes"})


class Planned(Protocol):
    """A home that has been planned."""

    plan: HomePlan


HomeT = TypeVar("HomeT", bound=Planned)


@dataclass(frozen=True)
class Difference(Generic[HomeT]):
    """What becomes of each home.

    Args:
        kept: Homes that stay as they are, each with its new plan: another weight, another place in the list.
        stopped: Homes that nobody wants any more.
        started: Plans for which there is no home yet.
    """

    kept: tuple[tuple[HomeT, HomePlan], ...]
    stopped: tuple[HomeT, ...]
    started: tuple[HomePlan, ...]


def compare(homes: Sequence[HomeT], plans: Sequence[HomePlan]) -> Difference[HomeT]:
    """Return what becomes of ``homes`` so that they are as ``plans`` say."""
    free: dict[str, list[HomeT]] = {}
    for home in homes:
        free.setdefault(home.plan.identity, []).append(home)
    kept: list[tuple[HomeT, HomePlan]] = []
    started: list[HomePlan] = []
    for plan in plans:
        candidates = free.get(plan.identity)
        if not candidates:
            started.append(plan)
            continue
        same = next((home for home in candidates if home.plan.id == plan.id), candidates[0])
        candidates.remove(same)
        kept.append((same, plan))
    left = [home for candidates in free.values() for home in candidates]
    return Difference(tuple(kept), tuple(left), tuple(started))


def need_a_restart(old: Config, new: Config, live: Mapping[str, Collection[str]]) -> list[str]:
    """Return the paths of settings that have changed and cannot change while the router runs.

    Args:
        old: What is in force.
        new: What is wanted.
        live: What may change of each plugin's settings, by the plugin's name.
    """
    paths = [
        f"server.{name}"
        for name in _changed_fields(old.server, new.server)
        if name not in LIVE_SERVER_SETTINGS
    ]
    if old.pipeline != new.pipeline:
        paths.append("pipeline")
    for name in sorted({*old.plugins, *new.plugins}):
        changed = _changed_keys(old.plugins.get(name, {}), new.plugins.get(name, {}))
        paths += [f"plugins.{name}.{key}" for key in changed if key not in live.get(name, ())]
    return paths


def describe(
    old: Config, new: Config, stopped: Sequence[HomePlan], started: Sequence[HomePlan]
) -> list[str]:
    """Return one line for each thing that changes, as the history and the log tell it.

    Args:
        old: What is in force.
        new: What is wanted.
        stopped: Plans of the homes that stop.
        started: Plans of those that start.
    """
    lines = []
    for name in dict.fromkeys([*old.models, *new.models]):
        if name not in new.models:
            lines.append(f"{name}: removed")
            continue
        after = _backends(plan for plan in started if plan.model == name and not plan.shadow)
        if name not in old.models:
            lines.append(f"{name}: new, on {after}" if after else f"{name}: new")
            continue
        before = _backends(plan for plan in stopped if plan.model == name and not plan.shadow)
        told = _describe_homes(before, after)
        changed = [
            one for one in _changed_fields(old.models[name], new.models[name]) if one not in _HOMES
        ]
        if told or changed:
            lines.append(f"{name}: {', '.join([*told, *changed])}")
        elif old.models[name].all_homes() != new.models[name].all_homes():
            lines.append(f"{name}: weights of its homes")
    lines += [f"server.{name}" for name in _changed_fields(old.server, new.server)]
    for name in sorted({*old.plugins, *new.plugins}):
        keys = _changed_keys(old.plugins.get(name, {}), new.plugins.get(name, {}))
        lines += [f"plugins.{name}.{key}" for key in keys]
    lines += [f"backends.{name}" for name in _changed_keys(old.backends, new.backends)]
    return lines


def _describe_homes(before: str, after: str) -> list[str]:
    if before and after:
        return [f"{before} -> {after}" if before != after else f"{after}, with other settings"]
    if after:
        return [f"another home on {after}"]
    return [f"no more on {before}"] if before else []


def _backends(plans: Any) -> str:
    return " + ".join(dict.fromkeys(plan.backend.name for plan in plans))


def _changed_fields(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    names = old.__struct_fields__
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = sorted({*old, *new})
    missing = object()
    return [name for name in names if old.get(name, missing) != new.get(name, missing)]
