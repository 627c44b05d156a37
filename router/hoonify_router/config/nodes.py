"""A YAML file as a tree that still knows where each key and value stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Position = tuple[int, int]
"""Line and column, both counted from 1."""

Path = tuple[str | int, ...]

_LONGEST_KEY = 160
_PLAIN_KEY = re.compile(r"[^\s.\[\]\"'{}]+(\.[^\s.\[\]\"'{}]+)*")


@dataclass(slots=True)
class Node:
    """One value of the file.

    Args:
        at: Where the value begins.
        key_at: Where its key stands; for a list's item and for the root, where the value begins.
        path: Keys and indexes that lead to it.
    """

    at: Position
    key_at: Position
    path: Path

    @property
    def where(self) -> Position:
        """Where an operator looks for it: a block's own position is its first child's."""
        return self.key_at

    def plain(self) -> Any:
        """Return the value as plain Python data."""
        raise NotImplementedError

    def moved(self, path: Path, key_at: Position) -> Node:
        """Return a copy that stands elsewhere in the tree, as a YAML alias does."""
        raise NotImplementedError

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it."""
        yield self


@dataclass(slots=True)
class ScalarNode(Node):
    """A text, a number, true, false or nothing.

    Args:
        value: The value; the loader writes a checked one over what was read.
        from_env: Some of it comes from the environment: never show it.
        spoilt: What is wrong with it has been told already.
    """

    value: str | int | float | bool | None = None
    from_env: bool = False
    spoilt: bool = False

    @property
    def where(self) -> Position:
        return self.key_at if self.value is None else self.at

    def plain(self) -> Any:
        return self.value

    def moved(self, path: Path, key_at: Position) -> ScalarNode:
        return replace(self, path=path, key_at=key_at)


@dataclass(slots=True)
class ListNode(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)

    def plain(self) -> Any:
        return [item.plain() for item in self.items]

    def moved(self, path: Path, key_at: Position) -> ListNode:
        items = [item.moved((*path, i), item.key_at) for i, item in enumerate(self.items)]
        return ListNode(self.at, key_at, path, items)

    def walk(self) -> Iterator[Node]:
        yield self
        for item in self.items:
            yield from item.walk()


@dataclass(slots=True)
class MappingNode(Node):
    """Keys and values; every key is a text."""

    entries: dict[str, Node] = field(default_factory=dict)

    def plain(self) -> Any:
        return {key: value.plain() for key, value in self.entries.items()}

    def moved(self, path: Path, key_at: Position) -> MappingNode:
        entries = {k: v.moved((*path, k), v.key_at) for k, v in self.entries.items()}
        return MappingNode(self.at, key_at, path, entries)

    def walk(self) -> Iterator[Node]:
        yield self
        for value in self.entries.values():
            yield from value.walk()

    def text(self, key: str) -> str | None:
        """Return the text at ``key``, or ``None`` when there is none."""
        node = self.entries.get(key)
        return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else None

    def mapping(self, key: str) -> MappingNode | None:
        """Return the mapping at ``key``, or ``None`` when there is none."""
        node = self.entries.get(key)
        return node if isinstance(node, MappingNode) else None


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as people write it: ``models.big.homes[1].url``."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
            continue
        name = step if len(step) <= _LONGEST_KEY else step[:_LONGEST_KEY] + "…"
        if not _PLAIN_KEY.fullmatch(name) or not name.isprintable():
            name = ascii(name)
        parts.append(f".{name}" if parts else name)
    return "".join(parts)
