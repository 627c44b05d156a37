"""OpenAI's envelope as a plugin: the same as the router's own, and the last to be asked."""

from __future__ import annotations

from hoonify_plugins import openai_errors
from hoonify_router.api import PluginContext, RequestContext
from hoonify_router.errors import InvalidValue, envelope
from hoonify_router.loader import load_plugins


def test_the_envelope_is_openais() -> None:
    """Four fields, `param` filled in where there is one."""
    ctx = RequestContext("req-1", "POST", "/v1/chat/completions", {}, "127.0.0.1", 0.0)
    error = InvalidValue("Too hot.", param="temperature")
    assert openai_errors.hoonify_shape_error(error, ctx) == {
        "error": {
            "message": "Too hot.",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "invalid_value",
        }
    }


def test_leaving_it_out_changes_nothing() -> None:
    """The router's own shape is the same, as the docstring says."""
    ctx = RequestContext("req-1", "GET", "/", {}, "127.0.0.1", 0.0)
    error = InvalidValue("Too hot.")
    without = load_plugins(entry_points=[])
    assert without.shape_error(error, ctx) == load_plugins().shape_error(error, ctx)
    assert without.shape_error(error, ctx) == envelope(error)


def test_it_may_be_named_in_the_pipeline() -> None:
    """On a request's way it does nothing."""
    (spec,) = openai_errors.hoonify_register_middleware()
    context: PluginContext | None = None
    middleware = spec.build(spec.settings(), context)  # type: ignore[arg-type]
    ctx = RequestContext("req-1", "GET", "/", {}, "127.0.0.1", 0.0)
    assert middleware.on_request(ctx) is None
    assert middleware.on_finally(ctx) is None
