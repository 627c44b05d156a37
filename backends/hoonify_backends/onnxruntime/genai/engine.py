"""The engine of the ``onnxruntime_genai`` backend."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from hoonify_backends.generation.defaults import default_sampling
from hoonify_backends.generation.desk import Desk
from hoonify_backends.generation.engine import DeskEngine
from hoonify_backends.generation.parameters import TASKS
from hoonify_backends.generation.prompts import PromptReader
from hoonify_backends.generation.structure import Structures
from hoonify_backends.generation.template import ChatTemplate
from hoonify_backends.onnxruntime.failures import loading_failure, running_failure
from hoonify_backends.onnxruntime.genai.loading import LoadedEngine, load_engine
from hoonify_backends.onnxruntime.genai.options import KNOWN, GenaiOptions
from hoonify_backends.onnxruntime.genai.stepper import Begin, GenaiStepper, begin_turn
from hoonify_backends.onnxruntime.progress import report_memory
from hoonify_router.api import ProgressCallback
from hoonify_router.errors import ModelUnavailable
from hoonify_router.types import Capabilities

log = logging.getLogger(__name__)


class GenaiEngine(DeskEngine[GenaiOptions]):
    """onnxruntime-genai's engine: continuous batching on GPUs with paged attention, static batches elsewhere."""

    options_type = GenaiOptions

    async def load(self, options: GenaiOptions, progress: ProgressCallback) -> None:
        """Load the model; see ``Engine.load``."""
        reading = asyncio.create_task(report_memory(progress))
        try:
            loaded, reader = await asyncio.to_thread(_load, options, progress)
        except Exception as exc:
            raise loading_failure(exc) from exc
        finally:
            reading.cancel()
        eos = min(loaded.folder.eos)
        self._desk = Desk(
            reader,
            GenaiStepper(partial(_open, loaded), slots=loaded.slots, eos=eos),
            lambda job: job,
            slots=loaded.slots,
            max_waiting=options.max_waiting,
            explain=running_failure,
            on_fatal=self._on_fatal,
            log=log,
        )
        self._capabilities = Capabilities(
            parameters=KNOWN | {"seed"} if loaded.continuous else KNOWN,
            context_length=loaded.context_length,
            slots=loaded.slots,
            device=loaded.device,
            memory_bytes=loaded.memory_bytes,
            details=loaded.details,
            tasks=TASKS,
            images=False,
        )
        log.info("%s runs on %s, %s slots", options.model, loaded.device, loaded.slots)


def _open(loaded: LoadedEngine) -> tuple[Any, Begin]:
    """Make the engine, in the thread that will run it."""
    import onnxruntime_genai as og

    engine = og.Engine(loaded.model)
    return engine, begin_turn(engine, og, loaded.continuous)


def _load(options: GenaiOptions, progress: ProgressCallback) -> tuple[LoadedEngine, PromptReader]:
    loaded = load_engine(options, lambda stage: progress(stage, 0, 0))
    from tokenizers import Tokenizer

    folder, facts = loaded.folder, loaded.folder.config.model
    defaults = default_sampling(options.sampling, folder.config.search)
    if defaults.min_p:
        raise ModelUnavailable(
            "min_p is nothing that onnxruntime-genai's engine knows: set sampling: {min_p: 0}"
        )
    tokenizer = Tokenizer.from_file(str(folder.tokenizer))
    reader = PromptReader(
        ChatTemplate(folder.chat_template, folder.tokenizer_config),
        tokenizer,
        Structures(tokenizer, facts.vocab_size, folder.eos),
        defaults=defaults,
        eos=folder.eos,
        context_length=loaded.context_length,
        vocabulary=facts.vocab_size,
    )
    return loaded, reader
