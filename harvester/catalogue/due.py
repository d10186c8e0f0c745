"""Whose turn it is among the rows that are looked at now and then: of files, of links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, func, select

from harvester.catalogue.members import Member, member_of
from harvester.catalogue.tables import members

_T = TypeVar("_T")


def list_waiting(
    connection: Connection, table: Table, now: int, slugs: Sequence[str] = (), *only: ColumnElement[bool]
) -> tuple[Member, ...]:
    """The members, of these or of all that are not paused, of whom a row of the table is due; the oldest first."""
    oldest = select(func.min(table.c.next_check)).where(table.c.member_id == members.c.id).scalar_subquery()
    asked = select(members).where(members.c.removed_at.is_(None), members.c.paused.is_(False), oldest <= now, *only)
    query = asked.order_by(oldest, members.c.id)
    return tuple(map(member_of, connection.execute(query.where(members.c.slug.in_(slugs)) if slugs else query)))


def list_due(
    connection: Connection, table: Table, made: type[_T], member: Member, now: int, limit: int
) -> tuple[_T, ...]:
    """At most so many of the member's rows that are due, the oldest first, each as a value of this dataclass."""
    columns = [table.c[field.name] for field in fields(made)]  # type: ignore[arg-type]  # it is a dataclass
    due = select(*columns).where(table.c.member_id == member.id, table.c.next_check <= now)
    rows: Any = connection.execute(due.order_by(table.c.next_check, table.c.record_id).limit(limit))
    return tuple(made(*row) for row in rows)


def count_due(connection: Connection, table: Table, member: Member, now: int) -> int:
    """How many of the member's rows are due."""
    due = select(func.count()).where(table.c.member_id == member.id, table.c.next_check <= now)
    return int(connection.execute(due).scalar_one())
