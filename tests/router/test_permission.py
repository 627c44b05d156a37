"""What a key may do."""

from __future__ import annotations

import pytest

from hoonify_router.api import Principal
from hoonify_router.errors import ModelNotAllowed, ScopeMissing
from hoonify_router.permission import check_model, check_scope, may_use


def test_without_authentication_everybody_may_ask_models_and_nothing_else() -> None:
    """Nobody has said who it is."""
    check_scope(None, "inference")
    check_scope(None, None)
    check_model(None, "parrot")
    with pytest.raises(ScopeMissing, match="an API key with the scope 'admin'"):
        check_scope(None, "admin")


def test_a_key_needs_the_scope() -> None:
    """Each for what it is for."""
    check_scope(Principal("k"), "inference")
    check_scope(Principal("k", scopes=frozenset({"admin"})), "admin")
    check_scope(Principal("k", scopes=frozenset({"admin"})), None)
    with pytest.raises(ScopeMissing, match="lacks the scope 'inference'"):
        check_scope(Principal("k", scopes=frozenset({"admin"})), "inference")
    with pytest.raises(ScopeMissing, match="lacks the scope 'admin'"):
        check_scope(Principal("k"), "admin")


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        ((), "parrot", True),
        (("parrot",), "parrot", True),
        (("par*",), "parrot", True),
        (("org/*",), "org/crow", True),
        (("a", "*"), "parrot", True),
        (("crow",), "parrot", False),
        (("PARROT",), "parrot", False),
        (("par",), "parrot", False),
    ],
)
def test_patterns_decide_which_models(patterns: tuple[str, ...], model: str, allowed: bool) -> None:
    """Upper and lower case differ, as in the catalog."""
    principal = Principal("k", models=patterns)
    assert may_use(principal, model) == allowed
    if not allowed:
        with pytest.raises(ModelNotAllowed) as caught:
            check_model(principal, model)
        assert caught.value.param == "model"
