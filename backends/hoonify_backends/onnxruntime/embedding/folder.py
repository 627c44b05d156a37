"""What is in an embedding model's folder, and how its makers want vectors to be made.

Read in the router's processes too (to say at once why a home cannot run), so nothing heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions, Pooling

_PLACES = ("onnx/model.onnx", "model.onnx")
_OFFSET_POSITIONS = frozenset({"camembert", "mpnet", "roberta", "xlm-roberta"})
_KNOWN_MODULES = frozenset({"Dropout", "Normalize", "Pooling", "Transformer"})
_POOLING_FLAGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
_NO_LIMIT = 10**9  # tokenizers without a limit say 10**30


class ModelConfig(Struct):
    """The part of ``config.json`` that counts."""

    model_type: str = ""
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None

    @property
    def positions(self) -> int | None:
        """Return how many tokens the model has places for, if it says."""
        positions = self.max_position_embeddings
        if positions is not None and self.model_type in _OFFSET_POSITIONS:
            positions -= (self.pad_token_id or 0) + 1  # its places are counted from there
        return positions if positions and positions > 0 else None


class _Module(Struct):
    type: str
    path: str = ""


class _TokenizerConfig(Struct):
    model_max_length: float | None = None


class _SentenceConfig(Struct):
    max_seq_length: int | None = None


class _Prompts(Struct):
    prompts: dict[str, str] = {}
    default_prompt_name: str | None = None


@dataclass(frozen=True)
class EmbeddingFolder:
    """A complete folder.

    Args:
        graph: The ONNX file.
        tokenizer: The tokenizer's file.
        config: What ``config.json`` says.
        pooling: How one vector is made of those of the tokens.
        beyond: What the model's files ask for and this engine does not do; empty mostly. It is no
            problem where the graph does it all.
        normalize: Whether vectors get length 1.
        max_length: Tokens of one input.
        prefix: Text before each input.
    """

    graph: Path
    tokenizer: Path
    config: ModelConfig
    pooling: Pooling
    beyond: str
    normalize: bool
    max_length: int
    prefix: str


def read_embedding_folder(path: Path, options: OnnxEmbeddingOptions) -> EmbeddingFolder:
    """Read a model's folder; what the options say counts more than its files.

    Raises:
        FolderProblem: The folder or a file in it is missing or is not what it should be.
    """
    if not path.is_dir():
        raise FolderProblem("The model's folder is missing.", f"no folder {path}")
    graph = path / options.file if options.file is not None else _find_graph(path)
    if not graph.is_file():
        raise FolderProblem("A file of the model is missing.", f"no file {graph}")
    tokenizer = _beside(path, graph, "tokenizer.json")
    if tokenizer is None:
        raise FolderProblem(
            "A file of the model is missing.",
            f"no file {path / 'tokenizer.json'}; save the model's fast tokenizer there:"
            " AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)",
        )
    config_file = _beside(path, graph, "config.json")
    config = _decode(config_file, ModelConfig) if config_file else ModelConfig()
    listed = path / "modules.json"
    modules: list[_Module] | None = _decode(listed, list[_Module]) if listed.is_file() else None
    prompts = _optional(path / "config_sentence_transformers.json", _Prompts)
    prefix = options.prefix
    if prefix is None:
        prefix = prompts.prompts.get(prompts.default_prompt_name or "", "")
    pooling, beyond = _read_pooling(path, modules, bool(prefix))
    kinds = [module.type.rpartition(".")[2] for module in modules or []]
    more = [kind for kind in kinds if kind not in _KNOWN_MODULES]
    if more:
        beyond = f"a module {more[0]} in {listed}"
    elif options.pooling is not None:
        beyond = ""
    return EmbeddingFolder(
        graph=graph,
        tokenizer=tokenizer,
        config=config,
        pooling=options.pooling or pooling,
        beyond=beyond,
        normalize=(
            options.normalize
            if options.normalize is not None
            else modules is None or "Normalize" in kinds
        ),
        max_length=_read_max_length(path, config.positions, options.max_length),
        prefix=prefix,
    )


def _find_graph(path: Path) -> Path:
    for place in _PLACES:
        if (path / place).is_file():
            return path / place
    found = sorted([*path.glob("*.onnx"), *path.glob("onnx/*.onnx")])
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(file.relative_to(path)) for file in found)
        raise FolderProblem(
            "The model's file is not chosen.", f"{path} has {names}: say which with file:"
        )
    raise FolderProblem(
        "A file of the model is missing.",
        f"no .onnx file in {path}; export one: optimum-cli export onnx --model MODEL"
        " --task feature-extraction FOLDER",
    )


def _beside(path: Path, graph: Path, name: str) -> Path | None:
    """Return the file in the model's folder, or beside the graph, if there is one."""
    return next((file for file in (path / name, graph.parent / name) if file.is_file()), None)


def _decode(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as exc:
        raise FolderProblem("A file of the model cannot be read.", f"{path}: {exc}") from exc


def _optional(path: Path, kind: type[Any]) -> Any:
    return _decode(path, kind) if path.is_file() else kind()


def _read_pooling(path: Path, modules: list[_Module] | None, prefixed: bool) -> tuple[Pooling, str]:
    """Return the pooling that the model's files ask for, and what of it this engine does not do."""
    place = "1_Pooling"
    for module in modules or []:
        if module.type.endswith(".Pooling"):
            place = module.path or place
    file = path / place / "config.json"
    if not file.is_file():
        return "mean", ""
    facts: dict[str, Any] = _decode(file, dict[str, Any])
    named = facts.get("pooling_mode")  # newer files name it, older ones have a switch for each
    asked = [named] if isinstance(named, str) else []
    if not asked:
        switches = [
            name for name, on in facts.items() if name.startswith("pooling_mode_") and on is True
        ]
        asked = [_POOLING_FLAGS.get(name, name) for name in switches] or ["mean"]
    names = [{"lasttoken": "last"}.get(name, name) for name in asked]
    if len(names) > 1 or names[0] not in get_args(Pooling):
        return "mean", f"the pooling {' + '.join(names)} in {file}"
    if prefixed and facts.get("include_prompt") is False:
        return cast(Pooling, names[0]), f"a pooling without the prefix in {file}"
    return cast(Pooling, names[0]), ""


def _read_max_length(path: Path, positions: int | None, wish: int | None) -> int:
    if wish is not None:
        if positions is not None and wish > positions:
            raise FolderProblem(
                "The model is configured for longer texts than it can read.",
                f"max_length: {wish} is over the model's {positions}",
            )
        return wish
    limits: list[float | None] = [
        _decode(file, _SentenceConfig).max_seq_length
        for file in sorted(path.glob("sentence_*_config.json"))
    ]
    limits.append(_optional(path / "tokenizer_config.json", _TokenizerConfig).model_max_length)
    own = next((int(limit) for limit in limits if limit and limit < _NO_LIMIT), None)
    known = [limit for limit in (own, positions) if limit is not None]
    if not known:
        raise FolderProblem(
            "The model does not say how long its texts may be.",
            f"{path} says nowhere how many tokens the model reads: set max_length",
        )
    return min(known)
