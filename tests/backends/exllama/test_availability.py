"""Why a home cannot run here: what clients may read, and what an operator should do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backends.exllama.folders import make_model, make_seeing_model

from hoonify_backends.exllama import ExllamaOptions, availability, hoonify_register_backends
from hoonify_backends.exllama.availability import check_v2, check_v3
from hoonify_router.api import HomeConfig, Unavailable, WorkerBackend

CHECKS = {"exllamav2": check_v2, "exllamav3": check_v3}
BOTH = pytest.mark.parametrize("backend", list(CHECKS))


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Pretend that there is a GPU, or that there is none."""

    def pretend(there: bool) -> None:
        monkeypatch.setattr(availability, "has_nvidia_device", lambda: there)

    pretend(True)
    return pretend


def look(backend: str, model: Path, **options: Any) -> Unavailable | None:
    """Check a home as the router does, relative to the model's folder's parent."""
    home = HomeConfig(backend)
    return CHECKS[backend](ExllamaOptions(model.name, **options), home, model.parent)


def refusal(backend: str, model: Path, **options: Any) -> Unavailable:
    """Check a home that cannot run, and that clients may read why."""
    problem = look(backend, model, **options)
    assert problem is not None
    assert problem.reason.endswith(".")
    assert "/" not in problem.reason
    assert "\n" not in problem.detail
    return problem


def test_the_backends_are_registered() -> None:
    """Both by one module, with engines that exist and the same strict options."""
    backends = {backend.name: backend for backend in hoonify_register_backends()}
    assert list(backends) == list(CHECKS)
    for name, backend in backends.items():
        assert isinstance(backend, WorkerBackend)
        assert (backend.check, backend.extra) == (CHECKS[name], name)
        assert backend.requires[0] == name
        module, _, engine = backend.engine.partition(":")
        __import__(module)
        found = getattr(sys.modules[module], engine)
        assert found.options_type is backend.options is ExllamaOptions
        assert found.backend == name


def test_registering_imports_nothing_heavy() -> None:
    """The router's processes import this module, and never an engine."""
    code = (
        "import sys, hoonify_backends.exllama;"
        "heavy = {'numpy', 'torch', 'exllamav2', 'exllamav3', 'tokenizers', 'jinja2'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"model": ""},
        {"model": "x", "cache": "q5"},
        {"model": "x", "cache_tokens": 1000},
        {"model": "x", "prefill_chunk": 300},
        {"model": "x", "gpu_split": [0]},
        {"model": "x", "gpu_splits": [1]},
        {"model": "x", "tool_parser": "unheard-of"},
        {"model": "x", "draft_model": "y"},
    ],
)
def test_options_are_strict(wrong: dict[str, Any]) -> None:
    """A mistake is refused when the file is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, ExllamaOptions)


@pytest.mark.parametrize(
    ("backend", "form"),
    [
        ("exllamav2", "exl2"),
        ("exllamav2", "gptq"),
        ("exllamav2", "plain"),
        ("exllamav3", "exl3"),
        ("exllamav3", "plain"),
    ],
)
def test_a_complete_home_is_available(tmp_path: Path, backend: str, form: str) -> None:
    """Each engine reads its own form, and both read weights that are not quantized."""
    assert look(backend, make_model(tmp_path / "m", form)) is None


@pytest.mark.parametrize(
    ("backend", "form", "right"),
    [
        ("exllamav2", "exl3", "exllamav3"),
        ("exllamav3", "exl2", "exllamav2"),
        ("exllamav3", "gptq", "exllamav2"),
    ],
)
def test_the_siblings_checkpoint_is_refused_by_name(
    tmp_path: Path, gpu: Callable[[bool], None], backend: str, form: str, right: str
) -> None:
    """With the backend that reads it, and before anybody misses a GPU."""
    gpu(False)
    problem = refusal(backend, make_model(tmp_path / "m", form))
    assert f"checkpoint in {form.upper()} form" in problem.detail
    assert problem.detail.endswith(f"set backend: {right}")


@BOTH
def test_other_forms_are_refused_by_name(tmp_path: Path, backend: str) -> None:
    """Neither engine reads them."""
    model = make_model(tmp_path / "m", "gptq", quantization_config={"quant_method": "awq"})
    assert "quantized by awq" in refusal(backend, model).detail


def test_exllamav2_would_load_what_it_does_not_know_as_a_llama(tmp_path: Path) -> None:
    """With one line on its output; so it is refused before."""
    model = make_model(tmp_path / "m", architectures=["NewestForCausalLM"])
    problem = refusal("exllamav2", model)
    assert "NewestForCausalLM" in problem.detail
    assert "backend: exllamav3" in problem.detail
    assert look("exllamav3", model) is None  # it says itself what it does not know


def test_a_known_name_with_another_vision_part_is_unknown(tmp_path: Path) -> None:
    """ExLlamaV2 knows Llava only around Pixtral."""
    named = {"architectures": ["LlavaForConditionalGeneration"]}
    other = make_model(tmp_path / "o", **named, vision_config={"model_type": "clip_vision_model"})
    pixtral = make_seeing_model(tmp_path / "p", **named)
    assert "LlavaForConditionalGeneration" in refusal("exllamav2", other).detail
    assert look("exllamav2", pixtral) is None


@BOTH
def test_a_path_that_does_not_exist(tmp_path: Path, backend: str) -> None:
    """The path is for operators only."""
    problem = refusal(backend, tmp_path / "nowhere")
    assert problem == Unavailable(
        "The model's folder is missing.", f"no folder {tmp_path / 'nowhere'}"
    )


@BOTH
def test_a_machine_without_a_gpu(tmp_path: Path, gpu: Callable[[bool], None], backend: str) -> None:
    """Neither engine runs on a CPU."""
    model = make_model(tmp_path / "m")
    gpu(False)
    assert "needs an NVIDIA GPU" in refusal(backend, model).reason


def test_a_chat_template_of_the_operators_own(tmp_path: Path) -> None:
    """It replaces one that is missing, and must be there itself."""
    model = make_model(tmp_path / "m")
    (model / "chat_template.jinja").rename(tmp_path / "own.jinja")
    assert "no chat template" in refusal("exllamav2", model).reason
    assert look("exllamav2", model, chat_template="own.jinja") is None
    assert "other.jinja" in refusal("exllamav2", model, chat_template="other.jinja").detail


def test_options_that_do_not_fit_the_model(tmp_path: Path) -> None:
    """Found without loading it."""
    problem = refusal("exllamav3", make_model(tmp_path / "m"), context_length=8192)
    assert "8192 is over the 4096" in problem.detail


@BOTH
def test_a_model_that_sees_says_how_images_are_made_ready(tmp_path: Path, backend: str) -> None:
    """In the file of one version of transformers or of the next."""
    model = make_seeing_model(tmp_path / "m")
    assert look(backend, model) is None
    said = (model / "preprocessor_config.json").read_text()
    (model / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in refusal(backend, model).detail
    (model / "processor_config.json").write_text(f'{{"image_processor": {said}}}')
    assert look(backend, model) is None


def test_a_part_of_a_model_need_not_say_it(tmp_path: Path) -> None:
    """ExLlamaV2 wants the file all the same."""
    named = {"architectures": ["Mistral3ForConditionalGeneration"]}
    model = make_model(tmp_path / "m", **named, vision_config={"model_type": "pixtral"})
    assert look("exllamav3", model) is None
    assert "preprocessor_config.json" in refusal("exllamav2", model).detail
