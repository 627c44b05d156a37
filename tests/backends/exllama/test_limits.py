"""How long conversations may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.backends.exllama.folders import make_model

from hoonify_backends.exllama.checkpoint import read_checkpoint
from hoonify_backends.exllama.limits import Limits, longest_context, read_limits
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.generation.folder import FolderProblem

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Limits(4096, 4096)),
        ({"context_length": 1000}, Limits(1000, 1024)),
        ({"context_length": 1000, "cache_tokens": 8192}, Limits(1000, 8192)),
        ({"cache_tokens": 8192}, Limits(4096, 8192)),
        ({"cache_tokens": 1024}, Limits(1024, 1024)),
    ],
)
def test_what_options_and_model_allow(
    tmp_path: Path, options: dict[str, Any], expected: Limits
) -> None:
    """The cache is whole pages, and no conversation is longer than it."""
    model = read_checkpoint(make_model(tmp_path))
    limits = read_limits(ExllamaOptions("m", **options), model)
    assert limits == expected
    assert limits.pages * 256 == limits.cache_tokens


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"context_length": 4097}, r"4097 is over the 4096 tokens that .*config\.json says"),
        ({"context_length": 2048, "cache_tokens": 1024}, "no room for one conversation"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    """Neither engine would notice: it would read past the end of its tables."""
    model = read_checkpoint(make_model(tmp_path))
    with pytest.raises(FolderProblem, match=told):
        read_limits(ExllamaOptions("m", **options), model)


@pytest.mark.parametrize(
    ("config", "most"),
    [
        ({"max_position_embeddings": None}, 2048),
        ({"max_position_embeddings": 32768, "rope_scaling": YARN}, 131072),
        ({"max_position_embeddings": 32768, "rope_parameters": YARN}, 131072),
        ({"max_position_embeddings": 131072, "rope_scaling": LLAMA3}, 131072),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, 8192),
        ({"rope_scaling": {"type": "dynamic", "factor": 2}}, 4096),
    ],
)
def test_stretched_positions_count(tmp_path: Path, config: dict[str, Any], most: int) -> None:
    """Only where the engine stretches them, too."""
    assert longest_context(read_checkpoint(make_model(tmp_path, **config))) == most
