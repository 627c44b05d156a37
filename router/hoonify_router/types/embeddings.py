"""A request for vectors that stand for texts."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from hoonify_router.types.completions import Prompt
from hoonify_router.types.parameters import INT64, Model, Task, User, says


class EmbeddingRequest(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/embeddings``. ``None`` means that the client left the field out."""

    model: Model
    input: Annotated[
        Prompt,
        says(
            "What is to be embedded, as text or as token ids.",
            value="string, list of at most 2048 strings, list of token ids, or list of at most 2048 such lists",
        ),
    ]
    encoding_format: Annotated[
        Literal["float", "base64"] | None,
        says(
            "Vectors as lists of numbers, or as base64 of 32-bit floats, little-endian.", "`float`"
        ),
    ] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=1, le=INT64)] | None,
        says("Numbers per vector, for models that can be cut short.", "the model's"),
    ] = None
    user: User = None

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
