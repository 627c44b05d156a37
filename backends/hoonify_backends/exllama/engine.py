"""The ExLlama engines' common part: from options to a desk that answers requests."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hoonify_backends.exllama.availability import refuse_foreign, refuse_unprepared
from hoonify_backends.exllama.checkpoint import Checkpoint, read_checkpoint
from hoonify_backends.exllama.failures import loading_failure, running_failure
from hoonify_backends.exllama.import_progress import ImportProgress
from hoonify_backends.exllama.limits import Limits, read_limits
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.exllama.stepper import ExllamaStepper, Generator, warm_up
from hoonify_backends.exllama.tower import look_once
from hoonify_backends.generation.defaults import default_sampling
from hoonify_backends.generation.desk import Desk
from hoonify_backends.generation.engine import DeskEngine
from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.generation.parameters import PARAMETERS, TASKS
from hoonify_backends.generation.prompts import PromptReader
from hoonify_backends.generation.sight import ImageMarks, Sight, Tower
from hoonify_backends.generation.structure import Structures
from hoonify_backends.generation.template import ChatTemplate
from hoonify_router.api import ProgressCallback
from hoonify_router.errors import ModelUnavailable
from hoonify_router.types import Capabilities

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A model in the GPU's memory, and what an operator wants to know of it.

    Args:
        generator: Ready to run.
        vocabulary: How many scores it gives for each token.
        slots: Answers that run at once.
        device: Where it runs, such as ``cuda:0``.
        memory_bytes: What it takes on all GPUs.
        details: More facts.
        tower: Looks at images; ``None`` where the model sees none.
    """

    generator: Generator
    vocabulary: int
    slots: int
    device: str = ""
    memory_bytes: int = 0
    details: Mapping[str, str] = field(default_factory=dict)
    tower: Tower | None = None


def _fair_share(pages: int, slots: int) -> int:
    """Return how many pages an answer takes ahead: so few that all slots have some, so many that it rarely asks again."""
    return max(1, min(8, pages // slots))


class ExllamaEngine(DeskEngine[ExllamaOptions]):
    """One model on NVIDIA GPUs.

    The library is used by one thread: its own asynchronous wrapper runs it on the event loop, and never recovers
    from a failure.

    Args:
        on_fatal: Called when the GPU failed, or the model fails again and again; by default the process ends.
    """

    options_type = ExllamaOptions
    backend = ""
    """Name of the backend, for messages."""

    @abstractmethod
    def open(
        self,
        options: ExllamaOptions,
        checkpoint: Checkpoint,
        limits: Limits,
        progress: ProgressCallback,
    ) -> Opened:
        """Load the model; blocks, in a thread.

        Args:
            options: The home's options.
            checkpoint: What is to be loaded.
            limits: Lengths of conversations and cache.
            progress: Told how far it is.
        """

    async def load(self, options: ExllamaOptions, progress: ProgressCallback) -> None:
        """Load the model; see ``Engine.load``."""
        telling = ImportProgress(progress)
        counting = asyncio.create_task(telling.count())
        try:
            opened, reader, limits = await asyncio.to_thread(self._load, options, telling)
        except FolderProblem as problem:
            raise ModelUnavailable(problem.detail) from problem
        except Exception as exc:
            raise loading_failure(exc) from exc
        finally:
            counting.cancel()
        self._capabilities = Capabilities(
            parameters=PARAMETERS,
            context_length=limits.context_length,
            slots=opened.slots,
            device=opened.device,
            memory_bytes=opened.memory_bytes,
            details={**opened.details, "cache_tokens": str(limits.cache_tokens)},
            tasks=TASKS,
            images=opened.tower is not None,
        )
        sight = None
        if opened.tower is not None:
            sight = Sight(opened.tower, images=options.images, pixels=options.image_pixels)
        self._desk = Desk(
            reader,
            ExllamaStepper(
                opened.generator,
                answer_pages=options.answer_pages or _fair_share(limits.pages, opened.slots),
                log=log,
            ),
            lambda job: job,
            slots=opened.slots,
            max_waiting=options.max_waiting,
            explain=running_failure,
            on_fatal=self._on_fatal,
            log=log,
            sight=sight,
        )
        log.info("%s runs on %s, %s slots", options.model, opened.device, opened.slots)

    def _load(
        self, options: ExllamaOptions, progress: ProgressCallback
    ) -> tuple[Opened, PromptReader, Limits]:
        progress("reading the model's folder", 0, 0)
        checkpoint = read_checkpoint(Path(options.model).resolve())
        refuse_foreign(checkpoint, self.backend)
        refuse_unprepared(checkpoint, self.backend)
        limits = read_limits(options, checkpoint)
        template = (
            checkpoint.chat_template()
            if options.chat_template is None
            else Path(options.chat_template).read_text(encoding="utf-8")
        )
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer))
        opened = self.open(options, checkpoint, limits, progress)
        progress("warming up", 0, 0)
        warm_up(opened.generator)
        marks = None
        if opened.tower is not None:
            look_once(opened.tower)
            marks = ImageMarks(Tokenizer.from_file(str(checkpoint.tokenizer)), opened.tower.around)
        # A model may give scores for more tokens than the tokenizer has; none of these is ever chosen.
        known = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        vocabulary = min(opened.vocabulary, known)
        reader = PromptReader(
            ChatTemplate(
                template,
                checkpoint.tokenizer_config,
                options.tool_parser,
                None if marks is None else marks.mark,
            ),
            tokenizer,
            Structures(tokenizer, vocabulary, checkpoint.eos, options.tool_parser),
            defaults=default_sampling(options.sampling, checkpoint.suggestion),
            eos=checkpoint.eos,
            context_length=limits.context_length,
            vocabulary=vocabulary,
            marks=marks,
        )
        return opened, reader, limits
