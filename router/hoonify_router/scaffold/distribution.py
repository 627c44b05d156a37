"""Write a plugin's distribution out of the templates beside this module."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from hoonify_router import __version__
from hoonify_router.api import API_VERSION
from hoonify_router.errors import ConfigError

KINDS = ("backend", "middleware", "balancer", "command")
NAME = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
LONGEST = 40

_SUFFIX = ".tmpl"


class _Text(Template):
    """``@name@`` stands for a value: dollars and braces are for Python, TOML and shells."""

    delimiter = "@"
    pattern = r"@(?:(?P<escaped>@@)|(?P<named>[a-z_]+)@|(?P<braced>(?!))|(?P<invalid>(?!)))"  # type: ignore[assignment]


@dataclass(frozen=True)
class NewPlugin:
    """A plugin that is to be written.

    Args:
        kind: One of ``KINDS``.
        name: What ``router.yaml`` or the command line will call it.
    """

    kind: str
    name: str

    def __post_init__(self) -> None:
        """Refuse names that are of no use.

        Raises:
            ConfigError: This is one.
        """
        told = None
        if not NAME.fullmatch(self.name) or len(self.name) > LONGEST:
            told = f"expected lower-case letters, digits and single '_' or '-', at most {LONGEST}"
        elif keyword.iskeyword(self.module):
            told = "it is a word of Python"
        if told is not None:
            raise ConfigError([f"the name {self.name!r} cannot be used: {told}"])

    @property
    def module(self) -> str:
        """Return the name as Python can say it."""
        return self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """Return the import package."""
        return f"hoonify_{self.module}"

    @property
    def distribution(self) -> str:
        """Return the distribution, which is the folder, too."""
        return f"hoonify-{self.module.replace('_', '-')}"

    @property
    def values(self) -> dict[str, str]:
        """Return what stands in the templates."""
        return {
            "name": self.name,
            "module": self.module,
            "package": self.package,
            "distribution": self.distribution,
            "class": "".join(part.title() for part in self.module.split("_")),
            "kind": self.kind,
            "api": f"({API_VERSION[0]}, {API_VERSION[1]})",
            "router": ".".join(__version__.split(".")[:2]),
        }


def write_plugin(plugin: NewPlugin, into: Path) -> Path:
    """Write the distribution into a new folder below ``into``; return it.

    Raises:
        ConfigError: The folder exists, or cannot be written.
    """
    folder = into / plugin.distribution
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError([f"{folder}: is there already; choose another name or --into"]) from None
    except OSError as error:
        raise ConfigError([f"{folder}: cannot be made: {error.strerror}"]) from error
    try:
        for path, text in rendered(plugin):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{folder}: cannot be written: {error.strerror}"]) from error
    return folder


def rendered(plugin: NewPlugin) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file."""
    templates = files(__package__) / "templates"
    for part in ("common", plugin.kind):
        for path, file in _walk(templates / part):
            name = _Text(path).substitute(plugin.values).removesuffix(_SUFFIX)
            yield name, _Text(file.read_text(encoding="utf-8")).substitute(plugin.values)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        elif path.endswith(_SUFFIX):
            yield path, entry
