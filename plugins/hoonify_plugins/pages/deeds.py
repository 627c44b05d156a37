"""What admins have the router do from the console; a deed goes on when nobody waits for it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hoonify_router.api import PluginContext
from hoonify_router.errors import RouterError

_KEPT = 12
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that can be done.

    Args:
        command: What the supervisor is asked for.
        label: What its button says.
        means: What it does, for whoever has to confirm it.
        done: What it is called when it is over.
    """

    command: str
    label: str
    means: str
    done: str


HOME_DEEDS = {
    "start": Deed(
        "start", "Start", "It loads and takes requests as soon as it is ready.", "started"
    ),
    "stop": Deed(
        "stop",
        "Stop",
        "It takes no new requests, finishes those that run, and its engine ends. It stays out of service until it is"
        " started.",
        "stopped",
    ),
    "restart": Deed(
        "restart",
        "Restart",
        "It takes no new requests, finishes those that run, and starts anew. Requests for its model wait meanwhile, or"
        " go to the model's other homes.",
        "restarted",
    ),
    "drain": Deed(
        "drain",
        "Drain",
        "It takes no new requests and finishes those that run; it stays loaded, and out of service until it is"
        " started.",
        "drained",
    ),
}
RELOAD = Deed(
    "reload",
    "Reload",
    "The file is checked as a whole. New homes come up before old ones go; if anything fails, what serves now serves"
    " on.",
    "reloaded",
)


_DEEDS_IN = {
    "ready": ("drain", "restart", "stop"),
    "starting": ("stop",),
    "loading": ("stop",),
    "draining": ("start", "stop"),
    "stopped": ("start",),
    "failed": ("start", "stop"),
    "unavailable": (),
}


def deeds_for(home: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what can be done with a home of the supervisor's snapshot."""
    if home.get("held"):
        return ("start", "stop") if home["state"] == "ready" else ("start",)
    return _DEEDS_IN.get(home["state"], ())


@dataclass(slots=True)
class Done:
    """A deed that was begun.

    Args:
        number: Of it.
        deed: What.
        name: On which home; nothing for a reload.
        who: Who wanted it.
        at: When it began, in Unix seconds.
        told: How it ended; nothing while it goes on.
        failed: Whether it did not work.
    """

    number: int
    deed: Deed
    name: str
    who: str
    at: float = field(default_factory=time.time)
    told: str = ""
    failed: bool = False


class Deeds:
    """Has them done, and remembers the last ones in this gateway.

    Args:
        context: The router.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.last: deque[Done] = deque(maxlen=_KEPT)

    def begin(
        self, deed: Deed, name: str, key_id: str, key_name: str, digest: str = ""
    ) -> asyncio.Task[None]:
        """Begin one, and return what waits for its end.

        Args:
            deed: What.
            name: The home; nothing for a reload.
            key_id: Public id of the key that wants it, for the router's history.
            key_name: What its owner calls it.
            digest: Of the file that was looked at before a reload: if it is another one by now, nothing is done.
        """
        done = Done(next(self._numbers), deed, name, key_name)
        self.last.appendleft(done)
        if len(self._tasks) >= _AT_ONCE:
            done.told, done.failed = "too much is under way already", True
        command, arguments = deed.command, {"name": name} if name else {}
        if digest:
            command, arguments = "apply", {"digest": digest}
        task = asyncio.create_task(self._do(done, command, arguments, f"key {key_id}"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _do(self, done: Done, command: str, arguments: Mapping[str, Any], who: str) -> None:
        if done.failed:
            return
        try:
            told = await self._context.ask(command, arguments, who)
        except RouterError as error:
            done.told, done.failed = error.message, True
        else:
            done.told, done.failed = _outcome(done.deed, told)


def _outcome(deed: Deed, told: Any) -> tuple[str, bool]:
    """Return an answer of the supervisor's in words, and whether it tells of a failure."""
    if isinstance(told, Mapping) and "result" in told:  # of a reload
        result = str(told["result"])
        lines = [*(told.get("problems") or ()), *(told.get("changes") or ())]
        generation = told.get("generation")
        words = f"{result}; generation {generation} serves" if generation else result
        return "; ".join([words, *map(str, lines[:3])]), result in ("refused", "failed")
    rows = told if isinstance(told, list) else [told]
    outcomes = [one for one in rows if isinstance(one, Mapping)]
    if all(one.get("done", True) for one in outcomes):
        return deed.done, False
    words = "; ".join(str(one.get("told") or one.get("state") or "") for one in outcomes)
    return words or "not done", True
