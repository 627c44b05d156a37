"""Keep secrets out of what is printed: logs, tracebacks, a debugger's view."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET_NAME = re.compile(r"(key|password|passphrase|secret|token|credentials)$", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_HIDDEN = "..."


class Discreet:
    """Makes a Struct show no secret, however deep it lies in its fields."""

    __slots__ = ()
    __struct_fields__: tuple[str, ...]

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what may be shown, for rich."""
        names = self.__struct_fields__
        return [(name, discreet(getattr(self, name), name)) for name in names]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


def discreet(value: Any, name: str = "") -> Any:
    """Return ``value`` with dots in the place of what its name, or its form, tells to be a secret."""
    if isinstance(value, Mapping):
        return {key: discreet(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [discreet(item, name) for item in value]
    if value and SECRET_NAME.search(name):
        return _HIDDEN
    return _IN_URL.sub(_HIDDEN, value) if isinstance(value, str) else value
