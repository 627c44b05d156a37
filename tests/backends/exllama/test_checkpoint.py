"""What a model's folder says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.backends.exllama.folders import make_model, make_seeing_model, write_weights

from hoonify_backends.exllama.checkpoint import read_checkpoint
from hoonify_backends.generation.folder import FolderProblem


@pytest.mark.parametrize("form", ["plain", "exl2", "exl3", "gptq"])
def test_the_form_shows_in_the_names_of_the_weights(tmp_path: Path, form: str) -> None:
    """Old checkpoints do not say it in their configuration."""
    assert read_checkpoint(make_model(tmp_path, form)).form == form


@pytest.mark.parametrize(
    ("method", "form"), [("exl2", "exl2"), ("exl3", "exl3"), ("awq", "other"), ("fp8", "other")]
)
def test_or_in_the_configuration(tmp_path: Path, method: str, form: str) -> None:
    """Where the names tell nothing."""
    make_model(tmp_path, quantization_config={"quant_method": method})
    assert read_checkpoint(tmp_path).form == form


def test_weights_named_as_those_of_gptq_may_be_others(tmp_path: Path) -> None:
    """AWQ's are, and would be nonsense as GPTQ."""
    make_model(tmp_path, "gptq", quantization_config={"quant_method": "awq"})
    assert read_checkpoint(tmp_path).form == "other"


def test_every_file_of_weights_is_looked_at(tmp_path: Path) -> None:
    """The first may hold embeddings only."""
    make_model(tmp_path)
    write_weights(tmp_path / "model-2.safetensors", ["model.layers.9.mlp.up_proj.trellis"], 100)
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.form == "exl3"
    files = tmp_path.glob("*.safetensors")
    assert checkpoint.weights_bytes == sum(file.stat().st_size for file in files)


def test_all_ends_of_an_answer_count(tmp_path: Path) -> None:
    """ExLlamaV2 itself keeps the first one only."""
    make_model(tmp_path, eos_token_id=128001)
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [128001, 128008, 128009], "do_sample": True, "top_p": 0.9})
    )
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.eos == {128001, 128008, 128009}
    assert checkpoint.suggestion.top_p == 0.9


def test_a_model_with_several_parts_tells_of_its_language_model(tmp_path: Path) -> None:
    """Its sizes stand one level deeper."""
    make_model(
        tmp_path,
        max_position_embeddings=None,
        text_config={"max_position_embeddings": 32768, "eos_token_id": 7},
    )
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.context_length == 32768
    assert checkpoint.eos == {7}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", None, "no file"),
        ("config.json", b"{", "config.json: "),
        ("tokenizer.json", None, "sentencepiece"),
        ("model.safetensors", None, r"no \*.safetensors"),
        ("model.safetensors", b"GGUF", "does not begin as such a file does"),
        ("model.safetensors", (9).to_bytes(8, "little") + b"not JSON!", "model.safetensors: "),
        ("generation_config.json", b"[]", "generation_config.json: "),
    ],
)
def test_a_folder_that_is_not_right(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    """One plain sentence for clients, and the path for operators."""
    make_model(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FolderProblem, match=told) as caught:
        read_checkpoint(tmp_path)
    assert str(tmp_path) in caught.value.detail
    assert "/" not in caught.value.reason


def test_other_kinds_of_weights_are_named(tmp_path: Path) -> None:
    """A folder with a GGUF file is a common mistake."""
    make_model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model.gguf")
    with pytest.raises(FolderProblem, match=r"only files such as model\.gguf"):
        read_checkpoint(tmp_path)


def test_what_a_model_sees_with(tmp_path: Path) -> None:
    """Its tensors tell, in whatever form the others are."""
    seeing = read_checkpoint(make_seeing_model(tmp_path / "s", size=8))
    assert seeing.tower_bytes == 3 * 16
    assert seeing.preprocessor == {"image_processor_type": "PixtralImageProcessor"}


@pytest.mark.parametrize("names", [["model.embed_tokens.weight"], ["revisual.weight"]])
def test_a_model_that_sees_nothing(tmp_path: Path, names: list[str]) -> None:
    """Though its configuration speaks of images, as that of a part of a model may."""
    model = make_model(tmp_path / "m", vision_config={"model_type": "pixtral"})
    write_weights(model / "model.safetensors", names)
    checkpoint = read_checkpoint(model)
    assert checkpoint.tower_bytes == 0
    assert checkpoint.preprocessor is None
    assert read_checkpoint(make_model(tmp_path / "text")).tower_bytes == 0
