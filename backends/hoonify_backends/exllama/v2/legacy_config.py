"""A model's ``config.json`` in the words that ExLlamaV2 knows.

Since version 5 transformers writes ``rope_parameters`` where it wrote ``rope_theta`` and ``rope_scaling``. ExLlamaV2,
which is older, does not find them there, takes its default of 10000 without a word, and the model talks nonsense.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hoonify_backends.exllama.checkpoint import PREPROCESSOR
from hoonify_backends.generation.folder import FolderProblem

_SCALINGS = frozenset({"default", "linear", "llama3", "longrope", "mrope", "su", "yarn"})
_SLIDING_THETA = 10000


def legacy_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as transformers 4 would have written it.

    Raises:
        ValueError: It says something of positions that ExLlamaV2 cannot do and would ignore.
    """
    plain = dict(config)
    if isinstance(nested := plain.get("text_config"), dict):
        plain["text_config"] = legacy_config(nested)
    newer = plain.pop("rope_parameters", None)
    if isinstance(newer, dict):
        plain.update(_older_words(newer))
    scaling = plain.get("rope_scaling")
    if isinstance(scaling, dict):
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        if kind == "default" and (
            sections := scaling.get("mrope_section")
        ):  # as Qwen-VL is re-saved
            kind, scaling = "mrope", {"type": "mrope", "mrope_section": sections}
            plain["rope_scaling"] = scaling
        if kind not in _SCALINGS:
            raise ValueError(f"rope type {kind!r} is unknown to ExLlamaV2")
        if "rope_type" in scaling and "type" in scaling:  # refused, though the two say the same
            plain["rope_scaling"] = {k: v for k, v in scaling.items() if k != "type"}
        if kind == "default":
            del plain["rope_scaling"]
    vision = plain.get("vision_config")
    if isinstance(vision, dict) and "temporal_patch_size" in vision:  # Qwen's
        plain["vision_config"] = {"spatial_patch_size": vision.get("patch_size"), **vision}
    return plain


def legacy_preprocessor(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of making images ready as transformers 4 would have written it at first.

    The quicker kinds of that code, which newer checkpoints name, do the same; and the smallest and largest number
    of pixels have moved.
    """
    plain = dict(said)
    kind = plain.get("image_processor_type")
    if isinstance(kind, str):
        plain["image_processor_type"] = kind.removesuffix("Fast")
    size = plain.get("size")
    if isinstance(size, dict) and "Qwen2" in str(kind):
        for name, newer in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
            if newer in size and plain.get(name) is None:
                plain[name] = size[newer]
    return plain


def _older_words(newer: Mapping[str, Any]) -> dict[str, Any]:
    if not any(isinstance(value, dict) for value in newer.values()):
        return _of_one_kind(newer)
    full, sliding = newer.get("full_attention"), newer.get("sliding_attention")
    if set(newer) - {"full_attention", "sliding_attention"} or not isinstance(full, dict):
        raise ValueError(f"rope_parameters of {', '.join(newer)} are unknown to ExLlamaV2")
    if isinstance(sliding, dict) and sliding.get("rope_theta", _SLIDING_THETA) != _SLIDING_THETA:
        raise ValueError(f"ExLlamaV2 has {_SLIDING_THETA} as rope_theta of sliding attention")
    return _of_one_kind(full)


def _of_one_kind(newer: Mapping[str, Any]) -> dict[str, Any]:
    scaling = dict(newer)
    older: dict[str, Any] = {}
    for name in ("rope_theta", "partial_rotary_factor"):
        if (value := scaling.pop(name, None)) is not None:
            older[name] = value
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind != "default" or "mrope_section" in scaling:
        older["rope_scaling"] = scaling
        original = scaling.get("original_max_position_embeddings")
        if kind == "longrope" and original is not None:
            older["original_max_position_embeddings"] = original
    return older


@contextlib.contextmanager
def readable_folder(
    path: Path, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None = None
) -> Iterator[Path]:
    """Yield a folder that ExLlamaV2 reads rightly: the model's own, or one of links with a configuration beside them.

    Args:
        path: The model's folder.
        config: What its ``config.json`` says.
        preprocessor: What it says of making images ready; ``None`` where it says nothing.

    Raises:
        FolderProblem: There is no right way to read it.
    """
    try:
        plain = legacy_config(config)
    except ValueError as problem:
        raise FolderProblem(
            "This engine cannot do what the model's configuration asks for.",
            f"{path / 'config.json'}: {problem}",
        ) from problem
    older = None if preprocessor is None else legacy_preprocessor(preprocessor)
    unchanged = older is None or ((path / PREPROCESSOR).is_file() and older == preprocessor)
    if plain == config and unchanged:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="hoonify-exllamav2-") as name:
        folder = Path(name)
        for file in path.iterdir():
            if file.is_file() and file.name not in ("config.json", PREPROCESSOR):
                (folder / file.name).symlink_to(file.resolve())
        (folder / "config.json").write_text(json.dumps(plain), encoding="utf-8")
        if older is not None:
            (folder / PREPROCESSOR).write_text(json.dumps(older), encoding="utf-8")
        yield folder
