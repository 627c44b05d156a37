"""From options to SGLang's command line, and to all that the router must know of the server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from hoonify_backends.sglang.options import SGLangOptions
from hoonify_backends.sglang.parameters import PARAMETERS, TOOL_PARAMETERS
from hoonify_backends.sglang.progress import read_progress
from hoonify_router.api import HomeConfig, Launch, LaunchSite
from hoonify_router.types import Capabilities

PLAIN_CPU = Path(__file__).with_name("plain_cpu")
"""Folder with the platform and the program that run SGLang on any CPU."""

READY = "/ready"
"""503 from the moment at which a server is told to stop; it still serves what comes, and ends when nothing does."""

_GRACE = 20.0  # it looks every five seconds whether it is idle, and its children take their time
_CPU_TOKENS = 8192
_QUIET = ("--uvicorn-access-log-exclude-prefixes", "/v1/loads", "/ready", "/health")
"""The router asks these again and again: its log, and a crash's last words, are for what matters."""

_SECRETS = "secrets.yaml"
"""What is in no command line, where all users of the machine could read it; SGLang merges it with its flags."""

_DETERMINISTIC = "--enable-deterministic-inference"

_FLAGS = {
    "tensor_parallel": "--tp-size",
    "pipeline_parallel": "--pp-size",
    "data_parallel": "--dp-size",
    "attention_data_parallel": "--attn-dp-size",
    "expert_parallel": "--ep-size",
    "context_length": "--context-length",
    "dtype": "--dtype",
    "quantization": "--quantization",
    "mem_fraction_static": "--mem-fraction-static",
    "chunked_prefill_size": "--chunked-prefill-size",
    "max_running_requests": "--max-running-requests",
    "max_queued_requests": "--max-queued-requests",
    "reasoning_parser": "--reasoning-parser",
    "tool_call_parser": "--tool-call-parser",
    "chat_template": "--chat-template",
    "speculative_algorithm": "--speculative-algorithm",
    "speculative_draft_model": "--speculative-draft-model-path",
    "speculative_num_steps": "--speculative-num-steps",
    "speculative_eagle_topk": "--speculative-eagle-topk",
    "speculative_num_draft_tokens": "--speculative-num-draft-tokens",
}
"""The flag of each option; an option that says what SGLang does anyway adds none."""

OPTION_OF_FLAG = {
    **{flag: name for name, flag in _FLAGS.items()},
    "--tp": "tensor_parallel",
    "--tensor-parallel-size": "tensor_parallel",
    "--pp": "pipeline_parallel",
    "--dp": "data_parallel",
    "--ep": "expert_parallel",
    "--model": "model",
    "--model-path": "model",
    "--device": "device",
    "--kv-cache-dtype": "kv_cache_dtype",
    "--trust-remote-code": "trust_remote_code",
    _DETERMINISTIC: "deterministic",
    "--nnodes": "nnodes",
    "--node-rank": "node_rank",
    "--dist-init-addr": "dist_init_addr",
}
"""Flags that have an option of their own."""

FLAGS_OF_ROUTER = frozenset(
    {"--host", "--port", "--api-key", "--admin-api-key", "--served-model-name", "--config"}
)
"""Flags that the router sets itself."""


def local_folder(model: str, base_dir: Path) -> Path | None:
    """Return the folder that ``model`` names, there or not; ``None`` where it is a repository.

    A name such as ``org/model`` is a repository unless there is such a folder.
    """
    path = Path(os.path.expanduser(model))
    if path.is_absolute() or model.startswith(("./", "../", "~")):
        return base_dir / path
    return base_dir / path if (base_dir / path).is_dir() else None


def plan_launch(options: Struct, home: HomeConfig, site: LaunchSite) -> Launch:
    """Say how a home's server is started; ``home`` has nothing more to say than its options do."""
    assert isinstance(options, SGLangOptions)
    name = served_name(site.model)
    command = [*program(options, site.python), *model_arguments(options, site.base_dir)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--config", f"{{files}}/{_SECRETS}", *_QUIET, "--enable-cache-report"]
    command += flags(options)
    if options.nnodes > 1:
        command += ["--nnodes", str(options.nnodes), "--node-rank", "0"]
        command += ["--dist-init-addr", options.dist_init_addr or ""]
    return Launch(
        command=(*command, *options.extra_args),
        env=environment(options, site.base_dir),
        served_name="" if name == site.model else name,
        capabilities=capabilities(options),
        ready_path=READY,
        moves_path="/health",
        read_progress=read_progress,
        drains=True,
        grace=_GRACE,
        files={_SECRETS: 'api-key: "{key}"\n'},
    )


def served_name(model: str) -> str:
    """Return the name to serve a model under; what follows a colon would be taken for a LoRA adapter."""
    return model.replace(":", "-")


def program(options: SGLangOptions, python: str) -> list[str]:
    """Return what runs ``sglang.launch_server``."""
    if options.device == "cpu":
        return [python, str(PLAIN_CPU / "hoonify_launch_on_cpu.py")]
    return [python, "-m", "sglang.launch_server"]


def model_arguments(options: SGLangOptions, base_dir: Path) -> list[str]:
    """Return where the weights are."""
    folder = local_folder(options.model or "", base_dir)
    place = (options.model or "") if folder is None else os.path.normpath(folder.absolute())
    return ["--model-path", place]


def flags(options: SGLangOptions) -> list[str]:
    """Return the flags of all options that say something, and what the CPU needs."""
    found = list(_told(options))
    if options.device == "cpu":
        found += _on_cpu(options)
    return found


def _told(options: SGLangOptions) -> Iterator[str]:
    for name, flag in _FLAGS.items():
        value = getattr(options, name)
        if value is not None and not (name.endswith("_parallel") and value == 1):
            yield from (flag, f"{value:g}" if isinstance(value, float) else str(value))
    if options.kv_cache_dtype != "auto":
        yield from ("--kv-cache-dtype", options.kv_cache_dtype)
    if options.trust_remote_code:
        yield "--trust-remote-code"
    if options.deterministic:
        yield _DETERMINISTIC


def _on_cpu(options: SGLangOptions) -> list[str]:
    """Return flags for plain torch operators, and for a server that leaves the machine alone when idle."""
    found = ["--device", "cpu", "--attention-backend", "torch_native"]
    found += ["--sampling-backend", "pytorch", "--disable-overlap-schedule", "--sleep-on-idle"]
    found += ["--skip-server-warmup"]  # the router asks it something itself
    if options.dtype is None:
        found += ["--dtype", "float32"]
    if options.max_running_requests is None:
        found += ["--max-running-requests", "8"]
    if "--max-total-tokens" not in options.extra_args:
        found += ["--max-total-tokens", str(max(_CPU_TOKENS, 4 * (options.context_length or 0)))]
    return found


def environment(options: SGLangOptions, base_dir: Path) -> dict[str, str]:
    """Return the variables that the server needs beside the router's own."""
    found: dict[str, str] = {}
    if local_folder(options.model or "", base_dir) is not None:
        found |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}  # it has all it needs
    if options.strict_tools:
        found["SGLANG_TOOL_STRICT_LEVEL"] = "2"
    if options.device == "cpu":
        ranks = options.tensor_parallel * options.data_parallel
        found |= {
            "PYTHONPATH": str(PLAIN_CPU),
            "SGLANG_PLATFORM": "hoonify_plain_cpu",
            "TORCHDYNAMO_DISABLE": "1",  # else the first penalty compiles C++ for most of a minute
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        if ranks > 1:  # it would refuse more ranks than there are memory nodes
            cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
            found["SGLANG_CPU_OMP_THREADS_BIND"] = "|".join(
                str(rank % cores) for rank in range(ranks)
            )
    return found


def capabilities(options: SGLangOptions) -> Capabilities:
    """Return what a server with these options can do."""
    parameters = PARAMETERS if options.tool_call_parser else PARAMETERS - TOOL_PARAMETERS
    if not options.deterministic:
        parameters -= {"seed"}  # it would be taken and not heeded
    embeds = "--is-embedding" in options.extra_args
    return Capabilities(
        parameters=parameters,
        context_length=options.context_length or 0,
        slots=options.max_running_requests or (8 if options.device == "cpu" else 0),
        device=options.device,
        tasks=frozenset({"embedding"} if embeds else {"chat", "completion"}),
    )
