"""Which homes should run and do not, and whether requests should come all the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hoonify_router.types import HomeView


class Presence:
    """What the newest routing table says of homes that should always run.

    Attributes:
        missing: Those that do not, and models that have no home yet.
        serves: Whether requests should come, for the readiness probe. Not before each of these homes has come to
            a first result, be it a failure; and not while no home runs, as another router may do better. One
            that is down is no reason to keep the others from serving.
    """

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.serves = False
        self._settled = False

    def update(self, models: Collection[str], homes: Iterable[HomeView]) -> None:
        """Take in a table.

        Args:
            models: All that the catalog has.
            homes: All homes; shadows serve nobody.
        """
        ours = [home for home in homes if home.model in models and not home.shadow]
        found = {home.model for home in ours}
        bare = [model for model in models if model not in found]
        lacking = [
            home
            for home in ours
            if home.always and not home.held and home.state not in ("ready", "unavailable")
        ]
        self.missing = bare + [home.id for home in lacking]
        self._settled = self._settled or not (
            bare or any(home.state != "failed" for home in lacking)
        )
        runs = any(home.state == "ready" for home in ours)
        self.serves = not self.missing or (runs and self._settled)
