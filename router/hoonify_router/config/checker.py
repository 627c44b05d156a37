"""Check a tree against msgspec types and build the typed values, noting every problem on the way.

``msgspec.convert`` stops at the first error and knows no lines, so its type information is walked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import inspect as mi

from hoonify_router.config.leaves import Wrong, not_a, read_leaf, read_time, refusal
from hoonify_router.config.nodes import ListNode, MappingNode, Node, ScalarNode
from hoonify_router.config.problems import Problems, closest, listed
from hoonify_router.config.readers import READERS
from hoonify_router.config.times import READ_AS

INVALID: Any = object()
"""Stands for a value that is wrong and has been told of."""

_LISTS: dict[type[mi.Type], Callable[[Iterable[Any]], Any]] = {
    mi.CollectionType: list,
    mi.ListType: list,
    mi.SetType: set,
    mi.FrozenSetType: frozenset,
    mi.VarTupleType: tuple,
}


class Checker:
    """Turns nodes into typed values.

    Checked scalars are written back into their nodes: durations as seconds, texts from the
    environment as the number that is wanted. So ``node.plain()`` afterwards is what the types allow.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def check(self, node: Node, kind: mi.Type) -> Any:
        """Return the value of ``node`` as ``kind`` wants it, or ``INVALID`` after noting why not."""
        if isinstance(node, ScalarNode) and node.spoilt:
            return INVALID
        try:
            return self._check(node, kind)
        except Wrong as wrong:
            self._problems.add(node, str(wrong))
            return INVALID

    def _check(self, node: Node, kind: mi.Type) -> Any:
        match kind:
            case mi.Metadata(type=inner, extra=extra):
                if extra and READ_AS in extra:
                    return self._keep(node, read_time(node, extra[READ_AS], inner))
                return self._check(node, inner)
            case mi.AnyType():
                return node.plain()
            case mi.UnionType():
                return self._union(node, kind)
            case mi.StructType(fields=fields):
                may_be_empty = not any(field.required for field in fields)
                return self.struct(_mapping(node, may_be_empty=may_be_empty), kind)
            case mi.DictType():
                return self._dict(_mapping(node), kind)
            case mi.TupleType():
                return self._tuple(_list(node), kind)
            case mi.CollectionType():
                return self._list(_list(node), kind)
        return self._keep(node, read_leaf(node, kind))

    @staticmethod
    def _keep(node: Node, value: Any) -> Any:
        if isinstance(node, ScalarNode) and isinstance(value, str | int | float | None):
            node.value = value
        return value

    def struct(self, node: MappingNode, kind: mi.StructType, *, partial: bool = False) -> Any:
        """Return the Struct that ``node`` describes, or ``INVALID``.

        Args:
            node: The mapping.
            kind: The Struct's type information.
            partial: Required fields may be missing; nothing is built then.
        """
        fields = {field.encode_name: field for field in kind.fields}
        known = [*fields, kind.tag_field] if kind.tag_field else list(fields)
        unknown = [key for key in node.entries if key not in known]
        meant = {self._unknown_key(node, key, known) for key in unknown}
        values: dict[str, Any] = {}
        for name, field in fields.items():
            if name in node.entries:
                value = node.entries[name]
                if field.required and _is_null(value) and _is_mapping(field.type):
                    self._problems.add(value, "must be a mapping, got nothing")
                    values[field.name] = INVALID
                else:
                    values[field.name] = self.check(value, field.type)
            elif field.required and not partial:
                values[field.name] = INVALID
                if name not in meant:
                    self._problems.add_at_key(node, "is required", child=name)
        if partial or unknown or _any_invalid(values.values()):
            return INVALID
        try:
            return kind.cls(**values)
        except (ValueError, TypeError) as error:  # the Struct's own __post_init__
            self._problems.add_at_key(node, refusal(error, node))
            return INVALID

    def _unknown_key(self, node: MappingNode, key: str, known: list[str]) -> str | None:
        """Note an unknown key; return the known one that it seems to stand for."""
        free = [name for name in known if name not in node.entries]
        guess = closest(key, free) or closest(key, known)
        what = f", did you mean {guess}?" if guess else f"; known here: {listed(known)}"
        self._problems.add_at_key(node.entries[key], "unknown key" + what)
        return guess

    def _dict(self, node: MappingNode, kind: mi.DictType) -> Any:
        values: dict[Any, Any] = {}
        for name, value in node.entries.items():
            key = ScalarNode(value.key_at, value.key_at, value.path, name)
            values[self.check(key, kind.key_type)] = self.check(value, kind.value_type)
        if _any_invalid(values) or _any_invalid(values.values()):
            return INVALID
        _check_length(len(values), kind)
        return values

    def _list(self, node: ListNode, kind: mi.CollectionType) -> Any:
        values = [self.check(item, kind.item_type) for item in node.items]
        if _any_invalid(values):
            return INVALID
        _check_length(len(values), kind)
        return _LISTS[type(kind)](values)

    def _tuple(self, node: ListNode, kind: mi.TupleType) -> Any:
        if len(node.items) != len(kind.item_types):
            raise Wrong(f"must have {len(kind.item_types)} entries, has {len(node.items)}")
        values = [self.check(*pair) for pair in zip(node.items, kind.item_types, strict=True)]
        return INVALID if _any_invalid(values) else tuple(values)

    def _union(self, node: Node, kind: mi.UnionType) -> Any:
        choices = [choice for choice in kind.types if not isinstance(choice, mi.NoneType)]
        optional = len(choices) < len(kind.types)
        if optional and _is_null(node):
            return None
        fitting = [choice for choice in choices if _fits(node, choice)]
        if len(fitting) > 1 and isinstance(node, MappingNode):
            fitting = _with_tag_of(node, fitting)
        if len(choices) == 1 or len(fitting) == 1:
            return self.check(node, (fitting or choices)[0])
        fitting.sort(key=lambda choice: isinstance(_bare(choice), mi.StrType))  # takes any text
        for choice in fitting:
            trial = Checker(Problems(self._problems.file)).check(node, choice)
            if trial is not INVALID:
                return trial
        raise not_a(" or ".join(dict.fromkeys(map(_name_of, choices))), node)


def _mapping(node: Node, *, may_be_empty: bool = True) -> MappingNode:
    if not isinstance(node, MappingNode):
        empty = may_be_empty and _is_null(node)
        raise not_a("a mapping", node, "; write {} or leave the key out" if empty else "")
    return node


def _list(node: Node) -> ListNode:
    if not isinstance(node, ListNode):
        raise not_a("a list", node, "; write [] or leave the key out" if _is_null(node) else "")
    return node


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _any_invalid(values: Iterable[Any]) -> bool:
    return any(value is INVALID for value in values)


def _check_length(length: int, kind: mi.CollectionType | mi.DictType) -> None:
    if kind.min_length is not None and length < kind.min_length:
        raise Wrong(f"must have at least {kind.min_length} entries, has {length}")
    if kind.max_length is not None and length > kind.max_length:
        raise Wrong(f"must have at most {kind.max_length} entries, has {length}")


def _is_mapping(kind: mi.Type) -> bool:
    return isinstance(_bare(kind), mi.DictType | mi.StructType)


def _bare(kind: mi.Type) -> mi.Type:
    return kind.type if isinstance(kind, mi.Metadata) else kind


def _fits(node: Node, kind: mi.Type) -> bool:
    """Tell whether a value of this shape could be meant for ``kind`` at all."""
    kind = _bare(kind)
    if isinstance(kind, mi.StructType | mi.DictType):
        return isinstance(node, MappingNode)
    if isinstance(kind, mi.CollectionType | mi.TupleType):
        return isinstance(node, ListNode)
    return isinstance(node, ScalarNode) or isinstance(kind, mi.AnyType | mi.CustomType)


def _with_tag_of(node: MappingNode, choices: list[mi.Type]) -> list[mi.Type]:
    """Return the choice that the mapping's tag names; msgspec allows no other union of Structs.

    Raises:
        Wrong: None of them has its tag.
    """
    tags = {str(kind.tag): kind for kind in map(_bare, choices) if isinstance(kind, mi.StructType)}
    field = next(kind.tag_field for kind in tags.values()) or "type"
    chosen = tags.get(node.text(field) or "")
    if chosen is None:
        raise Wrong(f"needs {field}, one of {listed(tags)}")
    return [chosen]


def _name_of(kind: mi.Type) -> str:
    """Return what a kind of value is called in a message."""
    if isinstance(kind, mi.Metadata) and kind.extra and READ_AS in kind.extra:
        return READERS[kind.extra[READ_AS]][1]
    kind = _bare(kind)
    if isinstance(kind, mi.LiteralType):
        return " or ".join(str(value) for value in kind.values)
    names = {
        mi.StrType: "a text",
        mi.IntType: "a whole number",
        mi.FloatType: "a number",
        mi.BoolType: "true or false",
    }
    if isinstance(kind, mi.StructType | mi.DictType):
        return "a mapping"
    if isinstance(kind, mi.CollectionType | mi.TupleType):
        return "a list"
    return names.get(type(kind), "something else")
