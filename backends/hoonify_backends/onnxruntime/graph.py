"""A decoder's graph: the names, shapes and types of what goes in and comes out."""

from __future__ import annotations

from typing import Any

import numpy as np

from hoonify_backends.onnxruntime.model_folder import Decoder
from hoonify_router.errors import ModelUnavailable

_FLOATS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
_INTEGERS: dict[str, type[np.signedinteger[Any]]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


class Graph:
    """What the session's inputs and outputs are, checked against what the engine can drive.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        decoder: What the model's configuration says of it.

    Raises:
        ModelUnavailable: The graph is of a kind that the engine does not know.
    """

    def __init__(self, session: Any, decoder: Decoder) -> None:
        names, outputs = decoder.inputs, decoder.outputs
        layers = range(decoder.num_hidden_layers)
        self.kv_names = [
            (past % layer, present % layer)
            for layer in layers
            for past, present in (
                (names.past_key_names, outputs.present_key_names),
                (names.past_value_names, outputs.present_value_names),
            )
        ]
        self.session = session
        self.tokens_name = names.input_ids
        self.mask_name = names.attention_mask
        self.positions_name = names.position_ids
        self.logits_name = outputs.logits
        found = {entry.name: entry for entry in session.get_inputs()}
        logits = next((o for o in session.get_outputs() if o.name == outputs.logits), None)
        needed = {names.input_ids, names.attention_mask, *(past for past, _ in self.kv_names)}
        missing, unknown = needed - found.keys(), found.keys() - needed - {names.position_ids}
        if missing or unknown or logits is None:
            raise ModelUnavailable(
                "the ONNX file is not a decoder that this engine knows: it has inputs"
                f" {sorted(found)}, expected are {sorted(needed)} and an output {outputs.logits}"
            )
        self.has_positions = names.position_ids in found
        past = found[self.kv_names[0][0]]
        self.kv_dtype = _dtype(past, _FLOATS)
        if past.shape[1] != decoder.num_key_value_heads and isinstance(past.shape[1], int):
            raise ModelUnavailable(
                f"the ONNX file has {past.shape[1]} heads of keys and values, genai_config.json says"
                f" {decoder.num_key_value_heads}"
            )
        self.token_dtype = _dtype(found[names.input_ids], _INTEGERS)
        self.logits_dtype = _dtype(logits, _FLOATS)
        self.last_only = logits.shape[1] == 1  # exported to score only the last place
        self.vocabulary = logits.shape[2] if isinstance(logits.shape[2], int) else None


def _dtype(entry: Any, known: dict[str, Any]) -> Any:
    if entry.type not in known:
        raise ModelUnavailable(
            f"{entry.name} of the ONNX file is a {entry.type}; this engine takes {', '.join(known)}"
        )
    return known[entry.type]
