"""What a model may say of when its homes run, and on which GPUs."""

from __future__ import annotations

from hoonify_router.config.nodes import ListNode, MappingNode, ScalarNode
from hoonify_router.config.problems import Problems, shown


class DemandRules:
    """Applies the rules to one model or home after the other.

    Args:
        problems: Takes what is wrong.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def check_model(self, model: MappingNode) -> None:
        """Check when a model's homes run."""
        node = model.entries.get("idle_stop")
        if node is not None and model.text("start") != "on_demand":
            self._problems.add_at_key(node, "has a meaning with start: on_demand only")

    def check_home(self, home: MappingNode) -> None:
        """Check where a home runs, and what it takes there."""
        gpus = home.entries.get("gpu")
        sizes = home.entries.get("gpu_memory")
        if isinstance(gpus, ListNode):
            seen: set[object] = set()
            for node in gpus.items:
                if isinstance(node, ScalarNode) and not node.spoilt and node.value in seen:
                    self._problems.add(node, f"names {shown(node)} a second time")
                elif isinstance(node, ScalarNode):
                    seen.add(node.value)
        if not isinstance(sizes, ListNode):
            return
        wanted = len(gpus.items) if isinstance(gpus, ListNode) else 0
        if not wanted:
            self._problems.add(sizes, "a list needs gpu: [...], whose GPUs it goes through")
        elif len(sizes.items) != wanted:
            what = (
                f"must have one size for each of the {wanted} GPUs in gpu, has {len(sizes.items)}"
            )
            self._problems.add(sizes, what)
