"""How long conversations may be, and how many tokens of them the cache holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.generation.folder import FolderProblem

_UNSAID = 2048  # what both engines take where a model does not say


@dataclass(frozen=True)
class Limits:
    """What fits.

    Args:
        context_length: Tokens of prompt and answer together.
        cache_tokens: Tokens that the cache holds, in whole pages.
    """

    context_length: int
    cache_tokens: int

    @property
    def pages(self) -> int:
        """Return how many pages the cache has."""
        return self.cache_tokens // PAGE


def read_limits(options: ExllamaOptions, checkpoint: Checkpoint) -> Limits:
    """Return what the options and the model allow together.

    Neither engine looks at a job's length itself: a longer one would read past the end of its tables.

    Raises:
        FolderProblem: They contradict each other.
    """
    most = longest_context(checkpoint)
    wanted, cache = options.context_length, options.cache_tokens
    if wanted is not None and wanted > most:
        raise _problem(
            f"context_length: {wanted} is over the {most} tokens that {checkpoint.path / 'config.json'}"
            " says; a model that is made for it takes more with a rope_scaling entry there"
        )
    if wanted is not None and cache is not None and cache < wanted:
        raise _problem(
            f"cache_tokens: {cache} has no room for one conversation of context_length: {wanted}"
        )
    context = wanted or most
    if cache is None:
        cache = -(-context // PAGE) * PAGE
    return Limits(min(context, cache), cache)


def longest_context(checkpoint: Checkpoint) -> int:
    """Return how many tokens the model can take, stretched positions included."""
    made_for = checkpoint.context_length or _UNSAID
    scaling = _scaling(checkpoint.text)
    factor = scaling.get("factor")
    if not isinstance(factor, int | float) or _kind(scaling) not in ("yarn", "linear"):
        return made_for
    original = scaling.get("original_max_position_embeddings", made_for)
    return max(made_for, int(factor * original))


def _scaling(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("rope_scaling", "rope_parameters"):
        if isinstance(found := config.get(name), dict):
            return found
    return {}


def _kind(scaling: Mapping[str, Any]) -> Any:
    return scaling.get("rope_type", scaling.get("type"))


def _problem(detail: str) -> FolderProblem:
    return FolderProblem("The options of this model's home do not fit the model.", detail)
