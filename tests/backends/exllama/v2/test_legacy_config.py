"""Configurations of transformers 5 in the words of transformers 4, which are all that ExLlamaV2 knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.backends.exllama.folders import LLAMA, make_model

from hoonify_backends.exllama.checkpoint import read_checkpoint
from hoonify_backends.exllama.v2.legacy_config import (
    legacy_config,
    legacy_preprocessor,
    readable_folder,
)
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


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (
            {
                "image_processor_type": "Qwen2VLImageProcessorFast",
                "size": {"shortest_edge": 3136, "longest_edge": 12845056},
            },
            {
                "image_processor_type": "Qwen2VLImageProcessor",
                "size": {"shortest_edge": 3136, "longest_edge": 12845056},
                "min_pixels": 3136,
                "max_pixels": 12845056,
            },
        ),
        (
            {"image_processor_type": "Gemma3ImageProcessorFast", "size": {"height": 896}},
            {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 896}},
        ),
        (
            {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 1024}},
            {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 1024}},
        ),
    ],
)
def test_making_images_ready_in_newer_words(newer: dict[str, Any], older: dict[str, Any]) -> None:
    """The quick code does what the slow did, and ExLlamaV2 knows the slow by name."""
    assert legacy_preprocessor(newer) == older


@pytest.mark.parametrize(
    "said",
    [
        {"rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]}},
        {
            "rope_scaling": {
                "type": "default",
                "rope_type": "default",
                "mrope_section": [8, 12, 12],
            }
        },
        {"rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12]}},
    ],
)
def test_positions_in_an_image(said: dict[str, Any]) -> None:
    """A model that was saved again calls them the usual ones; without them no image could be placed."""
    assert legacy_config(said) == {"rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]}}


def test_what_qwen_says_twice() -> None:
    """Newer files say it once."""
    vision = {"temporal_patch_size": 2, "patch_size": 14}
    plain = legacy_config({"vision_config": vision})
    assert plain["vision_config"] == {**vision, "spatial_patch_size": 14}


def test_a_folder_of_transformers_5(tmp_path: Path) -> None:
    """How images are made ready stands in another file there."""
    said = {"image_processor_type": "Qwen2VLImageProcessorFast"}
    model = make_model(tmp_path / "m", vision_config={"model_type": "qwen2_vl"})
    (model / "processor_config.json").write_text(json.dumps({"image_processor": said}))
    checkpoint = read_checkpoint(model)
    assert checkpoint.preprocessor == said
    with readable_folder(model, checkpoint.config, checkpoint.preprocessor) as folder:
        assert folder != model
        written = json.loads((folder / "preprocessor_config.json").read_text())
        assert written == {"image_processor_type": "Qwen2VLImageProcessor"}
        assert (folder / "tokenizer.json").is_file()


def test_a_folder_that_says_all_as_it_should_is_taken_as_it_is(tmp_path: Path) -> None:
    """Images included."""
    said = {"image_processor_type": "PixtralImageProcessor"}
    model = make_model(tmp_path / "m", vision_config={"model_type": "pixtral"})
    (model / "preprocessor_config.json").write_text(json.dumps(said))
    checkpoint = read_checkpoint(model)
    with readable_folder(model, checkpoint.config, checkpoint.preprocessor) as folder:
        assert folder == model
