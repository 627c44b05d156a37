"""A quick look whether a home can run here, without importing an engine."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from hoonify_backends.exllama.architectures import is_known
from hoonify_backends.exllama.checkpoint import PREPROCESSOR, Checkpoint, read_checkpoint
from hoonify_backends.exllama.limits import read_limits
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.gpus import has_nvidia_device
from hoonify_router.api import HomeConfig, Unavailable

_READ_BY = {"exl2": "exllamav2", "gptq": "exllamav2", "exl3": "exllamav3"}


def check_v2(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why an ``exllamav2`` home cannot run here, or ``None``."""
    assert isinstance(options, ExllamaOptions)
    return _check(options, base_dir, "exllamav2")


def check_v3(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why an ``exllamav3`` home cannot run here, or ``None``."""
    assert isinstance(options, ExllamaOptions)
    return _check(options, base_dir, "exllamav3")


def _check(options: ExllamaOptions, base_dir: Path, backend: str) -> Unavailable | None:
    try:
        checkpoint = read_checkpoint(base_dir / options.model)
        refuse_foreign(checkpoint, backend)
        refuse_unprepared(checkpoint, backend)
        if options.chat_template is None:
            checkpoint.chat_template()
        elif not (base_dir / options.chat_template).is_file():
            raise FolderProblem(
                "The model's chat template is missing.",
                f"chat_template: no file {base_dir / options.chat_template}",
            )
        read_limits(options, checkpoint)
    except FolderProblem as problem:
        return Unavailable(problem.reason, problem.detail)
    if not has_nvidia_device():
        return Unavailable(
            "This model needs an NVIDIA GPU, and there is none.",
            f"{backend} runs on NVIDIA GPUs only, and neither a /dev/nvidia* device nor nvidia-smi shows one",
        )
    return None


def refuse_foreign(checkpoint: Checkpoint, backend: str) -> None:
    """Refuse a checkpoint that the backend cannot read, or would read wrongly without a word.

    Raises:
        FolderProblem: With the backend that can read it.
    """
    form, path = checkpoint.form, checkpoint.path
    if form == "other":
        raise FolderProblem(
            "The model's weights are in a form that this engine cannot read.",
            f"{path} is quantized by {checkpoint.quantization}, which neither exllamav2 nor exllamav3 reads;"
            " backend: sglang may",
        )
    reader = _READ_BY.get(form, backend)
    if reader != backend:
        raise FolderProblem(
            "The model's weights are in a form that this engine cannot read.",
            f"{path} is a checkpoint in {form.upper()} form, which {backend} cannot read: set backend:"
            f" {reader}",
        )
    if backend == "exllamav2" and not is_known(checkpoint.architecture, checkpoint.config):
        named = checkpoint.architecture or "without a name"
        other = " or backend: exllamav3" if form == "plain" else ""
        raise FolderProblem(
            "This engine does not know the model's architecture.",
            f"{path} has the architecture {named}, which ExLlamaV2 does not know and would load as a Llama;"
            f" try backend: sglang{other}",
        )


def refuse_unprepared(checkpoint: Checkpoint, backend: str) -> None:
    """Refuse a model that sees, and does not say how images are made ready for it: ExLlamaV2 opens that file always.

    Raises:
        FolderProblem: With the file that is missing.
    """
    if not isinstance(checkpoint.config.get("vision_config"), dict):
        return
    needed = backend == "exllamav2" or checkpoint.tower_bytes > 0
    if needed and checkpoint.preprocessor is None:
        raise FolderProblem(
            "A file of the model is missing.",
            f"no file {checkpoint.path / PREPROCESSOR}, which says how images are made ready for the model",
        )
