"""Bad manners of dates and deletions: part B.4 of the notes on what members send."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from fakes.manners import (
    SIX,
    Arrange,
    Manner,
    Stage,
    Step,
    Wish,
    both,
    having,
    ident,
    news,
    nothing,
    put,
    rest,
    some_payload_holds,
    with_habits,
)
from fakes.provider import DAY, SECONDS, FakeRecord
from fakes.wild import numbered, stamp

_NEWS = (Step(news),)
_NEW = FakeRecord("oai:a:100", "", "Baru é")
_DELETED = ("oai_dc",)
_NOTHING_NEW = (Step(nothing, Wish("nothing-new")),)


def _shaped(pattern: str, replacement: str, only: str = "") -> Arrange:
    """Each record's XML is changed so, or that of one."""

    def shape(record: FakeRecord, xml: str) -> str:
        return xml if only and record.identifier != only else re.sub(pattern, replacement, xml, flags=re.DOTALL)

    return with_habits(shape=shape)


def _dated(name: str, arrange: Arrange, **wish: object) -> Manner:
    """What is new must be had although this is wrong with dates."""
    return Manner(name, arrange, later=(Step(news, Wish(**wish)),))  # type: ignore[arg-type]  # fields of a wish


def _now(change: Callable[[str], FakeRecord]) -> Arrange:
    """A record is put with the present moment as its datestamp."""
    return lambda stage: stage.repository.put(change(stamp()))


def _touch_six(stage: Stage) -> None:
    stage.repository.put(replace(numbered()[6], datestamp=stamp()))


def _delete(*identifiers: str) -> Arrange:
    """These records are deleted now."""
    return lambda stage: stage.repository.put(*(FakeRecord(name, stamp(), deleted_in=_DELETED) for name in identifiers))


def _vanish(*identifiers: str) -> Arrange:
    return lambda stage: stage.repository.remove(*identifiers)


def _filed_by_creation(stage: Stage) -> None:
    """from and until look at the first datestamp that a record had."""
    created: dict[str, str] = {}
    stage.repository.habits.filed = lambda record: created.setdefault(record.identifier, record.datestamp)
    list(map(stage.repository.habits.filed, stage.repository.records.values()))


def _shows_creation(stage: Stage) -> None:
    """Headers show the first datestamp that a record had; from and until look at the present one."""
    created: dict[str, str] = {}

    def shape(record: FakeRecord, xml: str) -> str:
        return xml.replace(record.datestamp, created.setdefault(record.identifier, record.datestamp))

    stage.repository.habits.shape = shape


def _migrate(stage: Stage) -> None:
    """Every record has an identifier under a new domain."""
    moved = (replace(r, identifier=r.identifier.replace(":a:", ":b:"), datestamp=stamp()) for r in numbered())
    stage.repository.remove(*rest(0))
    stage.repository.put(*moved)


def _always_now(stage: Stage) -> None:
    stage.repository.habits.filed = lambda _record: stamp()
    stage.repository.habits.shape = lambda record, xml: xml.replace(record.datestamp, stamp())


def _gone(name: str, declared: str) -> Manner:
    """A record vanishes: it waits, and is deleted when two complete lists did not show it."""
    return Manner(
        name, with_habits(identify={"deletedRecord": declared}),
        later=(
            Step(_vanish(SIX), Wish("nothing-new", more=(SIX,))),
            Step(nothing, Wish(".*", ".*", more=(SIX,), requests=20), "reconcile"),
            Step(nothing, Wish(".*", ".*", deleted=(SIX,), requests=20), "reconcile"),
            Step(put(numbered()[6]), Wish(".*", ".*", requests=20), "reconcile"),
        ),
    )  # fmt: skip


DATES: tuple[Manner, ...] = (
    # oadoi get_pmh_input_record, metha earliestDate [s]; [i DOAJ#507, dataverse#11020, pyoai#29]
    _dated("says seconds, takes days", with_habits(accepts=(DAY,))),
    _dated("says days, takes seconds", both(having(granularity=DAY), with_habits(accepts=(SECONDS,)))),
    _dated("granularity in lower case", with_habits(identify={"granularity": "yyyy-mm-ddThh:mm:ssZ"})),
    _dated("no granularity", with_habits(identify={"granularity": ""})),
    _dated("granularity of days", having(granularity=DAY)),
    Manner("granularity grows finer", having(granularity=DAY), later=(Step(both(having(granularity=SECONDS), news)),)),
    # SLiMS empty, EPrints year 1 [s]; [i metha#38, pkp-lib#6803, #2693, eprints3.4#151, dataverse#9309]
    *(
        _dated(f"earliestDatestamp {said or 'empty'}", with_habits(identify={"earliestDatestamp": said}))
        for said in ("", "0001-01-01T00:00:00Z", "1970-01-01", "0000-00-00", "2024", "2024-03-01T00:00:00Z")
    ),
    # SLiMS date().'Z' [s]; [i vufind#1350]: records are stamped rightly, responses seven hours ahead
    _dated("the server's clock is in WIB, marked Z", with_habits(clock=7)),
    _dated("the server's clock is in New York, marked Z", with_habits(clock=-5)),
    # Koha ListBase.pm appends Z to the database's time [s]: it is the records that are ahead
    Manner(
        "datestamps in WIB, marked Z", nothing,
        later=(Step(lambda stage: stage.repository.put(replace(_NEW, datestamp=stamp(hours=7)))), *_NOTHING_NEW),
    ),
    _dated("the server's clock is years behind", with_habits(clock=-24 * 365 * 5)),
    # SLiMS oai2.php: input_date [s]; [i pod4lib#873, treebase#205, ojs#3197]
    _dated("headers show the creation, from means the change", _shows_creation),
    Manner(
        "from means the creation, headers show the change", _filed_by_creation,
        later=(
            Step(_now(lambda now: FakeRecord(SIX, now, "Berubah é")), Wish("nothing-new", titles={SIX: "Judul 006 é"})),
            Step(nothing, Wish(".*", ".*", requests=20), "reconcile"),
        ),
    ),
    # [i pkp-lib#5135, paradisec nabu#422]
    Manner("every datestamp is now", _always_now, later=(*_NOTHING_NEW, Step(news))),
    # [i pkp-lib#7348, ilri/DSpace#63]; DSpace DateUntilFilter [s]
    _dated("until is exclusive", with_habits(until_excludes=True)),
    # DSpace oai import [s] [i DSpace#1867, HydraNorth#1255, wellcome#3459]
    Manner(
        "a record shows five minutes late", nothing,
        later=(Step(lambda stage: stage.repository.put(replace(_NEW, datestamp=stamp(minutes=-5)))),),
    ),
    Manner(
        "a record shows months late", nothing,
        later=(
            Step(put(replace(_NEW, datestamp="2023-06-01T00:00:00Z")), Wish("nothing-new", missing=("oai:a:100",))),
            Step(nothing, Wish(".*", ".*", requests=20), "reconcile"),
        ),
    ),
    # SLiMS oai.php [s]
    _dated("headers without a datestamp", _shaped("<datestamp>.*?</datestamp>", "")),
    _dated("datestamps with a space and no Z", _shaped("(T)([0-9:]{8})Z</datestamp>", r" \2</datestamp>")),
    _dated("datestamps that are none", _shaped("<datestamp>.*?</datestamp>", "<datestamp>kemarin</datestamp>")),
    # [spec 3.6]; vufindharvest 4.1.0
    Manner("noRecordsMatch for a window", nothing, later=(*_NOTHING_NEW, *_NOTHING_NEW, *_NEWS)),
    # [i DOAJ#1408, archivesspace#4269, eprints#324]; RecordManager deletions=ListIdentifiers [s]
    _gone("records vanish, deletedRecord no", "no"),
    _gone("records vanish, deletedRecord transient", "transient"),
    _gone("records vanish, deletedRecord persistent all the same", "persistent"),
    Manner(
        "most records vanish", with_habits(identify={"deletedRecord": "no"}),
        later=(Step(_vanish(*rest(4)), Wish(".*", ".*", more=rest(4), requests=20), "reconcile"),) * 3,
    ),
    # Koha [s]; [i vufind#1496, pod4lib#872]
    Manner(
        "deleted ones first, of records that we never had",
        put(*(FakeRecord(f"oai:a:9{n}", "2010-01-01T00:00:00Z", deleted_in=_DELETED) for n in range(7))),
    ),
    Manner("deletions", nothing, later=(Step(_delete(SIX), Wish(deleted=(SIX,))),)),
    Manner(
        "added and deleted on one day", both(having(granularity=DAY), _touch_six),
        later=(Step(_delete(SIX), Wish(deleted=(SIX,))),),
    ),
    Manner(
        "a deletion under the old datestamp", nothing,
        later=(Step(put(replace(numbered()[6], deleted_in=_DELETED)), Wish(deleted=(SIX,)), "full"),),
    ),
    # RecordManager, vufindharvest strtolower [s]; [spec 2.5.1]
    Manner(
        "Deleted in capitals", _shaped('status="deleted"', 'status=" Deleted"'),
        later=(Step(_delete(*ident(5, 6)), Wish(deleted=ident(5, 6))),),
    ),
    Manner(
        "metadata inside of deleted records",
        _shaped('(status="deleted".*)</record>', r"\1<metadata><dc><title>Lama</title></dc></metadata></record>"),
        later=(Step(_delete(SIX), Wish(deleted=(SIX,))),),
    ),
    Manner(
        "deleted in one format", having(prefixes=("oai_dc", "marc")),
        later=(Step(_now(lambda now: FakeRecord(SIX, now, "Judul 006 é", deleted_in=("marc",)))),),
        prefixes=("oai_dc", "marc"),
    ),
    # Koha ListBase.pm [s]: its metadata could not be made for once
    Manner(
        "deleted, and back again", nothing,
        later=(
            Step(_delete(SIX), Wish(deleted=(SIX,), also=some_payload_holds(b"Judul 006"))),
            Step(_touch_six),
        ),
    ),
    # oadoi AttributeError [s]; [i b2share#812]
    *(
        Manner(
            name, _shaped("<metadata>.*</metadata>", inner, SIX),
            Wish("complete-with-failures", missing=(SIX,), problems=(SIX,), requests=20),
        )
        for name, inner in (("a record without metadata", ""), ("a record with empty metadata", "<metadata/>"))
    ),
    Manner(
        "a record that loses its metadata", nothing,
        later=(
            Step(
                both(_touch_six, _shaped("<metadata>.*</metadata>", "", SIX)),
                Wish("complete-with-failures", problems=(SIX,)),
            ),
        ),
    ),
    # [i b2share#556, #628, fairchive#2783]; oadoi [s]
    Manner(
        "identifiers of all kinds",
        put(*(FakeRecord(name) for name in ("oai::82981", "82981", "oai:a:dua kata", "oai:é:ü", "a/b?c&d#e", "<x>"))),
    ),
    Manner("identifiers between blanks", _shaped("<identifier>(.*?)</identifier>", r"<identifier>\n \1 </identifier>")),
    Manner(
        "identifiers under a new domain", nothing,
        later=(Step(_migrate, Wish(more=rest(0))),),
    ),
    # [prov] [aggr 2]
    Manner(
        "about containers", _shaped("</record>", '<about><r xmlns="urn:r">CC0</r></about><about><p/></about></record>'),
        Wish(also=lambda _stage, records: all(len(record.forms[0].abouts) == 2 for record in records.values())),
    ),
)  # fmt: skip
