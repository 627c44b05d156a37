"""The words of helpful messages: what a misspelt name may have meant, an exception on one line."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

from hoonify_router.errors import PluginError

LONGEST = 400


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``, did you mean 'x'?`` when a known name is close, else an empty string."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


def on_one_line(text: str) -> str:
    """Return ``text`` with its white space collapsed, cut where nobody would read on."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def explain(error: BaseException) -> str:
    """Return an exception and the place it came from on one line, for an operator's eyes.

    A ``PluginError`` was written for them: its words are enough.
    """
    if isinstance(error, PluginError):
        return on_one_line(str(error))
    place = ""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", str(Path(__file__).parent)))
        and "importlib" not in frame.filename
    ]
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({Path(error.filename).name}:{error.lineno})"
    elif frames:
        place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return (
        on_one_line(f"{type(error).__name__}: {message}" if message else type(error).__name__)
        + place
    )
