"""What an engine must say: plain sampling of a model's plain scores, without scheduler and cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.backends.exllama.ring_two.llama import PlainLlama, torch

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.sampler import choose
from hoonify_backends.generation.sampling import Sampling

MODEL = Path(__file__).resolve().parents[4] / "models" / "tiny-chat" / "hf"
QUESTIONS = [
    "Hello!",
    "What is a KV cache?",
    "Count from 1 to 12.",
    "Name three animals.",
    "Repeat after me: the quiet robot sings.",
    "Who are you?",
]


class Plain:
    """The same model without engine and cache: every token reads everything anew."""

    def __init__(self, model: PlainLlama) -> None:
        from tokenizers import Tokenizer

        self._model = model
        self.places: Callable[[Any, Sequence[Any]], Any] | None = None
        """Returns a table of the places of all tokens, for models whose images have height and width."""
        self._tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a piece of a prompt."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def prompt(self, text: str) -> list[int]:
        return self.tokens(f"<|user|>{text}<|end|><|assistant|>")

    def scores(
        self, tokens: Sequence[int], images: Sequence[Any] = ()
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the scores after the last token."""
        config = self._model.config
        shape = (1, len(tokens), config.num_key_value_heads, config.head_dim)
        layers = range(config.num_hidden_layers)
        cache = SimpleNamespace(
            key_states=[torch.zeros(shape, dtype=torch.half) for _ in layers],
            value_states=[torch.zeros(shape, dtype=torch.half) for _ in layers],
        )
        ids = torch.tensor([list(tokens)])
        params: Any = SimpleNamespace(past_len=0)
        if images and self.places is not None:
            table = self.places(ids, images)
            params.get_alt_rope_embed = lambda device: table
        found = self._model.forward_chunk(ids, params, cache, indexed_embeddings=images)["logits"]
        scores: np.ndarray[Any, np.dtype[np.float32]] = found[0, -1, :1280].numpy().copy()
        return scores

    def answer(self, text: str, sampling: Sampling, most: int = 40) -> str:
        """Return what plain sampling of plain scores says."""
        return self.go_on(self.prompt(text), sampling, most)

    def go_on(
        self,
        prompt: list[int],
        sampling: Sampling,
        most: int,
        images: Sequence[Any] = (),
        *,
        ends: bool = True,
    ) -> str:
        """Return what follows tokens."""
        chooser, tokens = Chooser(sampling, prompt), list(prompt)
        while len(tokens) < len(prompt) + most:
            [token] = choose(self.scores(tokens, images)[None], [chooser])
            if ends and token == 1:
                break
            tokens.append(token)
        return str(self._tokenizer.decode(tokens[len(prompt) :]))
