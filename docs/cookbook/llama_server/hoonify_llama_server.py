"""A backend that runs llama.cpp's `llama-server`, one for each home, or attaches to one by its `url:`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from hoonify_router.api import (
    Backend,
    HomeConfig,
    Launch,
    LaunchSite,
    ServerBackend,
    Unavailable,
    hookimpl,
)
from hoonify_router.types import Capabilities

PARAMETERS = frozenset(
    {
        "frequency_penalty", "max_completion_tokens", "max_tokens", "min_p", "presence_penalty", "seed",
        "stop", "temperature", "top_k", "top_p",
    }
)  # fmt: skip
LOADED = re.compile(r"model loaded|load_tensors|llama_model_loader")


class LlamaServerOptions(Struct, forbid_unknown_fields=True):
    """What `options:` may say."""

    model: Annotated[str, Meta(description="The GGUF file, relative to this file.", min_length=1)]
    context: Annotated[int, Meta(description="Tokens of prompt and answer.", ge=64)] = 4096
    slots: Annotated[int, Meta(description="Requests at the same time.", ge=1)] = 4
    program: Annotated[str, Meta(description="llama-server, or where it is.")] = "llama-server"
    arguments: Annotated[list[str], Meta(description="More arguments, as they are.")] = field(
        default_factory=list
    )


def check(options: Any, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Look whether a home can run here, without starting anything."""
    if home.url is not None:
        return None
    if shutil.which(options.program) is None:
        return Unavailable("llama-server is not installed.", f"no program {options.program!r}")
    if not (base_dir / options.model).is_file():
        return Unavailable("The model's file is missing.", f"no file {base_dir / options.model}")
    return None


def launch(options: Any, home: HomeConfig, site: LaunchSite) -> Launch:
    """Say how its server is started: {port} and {key} are drawn by the router."""
    command = (
        *(options.program, "--host", "127.0.0.1", "--port", "{port}"),
        *("--model", str(site.base_dir / options.model), "--alias", site.model),
        *("--ctx-size", str(options.context * options.slots), "--parallel", str(options.slots)),
        *options.arguments,
    )
    can = Capabilities(PARAMETERS, options.context, options.slots, device="llama.cpp")
    return Launch(
        command,
        env={"LLAMA_API_KEY": "{key}"},  # a command line is for everyone on the machine to read
        served_name=site.model,
        capabilities=can,
        ready_path="/health",
        read_progress=lambda line: ("loading", 0, 0) if LOADED.search(line) else None,
    )


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backend."""
    return [
        ServerBackend(
            name="llama_server",
            summary="llama.cpp's own server, for GGUF models.",
            options=LlamaServerOptions,
            parameters=PARAMETERS,
            check=check,
            launch=launch,
        )
    ]
