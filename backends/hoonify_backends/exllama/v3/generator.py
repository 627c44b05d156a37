"""ExLlamaV3's generator as the stepper sees it."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from typing import Any

from hoonify_backends.exllama.stepper import Choose


class Picker:
    """A sampler, as ExLlamaV3 calls what turns scores into a token, that takes the one that was chosen.

    Args:
        choose: Chooses.
        vocabulary: Tokens that there are; the engine gives more scores.
    """

    reqs_past_ids = False
    """It keeps what it needs of the sequence itself."""

    reqs_torch_seed = False
    """It has random numbers of its own."""

    def __init__(self, choose: Choose, vocabulary: int) -> None:
        self._choose = choose
        self._vocabulary = vocabulary

    def forward(self, logits: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the next token; the engine passes much more than is needed."""
        import torch

        row = logits.reshape(-1)[: self._vocabulary].float().cpu().numpy().copy()
        return torch.tensor([[self._choose(row)]], dtype=torch.long)


class V3Generator:
    """ExLlamaV3's ``Generator``, never its asynchronous wrapper.

    Args:
        generator: The engine's own.
        vocabulary: Tokens that there are.
    """

    paged = True

    def __init__(self, generator: Any, vocabulary: int) -> None:
        self._generator = generator
        self._vocabulary = vocabulary

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
        from exllamav3 import Job

        job = Job(
            input_ids=torch.tensor([prompt], dtype=torch.long),
            max_new_tokens=limit,
            sampler=Picker(choose, self._vocabulary),
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
        return [
            (result["job"], result["error"])
            for result in self._generator.iterate()
            if result["stage"] == "error"
        ]

    def stop(self, handle: Any) -> None:
        """Forget a sequence; see ``Generator.stop``."""
        if handle is not None:
            self._generator.cancel(handle)

    def cached(self, handle: Any) -> int:
        """Return how much of a prompt was found in the cache."""
        from exllamav3.constants import PAGE_SIZE

        pages: int = handle.cached_pages * PAGE_SIZE
        return min(pages + int(handle.cached_tokens), len(handle.sequences[0].input_ids))

    def reset(self) -> None:
        """Forget all sequences and pages; see ``Generator.reset``."""
        import torch

        try:
            self._generator.clear_queue()
        finally:
            self._generator.pending_jobs.clear()
            self._generator.active_jobs.clear()
            self._generator.pagetable.reset_page_table()
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
