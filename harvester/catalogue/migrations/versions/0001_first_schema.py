"""The catalogue's first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Every table of the first schema stands, and the clock at its beginning."""
    op.create_table(
        "clock",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock")),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("datestamp", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "forms",
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("prefix", sa.String(length=64), nullable=False),
        sa.Column("page_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=16), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("set_specs", sa.Text(), nullable=False),
        sa.Column("xml", sa.LargeBinary(), nullable=True),
        sa.Column("abouts", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("record_id", "prefix", name=op.f("pk_forms")),
    )
    op.create_table(
        "match_keys",
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "key", name=op.f("pk_match_keys")),
    )
    op.create_index(op.f("ix_match_keys_key"), "match_keys", ["key"], unique=False)
    op.create_table(
        "members",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("prefixes", sa.JSON(), nullable=False),
        sa.Column("sets", sa.JSON(), nullable=False),
        sa.Column("fulltext", sa.Boolean(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("live", sa.BigInteger(), nullable=False),
        sa.Column("tombstones", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_members")),
        sa.UniqueConstraint("slug", name=op.f("uq_members_slug")),
    )
    op.create_table(
        "work_changes",
        sa.Column("work_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", name=op.f("pk_work_changes")),
    )
    op.create_index(op.f("ix_work_changes_change"), "work_changes", ["change"], unique=False)
    op.create_table(
        "harvests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.Column("from_", sa.String(length=20), nullable=True),
        sa.Column("until", sa.String(length=20), nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_harvests_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_harvests")),
    )
    op.create_index(op.f("ix_harvests_member_id_id"), "harvests", ["member_id", "id"], unique=False)
    op.create_table(
        "lists",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("prefix", sa.String(length=64), nullable=False),
        sa.Column("set_spec", sa.String(length=512), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("watermark", sa.String(length=20), nullable=True),
        sa.Column("harvest_id", sa.Integer(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("pass_from", sa.String(length=20), nullable=True),
        sa.Column("pass_started", sa.String(length=40), nullable=True),
        sa.Column("pass_received", sa.Integer(), nullable=False),
        sa.Column("pass_size", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_lists_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lists")),
        sa.UniqueConstraint("member_id", "prefix", "set_spec", name=op.f("uq_lists_member_id_prefix_set_spec")),
    )
    op.create_table(
        "records",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("work_id", sa.BigInteger(), nullable=False),
        sa.Column("datestamp", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("source_datestamp", sa.String(length=40), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_records_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.UniqueConstraint("member_id", "identifier", name=op.f("uq_records_member_id_identifier")),
        sa.UniqueConstraint("public_id", name=op.f("uq_records_public_id")),
    )
    op.create_index(op.f("ix_records_datestamp_id"), "records", ["datestamp", "id"], unique=False)
    op.create_index(op.f("ix_records_work_id"), "records", ["work_id"], unique=False)
    op.create_table(
        "pages",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("harvest_id", sa.Integer(), nullable=False),
        sa.Column("list_id", sa.Integer(), nullable=True),
        sa.Column("archive_key", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("response_date", sa.String(length=40), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["harvest_id"], ["harvests.id"], name=op.f("fk_pages_harvest_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pages")),
    )
    op.create_index(op.f("ix_pages_harvest_id"), "pages", ["harvest_id"], unique=False)
    op.create_table(
        "problems",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("harvest_id", sa.Integer(), nullable=False),
        sa.Column("page_id", sa.BigInteger(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["harvest_id"], ["harvests.id"], name=op.f("fk_problems_harvest_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problems")),
    )
    op.create_index(op.f("ix_problems_harvest_id"), "problems", ["harvest_id"], unique=False)
    op.execute("INSERT INTO clock (id, closed, last) VALUES (1, 0, 0)")
