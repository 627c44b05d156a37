"""ExLlamaV2's vision towers."""

from __future__ import annotations

from typing import Any

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.tower import ExllamaTower
from hoonify_backends.generation.sight import Seen

_KINDS = frozenset({"pixtral", "qwen2", "qwen2.5", "siglip_vision_model"})


class V2Tower(ExllamaTower):
    """A tower, and the model that it sees for.

    Args:
        checkpoint: The model's folder.
        tower: ExLlamaV2's own, with weights.
        model: The model; its words for where images begin and end are taken.
        tokenizer: ExLlamaV2's own.
    """

    def __init__(self, checkpoint: Checkpoint, tower: Any, model: Any, tokenizer: Any) -> None:
        super().__init__(checkpoint)
        self._tower = tower
        self._model = model
        self._tokenizer = tokenizer

    def _embed(self, image: Any) -> Seen:
        seen = self._tower.get_image_embeddings(self._model, self._tokenizer, image)
        tokens = seen.get_ids()
        return Seen(seen, lambda place: tokens, seen.get_size_in_bytes())


def knows_tower(config: Any) -> bool:
    """Tell whether ExLlamaV2 has a tower for a model, by the configuration that it has read."""
    return config.vision_model_type in _KINDS
