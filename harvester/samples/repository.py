"""What a sample member holds: a small repository in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harvester.datestamps import SECONDS, Granularity

DcValue = tuple[str, str, str | None]
"""A Dublin Core element's name, its text, and its xml:lang where it has one."""

Platform = Literal["dspace", "eprints", "ojs", "slims"]


Shape = Literal["text", "columns", "scan", "locked", "login", "viewer"]
"""What a file is: a PDF in one column or two, of pictures, or with a password; or, under the name of a PDF, a web page:
one that asks for a password, or one around a document that it does not show."""


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file of a record, whose bytes are made when it is asked for.

    Attributes:
        path: on the server, with its query.
        label: which part of the work it is, where there are several.
    """

    path: str
    title: str
    language: str
    topics: tuple[str, ...]
    label: str
    shape: Shape
    updated: str


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One record, as its repository would send it.

    Attributes:
        datestamp: UTC, written in the granularity of its repository.
        dc: in the order in which they are sent; kept, and not sent, when the record is deleted.
        page: path (and query) of the landing page on the server, or None where there is none.
        files: in the order in which they are to be read.
    """

    identifier: str
    datestamp: str
    sets: tuple[str, ...]
    dc: tuple[DcValue, ...]
    deleted: bool = False
    page: str | None = None
    files: tuple[SampleFile, ...] = ()

    def values(self, element: str) -> tuple[str, ...]:
        """The texts of one Dublin Core element, in order."""
        return tuple(text for name, text, _ in self.dc if name == element)


@dataclass(frozen=True, slots=True, eq=False)
class SampleRepository:
    """A repository and its records, in the order in which its lists send them.

    Compared by identity, so that a changed repository is another one.

    Attributes:
        path: of the OAI-PMH endpoint on the server, with its leading slash.
        sets: (setSpec, setName), parents before their children; none at all means no set hierarchy.
        records: where `platform` is "eprints", in ascending order of the number that ends the identifier.
        platform: in whose form, and with whose way of counting, the resumptionTokens are written.
    """

    slug: str
    name: str
    path: str
    records: tuple[SampleRecord, ...] = ()
    sets: tuple[tuple[str, str], ...] = ()
    admin_email: str = "pustaka@anggota.example"
    granularity: Granularity = SECONDS
    deleted_record: Literal["no", "transient", "persistent"] = "persistent"
    page_size: int = 100
    platform: Platform = "slims"
    description: str = ""
