"""From options to a command line, and what the router knows of the server by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.sglang import SGLangOptions
from hoonify_backends.sglang.command import PLAIN_CPU, local_folder, plan_launch
from hoonify_backends.sglang.explanation import explain
from hoonify_backends.sglang.parameters import PARAMETERS, TOOL_PARAMETERS
from hoonify_router.api import HomeConfig, Launch, LaunchSite, Subject

HOME = HomeConfig("sglang")


def planned(options: SGLangOptions, base_dir: Path, model: str = "qwen-3") -> Launch:
    """Return how a home is launched."""
    return plan_launch(options, HOME, LaunchSite(model, "/env/bin/python", base_dir))


def test_an_option_that_says_nothing_adds_no_flag(tmp_path: Path) -> None:
    """What remains is what the router sets itself."""
    launch = planned(SGLangOptions(model="org/model"), tmp_path)
    assert launch.command == (
        *("/env/bin/python", "-m", "sglang.launch_server", "--model-path", "org/model"),
        *("--served-model-name", "qwen-3", "--host", "127.0.0.1", "--port", "{port}"),
        *("--config", "{files}/secrets.yaml", "--uvicorn-access-log-exclude-prefixes", "/v1/loads"),
        *("/ready", "/health", "--enable-cache-report"),
    )
    assert launch.files == {"secrets.yaml": 'api-key: "{key}"\n'}
    assert launch.env == {}
    assert (launch.ready_path, launch.moves_path, launch.drains) == ("/ready", "/health", True)


def test_every_option_becomes_its_flag(tmp_path: Path) -> None:
    """As SGLang spells it; the operator's own flags come last, so that they win."""
    options = SGLangOptions(
        model="org/model",
        tensor_parallel=8,
        pipeline_parallel=2,
        data_parallel=3,
        attention_data_parallel=4,
        expert_parallel=2,
        context_length=131072,
        dtype="bfloat16",
        quantization="fp8",
        kv_cache_dtype="fp8_e4m3",
        mem_fraction_static=0.88,
        trust_remote_code=True,
        chunked_prefill_size=-1,
        max_running_requests=64,
        max_queued_requests=128,
        reasoning_parser="deepseek-r1",
        tool_call_parser="deepseekv3",
        chat_template="llama-4",
        speculative_algorithm="EAGLE",
        speculative_draft_model="org/draft",
        speculative_num_steps=3,
        speculative_eagle_topk=1,
        speculative_num_draft_tokens=4,
        extra_args=["--page-size", "16"],
    )
    text = " ".join(planned(options, tmp_path).command)
    for told in (
        "--tp-size 8 --pp-size 2 --dp-size 3 --attn-dp-size 4 --ep-size 2",
        "--context-length 131072 --dtype bfloat16 --quantization fp8 --mem-fraction-static 0.88",
        "--chunked-prefill-size -1 --max-running-requests 64 --max-queued-requests 128",
        "--reasoning-parser deepseek-r1 --tool-call-parser deepseekv3 --chat-template llama-4",
        "--speculative-algorithm EAGLE --speculative-draft-model-path org/draft",
        "--speculative-num-steps 3 --speculative-eagle-topk 1 --speculative-num-draft-tokens 4",
        "--kv-cache-dtype fp8_e4m3 --trust-remote-code",
    ):
        assert told in text
    assert text.endswith("--page-size 16")


def test_a_folder_is_named_in_full_and_nothing_is_looked_up(tmp_path: Path) -> None:
    """Paths count from the YAML's folder."""
    (tmp_path / "models" / "mine").mkdir(parents=True)
    launch = planned(SGLangOptions(model="models/mine"), tmp_path)
    assert str(tmp_path / "models" / "mine") in launch.command
    assert launch.env["HF_HUB_OFFLINE"] == "1"
    assert local_folder("org/model", tmp_path) is None
    assert local_folder("../elsewhere", tmp_path) == tmp_path / ".." / "elsewhere"
    assert local_folder("/opt/model", tmp_path) == Path("/opt/model")


def test_on_the_cpu_it_is_sglang_with_plain_operators(tmp_path: Path) -> None:
    """Through its own extension point: a platform that is laid on its path."""
    launch = planned(SGLangOptions(model="org/m", device="cpu", context_length=4096), tmp_path)
    text = " ".join(launch.command)
    assert launch.command[1] == str(PLAIN_CPU / "hoonify_launch_on_cpu.py")
    assert "--device cpu --attention-backend torch_native" in text
    assert "--dtype float32" in text
    assert "--max-total-tokens 16384" in text
    assert launch.env["PYTHONPATH"] == str(PLAIN_CPU)
    assert {path.name for path in PLAIN_CPU.iterdir()} >= {
        "hoonify_launch_on_cpu.py",
        "hoonify_plain_cpu.py",
    }


def test_several_ranks_on_the_cpu_are_bound_to_its_cores(tmp_path: Path) -> None:
    """Else SGLang refuses more of them than there are memory nodes."""
    launch = planned(SGLangOptions(model="m/m", device="cpu", tensor_parallel=2), tmp_path)
    assert launch.env["SGLANG_CPU_OMP_THREADS_BIND"].count("|") == 1


def test_without_a_parser_tools_are_refused(tmp_path: Path) -> None:
    """SGLang would hand the call out as text."""
    options: dict[str, Any] = {"model": "m/m", "deterministic": True}
    bare = planned(SGLangOptions(**options), tmp_path).capabilities
    able = planned(SGLangOptions(**options, tool_call_parser="qwen"), tmp_path).capabilities
    assert bare is not None
    assert able is not None
    assert bare.parameters == PARAMETERS - TOOL_PARAMETERS
    assert able.parameters == PARAMETERS
    assert bare.tasks == {"chat", "completion"}


def test_a_seed_is_refused_where_it_would_not_be_heeded(tmp_path: Path) -> None:
    """SGLang takes it and draws as it likes, unless it is told to be deterministic."""
    free = planned(SGLangOptions(model="m/m"), tmp_path)
    bound = planned(SGLangOptions(model="m/m", deterministic=True), tmp_path)
    assert free.capabilities is not None
    assert bound.capabilities is not None
    assert "seed" not in free.capabilities.parameters
    assert "seed" in bound.capabilities.parameters
    assert "--enable-deterministic-inference" in bound.command


def test_calls_are_held_to_their_schemas_if_wanted(tmp_path: Path) -> None:
    """On every node: SGLang is told by a variable."""
    name = "SGLANG_TOOL_STRICT_LEVEL"
    assert name not in planned(SGLangOptions(model="m/m"), tmp_path).env
    strict = SGLangOptions(
        model="m/m", strict_tools=True, nnodes=2, dist_init_addr="10.0.0.1:20000"
    )
    assert planned(strict, tmp_path).env[name] == "2"
    told = explain(strict, Subject("huge", HOME, "python", tmp_path))
    assert [step.variables[name] for step in told.steps] == ["2", "2"]


def test_an_embedding_server_does_nothing_else(tmp_path: Path) -> None:
    """SGLang has two kinds of servers."""
    launch = planned(SGLangOptions(model="m/m", extra_args=["--is-embedding"]), tmp_path)
    assert launch.capabilities is not None
    assert launch.capabilities.tasks == {"embedding"}


@pytest.mark.parametrize(("model", "name"), [("qwen-3", ""), ("qwen:fast", "qwen-fast")])
def test_a_name_with_a_colon_is_not_taken_for_an_adapter(
    tmp_path: Path, model: str, name: str
) -> None:
    """SGLang reads what follows the colon as a LoRA adapter."""
    launch = planned(SGLangOptions(model="m/m"), tmp_path, model)
    assert launch.served_name == name
    assert (name or model) in launch.command


def test_the_commands_of_every_node_are_explained(tmp_path: Path) -> None:
    """The router runs the first, an operator the others, which are told no key."""
    options = SGLangOptions(
        model="org/huge", tensor_parallel=16, nnodes=2, dist_init_addr="10.0.0.1:20000"
    )
    told = explain(options, Subject("huge", HOME, "/env/bin/python", tmp_path))
    first, second = (" ".join(step.command) for step in told.steps)
    assert "--nnodes 2 --node-rank 0 --dist-init-addr 10.0.0.1:20000" in first
    assert "--nnodes 2 --node-rank 1 --dist-init-addr 10.0.0.1:20000" in second
    assert second.startswith("python -m sglang.launch_server --model-path org/huge")
    assert "--config {files}/secrets.yaml" in first
    assert "{" not in second
    assert "node 1 of 2" in told.steps[1].title


def test_with_a_url_nothing_is_started(tmp_path: Path) -> None:
    """There is no command to explain."""
    home = HomeConfig("sglang", url="http://gpu-1:30000")
    told = explain(SGLangOptions(model="m"), Subject("m", home, "python", tmp_path))
    assert not told.steps
