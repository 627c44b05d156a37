"""Ask the router that runs on a configuration, if there is one.

The file itself is hardly looked at: it may be broken by an edit that is under way while the router runs on.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoonify_router import runfile
from hoonify_router.cli.output import note
from hoonify_router.cli.parser import UsageError
from hoonify_router.config import LoadedConfig, find_config, find_state_dir
from hoonify_router.errors import ModelUnavailable
from hoonify_router.runfile import RunFile
from hoonify_router.types import HomeView

PATIENCE = 3.0
COMMAND_PATIENCE = 90.0
"""Seconds to wait for a command's answer; a little more than the supervisor allows it."""


class NoRouter(UsageError):
    """No router runs on this configuration, or not one that this user may ask."""


@dataclass(frozen=True)
class RunningRouter:
    """A router that runs on a configuration.

    Args:
        name: The configuration as the operator named it.
        run: What the router says of itself.
    """

    name: str
    run: RunFile

    def ask(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        patience: float | None = COMMAND_PATIENCE,
        tell: Callable[[str], None] = note,
    ) -> Any:
        """Ask its supervisor for a command and return the answer as plain data.

        Args:
            command: Its name.
            arguments: What it takes.
            patience: Seconds to wait; ``None`` is as long as the supervisor is there.
            tell: Called with each line that comes meanwhile.

        Raises:
            NoRouter: It cannot be reached.
            RouterError: What it says.
        """
        import asyncio  # most commands never need it

        return asyncio.run(self._ask(command, arguments, patience, tell))

    async def _ask(
        self,
        command: str,
        arguments: Mapping[str, Any] | None,
        patience: float | None,
        tell: Callable[[str], None],
    ) -> Any:
        import asyncio

        from hoonify_router.supervisor.client import SupervisorClient

        client = SupervisorClient(self.run.supervisor, lambda table: None, role="cli")
        try:
            async with asyncio.timeout(PATIENCE):
                await client.connect(patience=0)
        except PermissionError:
            raise NoRouter(_foreign(self.name)) from None
        except (OSError, TimeoutError):
            told = f"the router on {self.name} (process {self.run.pid}) does not answer"
            raise NoRouter(f"{told}; it may be starting or stopping") from None
        try:
            return await client.ask(
                command, arguments, who=f"user {_user()}", patience=patience, tell=tell
            )
        finally:
            client.close()


@dataclass(frozen=True)
class Whereabouts:
    """Where a configuration is, and the folder of its state."""

    path: Path
    state_dir: Path


def find_router(config: str | None) -> RunningRouter:
    """Return the router that runs on a configuration.

    Args:
        config: What ``--config`` says.

    Raises:
        ConfigError: There is no such file.
        NoRouter: None runs, or it belongs to another user.
    """
    path = find_config(config)
    where = Whereabouts(path.absolute(), find_state_dir(path))
    if (found := runfile.find(where)) is not None:
        return RunningRouter(str(path), found)
    if runfile.is_foreign(where):
        raise NoRouter(_foreign(str(path)))
    if not path.exists():
        raise NoRouter(f"{path}: no such file, and no router runs on it")
    raise NoRouter(f"no router runs on {path} (looked in {where.state_dir})")


def homes_of_running_router(loaded: LoadedConfig) -> Mapping[str, HomeView] | None:
    """Return the homes by their names, or ``None`` where no router runs or answers."""
    running = runfile.find(loaded)
    if running is None:
        return None
    import asyncio

    try:
        return asyncio.run(asyncio.wait_for(_ask_homes(running.supervisor), PATIENCE))
    except (OSError, TimeoutError, ModelUnavailable):
        return None


async def _ask_homes(socket: str) -> Mapping[str, HomeView]:
    from hoonify_router.supervisor.client import SupervisorClient

    client = SupervisorClient(socket, lambda table: None, role="cli")
    try:
        await client.connect(patience=0)
        status = await client.status()
        return {each.home.id: each.home for each in status.homes}
    finally:
        client.close()


def _foreign(name: str) -> str:
    return f"the state of the router on {name} belongs to another user: ask as that user"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name
        return str(os.getuid()) if sys.platform != "win32" else "unknown"
