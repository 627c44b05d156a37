"""Two backends and two middleware plugins that exist only here, and files written for one test."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct, field

from hoonify_router.config import Duration, LoadedConfig, load_config
from hoonify_router.errors import ConfigError


class Sampling(Struct, forbid_unknown_fields=True):
    """A Struct inside of the options."""

    temperature: Annotated[float, Meta(ge=0, le=2)] = 1.0


class ParrotOptions(Struct, forbid_unknown_fields=True):
    """Options with one field of each kind."""

    model: Annotated[str, Meta(min_length=1)]
    slots: Annotated[int, Meta(ge=1, le=64)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    gpu_split: list[float] = []
    warm_up: Annotated[Duration, Meta(gt=0)] = 1.0
    sampling: Sampling = field(default_factory=Sampling)
    quantization: Literal["fp8"] | None = None
    context: int | Literal["auto"] = "auto"
    extra: dict[str, str | int] = {}
    lo: int = 0
    hi: int = 9

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise ValueError(f"lo is {self.lo}, that is more than hi, {self.hi}")


class RemoteOptions(Struct, forbid_unknown_fields=True):
    """Options of a backend that is a server."""

    model: str = ""


class KeysSettings(Struct, forbid_unknown_fields=True):
    """Settings of a middleware plugin."""

    store: str | None = None
    plans: Annotated[list[str], Meta(min_length=1)] = field(default_factory=lambda: ["free"])


class QuotaSettings(Struct, forbid_unknown_fields=True):
    """Settings with a field that is required."""

    requests: int
    window: Duration = 60.0


BACKENDS: dict[str, type[Struct]] = {"parrot": ParrotOptions, "remote": RemoteOptions}
MIDDLEWARE: dict[str, type[Struct]] = {"keys": KeysSettings, "quota": QuotaSettings}

Load = Callable[..., LoadedConfig]

GOOD = """\
models:
  polly:
    provider: Nobody
    context_length: 4096
    backend: parrot
    options: {model: ./polly}
"""


def changed(old: str, new: str) -> str:
    """Return ``GOOD`` with one part of it replaced."""
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write text to ``router.yaml`` and load it."""
    monkeypatch.chdir(tmp_path)

    def load(text: str | bytes, env: dict[str, str] | None = None, **more: Any) -> LoadedConfig:
        content = textwrap.dedent(text).encode() if isinstance(text, str) else text
        Path("router.yaml").write_bytes(content)
        return load_config(
            "router.yaml",
            backend_options=BACKENDS,
            plugin_settings=MIDDLEWARE,
            env=env or {},
            **more,
        )

    return load


@pytest.fixture
def problems(load: Load) -> Callable[..., list[str]]:
    """Return the lines that loading a text fails with; none when it loads."""

    def problems(text: str | bytes, env: dict[str, str] | None = None, **more: Any) -> list[str]:
        try:
            load(text, env, **more)
        except ConfigError as error:
            return error.problems
        return []

    return problems
