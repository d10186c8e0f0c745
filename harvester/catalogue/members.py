"""The members of the network, as registered by its operator."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from harvester.catalogue.care import USUAL, Care
from harvester.catalogue.database import execute, is_among, pack_values
from harvester.catalogue.tables import MOVED, cursors, fulltexts, listed, lists, members, records, vanished
from harvester.catalogue.works import touch_works
from harvester.errors import ConfigError
from harvester.schedule import spread_of

MAX_NAME = 500
_MAX_URL = 2000
_MAX_HOST = 255
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PREFIX = re.compile(r"[A-Za-z0-9\-_.!~*'()]+")  # Spec: 3.4
_ARGUMENTS = {"verb", "metadataprefix", "from", "until", "set", "identifier", "resumptiontoken"}


@dataclass(frozen=True, slots=True)
class Member:
    """A repository registered with us. `id` is 0 for one that is not stored yet."""

    slug: str
    name: str
    base_url: str
    prefixes: tuple[str, ...] = ("oai_dc",)
    sets: tuple[str, ...] = ()
    fulltext: bool = True
    id: int = 0
    care: Care = USUAL

    def __post_init__(self) -> None:
        """Raises `ConfigError` naming what is wrong."""
        if not _SLUG.fullmatch(self.slug) or len(self.slug) > 64:
            raise ConfigError(
                f"the slug {_begin(self.slug)} must be lower-case letters, digits and single hyphens, 64 at the most"
            )
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > MAX_NAME:
            raise ConfigError(
                f"{self.slug}: the name {_begin(self.name)} must be one line of text, and not blank; "
                f"{MAX_NAME} characters at the most"
            )
        try:
            parts = urlsplit(self.base_url)
            right = parts.scheme in {"http", "https"} and (parts.port or 1) and not parts.fragment
            # One dot at the end is right: the name from the root.
            right = right and all((parts.hostname or "").removesuffix(".").split("."))
            right = right and len(parts.hostname or "") <= _MAX_HOST
        except ValueError:
            right = False
        right = right and self.base_url.isprintable() and " " not in self.base_url and len(self.base_url) <= _MAX_URL
        if not right:
            raise ConfigError(
                f"{self.slug}: the base URL {_begin(self.base_url)} must be a http:// or https:// address"
            )
        if parts.username or parts.password:
            raise ConfigError(f"{self.slug}: the base URL must not carry a user name or password")
        if any(name.lower() == "verb" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
            raise ConfigError(f"{self.slug}: give the base URL without ?verb=...: {self.base_url.partition('?')[0]}")
        if not self.prefixes:
            raise ConfigError(f"{self.slug}: at least one metadata prefix is needed; oai_dc is always right")
        if not all((*self.prefixes, *self.sets)):
            raise ConfigError(f"{self.slug}: a metadata prefix or set must not be empty")
        if unfit := next((prefix for prefix in self.prefixes if not _PREFIX.fullmatch(prefix)), None):
            raise ConfigError(
                f"{self.slug}: {unfit!r} is no metadata prefix: letters, digits and -_.!~*'() stand in one"
            )
        for what, most, names in (("metadata prefix", 64, self.prefixes), ("set", 512, self.sets)):
            if any(len(name) > most for name in names):
                raise ConfigError(f"{self.slug}: a {what} has {most} characters at the most")

    @property
    def host(self) -> str:
        """The host that serves the member; hosts are asked one thing at a time."""
        return urlsplit(self.base_url).hostname or ""


def trim_base_url(url: str) -> str:
    """The address without the arguments of OAI-PMH requests, which people paste along; what else it has stays."""
    address, _, rest = url.partition("?")
    query, hash_, fragment = rest.partition("#")
    names = ((pair, unquote_plus(pair.partition("=")[0])) for pair in query.split("&"))
    # Who copies from the source of a page has `&amp;`.
    kept = "&".join(pair for pair, name in names if name.removeprefix("amp;").lower() not in _ARGUMENTS)
    return address + (f"?{kept}" if kept else "") + hash_ + fragment


def _begin(text: str) -> str:
    """The text for a message: what a person mistook for a name may be a whole file."""
    return repr(text) if len(text) <= 120 else f"{text[:100]!r}..."


def add_member(connection: Connection, member: Member, now: int) -> Member:
    """The member is registered; one that was removed lives again under its old id and records.

    Raises:
        ConfigError: the slug is taken.
    """
    row = connection.execute(select(members).where(members.c.slug == member.slug)).one_or_none()
    if row is not None and row.removed_at is None:
        raise ConfigError(
            f"the slug {member.slug!r} is taken by {row.name} ({row.base_url}); "
            f"choose another, or `lumbung members remove {member.slug}` first"
        )
    import_members(connection, [member], now)
    return get_member(connection, member.slug)


def import_members(connection: Connection, found: Sequence[Member], now: int) -> tuple[int, int]:
    """All of these are registered as they are given; how many were added, and how many were there before.

    Who is new or comes back is due when its window opens next; who has another schedule than before, no later
    than it was. Of whom files may be shown from now on, or no more, the works are shown anew: only for transactions
    that are alone.
    """
    query = select(members)
    if len(found) < _FEW:
        query = query.where(members.c.slug.in_([member.slug for member in found]))
    present = {row.slug: row for row in connection.execute(query)}
    new: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    for member in found:
        row = present.get(member.slug)
        (known if row else new).append(_row(member) | {"next_run": _next_run(member, row, now)})
    if new:
        connection.execute(insert(members), [{"added_at": now, **values} for values in new])
    if known:
        changed: dict[str, Any] = {name: bindparam(name) for name in known[0] if name != "slug"}
        statement = update(members).where(members.c.slug == bindparam("this_slug")).values(**changed)
        connection.execute(statement, [{"this_slug": values["slug"], **values} for values in known])
        turned = [row.id for member in found if (row := present.get(member.slug)) and row.fulltext != member.fulltext]
        _show_anew(connection, turned)
    moved = [row.id for member in found if (row := present.get(member.slug)) and row.region != member.care.region]
    for number in moved:
        anew = {"name": f"{MOVED}{number}", "datestamp": 0, "record_id": 0}
        connection.execute(delete(cursors).where(cursors.c.name == anew["name"]))
        connection.execute(insert(cursors).values(anew))
    here = sum(row.removed_at is None for row in map(present.get, {member.slug for member in found}) if row)
    return len(found) - here, here


def _show_anew(connection: Connection, numbers: Sequence[int]) -> None:
    """The works of these members that have files are shown anew, with them or without."""
    held = select(records.c.work_id).join(fulltexts, fulltexts.c.record_id == records.c.id).distinct()
    for number in numbers:
        of_member = held.where(fulltexts.c.member_id == number, fulltexts.c.state == "held")
        touch_works(connection, connection.execute(of_member).scalars().all())


_FEW = 500


def _row(member: Member) -> dict[str, Any]:
    kept = {name: getattr(member, name) for name in ("slug", "name", "base_url", "host", "fulltext")}
    several = {"prefixes": list(member.prefixes), "sets": list(member.sets)}
    return kept | several | asdict(member.care) | {"removed_at": None}


def _next_run(member: Member, row: Any, now: int) -> int | None:
    schedule, spread = member.care.schedule, spread_of(member.slug)
    if row is None or row.removed_at is not None:
        return schedule.open_from(now, spread)
    due: int | None = row.next_run
    if schedule == _care(row).schedule:
        return due
    moment = schedule.open_from(max(now, min(due or now, schedule.next_run(now, spread=spread))), spread)
    return due if (due or 0) <= now == moment else moment  # who is due, and may be asked, is not asked for anew


def ask_for_run(connection: Connection, member: Member, now: int) -> int:
    """The member is due as soon as its window is open; that moment.

    Raises:
        ConfigError: the member is paused.
    """
    if member.care.paused:
        raise ConfigError(f"{member.slug} is paused; `lumbung members set {member.slug} --resume` first")
    moment = member.care.schedule.open_from(now)
    connection.execute(update(members).where(members.c.id == member.id).values(next_run=moment))
    return moment


def find_due(connection: Connection, member: Member) -> int:
    """When the member is due; 0 for as soon as may be."""
    return connection.execute(select(members.c.next_run).where(members.c.id == member.id)).scalar_one() or 0


def set_next_run(
    connection: Connection, member: Member, moment: int, failures: int | None = None, *, was_due: int | None = None
) -> int:
    """The member is due at that moment, after so many failures in a row, or as many as before; when it is due.

    Where it is not due any more when it `was_due`, somebody has asked for a run meanwhile, which stays.
    """
    due = find_due(connection, member)
    moment = moment if was_due in {None, due} else due
    values = {"next_run": moment} | ({} if failures is None else {"failures": failures})
    connection.execute(update(members).where(members.c.id == member.id).values(**values))
    return moment


def find_member(connection: Connection, slug: str) -> Member | None:
    """The registered member of this slug, or None; a removed one is not registered."""
    row = connection.execute(
        select(members).where(members.c.slug == slug, members.c.removed_at.is_(None))
    ).one_or_none()
    return member_of(row) if row else None


def get_member(connection: Connection, slug: str) -> Member:
    """The registered member of this slug.

    Raises:
        ConfigError: there is none; the text lists those that there are.
    """
    member = find_member(connection, slug)
    if member is None:
        slugs = select(members.c.slug).where(members.c.removed_at.is_(None)).order_by(members.c.name, members.c.id)
        some = connection.execute(slugs.limit(_TOLD + 1)).scalars().all()
        known = ", ".join(some[:_TOLD]) + (", ..." if len(some) > _TOLD else "") or "none yet"
        raise ConfigError(f"there is no member {slug!r}; members: {known}")
    return member


_TOLD = 20


def get_present(connection: Connection, member: Member) -> Member:
    """The member as it is now, after whatever an operator has changed meanwhile; a removed one, too."""
    return member_of(connection.execute(select(members).where(members.c.id == member.id)).one())


def get_base_urls(connection: Connection, slugs: Collection[str]) -> dict[str, str]:
    """The base URLs of these members, also of those that are registered no more."""
    found = execute(connection, _BASE_URLS, pack_values(connection, sorted(slugs)))
    return {row.slug: row.base_url for row in found}


_BASE_URLS = select(members.c.slug, members.c.base_url).where(is_among(members.c.slug))


def was_member(connection: Connection, slug: str) -> bool:
    """Whether a member of this slug is registered, or was: the records of one that was removed are tombstones."""
    return connection.execute(select(members.c.id).where(members.c.slug == slug)).first() is not None


def list_members(connection: Connection) -> tuple[Member, ...]:
    """The registered members, by name."""
    query = select(members).where(members.c.removed_at.is_(None)).order_by(members.c.name, members.c.id)
    return tuple(member_of(row) for row in connection.execute(query))


def describe_member(connection: Connection, member: Member, *, name: str, contact: str, deletion: str) -> None:
    """What the repository says of itself is known; its name counts where the operator gave it none."""
    told = {"contact": contact or None, "deletion": deletion or None}
    if name and member.name == member.slug:
        told["name"] = name[:MAX_NAME]
    columns = [members.c[column] for column in told]
    present = connection.execute(select(*columns).where(members.c.id == member.id)).one()
    if tuple(present) != tuple(told.values()):
        connection.execute(update(members).where(members.c.id == member.id).values(told))


def mark_removed(connection: Connection, member: Member, now: int) -> None:
    """The member is no longer registered; its row, harvests and records stay.

    Its lists go: a harvest that is running writes nothing more, and one after it was added again begins at
    the beginning, so that its records come back.
    """
    connection.execute(update(members).where(members.c.id == member.id).values(removed_at=now))
    connection.execute(delete(vanished).where(vanished.c.member_id == member.id))
    of_member = select(lists.c.id).where(lists.c.member_id == member.id)
    connection.execute(delete(listed).where(listed.c.list_id.in_(of_member)))
    connection.execute(delete(lists).where(lists.c.member_id == member.id))


def member_of(row: Any) -> Member:
    """The member that a row of the table is."""
    return Member(
        slug=row.slug,
        name=row.name[:MAX_NAME],  # it was stored when it could be longer
        base_url=row.base_url,
        prefixes=tuple(row.prefixes),
        sets=tuple(row.sets),
        fulltext=row.fulltext,
        id=row.id,
        care=_care(row),
    )


def _care(row: Any) -> Care:
    return Care(**{field.name: getattr(row, field.name) for field in fields(Care)})
