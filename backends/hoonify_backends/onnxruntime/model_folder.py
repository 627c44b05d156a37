"""What is in a model's folder: ``genai_config.json`` and the files that it and the tokenizer need.

Read in the router's processes too (to say at once why a home cannot run), so nothing heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from hoonify_backends.generation.folder import FolderProblem, read_chat_template, read_json


class DecoderInputs(Struct):
    """Names of the graph's inputs."""

    input_ids: str = "input_ids"
    attention_mask: str = "attention_mask"
    position_ids: str = "position_ids"
    past_key_names: str = "past_key_values.%d.key"
    past_value_names: str = "past_key_values.%d.value"


class DecoderOutputs(Struct):
    """Names of the graph's outputs."""

    logits: str = "logits"
    present_key_names: str = "present.%d.key"
    present_value_names: str = "present.%d.value"


class SessionOptions(Struct):
    """What it was exported to run on."""

    provider_options: list[dict[str, Any]] = field(default_factory=list)


class Decoder(Struct):
    """The graph and its sizes."""

    filename: str
    head_size: int
    num_hidden_layers: int
    num_key_value_heads: int
    inputs: DecoderInputs = field(default_factory=DecoderInputs)
    outputs: DecoderOutputs = field(default_factory=DecoderOutputs)
    session_options: SessionOptions = field(default_factory=SessionOptions)

    @property
    def on_cuda(self) -> bool:
        """Whether it was exported for NVIDIA GPUs."""
        return any("cuda" in each for each in self.session_options.provider_options)


class ModelSection(Struct):
    """The model's facts."""

    context_length: int
    vocab_size: int
    decoder: Decoder
    eos_token_id: int | list[int]
    type: str = ""


class Search(Struct):
    """How the model's makers would sample it."""

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    past_present_share_buffer: bool = True


class EngineSection(Struct):
    """How onnxruntime-genai's own engine batches its requests."""

    dynamic_batching: dict[str, Any] | None = None


class GenaiConfig(Struct):
    """The part of ``genai_config.json`` that the engines use."""

    model: ModelSection
    search: Search = field(default_factory=Search)
    engine: EngineSection = field(default_factory=EngineSection)


@dataclass(frozen=True)
class ModelFolder:
    """A complete folder.

    Args:
        path: Where it is.
        config: What its ``genai_config.json`` says.
        tokenizer_config: What its ``tokenizer_config.json`` says; empty without one.
        chat_template: Source of the Jinja template.
    """

    path: Path
    config: GenaiConfig
    tokenizer_config: dict[str, Any]
    chat_template: str

    @property
    def graph(self) -> Path:
        """Return the path of the ONNX file."""
        return self.path / self.config.model.decoder.filename

    @property
    def tokenizer(self) -> Path:
        """Return the path of the tokenizer."""
        return self.path / "tokenizer.json"

    @property
    def eos(self) -> frozenset[int]:
        """Return the tokens that end an answer."""
        ids = self.config.model.eos_token_id
        return frozenset(ids if isinstance(ids, list) else [ids])


def read_model_folder(path: Path, *, shared_buffer: bool = True) -> ModelFolder:
    """Read a model's folder.

    Args:
        path: Where it is.
        shared_buffer: Whether the engine needs keys and values, past and present, in one place.

    Raises:
        FolderProblem: The folder or a file in it is missing or is not what it should be.
    """
    if not path.is_dir():
        raise FolderProblem("The model's folder is missing.", f"no folder {path}")
    config = read_json(path / "genai_config.json", GenaiConfig)
    for name in (config.model.decoder.filename, "tokenizer.json"):
        if not (path / name).is_file():
            raise FolderProblem("A file of the model is missing.", f"no file {path / name}")
    if shared_buffer and not config.search.past_present_share_buffer:
        raise FolderProblem(
            "The model was exported in a form that this engine cannot run.",
            f"{path / 'genai_config.json'}: search.past_present_share_buffer is false; export the"
            " model with onnxruntime_genai.models.builder and grouped-query attention",
        )
    tokenizer_config: dict[str, Any] = {}
    if (path / "tokenizer_config.json").is_file():
        tokenizer_config = read_json(path / "tokenizer_config.json", dict[str, Any])
    return ModelFolder(path, config, tokenizer_config, read_chat_template(path, tokenizer_config))
