"""Read YAML strictly: every key once, every position kept, plain data only.

Scalars follow YAML 1.2 (what editors check): ``no`` and ``on`` are texts, ``010`` is ten. The parser's events
are composed here, because PyYAML's own composer keeps the last of two equal keys and, being recursive C, dies on deep nesting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from hoonify_router.config.environment import fill
from hoonify_router.config.nodes import ListNode, MappingNode, Node, Path, Position, ScalarNode
from hoonify_router.config.problems import Problems, quoted, shown, unreadable
from hoonify_router.config.scalars import read_scalar
from hoonify_router.config.syntax import explained, forbidden_character

MAX_DEPTH = 64
MAX_NODES = 100_000

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_YAML_TAG = "tag:yaml.org,2002:"


class _NotYAML(Exception):
    """The text is no YAML that we read; the message begins with its position."""

    def __init__(self, position: Position, what: str) -> None:
        super().__init__(f"{position[0]}:{position[1]}: {what}")


def read_yaml(text: str, env: Mapping[str, str], problems: Problems) -> Node | None:
    """Return the tree of a YAML document, or ``None`` when it is empty.

    Args:
        text: The whole file.
        env: Where ``${NAME}`` is looked up.
        problems: Takes what is wrong as far as reading can go on: repeated keys, unset variables.

    Raises:
        ConfigError: It cannot be read at all.
    """
    try:
        return _Composer(text, env, problems).compose()
    except (ValueError, OverflowError):  # PyYAML without libyaml does not check escapes
        raise unreadable(problems.file, ": not valid YAML: an impossible escape") from None
    except _NotYAML as error:
        raise unreadable(problems.file, f":{error}") from None
    except yaml.MarkedYAMLError as error:
        raise unreadable(problems.file, f":{explained(error, text)}") from None
    except yaml.YAMLError:  # the reader met a character that YAML does not allow
        raise unreadable(problems.file, f":{forbidden_character(text)}") from None


class _Composer:
    """Makes one tree out of the parser's events."""

    def __init__(self, text: str, env: Mapping[str, str], problems: Problems) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_Parser))
        self._env = env
        self._problems = problems
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def compose(self) -> Node | None:
        next(self._events)  # the stream begins
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        event = next(self._events)
        root = self._node(event, (), _start(event))
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _NotYAML(_start(event), "a second document begins here; put everything into one")
        if isinstance(root, ScalarNode) and root.value is None:
            return None
        return root

    def _node(self, event: Any, path: Path, key_at: Position) -> Node:
        position = _start(event)
        self._limit(position, 1, len(path))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, key_at)
        if event.anchor:
            self._anchors[event.anchor] = None  # known, but not complete yet
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, path, key_at)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._items(event, path, key_at)
        else:
            node = self._mapping(event, path, key_at)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _limit(self, position: Position, more: int, depth: int) -> None:
        self._count += more
        if self._count > MAX_NODES:
            raise _NotYAML(position, f"more than {MAX_NODES} values, aliases filled in")
        if depth > MAX_DEPTH:
            raise _NotYAML(position, f"nested more than {MAX_DEPTH} levels deep")

    def _copy(self, node: Node, path: Path, key_at: Position, alias_at: Position) -> Node:
        depths = [len(inner.path) for inner in node.walk()]
        self._limit(alias_at, len(depths), max(depths) - len(node.path) + len(path))
        return node.moved(path, key_at)

    def _alias(self, event: Any, path: Path, key_at: Position) -> Node:
        if event.anchor not in self._anchors:
            raise _NotYAML(_start(event), f"not valid YAML: no anchor &{event.anchor} stands above")
        node = self._anchors[event.anchor]
        if node is None:
            raise _NotYAML(_start(event), f"*{event.anchor} stands inside of what it refers to")
        return self._copy(node, path, key_at, _start(event))

    def _scalar(self, event: Any, path: Path, key_at: Position) -> ScalarNode:
        node = ScalarNode(_start(event), key_at, path)
        text = _text(event)
        if event.tag not in (None, "!", _YAML_TAG + "str"):
            node.spoilt = True
            self._problems.add(node, _about_tag(event.tag))
        if "$" in text:
            text, node.from_env, problems = fill(text, self._env)
            node.spoilt |= bool(problems)
            for problem in problems:
                self._problems.add(node, problem)
        plain = event.implicit[0] and not node.from_env
        node.value = read_scalar(text) if plain else text
        return node

    def _items(self, event: Any, path: Path, key_at: Position) -> ListNode:
        node = ListNode(_start(event), key_at, path)
        if event.tag not in (None, "!", _YAML_TAG + "seq"):
            self._problems.add(node, _about_tag(event.tag))
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            child = (*path, len(node.items))
            node.items.append(self._node(event, child, _start(event)))
        return node

    def _mapping(self, event: Any, path: Path, key_at: Position) -> MappingNode:
        node = MappingNode(_start(event), key_at, path)
        if event.tag not in (None, "!", _YAML_TAG + "map"):
            self._problems.add(node, _about_tag(event.tag))
        merged: dict[str, Node] = {}
        while not isinstance(key_event := next(self._events), yaml.MappingEndEvent):
            at = _start(key_event)
            key = self._key(key_event, path)
            value_event = next(self._events)
            if key is None:
                self._node(value_event, (*path, "?"), at)
            elif key == "<<" and key_event.implicit[0]:
                value = self._node(value_event, (*path, key), at)
                for name, inherited in self._merge(value).items():
                    merged.setdefault(
                        name, self._copy(inherited, (*path, name), inherited.key_at, at)
                    )
            else:
                value = self._node(value_event, (*path, key), at)
                if (first := node.entries.setdefault(key, value)) is not value:
                    line = first.key_at[0]
                    self._problems.add_at_key(value, f"written twice, first in line {line}")
        for name, inherited in merged.items():
            node.entries.setdefault(name, inherited)
        return node

    def _merge(self, value: Node) -> dict[str, Node]:
        sources = value.items if isinstance(value, ListNode) else [value]
        merged: dict[str, Node] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                self._problems.add(
                    source, "<< takes over the keys of a mapping, or of a list of them"
                )
                continue
            for name, node in source.entries.items():
                merged.setdefault(name, node)
        return merged

    def _key(self, event: Any, path: Path) -> str | None:
        """Return a key's text; note what is wrong with it."""
        at = _start(event)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar_key(event, path)
            if event.anchor:
                self._anchors[event.anchor] = node
        else:
            node = self._node(event, (*path, "?"), at)
        holder = MappingNode(at, at, path)
        if not isinstance(node, ScalarNode):
            self._problems.add_at_key(holder, "a key must be a text, not a list or a mapping")
            return None
        if isinstance(node.value, str):
            return node.value
        if node.value is None:
            self._problems.add_at_key(holder, "a key is empty")
        else:
            kind = "true or false" if isinstance(node.value, bool) else "a number"
            what = f"the key {shown(node)} is read as {kind}; put it in quotes"
            self._problems.add_at_key(holder, what)
        return None

    def _scalar_key(self, event: Any, path: Path) -> ScalarNode:
        at = _start(event)
        plain = bool(event.implicit[0])
        text = _text(event)
        node = ScalarNode(at, at, (*path, text), read_scalar(text) if plain else text)
        if event.tag not in (None, "!", _YAML_TAG + "str"):
            self._problems.add_at_key(node, _about_tag(event.tag))
        return node


def _start(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _text(event: Any) -> str:
    text: str = event.value
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _NotYAML(_start(event), "not valid YAML: an escape stands for half a character")
    return text


def _about_tag(tag: str) -> str:
    name = tag.replace(_YAML_TAG, "!!")
    return f"the tag {quoted(name)} is not supported; write a plain value"
