"""The engine for embeddings: a model in this process that serves many requests with each of its calls."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence

from hoonify_backends.generation.engine import end_process
from hoonify_backends.generation.mailbox import Mailbox
from hoonify_backends.generation.runner import Runner
from hoonify_backends.onnxruntime.embedding.batcher import Batcher, Job, News
from hoonify_backends.onnxruntime.embedding.loading import LoadedEmbeddings, load_embeddings
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_backends.onnxruntime.failures import loading_failure, running_failure
from hoonify_backends.onnxruntime.progress import report_memory
from hoonify_router.api import Engine, ProgressCallback
from hoonify_router.errors import EngineDead, ModelUnavailable, Overloaded
from hoonify_router.types import Capabilities, Counted, EmbeddingRequest, Event, Health

log = logging.getLogger(__name__)

_INLINE_CHARACTERS = 2_048  # longer texts are tokenized in a thread, so that others go on
_GRACE = 0.5  # seconds for the last errors to reach their clients before the process ends


class OnnxEmbeddingEngine(Engine[OnnxEmbeddingOptions]):
    """Dynamic batching over one ONNX encoder.

    Usage counts all tokens that the model reads: prefix and special tokens too, what fills up a call not.

    Args:
        on_fatal: Called when the model fails again and again; by default the process ends.
    """

    options_type = OnnxEmbeddingOptions

    def __init__(self, on_fatal: Callable[[], None] = end_process) -> None:
        self._on_fatal = on_fatal
        self._options: OnnxEmbeddingOptions | None = None
        self._loaded: LoadedEmbeddings | None = None
        self._batcher: Batcher | None = None
        self._runner: Runner[Job] | None = None
        self._mailboxes: dict[Job, Mailbox] = {}  # requests that wait or run
        self._reading = 0  # requests whose text is being tokenized
        self._busy_since = 0.0
        self._dead = False

    async def load(self, options: OnnxEmbeddingOptions, progress: ProgressCallback) -> None:
        """Load the model; see ``Engine.load``."""
        loop = asyncio.get_running_loop()
        reading = asyncio.create_task(report_memory(progress))
        try:
            loaded = await asyncio.to_thread(
                load_embeddings, options, log, lambda stage: progress(stage, 0, 0)
            )
        except Exception as exc:
            raise loading_failure(exc) from exc
        finally:
            reading.cancel()
        self._options, self._loaded = options, loaded
        self._batcher = Batcher(loaded.model, batch_tokens=loaded.batch_tokens)
        self._runner = Runner(
            self._batcher, loop, on_progress=self._deliver, on_failure=self._fail, log=log
        )
        log.info("%s runs on %s, %s", options.model, loaded.device, loaded.details)

    @property
    def capabilities(self) -> Capabilities:
        """Return what the engine can do; see ``Engine.capabilities``."""
        if self._loaded is None or self._options is None:
            raise ModelUnavailable("the engine is not loaded")
        loaded = self._loaded
        return Capabilities(
            parameters=frozenset({"dimensions"} if self._options.matryoshka else ()),
            context_length=loaded.max_length,
            slots=max(1, loaded.batch_tokens // loaded.max_length),
            device=loaded.device,
            memory_bytes=loaded.memory_bytes,
            details=loaded.details,
            tasks=frozenset({"embedding"}),
        )

    async def embed(self, request: EmbeddingRequest) -> AsyncIterator[Event]:
        """Return the request's vectors; see ``Engine.embed``."""
        batcher = self._batcher
        if batcher is None or self._loaded is None:
            raise ModelUnavailable("the engine is not loaded")
        self._refuse_if_full()
        reader = self._loaded.reader
        if _characters(request) <= _INLINE_CHARACTERS:
            job = reader.read(request)
        else:
            self._reading += 1
            try:
                job = await asyncio.to_thread(reader.read, request)
            finally:
                self._reading -= 1
        if self._dead or self._runner is None:  # reading may have taken a while
            raise EngineDead("The engine has failed.")
        if not self._mailboxes:
            self._busy_since = time.monotonic()
        mailbox = self._mailboxes[job] = Mailbox(asyncio.get_running_loop())
        self._runner.submit([job])
        event: Event | None = None
        try:
            while type(event) is not Counted:
                for event in await mailbox.take():
                    yield event
        finally:
            if self._mailboxes.pop(job, None) is not None and self._runner is not None:
                batcher.disown(job)
                await self._runner.cancel([job])

    def health(self) -> Health:
        """Return how the engine does; see ``Engine.health``."""
        live = len(self._mailboxes)
        if self._runner is None or not live:
            return Health(queued=self._reading)
        running = self._running()
        since = max(self._busy_since, self._runner.stepped_at)
        return Health(
            running=running,
            queued=live - running + self._reading,
            step_age=max(0.0, time.monotonic() - since),
        )

    async def close(self) -> None:
        """Stop the thread and end what still runs; see ``Engine.close``."""
        self._dead = True
        if self._batcher is not None and self._runner is not None:
            for job in self._mailboxes:
                self._batcher.disown(job)
            await asyncio.to_thread(self._runner.stop)
        for mailbox in self._mailboxes.values():
            mailbox.fail(EngineDead("The engine has been stopped."))
        self._mailboxes.clear()
        self._loaded = self._batcher = self._runner = None

    def _running(self) -> int:
        """Return how many requests are in the model: where any is here, one is or will be at once."""
        running = self._batcher.running if self._batcher is not None else 0
        return min(len(self._mailboxes), max(1, running))

    def _refuse_if_full(self) -> None:
        if self._dead or self._options is None or self._batcher is None:
            raise EngineDead("The engine has failed.")
        live = len(self._mailboxes) + self._reading
        waiting = live - max(1, self._running())
        if waiting >= self._options.max_waiting:
            tokens = sum(job.waiting for job in self._mailboxes)
            seconds = tokens * self._batcher.seconds_per_token
            raise Overloaded(
                f"The model is busy: {waiting} requests wait already. Please try again later.",
                retry_after=min(60, max(1, math.ceil(seconds))),
            )

    def _deliver(self, news: Sequence[News]) -> None:
        for job, events in news:
            mailbox = self._mailboxes.get(job)
            if mailbox is None:  # cancelled meanwhile
                continue
            if job.failure is not None:
                mailbox.fail(job.failure)
            mailbox.put(0, events)
            # Not whether the job is done: the thread may be further than what it told here.
            if job.failure is not None or type(events[-1]) is Counted:
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


def _characters(request: EmbeddingRequest) -> int:
    """Return about how long the inputs are."""
    return sum(map(len, request.inputs))
