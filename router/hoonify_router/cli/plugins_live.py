"""How the plugins of a running router do: time spent, failures, stalls, and which are turned off."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from hoonify_router.cli.parser import UsageError
from hoonify_router.errors import ConfigError, RouterError

HEADS = ("name", "phase", "calls", "time per call", "failures", "loop stalls", "state")
ON = "on"


class LiveNumbers(Struct):
    """One middleware in all gateways of a router, since they started."""

    name: str
    phase: str = ""
    calls: int = 0
    seconds: float = 0.0
    failures: int = 0
    stalls: int = 0
    off: str = ""

    @property
    def state(self) -> str:
        """Return whether it is asked."""
        return f"off: {self.off}" if self.off else ON

    @property
    def pace(self) -> str:
        """Return how long a call takes."""
        return f"{self.seconds / self.calls * 1e6:.0f} µs" if self.calls else "-"

    @property
    def cells(self) -> tuple[str, ...]:
        """Return it as a row of a table."""
        numbers = str(self.calls), self.pace, str(self.failures), str(self.stalls)
        return (self.name, self.phase, *numbers, self.state)

    @property
    def story(self) -> str:
        """Return it as a sentence."""
        told = f"{self.calls} calls, {self.pace} each, {self.failures} failures"
        return f"{told}, {self.stalls} loop stalls; {self.state}"

    def add(self, told: dict[str, Any]) -> None:
        """Add what one gateway tells."""
        if told["phase"] != "settle":
            self.phase = told["phase"]
            self.calls += told["calls"]
            self.failures += told["failures"]
            self.stalls += told["stalls"]
            self.off = self.off or told["off"]
        self.seconds += told["seconds"]


def live_numbers(config: str | None) -> dict[str, LiveNumbers]:
    """Return them by name; nothing where no router runs or answers."""
    from hoonify_router.cli.running import find_router

    try:
        gateways = find_router(config).ask("plugins")
    except (UsageError, ConfigError, RouterError, OSError):
        return {}
    found: dict[str, LiveNumbers] = {}
    for gateway in gateways:
        for told in gateway:
            found.setdefault(told["name"], LiveNumbers(told["name"])).add(told)
    return found
