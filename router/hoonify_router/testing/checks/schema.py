"""Level 0: what the plugin says of itself. Nothing is loaded, no engine is imported."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from hoonify_router.api import ServerBackend, Unavailable, WorkerBackend
from hoonify_router.supervisor.worker_start import worker_variables
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.records import Level, NotApplicable, check, require
from hoonify_router.types import (
    CORE_PARAMETERS,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Task,
)

HEAVY = (
    "torch", "tensorflow", "jax", "numpy", "scipy", "pandas", "onnxruntime", "sglang", "vllm",
    "exllamav2", "exllamav3", "llama_cpp", "transformers", "tokenizers", "ctranslate2", "mlx",
)  # fmt: skip
FIELDS = frozenset(
    name
    for kind in (ChatRequest, CompletionRequest, EmbeddingRequest)
    for name in kind.__struct_fields__
)
_LONGEST_SUMMARY = 120

_IMPORT = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
_ENGINE = """
import json, sys
import msgspec
from hoonify_router.worker.loading import find_engine
engine = find_engine(sys.argv[1])
options = getattr(engine, "options_type", None)
told = None if options is None else list(options.__struct_fields__)
print("\\n" + json.dumps({"options": told, "tasks": [
    task for task, method in (("chat", "generate"), ("completion", "complete"), ("embedding", "embed"))
    if any(method in vars(base) for base in engine.__mro__[:-1] if base.__module__ != "hoonify_router.api.engines")
]}))
"""


async def run_python(
    python: str, code: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run code in an interpreter of its own; return status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", code, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(variables or {})},
    )
    try:
        output, errors = await process.communicate()
    except BaseException:
        process.kill()
        raise
    return process.returncode or 0, output.decode("utf-8", "replace"), errors.decode()


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


async def _imports(bench: Bench) -> tuple[list[str], str]:
    module = bench.subject.module
    if not module:
        raise NotApplicable("its plugin is no module")
    status, output, errors = await run_python(sys.executable, _IMPORT, module)
    require(status == 0, f"{module} cannot be imported: {last_line(errors)}")
    *said, modules = output.rstrip().splitlines()
    return json.loads(modules), "\n".join(said).strip()


@check(Level.SCHEMA)
async def loads_without_complaint(bench: Bench) -> None:
    """The loader takes the plugin whole, and has nothing to say about it."""
    subject = bench.subject
    require(not subject.failure, f"the loader refuses it: {subject.failure}")
    require(not subject.warning, f"the loader warns: {subject.warning}")


@check(Level.SCHEMA)
async def imports_nothing_heavy(bench: Bench) -> None:
    """The module that registers the backend is imported by every router process: no engine comes with it."""
    modules, _ = await _imports(bench)
    heavy = [name for name in modules if name in HEAVY]
    names = ", ".join(heavy)
    require(not heavy, f"importing {bench.subject.module} imports {names}: do that in `load`")


@check(Level.SCHEMA)
async def imports_in_silence(bench: Bench) -> None:
    """Importing it prints nothing: the output of `hoonify-router` may be for another program."""
    _, said = await _imports(bench)
    require(not said, f"importing {bench.subject.module} prints {said[:120]!r}")


@check(Level.SCHEMA)
async def summary_is_one_line(bench: Bench) -> None:
    """Its summary is one line that fits into a table."""
    summary = bench.subject.backend.summary
    require("\n" not in summary, "its summary has several lines")
    require(len(summary) <= _LONGEST_SUMMARY, f"its summary has over {_LONGEST_SUMMARY} characters")


@check(Level.SCHEMA)
async def options_refuse_unknown_keys(bench: Bench) -> None:
    """A misspelt option is refused."""
    options = {**bench.subject.plan.options, "no_such_option": 1}
    try:
        msgspec.convert(options, bench.subject.backend.options)
    except msgspec.ValidationError:
        return
    require(False, "its options let misspelt keys pass: declare forbid_unknown_fields=True")


@check(Level.SCHEMA)
async def options_have_a_schema(bench: Bench) -> None:
    """Its options become JSON Schema, so that editors complete them."""
    try:
        msgspec.json.schema(bench.subject.backend.options)
    except (TypeError, ValueError) as error:
        require(False, f"its options have no JSON Schema: {error}")


@check(Level.SCHEMA)
async def options_are_described(bench: Bench) -> None:
    """Every option says what it is for."""
    schema = msgspec.json.schema(bench.subject.backend.options)
    own = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    silent = [
        name
        for name, field in own.get("properties", {}).items()
        if not _described(field, schema.get("$defs", {}))
    ]
    require(not silent, f"these options have no description: {', '.join(silent)}")


def _described(field: dict[str, Any], known: dict[str, Any]) -> bool:
    if field.get("description"):
        return True
    inner = [*field.get("anyOf", ()), *field.get("allOf", ())]
    if name := field.get("$ref", "").rpartition("/")[2]:
        inner.append(known.get(name, {}))
    return any(_described(one, known) for one in inner)


@check(Level.SCHEMA)
async def options_are_plain_data(bench: Bench) -> None:
    """Its options travel to the worker and back unchanged."""
    kind = bench.subject.backend.options
    made = msgspec.convert(bench.subject.plan.options, kind)
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(made))
    require(msgspec.convert(sent, kind) == made, "its options are not the same after the wire")


@check(Level.SCHEMA)
async def check_gives_an_answer(bench: Bench) -> None:
    """Its look at the environment returns `None` or an `Unavailable`, and does not raise."""
    subject = bench.subject
    options = msgspec.convert(subject.plan.options, subject.backend.options)
    try:
        found = subject.backend.check(options, subject.plan.home, subject.loaded.base_dir)
    except Exception as error:
        require(False, f"its check raises {type(error).__name__}: {error}")
    else:
        came = type(found).__name__
        require(found is None or isinstance(found, Unavailable), f"its check returns {came}")


@check(Level.SCHEMA)
async def reasons_are_discreet(bench: Bench) -> None:
    """Why a home cannot run is a sentence that clients may read: no path, no address."""
    why = bench.subject.why_unavailable()
    if why is None:
        raise NotApplicable("it can run here")
    require(why.reason.strip(), "it is unavailable without a reason")
    leaks = [word for word in why.reason.split() if word.count("/") > 1 or "://" in word]
    require(not leaks, f"the reason that clients read holds {leaks[:1]}: put that into `detail`")


@check(Level.SCHEMA)
async def parameters_exist(bench: Bench) -> None:
    """Request fields that it declares are fields of OpenAI's requests that need an engine."""
    declared = bench.subject.backend.parameters
    if declared is None:
        raise NotApplicable("its server decides itself")
    unknown = sorted(declared - FIELDS)
    require(not unknown, f"it declares fields that no request has: {', '.join(unknown)}")
    ours = sorted(declared & CORE_PARAMETERS)
    require(not ours, f"it declares what the router itself takes care of: {', '.join(ours)}")


@check(Level.SCHEMA)
async def tasks_exist(bench: Bench) -> None:
    """It declares at least one task, and none that there is not."""
    tasks = bench.subject.backend.tasks
    require(tasks, "it declares no task")
    unknown = sorted(set(tasks) - set(get_args(Task)))
    require(not unknown, f"it declares tasks that do not exist: {', '.join(unknown)}")


@check(Level.SCHEMA, kind="worker")
async def engine_is_found(bench: Bench) -> None:
    """Its engine is found by its name in the interpreter that runs it, and takes the declared options."""
    subject = bench.subject
    backend = subject.backend
    assert isinstance(backend, WorkerBackend)
    if (why := subject.why_unavailable()) is not None:
        raise NotApplicable(f"{why.reason} {why.detail}".strip())
    told = await _look_at_engine(bench)
    require(told["options"] is not None, f"{backend.engine} declares no options_type")
    declared = set(backend.options.__struct_fields__)
    require(
        set(told["options"]) == declared,
        f"the engine's options_type has the fields {sorted(told['options'])}, the backend's"
        f" options have {sorted(declared)}",
    )


@check(Level.SCHEMA, kind="worker")
async def engine_has_its_methods(bench: Bench) -> None:
    """For each task that it declares, its engine has the method."""
    if (why := bench.subject.why_unavailable()) is not None:
        raise NotApplicable(f"{why.reason} {why.detail}".strip())
    told = await _look_at_engine(bench)
    missing = sorted(set(bench.subject.backend.tasks) - set(told["tasks"]))
    require(not missing, f"it declares {', '.join(missing)}, and its engine has no method for it")


async def _look_at_engine(bench: Bench) -> Any:
    backend = bench.subject.backend
    assert isinstance(backend, WorkerBackend)
    plan = bench.subject.plan
    variables = worker_variables(plan, bench.folder)
    told = await run_python(plan.interpreter, _ENGINE, backend.engine, variables=variables)
    status, output, errors = told
    require(status == 0, f"{backend.engine} cannot be imported: {last_line(errors)}")
    return json.loads(last_line(output))


@check(Level.SCHEMA, kind="server")
async def options_name_the_model(bench: Bench) -> None:
    """Its options have a `model`: a server may know the model by another name than the catalog."""
    backend = bench.subject.backend
    assert isinstance(backend, ServerBackend)
    require("model" in backend.options.__struct_fields__, "its options have no field `model`")
