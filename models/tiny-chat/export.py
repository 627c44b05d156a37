"""Write the trained weights in the two forms that are published.

    python export.py work .

``hf/`` holds fp16 safetensors for engines that read Hugging Face folders. ``onnx/`` holds one file
with int8 weights that are unpacked to fp32 when the file is loaded, so that every execution
provider can run it and the arithmetic is fp32.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file

from model import Shape
from tokenizer import END, PAD

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
SMALL = 4096  # tensors with fewer values (norms) stay as they are


def configuration(shape: Shape) -> dict[str, object]:
    """Describe the network in the words of transformers 4 and of transformers 5."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"},
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "use_cache": True,
        "bos_token_id": None,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "dtype": "float16",
        "torch_dtype": "float16",
    }


def write_json(path: Path, value: object) -> None:
    """Write readable JSON with an end of line."""
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_hugging_face(work: Path, folder: Path, precision: torch.dtype) -> None:
    """Write a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_file(work / "weights.safetensors")
    shape = Shape(vocabulary=weights["model.embed_tokens.weight"].shape[0])
    save_file(
        {name: value.to(precision) for name, value in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    settings = configuration(shape)
    settings["dtype"] = settings["torch_dtype"] = str(precision).removeprefix("torch.")
    write_json(folder / "config.json", settings)
    write_json(
        folder / "generation_config.json",
        {
            "eos_token_id": END,
            "pad_token_id": PAD,
            "do_sample": True,
            "temperature": 0.3,
            "top_p": 0.9,
            "top_k": 40,
        },
    )
    for name in (*TOKENIZER_FILES, "special_tokens_map.json"):
        shutil.copyfile(work / "tokenizer" / name, folder / name)


def pack(model: onnx.ModelProto) -> None:
    """Store large weights as int8 with one scale per output column."""
    kept, unpack = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALL or "cache" in tensor.name:
            kept.append(numpy_helper.from_array(values, tensor.name))
            continue
        # The embedding is used row by row, as input, so its scales belong to rows.
        axis = 1 if "embed" in tensor.name else 0
        scale = np.maximum(np.abs(values).max(axis, keepdims=True), 1e-12) / 127
        small = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
        name = tensor.name
        kept += [
            numpy_helper.from_array(small, f"{name}.int8"),
            numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"),
        ]
        unpack += [
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]),
        ]
    nodes = [*unpack, *model.graph.node]
    names = {tensor.name for tensor in kept}
    infos = [info for info in model.graph.value_info if info.name not in names]
    for field, entries in (("initializer", kept), ("node", nodes), ("value_info", infos)):
        copies = [type(value).FromString(value.SerializeToString()) for value in entries]
        del getattr(model.graph, field)[:]
        getattr(model.graph, field).extend(copies)


def write_onnx(work: Path, folder: Path) -> None:
    """Build the graph with the model builder of onnxruntime-genai and pack its weights."""
    with tempfile.TemporaryDirectory() as scratch:
        source, built = Path(scratch, "hf"), Path(scratch, "onnx")
        write_hugging_face(work, source, torch.float32)
        subprocess.run(
            [
                sys.executable,
                "-m",
                "onnxruntime_genai.models.builder",
                "-i",
                source,
                "-o",
                built,
                "-p",
                "fp32",
                "-e",
                "cpu",
                "-c",
                Path(scratch, "cache"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"},
        )
        model = onnx.load(built / "model.onnx")
        pack(model)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(model, folder / "model.onnx")
        settings = json.loads((built / "genai_config.json").read_text())
    settings["model"]["bos_token_id"] = END  # the field is required, but nothing begins a text
    settings["search"].update(do_sample=True, temperature=0.3, top_p=0.9, top_k=40)
    write_json(folder / "genai_config.json", settings)
    for name in TOKENIZER_FILES:
        shutil.copyfile(work / "tokenizer" / name, folder / name)


if __name__ == "__main__":
    work_folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    write_hugging_face(work_folder, target / "hf", torch.float16)
    write_onnx(work_folder, target / "onnx")
    for path in sorted([*target.glob("hf/*"), *target.glob("onnx/*")]):
        path.chmod(0o644)  # safetensors files are born private
        print(f"{path.relative_to(target)}: {path.stat().st_size:,} bytes")
