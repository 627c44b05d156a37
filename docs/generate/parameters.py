"""Tables of what a request may hold: type, range, default, meaning, and which backends honour it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from docs.generate.failures import first_line
from msgspec import NODEFAULT, Meta, Struct

from hoonify_router.api import Backend, WorkerBackend
from hoonify_router.loader import load_plugins
from hoonify_router.types import (
    CORE_PARAMETERS,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
)
from hoonify_router.types.parameters import INT64
from hoonify_router.validation_hints import fields, is_struct, members, tag
from hoonify_router.validation_shapes import MESSAGE_SHAPES, SHAPES

KINDS: dict[str, type[Struct]] = {
    kind.task: kind for kind in (ChatRequest, CompletionRequest, EmbeddingRequest)
}
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})  # one limit under two names
_TYPES = {str: "string", int: "integer", float: "number", bool: "`true` or `false`", dict: "object"}


def parameter_table(task: str) -> str:
    """Return a row per parameter of one kind of request, a column per built-in backend that serves it."""
    backends = _backends(task)
    names = [f"`{backend.name}`" for backend in backends]
    heads = ["parameter", "value", "default", "meaning", *names]
    rows = [_row(heads), "|" + "---|" * len(heads)]
    kind = KINDS[task]
    required = set(_required(kind))
    for name, hint in fields(kind).items():
        default = "required" if name in required else _note(hint, "default")
        cells = [_honoured(name, backend) for backend in backends]
        rows.append(_row([f"`{name}`", value_of(hint), default, _meaning(hint), *cells]))
    return "\n".join(rows)


def object_table(task: str) -> str:
    """Return a row per field of the objects that a kind of request may hold; messages have their own."""
    rows = ["| field | value | meaning |", "|---|---|---|"]
    for name, hint in fields(KINDS[task]).items():
        if name != "messages":
            shape = SHAPES.get(name, hint) if task == "chat" else hint
            rows += _inner(name, shape)
    return "\n".join(rows)


def message_table() -> str:
    """Return a row per field of a message and of its parts."""
    rows = ["| field | value | meaning |", "|---|---|---|"]
    required = set(_required(Message))
    for name, hint in fields(Message).items():
        value = value_of(hint) + (", required" if name in required else "")
        rows.append(_row([f"`{name}`", value, _meaning(hint)]))
        rows += _inner(name, MESSAGE_SHAPES.get(name, hint))
    return "\n".join(rows)


def _backends(task: str) -> list[Backend]:
    """Return the backends of this project that serve a task; one that is not built yet honours nothing."""
    return [
        backend
        for backend in load_plugins().backends.values()
        if backend.options.__module__.startswith("hoonify_backends.")
        and task in backend.tasks
        and not (isinstance(backend, WorkerBackend) and not backend.parameters)
    ]


def _honoured(name: str, backend: Backend) -> str:
    if name in CORE_PARAMETERS:
        return "router"
    if backend.parameters is None:
        return "server"
    known = backend.parameters
    return "yes" if name in known or (name in _LIMITS and known & _LIMITS) else "no"


def _required(kind: type[Struct]) -> Iterator[str]:
    defaults = kind.__struct_defaults__
    names = kind.__struct_encode_fields__
    with_default = dict(zip(reversed(names), reversed(defaults), strict=False))
    yield from (name for name in names if with_default.get(name, NODEFAULT) is NODEFAULT)


def _inner(path: str, hint: Any) -> Iterator[str]:
    """Yield the rows of the objects that may stand at a place, and of those inside them."""
    structs: list[type[Struct]] = []
    for one, _ in members(hint):
        if get_origin(one) is list:
            yield from _inner(f"{path}[]", get_args(one)[0])
        elif is_struct(one):
            structs.append(one)
    tags = [told for one in structs if (told := tag(one)) is not None]
    if tags:
        words = " or ".join(f"`{word}`" for _, word in tags)
        yield _row([f"`{path}.{tags[0][0]}`", f"{words}, required", "Which of these it is."])
    seen: set[str] = set()
    for one in structs:
        required = set(_required(one))
        for name, inner in fields(one).items():
            row = f"{path}.{name}"
            if row in seen:
                continue
            seen.add(row)
            value = value_of(inner) + (", required" if name in required else "")
            yield _row([f"`{row}`", value, _meaning(inner) or _docstring(inner)])
            yield from _inner(row, inner)


def value_of(hint: Any) -> str:
    """Return what may stand there, in words."""
    if said := _note(hint, "value"):
        return said
    words: list[str] = []
    for one, limits in members(hint):
        if one is type(None):
            continue
        origin = get_origin(one) or one
        if origin is Literal:
            words += [f"`{word}`" for word in get_args(one)]
        elif origin is list:
            words.append(
                f"list of {_plural(value_of(get_args(one)[0]))}{_lengths(limits, 'items')}"
            )
        elif is_struct(one):
            words.append("object")
        elif origin is dict and get_args(one)[1] is not Any:
            inner = _plural(value_of(get_args(one)[1]))
            words.append(f"object of {inner}{_lengths(limits, 'entries')}")
        else:
            words.append(_TYPES.get(origin, "anything") + _range(limits))
    unique = list(dict.fromkeys(words))
    return " or ".join(unique) if len(unique) < 4 else ", ".join(unique[:-1]) + f" or {unique[-1]}"


def _plural(words: str) -> str:
    head, comma, rest = words.partition(",")
    return f"{head}s{comma}{rest}" if head in {"object", "string", "number", "integer"} else words


def _range(limits: tuple[Meta, ...]) -> str:
    low = _limit(limits, "ge")
    high = _limit(limits, "le")
    over = _limit(limits, "gt")
    if over is not None:
        return f", over {over}" + ("" if high is None else f" to {high}")
    if low is not None:
        return f", at least {low}" if high is None else f", {low} to {high}"
    return _lengths(limits, "characters")


def _lengths(limits: tuple[Meta, ...], things: str) -> str:
    low, high = _limit(limits, "min_length"), _limit(limits, "max_length")
    return (", not empty" if low else "") + ("" if high is None else f", at most {high} {things}")


def _limit(limits: tuple[Meta, ...], name: str) -> Any:
    found = next((x for meta in limits if (x := getattr(meta, name)) is not None), None)
    return None if isinstance(found, int) and abs(found) >= INT64 else found


def _meaning(hint: Any) -> str:
    for _, limits in members(hint):
        for meta in limits:
            if meta.description:
                return str(meta.description)
    return ""


def _docstring(hint: Any) -> str:
    """Return what an object that stands there says of itself."""
    kinds = [one for one, _ in members(hint) if is_struct(one)]
    return first_line(kinds[0]).replace("``", "`") if len(kinds) == 1 else ""


def _note(hint: Any, name: str) -> str:
    for _, limits in members(hint):
        for meta in limits:
            if meta.extra and meta.extra.get(name):
                return str(meta.extra[name])
    return ""


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
