"""The balancers that ship are found, built and used like any other plugin's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from hoonify_plugins import balancers as plugin
from hoonify_router.api import Balancer, BalancerSpec, Candidate, RequestContext, hookimpl
from hoonify_router.loader import load_plugins

MakeCandidates = Callable[..., list[Candidate]]
MakeContext = Callable[..., RequestContext]


@pytest.mark.parametrize("spec", plugin.hoonify_register_balancers(), ids=lambda spec: spec.name)
def test_each_is_installed_and_works_with_its_defaults(
    spec: BalancerSpec, candidates: MakeCandidates, context: MakeContext
) -> None:
    """Whatever a request is: it returns one of the candidates, not a copy."""
    installed = load_plugins().balancers[spec.name]
    assert installed.settings is spec.settings
    balancer = installed.build(installed.settings())
    three = candidates(1, 2, 3)
    balancer.update([one.home for one in three])
    for asked in (context(), context(""), context("hello" * 1000), context("x", user="u")):
        for some in (three, three[1:]):
            chosen = balancer.choose(some, asked)
            assert any(chosen is one for one in some)


class LastOne(Balancer):
    """The smallest balancer there is."""

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        return candidates[-1]


class Other:
    """A plugin of somebody else."""

    @hookimpl
    def hoonify_register_balancers(self) -> list[BalancerSpec]:
        return [
            BalancerSpec(
                "last", "The last one.", plugin.LeastLoadedSettings, lambda settings: LastOne()
            )
        ]


def test_a_third_partys_needs_no_more_than_a_method(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Hearing of homes is optional."""
    (spec,) = Other().hoonify_register_balancers()
    balancer = spec.build(spec.settings())
    two = candidates(1, 1)
    balancer.update([one.home for one in two])
    assert balancer.choose(two, context()) is two[1]
