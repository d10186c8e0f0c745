"""The clock: our datestamps grow with the order of commits, so that a harvester of ours misses nothing.

A page commit takes the clock row first; the row's lock orders the commits. A list request closes the
present second and answers with it: whatever commits later gets a later second. So a harvester that comes
back with `from` = our responseDate sees every record that it could not see before. Spec: 2.7.1, [repo 3].
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from harvester.catalogue.tables import clock


def take_datestamp(connection: Connection, now: int) -> int:
    """The datestamp of this transaction; no other commit comes between until it ends.

    It is later than every closed second and never earlier than a datestamp already given, also when
    the machine's clock went back.
    """
    row = connection.execute(select(clock.c.closed, clock.c.last).with_for_update()).one()
    datestamp: int = max(now, row.closed + 1, row.last)
    connection.execute(update(clock).values(last=datestamp))
    return datestamp


def close_second(connection: Connection, now: int) -> int:
    """The newest second that no later commit will use; every record stamped with it is visible."""
    row = connection.execute(select(clock.c.closed).with_for_update()).one()
    closed: int = max(now, row.closed)
    connection.execute(update(clock).values(closed=closed))
    return closed
