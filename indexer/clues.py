"""What a record says of its files, for the search for full texts."""

from __future__ import annotations

from harvester.catalogue.records import CataloguedRecord
from harvester.fulltext.ladder import FORMATS, Clues
from indexer.crosswalks import describe
from indexer.normalise.identifiers import classify


def clues_of(record: CataloguedRecord, *, this_year: int) -> Clues:
    """The links, rights and richer formats that the record has.

    Files are those of its identifiers, then those of its relations; its pages the landing page first, and then other
    pages that its identifiers name.
    """
    description = describe(record, this_year=this_year)
    files = [found.value for found in description.identifiers if found.kind in {"file", "galley"}]
    pages = [page] if (page := description.landing_page) else []
    pages += description.identifiers_of("url")
    related = [found for value in description.relations for found in classify(value, "relation")]
    if not pages:
        pages += [found.value for found in related if found.kind == "url"]
    return Clues(
        files=tuple(dict.fromkeys(files)),
        pages=tuple(dict.fromkeys(pages)),
        access=description.rights.access,
        embargo_until=description.rights.embargo_until,
        formats={form.prefix: form.xml for form in record.forms if form.prefix in FORMATS and form.xml},
    )
