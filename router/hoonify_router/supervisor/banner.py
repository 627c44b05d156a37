"""The words that greet an operator once the router serves: address, models, key, lines to paste."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hoonify_router import __version__
from hoonify_router.types import HomeView

API_KEY = "api_key"
_VARIABLE = "HOONIFY_API_KEY"
_QUESTION = "Hello!"


@dataclass(frozen=True)
class Banner:
    """What is told.

    Args:
        address: Base URL of the door, without ``/v1``.
        homes: All homes, in the order of the file.
        announcements: What plugins want to be told, by label.
        needs_key: Whether requests pass middleware that may ask for a key.
    """

    address: str
    homes: Sequence[HomeView]
    announcements: Mapping[str, str] = field(default_factory=dict)
    needs_key: bool = False

    @property
    def title(self) -> str:
        """Return the first line."""
        return f"Hoonify Router {__version__} is serving at {self.address}"

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the table of homes: id, backend, state, why not."""
        return [(home.id, home.backend, home.state, _short(home)) for home in self.homes]

    @property
    def notes(self) -> list[str]:
        """Return what plugins announce; a key is shown now and never again."""
        notes = []
        for label, text in self.announcements.items():
            if label == API_KEY:
                notes.append(f"Your first API key, shown only this once: {text}")
            else:
                notes.append(f"{label}: {text}")
        return notes

    @property
    def example(self) -> str | None:
        """Return the model that the examples ask: the first that is ready."""
        return next((home.model for home in self.homes if home.state == "ready"), None)

    @property
    def curl(self) -> str:
        """Return a shell line that streams an answer."""
        body = {"model": self.example, "messages": [_message()], "stream": True}
        parts = ["curl -N", f"{self.address}/v1/chat/completions"]
        if API_KEY in self.announcements:
            parts.append(
                f"-H {shlex.quote(f'Authorization: Bearer {self.announcements[API_KEY]}')}"
            )
        elif self.needs_key:
            parts.append(f'-H "Authorization: Bearer ${_VARIABLE}"')
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body))}"]
        return " ".join(parts)

    @property
    def python(self) -> list[str]:
        """Return lines of Python that stream the same answer through OpenAI's SDK."""
        lines = ["from openai import OpenAI"]
        key = repr(self.announcements.get(API_KEY, "none"))
        if API_KEY not in self.announcements and self.needs_key:
            lines.insert(0, "import os")
            key = f'os.environ["{_VARIABLE}"]'
        return [
            *lines,
            f"client = OpenAI(base_url={self.address + '/v1'!r}, api_key={key})",
            f"for chunk in client.chat.completions.create(model={self.example!r},"
            f" messages=[{_message()!r}], stream=True):",
            '    print(chunk.choices[0].delta.content or "", end="", flush=True)',
        ]

    def plain(self) -> str:
        """Return all of it as text without colours, one line never broken in two."""
        rows = [("model", "backend", "state", ""), *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["", self.title, ""]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            lines.append(f"  {'  '.join([*cells, row[3]])}".rstrip())
        lines += ["", *self.notes]
        if self.notes:
            lines.append("")
        if self.example is None:
            lines.append("No model is ready to be asked.")
        else:
            lines += ["Ask it from a shell:", "", f"    {self.curl}", ""]
            lines += [
                "or from Python, after `pip install openai`:",
                "",
                *(f"    {line}" for line in self.python),
            ]
        return "\n".join(lines) + "\n"


def _message() -> dict[str, str]:
    return {"role": "user", "content": _QUESTION}


def _short(home: HomeView) -> str:
    if home.reason:
        return home.reason
    if home.state == "stopped" and not home.always:
        return "starts at its first request"
    return ""
