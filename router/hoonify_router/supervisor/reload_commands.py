"""What the command line and admins may ask of reloads: do it, tell what it would do, go back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from hoonify_router.config.replacement import replace_text
from hoonify_router.errors import InvalidValue, NotFound, RouterError
from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.supervisor.outcomes import Outcome, Refusal, Trigger
from hoonify_router.supervisor.preview import Knowledge, gpus_of, load_seconds_of, moves_of
from hoonify_router.supervisor.reload import Reloader
from hoonify_router.types.plan import Plan

Review = Callable[[Any, Any], list[str]]
"""``review(old, new)``: what plugins say of a change between two ``LoadedConfig``; may block for a moment."""


class PlanArguments(Struct, forbid_unknown_fields=True):
    """What ``plan`` takes: the text to plan with; default: what the file says."""

    text: str | None = None


class ApplyArguments(Struct, forbid_unknown_fields=True):
    """What ``apply`` takes.

    Args:
        text: What the file shall say; default: what it says.
        digest: Of the text that was planned with: if it is another one by now, nothing is done.
    """

    text: str | None = None
    digest: str = ""


class RollbackArguments(Struct, forbid_unknown_fields=True):
    """What ``rollback`` takes: the number of the generation to go back to."""

    generation: int


class ReloadCommands:
    """Answers for the reloader.

    Args:
        reloader: Does it.
        known: What there is to know of homes, for plans.
        review: Asks plugins what a change means.
    """

    def __init__(self, reloader: Reloader, known: Knowledge, review: Review) -> None:
        self._reloader = reloader
        self._known = known
        self._review = review

    def add_to(self, commands: Commands) -> None:
        """Add them to the supervisor's table."""
        commands.add("reload", self._reload, patience=None, goes_on=True)
        commands.add("plan", self._plan, PlanArguments)
        commands.add("history", self._list)
        commands.add("apply", self._apply, ApplyArguments, patience=None, goes_on=True)
        commands.add("rollback", self._rollback, RollbackArguments, patience=None, goes_on=True)

    async def _reload(self, arguments: NoArguments, asker: Asker) -> Outcome:
        return await self._reloader.reload(_trigger("command", asker))

    async def _plan(self, arguments: PlanArguments, asker: Asker) -> Plan:
        reloader = self._reloader
        generation = reloader.generation
        try:
            text = arguments.text if arguments.text is not None else await reloader.read()
            before = reloader.loaded
            proposal = await reloader.propose(text)
        except Refusal as refusal:
            problems = list(refusal.problems)
            return Plan(result="refused", generation=generation, problems=problems)
        moves = moves_of(proposal.difference, proposal.swapped, self._known)
        told = await asyncio.to_thread(self._review, before, proposal.new.loaded)
        return Plan(
            result="changes" if proposal.changes else "nothing",
            generation=generation,
            digest=_digest(text),
            changes=proposal.changes,
            moves=moves,
            gpus=gpus_of(proposal.difference, self._known),
            consequences=told,
            load_seconds=load_seconds_of(moves),
        )

    async def _list(self, arguments: NoArguments, asker: Asker) -> list[dict[str, Any]]:
        """Return the generations that are kept, the newest first, without their texts."""
        kept = await asyncio.to_thread(self._reloader.history.all)
        return [
            {"number": one.number, "at": one.at, "trigger": one.trigger, "changes": one.changes}
            for one in reversed(kept)
        ]

    async def _apply(self, arguments: ApplyArguments, asker: Asker) -> Outcome:
        if arguments.text is not None:
            return await self._take(arguments.text, _trigger("apply", asker))
        if arguments.digest and arguments.digest != _digest(await self._reloader.read()):
            raise InvalidValue("The file has changed since it was planned with: look again.")
        return await self._reloader.reload(_trigger("apply", asker))

    async def _rollback(self, arguments: RollbackArguments, asker: Asker) -> Outcome:
        kept = await asyncio.to_thread(self._reloader.history.find, arguments.generation)
        if kept is None:
            numbers = [str(one.number) for one in self._reloader.history.all()]
            told = f"Generation {arguments.generation} is not kept; there are {', '.join(numbers)}."
            raise NotFound(told)
        return await self._take(kept.text, _trigger(f"rollback to {kept.number}", asker))

    async def _take(self, text: str, trigger: Trigger) -> Outcome:
        """Put a text that can take effect into the file, and let it take effect."""
        reloader = self._reloader
        try:
            await reloader.propose(text)
        except Refusal as refusal:  # then the file stays as it is, too
            return Outcome(
                result=refusal.result,
                generation=reloader.generation,
                trigger=str(trigger),
                problems=refusal.problems,
            )
        path = reloader.loaded.path
        try:
            await asyncio.to_thread(replace_text, path, text)
        except OSError as error:
            raise RouterError(f"{path} cannot be written: {error.strerror}.") from error
        return await reloader.reload(trigger)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _trigger(how: str, asker: Asker) -> Trigger:
    kind, _, who = asker.who.partition(" ")
    return Trigger(how if kind != "key" else f"admin: {how}", who or kind)
