"""The examples under config/examples: each is a whole configuration that loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_router.config import load_config
from hoonify_router.loader import load_plugins

FOLDER = Path(__file__).resolve().parents[1] / "config" / "examples"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_loads(path: Path) -> None:
    """With what ships alone, in an empty environment."""
    plugins = load_plugins()
    loaded = load_config(
        path,
        backend_options=plugins.backend_options,
        plugin_settings=plugins.plugin_settings,
        balancer_settings=plugins.balancer_settings,
        url_backends=plugins.url_backends,
        env={},
    )
    assert loaded.state_dir.resolve() == FOLDER.parent / "var"
    for model in loaded.config.models.values():
        for home in model.all_homes():
            assert (path.parent / home.options["model"] / "config.json").is_file()
