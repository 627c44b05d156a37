"""What a model may say of the choice among its homes, and of the models that stand in for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from hoonify_router.config.model import ROUND_ROBIN
from hoonify_router.config.nodes import ListNode, MappingNode, ScalarNode
from hoonify_router.config.problems import Problems, closest, listed, shown

CheckStruct = Callable[[MappingNode, type[Struct]], object]
Missing = Callable[[str, bool], str]
"""What to say about a balancer that nobody brings, by its name; and whether that name is a secret."""


class RoutingRules:
    """Applies the rules to one model after the other.

    Args:
        balancers: Settings Struct of each installed balancer.
        missing: Words for a balancer that is not among them.
        check: Checks settings against a Struct.
        problems: Takes what is wrong.
    """

    def __init__(
        self,
        balancers: Mapping[str, type[Struct]],
        missing: Missing,
        check: CheckStruct,
        problems: Problems,
    ) -> None:
        self._balancers = balancers
        self._missing = missing
        self._check = check
        self._problems = problems

    def apply(self, name: str, model: MappingNode, models: MappingNode) -> None:
        """Check what the model called ``name`` says."""
        self._check_balance(model)
        fallback = model.entries.get("fallback")
        if isinstance(fallback, ListNode):
            self._check_fallback(name, fallback, models)

    def _check_balance(self, model: MappingNode) -> None:
        node, balance = model.entries.get("balance"), model.text("balance")
        options = model.entries.get("balance_options")
        if node is None or balance == ROUND_ROBIN:
            if isinstance(options, MappingNode) and options.entries:
                what = f"needs balance: NAME, one of {listed(sorted(self._balancers))}"
                if node is not None:
                    what = f"has no meaning: {ROUND_ROBIN} has no options"
                self._problems.add_at_key(options, what)
            return
        if balance is None or not isinstance(node, ScalarNode) or node.spoilt:
            return
        settings = self._balancers.get(balance)
        if settings is None:
            self._problems.add(node, self._missing(balance, node.from_env))
        elif isinstance(options, MappingNode):
            self._check(options, settings)
        elif options is None:  # then every setting has its default, or must not
            path = (*model.path, "balance_options")
            self._check(MappingNode(node.key_at, node.key_at, path), settings)

    def _check_fallback(self, name: str, fallback: ListNode, models: MappingNode) -> None:
        seen: set[str] = set()
        for node in fallback.items:
            if not (isinstance(node, ScalarNode) and isinstance(node.value, str)) or node.spoilt:
                continue
            if node.value in seen:
                self._problems.add(node, f"names {shown(node)} a second time")
            elif node.value == name:
                self._problems.add(node, "names the model itself, which has failed by then")
            elif node.value not in models.entries:
                others = sorted(set(models.entries) - {name})
                guess = None if node.from_env else closest(node.value, others)
                hint = f"did you mean {guess}?" if guess else f"the others: {listed(others)}"
                called = "of this name" if node.from_env else f"called {node.value}"
                self._problems.add(node, f"there is no model {called}; {hint}")
            seen.add(node.value)
