"""The ExLlamaV2 engine with the real package in it, on a CPU: only kernels and the forward pass are stood in for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.backends.exllama.ring_two.llama import PlainLlama
from tests.backends.exllama.ring_two.package import exllamav2, torch

from hoonify_backends.exllama.engine import Opened
from hoonify_backends.exllama.limits import Limits
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.exllama.v2.engine import ExLlamaV2Engine
from hoonify_backends.exllama.v2.generator import V2Generator
from hoonify_backends.exllama.v2.tower import V2Tower


class CpuExLlamaV2Engine(ExLlamaV2Engine):
    """ExLlamaV2 without a GPU.

    Args:
        on_fatal: See ``ExllamaEngine``.
        paged: Whether to pretend that flash-attn is there.
    """

    def __init__(self, on_fatal: Callable[[], None] = lambda: None, *, paged: bool = True) -> None:
        super().__init__(on_fatal)
        exllamav2.attn.has_flash_attn_with_paged = paged
        self.model: Any = None
        self.generator: Any = None
        self.tower: Any = None
        self.embed: Callable[[Any], Any] = lambda image: None
        self.looks = 0
        self.failures: list[Exception] = []  # of the tower

    def open(self, *arguments: Any) -> Opened:
        """Load the model, and keep the package's own generator."""
        opened = super().open(*arguments)
        assert isinstance(opened.generator, V2Generator)
        self.generator = opened.generator._generator
        if isinstance(tower := opened.tower, V2Tower):
            self.embed = partial(self.tower.get_image_embeddings, tower._model, tower._tokenizer)
        return opened

    @property
    def pages_in_use(self) -> int:
        """Return how many pages of the cache an answer holds."""
        return len(self.generator.referenced_pages)

    def require_gpu(self) -> None:
        """Be content with a CPU."""

    def load_tower(self, tower: Any, loaded: Callable[[int, int], None]) -> None:
        """Load the package's own tower, which runs on a CPU where its kernels are stood in for."""
        self.tower = tower
        process = tower.process

        def watched(*arguments: Any, **named: Any) -> Any:
            self.looks += 1
            if self.failures:
                raise self.failures.pop()
            return process(*arguments, **named)

        tower.process = watched
        with torch.inference_mode():
            for done, module in enumerate(tower.modules):
                for part in (module, *module.submodules):
                    part.device_idx = -1
                module.load()
                loaded(done + 1, len(tower.modules))

    def load_weights(
        self,
        model: Any,
        options: ExllamaOptions,
        limits: Limits,
        loaded: Callable[[int, int], None],
    ) -> Any:
        """Put a Llama in plain torch in the place of the model's forward pass; the cache is the real one."""
        plain = PlainLlama(model.config)
        model.forward_chunk = plain.forward_chunk
        model.modules[0].device_idx = -1
        model.modules[0].load()  # words of where an image ends are taken from it
        self.model = plain
        model.cache_map = dict.fromkeys(range(model.config.num_hidden_layers), "cpu")
        loaded(1, 1)
        return exllamav2.ExLlamaV2Cache(model, max_seq_len=limits.cache_tokens)
