"""The supervisor: single writer of state, who starts, watches, restarts and stops all homes.

Policy (``lifecycle``, ``plan``) is apart from effects (``process``, ``worker_home``, ``server_home``);
gateways and the command line speak to it through ``client``.
"""

from __future__ import annotations

import signal
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoonify_router.config import LoadedConfig
    from hoonify_router.supervisor.lifecycle import Limits

__all__ = ["RELOAD_SIGNAL", "run_supervisor"]

RELOAD_SIGNAL = signal.SIGUSR1
"""By which the main process passes SIGHUP on to the supervisor; blocked until the supervisor listens."""


def run_supervisor(
    loaded: LoadedConfig,
    runtime_dir: Path,
    *,
    address: str,
    plugins_required: Collection[str] = (),
    limits: Limits | None = None,
) -> None:
    """Run the supervisor in this process until SIGINT or SIGTERM, or until the main process dies.

    Meant as the body of a managed process of its own. Its socket is ``runtime_dir/supervisor.sock``.
    When it returns, no engine and no socket is left.

    Args:
        loaded: The checked configuration.
        runtime_dir: A folder of mode 0700 with a short path.
        address: Base URL of the door without ``/v1``, such as ``http://127.0.0.1:8000``.
        plugins_required: Backends and middleware that must be there.
        limits: How long things may take, where the configuration does not say.

    Raises:
        SystemExit: With status 2 when a plugin that the configuration names cannot start.
    """
    from hoonify_router.logs import configure_logging
    from hoonify_router.supervisor.entry import supervise  # gateways never need it
    from hoonify_router.supervisor.lifecycle import Limits

    configure_logging()
    supervise(loaded, Path(runtime_dir), address, plugins_required, limits or Limits())
