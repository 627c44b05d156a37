"""The ExLlamaV3 engine with the real package in it, on a CPU: only kernels and the forward pass are stood in for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from tests.backends.exllama.ring_two.llama import PlainLlama
from tests.backends.exllama.ring_two.package_v3 import torch

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.engine import Opened
from hoonify_backends.exllama.limits import Limits
from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.exllama.v3.engine import ExLlamaV3Engine
from hoonify_backends.exllama.v3.generator import V3Generator
from hoonify_backends.exllama.v3.tower import V3Tower
from hoonify_router.api import ProgressCallback


class CpuExLlamaV3Engine(ExLlamaV3Engine):
    """ExLlamaV3 without a GPU."""

    def __init__(self, on_fatal: Callable[[], None] = lambda: None) -> None:
        super().__init__(on_fatal)
        self.model: Any = None
        self.generator: Any = None
        self.tower: Any = None
        self.embed: Callable[[Any], Any] = lambda image: None
        self.looks = 0
        self.failures: list[Exception] = []  # of the tower

    def open(
        self,
        options: ExllamaOptions,
        checkpoint: Checkpoint,
        limits: Limits,
        progress: ProgressCallback,
    ) -> Opened:
        """Load the model, and keep the package's own generator."""
        text = checkpoint.text
        sizes = SimpleNamespace(
            model_dir=str(checkpoint.path),
            norm_eps=text["rms_norm_eps"],
            rotary_embedding_base=text["rope_theta"],
            **{
                name: text[name]
                for name in (
                    "head_dim",
                    "num_attention_heads",
                    "num_hidden_layers",
                    "num_key_value_heads",
                )
            },
        )
        self.model = PlainLlama(sizes)
        opened = super().open(options, checkpoint, limits, progress)
        assert isinstance(opened.generator, V3Generator)
        self.generator = opened.generator._generator
        self.generator.enable_defrag = False  # by kernels
        if isinstance(tower := opened.tower, V3Tower):
            self.embed = partial(self.tower.get_image_embeddings, tower._tokenizer)
        return opened

    @property
    def pages_in_use(self) -> int:
        """Return how many pages of the cache an answer holds."""
        table = self.generator.pagetable
        return int(table.max_pages - table.num_unreferenced_pages())

    def require_gpu(self) -> None:
        """Be content with a CPU."""

    def load_tower(
        self, tower: Any, options: ExllamaOptions, loaded: Callable[[int, int], None]
    ) -> None:
        """Load the package's own tower, which runs on a CPU where its kernels are stood in for."""
        self.tower = tower
        forward = tower.forward

        def watched(*arguments: Any, **named: Any) -> Any:
            self.looks += 1
            if self.failures:
                raise self.failures.pop()
            return forward(*arguments, **named)

        tower.forward = watched
        loaded(0, 1)
        tower.config.stc.load_method = "python"
        tower.load(device=torch.device("cpu"))
        loaded(1, 1)

    def load_weights(
        self,
        model: Any,
        cache: Any,
        options: ExllamaOptions,
        loaded: Callable[[int, int], None],
    ) -> None:
        """Put a Llama in plain torch in the place of the model's forward pass; the cache is the real one."""
        for layer in cache.layers.values():
            layer.alloc(torch.device("cpu"))
        cache.initialized = True
        layers = list(cache.layers.values())

        def forward(input_ids: Any, params: dict[str, Any], only_read: bool = False) -> Any:
            where = SimpleNamespace(
                block_index=params["block_table"].view(input_ids.shape[0], -1),
                cache_seqlens=params["cache_seqlens"],
                page_size=PAGE,
            )
            flat = SimpleNamespace(
                key_states=[layer.k.flatten(0, 1)[None] for layer in layers],
                value_states=[layer.v.flatten(0, 1)[None] for layer in layers],
            )
            found = self.model.forward_chunk(
                input_ids,
                where,
                flat,
                preprocess_only=only_read,
                indexed_embeddings=params.get("indexed_embeddings"),
            )
            return found.get("logits")

        model.forward = forward
        model.prefill = lambda input_ids, params: forward(input_ids, params, only_read=True)
        loaded(1, 1)
