"""What a model's folder must have, and what is said when it has not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.onnxruntime.model_folder import read_model_folder


@pytest.fixture
def folder(tmp_path: Path, model_path: Path) -> Path:
    """A copy of the shipped folder that a test may spoil; the graph itself is not read here."""
    copy = tmp_path / "model"
    shutil.copytree(model_path, copy, ignore=shutil.ignore_patterns("*.onnx"))
    (copy / "model.onnx").touch()
    return copy


def change(folder: Path, name: str, **changes: Any) -> None:
    """Set keys of a JSON file; ``None`` removes one."""
    path = folder / name
    content = json.loads(path.read_text()) if path.exists() else {}
    content.update(changes)
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_the_shipped_folder(model_path: Path) -> None:
    """Everything the engine needs is there."""
    folder = read_model_folder(model_path)
    assert folder.graph.is_file()
    assert folder.tokenizer.is_file()
    assert folder.eos
    assert "messages" in folder.chat_template
    assert folder.config.model.decoder.num_hidden_layers > 0


@pytest.mark.parametrize("name", ["genai_config.json", "model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named_to_the_operator(folder: Path, name: str) -> None:
    """Clients only learn that one is missing."""
    (folder / name).unlink()
    with pytest.raises(FolderProblem) as caught:
        read_model_folder(folder)
    assert caught.value.detail == f"no file {folder / name}"
    assert str(folder) not in caught.value.reason


def test_one_end_token_or_several(folder: Path) -> None:
    """Both forms are in use."""
    config = json.loads((folder / "genai_config.json").read_text())
    change(folder, "genai_config.json", model=config["model"] | {"eos_token_id": 5})
    assert read_model_folder(folder).eos == {5}
    change(folder, "genai_config.json", model=config["model"] | {"eos_token_id": [5, 7]})
    assert read_model_folder(folder).eos == {5, 7}


@pytest.mark.parametrize("text", ["{", '{"model": {"vocab_size": "many"}}', "[]"])
def test_a_configuration_that_cannot_be_read(folder: Path, text: str) -> None:
    """Says which file, and what is wrong in it."""
    (folder / "genai_config.json").write_text(text)
    with pytest.raises(FolderProblem, match=r"genai_config\.json: "):
        read_model_folder(folder)


def test_a_model_without_a_shared_buffer_is_refused(folder: Path) -> None:
    """Its attention cannot write into our rows; the hint says how to export it."""
    change(folder, "genai_config.json", search={"past_present_share_buffer": False})
    with pytest.raises(FolderProblem, match=r"onnxruntime_genai\.models\.builder"):
        read_model_folder(folder)


def test_where_the_chat_template_may_be(folder: Path) -> None:
    """A file of its own wins, else the tokenizer's configuration has it, alone or by name."""
    (folder / "chat_template.jinja").write_text("own")
    change(folder, "tokenizer_config.json", chat_template="inside")
    assert read_model_folder(folder).chat_template == "own"
    (folder / "chat_template.jinja").unlink()
    assert read_model_folder(folder).chat_template == "inside"
    templates = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    change(folder, "tokenizer_config.json", chat_template=templates)
    assert read_model_folder(folder).chat_template == "d"


def test_a_model_without_a_chat_template_is_refused(folder: Path) -> None:
    """A base model cannot chat."""
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(FolderProblem, match="neither") as caught:
        read_model_folder(folder)
    assert caught.value.reason == "The model has no chat template."
