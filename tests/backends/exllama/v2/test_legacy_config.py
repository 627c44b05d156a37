"""Configurations of transformers 5 in the words of transformers 4, which are all that ExLlamaV2 knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.backends.exllama.folders import LLAMA, make_model

from hoonify_backends.exllama.v2.legacy_config import legacy_config, readable_folder
from hoonify_backends.generation.folder import FolderProblem

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, {"rope_theta": 5e5}),
        (
            {"rope_parameters": {"rope_theta": 5e5, **LLAMA3}},
            {"rope_theta": 5e5, "rope_scaling": LLAMA3},
        ),
        (  # Gemma 3
            {
                "rope_parameters": {
                    "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
                    "sliding_attention": {"rope_theta": 10000, "rope_type": "default"},
                }
            },
            {"rope_theta": 1e6, "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        ),
        (
            {"text_config": {"rope_parameters": {"rope_theta": 1e6}}},
            {"text_config": {"rope_theta": 1e6}},
        ),
        (
            {"rope_scaling": {"type": "yarn", "rope_type": "yarn", "factor": 4}},
            {"rope_scaling": {"rope_type": "yarn", "factor": 4}},
        ),
        ({"rope_scaling": {"rope_type": "default"}}, {}),
        (
            {"rope_theta": 1.0, "rope_parameters": {"rope_theta": 2.0}},
            {"rope_theta": 2.0},
        ),
        (
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "original_max_position_embeddings": 4096,
                }
            },
            {
                "rope_scaling": {
                    "rope_type": "longrope",
                    "original_max_position_embeddings": 4096,
                },
                "original_max_position_embeddings": 4096,
            },
        ),
    ],
)
def test_newer_words_become_older_ones(newer: dict[str, Any], older: dict[str, Any]) -> None:
    """The base of the positions is not lost on the way."""
    assert legacy_config(newer) == older
    assert legacy_config(older) == older


@pytest.mark.parametrize(
    "config",
    [
        {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e6}},
        {"rope_parameters": {"sparse_attention": {"rope_theta": 1e6}}},
        {
            "rope_parameters": {
                "full_attention": {"rope_theta": 1e6},
                "sliding_attention": {"rope_theta": 2e4},
            }
        },
    ],
)
def test_what_would_be_ignored_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    """A model with wrong positions talks nonsense, and nothing says why."""
    with (
        pytest.raises(FolderProblem, match=r"config\.json: .*ExLlamaV2"),
        readable_folder(tmp_path, config),
    ):
        pass


def test_a_model_in_older_words_is_read_in_its_place(tmp_path: Path) -> None:
    """Nothing is copied."""
    with readable_folder(tmp_path, LLAMA) as folder:
        assert folder == tmp_path


def test_a_model_in_newer_words_is_read_through_links(tmp_path: Path) -> None:
    """Weights stay where they are, and nothing is left behind."""
    model = make_model(
        tmp_path / "m", rope_theta=None, rope_parameters={"rope_theta": 5e5, "rope_type": "default"}
    )
    config = json.loads((model / "config.json").read_text())
    before = {file.name: file.read_bytes() for file in model.iterdir()}
    with readable_folder(model, config) as folder:
        assert folder != model
        assert json.loads((folder / "config.json").read_text())["rope_theta"] == 5e5
        assert (folder / "model.safetensors").resolve() == model / "model.safetensors"
        assert {file.name for file in folder.iterdir()} == set(before)
    assert not folder.exists()
    assert {file.name: file.read_bytes() for file in model.iterdir()} == before
