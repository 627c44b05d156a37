"""The ONNX Runtime engine: a model in this process that answers many requests at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hoonify_backends.generation.defaults import default_sampling
from hoonify_backends.generation.desk import Desk
from hoonify_backends.generation.engine import DeskEngine, end_process
from hoonify_backends.generation.parameters import PARAMETERS, TASKS
from hoonify_backends.generation.prompts import PromptReader
from hoonify_backends.generation.structure import Structures
from hoonify_backends.generation.template import ChatTemplate
from hoonify_backends.onnxruntime.failures import loading_failure, running_failure
from hoonify_backends.onnxruntime.loading import LoadedModel, load_model
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_backends.onnxruntime.progress import report_memory
from hoonify_backends.onnxruntime.scheduler import Job, Scheduler
from hoonify_router.api import ProgressCallback
from hoonify_router.types import Capabilities

log = logging.getLogger(__name__)


class OnnxEngine(DeskEngine[OnnxOptions]):
    """Continuous batching over one ONNX model."""

    options_type = OnnxOptions

    def __init__(self, on_fatal: Callable[[], None] = end_process) -> None:
        super().__init__(on_fatal)
        self._loaded: LoadedModel | None = None

    async def load(self, options: OnnxOptions, progress: ProgressCallback) -> None:
        """Load the model; see ``Engine.load``."""
        reading = asyncio.create_task(report_memory(progress))
        try:
            loaded, reader = await asyncio.to_thread(_load, options, progress)
        except Exception as exc:
            raise loading_failure(exc) from exc
        finally:
            reading.cancel()
        scheduler = Scheduler(
            loaded.model,
            prefill_chunk=options.prefill_chunk,
            reuse_prefixes=options.reuse_prefixes,
        )
        self._loaded = loaded
        self._desk = Desk(
            reader,
            scheduler,
            Job.of,
            slots=loaded.model.slots,
            max_waiting=options.max_waiting,
            explain=running_failure,
            on_fatal=self._on_fatal,
            log=log,
        )
        self._capabilities = Capabilities(
            parameters=PARAMETERS,
            context_length=loaded.model.context_length,
            slots=loaded.model.slots,
            device=loaded.device,
            memory_bytes=loaded.memory_bytes,
            details=loaded.details,
            tasks=TASKS,
            images=False,
        )
        log.info("%s runs on %s, %s slots", options.model, loaded.device, loaded.model.slots)

    async def close(self) -> None:
        """Stop the thread and end what still runs; see ``Engine.close``."""
        await super().close()
        self._loaded = None


def _load(options: OnnxOptions, progress: ProgressCallback) -> tuple[LoadedModel, PromptReader]:
    loaded = load_model(options, log, lambda stage: progress(stage, 0, 0))
    from tokenizers import Tokenizer

    folder, model = loaded.folder, loaded.model
    tokenizer = Tokenizer.from_file(str(folder.tokenizer))
    reader = PromptReader(
        ChatTemplate(folder.chat_template, folder.tokenizer_config, options.tool_parser),
        tokenizer,
        Structures(tokenizer, model.vocabulary, folder.eos, options.tool_parser),
        defaults=default_sampling(options.sampling, folder.config.search),
        eos=folder.eos,
        context_length=model.context_length,
        vocabulary=model.vocabulary,
    )
    return loaded, reader
