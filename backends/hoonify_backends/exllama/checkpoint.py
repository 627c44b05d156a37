"""What a model's folder says of itself: its architecture, the form of its weights, its sizes.

Read in the router's processes too (to say at once why a home cannot run), so nothing heavy is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hoonify_backends.generation.folder import FolderProblem, read_chat_template, read_json

Form = Literal["exl2", "exl3", "gptq", "plain", "other"]
PREPROCESSOR = "preprocessor_config.json"
"""The file that says how images are made ready for a model."""

_METHODS: dict[str, Form] = {"exl2": "exl2", "exl3": "exl3", "gptq": "gptq"}

_TELLING: dict[str, Form] = {".q_weight": "exl2", ".trellis": "exl3", ".qweight": "gptq"}
_LARGEST_HEADER = 64 * 1024 * 1024
_SEEING = re.compile(
    r"(?:^|\.)(?:vision_tower|vision_model|vision_encoder|visual|multi_modal_projector|mm_projector)\."
)


class Suggestion(Struct):
    """How the model's makers would sample it."""

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    eos_token_id: int | list[int] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A complete folder.

    Args:
        path: Where it is.
        config: What its ``config.json`` says.
        form: How its weights are written.
        weights_bytes: Size of its weights.
        suggestion: What its ``generation_config.json`` says.
        tokenizer_config: What its ``tokenizer_config.json`` says; empty without one.
    """

    path: Path
    config: dict[str, Any]
    form: Form
    weights_bytes: int
    suggestion: Suggestion
    tokenizer_config: dict[str, Any]

    @property
    def architecture(self) -> str:
        """Return the name of the model's class, as Hugging Face calls it."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""

    @property
    def quantization(self) -> str:
        """Return the name that the weights' form has in ``config.json``, or nothing."""
        return _method(self.config)

    @cached_property
    def text(self) -> Mapping[str, Any]:
        """Return the part of the configuration that is about the language model."""
        nested = self.config.get("text_config")
        return {**self.config, **nested} if isinstance(nested, dict) else self.config

    @property
    def context_length(self) -> int | None:
        """Return how many tokens the model was made for; ``None`` where it does not say."""
        for name in (
            "max_sequence_length",
            "model_max_length",
            "max_position_embeddings",
            "max_seq_len",
            "n_positions",
        ):
            if isinstance(value := self.text.get(name), int) and value > 0:
                return value
        return None

    @property
    def tokenizer(self) -> Path:
        """Return the path of the tokenizer."""
        return self.path / "tokenizer.json"

    @property
    def eos(self) -> frozenset[int]:
        """Return all tokens that end an answer; the engines themselves know one of them only."""
        ends: set[int] = set()
        for said in (
            self.suggestion.eos_token_id,
            self.text.get("eos_token_id"),
            self.config.get("eos_token_id"),
        ):
            ends.update(said if isinstance(said, list) else [said] if isinstance(said, int) else [])
        return frozenset(ends)

    @cached_property
    def tower_bytes(self) -> int:
        """Return the size of the weights that see images; nothing where the model has none."""
        if not isinstance(self.config.get("vision_config"), dict):
            return 0
        return sum(
            end - begin
            for file in sorted(self.path.glob("*.safetensors"))
            for name, entry in _tensors(file).items()
            if _SEEING.search(name)
            for begin, end in [_Entry.offsets(entry)]
        )

    @cached_property
    def preprocessor(self) -> dict[str, Any] | None:
        """Return how images are made ready for it, as its files say; ``None`` where none does."""
        if (self.path / PREPROCESSOR).is_file():
            found: dict[str, Any] = read_json(self.path / PREPROCESSOR, dict[str, Any])
            return found
        if (self.path / "processor_config.json").is_file():  # of transformers 5
            whole = read_json(self.path / "processor_config.json", dict[str, Any])
            if isinstance(inner := whole.get("image_processor"), dict):
                return inner
        return None

    def chat_template(self) -> str:
        """Return the source of its chat template.

        Raises:
            FolderProblem: It has none.
        """
        return read_chat_template(self.path, self.tokenizer_config)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a model's folder.

    Raises:
        FolderProblem: The folder or a file in it is missing or is not what it should be.
    """
    if not path.is_dir():
        raise FolderProblem("The model's folder is missing.", f"no folder {path}")
    config = read_json(path / "config.json", dict[str, Any])
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise FolderProblem(
            "The model has no weights in a form that this engine reads.",
            f"no *.safetensors in {path}{_other_weights(path)}",
        )
    if not (path / "tokenizer.json").is_file():
        raise FolderProblem(
            "A file of the model is missing.",
            f"no file {path / 'tokenizer.json'}; a tokenizer in sentencepiece's form alone is not enough",
        )
    suggestion = Suggestion()
    if (path / "generation_config.json").is_file():
        suggestion = read_json(path / "generation_config.json", Suggestion)
    tokenizer_config: dict[str, Any] = {}
    if (path / "tokenizer_config.json").is_file():
        tokenizer_config = read_json(path / "tokenizer_config.json", dict[str, Any])
    return Checkpoint(
        path,
        config,
        _form(config, weights),
        sum(file.stat().st_size for file in weights),
        suggestion,
        tokenizer_config,
    )


def _method(config: Mapping[str, Any]) -> str:
    said = config.get("quantization_config")
    return str(said.get("quant_method", "unknown")) if isinstance(said, dict) else ""


def _form(config: Mapping[str, Any], weights: list[Path]) -> Form:
    """Return the form of the weights: by their names, as old checkpoints do not say; else as they say."""
    for file in weights:
        for name in _tensors(file):
            form = _TELLING.get(name[name.rfind(".") :])
            if form == "gptq" and _method(config) not in ("", "gptq"):
                return "other"  # AWQ has tensors of the same name
            if form is not None:
                return form
    method = _method(config)
    if method in _METHODS:
        return _METHODS[method]
    return "other" if method else "plain"


class _Entry(Struct):
    """What is said of one tensor."""

    data_offsets: tuple[int, int] = (0, 0)

    @classmethod
    def offsets(cls, entry: msgspec.Raw) -> tuple[int, int]:
        """Return where its bytes begin and end."""
        return msgspec.json.decode(entry, type=cls).data_offsets


def _tensors(file: Path) -> dict[str, msgspec.Raw]:
    """Return the names of a file's tensors and what is said of each: its first bytes list them."""
    try:
        with file.open("rb") as reader:
            size = int.from_bytes(reader.read(8), "little")
            if not 0 < size <= _LARGEST_HEADER:
                raise msgspec.DecodeError("it does not begin as such a file does")
            return msgspec.json.decode(reader.read(size), type=dict[str, msgspec.Raw])
    except (OSError, msgspec.DecodeError) as exc:
        raise FolderProblem("A file of the model cannot be read.", f"{file}: {exc}") from exc


def _other_weights(path: Path) -> str:
    for ending in ("*.gguf", "*.bin", "*.pt", "*.onnx"):
        if found := next(path.glob(ending), None):
            return f", only files such as {found.name}"
    return ""
