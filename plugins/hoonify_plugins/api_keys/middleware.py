"""Find out who makes a request, before anything else of it is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from hoonify_plugins.api_keys.format import digest_of, is_well_formed
from hoonify_plugins.api_keys.keyring import Keyring, KeySource
from hoonify_plugins.api_keys.patience import Patience
from hoonify_plugins.api_keys.record import KeyRecord, StoreError
from hoonify_plugins.api_keys.sessions import Sessions, session_of
from hoonify_plugins.api_keys.snapshot import write_used
from hoonify_router.api import Middleware, Phase, Principal, RequestContext
from hoonify_router.errors import AuthenticationFailed, MissingAPIKey, RouterError

MISSING = (
    "No API key came with the request. Send it in the header `Authorization: Bearer hoo_...`"
    " (in the OpenAI SDK: api_key)."
)
WRONG = "Invalid API key provided."
SIGNED_OUT = "Your session is over: sign in again."
UNKNOWN_SECONDS = 1.0
UNKNOWN_LIMIT = 4096
KNOWN_LIMIT = 16384
NOTE_SECONDS = 10.0


class APIKeysMiddleware(Middleware):
    """Asks for ``Authorization: Bearer hoo_…`` and fills in the request's principal.

    Args:
        open_store: Opens where the keys come from; may block.
        log: Where trouble is told; never a key.
        interval: Seconds after which a change by another process is known at the latest.
        used_folder: Where to write down when keys were last used; ``None`` for nowhere.
        sessions: Browsers that have signed in; ``None`` where none can.

    Attributes:
        sessions: The same.
    """

    phase = Phase.AUTHENTICATE

    def __init__(
        self,
        open_store: Callable[[], KeySource],
        log: logging.Logger,
        interval: float = 0.5,
        used_folder: Path | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self.sessions = sessions
        self._ring = Keyring(open_store, log, interval)
        self._unknown: dict[bytes, float] = {}
        self._patience = Patience()
        self._principals: dict[bytes, tuple[KeyRecord, Principal]] = {}
        self._used: dict[str, int] = {}
        self._used_folder = used_folder
        self._noting: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Read the keys; without them no door opens."""
        await self._ring.start()
        if self._used_folder is not None:
            self._noting = asyncio.create_task(self._note(self._used_folder), name="note used keys")

    async def shutdown(self) -> None:
        """Close the store."""
        if self._noting is not None:
            self._noting.cancel()
        if self.sessions is not None:
            await self.sessions.close()
        await self._ring.stop()

    def on_request(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Look the key up in memory; only one that is not there waits for a look at the store.

        Raises:
            MissingAPIKey: There is no key.
            AuthenticationFailed: It is unknown, expired or revoked; which of them is nobody's business.
        """
        scheme, _, key = ctx.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if not scheme and self.sessions is not None:
            token = session_of(ctx.headers)
            if token is not None:
                return self._admit_browser(ctx, self.sessions, token)
        if not key or scheme.lower() != "bearer":
            raise _refusal(ctx, MissingAPIKey(MISSING))
        digest = digest_of(key)
        record = self._ring.find(digest)
        if record is not None:
            self._admit(ctx, record, digest)
            return None
        if not is_well_formed(key) or self._unknown.get(digest, 0.0) > time.monotonic():
            return self._refuse(ctx)
        return self._look_again(ctx, digest)

    async def check(self, key: str) -> KeyRecord | None:
        """Return the record of a key if it is good now, for plugins that let browsers sign in.

        Raises:
            StoreError: It is not known here yet, and the keys cannot be read.
        """
        if not is_well_formed(key):
            return None
        digest = digest_of(key)
        if self._ring.find(digest) is None:
            await self._ring.catch_up()
        return self.record_of(digest)

    def record_of(self, digest: bytes) -> KeyRecord | None:
        """Return the key with this digest if it is good now."""
        record = self._ring.find(digest)
        return record if record is not None and record.state(time.time()) == "active" else None

    async def catch_up(self) -> None:
        """Return once all is known here that was written before this call."""
        await self._ring.catch_up()

    async def _admit_browser(self, ctx: RequestContext, sessions: Sessions, token: str) -> None:
        """Admit a browser that has signed in, as the key that it has signed in with."""
        try:
            digest = await sessions.find(token)
            if digest is not None and self._ring.find(digest) is None:
                await self._ring.catch_up()  # a key that has just been made
        except StoreError as error:
            raise RouterError("Sessions cannot be checked at the moment.", retry_after=1) from error
        record = None if digest is None else self._ring.find(digest)
        if digest is None or record is None:
            raise _refusal(ctx, AuthenticationFailed(SIGNED_OUT))
        self._admit(ctx, record, digest)

    def _refuse(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Refuse a wrong key: at once, or later where the same address has sent many of them."""
        delay = self._patience.delay(ctx.remote, time.monotonic())
        if delay == 0:
            raise _refusal(ctx, AuthenticationFailed(WRONG))
        return self._refuse_later(ctx, delay)

    async def _refuse_later(self, ctx: RequestContext, delay: float) -> None:
        await asyncio.sleep(delay)
        raise _refusal(ctx, AuthenticationFailed(WRONG))

    async def _note(self, folder: Path) -> None:
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            if self._used:
                with contextlib.suppress(OSError):
                    write_used(folder, self._used)

    async def _look_again(self, ctx: RequestContext, digest: bytes) -> None:
        """Admit a key that another process made a moment ago."""
        try:
            await self._ring.catch_up()
        except StoreError as error:
            raise RouterError("API keys cannot be checked at the moment.", retry_after=1) from error
        record = self._ring.find(digest)
        if record is None:
            self._remember_unknown(digest)
            waiting = self._refuse(ctx)
            assert waiting is not None  # or it has raised
            await waiting
            return
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
        now = time.time()
        if not same or record.state(now) != "active":
            raise _refusal(ctx, AuthenticationFailed(WRONG))
        self._used[record.id] = int(now)
        known = self._principals.get(digest)
        if known is None or known[0] is not record:  # new, or changed
            known = self._introduce(record, digest)
        ctx.principal = known[1]

    def _introduce(self, record: KeyRecord, digest: bytes) -> tuple[KeyRecord, Principal]:
        """Remember who a key's requests come from; those who are in use are made once."""
        if len(self._principals) >= KNOWN_LIMIT:
            self._principals.clear()
        scopes = frozenset(record.scopes)
        principal = Principal(
            record.id, record.name, record.plan, record.models, scopes, record.owner
        )
        self._principals[digest] = found = (record, principal)
        return found


def _refusal(ctx: RequestContext, error: AuthenticationFailed) -> AuthenticationFailed:
    ctx.response_headers["www-authenticate"] = "Bearer"
    return error
