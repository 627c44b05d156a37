"""Keep secrets out of what is printed: logs, tracebacks, a debugger's view."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET_NAME = re.compile(r"(key|password|passphrase|secret|token|credentials)$", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_HIDDEN = "..."
_KEY = re.compile(
    r"""\b(?:sk|pk|hoo|hf|gsk|xai|ghp|gho|ghs|glpat|xoxb)[_-][A-Za-z0-9_-]{8,}
    | \bAKIA[0-9A-Z]{12,}
    | \beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*   # a signed token
    | (?<=\bBearer\s)\s*[^\s"']+""",
    re.VERBOSE,
)
_INSIDE = re.compile(
    r"""[a-z][a-z0-9+.-]*://                          # a URL
    | (?<![\w.<#])(?:~|\.{0,2})/[\w.-]              # a path
    | \b[A-Za-z]:[\\/] | \\\\[\w.-]+\\           # another path
    | \b\d{1,3}(?:\.\d{1,3}){3}\b                 # an address
    | \[?[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]+\]?        # another address
    | \b[\w.-]+:[0-9]{4,5}\b                       # a host and its port
    | \b[a-z][\w-]*(?:\.[\w-]+)+:[0-9]{1,5}\b     # a host with a domain and its port
    | \blocalhost\b | \b[\w-]+\.(?:local|internal|lan|svc|cluster|localdomain)\b
    | \bTraceback\b | \bFile\s["'] | \bline\s\d+,\sin\b | \bat\s[\w.$]+\([\w.]+:\d+\) | 0x[0-9a-f]{6,}
    | \b[\w/-]+\.(?:py|pyc|so|cu|cuh|cpp|cc|rs|go)\b  # a source
    | \b(?=[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[A-Za-z0-9_-]{32,}  # what looks drawn by lot
    | \bBearer\b | \bAuthorization\b | \b(?:api[_-]?key|password|passwd|secret)\s*[=:]""",
    re.IGNORECASE | re.VERBOSE,
)


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


def tells_of_inside(text: str) -> bool:
    """Tell whether a text shows what clients must not read: a path, an address, a stack, a key.

    It errs on the side of yes: such a text is replaced as a whole, which costs a client a hint at most.
    """
    return _INSIDE.search(text) is not None or _KEY.search(text) is not None


def without_keys(text: str) -> str:
    """Return ``text`` with dots in the place of what looks like a key."""
    return _KEY.sub(_HIDDEN, text)
