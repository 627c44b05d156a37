"""Files of a model's folder that engines read alike: JSON, and the chat template.

Read in the router's processes too (to say at once why a home cannot run), so nothing heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


class FolderProblem(Exception):
    """The folder cannot be used.

    Args:
        reason: One sentence that clients may read.
        detail: The same for an operator, with the path.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_json(path: Path, kind: type[Any]) -> Any:
    """Return what a JSON file says, as ``kind``.

    Raises:
        FolderProblem: It is missing, or is not what it should be.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise FolderProblem("A file of the model is missing.", f"no file {path}") from None
    except (OSError, msgspec.DecodeError) as exc:
        raise FolderProblem("A file of the model cannot be read.", f"{path}: {exc}") from exc


def read_chat_template(path: Path, tokenizer_config: Mapping[str, Any]) -> str:
    """Return the source of the model's chat template.

    Raises:
        FolderProblem: It has none.
    """
    if (path / "chat_template.jinja").is_file():
        return (path / "chat_template.jinja").read_text(encoding="utf-8")
    template = tokenizer_config.get("chat_template")
    if isinstance(template, list):  # several by name, as some models have for tools
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    if not isinstance(template, str):
        raise FolderProblem(
            "The model has no chat template.",
            f"{path} has neither chat_template.jinja nor a chat_template in tokenizer_config.json",
        )
    return template
