"""Ways to choose among a model's homes: the least busy one, the one that knows the prompt, the session's own.

A model names one with ``balance:``, and its settings with ``balance_options:``. Each gateway process chooses by what
it knows itself: requests that it has sent, prompts that it has seen, and what engines tell of their load.
"""

from __future__ import annotations

from hoonify_plugins.balancers.least_loaded import LeastLoaded, LeastLoadedSettings
from hoonify_plugins.balancers.prefix import Prefix, PrefixSettings
from hoonify_plugins.balancers.session import Session, SessionSettings
from hoonify_router.api import BalancerSpec, hookimpl

hoonify_api_version = (1, 0)


@hookimpl
def hoonify_register_balancers() -> list[BalancerSpec]:
    """Offer the three for ``balance:``."""
    return [
        BalancerSpec(
            name="least_loaded",
            summary="The less busy one of two homes drawn at random.",
            settings=LeastLoadedSettings,
            build=LeastLoaded,
        ),
        BalancerSpec(
            name="prefix",
            summary="The home that has seen the longest beginning of the prompt, if it is not too busy.",
            settings=PrefixSettings,
            build=Prefix,
        ),
        BalancerSpec(
            name="session",
            summary="The same home for all requests of a session.",
            settings=SessionSettings,
            build=Session,
        ),
    ]
