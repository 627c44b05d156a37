"""Tiny models that see: the shipped one, behind a vision tower of Pixtral's or Qwen2-VL's kind with random weights."""

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
_OWN_ROWS, _ROWS = 1280, 1312


def make_seeing_model(folder: Path) -> Path:
    """Write a model of Mistral 3's kind, whose tower is Pixtral's, and return its folder."""
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
    text = json.loads((MODEL / "config.json").read_text())
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
        "resample": 3,
        "size": {"longest_edge": EDGE},
    }
    weights = _language("language_model.") | _pixtral()
    return _write(folder, config, preprocessor, ("[IMG_BREAK]", "[IMG_END]"), weights)


def make_qwen_model(folder: Path) -> Path:
    """Write a model of Qwen2-VL's kind, as the newest transformers saves it, and return its folder."""
    vision = {
        "model_type": "qwen2_vl",
        "depth": _LAYERS,
        "embed_dim": _WIDE,
        "hidden_size": 256,
        "num_heads": _HEADS,
        "mlp_ratio": 4,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 2,
    }
    text = json.loads((MODEL / "config.json").read_text())
    del text["rope_parameters"]
    sections = {"rope_type": "default", "type": "default", "mrope_section": [8, 12, 12]}
    config = text | {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "vocab_size": _ROWS,
        "tie_word_embeddings": False,
        "rope_scaling": sections,
        "vision_config": vision,
    }
    preprocessor = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "temporal_patch_size": 2,
        "merge_size": MERGE,
        "size": {"shortest_edge": 28 * 28, "longest_edge": EDGE * EDGE},
    }
    weights = _language("") | _qwen()
    return _write(folder, config, preprocessor, ("<|vision_start|>", "<|vision_end|>"), weights)


def _write(
    folder: Path,
    config: dict[str, Any],
    preprocessor: dict[str, Any],
    words: tuple[str, str],
    weights: dict[str, Any],
) -> Path:
    folder.mkdir(parents=True)
    common = {
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
        "patch_size": PATCH,
        "rescale_factor": 1 / 255,
    }
    tokenizer = json.loads((MODEL / "tokenizer.json").read_text())
    for token, name in enumerate(words, _OWN_ROWS):
        tokenizer["added_tokens"].append(
            {**tokenizer["added_tokens"][-1], "id": token, "content": name}
        )
    for name, content in (
        ("config.json", config),
        ("preprocessor_config.json", preprocessor | common),
        ("tokenizer.json", tokenizer),
    ):
        (folder / name).write_text(json.dumps(content))
    for name in ("chat_template.jinja", "generation_config.json", "tokenizer_config.json"):
        (folder / name).symlink_to(MODEL / name)
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    return folder


class _Dice:
    """Random numbers, always the same."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(7)

    def __call__(self, *shape: int, scale: float | None = None) -> torch.Tensor:
        drawn = torch.randn(*shape, generator=self._generator)
        return (drawn * (scale or shape[-1] ** -0.5)).half()


def _language(prefix: str) -> dict[str, Any]:
    [file] = MODEL.glob("*.safetensors")
    weights = {f"{prefix}{name}": one for name, one in load_file(str(file)).items()}
    table = f"{prefix}model.embed_tokens.weight"
    more = _Dice()(_ROWS - _OWN_ROWS, 256, scale=0.02)
    weights[table] = torch.cat((weights[table], more))
    weights[f"{prefix}lm_head.weight"] = weights[table].clone()
    return weights


def _pixtral() -> dict[str, Any]:
    random, weights = _Dice(), {}
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


def _qwen() -> dict[str, Any]:
    random, weights = _Dice(), {}

    def linear(name: str, out: int, given: int, scale: float | None = None) -> None:
        weights[f"{name}.weight"] = random(out, given, scale=scale)
        weights[f"{name}.bias"] = random(out, scale=0.02)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = torch.ones(_WIDE).half()
        weights[f"{name}.bias"] = torch.zeros(_WIDE).half()

    weights["visual.patch_embed.proj.weight"] = random(_WIDE, 3, 2, PATCH, PATCH, scale=0.05)
    for layer in range(_LAYERS):
        name = f"visual.blocks.{layer}"
        norm(f"{name}.norm1")
        norm(f"{name}.norm2")
        linear(f"{name}.attn.qkv", 3 * _WIDE, _WIDE)
        linear(f"{name}.attn.proj", _WIDE, _WIDE)
        linear(f"{name}.mlp.fc1", 4 * _WIDE, _WIDE)
        linear(f"{name}.mlp.fc2", _WIDE, 4 * _WIDE)
    norm("visual.merger.ln_q")
    linear("visual.merger.mlp.0", _WIDE * MERGE**2, _WIDE * MERGE**2)
    linear("visual.merger.mlp.2", 256, _WIDE * MERGE**2, scale=0.5)
    return weights
