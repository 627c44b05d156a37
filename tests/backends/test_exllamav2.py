"""The ExLlamaV2 backend, which so far is a name and options only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_backends import exllamav2
from hoonify_backends.exllamav2 import ExLlamaV2Options, check
from hoonify_router.api import HomeConfig

HERE = Path(__file__).parent


def test_it_registers_one_worker_backend() -> None:
    """Whose summary does not promise what it cannot do."""
    (backend,) = exllamav2.hoonify_register_backends()
    assert (backend.name, backend.kind) == ("exllamav2", "worker")
    assert "cannot run models yet" in backend.summary


@pytest.mark.parametrize("python", [None, "/opt/exllamav2/bin/python"])
def test_no_home_of_it_can_run(python: str | None) -> None:
    """The operator reads what to do instead."""
    options = ExLlamaV2Options(model="/models/x")
    refused = check(options, HomeConfig("exllamav2", python=python), HERE)
    assert refused is not None
    assert "cannot run models in this version" in refused.reason
    assert "re-home" in refused.detail


def test_options_are_those_of_the_shipped_configuration() -> None:
    """They will mean the same when it can run."""
    given = {"model": "/models/x", "context_length": 131072, "cache": "q8"}
    assert msgspec.convert(given, ExLlamaV2Options).cache == "q8"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"model": "x", "cache": "q5"},
        {"model": "x", "cache_tokens": 1000},
        {"model": "x", "gpu_split": [0]},
        {"model": "x", "gpu_splits": [1]},
    ],
)
def test_options_are_strict(wrong: dict[str, Any]) -> None:
    """A mistake is refused when the file is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, ExLlamaV2Options)
