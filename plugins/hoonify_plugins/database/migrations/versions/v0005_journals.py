"""One row for each journal says how far it has been taken over, instead of two columns in each record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table, fill it from the columns, and drop them."""
    op.create_table(
        "usage_journals",
        sa.Column("journal", sa.String(64), primary_key=True),
        sa.Column("place", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO usage_journals SELECT journal, max(place) FROM usage_records GROUP BY journal"
    )
    with op.batch_alter_table("usage_records") as records:  # an old SQLite can only copy it
        records.drop_index("usage_once")
        records.drop_column("journal")
        records.drop_column("place")
