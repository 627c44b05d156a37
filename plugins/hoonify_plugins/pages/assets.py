"""Style sheets and scripts of the pages: read once, named by what is in them, kept by browsers for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

PATH = "/pages/static/"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    Args:
        body: What is in it.
        content_type: What that is.
    """

    body: bytes
    content_type: str


class Assets:
    """All files, by the names under which browsers ask for them."""

    def __init__(self) -> None:
        self._named: dict[str, Asset] = {}
        self._urls: dict[str, str] = {}
        for file in files(__package__).joinpath("static").iterdir():
            stem, _, kind = file.name.rpartition(".")
            if kind not in _TYPES:
                continue
            body = file.read_bytes()
            name = f"{stem}.{hashlib.sha256(body).hexdigest()[:12]}.{kind}"
            self._named[name] = Asset(body, _TYPES[kind])
            self._urls[file.name] = PATH + name

    def url(self, name: str) -> str:
        """Return the path of a file, which changes whenever the file does."""
        return self._urls[name]

    def find(self, name: str) -> Asset | None:
        """Return the file of this name, if it is one of ours."""
        return self._named.get(name)
