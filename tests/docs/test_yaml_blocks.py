"""Whoever copies a YAML block out of the documentation has a configuration that loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import Block, blocks

from hoonify_router.config import LoadedConfig, load_config
from hoonify_router.errors import ConfigError
from hoonify_router.loader import load_plugins


def load(text: str, file: Path) -> LoadedConfig:
    """Load ``text`` as an operator's file, with the built-in plugins."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    plugins = load_plugins()
    return load_config(
        file,
        backend_options=plugins.backend_options,
        plugin_settings=plugins.plugin_settings,
        balancer_settings=plugins.balancer_settings,
        env=dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "secret"),
    )


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_the_block_is_a_whole_configuration(block: Block, tmp_path: Path) -> None:
    """It loads with the built-in plugins, as strictly as any."""
    assert load(block.text, tmp_path / "router.yaml").config.models


@pytest.mark.parametrize("block", blocks("yml"), ids=str)
def test_mistakes_are_told_as_the_page_says(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block with mistakes is followed by what the router says about it, word by word."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(block.text, Path("config/router.yaml"))
    answer = next(b for b in blocks("text") if b.page == block.page and b.line > block.line)
    assert caught.value.problems == answer.text.splitlines()
