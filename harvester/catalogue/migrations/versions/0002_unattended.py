"""What an unattended network needs: schedules, leases, quirks, reconciliation, and runs that tell more."""

from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables stand; members that are there are due at once."""
    for column in (
        sa.Column("host", sa.String(255), nullable=False, server_default=""),
        sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("rule", sa.String(64), nullable=False, server_default="1d"),
        sa.Column("window", sa.String(11)),
        sa.Column("timezone", sa.String(64), nullable=False, server_default="Asia/Jakarta"),
        sa.Column("delay", sa.Float(), nullable=False, server_default="0"),
        sa.Column("insecure_until", sa.BigInteger()),
        sa.Column("next_run", sa.BigInteger()),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("contact", sa.Text()),
        sa.Column("deletion", sa.String(16)),
        sa.Column("mail_to", sa.Text()),
        sa.Column("mail", sa.String(8), nullable=False, server_default="failure"),
        sa.Column("mailed_at", sa.BigInteger()),
        sa.Column("reconcile_days", sa.Integer(), nullable=False, server_default="30"),
        sa.Column("pending_days", sa.Integer(), nullable=False, server_default="14"),
        sa.Column("max_drop", sa.Integer(), nullable=False, server_default="10"),
        sa.Column("next_reconcile", sa.BigInteger()),
        sa.Column("halted", sa.Text()),
    ):
        op.add_column("members", column)
    members = sa.table("members", sa.column("id"), sa.column("base_url"), sa.column("host"))
    connection = op.get_bind()
    for row in connection.execute(sa.select(members.c.id, members.c.base_url)).all():
        host = urlsplit(row.base_url).hostname or ""
        connection.execute(sa.update(members).where(members.c.id == row.id).values(host=host))
    op.create_index(op.f("ix_members_host"), "members", ["host"])
    for names in (["paused", "next_run", "host"], ["removed_at", "name", "id"]):
        op.create_index(op.f(f"ix_members_{'_'.join(names)}"), "members", names)
    of_lists: tuple[sa.Column[Any], ...] = (
        sa.Column("reached", sa.String(40)),
        sa.Column("windows", sa.JSON()),
        sa.Column("restarts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("reconcile_token", sa.Text()),
    )
    for column in of_lists:
        op.add_column("lists", column)
    for column in (
        sa.Column("kind", sa.String(12), nullable=False, server_default="harvest"),
        sa.Column("heartbeat", sa.BigInteger()),
        sa.Column("first_url", sa.Text()),
        sa.Column("last_url", sa.Text()),
        sa.Column("response_date", sa.String(40)),
        sa.Column("retries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("error_url", sa.Text()),
        sa.Column("error_key", sa.Text()),
        sa.Column("mailed_at", sa.BigInteger()),
    ):
        op.add_column("harvests", column)
    with op.batch_alter_table("problems") as batch:
        batch.alter_column("page_id", existing_type=sa.BigInteger(), nullable=True)
        batch.add_column(sa.Column("code", sa.String(40), nullable=False, server_default="unusable-record"))
    _create_tables()


def _create_tables() -> None:
    op.create_table(
        "quirks",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("set_by", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_quirks_member_id")),
        sa.PrimaryKeyConstraint("member_id", "name", name=op.f("pk_quirks")),
    )
    op.create_table(
        "leases",
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(120), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_leases")),
    )
    op.create_index(op.f("ix_leases_until"), "leases", ["until"])
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("next_run", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(120)),
        sa.Column("until", sa.BigInteger()),
        sa.Column("last_run", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_jobs")),
    )
    op.create_table(
        "listed",
        sa.Column("list_id", sa.Integer(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("datestamp", sa.String(40), server_default="", nullable=False),
        sa.Column("changed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_listed_list_id")),
        sa.PrimaryKeyConstraint("list_id", "identifier", "deleted", name=op.f("pk_listed")),
    )
    op.create_table(
        "vanished",
        sa.Column("record_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("prefix", sa.String(64), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("missed_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("kept_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_vanished_member_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_vanished_record_id")),
        sa.PrimaryKeyConstraint("record_id", "prefix", name=op.f("pk_vanished")),
    )
    op.create_index(op.f("ix_vanished_member_id"), "vanished", ["member_id"])
    op.create_table(
        "links",
        sa.Column("record_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text()),
        sa.Column("checked_at", sa.BigInteger()),
        sa.Column("next_check", sa.BigInteger(), nullable=False),
        sa.Column("strikes", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(16)),
        sa.Column("since", sa.BigInteger()),
        sa.Column("turned_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_links_member_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_links_record_id")),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_links")),
    )
    for other in ("next_check", "strikes"):
        op.create_index(op.f(f"ix_links_member_id_{other}"), "links", ["member_id", other])
    op.create_table(
        "link_reports",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        *(sa.Column(count, sa.Integer(), nullable=False) for count in ("alive", "dead", "newly_dead", "recovered")),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_link_reports_member_id")),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_link_reports")),
    )
