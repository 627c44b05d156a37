"""Whoever copies a YAML block out of the documentation has a configuration that loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import Block, blocks

from hoonify_router.config import load_config
from hoonify_router.loader import load_plugins


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_the_block_is_a_whole_configuration(block: Block, tmp_path: Path) -> None:
    """It loads with the built-in plugins, as strictly as any."""
    file = tmp_path / "router.yaml"
    file.write_text(block.text)
    plugins = load_plugins()
    loaded = load_config(
        file,
        backend_options=plugins.backend_options,
        plugin_settings=plugins.plugin_settings,
        env=dict.fromkeys(re.findall(r"\$\{(\w+)\}", block.text), "secret"),
    )
    assert loaded.config.models
