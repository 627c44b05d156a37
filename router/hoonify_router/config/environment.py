"""``${NAME}`` and ``${NAME:-default}`` in texts, filled in from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<inside>[^{}]*)(?P<end>\}?))")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


class Filled(NamedTuple):
    """A text after substitution.

    Args:
        text: The text; as good as it gets where there are problems.
        from_env: Whether a reference stood in it.
        problems: What is wrong, without any value of the environment.
    """

    text: str
    from_env: bool
    problems: list[str]


def fill(text: str, env: Mapping[str, str]) -> Filled:
    """Return ``text`` with its references replaced; ``$$`` stands for a dollar sign.

    As in a shell, a default also stands in for a variable that is set but empty.
    """
    problems: list[str] = []
    from_env = False

    def value_of(match: re.Match[str]) -> str:
        nonlocal from_env
        if match["dollar"]:
            return "$"
        inside = _INSIDE.fullmatch(match["inside"]) if match["end"] else None
        if inside is None:
            problems.append(
                "${ must be followed by a variable's name and }, as in ${NAME} or ${NAME:-default};"
                " write $$ for a dollar sign"
            )
            return ""
        from_env = True
        name, default = inside["name"], inside["default"]
        value = env.get(name)
        if default is not None:
            return value or default
        if value is None:
            problems.append(
                f"environment variable {name} is not set;"
                f" set it, or give a default with ${{{name}:-default}}"
            )
            return ""
        return value

    filled = _REFERENCE.sub(value_of, text)
    return Filled(filled, from_env, problems)
