"""Find out who makes a request, before anything else of it is looked at."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable

from hoonify_plugins.api_keys.format import digest_of, is_well_formed
from hoonify_plugins.api_keys.keyring import Keyring
from hoonify_plugins.api_keys.record import KeyRecord, KeyStore, StoreError
from hoonify_router.api import Middleware, Phase, Principal, RequestContext
from hoonify_router.errors import AuthenticationFailed, MissingAPIKey, RouterError

MISSING = (
    "No API key came with the request. Send it in the header `Authorization: Bearer hoo_...`"
    " (in the OpenAI SDK: api_key)."
)
WRONG = "Invalid API key provided."
UNKNOWN_SECONDS = 1.0
UNKNOWN_LIMIT = 4096


class APIKeysMiddleware(Middleware):
    """Asks for ``Authorization: Bearer hoo_…`` and fills in the request's principal.

    Args:
        open_store: Opens the store of keys; may block.
        log: Where trouble is told; never a key.
        interval: Seconds after which a change by another process is known at the latest.
    """

    phase = Phase.AUTHENTICATE

    def __init__(
        self, open_store: Callable[[], KeyStore], log: logging.Logger, interval: float = 1.0
    ) -> None:
        self._ring = Keyring(open_store, log, interval)
        self._unknown: dict[bytes, float] = {}

    async def startup(self) -> None:
        """Read the keys; without them no door opens."""
        await self._ring.start()

    async def shutdown(self) -> None:
        """Close the store."""
        await self._ring.stop()

    def on_request(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Look the key up in memory; only one that is not there waits for a look at the store.

        Raises:
            MissingAPIKey: There is no key.
            AuthenticationFailed: It is unknown, expired or revoked; which of them is nobody's business.
        """
        scheme, _, key = ctx.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if not key or scheme.lower() != "bearer":
            raise _refusal(ctx, MissingAPIKey(MISSING))
        digest = digest_of(key)
        record = self._ring.find(digest)
        if record is not None:
            self._admit(ctx, record, digest)
            return None
        if not is_well_formed(key) or self._unknown.get(digest, 0.0) > time.monotonic():
            raise _refusal(ctx, AuthenticationFailed(WRONG))
        return self._look_again(ctx, digest)

    async def _look_again(self, ctx: RequestContext, digest: bytes) -> None:
        """Admit a key that another process made a moment ago."""
        try:
            await self._ring.catch_up()
        except StoreError as error:
            raise RouterError("API keys cannot be checked at the moment.", retry_after=1) from error
        record = self._ring.find(digest)
        if record is None:
            self._remember_unknown(digest)
            raise _refusal(ctx, AuthenticationFailed(WRONG))
        self._admit(ctx, record, digest)

    def _remember_unknown(self, digest: bytes) -> None:
        self._unknown.pop(digest, None)  # so that the oldest stays in front
        if len(self._unknown) >= UNKNOWN_LIMIT:
            del self._unknown[next(iter(self._unknown))]
        self._unknown[digest] = time.monotonic() + UNKNOWN_SECONDS

    def _admit(self, ctx: RequestContext, record: KeyRecord, digest: bytes) -> None:
        # The table was asked with a hash, whose timing tells nothing of the key; compare_digest makes
        # sure of it whatever the store does.
        same = hmac.compare_digest(record.digest, digest)
        if not same or record.state(time.time()) != "active":
            raise _refusal(ctx, AuthenticationFailed(WRONG))
        ctx.principal = Principal(record.id, record.name, record.plan, record.models)


def _refusal(ctx: RequestContext, error: AuthenticationFailed) -> AuthenticationFailed:
    ctx.response_headers["www-authenticate"] = "Bearer"
    return error
