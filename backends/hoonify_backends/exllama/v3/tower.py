"""ExLlamaV3's vision towers."""

from __future__ import annotations

from typing import Any

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.tower import ExllamaTower
from hoonify_backends.generation.sight import Seen


class V3Tower(ExllamaTower):
    """A tower.

    Args:
        checkpoint: The model's folder.
        tower: ExLlamaV3's own, with weights: the model's component that sees.
        tokenizer: ExLlamaV3's own.
    """

    def __init__(self, checkpoint: Checkpoint, tower: Any, tokenizer: Any) -> None:
        super().__init__(checkpoint)
        self._tower = tower
        self._tokenizer = tokenizer

    def _embed(self, image: Any) -> Seen:
        seen = self._tower.get_image_embeddings(tokenizer=self._tokenizer, image=image)
        kept = [seen.embeddings, *(seen.deepstack_embeddings or ())]
        size = sum(one.element_size() * one.numel() for one in kept)
        # Some models want an image to begin at a multiple of some places, so its tokens depend on where it stands.
        return Seen(seen, seen.token_list_at, size)
