"""The part of a model that sees images: what the two engines have in common."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.failures import is_device_failure, is_out_of_memory, no_memory
from hoonify_backends.generation.runner import BeyondRepair
from hoonify_backends.generation.sight import Seen
from hoonify_router.errors import EngineDead, RouterError

log = logging.getLogger(__name__)

LOADING = "loading what sees images"
"""The stage of a load in which it is loaded."""

_WITH_EMPTY_LINES = frozenset({"Gemma3ForConditionalGeneration"})


class ExllamaTower:
    """Looks at images, in the engine's thread; see ``generation.sight.Tower``.

    Args:
        checkpoint: The model's folder.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        # The engines add what else its makers put around an image, such as tokens of its start and end.
        self.around = "\n\n" if checkpoint.architecture in _WITH_EMPTY_LINES else ""

    def look(self, image: Any) -> Seen:
        """Look at an image.

        Raises:
            BeyondRepair: The GPU failed.
            OutOfMemory: It has no room for this image.
            EngineDead: Anything else failed.
        """
        import torch

        try:
            with torch.inference_mode():
                return self._embed(image)
        except Exception as exc:
            if is_device_failure(exc):
                raise BeyondRepair(f"the GPU failed: {exc}") from exc
            log.exception("an image of %s x %s pixels failed", *image.size)
            if not is_out_of_memory(exc):
                raise EngineDead("The engine failed on an image of this request.") from exc
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # not while the exception holds what it ran out of
        raise no_memory()

    @abstractmethod
    def _embed(self, image: Any) -> Seen:
        """Return what the engine makes of an image."""


def look_once(tower: Any) -> None:
    """Look at an empty image, so that a model that cannot see fails while it is loaded.

    Raises:
        RouterError: It cannot.
    """
    from PIL import Image

    try:
        tower.look(Image.new("RGB", (64, 64), "gray"))
    except RouterError as failure:
        raise failure.__cause__ or failure from None
