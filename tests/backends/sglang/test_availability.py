"""Whether a home can run here: one plain line each where it cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.sglang import SGLangOptions, availability
from hoonify_backends.sglang.availability import check
from hoonify_backends.sglang.flags import read_installation
from hoonify_router.api import HomeConfig, Unavailable

FLAGS = ["page_size", "enable_mixed_chunk", *(f"more_{number}" for number in range(120))]


@pytest.fixture
def python(tmp_path: Path) -> str:
    """The interpreter of an environment that has SGLang's sources, or what looks like them."""
    environment = tmp_path / "env"
    packages = environment / "lib" / "python3.11" / "site-packages"
    fields = packages / "sglang" / "srt" / "arg_groups" / "fields"
    fields.mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").touch(0o755)
    (packages / "sglang" / "__init__.py").touch()
    (packages / "sglang-0.5.23.dist-info").mkdir()
    (packages / "sglang" / "srt" / "server_args.py").write_text('add("--config")\n')
    (fields / "memory.py").write_text("".join(f"    {name}: A[int, 'x'] = 1\n" for name in FLAGS))
    return str(environment / "bin" / "python")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder that looks like a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").touch()
    return str(folder)


def refusal(tmp_path: Path, python: str, **options: Any) -> Unavailable | None:
    """Return why a home with these options cannot run; on the CPU, if nothing else is said."""
    told = SGLangOptions(**{"device": "cpu", **options})
    return check(told, HomeConfig("sglang", python=python), tmp_path)


def test_with_a_url_it_attaches(tmp_path: Path) -> None:
    """Whatever is installed on this machine."""
    options = SGLangOptions(model="Qwen/Qwen3-235B")
    assert check(options, HomeConfig("sglang", url="http://gpu-1:30000"), tmp_path) is None
    assert check(options, HomeConfig("sglang", url="nonsense"), tmp_path) is not None


def test_a_home_that_can_run(tmp_path: Path, python: str, model: str) -> None:
    """Nothing is said."""
    assert refusal(tmp_path, python, model=model) is None
    assert refusal(tmp_path, python, model="org/repository") is None


def test_without_sglang_the_operator_reads_what_helps(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients read that it is missing, and no more."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused = check(SGLangOptions(model=model, device="cpu"), HomeConfig("sglang"), tmp_path)
    assert refused is not None
    assert refused.reason == "The sglang backend is not installed here."
    assert "hoonify-router env sync sglang --accelerator cpu" in refused.detail
    assert "url:" in refused.detail


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({}, "options.model: name a folder"),
        ({"model": "./nowhere"}, "there is no such folder"),
        ({"model": "m/m", "node_rank": 1}, "only node 0 serves"),
        ({"model": "m/m", "nnodes": 2}, "options.dist_init_addr"),
        ({"model": "m/m", "extra_args": ["--page-sise", "1"]}, "did you mean --page-size?"),
        ({"model": "m/m", "extra_args": ["--page-sise"]}, "is no flag of SGLang 0.5.23"),
        ({"model": "m/m", "extra_args": ["--port=1"]}, "--port is set by the router itself"),
        ({"model": "m/m", "extra_args": ["--tp", "8"]}, "an option of its own: tensor_parallel"),
        ({"model": "m/m", "extra_args": ["16"]}, "stands before any flag"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, python: str, options: dict[str, Any], detail: str
) -> None:
    """In one line, with the option's name."""
    refused = refusal(tmp_path, python, **options)
    assert refused is not None
    assert detail in refused.detail
    assert "\n" not in refused.detail


def test_flags_that_can_be_turned_off_are_known(tmp_path: Path, python: str) -> None:
    """SGLang writes a field once, and its parser makes both of it."""
    assert (
        refusal(
            tmp_path,
            python,
            model="m/m",
            extra_args=["--page-size", "16", "--no-enable-mixed-chunk", "--more-1=2"],
        )
        is None
    )


def test_flags_that_cannot_be_read_are_taken_as_they_are(
    tmp_path: Path, python: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A later version may keep them elsewhere; the log says so."""
    caplog.set_level("INFO")
    packages = next(Path(python).parent.parent.rglob("site-packages"))
    (packages / "sglang" / "srt" / "arg_groups" / "fields" / "memory.py").unlink()
    assert not read_installation(packages / "sglang").flags
    assert refusal(tmp_path, python, model="m/m", extra_args=["--page-sise", "1"]) is None
    assert "are taken as they are" in caplog.text


@pytest.mark.parametrize(
    ("there", "options", "reason"),
    [
        ([], {}, "It needs a GPU, and there is none here."),
        (["nvidia0", "nvidiactl"], {"tensor_parallel": 8}, "It needs 8 GPUs, and there are fewer"),
        (["nvidia0"], {}, ""),
        (["nvidia0", "nvidia1"], {"tensor_parallel": 4, "nnodes": 2}, ""),
        (["kfd"], {"tensor_parallel": 8}, ""),
        ([], {"device": "cpu"}, ""),
    ],
)
def test_missing_gpus_are_counted(
    tmp_path: Path, there: list[str], options: dict[str, Any], reason: str
) -> None:
    """By what the driver shows in /dev."""
    for name in there:
        (tmp_path / name).touch()
    refused = availability._missing_gpus(SGLangOptions(model="m/m", **options), tmp_path)
    assert (refused.reason if refused else "").startswith(reason)
    assert bool(refused) == bool(reason)
