"""No secret is shown by printing what holds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from hoonify_router.config.model import Config, HomeConfig, LoadedConfig, ModelConfig
from hoonify_router.types import HomeView

SECRET = "hunter2"
HOME = HomeConfig("openai", {"model": "m", "hf_token": SECRET}, "http://gpu-1", SECRET)
MODEL = ModelConfig("P", 1, api_key=SECRET, backend="openai", url="http://gpu-1")
CONFIG = Config(
    {"a": MODEL, "b": ModelConfig("P", 1, homes=[HOME])},
    plugins={"acme": {"hooks": [{"password": SECRET}], "store": f"redis://me:{SECRET}@host/0"}},
)


@pytest.mark.parametrize(
    "holder",
    [
        HOME,
        MODEL,
        CONFIG,
        LoadedConfig(Path("router.yaml"), CONFIG, Path("var")),
        HomeView("a", "a", "openai", "server", "ready", "http://gpu-1/v1", api_key=SECRET),
    ],
    ids=lambda holder: type(holder).__name__,
)
@pytest.mark.parametrize("show", [repr, str, pretty_repr])
def test_secrets_are_hidden_by_their_names(holder: object, show: type[str]) -> None:
    """Everything else is shown, so that the text still tells something."""
    shown = show(holder)
    assert SECRET not in shown
    assert "'...'" in shown
    assert "gpu-1" in shown


def test_no_secret_is_told_from_a_secret() -> None:
    """None and empty texts are shown as they are."""
    assert "api_key=None" in repr(HomeConfig("echo"))
    assert "api_key=''" in repr(HomeView("a", "a", "echo", "worker", "ready"))
