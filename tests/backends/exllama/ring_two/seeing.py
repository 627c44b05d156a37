"""A tiny model that sees: the shipped one, behind a vision tower of Pixtral's kind with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from tests.backends.exllama.ring_two.llama import torch
from tests.backends.exllama.ring_two.plain import MODEL

PATCH, MERGE, EDGE = 14, 2, 112
"""Pixels of a patch, patches of a token to a side, and pixels of an image's longest side."""

_WIDE, _INNER, _HEADS, _LAYERS = 128, 256, 2, 2
_BREAK, _END = 1280, 1281
_ROWS = 1312


def make_seeing_model(folder: Path) -> Path:
    """Write the model and return its folder."""
    folder.mkdir(parents=True)
    text = json.loads((MODEL / "config.json").read_text())
    vision = {
        "model_type": "pixtral",
        "head_dim": _WIDE // _HEADS,
        "num_attention_heads": _HEADS,
        "hidden_size": _WIDE,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_channels": 3,
        "patch_size": PATCH,
        "image_size": EDGE,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
    }
    config = {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "model_type": "mistral3",
        "text_config": text | {"vocab_size": _ROWS, "tie_word_embeddings": False},
        "vision_config": vision,
        "spatial_merge_size": MERGE,
        "vision_feature_layer": -1,
        "multimodal_projector_bias": False,
        "projector_hidden_act": "gelu",
        "eos_token_id": 1,
        "vocab_size": _ROWS,
    }
    preprocessor = {
        "image_processor_type": "PixtralImageProcessor",
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
        "patch_size": PATCH,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"longest_edge": EDGE},
    }
    tokenizer = json.loads((MODEL / "tokenizer.json").read_text())
    for token, name in ((_BREAK, "[IMG_BREAK]"), (_END, "[IMG_END]")):
        tokenizer["added_tokens"].append(
            {**tokenizer["added_tokens"][-1], "id": token, "content": name}
        )
    for name, content in (
        ("config.json", config),
        ("preprocessor_config.json", preprocessor),
        ("tokenizer.json", tokenizer),
    ):
        (folder / name).write_text(json.dumps(content))
    for name in ("chat_template.jinja", "generation_config.json", "tokenizer_config.json"):
        (folder / name).symlink_to(MODEL / name)
    save_file(_weights(), str(folder / "model.safetensors"), metadata={"format": "pt"})
    return folder


def _weights() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(7)

    def random(*shape: int, scale: float | None = None) -> torch.Tensor:
        drawn = torch.randn(*shape, generator=generator)
        return (drawn * (scale or shape[-1] ** -0.5)).half()

    [file] = MODEL.glob("*.safetensors")
    weights = {f"language_model.{name}": one for name, one in load_file(str(file)).items()}
    table = "language_model.model.embed_tokens.weight"
    rows = _ROWS - len(weights[table])
    weights[table] = torch.cat((weights[table], random(rows, 256, scale=0.02)))
    weights["language_model.lm_head.weight"] = weights[table].clone()
    tower, projector = "vision_tower", "multi_modal_projector"
    weights[f"{tower}.patch_conv.weight"] = random(_WIDE, 3, PATCH, PATCH, scale=0.05)
    weights[f"{tower}.ln_pre.weight"] = torch.ones(_WIDE).half()
    for layer in range(_LAYERS):
        name = f"{tower}.transformer.layers.{layer}"
        for norm in ("attention_norm", "ffn_norm"):
            weights[f"{name}.{norm}.weight"] = torch.ones(_WIDE).half()
        for kind in "qkvo":
            weights[f"{name}.attention.{kind}_proj.weight"] = random(_WIDE, _WIDE)
        for kind in ("gate", "up"):
            weights[f"{name}.feed_forward.{kind}_proj.weight"] = random(_INNER, _WIDE)
        weights[f"{name}.feed_forward.down_proj.weight"] = random(_WIDE, _INNER)
    weights[f"{projector}.norm.weight"] = torch.ones(_WIDE).half()
    weights[f"{projector}.patch_merger.merging_layer.weight"] = random(_WIDE, _WIDE * MERGE**2)
    weights[f"{projector}.linear_1.weight"] = random(256, _WIDE)
    weights[f"{projector}.linear_2.weight"] = random(256, 256, scale=0.5)
    return weights
