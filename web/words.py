"""The words for what the tiers know by codes: outcomes, types, sorts, facets, fields."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext, ngettext
from flask_babel import lazy_gettext as _l

from harvester.catalogue.files import Copy
from harvester.catalogue.harvests import Run
from indexer.normalise import languages
from indexer.query import Sort
from web.locales import format_number, present_locale

# An outcome's word, and how its dot looks. The key "running" is a run that has not ended, "never" no run at all.
OUTCOMES: dict[str, tuple[Any, str]] = {
    "complete": (_l("Complete"), "good"),
    "complete-with-failures": (_l("Complete, some records unreadable"), "fair"),
    "nothing-new": (_l("Nothing new"), "good"),
    "incomplete": (_l("Incomplete"), "bad"),
    "failed": (_l("Failed"), "bad"),
    "running": (_l("Harvest under way"), "fair"),
    "never": (_l("Never harvested"), "none"),
}
# A member's state is the last outcome, unless a person has to do with it.
STATES: dict[str, tuple[Any, str]] = {
    "halted": (_l("Waits for a decision"), "fair"),
    **OUTCOMES,
    "paused": (_l("Paused"), "none"),
}
MEANINGS: dict[str, Any] = {
    "complete": _l("Every list was proved complete."),
    "complete-with-failures": _l(
        "Every list was proved complete; some records could not be used and are listed below."
    ),
    "nothing-new": _l("Every list was proved complete, and nothing had changed."),
    "incomplete": _l(
        "Some pages came, then the list broke off. What came is kept; the next harvest goes on from there."
    ),
    "failed": _l("No page came that could be used. What is here stays as it was; it is tried again soon."),
}
KINDS: dict[str, Any] = {"harvest": _l("Harvest"), "reconcile": _l("Comparison of all identifiers")}
DELETIONS: dict[str, Any] = {
    "no": _l("Deletions are not announced"),
    "transient": _l("Deletions are announced for some time"),
    "persistent": _l("Deletions are announced for good"),
}

TYPES: dict[str, Any] = {
    "article": _l("Article"),
    "thesis": _l("Thesis"),
    "book": _l("Book"),
    "chapter": _l("Chapter"),
    "conference": _l("Conference paper"),
    "report": _l("Report"),
    "dataset": _l("Dataset"),
    "image": _l("Image"),
    "audio": _l("Sound recording"),
    "video": _l("Video"),
    "other": _l("Other"),
}

LEVELS: dict[str, Any] = {
    "bachelor": _l("Bachelor’s thesis"),
    "master": _l("Master’s thesis"),
    "doctoral": _l("Doctoral thesis"),
}

FACETS: dict[str, Any] = {
    "member": _l("Member"),
    "year": _l("Year"),
    "type": _l("Type"),
    "language": _l("Language"),
    "subject": _l("Subject"),
    "author": _l("Author"),
}

SORTS: dict[Sort, Any] = {
    "relevance": _l("Best match"),
    "newest": _l("Newest first"),
    "oldest": _l("Oldest first"),
    "title": _l("Title"),
    "added": _l("Latest arrivals"),
}

# Kinds of files, by media type.
MEDIA: dict[str, Any] = {
    "application/pdf": "PDF",
    "application/epub+zip": "EPUB",
    "application/x-ole-storage": "Word",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
    "text/html": _l("Web page"),
    "text/plain": _l("Plain text"),
}

ACCESS: dict[str, Any] = {
    "open": _l("Open to everyone"),
    "embargoed": _l("Under embargo"),
    "restricted": _l("Restricted"),
    "closed": _l("Closed"),
}


def outcome_of(run: Run | None) -> str:
    """The key into `OUTCOMES` of a run, or of there being none."""
    return "never" if run is None else run.outcome or "running"


def outcome_word(run: Run | None) -> str:
    """What became of the run, in a word or two."""
    return str(OUTCOMES[outcome_of(run)][0])


def outcome_dot(run: Run | None) -> str:
    """How the run's dot looks."""
    return OUTCOMES[outcome_of(run)][1]


def outcome_sentence(run: Run | None) -> str:
    """What became of the run, with its numbers: `Complete: 1,204 records, 12 changed`."""
    if run is None:
        return str(gettext("The first harvest has not begun yet."))
    parts = [
        ngettext("%(count)s record", "%(count)s records", run.records, count=format_number(run.records)),
        *(
            template % {"num": format_number(count)}
            for count, template in (
                (run.added, gettext("%(num)s new")),
                (run.changed, gettext("%(num)s changed")),
                (run.deleted, gettext("%(num)s deleted")),
                (run.failed, gettext("%(num)s unreadable")),
            )
            if count
        ),
    ]
    return f"{outcome_word(run)}: {', '.join(parts)}"


def state_word(state: str) -> str:
    """A member's state in a word or two."""
    return str(STATES[state][0])


def format_bytes(size: int) -> str:
    """A number of bytes as people say it: 1,204 kB."""
    return f"{format_number(-(-size // 1000))} kB"


def copy_facts(copy: Copy) -> str:
    """What kind of file a copy is, and how long: `PDF, 12 pages, 1,204 kB`."""
    pages = len(copy.page_starts)
    kind = str(MEDIA.get(copy.media_type, copy.media_type))
    counted = [ngettext("%(count)s page", "%(count)s pages", pages, count=format_number(pages))] if pages > 1 else []
    return ", ".join([kind, *counted, format_bytes(copy.size)])


def type_name(code: str, level: str | None = None) -> str:
    """The type of work; a thesis by its level where that is known."""
    return str(LEVELS[level] if code == "thesis" and level in LEVELS else TYPES.get(code, code))


def language_name(code: str) -> str:
    """The language in the reader's language."""
    return languages.display_name(code, present_locale())
