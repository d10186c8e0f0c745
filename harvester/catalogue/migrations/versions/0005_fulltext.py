"""Full text: what is known of each record's files, the files, their texts, and what was taken down."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """The tables stand, empty: every record is looked at once."""
    op.create_table(
        "fulltexts",
        sa.Column("record_id", _BIG_ID, nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.String(20)),
        sa.Column("url", sa.Text()),
        sa.Column("rung", sa.String(16)),
        sa.Column("checked_at", sa.BigInteger()),
        sa.Column("next_check", sa.BigInteger(), nullable=False),
        sa.Column("regular", sa.BigInteger(), nullable=False),
        sa.Column("strikes", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.BigInteger()),
        sa.Column("clue", sa.String(32)),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_fulltexts_member_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_fulltexts_record_id")),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_fulltexts")),
    )
    op.create_table(
        "files",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("record_id", _BIG_ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("rung", sa.String(16), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.String(20)),
        sa.Column("sha256", sa.String(64)),
        sa.Column("media_type", sa.String(100)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("fetched_at", sa.BigInteger()),
        sa.Column("last_checked", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.Text()),
        sa.Column("last_modified", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_files_record_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
    )
    op.create_table(
        "texts",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("language", sa.String(3)),
        sa.Column("pages", sa.Integer()),
        sa.Column("page_starts", sa.JSON()),
        sa.Column("characters", sa.BigInteger()),
        sa.Column("read_at", sa.BigInteger()),
        sa.Column("verified_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_texts")),
    )
    op.create_table(
        "rungs",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("rung", sa.String(16), nullable=False),
        sa.Column("tried", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_rungs_member_id")),
        sa.PrimaryKeyConstraint("member_id", "rung", name=op.f("pk_rungs")),
    )
    op.create_table(
        "takedowns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_id", _BIG_ID),
        sa.Column("sha256", sa.String(64)),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_at", sa.BigInteger()),
        sa.Column("lifted_note", sa.Text()),
        sa.Column("redacted_upto", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_takedowns_record_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedowns")),
    )
    for table, columns in (
        ("fulltexts", ["member_id", "next_check"]),
        ("fulltexts", ["member_id", "state", "reason"]),
        ("files", ["sha256"]),
        ("files", ["record_id", "position"]),
        ("texts", ["state"]),
        ("texts", ["verified_at"]),
        ("takedowns", ["record_id"]),
        ("takedowns", ["sha256"]),
    ):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
