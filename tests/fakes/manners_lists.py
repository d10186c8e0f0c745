"""Bad manners of lists and tokens: part B.3 of the notes on what members send."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from fakes.manners import (
    ERROR_HTML,
    SIX,
    Arrange,
    Manner,
    Records,
    Stage,
    Step,
    Wish,
    always,
    both,
    edited,
    error,
    every,
    having,
    ident,
    lists,
    news,
    nothing,
    once,
    page,
    put,
    rest,
    resumed,
    with_habits,
)
from fakes.manners_transport import busy
from fakes.provider import FakeRecord, Fault, Request
from fakes.wild import WildRepository, numbered, stamp

_EXPIRED = error("badResumptionToken")
_TOKEN = re.compile(rb"<resumptionToken([^>]*)>[^<]*</resumptionToken>")
# A list of twelve is had in windows; a bisection from the first days of the web to now needs its requests.
_IN_WINDOWS = Wish(requests=90)
_ODD = ident(*range(1, 12, 2))
_DAY = "2024-01-05T10:00:00Z"


def _retokened(new: bytes) -> Fault:
    return Fault(edit=lambda body: _TOKEN.sub(new, body))


def _expire_after(seconds: float) -> Arrange:
    """A token is known for so long."""
    given: dict[str, float] = {}

    def too_old(repository: WildRepository, request: Request) -> bool:
        for token in repository._places:
            given.setdefault(token, request.began)
        return request.resumes and time.monotonic() - given.get(request.arguments["resumptionToken"], 0) > seconds

    return always(too_old, _EXPIRED)


def _used_before(repository: WildRepository, request: Request) -> bool:
    tokens = [other.arguments.get("resumptionToken") for other in repository.requests if other.number < request.number]
    return request.resumes and request.arguments["resumptionToken"] in tokens


def _beyond(number: int) -> Callable[[WildRepository, Request], bool]:
    """Pages after this one, of any list."""
    return lambda repository, request: repository.page_of(request) > number


def _says_now(stage: Stage) -> None:
    stage.repository.habits.identify["earliestDatestamp"] = stamp()


def _change(stage: Stage, count: int) -> None:
    """So many records are new or other than before."""
    stage.repository.put(*(replace(record, datestamp=stamp(), title="Berubah é") for record in numbered(count)))


def _change_first(stage: Stage) -> None:
    _change(stage, 1)


def _come_in_front(stage: Stage) -> None:
    stage.repository.put(FakeRecord("oai:a:100", stamp(), "Baru é"))


def _shuffle(stage: Stage) -> None:
    """All records are of one second, in falling order for every second page."""
    stage.repository.put(*(replace(record, datestamp=_DAY) for record in numbered()))
    stage.repository.habits.order = lambda record: (
        int(record.identifier[-3:]) * (1 if len(stage.repository.lists()) % 2 else -1)
    )


def _delete_six(stage: Stage) -> None:
    """Its header, as those of all that EPrints deletes, names no set."""
    stage.repository.put(FakeRecord(SIX, stamp(), deleted_in=("oai_dc",)))


def _replayed(stage: Stage) -> None:
    """The first page, with its token, answers every request for a page."""
    first: list[bytes] = []

    def again(body: bytes) -> bytes:
        first.append(body)
        return first[0]

    always(lists, Fault(edit=again))(stage)


def _wants_prefix(asked: Mapping[str, str]) -> str:
    return "badArgument" if "resumptionToken" in asked and "metadataPrefix" not in asked else ""


def _of_sets(*sets: str) -> Arrange:
    """Every second record is in the first of these sets, the others in the second."""
    return put(*(replace(record, sets=(sets[n % len(sets)],)) for n, record in enumerate(numbered())))


def _at_page_two(change: Callable[[Stage], None]) -> Arrange:
    """The repository changes just before its second page is asked for."""
    done: list[Request] = []

    def arrange(stage: Stage) -> None:
        def look(request: Request) -> None:
            if request.resumes and not done:
                done.append(request)
                change(stage)

        stage.repository.on_request = look

    return arrange


def _html_first(_repository: WildRepository, request: Request) -> bool:
    before, html, _ = request.headers.get("Accept", "").partition("text/html")
    return bool(html) and "xml" not in before


def _asked_with(name: str, value: str) -> Callable[[Stage, Records], bool]:
    return lambda stage, _records: any(request.arguments.get(name) == value for request in stage.repository.requests)


def _double(datestamp: str, *, deleted: bool) -> FakeRecord:
    return FakeRecord(SIX, datestamp, "Judul 006 é", deleted_in=("oai_dc",) if deleted else ())


_FALSE_ENDS = {
    "noRecordsMatch in mid list": error("noRecordsMatch"),
    "an empty list in mid list": Fault(edit=lambda body: re.sub(rb"(<ListRecords>).*(</ListRecords>)", rb"\1\2", body)),
    "a page without a token in mid list": _retokened(b""),
}

# SLiMS 9 as shipped: oai.php [s]
_SLIMS = with_habits(
    identify={
        "repositoryName": "Perpustakaan</repositoryName><repositoryName>Perpustakaan",
        "baseURL": "http://fake.example:80/oai.php",
        "earliestDatestamp": "",
        "deletedRecord": "no",
    },
    newest_first=True,
    forget=("from", "until"),
    empty=True,
    filed=lambda _record: "9",  # from without until is passed over
    shape=lambda _record, xml: re.sub("<datestamp>.*?</datestamp>", "", xml),
)

LISTS: tuple[Manner, ...] = (
    # invenio-oaiserver config.py, 60 s [s]; figshare docs PR 64; arXiv resume.py [s]
    Manner("tokens live for a second", _expire_after(1.0)),
    Manner(
        "a token dies while the server is busy", both(_expire_after(0.6), once(page(2), busy("1"))), max_wait=5,
    ),
    Manner("tokens are good for one use", both(always(_used_before, _EXPIRED), once(page(2), Fault(cut=300)))),
    # [spec 3.5] [harv 6.2] [i sickle#19, zenodo#849]
    Manner("badResumptionToken once", once(page(3), _EXPIRED)),
    Manner("badResumptionToken with 422, once", once(page(3), error("badResumptionToken", 422))),
    Manner("badResumptionToken always after page 2", always(_beyond(2), _EXPIRED), _IN_WINDOWS),
    Manner("no token is ever known", always(resumed, _EXPIRED), _IN_WINDOWS),
    Manner("a forgotten token is a badArgument", always(_beyond(2), error("badArgument")), _IN_WINDOWS),
    Manner(
        "no token is ever known, until is exclusive",
        both(always(resumed, _EXPIRED), with_habits(until_excludes=True)), _IN_WINDOWS,
    ),
    Manner(
        "no token is ever known, dates in days", both(always(resumed, _EXPIRED), having(granularity="YYYY-MM-DD")),
        _IN_WINDOWS,
    ),
    Manner(
        "no token is ever known, earliestDatestamp is now",
        both(always(resumed, _EXPIRED), _says_now), _IN_WINDOWS,
    ),
    Manner(
        "no token is ever known, all in one second",
        both(always(resumed, _EXPIRED), put(*(replace(record, datestamp=_DAY) for record in numbered()))),
        Wish("incomplete", "badResumptionToken", rest(5), requests=90),
    ),
    Manner(
        "no token of records is ever known, all in one second",
        both(
            always(lambda repository, request: lists(repository, request) and request.resumes, _EXPIRED),
            put(*(replace(record, datestamp=_DAY) for record in numbered())),
        ),
        Wish(requests=40),
    ),
    # metha (gssrjournal.com), RecordManager limit 100 [s]; [i kor#55, scythe#411 (archive.org)]
    Manner("the same token again", _replayed, Wish("incomplete", "are ignored", rest(5))),
    Manner(
        "the same page under new tokens", with_habits(stuck=True),
        Wish(requests=120), limits={"MAX_FRUITLESS": 10},
    ),
    # [i librisxl#1812: 30+; pyoai#8 (HAL)]; metha gives up after 10 [s]
    Manner("forty empty pages between two", with_habits(blanks=40), Wish(requests=90)),
    Manner(
        "empty pages without end", with_habits(blanks=10**6),
        Wish(requests=120), limits={"MAX_FRUITLESS": 10},
    ),
    # [i invenio-app-rdm#2715]; RecordManager ignoreNoRecordsMatch, metha [s]
    Manner("the last token leads to noRecordsMatch", having(last_token=True)),
    Manner("the last token leads to an empty list", both(having(last_token=True), with_habits(empty=True))),
    Manner(
        "noRecordsMatch before the count is reached", always(page(3), error("noRecordsMatch")), _IN_WINDOWS,
    ),
    # the same of lists that no size proves
    Manner("an empty repository, once", once(lists, error("noRecordsMatch")), Wish(requests=11)),
    *(
        Manner(
            f"{name}, once, where no size is stated", both(having(state_size=False), once(page(2), fault)),
            Wish(requests=12),
        )
        for name, fault in _FALSE_ENDS.items()
    ),
    *(
        Manner(
            f"{name}, always, where no size is stated", both(having(state_size=False), always(page(2), fault)),
            _IN_WINDOWS,
        )
        for name, fault in _FALSE_ENDS.items()
    ),
    Manner(
        "each list ends with noRecordsMatch, and no size is stated", having(last_token=True, state_size=False),
        Wish(requests=12),
    ),
    Manner(
        "each list ends so, and is in no order",
        both(having(last_token=True, state_size=False), with_habits(newest_first=True)), Wish(requests=20),
    ),
    # OJS 3.3 [i pkp-lib#7214]; [i sickle#45]
    Manner("no token after page 2 although there is more", always(page(2), _retokened(b"")), _IN_WINDOWS),
    Manner("an empty token after page 1", always(page(1), _retokened(rb"<resumptionToken\1/>")), _IN_WINDOWS),
    # [i fairchive#2888, OpenSKOS#8]; oai_repo says 57, sends 52
    Manner("completeListSize is too big", having(state_size=15), Wish("incomplete", "15", requests=90)),
    Manner("completeListSize is too small", having(state_size=5)),
    Manner("completeListSize is -1", having(state_size=-1)),
    Manner("completeListSize is not stated", having(state_size=False)),
    # EPrints: cursor = eprintid [s]
    Manner("the cursor is a record's id", always(lists, edited((b'cursor="', b'cursor="oai:99')))),
    # [i metha#23, geonetwork#6435, janeway#5006]
    *(Manner(f"a token with {tail}", having(token_tail=tail)) for tail in ("+/=", "&amp=&", "100% é", " a b", "<>'")),
    # EPrints and pyoai tokens are encoded already [s]
    Manner("a token that is encoded already", having(token_tail="%7C%2B%20%25")),
    # osti.gov: oadoi OSTIOAIItemIterator [s]
    Manner("tokens want metadataPrefix beside them", with_habits(refuse=_wants_prefix), Wish(requests=16)),
    # SLiMS oai.php: page 2 is the whole catalogue [s]; [i SobekCM#6]
    Manner(
        "tokens forget from and until", with_habits(forget=("from", "until")),
        later=(Step(lambda stage: _change(stage, 7)),),
    ),
    Manner(
        "tokens forget the set", both(with_habits(forget=("set",)), _of_sets("a", "b")),
        Wish(unasked=_ODD, requests=40), sets=("a",),
    ),
    Manner("SLiMS 9 as shipped", _SLIMS, later=(Step(nothing, Wish("nothing-new")), Step(news))),
    # SLiMS, DSpace (Solr start=offset), OJS [s]; [i atom#1581, DOAJ#712]
    Manner(
        "a record comes in front of the next page",
        both(with_habits(newest_first=True), _at_page_two(_come_in_front)),
        Wish("complete|incomplete", ".*", missing=("oai:a:100",)), later=(Step(nothing),),
    ),
    Manner(
        "a record before the next page goes, another is passed over",
        both(with_habits(newest_first=True), _at_page_two(lambda stage: stage.repository.remove("oai:a:009"))),
        Wish("incomplete", "11 of 12", more=("oai:a:009",), requests=40),
        later=(Step(nothing, Wish(".*", ".*", more=("oai:a:009",), requests=20), "reconcile"),),
    ),
    Manner(
        "a record is changed and comes again, another is passed over", _at_page_two(_change_first), _IN_WINDOWS,
    ),
    Manner(
        "a record is changed and comes again, and no size is stated",
        both(having(state_size=False), _at_page_two(_change_first)), Wish(missing=ident(5)),
        later=(Step(nothing, Wish(requests=20), "reconcile"),),
    ),
    Manner(
        "a thousand in one second",
        both(having(page_size=100), put(*(FakeRecord(f"oai:b:{n}", _DAY, f"Judul {n}") for n in range(1000)))),
        Wish(requests=16),
    ),
    # sorted by datestamp alone: some come twice, others not at all, and the count is as promised
    Manner(
        "records of one moment in another order on each page", _shuffle,
        Wish("incomplete", "9 of 12|twice", missing=ident(7, 8, 9)), later=(Step(with_habits(order=lambda r: r.key)),),
    ),
    # OJS [i pkp-lib#7901, #10296]: here the copies are on different pages, here on one
    Manner(
        "a live copy, then a later deleted one",
        both(put(_double("2024-02-01", deleted=True)), with_habits(doubles=(_double("2024-01-01", deleted=False),))),
        Wish(deleted=(SIX,)),
    ),
    Manner(
        "a later live copy, then a deleted one",
        both(
            put(_double("2024-02-01", deleted=False)),
            with_habits(doubles=(_double("2023-12-01", deleted=True),), newest_first=True),
        ),
    ),
    Manner(
        "copies of one moment, the deleted one last",
        with_habits(
            doubles=(_double("2024-01-07T10:00:00Z", deleted=True),),
            order=lambda record: (bool(record.deleted_in), record.key),
        ),
    ),
    Manner("both copies on one page", with_habits(doubles=(_double("2024-01-06T10:00:01Z", deleted=True),))),
    # metha [s]
    Manner("an error code of its own, once", once(page(2), error("InternalException"))),
    Manner(
        "an error code of its own, always", always(_beyond(1), error("InternalException")), _IN_WINDOWS,
    ),
    Manner(
        "every verb is Identify",
        always(every, Fault(edit=lambda body: re.sub(rb"<(/?)ListRecords", rb"<\1Identify", body))),
        Wish("failed", "answered Identify", rest(0)),
    ),
    # DSpace 7+ DSpaceOAIDataProvider [s]
    Manner("HTML to those who ask for it first", always(_html_first, Fault(body=ERROR_HTML))),
    # [i pkp-lib#968, #4235, OPUS4#750]; EPrints encode_setspec [s]
    *(
        Manner(
            f"the setSpec {name}", _of_sets(name, "other"),
            Wish(unasked=_ODD, also=_asked_with("set", name)), sets=(name,),
        )
        for name in ("Tesis & Disertasi é", "100%", "747970653D746865736973", "jurnal:ART%20IKEL")
    ),
    Manner(
        "a set that is renamed", _of_sets("old"), sets=("old",),
        later=(Step(_of_sets("new"), Wish("nothing-new|incomplete|failed", ".*")),),
    ),
    # EPrints make_header returns before sets [s]
    Manner(
        "deleted headers in no set", _of_sets("a"),
        later=(
            Step(_delete_six, Wish("nothing-new", more=(SIX,))),
            Step(nothing, Wish(".*", ".*", more=(SIX,), requests=20), "reconcile"),
            Step(nothing, Wish(".*", ".*", deleted=(SIX,), requests=20), "reconcile"),
        ),
        sets=("a",),
    ),
    Manner(
        "a long list of news", nothing,
        later=(Step(lambda stage: _change(stage, 30)),),
    ),
)  # fmt: skip
