"""Every error the router can answer with, and the one function that turns it into OpenAI's envelope.

RouterError                      500  server_error            internal_error
├── InvalidRequest               400  invalid_request_error   invalid_request
│   ├── InvalidJSON              400                          invalid_json
│   ├── MissingParameter         400                          missing_required_parameter
│   ├── InvalidType              400                          invalid_type
│   ├── Unsupported              400                          unsupported_parameter
│   ├── UnknownParameter         400                          unknown_parameter
│   ├── WrongEndpoint            400                          wrong_endpoint
│   ├── ContextLengthExceeded    400                          context_length_exceeded
│   └── InvalidValue             422                          invalid_value
├── AuthenticationFailed         401  authentication_error    invalid_api_key
│   └── MissingAPIKey            401                          missing_api_key
├── PermissionDenied             403  permission_error        permission_denied
│   ├── ModelNotAllowed          403                          model_not_allowed
│   └── ScopeMissing             403                          scope_missing
├── NotFound                     404  invalid_request_error   not_found
│   └── ModelNotFound            404                          model_not_found
├── MethodNotAllowed             405  invalid_request_error   method_not_allowed
├── PayloadTooLarge              413  invalid_request_error   payload_too_large
├── UnsupportedMediaType         415  invalid_request_error   unsupported_media_type
├── RateLimited                  429  rate_limit_error        rate_limit_exceeded
├── Overloaded                   429  rate_limit_error        queue_full
├── RouterFull                   503  server_error            router_full
├── ModelUnavailable             503  server_error            model_unavailable
│   ├── EngineDead               503
│   │   ├── BrokenAnswer         503
│   │   └── UnfinishedAnswer     503
│   ├── HomeStopping             503
│   ├── OutOfMemory              503
│   ├── HomeMisconfigured        503
│   └── HomeTimeout              504                          timeout
│       ├── ConnectTimeout       504                          connect_timeout
│       ├── FirstTokenTimeout    504                          first_token_timeout
│       └── IdleTimeout          504                          idle_timeout
├── TotalTimeout                 504  server_error            total_timeout
└── Cancelled                    499  never sent: the client has left

ConfigError                      a mistake in a file of the operator's: one line each, exit 2
PluginError                      a plugin that cannot be loaded or breaks its contract
"""

from __future__ import annotations

from typing import Any, ClassVar


class RouterError(Exception):
    """Anything that ends a request with an error of ours; the base class is a bug of ours.

    Args:
        message: What went wrong and what to do, for the client to read. It never holds a stack, a
            path of this machine, a key or an upstream address.
        param: Path of the offending field of the request, such as ``messages[1].content``.
        retry_after: Seconds after which a retry makes sense, sent as ``Retry-After``.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class InvalidRequest(RouterError):
    """The request cannot be understood or cannot be served as it is."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class InvalidJSON(InvalidRequest):
    """The body is not JSON."""

    code = "invalid_json"


class MissingParameter(InvalidRequest):
    """A required field is absent."""

    code = "missing_required_parameter"


class InvalidType(InvalidRequest):
    """A field has the wrong JSON type."""

    code = "invalid_type"


class Unsupported(InvalidRequest):
    """OpenAI knows the parameter, the model's home cannot honour it."""

    code = "unsupported_parameter"


class UnknownParameter(InvalidRequest):
    """Nobody knows the parameter."""

    code = "unknown_parameter"


class WrongEndpoint(InvalidRequest):
    """The model exists, but does not do what this endpoint is for."""

    code = "wrong_endpoint"


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit the model's context."""

    code = "context_length_exceeded"


class InvalidValue(InvalidRequest):
    """The right shape, an impossible value."""

    status = 422
    code = "invalid_value"


class AuthenticationFailed(RouterError):
    """The key is wrong, expired or revoked."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class MissingAPIKey(AuthenticationFailed):
    """No key came with the request."""

    code = "missing_api_key"


class PermissionDenied(RouterError):
    """The key is good, but not for this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class ModelNotAllowed(PermissionDenied):
    """The key may not use this model."""

    code = "model_not_allowed"


class ScopeMissing(PermissionDenied):
    """The key lacks the scope that the operation needs."""

    code = "scope_missing"


class NotFound(RouterError):
    """No such route."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(NotFound):
    """No such model in the catalog."""

    code = "model_not_found"


class MethodNotAllowed(RouterError):
    """The route exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class PayloadTooLarge(RouterError):
    """The body is over the limit."""

    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"


class UnsupportedMediaType(RouterError):
    """The body is not declared as JSON."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class RateLimited(RouterError):
    """The key is over its plan's limit."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class Overloaded(RouterError):
    """The model's queue is full; another home or a later try may work."""

    status = 429
    type = "rate_limit_error"
    code = "queue_full"


class RouterFull(RouterError):
    """The router itself cannot take more at the moment; no home is at fault, and no other one can help."""

    status = 503
    code = "router_full"


class ModelUnavailable(RouterError):
    """The model's home is stopped, loading, failed or gone."""

    status = 503
    code = "model_unavailable"


class EngineDead(ModelUnavailable):
    """The engine ended, or its connection broke, while it held the request."""


class BrokenAnswer(EngineDead):
    """The engine sent an answer that makes no sense: a text after the end, an index that nobody asked for."""


class UnfinishedAnswer(EngineDead):
    """The engine said that it was done before its answer was complete."""


class HomeStopping(ModelUnavailable):
    """The model's home takes nothing new, for it is about to stop; it has not looked at the request."""


class OutOfMemory(ModelUnavailable):
    """The engine has no memory left for the request or the model."""


class HomeMisconfigured(ModelUnavailable):
    """The model's home is there and will not have us: a wrong key, path or name in the router's configuration."""


class HomeTimeout(ModelUnavailable):
    """The model's home took too long; another home may be quicker."""

    status = 504
    code = "timeout"


class ConnectTimeout(HomeTimeout):
    """No connection to the home came about in time."""

    code = "connect_timeout"


class FirstTokenTimeout(HomeTimeout):
    """The home did not begin its answer in time."""

    code = "first_token_timeout"


class IdleTimeout(HomeTimeout):
    """The home began its answer, and then said nothing for too long."""

    code = "idle_timeout"


class TotalTimeout(RouterError):
    """The whole answer took longer than the model's limit allows."""

    status = 504
    code = "total_timeout"


class Cancelled(RouterError):
    """The client has left; nobody reads an answer. The status is for logs only."""

    status = 499
    type = "invalid_request_error"
    code = "cancelled"


class ConfigError(Exception):
    """What is wrong in a configuration, every problem as one line ``file:line: path: what``.

    Args:
        problems: The lines, in the order of the file; never empty.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PluginError(Exception):
    """A plugin cannot be loaded or breaks its contract; the message names plugin and distribution."""


def _tree(root: type[RouterError]) -> dict[str, type[RouterError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def error_kinds() -> dict[str, type[RouterError]]:
    """Return every error class by its name, the name that stands for it between processes."""
    return _tree(RouterError)


def envelope(error: RouterError) -> dict[str, Any]:
    """Return OpenAI's error body for ``error``, ready for JSON."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }
