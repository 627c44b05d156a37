"""A record for each request."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "usage_records",
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        _text("owner", 200),
        sa.Column("model", sa.String(128), nullable=False),
        _text("home", 140),
        sa.Column("task", sa.String(16), nullable=False, server_default="chat"),
        sa.Column("status", sa.Integer, nullable=False),
        _text("error", 64),
        _text("finish_reason", 32),
        _count("streamed", sa.Integer()),
        _count("prompt_tokens", sa.BigInteger()),
        _count("completion_tokens", sa.BigInteger()),
        _count("cached_tokens", sa.BigInteger()),
        _count("reasoning_tokens", sa.BigInteger()),
        _count("price", sa.Numeric(18, 9)),
        sa.Column("first_token", sa.Float),
        _count("duration", sa.Float()),
        sa.Column("journal", sa.String(64), nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
    )
    op.create_index("usage_by_key", "usage_records", ["key_id", "at"])
    op.create_index("usage_by_time", "usage_records", ["at"])
    op.create_index("usage_once", "usage_records", ["journal", "place"], unique=True)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, server_default="")


def _count(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default="0")
