"""Bad manners of XML: part B.2 of the notes on what members send."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from fakes.manners import (
    SIX,
    WITHOUT_SIX,
    Manner,
    Records,
    Stage,
    Step,
    Wish,
    always,
    both,
    edited,
    every,
    news,
    once,
    page,
    poisoned,
    put,
    rest,
    some_payload_holds,
    with_habits,
)
from fakes.provider import Fault
from fakes.wild import WildRepository, numbered

_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_OAI = b' xmlns="http://www.openarchives.org/OAI/2.0/"'
_DC = b' xmlns:dc="http://purl.org/dc/elements/1.1/"'
_OAI_DC = b' xmlns:oai_dc="urn:oai_dc"'
_XSI = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation='
_TITLE = "Judul 006 é".encode()
_TWICE = "Padi – sawah é".encode().decode("latin-1")


def _titled(name: str, raw: bytes, title: str, shown: str = "") -> Manner:
    """The seventh record's title is these bytes, wherever it is sent."""
    wish = Wish(titles={SIX: title}, shown={SIX: shown} if shown else {})
    return Manner(name, always(every, edited((_TITLE, raw))), wish)


def _paid(name: str, inner: str, **wish: object) -> Manner:
    """The seventh record's payload is this after the title."""
    payload = f"<oai_dc:dc{(_OAI_DC + _DC).decode()}><dc:title>Padi</dc:title>{inner}</oai_dc:dc>"
    return Manner(name, put(replace(numbered()[6], payload=payload)), Wish(titles={SIX: "Padi"}, **wish))  # type: ignore[arg-type]  # fields of a wish


def _encoded(name: str, change: Callable[[str], bytes]) -> Manner:
    return Manner(name, always(every, Fault(edit=lambda body: change(body.decode()))))


def _told_as(encoding: str) -> Callable[[str], bytes]:
    return lambda text: text.replace("UTF-8", encoding).encode(encoding)


def _edited(name: str, *changes: tuple[bytes, bytes]) -> Manner:
    return Manner(name, always(every, edited(*changes)))


def _led(name: str, lead: bytes) -> Manner:
    return Manner(name, always(every, Fault(edit=lambda body: lead + body)))


def _cut_at_six(body: bytes) -> bytes:
    return body[: body.index(f"<identifier>{SIX}".encode()) + 60]


_CUT = always(page(2), Fault(edit=_cut_at_six))


def _no_other_way(asked: dict[str, str]) -> str:
    if asked.get("verb") in {"GetRecord", "ListIdentifiers"}:
        return "badVerb"
    return "badArgument" if {"from", "until"} & asked.keys() else ""


def _entities(declarations: str, reference: str) -> Fault:
    doctype = _XML + f"<!DOCTYPE OAI-PMH [{declarations}]>".encode()
    return edited((_XML, doctype), (_TITLE, reference.encode()))


def _bomb() -> Fault:
    """Ten times ten times ... eight times."""
    levels = "".join("<!ENTITY x" + f'{n + 1} "' + f"&x{n};" * 10 + '">' for n in range(8))
    return _entities('<!ENTITY x0 "haha">' + levels, "&x8;")


def _fetches_entity(stage: Stage) -> None:
    decoy = stage.provider.serve(WildRepository(), "/decoy")
    poisoned(_entities(f'<!ENTITY x SYSTEM "{decoy}">', "&x;"))(stage)


def _names_dtd(stage: Stage) -> None:
    decoy = stage.provider.serve(WildRepository(), "/decoy")
    always(every, edited((_XML, _XML + f'<!DOCTYPE OAI-PMH SYSTEM "{decoy}">'.encode())))(stage)


def _decoy_is_left_alone(stage: Stage, _records: Records) -> bool:
    decoy = stage.provider.repositories["/decoy"]
    return not decoy.requests


def _prefixed(body: bytes) -> bytes:
    """The protocol's own elements are oai:record and so on."""
    body = re.sub(rb"<(/?)(?=[\w-]+[ >/])", rb"<\1oai:", body)
    return body.replace(_OAI, b" xmlns:oai" + _OAI[6:])


XML: tuple[Manner, ...] = (
    # [i treebase#193, dataverse#8306, jatsTemplate#19, DOAJ#586]
    _titled("raw control characters", b"Padi\x1a saw\x03ah\x0c lama", "Padi sawah lama"),
    _titled("control characters as references", b"Padi&#x1a; saw&#3;ah&#xFFFE; lama&#xD800;", "Padi sawah lama"),
    # metha tries four declarations for digi.ub.uni-heidelberg.de [s]
    _titled("cp1252 bytes in UTF-8", b"\x93Padi\x94 caf\xe9 \x96 Judul \xc3\xa9", "“Padi” café – Judul é"),
    _encoded("ISO-8859-1, rightly declared", _told_as("ISO-8859-1")),
    _encoded("ISO-8859-1 without a declaration", lambda text: text.partition("?>")[2].encode("latin-1")),
    _encoded("ISO-8859-1 declared as UTF-8", lambda text: text.encode("latin-1")),
    _encoded("UTF-8 declared as ISO-8859-1", lambda text: text.replace("UTF-8", "ISO-8859-1").encode()),
    _encoded("UTF-16", _told_as("UTF-16")),
    Manner(
        "another charset in the header", always(every, Fault(headers={"Content-Type": "text/xml; charset=latin-1"})),
    ),
    # SLiMS: utf8_encode() on the title only [s]; OVAL check_double_utf8
    _titled("a title encoded twice", _TWICE.encode(), _TWICE, "Padi – sawah é"),
    # [i janeway#2828]
    _titled("HTML entities", b"Padi&nbsp;&ndash; sawah &eacute;", "Padi\xa0– sawah é", "Padi – sawah é"),
    _titled("a bare ampersand", b"Padi & Jagung, R&D", "Padi & Jagung, R&D"),
    _titled("a bare less-than", b"Padi (p < 0.05) <3 kg", "Padi (p < 0.05) <3 kg"),
    # sickle resolve_entities=False [s]
    Manner("a document type", _names_dtd, Wish(also=_decoy_is_left_alone)),
    Manner("an external entity", _fetches_entity, replace(WITHOUT_SIX, also=_decoy_is_left_alone)),
    Manner("an entity bomb", poisoned(_bomb()), WITHOUT_SIX),
    # base64, full text
    _paid("a text over 10 MB", f"<dc:description>{'x ' * 5_500_000}</dc:description>"),
    # [i jschol#898, dataverse#12120]
    Manner("a cut page once", once(page(2), Fault(edit=_cut_at_six))),
    Manner("a page that is always cut", _CUT, Wish(requests=40)),
    Manner(
        "a page that is always cut, and no other way", both(_CUT, with_habits(refuse=_no_other_way)),
        Wish("incomplete", "not well-formed|cut|broken", rest(6), requests=60),
    ),
    # [i datacite#941, lobid-gnd#416, dataverse#8306]
    Manner("a record that costs a 500", poisoned(Fault(status=500, body=b"oops")), WITHOUT_SIX),
    Manner("a record at which the page ends", poisoned(Fault(edit=_cut_at_six)), WITHOUT_SIX),
    Manner("a record at which the connection ends", poisoned(Fault(cut=300)), WITHOUT_SIX),
    # [i dataverse#7974]
    _led("a byte order mark", b"\xef\xbb\xbf"),
    _led("blank lines first", b"\r\n\n  "),
    _led("two byte order marks and a blank line", b"\xef\xbb\xbf\n\xef\xbb\xbf"),
    _edited("declarations inside of records", (b"<metadata>", b"<metadata>" + _XML)),
    # vufindharvest 5.2.0
    _edited("no namespace", (_OAI, b"")),
    _edited("a wrong namespace", (_OAI, _OAI.replace(b'2.0/"', b'2.0"'))),
    Manner("every name prefixed", always(every, Fault(edit=_prefixed))),
    _edited("an undeclared prefix", (_DC, b"")),
    _edited("namespaces on the record", (_OAI_DC + _DC, b""), (b"<record>", b"<record" + _OAI_DC + _DC + b">")),
    # pyoai writes the dc namespace there
    _edited("the record in the namespace of Dublin Core", (b"<record>", b"<record" + _DC.replace(b":dc", b"") + b">")),
    # OJS toolkit.xsd is dead [i pkp-lib#13161]
    _edited("a dead schemaLocation", (_OAI, _OAI + _XSI + b'"http://dead.example/ http://dead.example/a.xsd odd"')),
    # SLiMS detail.inc.php [s]; [i slims8#196]
    _paid(
        "names that Dublin Core has not", "<dc:identifier_isbn>9786020000000</dc:identifier_isbn><dc:hasVersion/>",
        also=some_payload_holds(b"identifier_isbn>9786020000000"),
    ),
    # [i zenodo#783]; OJS abstracts
    _titled("HTML in titles", b"&lt;i&gt;Oryza&lt;/i&gt; &amp;amp; padi", "<i>Oryza</i> &amp; padi", "Oryza & padi"),
    Manner("only Identify has to be mended", once(every, Fault(edit=lambda body: b"\n" + body)), later=(Step(news),)),
)  # fmt: skip
