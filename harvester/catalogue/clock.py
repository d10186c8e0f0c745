"""The clock: our datestamps grow with the order of commits, so that a harvester of ours misses nothing.

A commit that stamps records takes the clock row; the row's lock orders the commits. A list request closes
the present second and answers with it: whatever commits later gets a later second. So a harvester that comes
back with `from` = our responseDate sees every record that it could not see before. A page stamps its records
with what the clock will likely say, and takes the row last: others wait for it only as long as a commit takes.
Spec: 2.7.1, [repo 3].
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, bindparam, case, select, update

from harvester.catalogue.database import execute
from harvester.catalogue.tables import clock


def _greatest(one: ColumnElement[int], *others: ColumnElement[int]) -> ColumnElement[int]:
    for other in others:  # max() and greatest() differ by database
        one = case((one >= other, one), else_=other)
    return one


# A commit just after a close is a second ahead of the clock, and clocks of several hosts differ a little:
# such a datestamp waits until it is past. One that is further ahead was given before the clock went back.
_AHEAD = 60
_NOW: ColumnElement[int] = bindparam("now")
_GIVEN = case((clock.c.last > _NOW + _AHEAD, clock.c.last), else_=0)
_NEXT = _greatest(_NOW, clock.c.closed + 1, clock.c.last)
_EXPECT = select(_NEXT)
_TAKE = update(clock).values(last=_NEXT).returning(clock.c.last)
_CLOSE_ALL = update(clock).values(closed=_greatest(_NOW, clock.c.closed, clock.c.last)).returning(clock.c.closed)
_CLOSE = update(clock).values(closed=_greatest(_NOW, clock.c.closed, _GIVEN)).returning(clock.c.closed)


def expect_datestamp(connection: Connection, now: int) -> int:
    """What `take_datestamp` says, unless another commits or closes a second before it is called."""
    return int(execute(connection, _EXPECT, {"now": now}).value)


def take_datestamp(connection: Connection, now: int) -> int:
    """The datestamp of this transaction; no other commit comes between until it ends.

    It is later than every closed second and never earlier than a datestamp already given, also when
    the machine's clock went back.
    """
    return int(execute(connection, _TAKE, {"now": now}).value)


def close_second(connection: Connection, now: int) -> int:
    """The newest second that no later commit will use; every record stamped with it is visible.

    Also when the machine's clock went back: what was committed before is not hidden until it has caught up.
    """
    return int(connection.execute(_CLOSE, {"now": now}).scalar_one())


def close_all(connection: Connection, now: int) -> int:
    """As `close_second`, and every datestamp that was given so far is closed, even one that lies ahead of the clock."""
    return int(connection.execute(_CLOSE_ALL, {"now": now}).scalar_one())
