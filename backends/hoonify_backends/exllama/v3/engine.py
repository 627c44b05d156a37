"""The ExLlamaV3 engine: how its models are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.cuda import devices_of, memory_in_use, require_cuda
from hoonify_backends.exllama.engine import ExllamaEngine, Opened
from hoonify_backends.exllama.import_progress import IMPORTING
from hoonify_backends.exllama.limits import Limits
from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.exllama.tower import LOADING
from hoonify_backends.exllama.v3.generator import V3Generator
from hoonify_backends.exllama.v3.tower import V3Tower
from hoonify_router.api import ProgressCallback

_BITS = {"q8": 8, "q6": 6, "q4": 4}


class ExLlamaV3Engine(ExllamaEngine):
    """EXL3 and unquantized models by ExLlamaV3; it has an attention of its own and always shares its cache."""

    backend = "exllamav3"

    def open(
        self,
        options: ExllamaOptions,
        checkpoint: Checkpoint,
        limits: Limits,
        progress: ProgressCallback,
    ) -> Opened:
        """Load the model; see ``ExllamaEngine.open``."""
        self.require_gpu()
        progress(IMPORTING, 0, 0)
        from exllamav3 import Config, Model, Tokenizer

        config = Config.from_directory(str(checkpoint.path))
        tower, sees = self._open_tower(config, options, checkpoint, progress)
        model = Model.from_config(config)
        cache = make_cache(model, options, limits)

        def loaded(done: int, total: int) -> None:
            progress("loading weights", done, total)

        self.load_weights(model, cache, options, loaded)
        tokenizer = Tokenizer.from_config(config)
        generator = make_generator(model, cache, tokenizer, options)
        tensors = [tensor for layer in cache.layers.values() for tensor in layer.get_tensors()]
        return Opened(
            V3Generator(generator, config.vocab_size),
            config.vocab_size,
            min(options.slots, limits.pages),
            device=devices_of(tensor for tensor in tensors if tensor is not None),
            memory_bytes=memory_in_use(),
            details={"batching": "in pages of the cache", "cache": options.cache, **sees},
            tower=None if tower is None else V3Tower(checkpoint, tower, tokenizer),
        )

    def _open_tower(
        self,
        config: Any,
        options: ExllamaOptions,
        checkpoint: Checkpoint,
        progress: ProgressCallback,
    ) -> tuple[Any, dict[str, str]]:
        """Return what sees, with its weights, and what an operator wants to know of it.

        It comes before the model, which is laid out in what is left of the GPUs' memory.
        """
        if not (checkpoint.tower_bytes and "vision" in config.model_classes):
            return None, {}
        if not options.images:
            return None, {"images": "not seen, as the option images says"}
        from exllamav3 import Model

        tower = Model.from_config(config, component="vision")
        self.load_tower(tower, options, lambda done, total: progress(LOADING, done, total))
        return tower, {"images": "seen"}

    def load_tower(
        self, tower: Any, options: ExllamaOptions, loaded: Callable[[int, int], None]
    ) -> None:
        """Load what sees onto the first GPU that the home uses.

        Args:
            tower: ExLlamaV3's component, without weights.
            options: The home's options.
            loaded: Called when it begins, and when it is done.
        """
        first = next((place for place, size in enumerate(options.gpu_split or ()) if size), 0)
        loaded(0, 1)  # the engine tells nothing of a load onto one GPU
        import torch

        tower.load(device=torch.device("cuda", first))
        loaded(1, 1)

    def require_gpu(self) -> None:
        """Look whether there is one."""
        require_cuda()

    def load_weights(
        self,
        model: Any,
        cache: Any,
        options: ExllamaOptions,
        loaded: Callable[[int, int], None],
    ) -> None:
        """Load a model onto GPUs, and its cache with it.

        Args:
            model: ExLlamaV3's model, without weights.
            cache: Its cache, without memory.
            options: The home's options.
            loaded: Called after each module.
        """
        model.load(
            use_per_device=options.gpu_split,
            tensor_p=options.tensor_parallel,
            max_chunk_size=options.prefill_chunk,
            max_batch_size=options.slots,
            callback=loaded,
        )


def make_cache(model: Any, options: ExllamaOptions, limits: Limits) -> Any:
    """Return a cache for a model that is not loaded yet, with a page more: the engine keeps a token to itself."""
    from exllamav3 import Cache, CacheLayer_fp16, CacheLayer_quant

    tokens = limits.cache_tokens + PAGE
    if options.cache == "fp16":
        return Cache(
            model, max_num_tokens=tokens, layer_type=CacheLayer_fp16, max_batch_size=options.slots
        )
    bits = _BITS[options.cache]
    return Cache(
        model,
        max_num_tokens=tokens,
        layer_type=CacheLayer_quant,
        max_batch_size=options.slots,
        k_bits=bits,
        v_bits=bits,
    )


def make_generator(model: Any, cache: Any, tokenizer: Any, options: ExllamaOptions) -> Any:
    """Return ExLlamaV3's generator for a loaded model."""
    from exllamav3 import Generator

    return Generator(
        model=model,
        cache=cache,
        tokenizer=tokenizer,
        max_batch_size=options.slots,
        max_chunk_size=options.prefill_chunk,
    )
