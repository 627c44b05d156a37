"""What ``options:`` may say of an SGLang home: its server's flags, typed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

_Count = Annotated[int, Meta(ge=1)]


def _says(text: str) -> Meta:
    return Meta(description=text)


class SGLangOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One SGLang server; each option is the flag of the same meaning. With ``url:`` only ``model`` matters."""

    model: Annotated[
        str | None,
        _says(
            "Folder or Hugging Face repository of the weights; with `url:` the name served there."
        ),
    ] = None
    device: Annotated[
        Literal["cuda", "cpu"],
        _says("`cpu` runs any CPU with plain torch operators: for development, not for speed."),
    ] = "cuda"
    # ---- how it is spread over GPUs and machines
    tensor_parallel: Annotated[_Count, _says("GPUs that share each layer (--tp-size).")] = 1
    pipeline_parallel: Annotated[_Count, _says("Groups of layers in a row (--pp-size).")] = 1
    data_parallel: Annotated[_Count, _says("Whole replicas in one server (--dp-size).")] = 1
    attention_data_parallel: Annotated[
        _Count,
        _says("Groups of GPUs that each do attention for requests of their own (--attn-dp-size)."),
    ] = 1
    expert_parallel: Annotated[_Count, _says("GPUs that share the experts (--ep-size).")] = 1
    nnodes: Annotated[_Count, _says("Machines that serve this one model together.")] = 1
    node_rank: Annotated[
        Annotated[int, Meta(ge=0)],
        _says("Which of them this is; only node 0 serves, so a home is always 0."),
    ] = 0
    dist_init_addr: Annotated[
        str | None, _says("HOST:PORT of node 0, where the machines find each other.")
    ] = None
    # ---- the model and its memory
    context_length: Annotated[_Count | None, _says("Tokens of context (--context-length).")] = None
    dtype: Annotated[
        Literal["auto", "half", "float16", "bfloat16", "float", "float32"] | None,
        _says("Type of weights and activations; `float32` where `device: cpu`."),
    ] = None
    quantization: Annotated[
        str | None, _says("How unquantized weights are quantized at load (--quantization).")
    ] = None
    kv_cache_dtype: Annotated[
        Literal["auto", "bf16", "fp8_e4m3", "fp8_e5m2"], _says("Form of the KV cache.")
    ] = "auto"
    mem_fraction_static: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None,
        _says("Share of a GPU's memory for weights and KV cache (--mem-fraction-static)."),
    ] = None
    trust_remote_code: Annotated[
        bool, _says("Run Python code that comes with the weights (--trust-remote-code).")
    ] = False
    # ---- requests
    chunked_prefill_size: Annotated[
        Annotated[int, Meta(ge=-1)] | None,
        _says("Tokens per piece of a long prompt, -1 for none (--chunked-prefill-size)."),
    ] = None
    max_running_requests: Annotated[
        _Count | None, _says("Requests at once (--max-running-requests).")
    ] = None
    max_queued_requests: Annotated[
        _Count | None, _says("Requests that may wait; more get 429 (--max-queued-requests).")
    ] = None
    deterministic: Annotated[
        bool,
        _says(
            "The same tokens whatever else runs (--enable-deterministic-inference): slower, and the only way"
            " in which SGLang heeds `seed`, which is refused without it."
        ),
    ] = False
    # ---- what answers are read as
    reasoning_parser: Annotated[
        str | None, _says("Tells thoughts from answers, such as deepseek-r1 (--reasoning-parser).")
    ] = None
    tool_call_parser: Annotated[
        str | None,
        _says(
            "Reads tool calls, such as qwen or pythonic; without one, requests with tools are refused."
        ),
    ] = None
    strict_tools: Annotated[
        bool,
        _says(
            "Holds the arguments of calls to their tools' schemas, also where a client does not ask for it by `strict`"
            " (SGLANG_TOOL_STRICT_LEVEL=2)."
        ),
    ] = False
    chat_template: Annotated[
        str | None, _says("Name or file of a chat template in place of the model's own.")
    ] = None
    # ---- speculative decoding
    speculative_algorithm: Annotated[
        str | None, _says("Such as EAGLE, EAGLE3 or NGRAM (--speculative-algorithm).")
    ] = None
    speculative_draft_model: Annotated[
        str | None, _says("Weights of the draft (--speculative-draft-model-path).")
    ] = None
    speculative_num_steps: Annotated[_Count | None, _says("Steps of the draft at a time.")] = None
    speculative_eagle_topk: Annotated[_Count | None, _says("Branches of each step.")] = None
    speculative_num_draft_tokens: Annotated[
        _Count | None, _says("Tokens that are checked at a time.")
    ] = None
    # ---- everything else
    extra_args: Annotated[
        list[str],
        _says(
            "More flags of `sglang.launch_server`, as on a command line; they win over the rest."
        ),
    ] = field(default_factory=list)
