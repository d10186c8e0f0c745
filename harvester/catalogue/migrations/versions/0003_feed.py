"""What re-harvesters are shown."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The feed's tables stand empty: records are prepared as they are asked for."""
    op.create_table(
        "feed",
        sa.Column("record_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("public_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("datestamp", sa.BigInteger()),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("type", sa.String(12), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.BigInteger()),
        sa.Column("distance", sa.SmallInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(16), nullable=False),
        sa.Column("payload", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_feed")),
    )
    for names in (["origin"], ["datestamp", "record_id"]):
        op.create_index(op.f(f"ix_feed_{'_'.join(names)}"), "feed", names)
    for first in ("member_id", "type"):
        op.create_index(op.f(f"ix_feed_{first}_datestamp_record_id"), "feed", [first, "datestamp", "record_id"])
    is_open = sa.text("open")
    op.create_index("ix_feed_open", "feed", ["datestamp", "record_id"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "feed_formats",
        sa.Column("prefix", sa.String(64), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_feed_formats")),
    )
