"""ExLlamaV2's dynamic generator as the stepper sees it."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from typing import Any

from hoonify_backends.exllama.stepper import Choose


class Picker:
    """A filter, as ExLlamaV2 calls what may change scores, that leaves exactly one token: the one that was chosen.

    So the engine's own sampler has no choice left. Its defaults are far from neutral, its ``top_p`` drops likely
    tokens, and its penalties count the prompt.

    Args:
        choose: Chooses.
        vocabulary: Tokens that there are; the engine gives more scores.
    """

    def __init__(self, choose: Choose, vocabulary: int) -> None:
        self._choose = choose
        self._vocabulary = vocabulary

    def begin(self, prefix: str) -> None:
        """Hear that the sequence begins."""

    def feed(self, token: Any) -> None:
        """Hear which token was taken: the one that was left."""

    def use_background_worker(self) -> bool:
        """Return that nothing can be done before the scores are there."""
        return False

    def background_drop(self) -> None:
        """Drop what was prepared: nothing ever is."""

    def can_mask_logits(self) -> bool:
        """Return that it works on the scores."""
        return True

    def get_next(self, mask: bool = False) -> bool:
        """Return that it is ready."""
        return True

    def mask_logits(self, logits: Any) -> Any:
        """Return scores that leave one token."""
        token = self._choose(logits[: self._vocabulary].float().numpy().copy())
        left = logits.new_full(logits.shape, float("-inf"))
        left[token] = 0.0
        return left


class V2Generator:
    """ExLlamaV2's ``ExLlamaV2DynamicGenerator``, never its asynchronous wrapper.

    Args:
        generator: The engine's own.
        vocabulary: Tokens that there are.
    """

    def __init__(self, generator: Any, vocabulary: int) -> None:
        self._generator = generator
        self._vocabulary = vocabulary
        self.paged: bool = generator.paged

    def start(
        self,
        prompt: Sequence[int],
        limit: int,
        choose: Choose,
        *,
        first: bool,
        images: Sequence[Any] = (),
    ) -> Any:
        """Put a sequence into the queue; see ``Generator.start``."""
        import torch
        from exllamav2.generator import ExLlamaV2DynamicJob, ExLlamaV2Sampler

        job = ExLlamaV2DynamicJob(
            input_ids=torch.tensor([prompt], dtype=torch.long),
            max_new_tokens=limit,
            gen_settings=ExLlamaV2Sampler.Settings.greedy(),
            filters=[Picker(choose, self._vocabulary)],
            embeddings=list(images) or None,
        )
        self._generator.enqueue(job)
        if first:
            pending = self._generator.pending_jobs
            pending.insert(0, pending.pop())
        return job

    @property
    def idle(self) -> bool:
        """Whether it has no sequence."""
        return not self._generator.num_remaining_jobs()

    def step(self) -> Iterable[tuple[Any, Exception]]:
        """Get one more token for each sequence; see ``Generator.step``."""
        self._generator.iterate()
        return ()

    def stop(self, handle: Any) -> None:
        """Forget a sequence; see ``Generator.stop``."""
        if handle is not None:
            self._generator.cancel(handle)

    def cached(self, handle: Any) -> int:
        """Return how much of a prompt was found in the cache."""
        pages: int = handle.cached_pages * self._generator.page_size
        return min(pages + int(handle.cached_tokens), len(handle.sequences[0].input_ids))

    def reset(self) -> None:
        """Forget all sequences and pages; see ``Generator.reset``."""
        import torch

        try:
            self._generator.clear_queue()
        finally:
            self._generator.pending_jobs.clear()
            self._generator.active_jobs.clear()
            self._generator.reset_page_table()
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
