"""The magic words: how a request tells the test instrument what its answer must be like.

Words in double brackets in the last user message, or in a prompt, are taken out of the text; the rest is
what is said.

    [[first S]]             wait S seconds before the first token
    [[delay S]]             wait S seconds before each further token
    [[repeat N]]            say the text N times, with spaces between
    [[think TEXT]]          reason TEXT before the answer
    [[tool NAME ARGUMENTS]] call this function after the text; the arguments go out as they are, JSON or
                            not, and are {} when left out; write ``] ]`` for two brackets in a row
    [[finish REASON]]       finish with this reason
    [[usage P C]]           count P prompt and C completion tokens
    [[uncounted]]           leave the counts out, which breaks the contract
    [[error KIND]]          fail with this class of ``errors``, such as Overloaded
    [[crash]]               kill the worker, as SIGKILL does
    [[hang]]                make no further step, until cancelled
    [[block S]]             block the worker's event loop for S seconds
    [[bug]]                 raise what no engine should raise

The last five happen before the first token; ``[[crash after 3]]`` happens after three tokens, and so
with the others. A token is a word with the space before it; in arguments, a few characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from hoonify_router.errors import InvalidRequest, error_kinds
from hoonify_router.types import FinishReason

_MAGIC = re.compile(r"\[\[(\w+)((?: (?:(?!\]\]).)*)?)\]\]", re.DOTALL)
_AFTER = re.compile(r"(.*?)(?:^| )after (\d+)$", re.DOTALL)

Mishap = Literal["error", "crash", "hang", "block", "bug"]


@dataclass(slots=True)
class Script:
    """What one answer must be like; ``None`` leaves it to the home's options."""

    text: str = ""
    first: float | None = None
    delay: float | None = None
    thought: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)  # name and arguments
    finish: FinishReason | None = None
    usage: tuple[int, int] | None = None
    counted: bool = True
    mishap: Mishap | None = None
    mishap_after: int = 0
    mishap_argument: str = ""


def read_script(message: str, param: str = "messages") -> Script:
    """Return the script in ``message``.

    Args:
        message: What the client said.
        param: Which field of its request that is.

    Raises:
        InvalidRequest: A magic word that does not exist, or not in this form.
    """
    script = Script()
    repeat = 1
    for match in _MAGIC.finditer(message):
        word, argument = match[1], match[2].strip()
        try:
            if word in get_args(Mishap):
                _read_mishap(script, word, argument)
            elif word in ("first", "delay"):
                setattr(script, word, float(argument))
            elif word == "repeat":
                repeat = int(argument)
            elif word == "think":
                script.thought = argument
            elif word == "tool" and argument:
                name, _, arguments = argument.partition(" ")
                script.calls.append((name, arguments.strip() or "{}"))
            elif word == "finish" and argument in get_args(FinishReason):
                script.finish = argument  # type: ignore[assignment]
            elif word == "usage":
                prompt, completion = argument.split()
                script.usage = int(prompt), int(completion)
            elif word == "uncounted" and not argument:
                script.counted = False
            else:
                raise ValueError(word)
        except ValueError as exc:
            raise InvalidRequest(
                f"The test instrument does not know {match[0]!r}.", param=param
            ) from exc
    script.text = " ".join([_MAGIC.sub("", message).strip()] * repeat)
    return script


def _read_mishap(script: Script, word: str, argument: str) -> None:
    if (after := _AFTER.fullmatch(argument)) is not None:
        argument, script.mishap_after = after[1], int(after[2])
    if word == "error":
        known = argument in error_kinds()
    elif word == "block":
        known = float(argument) >= 0
    else:
        known = not argument
    if not known:
        raise ValueError(argument)
    script.mishap = word  # type: ignore[assignment]
    script.mishap_argument = argument


def tokens_of(text: str) -> list[str]:
    """Return ``text`` cut into tokens, which joined are ``text`` again."""
    return re.findall(r"\s*\S+|\s+$", text)


def pieces_of(arguments: str) -> list[str]:
    """Return a call's arguments cut into tokens, which joined are the arguments again."""
    return [arguments[start : start + 5] for start in range(0, len(arguments), 5)]
