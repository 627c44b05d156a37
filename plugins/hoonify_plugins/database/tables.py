"""The tables as they are now; how they came about is in ``migrations``. Times are whole Unix seconds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
)

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("plan", String(200), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("models", Text, nullable=False, server_default="[]"),
    Column("changed", BigInteger, nullable=False, unique=True),
    Column("owner", String(200), nullable=False, server_default=""),
    Column("scopes", Text, nullable=False, server_default='["inference"]'),
    Column("notes", Text, nullable=False, server_default=""),
    Column("used", BigInteger),
    Column("successor", String(40)),
)
"""``changed`` is the number of the write that made the row what it is: readers ask for what is newer than what they
have seen. ``used`` changes without it."""

key_changes = Table(
    "api_key_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)
"""One row: the number of the last write to ``api_keys``. Whoever writes holds it until the end."""

usage_records = Table(
    "usage_records",
    metadata,
    Column("request_id", String(128), nullable=False),
    Column("at", Float, nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("owner", String(200), nullable=False, server_default=""),
    Column("model", String(128), nullable=False),
    Column("home", String(140), nullable=False, server_default=""),
    Column("task", String(16), nullable=False, server_default="chat"),
    Column("status", Integer, nullable=False),
    Column("error", String(64), nullable=False, server_default=""),
    Column("finish_reason", String(32), nullable=False, server_default=""),
    Column("streamed", Integer, nullable=False, server_default="0"),
    Column("prompt_tokens", BigInteger, nullable=False, server_default="0"),
    Column("completion_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default="0"),
    Column("price", Numeric(18, 9), nullable=False, server_default="0"),
    Column("first_token", Float),
    Column("duration", Float, nullable=False, server_default="0"),
    Index("usage_by_key", "key_id", "at"),
    Index("usage_by_time", "at"),
)

usage_journals = Table(
    "usage_journals",
    metadata,
    Column("journal", String(64), primary_key=True),
    Column("place", BigInteger, nullable=False),
)
"""Up to which place the records of a gateway's journal are in ``usage_records``: written in the same transaction, so
that each is taken over once. A row stays when its journal has gone: somebody may just be reading it."""

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("key", LargeBinary(32), nullable=False),
    Column("expires", BigInteger, nullable=False),
)
"""``id`` is the SHA-256 of what the browser's cookie says, ``key`` that of the key it has signed in with."""
