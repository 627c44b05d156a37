"""An exposition as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


class Told:
    """What an exposition tells.

    Args:
        text: It.
    """

    def __init__(self, text: bytes) -> None:
        self.families = list(text_string_to_metric_families(text.decode()))
        self.samples = [sample for family in self.families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one series, ``None`` if it is not told."""
        found = [s.value for s in self.samples if s.name == name and s.labels == labels]
        assert len(found) < 2
        return found[0] if found else None

    def labels(self, name: str) -> list[dict[str, str]]:
        """Return the labels of all series of a name."""
        return [sample.labels for sample in self.samples if sample.name == name]
