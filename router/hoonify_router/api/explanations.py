"""Explanations: what the router would run for a home, for an operator to read or to copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from hoonify_router.config.model import HomeConfig


@dataclass(frozen=True)
class Step:
    """A command that belongs to a home.

    Args:
        title: What it is for and where it runs, such as ``node 1 of 2``.
        command: The program and its arguments.
        variables: What its environment has besides the usual.
    """

    title: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """What a home comes to.

    Args:
        steps: The commands, in the order in which they are started.
        notes: Sentences that an operator should know, one line each.
    """

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """The home that is to be explained.

    Args:
        model: The model's catalog ID.
        home: Its part of the configuration.
        python: The interpreter that would run its engine.
        base_dir: Folder from which relative paths count.
    """

    model: str
    home: HomeConfig
    python: str
    base_dir: Path


Explain = Callable[[Struct, Subject], Explanation]
"""``explain(options, subject)``: what the router would run, without looking at the machine or starting anything."""
