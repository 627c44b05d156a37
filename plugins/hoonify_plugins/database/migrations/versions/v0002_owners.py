"""Owners, scopes, notes, last use and rotation of keys, and a number for each write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, and count writes in a row of their own."""
    for column in (
        sa.Column("owner", sa.String(200), nullable=False, server_default=""),
        sa.Column("scopes", sa.Text, nullable=False, server_default='["inference"]'),
        sa.Column("notes", sa.Text, nullable=False, server_default=""),
        sa.Column("used", sa.BigInteger),
        sa.Column("successor", sa.String(40)),
    ):
        op.add_column("api_keys", column)
    changes = op.create_table(
        "api_key_changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    keys = sa.table("api_keys", sa.column("changed"))
    last = sa.select(sa.func.coalesce(sa.func.max(keys.c.changed), 0)).scalar_subquery()
    op.execute(changes.insert().values(id=1, number=last))
