"""What the configuration of limits may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hoonify_plugins import rate_limits
from hoonify_plugins.api_keys.settings import settings_in
from hoonify_router.api import LoadedConfig
from hoonify_router.config.model import Config

PIPELINE = ("api_keys", "rate_limits")


def problems(
    tmp_path: Path, plugins: dict[str, Any], pipeline: tuple[str, ...] = PIPELINE
) -> list[str]:
    """Return what the plugin says about these settings."""
    return rate_limits.hoonify_validate_config(load(tmp_path, plugins, pipeline))


def load(
    tmp_path: Path, plugins: dict[str, Any], pipeline: tuple[str, ...] = PIPELINE
) -> LoadedConfig:
    config = Config(models={}, pipeline=list(pipeline), plugins=plugins)
    return LoadedConfig(tmp_path / "router.yaml", config, tmp_path)


def test_each_side_must_know_the_other_s_plans(tmp_path: Path) -> None:
    """A key without limits would be refused, limits without keys are a slip."""
    plans = {
        "api_keys": {"plans": ["free", "gold"]},
        "rate_limits": {"plans": {"free": {}, "fre": {}}},
    }
    assert problems(tmp_path, plans) == [
        "plugins.api_keys.plans: 'gold' has no limits in plugins.rate_limits.plans (free, fre)",
        "plugins.rate_limits.plans: no key can be on 'fre', which plugins.api_keys.plans does not list",
    ]


@pytest.mark.parametrize(
    ("plugins", "pipeline"),
    [
        ({}, PIPELINE),
        ({"rate_limits": {"plans": {"gold": {}}}}, PIPELINE),
        ({"api_keys": {"plans": ["gold"]}}, ("api_keys",)),
        ({"api_keys": {"plans": ["gold"]}, "rate_limits": {"plans": {"gold": {}}}}, PIPELINE),
    ],
)
def test_plans_that_fit(tmp_path: Path, plugins: dict[str, Any], pipeline: tuple[str, ...]) -> None:
    """By default there is one list of them; a plugin that is not in the pipeline is not asked."""
    assert problems(tmp_path, plugins, pipeline) == []


def test_keys_may_be_on_the_plans_that_have_limits(tmp_path: Path) -> None:
    """Nobody lists them twice."""
    loaded = load(tmp_path, {"rate_limits": {"plans": {"tiny": {}, "huge": {}}}})
    assert settings_in(loaded).plans == ["tiny", "huge"]
    assert settings_in(loaded).first_plan == "tiny"
    assert settings_in(load(tmp_path, {})).plans == ["free", "standard", "unlimited"]


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("memory", None),
        ("redis://host:1/0", None),
        ("http://host", "memory or a URL such as redis://"),
    ],
)
def test_where_counts_may_be(tmp_path: Path, store: str, said: str | None) -> None:
    """In memory or in Redis; an address is never quoted."""
    told = problems(tmp_path, {"rate_limits": {"store": store}})
    assert (told == []) if said is None else (said in told[0] and store not in told[0])
