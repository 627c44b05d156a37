"""What the command line and admins may ask of reloads: do it, tell what it would do, go back."""

from __future__ import annotations

from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.supervisor.outcomes import Outcome, Trigger
from hoonify_router.supervisor.reload import Reloader


class ReloadCommands:
    """Answers for the reloader.

    Args:
        reloader: Does it.
    """

    def __init__(self, reloader: Reloader) -> None:
        self._reloader = reloader

    def add_to(self, commands: Commands) -> None:
        """Add them to the supervisor's table."""
        commands.add("reload", self._reload, patience=None, goes_on=True)

    async def _reload(self, arguments: NoArguments, asker: Asker) -> Outcome:
        return await self._reloader.reload(_trigger("command", asker))


def _trigger(how: str, asker: Asker) -> Trigger:
    kind, _, who = asker.who.partition(" ")
    return Trigger("admin" if kind == "key" else how, who or kind)
