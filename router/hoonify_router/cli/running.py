"""Ask the router that runs on a configuration, if there is one, how its homes do."""

from __future__ import annotations

from collections.abc import Mapping

from hoonify_router import runfile
from hoonify_router.config import LoadedConfig
from hoonify_router.errors import ModelUnavailable
from hoonify_router.types import HomeView

PATIENCE = 3.0


def homes_of_running_router(loaded: LoadedConfig) -> Mapping[str, HomeView] | None:
    """Return the homes by their names, or ``None`` where no router runs or answers."""
    running = runfile.find(loaded)
    if running is None:
        return None
    import asyncio  # most commands never need it

    try:
        return asyncio.run(asyncio.wait_for(_ask(running.supervisor), PATIENCE))
    except (OSError, TimeoutError, ModelUnavailable):
        return None


async def _ask(socket: str) -> Mapping[str, HomeView]:
    from hoonify_router.supervisor.client import SupervisorClient

    client = SupervisorClient(socket, lambda table: None, role="cli")
    try:
        await client.connect(patience=0)
        status = await client.status()
        return {each.home.id: each.home for each in status.homes}
    finally:
        client.close()
