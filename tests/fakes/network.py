"""Members of fake repositories, harvested into one catalogue within the test's own process."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from fakes.provider import FakeProvider, FakeRecord, FakeRepository
from sqlalchemy import select

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue.harvests import Run
from harvester.catalogue.lists import ListState, get_lists
from harvester.catalogue.members import Member, add_member, get_member, list_members
from harvester.catalogue.records import CataloguedRecord, iter_records
from harvester.catalogue.tables import harvests
from harvester.harvest import harvest_member
from harvester.run import HarvestContext, Progress
from harvester.settings import load_settings
from harvester.side_by_side import harvest_members


@dataclass
class Network:
    """Members of fake repositories, harvested into one catalogue."""

    provider: FakeProvider
    catalogue: Catalogue
    archive: Archive
    stop: threading.Event = field(default_factory=threading.Event)
    seen: list[Progress] = field(default_factory=list)

    def add(self, slug: str, repository: FakeRepository, **others: object) -> Member:
        """A member of this repository."""
        url = self.provider.serve(repository, f"/{slug}")
        return self.register(Member(slug, slug, url, **others))  # type: ignore[arg-type]  # fields of a member

    def register(self, member: Member) -> Member:
        """The member as it is in the catalogue."""
        with self.catalogue.write() as connection:
            return add_member(connection, member, 1)

    @property
    def context(self) -> HarvestContext:
        """For harvests that never wait."""
        settings = load_settings(max_wait=0.001, admin_email="op@x.id")
        return HarvestContext(settings, self.catalogue, self.archive, self.stop, self.seen.append)

    def harvest(self, slug: str = "a", *, full: bool = False) -> Run:
        """The run of one member."""
        with self.catalogue.read() as connection:
            member = get_member(connection, slug)
        return harvest_member(self.context, member, full=full)

    def harvest_all(self) -> dict[str, Run]:
        """The runs of all members, by slug."""
        with self.catalogue.read() as connection:
            members = list_members(connection)
        return {member.slug: run for member, run in harvest_members(self.context, members)}

    def records(self) -> dict[str, CataloguedRecord]:
        """What the catalogue has, by identifier."""
        return {record.identifier: record for record in iter_records(self.catalogue)}

    def live(self) -> set[str]:
        """The identifiers of what is not deleted."""
        return {name for name, record in self.records().items() if not record.deleted}

    def states(self) -> list[ListState]:
        """The lists of the newest run."""
        with self.catalogue.read() as connection:
            newest = connection.execute(select(harvests.c.id).order_by(harvests.c.id.desc())).scalars().first()
            assert newest is not None
            return list(get_lists(connection, newest))

    def watermark(self) -> str | None:
        """Of the first list."""
        return self.states()[0].watermark


def numbered(count: int, **others: object) -> list[FakeRecord]:
    """So many records of one moment."""
    plain = FakeRecord("", "2024-01-01T00:00:00Z")
    return [replace(plain, identifier=f"oai:a:{n:03}", **others) for n in range(count)]  # type: ignore[arg-type]
