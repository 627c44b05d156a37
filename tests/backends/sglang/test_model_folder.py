"""What SGLang cannot load is told before it is started, with the backend that can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.sglang.model_folder import wrong_model


def folder(path: Path, *files: str, **config: Any) -> Path:
    """Make a folder with these files, and a config.json that says something."""
    for name in files:
        (path / name).write_text("x")
    if config:
        (path / "config.json").write_text(json.dumps(config))
    return path


def told(path: Path) -> str:
    """Return reason and detail in one."""
    wrong = wrong_model(path)
    assert wrong is not None
    assert str(path) not in wrong.reason
    return f"{wrong.reason} {wrong.detail}"


def test_a_whole_folder_is_fine(tmp_path: Path) -> None:
    """Quantized in a way that SGLang knows, or not at all."""
    made = folder(tmp_path, "model-00001.safetensors", quantization_config={"quant_method": "fp8"})
    assert wrong_model(made) is None


def test_a_gguf_file_is_fine(tmp_path: Path) -> None:
    """It is one file, and no folder."""
    (tmp_path / "m.gguf").touch()
    assert wrong_model(tmp_path / "m.gguf") is None
    assert "no such folder" in told(tmp_path / "n.gguf")


@pytest.mark.parametrize(("form", "backend"), [("exl2", "exllamav2"), ("exl3", "exllamav3")])
def test_what_another_engine_reads_is_named(tmp_path: Path, form: str, backend: str) -> None:
    """With the line that puts it right."""
    made = folder(tmp_path, "output.safetensors", quantization_config={"quant_method": form})
    said = told(made)
    assert "in a form that this engine cannot read" in said
    assert said.endswith(f"set backend: {backend}")


def test_an_onnx_model_is_for_onnxruntime(tmp_path: Path) -> None:
    """It has no config.json."""
    assert told(folder(tmp_path, "model.onnx", "genai_config.json")).endswith(
        "backend: onnxruntime"
    )


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """The folder, its configuration or its weights; a trial may do without those."""
    assert "there is no such folder" in told(tmp_path / "nowhere")
    assert "it holds no config.json" in told(tmp_path)
    folder(tmp_path, model_type="llama")
    assert "it holds no weights" in told(tmp_path)
    assert wrong_model(tmp_path, dummy=True) is None


def test_a_configuration_that_cannot_be_read_is_left_to_sglang(tmp_path: Path) -> None:
    """It says more of it than could be said here."""
    folder(tmp_path, "model.safetensors")
    (tmp_path / "config.json").write_text("[")
    assert wrong_model(tmp_path) is None
