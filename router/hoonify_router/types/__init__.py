"""The nouns that all parts share: requests as clients send them, the events engines answer with, homes."""

from __future__ import annotations

from hoonify_router.types.chat import (
    CORE_PARAMETERS,
    METADATA_PARAMETERS,
    AudioPart,
    ChatRequest,
    ContentPart,
    FilePart,
    ImagePart,
    ImageURL,
    Message,
    RefusalPart,
    Role,
    StreamOptions,
    Task,
    TextPart,
)
from hoonify_router.types.completions import (
    CompletionRequest,
    Prompt,
)
from hoonify_router.types.embeddings import (
    EmbeddingRequest,
)
from hoonify_router.types.events import (
    Counted,
    Embedded,
    Event,
    Failure,
    Finish,
    FinishReason,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from hoonify_router.types.homes import (
    Capabilities,
    Health,
    HomeState,
    HomeView,
    RoutingTable,
)

InferenceRequest = ChatRequest | CompletionRequest | EmbeddingRequest
"""Whatever a home can be asked."""

__all__ = [
    "CORE_PARAMETERS",
    "METADATA_PARAMETERS",
    "AudioPart",
    "Capabilities",
    "ChatRequest",
    "CompletionRequest",
    "ContentPart",
    "Counted",
    "Embedded",
    "EmbeddingRequest",
    "Event",
    "Failure",
    "FilePart",
    "Finish",
    "FinishReason",
    "Health",
    "HomeState",
    "HomeView",
    "ImagePart",
    "ImageURL",
    "InferenceRequest",
    "Message",
    "Prompt",
    "Reasoning",
    "RefusalPart",
    "Role",
    "RoutingTable",
    "StreamOptions",
    "Task",
    "Text",
    "TextPart",
    "TokenLogprob",
    "ToolCall",
    "Usage",
]
