"""Folders that look like models: a configuration, and weights of which only the names are there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 1280,
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 4096,
    "rope_theta": 500000.0,
}
TENSORS: dict[str, Sequence[str]] = {
    "plain": ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"],
    "exl2": ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.q_weight"],
    "exl3": ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.trellis"],
    "gptq": ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.qweight"],
}


SEEING = [
    "language_model.model.embed_tokens.weight",
    "vision_tower.patch_conv.weight",
    "vision_tower.transformer.layers.0.attention.q_proj.weight",
    "multi_modal_projector.linear_1.weight",
]
"""Tensors of a model that sees; the last three are what it sees with."""


def make_seeing_model(folder: Path, size: int = 8, **config: Any) -> Path:
    """Write a model's folder that sees, of tensors of two bytes times ``size`` each."""
    named = {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "vision_config": {
            "model_type": "pixtral",
            "hidden_size": 64,
            "intermediate_size": 128,
            "patch_size": 10,
        },
    }
    make_model(folder, **named | config)
    write_weights(folder / "model.safetensors", SEEING, size)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "PixtralImageProcessor"})
    )
    return folder


def make_model(folder: Path, form: str = "plain", **config: Any) -> Path:
    """Write a model's folder and return it; a value of ``None`` takes a key out of the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    merged = {key: value for key, value in (LLAMA | config).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(merged))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    write_weights(folder / "model.safetensors", TENSORS[form])
    return folder


def write_weights(file: Path, names: Sequence[str], size: int = 8) -> None:
    """Write a file of weights that has these tensors, of two bytes times ``size`` each."""
    header = {
        name: {"dtype": "F16", "shape": [size], "data_offsets": [2 * size * i, 2 * size * (i + 1)]}
        for i, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(2 * size * len(names)))
