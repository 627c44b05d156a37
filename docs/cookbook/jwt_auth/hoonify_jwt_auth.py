"""Keys that nobody stores: JSON Web Tokens, signed with HMAC-SHA-256 by whoever knows the secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, field

from hoonify_router.api import (
    Middleware,
    MiddlewareSpec,
    Phase,
    PluginContext,
    Principal,
    RequestContext,
    hookimpl,
)
from hoonify_router.errors import AuthenticationFailed, MissingAPIKey

_WRONG = "Invalid token provided."


class JWTSettings(Struct, forbid_unknown_fields=True):
    """What `plugins: jwt_auth:` may say; write `secret: ${JWT_SECRET}`."""

    secret: Annotated[str, Meta(description="What tokens are signed with.", min_length=32)]
    audience: Annotated[str, Meta(description="The `aud` that they must have.")] = ""
    scopes: Annotated[list[str], Meta(description="What a token without `scope` may do.")] = field(
        default_factory=lambda: ["inference"]
    )


class JWTAuth(Middleware):
    """Lets requests pass whose token is signed and not expired; it never waits, and never fails open."""

    phase: ClassVar[Phase] = Phase.AUTHENTICATE

    def __init__(self, settings: JWTSettings) -> None:
        self._settings = settings
        self._secret = settings.secret.encode()

    def on_request(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Set the principal, or refuse."""
        scheme, _, token = ctx.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise MissingAPIKey("Send a token: `Authorization: Bearer ...`.")
        claims = self._claims(token.strip())
        ctx.principal = Principal(
            id=str(claims["sub"]),
            name=str(claims.get("name", "")),
            plan=str(claims.get("plan", "")),
            models=tuple(map(str, claims.get("models", ()))),
            scopes=frozenset(str(claims["scope"]).split())
            if "scope" in claims
            else frozenset(self._settings.scopes),
            owner=str(claims.get("iss", "")),
        )
        return None

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            head, body, signature = token.split(".")
            signed = hmac.new(self._secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
            genuine = hmac.compare_digest(signed, _decode(signature))
            if not genuine or json.loads(_decode(head)).get("alg") != "HS256":
                raise AuthenticationFailed(_WRONG)
            claims: dict[str, Any] = json.loads(_decode(body))
            in_time = claims.get("nbf", 0) <= time.time() < claims["exp"]
            audience = claims.get("aud", [])
            for_us = self._settings.audience in ("", audience, *audience)
            if not (in_time and for_us and claims["sub"]):
                raise AuthenticationFailed(_WRONG)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise AuthenticationFailed(_WRONG) from error
        return claims


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def build(settings: JWTSettings, context: PluginContext) -> JWTAuth:
    """Make it."""
    return JWTAuth(settings)


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Register the middleware."""
    return [MiddlewareSpec("jwt_auth", "Signed tokens in place of keys.", JWTSettings, build)]
