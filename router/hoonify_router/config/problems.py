"""What is wrong in a file, collected to be reported all at once and in the file's order."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence

from hoonify_router.config.nodes import ListNode, MappingNode, Node, ScalarNode, dotted
from hoonify_router.discretion import SECRET_NAME
from hoonify_router.errors import ConfigError


class Problems:
    """The problems of one file.

    Args:
        file: The file's name as the operator gave it.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[tuple[int, int, str, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, node: Node, what: str) -> None:
        """Note that ``node``'s value is wrong."""
        self._add(*node.where, node.path, what)

    def add_at_key(self, node: Node, what: str, *, child: str | None = None) -> None:
        """Note that ``node``'s key is wrong, or that its ``child`` is missing."""
        path = node.path if child is None else (*node.path, child)
        self._add(*node.key_at, path, what)

    def _add(self, line: int, column: int, path: Sequence[str | int], what: str) -> None:
        self._found[line, column, dotted(path), what] = None

    def raise_if_any(self) -> None:
        """Raise what was found.

        Raises:
            ConfigError: Anything was found.
        """
        if self._found:
            ordered = sorted(self._found, key=lambda found: found[:2])
            raise ConfigError(
                [located(self.file, line, path, what) for line, _, path, what in ordered]
            )


def located(file: str, line: int, path: str, what: str) -> str:
    """Return one problem as the line that the operator reads."""
    return one_line(f"{file}:{line}: {path}: {what}" if path else f"{file}:{line}: {what}")


def unreadable(file: str, what: str) -> ConfigError:
    """Return the one error that stands alone, because nothing else can be checked.

    Args:
        file: The file's name as the operator gave it.
        what: What is wrong, a position before it where there is one: ``: no such file``.
    """
    return ConfigError([one_line(file + what)])


def one_line(text: str) -> str:
    """Return ``text`` without line breaks and other control characters."""
    return "".join(c if c.isprintable() else " " for c in text)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that the operator most likely meant, if any is close."""
    by_form: dict[str, str] = {}
    for candidate in known:
        by_form.setdefault(candidate.lower().replace("-", "_"), candidate)
    form = name.lower().replace("-", "_")
    found = difflib.get_close_matches(form, by_form, n=1, cutoff=0.6)
    if not found and len(form) >= 3:
        found = [longer for longer in by_form if longer.startswith(form)][:1]
    return by_form[found[0]] if found else None


def listed(names: Iterable[str]) -> str:
    """Return names in the order given, for the end of a message."""
    return ", ".join(names) or "none"


def shown(node: Node) -> str:
    """Return what stands at ``node``, short, and never what came from the environment."""
    match node:
        case MappingNode():
            return "a mapping"
        case ListNode():
            return "a list"
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode(from_env=True):
            return "a value from the environment"
        case ScalarNode(value=bool() as value):
            return str(value).lower()
        case ScalarNode(value=value):
            if node.path and SECRET_NAME.search(str(node.path[-1])):
                return "a secret (not shown)"
            return quoted(value) if isinstance(value, str) else str(value)
    raise TypeError(node)


def quoted(text: str, limit: int = 60) -> str:
    """Return ``text`` in quotes, on one line, cut when it is long."""
    short = text if len(text) <= limit else text[:limit] + "…"
    return json.dumps(short, ensure_ascii=not short.isprintable())
