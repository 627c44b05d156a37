"""A Llama in plain torch on a CPU, in the place of ExLlamaV2's forward pass; its keys and values lie in the real cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip(
    "torch",
    reason="torch is not in this environment: `make test-exllama` makes one and runs these tests there",
)


class PlainLlama:
    """The layers of a Llama, each step from scratch where a kernel would be clever.

    Args:
        config: ExLlamaV2's own, as it read the model's folder.
    """

    def __init__(self, config: Any) -> None:
        self.config = config
        from safetensors.torch import load_file

        [file] = Path(config.model_dir).glob("*.safetensors")
        self._weights = {
            name.removeprefix("language_model."): one.float()
            for name, one in load_file(str(file)).items()
        }
        half = config.head_dim // 2
        self._rates = config.rotary_embedding_base ** -(torch.arange(half) / half)
        self.failures: list[Exception] = []
        self.calls: list[tuple[int, int]] = []  # rows and tokens of each

    @torch.inference_mode()
    def forward_chunk(
        self,
        input_ids: torch.Tensor,
        attn_params: Any,
        cache: Any,
        preprocess_only: bool = False,
        **rest: Any,
    ) -> dict[str, torch.Tensor]:
        """Read tokens into the cache, and return the scores after each unless ``preprocess_only``."""
        self.calls.append(tuple(input_ids.shape))
        if self.failures:
            raise self.failures.pop(0)
        rows, length = input_ids.shape
        places = self._places(attn_params, rows, length, cache)
        turns = [
            self._turns(attn_params, row, old, len(where))
            for row, (where, old) in enumerate(places)
        ]
        hidden = self._embed(input_ids, rest.get("indexed_embeddings") or ())
        for layer in range(self.config.num_hidden_layers):
            hidden = self._layer(layer, hidden, places, turns, cache)
        if preprocess_only:
            return {}
        hidden = self._norm(hidden, "model.norm.weight")
        head = self._weights.get("lm_head.weight", self._weights["model.embed_tokens.weight"])
        scores = hidden @ head.T
        padding = -scores.shape[-1] % 32
        return {"logits": torch.nn.functional.pad(scores, (0, padding))}

    def _embed(self, input_ids: torch.Tensor, images: Sequence[Any]) -> torch.Tensor:
        """Return what the layers begin with: of words by the table, of images by what was made of them."""
        table = self._weights["model.embed_tokens.weight"]
        hidden = table[input_ids.clamp(max=len(table) - 1)]
        unknown = input_ids >= len(table)
        for image in images:
            first, rows = image.first_index, image.embeddings.float()
            its = (input_ids >= first) & (input_ids < first + len(rows))
            hidden[its] = rows[input_ids[its] - first]
            unknown &= ~its
        assert not unknown.any(), "a token of an image that the engine was not given"
        return hidden

    def _places(
        self, params: Any, rows: int, length: int, cache: Any
    ) -> list[tuple[torch.Tensor, int]]:
        """Return for each row the places of all its tokens in the cache, and how many of these are old."""
        if not hasattr(params, "block_index"):
            old = params.past_len
            return [(torch.arange(old + length), old)] * rows
        size = params.page_size
        found = []
        for row in range(rows):
            old = int(params.cache_seqlens[row])
            tokens = torch.arange(old + length)
            pages = params.block_index[row].long()
            found.append((pages[tokens // size] * size + tokens % size, old))
        return found

    def _turns(self, params: Any, row: int, old: int, end: int) -> tuple[torch.Tensor, ...]:
        """Return the cosines and sines of a row's new tokens: by a table of its own, or by their places."""
        table = getattr(params, "get_alt_rope_embed", lambda device: None)("cpu")
        if table is not None:
            half = self.config.head_dim // 2
            sin, cos = (one.reshape(-1, 2 * half)[old:end, None, :half].float() for one in table)
            return cos, sin
        offsets = getattr(params, "rope_offsets", None)
        shift = 0 if offsets is None else int(offsets[row])
        angles = torch.arange(old + shift, end + shift)[:, None, None] * self._rates
        return angles.cos(), angles.sin()

    def _layer(
        self,
        layer: int,
        hidden: torch.Tensor,
        places: list[tuple[torch.Tensor, int]],
        turns: list[tuple[torch.Tensor, ...]],
        cache: Any,
    ) -> torch.Tensor:
        name = f"model.layers.{layer}"
        normed = self._norm(hidden, f"{name}.input_layernorm.weight")
        heads, size = self.config.num_attention_heads, self.config.head_dim
        queries, keys, values = (
            self._linear(normed, f"{name}.self_attn.{kind}_proj").unflatten(-1, (-1, size))
            for kind in "qkv"
        )
        stored_keys, stored_values = cache.key_states[layer][0], cache.value_states[layer][0]
        attended = torch.empty_like(queries)
        for row, (where, old) in enumerate(places):
            stored_keys[where[old:]] = _turn(keys[row], *turns[row]).half()
            stored_values[where[old:]] = values[row].half()
            all_keys, all_values = (
                stored[where].float().repeat_interleave(heads // keys.shape[-2], 1).transpose(0, 1)
                for stored in (stored_keys, stored_values)
            )
            seen = torch.arange(len(where))[None] <= torch.arange(old, len(where))[:, None]
            attended[row] = torch.nn.functional.scaled_dot_product_attention(
                _turn(queries[row], *turns[row]).transpose(0, 1),
                all_keys,
                all_values,
                attn_mask=seen,
            ).transpose(0, 1)
        hidden = hidden + self._linear(attended.flatten(-2), f"{name}.self_attn.o_proj")
        normed = self._norm(hidden, f"{name}.post_attention_layernorm.weight")
        gate, up = (self._linear(normed, f"{name}.mlp.{kind}_proj") for kind in ("gate", "up"))
        return hidden + self._linear(torch.nn.functional.silu(gate) * up, f"{name}.mlp.down_proj")

    def _linear(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        return hidden @ self._weights[f"{name}.weight"].T

    def _norm(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        scale = hidden.pow(2).mean(-1, keepdim=True).add(self.config.norm_eps).rsqrt()
        return hidden * scale * self._weights[name]


def _turn(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn the two halves of each head by their positions' angles."""
    first, second = heads.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
