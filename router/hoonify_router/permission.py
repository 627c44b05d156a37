"""What the key of a request may do; who it belongs to is the authenticating plugin's business."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hoonify_router.api import Principal
from hoonify_router.errors import ModelNotAllowed, ScopeMissing

INFERENCE = "inference"


def check_scope(principal: Principal | None, scope: str | None) -> None:
    """Refuse a key that lacks a scope. Without authentication everyone may ask models, and nothing else.

    Args:
        principal: Who asks, if that is known.
        scope: What is asked for; ``None`` is open to every key.

    Raises:
        ScopeMissing: The key lacks the scope.
    """
    if scope is None or (principal is not None and scope in principal.scopes):
        return
    if principal is not None:
        raise ScopeMissing(f"This API key lacks the scope '{scope}'.")
    if scope != INFERENCE:
        raise ScopeMissing(f"This needs an API key with the scope '{scope}'.")


def check_model(principal: Principal | None, model_id: str) -> None:
    """Refuse a key that may not use this model.

    Raises:
        ModelNotAllowed: None of the key's patterns matches.
    """
    if not may_use(principal, model_id):
        raise ModelNotAllowed(f"This API key may not use the model '{model_id}'.", param="model")


def may_use(principal: Principal | None, model_id: str) -> bool:
    """Tell whether a key may use a model; no patterns means all."""
    if principal is None or not principal.models:
        return True
    return any(fnmatchcase(model_id, pattern) for pattern in principal.models)
