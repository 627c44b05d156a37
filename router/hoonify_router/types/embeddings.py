"""A request for vectors that stand for texts."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

from hoonify_router.types.chat import Task
from hoonify_router.types.completions import Prompt


class EmbeddingRequest(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/embeddings``. ``None`` means that the client left the field out."""

    model: str
    input: Prompt
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None

    task: ClassVar[Task] = "embedding"

    @property
    def inputs(self) -> list[str | list[int]]:
        """What is to be embedded, each as text or as tokens."""
        given = self.input
        if isinstance(given, str):
            return [given]
        if given and isinstance(given[0], int):
            return [given]  # type: ignore[list-item]
        return given  # type: ignore[return-value]

    @property
    def streams(self) -> bool:
        """Whether the answer comes in pieces: never."""
        return False

    @property
    def choices(self) -> int:
        """How many vectors there will be."""
        return len(self.inputs)

    @property
    def wants_usage(self) -> bool:
        """Whether a usage chunk was asked for: there are no chunks."""
        return False
