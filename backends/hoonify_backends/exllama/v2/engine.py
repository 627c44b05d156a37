"""The ExLlamaV2 engine: how its models are loaded."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.cuda import devices_of, memory_in_use, require_cuda
from hoonify_backends.exllama.engine import ExllamaEngine, Opened
from hoonify_backends.exllama.import_progress import IMPORTING
from hoonify_backends.exllama.limits import Limits
from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.exllama.tower import LOADING
from hoonify_backends.exllama.v2.generator import V2Generator
from hoonify_backends.exllama.v2.legacy_config import readable_folder
from hoonify_backends.exllama.v2.tower import V2Tower, knows_tower
from hoonify_router.api import ProgressCallback

log = logging.getLogger(__name__)

_ONE_AT_A_TIME = "one answer at a time: flash-attn 2.5.7 or newer is not installed"


class ExLlamaV2Engine(ExllamaEngine):
    """EXL2, GPTQ and unquantized models by ExLlamaV2."""

    backend = "exllamav2"

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
        from exllamav2 import ExLlamaV2, ExLlamaV2Config, ExLlamaV2Tokenizer

        with readable_folder(checkpoint.path, checkpoint.config, checkpoint.preprocessor) as folder:
            config = ExLlamaV2Config(str(folder))
            set_limits(config, options, limits)
            tower, sees = self._open_tower(config, options, checkpoint, progress)
            model = ExLlamaV2(config)

            def loaded(done: int, total: int) -> None:
                progress("loading weights", done, total)

            cache = self.load_weights(model, options, limits, loaded)
            tokenizer = ExLlamaV2Tokenizer(config)
        opened = make_generator(model, cache, tokenizer, options)
        return dataclasses.replace(
            opened,
            tower=None if tower is None else V2Tower(checkpoint, tower, model, tokenizer),
            details={**opened.details, **sees},
            device=devices_of(cache.all_tensors()),
            memory_bytes=memory_in_use(),
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
        if not (checkpoint.tower_bytes and knows_tower(config)):
            return None, {}
        if not options.images:
            return None, {"images": "not seen, as the option images says"}
        if options.tensor_parallel:
            log.warning("with tensor_parallel ExLlamaV2 sees no images")
            return None, {"images": "not seen, as ExLlamaV2 has no tensor_parallel for that"}
        from exllamav2 import ExLlamaV2VisionTower

        tower = ExLlamaV2VisionTower(config)
        self.load_tower(tower, lambda done, total: progress(LOADING, done, total))
        return tower, {"images": "seen"}

    def load_tower(self, tower: Any, loaded: Callable[[int, int], None]) -> None:
        """Load what sees onto the first GPU.

        Args:
            tower: ExLlamaV2's vision tower, without weights.
            loaded: Called after each module.
        """
        tower.load(callback=loaded)

    def require_gpu(self) -> None:
        """Look whether there is one."""
        require_cuda()

    def load_weights(
        self,
        model: Any,
        options: ExllamaOptions,
        limits: Limits,
        loaded: Callable[[int, int], None],
    ) -> Any:
        """Load a model and return its cache.

        Args:
            model: ExLlamaV2's model, without weights.
            options: The home's options.
            limits: How large the cache is.
            loaded: Called after each module.
        """
        return load_weights(model, options, limits, loaded)


def set_limits(config: Any, options: ExllamaOptions, limits: Limits) -> None:
    """Set what ExLlamaV2 makes its tables and buffers by."""
    config.arch_compat_overrides()
    config.max_seq_len = -(-limits.context_length // PAGE) * PAGE  # so that a chunk is whole pages
    config.max_input_len = options.prefill_chunk
    config.max_attention_size = options.prefill_chunk**2


def load_weights(
    model: Any, options: ExllamaOptions, limits: Limits, loaded: Callable[[int, int], None]
) -> Any:
    """Load a model onto GPUs and return its cache; see ``ExLlamaV2Engine.load_weights``."""
    import exllamav2

    kinds = {
        "fp16": exllamav2.ExLlamaV2Cache,
        "q8": exllamav2.ExLlamaV2Cache_Q8,
        "q6": exllamav2.ExLlamaV2Cache_Q6,
        "q4": exllamav2.ExLlamaV2Cache_Q4,
    }
    kind, tokens = kinds[options.cache], limits.cache_tokens
    if options.tensor_parallel:
        model.load_tp(
            options.gpu_split, callback=loaded, expect_cache_tokens=tokens, expect_cache_base=kind
        )
        return exllamav2.ExLlamaV2Cache_TP(model, max_seq_len=tokens, base=kind)
    if options.gpu_split is not None:
        model.load(options.gpu_split, callback=loaded)
        return kind(model, max_seq_len=tokens)
    cache = kind(model, max_seq_len=tokens, lazy=True)
    model.load_autosplit(cache, callback=loaded)
    return cache


def make_generator(model: Any, cache: Any, tokenizer: Any, options: ExllamaOptions) -> Opened:
    """Return a generator for a loaded model; with flash-attn answers share the cache, else one has it all."""
    import exllamav2.attn
    from exllamav2.generator import ExLlamaV2DynamicGenerator

    paged = bool(exllamav2.attn.has_flash_attn_with_paged)
    slots = min(options.slots, cache.max_seq_len // PAGE) if paged else 1
    if not paged and options.slots > 1:
        log.warning(_ONE_AT_A_TIME)
    generator = ExLlamaV2DynamicGenerator(
        model,
        cache,
        tokenizer,
        max_batch_size=slots,
        max_chunk_size=min(options.prefill_chunk, model.config.max_input_len),
        max_q_size=1,  # one token for each sequence and step
        paged=paged,
        filter_background_eval=False,
    )
    return Opened(
        V2Generator(generator, model.config.vocab_size),
        model.config.vocab_size,
        slots,
        details={
            "batching": "in pages of the cache" if paged else _ONE_AT_A_TIME,
            "cache": options.cache,
        },
    )
