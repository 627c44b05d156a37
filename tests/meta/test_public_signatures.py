"""What plugin authors call is pinned with its arguments: a change of it is a decision, not an accident.

``python -m tests.meta.test_public_signatures`` writes the file beside this one anew.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

PINNED = Path(__file__).with_name("public_signatures.txt")


def signatures() -> str:
    """Return all public names with their arguments, fields and methods."""
    names = PINNED.with_name("public_names.txt").read_text().splitlines()
    lines: list[str] = []
    for line in names:
        module, _, name = line.partition(" ")
        lines += _lines(f"{module}.{name}", getattr(importlib.import_module(module), name))
    return "\n".join(lines) + "\n"


def _lines(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})"
        for field, kind in _fields(value):
            yield f"    {field}: {kind}"
        for method, found in sorted(vars(value).items()):
            if method.startswith("_") and method != "__init__":
                continue
            if isinstance(found, property):
                yield f"    property {method}"
            elif (inspect.isfunction(found) and not dataclasses.is_dataclass(value)) or (
                inspect.isfunction(found) and method != "__init__"
            ):
                yield f"    def {method}{_signature(found)}"
    elif inspect.isfunction(value):
        yield f"def {name}{_signature(value)}"
    elif isinstance(value, tuple | str | int):
        yield f"{name} = {value!r}"
    else:
        yield f"{name}"


def _fields(kind: type[Any]) -> Iterator[tuple[str, str]]:
    if issubclass(kind, enum.Enum):
        yield from ((one.name, repr(one.value)) for one in kind)
    elif issubclass(kind, msgspec.Struct):
        for name in kind.__struct_fields__:
            own = next((b for b in kind.__mro__ if name in inspect.get_annotations(b)), kind)
            yield name, str(own.__annotations__[name]).partition(", Meta(")[0]
    elif dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            plain = field.default is dataclasses.MISSING
            optional = not plain or field.default_factory is not dataclasses.MISSING
            yield field.name, f"{field.type}{' = ...' if optional else ''}"
    else:
        for name in ("status", "type", "code", "phase"):
            if name in vars(kind):
                yield name, repr(vars(kind)[name])


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    return str(signature.replace(return_annotation=inspect.Signature.empty))


def test_the_signatures_are_the_pinned_ones() -> None:
    """Whoever changes one says so in `public_signatures.txt`, and in the API version where it breaks plugins."""
    told = "run `python -m tests.meta.test_public_signatures`, if that is meant"
    assert signatures() == PINNED.read_text(), told


if __name__ == "__main__":
    PINNED.write_text(signatures())
