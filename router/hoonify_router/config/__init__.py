"""Configuration: typed structures, a strict YAML loader and the JSON Schema made from them."""

from hoonify_router.config.loader import (
    balance_options_for,
    find_config,
    find_state_dir,
    load_config,
    load_options,
    merged_options,
    options_for,
    read_config,
    settings_for,
)
from hoonify_router.config.model import (
    BackendDefaults,
    Config,
    HomeConfig,
    LoadedConfig,
    ModelConfig,
    Pricing,
    ServerConfig,
    home_id,
    shadow_id,
)
from hoonify_router.config.schema import json_schema
from hoonify_router.config.times import Duration

__all__ = [
    "BackendDefaults",
    "Config",
    "Duration",
    "HomeConfig",
    "LoadedConfig",
    "ModelConfig",
    "Pricing",
    "ServerConfig",
    "balance_options_for",
    "find_config",
    "find_state_dir",
    "home_id",
    "json_schema",
    "load_config",
    "load_options",
    "merged_options",
    "options_for",
    "read_config",
    "settings_for",
    "shadow_id",
]
