"""The configuration that ships: it loads, it is the catalog that was promised, and editors know all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hoonify_router.config import LoadedConfig, json_schema, load_config, options_for
from hoonify_router.config.problems import Problems
from hoonify_router.config.yaml_source import read_yaml
from hoonify_router.loader import Plugins, load_plugins

CONFIG = Path(__file__).resolve().parents[1] / "config"
SHIPPED = CONFIG / "router.yaml"
SCHEMA = CONFIG / "router.schema.json"

CATALOG = {
    "tiny-chat": ("Hoonify", 1_024, "onnxruntime"),
    "qwen-3": ("Qwen", 131_072, "sglang"),
    "deepseek-r1": ("DeepSeek", 131_072, "sglang"),
    "deepseek-v3": ("DeepSeek", 131_072, "sglang"),
    "llama-4-scout": ("Meta", 10_485_760, "sglang"),
    "qwen2-5-72b": ("Qwen", 131_072, "exllamav2"),
    "llama-3-3-70b": ("Meta", 131_072, "exllamav2"),
    "qwq-32b": ("Qwen", 32_768, "exllamav2"),
    "gemma-2-27b": ("Google", 8_192, "exllamav2"),
    "mistral-large": ("Mistral", 131_072, "exllamav2"),
    "mistral-7b-instruct": ("Mistral", 32_768, "onnxruntime"),
}


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    """The plugins that ship."""
    return load_plugins()


@pytest.fixture(scope="module")
def loaded(plugins: Plugins) -> LoadedConfig:
    """The shipped file, loaded in an empty environment."""
    return load_config(
        SHIPPED,
        backend_options=plugins.backend_options,
        plugin_settings=plugins.plugin_settings,
        balancer_settings=plugins.balancer_settings,
        url_backends=plugins.url_backends,
        env={},
    )


def test_the_catalog_is_the_one_that_was_promised(loaded: LoadedConfig) -> None:
    """Ten models on their intended homes, and the one that runs anywhere."""
    models = loaded.config.models
    found = {name: (m.provider, m.context_length, m.backend) for name, m in models.items()}
    assert found == CATALOG


def test_every_model_can_be_shown_in_a_catalog(loaded: LoadedConfig) -> None:
    """Each has a description, prices and the day of its release."""
    for name, model in loaded.config.models.items():
        assert model.description.endswith("."), name
        assert model.pricing is not None, name
        assert model.pricing.output >= model.pricing.input >= 0, name
        assert model.created > 1_700_000_000, name


def test_only_the_model_that_runs_anywhere_is_started_at_once(loaded: LoadedConfig) -> None:
    """Nobody's GPU is filled by the first start."""
    started = [name for name, model in loaded.config.models.items() if model.start == "always"]
    assert started == ["tiny-chat"]


def test_every_home_has_the_options_of_its_backend(loaded: LoadedConfig, plugins: Plugins) -> None:
    """What the supervisor will ask for is there, a real name of weights above all."""
    for name, model in loaded.config.models.items():
        (home,) = model.all_homes()
        options: Any = options_for(loaded, home, plugins.backends[home.backend].options)
        assert "/" in options.model, name


def test_the_door_asks_for_a_key(loaded: LoadedConfig) -> None:
    """It listens on this machine only, and every request passes the keys."""
    assert loaded.config.server.host == "127.0.0.1"
    pipeline = ["api_keys", "rate_limits", "usage", "metrics", "openai_errors", "pages"]
    assert loaded.config.pipeline == pipeline
    plans = loaded.config.plugins["rate_limits"]["plans"]
    assert list(plans) == ["free", "standard", "unlimited"]


def test_the_state_stays_beside_the_file(loaded: LoadedConfig) -> None:
    """Keys are found again, wherever the command is called."""
    assert loaded.state_dir == CONFIG / "var"


def test_the_first_line_tells_editors_of_the_schema() -> None:
    """Completion works without any setting up."""
    first = SHIPPED.read_text().partition("\n")[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA.name}"


def test_the_schema_is_current(plugins: Plugins) -> None:
    """After a change of any Struct: `hoonify-router schema --write config/router.schema.json`."""
    current = json_schema(
        backend_options=plugins.backend_options,
        plugin_settings=plugins.plugin_settings,
        balancer_settings=plugins.balancer_settings,
    )
    assert json.loads(SCHEMA.read_text()) == current


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """A validator of the committed schema."""
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def document() -> Any:
    """The shipped file as an editor reads it: by YAML 1.2, where a day is a text."""

    node = read_yaml(SHIPPED.read_text(), {}, Problems(SHIPPED.name))
    assert node is not None
    return node.plain()


def test_the_shipped_file_is_valid_by_its_schema(
    validator: Draft202012Validator, document: Any
) -> None:
    """No editor underlines anything in it."""
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    "path",
    [
        ("server", "port"),
        ("plugins", "rate_limits", "plans"),
        ("backends", "exllamav2", "options", "cache"),
        ("models", "qwen-3", "context_length"),
        ("models", "qwen-3", "pricing", "input"),
        ("models", "qwen-3", "options", "tensor_parallel"),
        ("models", "qwq-32b", "options", "context_length"),
        ("models", "tiny-chat", "options", "threads"),
    ],
    ids=".".join,
)
def test_a_misspelt_key_is_underlined(
    validator: Draft202012Validator, document: Any, path: tuple[str, ...]
) -> None:
    """Down to the options of each backend."""
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1] + "x"] = holder.pop(path[-1])
    assert any(path[-1] + "x" in error.message for error in validator.iter_errors(document))
