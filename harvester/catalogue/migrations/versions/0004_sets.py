"""Where a member is, and how many records each set has."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COUNTED = {"": "''", "member": "member_id", "type": "type", "access": "'open'"}


def upgrade() -> None:
    """No member is in a region; what the feed shows is counted once."""
    op.add_column("members", sa.Column("region", sa.String(64)))
    op.create_table(
        "feed_counts",
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("value", sa.String(12), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_feed_counts")),
    )
    for kind, value in _COUNTED.items():
        which = " AND open" if kind == "access" else ""
        op.execute(
            f"INSERT INTO feed_counts SELECT '{kind}', CAST({value} AS VARCHAR(12)), count(*) FROM feed "  # noqa: S608 - constants
            f"WHERE datestamp IS NOT NULL{which} GROUP BY 2"
        )
