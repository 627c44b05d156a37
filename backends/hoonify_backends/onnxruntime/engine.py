"""The ONNX Runtime engine: a model in this process that answers many chat requests at once."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from hoonify_backends.generation.template import ChatTemplate
from hoonify_backends.onnxruntime.failures import loading_failure, running_failure
from hoonify_backends.onnxruntime.loading import LoadedModel, load_model
from hoonify_backends.onnxruntime.mailbox import Mailbox
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_backends.onnxruntime.prompts import HONOURED, PromptReader, default_sampling
from hoonify_backends.onnxruntime.runner import Runner
from hoonify_backends.onnxruntime.scheduler import Job, Progress, Scheduler
from hoonify_router.api import Engine, ProgressCallback
from hoonify_router.errors import EngineDead, ModelUnavailable, Overloaded
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    Counted,
    Event,
    Finish,
    Health,
    Text,
    Usage,
)

log = logging.getLogger(__name__)

_INLINE_CHARACTERS = 16_384  # longer prompts are tokenized in a thread, so that heartbeats go on
_GRACE = 0.5  # seconds for the last errors to reach their clients before the process ends


def _end_process() -> None:
    """End the worker: a GPU error stays for good, and only a new process gets rid of it."""
    os._exit(70)


class OnnxEngine(Engine[OnnxOptions]):
    """Continuous batching over one ONNX model.

    Usage counts all tokens of the prompt, template included, and all tokens of the answer except the one
    that ends it; ``cached_tokens`` are prompt tokens whose keys and values an earlier request had left.

    Args:
        on_fatal: Called when the model fails again and again; by default the process ends.
    """

    options_type = OnnxOptions

    def __init__(self, on_fatal: Callable[[], None] = _end_process) -> None:
        self._on_fatal = on_fatal
        self._max_waiting = 0
        self._loaded: LoadedModel | None = None
        self._reader: PromptReader | None = None
        self._runner: Runner[Job, Progress] | None = None
        self._mailboxes: dict[Job, Mailbox] = {}  # requests that wait or run
        self._busy_since = 0.0
        self._seconds = 1.0  # that a request takes, a moving average
        self._dead = False

    async def load(self, options: OnnxOptions, progress: ProgressCallback) -> None:
        """Load the model; see ``Engine.load``."""
        loop = asyncio.get_running_loop()
        reading = asyncio.create_task(_report_memory(progress))
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
        self._loaded, self._reader = loaded, reader
        self._max_waiting = options.max_waiting
        self._runner = Runner(
            scheduler, loop, on_progress=self._deliver, on_failure=self._fail, log=log
        )
        log.info("%s runs on %s, %s slots", options.model, loaded.device, loaded.model.slots)

    @property
    def capabilities(self) -> Capabilities:
        """Return what the engine can do; see ``Engine.capabilities``."""
        if self._loaded is None:
            raise ModelUnavailable("the engine is not loaded")
        loaded = self._loaded
        return Capabilities(
            parameters=HONOURED,
            context_length=loaded.model.context_length,
            slots=loaded.model.slots,
            device=loaded.device,
            memory_bytes=loaded.memory_bytes,
            details=loaded.details,
        )

    async def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Answer one request; see ``Engine.generate``."""
        if self._reader is None or self._runner is None or self._loaded is None:
            raise ModelUnavailable("the engine is not loaded")
        self._refuse_if_full(self._loaded.model.slots)
        if _characters(request) <= _INLINE_CHARACTERS:
            job = self._reader.read(request)
        else:
            job = await asyncio.to_thread(self._reader.read, request)
            self._refuse_if_full(self._loaded.model.slots)
        started = time.monotonic()
        if not self._mailboxes:
            self._busy_since = started
        mailbox = self._mailboxes[job] = Mailbox(asyncio.get_running_loop())
        self._runner.submit(job)
        finish = None
        try:
            while finish is None:
                text, finish = await mailbox.take()
                if text:
                    yield Text(text)
            self._seconds += 0.1 * (time.monotonic() - started - self._seconds)
            yield Finish(finish)
            yield Counted(
                Usage(
                    prompt_tokens=job.prompt_length,
                    completion_tokens=job.answer.tokens,
                    cached_tokens=job.cached,
                )
            )
        finally:
            if self._mailboxes.pop(job, None) is not None:
                self._runner.cancel(job)

    def health(self) -> Health:
        """Return how the engine does; see ``Engine.health``."""
        if self._loaded is None or self._runner is None or not self._mailboxes:
            return Health()
        live, slots = len(self._mailboxes), self._loaded.model.slots
        since = max(self._busy_since, self._runner.stepped_at)
        return Health(
            running=min(live, slots),
            queued=max(0, live - slots),
            step_age=max(0.0, time.monotonic() - since),
        )

    async def close(self) -> None:
        """Stop the thread and end what still runs; see ``Engine.close``."""
        self._dead = True
        if self._runner is not None:
            await asyncio.to_thread(self._runner.stop)
        for mailbox in self._mailboxes.values():
            mailbox.fail(EngineDead("The engine has been stopped."))
        self._mailboxes.clear()
        self._loaded = self._reader = self._runner = None

    def _refuse_if_full(self, slots: int) -> None:
        if self._dead:
            raise EngineDead("The engine has failed.")
        waiting = len(self._mailboxes) - slots
        if waiting >= self._max_waiting:
            seconds = self._seconds * (max(0, waiting) + 1) / slots
            raise Overloaded(
                f"The model is busy: {max(0, waiting)} requests wait already. Please try again later.",
                retry_after=min(60, max(1, math.ceil(seconds))),
            )

    def _deliver(self, progress: Sequence[Progress]) -> None:
        for job, text, finish in progress:
            mailbox = self._mailboxes.get(job)
            if mailbox is None:  # cancelled meanwhile
                continue
            mailbox.put(text, finish)
            if finish is not None:
                del self._mailboxes[job]

    def _fail(self, jobs: Sequence[Job], failure: Exception, fatal: bool) -> None:
        error = running_failure(failure)
        # Beyond repair, those that have come meanwhile would wait for ever.
        for job in list(self._mailboxes) if fatal else jobs:
            mailbox = self._mailboxes.pop(job, None)
            if mailbox is not None:
                mailbox.fail(error)
        if fatal:
            self._dead = True
            asyncio.get_running_loop().call_later(_GRACE, self._on_fatal)


def _load(options: OnnxOptions, progress: ProgressCallback) -> tuple[LoadedModel, PromptReader]:
    loaded = load_model(options, log, lambda stage: progress(stage, 0, 0))
    from tokenizers import Tokenizer

    folder, search = loaded.folder, loaded.folder.config.search
    reader = PromptReader(
        ChatTemplate(folder.chat_template, folder.tokenizer_config),
        Tokenizer.from_file(str(folder.tokenizer)),
        defaults=default_sampling(options.sampling, search),
        eos=folder.eos,
        context_length=loaded.model.context_length,
    )
    return loaded, reader


async def _report_memory(progress: ProgressCallback, interval: float = 1.0) -> None:
    """Tell how much memory the process has while it grows: all that can be seen of a session that loads."""
    reported = 0
    while True:
        await asyncio.sleep(interval)
        size = _resident_mib()
        if size > reported:
            reported = size
            progress("loading weights (MiB in memory)", size, 0)


def _resident_mib() -> int:
    """Return how much memory this process has; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024**2


def _characters(request: ChatRequest) -> int:
    """Return about how long the messages are."""
    total = 0
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            total += len(content)
        elif content is not None:
            total += sum(len(getattr(part, "text", "")) for part in content)
    return total
