"""The catalog as pages show it: each model with the state that its homes are in, searched and sorted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hoonify_router.api import HomeVitals, ModelConfig

SORTS = ("name", "provider", "context", "input", "output", "state")
Mood = Literal["good", "busy", "idle", "bad"]

_ORDER = ("ready", "loading", "starting", "stopped", "draining", "failed", "unavailable")
_MOODS: dict[str, Mood] = {
    "ready": "good",
    "loading": "busy",
    "starting": "busy",
    "draining": "busy",
    "stopped": "idle",
    "failed": "bad",
    "unavailable": "bad",
}


def mood(state: str) -> Mood:
    """Return how a state is to be painted."""
    return _MOODS.get(state, "idle")


def words_of(home: Mapping[str, Any]) -> str:
    """Return the state of a home in the supervisor's snapshot, as admins read it."""
    if home.get("held"):
        return f"{home['state']}, out of service"
    if home["state"] == "stopped" and not home["always"]:
        return "loads on demand"
    loading = home.get("loading")
    if home["state"] == "loading" and loading and loading["total"]:
        return f"loading {min(loading['done'] / loading['total'], 1):.0%}"
    return str(home["state"])


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a model or of a home, as people read it.

    Args:
        state: As the router calls it.
        words: As pages call it, such as ``loads on demand``.
        reason: Why it is so, where that is not plain.
        progress: How far it has loaded, 0 to 1.
    """

    state: str
    words: str
    reason: str = ""
    progress: float | None = None

    @property
    def mood(self) -> Mood:
        """Return how it is to be painted."""
        return mood(self.state)


@dataclass(frozen=True, slots=True)
class Entry:
    """One model.

    Args:
        id: Its catalog ID.
        config: Its part of the configuration.
        condition: The best state that one of its homes is in.
        homes: All of them.
        tasks: What it may be asked for.
        parameters: What every home honours that knows what it does; ``None`` where one of them decides itself.
    """

    id: str
    config: ModelConfig
    condition: Condition
    homes: Sequence[HomeVitals]
    tasks: frozenset[str]
    parameters: frozenset[str] | None

    @property
    def modalities(self) -> list[str]:
        """Return what it takes, text first."""
        return sorted({"text", *self.config.modalities}, reverse=True)

    @property
    def only_embeds(self) -> bool:
        """Return whether it makes vectors and nothing else."""
        return self.tasks == {"embedding"}


def entries(models: Mapping[str, ModelConfig], homes: Iterable[HomeVitals]) -> list[Entry]:
    """Return all models in the order of the file."""
    by_model: dict[str, list[HomeVitals]] = {}
    for one in homes:
        by_model.setdefault(one.home.model, []).append(one)
    return [_entry(name, model, by_model.get(name, [])) for name, model in models.items()]


def _entry(name: str, model: ModelConfig, homes: Sequence[HomeVitals]) -> Entry:
    conditions = [condition(one) for one in homes]
    best = min(conditions, key=_rank, default=Condition("starting", "starting"))
    known = [one.parameters for one in homes]
    honoured = [one for one in known if one is not None]
    return Entry(
        id=name,
        config=model,
        condition=best,
        homes=homes,
        tasks=frozenset(task for one in homes for task in one.tasks),
        parameters=frozenset.intersection(*honoured)
        if honoured and len(honoured) == len(known)
        else None,
    )


def condition(one: HomeVitals) -> Condition:
    """Return a home's state in words that any visitor may read."""
    home = one.home
    if home.state == "loading" and home.progress is not None:
        stage, done, total = home.progress
        if total > 0:
            share = min(done / total, 1.0)
            return Condition("loading", f"loading {share:.0%}", stage, share)
        return Condition("loading", "loading", stage)
    if home.state == "stopped" and not home.always:
        return Condition("stopped", "loads on demand", home.reason)
    words = "about to stop" if home.state == "draining" else home.state
    return Condition(home.state, words, home.reason)


def _rank(one: Condition) -> int:
    return _ORDER.index(one.state) if one.state in _ORDER else len(_ORDER)


def found(listed: Sequence[Entry], words: str, provider: str = "") -> list[Entry]:
    """Return the models that hold each of some words, in ID, provider, description or state."""
    asked = words.lower().split()
    return [
        one
        for one in listed
        if all(word in text_of(one) for word in asked)
        and (not provider or one.config.provider == provider)
    ]


def text_of(one: Entry) -> str:
    """Return what a model is searched by, in lower case."""
    config = one.config
    told = (one.id, config.provider, config.description, one.condition.words, *one.modalities)
    return " ".join(told).lower()


def in_order(listed: Sequence[Entry], sort: str, descending: bool) -> list[Entry]:
    """Return the models sorted by one of ``SORTS``; any other word leaves them as they are."""

    def key(one: Entry) -> tuple[bool, str | float]:
        pricing = one.config.pricing
        if sort in ("input", "output"):
            amount = None if pricing is None else getattr(pricing, sort)
            return (amount is None) is not descending, amount or 0.0  # those without come last
        values: dict[str, str | float] = {
            "name": one.id.lower(),
            "provider": one.config.provider.lower(),
            "context": one.config.context_length,
            "state": _rank(one.condition),
        }
        return False, values[sort]

    return sorted(listed, key=key, reverse=descending) if sort in SORTS else list(listed)
