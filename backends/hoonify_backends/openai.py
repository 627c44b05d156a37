"""Any server that speaks OpenAI's API: vLLM, llama-server, another router, OpenAI itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from hoonify_router.api import (
    Backend,
    HomeConfig,
    LoadedConfig,
    ServerBackend,
    Unavailable,
    hookimpl,
)

__all__ = ["OpenAIOptions", "hoonify_register_backends", "hoonify_validate_config"]

_NAME = "openai"


class OpenAIOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a home at an OpenAI-compatible server may say of itself."""

    model: Annotated[
        str | None,
        Meta(description="The model's name on that server; default: the catalog's own ID."),
    ] = None


def check(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why the home cannot be used: it has no address, or one that is none."""
    if home.url is None:
        return Unavailable(
            "The address of its server is not set.",
            "give the base URL of a running server: `url: http://HOST:PORT/v1`",
        )
    return wrong_address(home.url)


def wrong_address(url: str) -> Unavailable | None:
    """Return what is wrong with a base URL, if anything is."""
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        well = False
    if well and not (parts.query or parts.fragment or parts.username):
        return None
    return Unavailable(
        "The address of its server is not usable.",
        "`url:` must be a plain base URL such as http://gpu-1:30000 or https://example.com/v1",
    )


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backend named ``openai``."""
    return [
        ServerBackend(
            name=_NAME,
            summary="Any OpenAI-compatible server, named by its URL.",
            options=OpenAIOptions,
            parameters=None,
            check=check,
            tasks=frozenset({"chat", "completion", "embedding"}),
        )
    ]


@hookimpl
def hoonify_validate_config(loaded: LoadedConfig) -> list[str]:
    """Return each home that lacks the address of its server; nobody could ever start one for it."""
    problems = []
    for model_id, model in loaded.config.models.items():
        for index, home in enumerate(model.every_home()):
            if home.backend == _NAME and home.url is None:
                at = f".homes[{index}]" if model.homes else ""
                at = ".shadow" if home is model.shadow else at
                problems.append(
                    f"models.{model_id}{at}.backend: {_NAME} needs the address of a running server;"
                    " add `url: http://HOST:PORT/v1` beside it"
                )
    return problems
