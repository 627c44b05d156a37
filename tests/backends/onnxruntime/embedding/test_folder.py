"""Folders of embedding models: what is read out of them, and what an operator is told of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.onnxruntime.embedding.folder import EmbeddingFolder, read_embedding_folder
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions

ST = "sentence_transformers.models."
MODULES = [
    {"type": f"{ST}Transformer", "path": ""},
    {"type": f"{ST}Pooling", "path": "1_Pooling"},
    {"type": f"{ST}Normalize", "path": "2_Normalize"},
]


def write(folder: Path, **files: Any) -> Path:
    """Write JSON files; ``__`` in a name is a slash, a name with a dot is any file."""
    for name, content in {"tokenizer": {}, "model.onnx": "", **files}.items():
        if content is None:
            continue
        path = folder / name.replace("__", "/")
        if "." not in name:
            path = path.with_name(f"{path.name}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def read(folder: Path, **options: Any) -> EmbeddingFolder:
    return read_embedding_folder(folder, OnnxEmbeddingOptions(str(folder), **options))


def problem(folder: Path, **options: Any) -> str:
    """Return what the operator is told, after a look at what clients may read."""
    with pytest.raises(FolderProblem) as caught:
        read(folder, **options)
    assert caught.value.reason.endswith(".")
    assert "/" not in caught.value.reason
    assert "\n" not in caught.value.detail
    return caught.value.detail


def test_the_real_model_says_it_all(minilm: Path) -> None:
    """Its own files give pooling, length and scale; the positions would allow more."""
    folder = read(minilm)
    assert (folder.pooling, folder.normalize, folder.max_length) == ("mean", True, 256)
    assert folder.graph == minilm / "onnx" / "model.onnx"
    assert (folder.beyond, folder.prefix) == ("", "")
    assert folder.config.vocab_size == 30522
    assert read(minilm, max_length=512).max_length == 512


def test_without_any_files_of_its_own_the_usual_counts(tmp_path: Path) -> None:
    """Mean of the tokens, length 1."""
    folder = read(write(tmp_path, config={"max_position_embeddings": 64}))
    assert (folder.pooling, folder.normalize, folder.max_length) == ("mean", True, 64)


@pytest.mark.parametrize(
    ("facts", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({}, "mean"),
    ],
)
def test_pooling_is_read_in_either_form(
    tmp_path: Path, facts: dict[str, Any], pooling: str
) -> None:
    """Older files have switches, newer ones a name."""
    folder = read(write(tmp_path, **{"1_Pooling__config": facts}), max_length=8)
    assert (folder.pooling, folder.beyond) == (pooling, "")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls + mean"),
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
    ],
)
def test_a_pooling_that_is_not_done_here_is_noted(
    tmp_path: Path, facts: dict[str, Any], said: str
) -> None:
    """It matters only where the graph does not do it, so it is told at load; an operator's word overrules."""
    folder = write(tmp_path, **{"1_Pooling__config": facts})
    assert said in read(folder, max_length=8).beyond
    overruled = read(folder, max_length=8, pooling="cls")
    assert (overruled.pooling, overruled.beyond) == ("cls", "")


def test_a_layer_after_the_encoder_is_noted(tmp_path: Path) -> None:
    """No pooling: of the operator's makes up for a Dense that the graph does not have."""
    dense = [*MODULES, {"type": f"{ST}Dense", "path": "3_Dense"}]
    folder = write(tmp_path, modules=dense)
    assert "a module Dense" in read(folder, max_length=8).beyond
    assert "a module Dense" in read(folder, max_length=8, pooling="mean").beyond


def test_modules_say_whether_vectors_are_scaled(tmp_path: Path) -> None:
    """A list without Normalize means no; the operator's word counts more."""
    folder = write(tmp_path, modules=MODULES[:2])
    assert not read(folder, max_length=8).normalize
    assert read(folder, max_length=8, normalize=True).normalize
    write(tmp_path, modules=MODULES)
    assert read(folder, max_length=8).normalize
    assert not read(folder, max_length=8, normalize=False).normalize


def test_the_pooling_may_lie_elsewhere(tmp_path: Path) -> None:
    """modules.json says where, also under the module names of newer versions."""
    modules = [{"type": "sentence_transformers.modules.pooling.Pooling", "path": "9_P"}]
    write(tmp_path, modules=modules, **{"9_P__config": {"pooling_mode_cls_token": True}})
    folder = read(tmp_path, max_length=8)
    assert (folder.pooling, folder.beyond) == ("cls", "")


@pytest.mark.parametrize(
    ("files", "length"),
    [
        ({"sentence_bert_config": {"max_seq_length": 128}}, 128),
        ({"sentence_xlm-roberta_config": {"max_seq_length": 100}}, 100),
        ({"sentence_bert_config": {"max_seq_length": None}}, 512),
        ({"tokenizer_config": {"model_max_length": 384}}, 384),
        ({"tokenizer_config": {"model_max_length": 10**30}}, 512),
        ({"tokenizer_config": {"model_max_length": 9000}}, 512),
        (
            {
                "config": {
                    "model_type": "xlm-roberta",
                    "max_position_embeddings": 514,
                    "pad_token_id": 1,
                }
            },
            512,
        ),
        ({}, 512),
    ],
)
def test_how_long_a_text_may_be(tmp_path: Path, files: dict[str, Any], length: int) -> None:
    """The sentence configuration first, then the tokenizer's, and never more than there are positions."""
    config = {"model_type": "bert", "max_position_embeddings": 512}
    assert read(write(tmp_path, **{"config": config, **files})).max_length == length


def test_the_default_prompt_is_the_prefix(tmp_path: Path) -> None:
    """As sentence-transformers has it; an operator may say another, or none."""
    prompts = {"prompts": {"query": "find: "}, "default_prompt_name": "query"}
    write(tmp_path, config_sentence_transformers=prompts)
    assert read(tmp_path, max_length=8).prefix == "find: "
    assert read(tmp_path, max_length=8, prefix="").prefix == ""
    write(tmp_path, **{"1_Pooling__config": {"include_prompt": False}})
    assert "without the prefix" in read(tmp_path, max_length=8).beyond


def test_the_graph_is_found(tmp_path: Path) -> None:
    """In the onnx folder, beside the tokenizer, the only one, or the one that is named."""
    write(tmp_path, **{"model.onnx": None, "other.onnx": ""})
    assert read(tmp_path, max_length=8).graph.name == "other.onnx"
    write(tmp_path)
    assert read(tmp_path, max_length=8).graph == tmp_path / "model.onnx"
    write(tmp_path, **{"onnx__model.onnx": "", "onnx__model_qint8.onnx": ""})
    assert read(tmp_path, max_length=8).graph == tmp_path / "onnx" / "model.onnx"
    named = read(tmp_path, max_length=8, file="onnx/model_qint8.onnx")
    assert named.graph.name == "model_qint8.onnx"


def test_files_may_lie_beside_the_graph(tmp_path: Path) -> None:
    """As some exporters leave them."""
    moved = {"tokenizer": None, "model.onnx": None, "onnx__model.onnx": "", "onnx__tokenizer": {}}
    folder = read(write(tmp_path, **moved, onnx__config={"max_position_embeddings": 9}))
    assert folder.tokenizer == tmp_path / "onnx" / "tokenizer.json"
    assert folder.max_length == 9


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({"model.onnx": None}, {}, "no .onnx file in"),
        (
            {"model.onnx": None, "a.onnx": "", "b.onnx": ""},
            {},
            "has a.onnx, b.onnx: say which with file:",
        ),
        ({}, {"file": "x.onnx"}, "no file"),
        ({"tokenizer": None}, {}, "save the model's fast tokenizer there"),
        ({"modules": "no JSON"}, {}, "modules.json: "),
        ({"modules": [{"path": ""}]}, {}, "modules.json: "),
        ({}, {}, "set max_length"),
        (
            {"config": {"max_position_embeddings": 16}},
            {"max_length": 17},
            "max_length: 17 is over the model's 16",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    tmp_path: Path, files: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    """With what to do about it."""
    assert said in problem(write(tmp_path, **files), **options)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The path that was looked at is named."""
    assert problem(tmp_path / "nowhere") == f"no folder {tmp_path / 'nowhere'}"


def test_options_are_strict() -> None:
    """A word that nobody knows, or a size that is none, is refused."""
    for bad in (
        {"model": "m", "poling": "mean"},
        {"model": "m", "pooling": "max"},
        {"model": "m", "matryoshka": [0]},
        {"model": ""},
        {"model": "m", "batch_tokens": 0},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, OnnxEmbeddingOptions)
    assert msgspec.convert({"model": "m", "matryoshka": [64]}, OnnxEmbeddingOptions).matryoshka
