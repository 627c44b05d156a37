"""The architectures that ExLlamaV2 0.3 knows; any other it loads as a Llama, with a line on its standard output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARCHITECTURES = frozenset(
    {
        "Cohere2ForCausalLM",
        "CohereForCausalLM",
        "DbrxForCausalLM",
        "GPT2LMHeadModel",
        "GPTBigCodeForCausalLM",
        "Gemma2ForCausalLM",
        "Gemma3ForConditionalGeneration",
        "GemmaForCausalLM",
        "GemmoeForCausalLM",
        "Glm4ForCausalLM",
        "GraniteForCausalLM",
        "IndexForCausalLM",
        "InternLM2ForCausalLM",
        "LlamaForCausalLM",
        "LlavaForConditionalGeneration",
        "MiniCPMForCausalLM",
        "Mistral3ForConditionalGeneration",
        "MistralForCausalLM",
        "MixtralForCausalLM",
        "OrionForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen2VLForConditionalGeneration",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen3ForCausalLM",
        "Qwen3MoeForCausalLM",
        "Starcoder2ForCausalLM",
        "YiForCausalLM",
    }
)

_PIXTRAL_ONLY = frozenset({"LlavaForConditionalGeneration", "Mistral3ForConditionalGeneration"})


def is_known(architecture: str, config: Mapping[str, Any]) -> bool:
    """Tell whether ExLlamaV2 knows a model.

    Args:
        architecture: Name of its class.
        config: Its ``config.json``.
    """
    if architecture in _PIXTRAL_ONLY:
        vision = config.get("vision_config")
        return isinstance(vision, dict) and vision.get("model_type") == "pixtral"
    return architecture in ARCHITECTURES
