"""What each problem of a harvest means and how it is mended, in the reader's language.

General advice stands beside the very setting, file or menu of the platforms that most members run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from web.places import PLACES, PLATFORMS


@dataclass(frozen=True, slots=True)
class Explanation:
    """A problem in words. `place` is the key into `PLACES`, empty where a platform has nothing of its own."""

    title: Any
    cause: Any
    fix: Any
    place: str


FIXES: dict[str, Explanation] = {
    "unusable-record": Explanation(
        _l("A record that cannot be used"),
        _l(
            "One record of the list is not as the protocol wants it. It was left out; its page is kept, and the other"
            " records were taken."
        ),
        _l("Open the record, complete what is missing and save it: it is then sent again with the next harvest."),
        "record",
    ),
    "no-identifier": Explanation(
        _l("A record without an identifier"),
        _l("The header of a record has no identifier, so nobody can say which record it is."),
        _l(
            "Find the record by the page of the list named beside it, and give it an identifier by saving it again. "
            "If many have none, the name of the repository in the OAI settings is empty."
        ),
        "record",
    ),
    "no-metadata": Explanation(
        _l("A record without metadata"),
        _l("A record is listed as live and has no description, so there is nothing to show or to search."),
        _l("Give the record at least a title and save it, or withdraw it so that it is announced as deleted."),
        "record",
    ),
    "broken-record": Explanation(
        _l("A record that is not well-formed"),
        _l(
            "The text of one record breaks the XML of its page: mostly a character from a word processor or a PDF, or"
            " a bare < or &."
        ),
        _l("Open the record, type its title and abstract again where they were pasted, and save it."),
        "characters",
    ),
    "unreadable-record": Explanation(
        _l("A listed record that cannot be had"),
        _l("The record is in the list, and asking for it alone (GetRecord) brings an error or broken XML."),
        _l(
            "Open the address of the request in a browser: it shows the error. Then open the record, look for strange"
            " characters and for files that are gone, and save it."
        ),
        "characters",
    ),
    "repaired-xml": Explanation(
        _l("XML that had to be repaired"),
        _l(
            "A page had control characters, wrong encoding or undeclared entities. It was mended on arrival and "
            "nothing was lost; other harvesters may lose records."
        ),
        _l(
            "Look for the strange characters in the records of that page, type them again, and make sure that "
            "database and pages use UTF-8."
        ),
        "characters",
    ),
    "broken-page": Explanation(
        _l("A page that stays broken"),
        _l(
            "A page of the list could not be read as XML, also when it was asked for again. Its whole records were "
            "kept, the others were asked for one by one."
        ),
        _l(
            "Open the address of the request in a browser; it names the line that is wrong. The record at that line "
            "holds the bad character."
        ),
        "characters",
    ),
    "not-oai": Explanation(
        _l("The answer is not OAI-PMH"),
        _l("Where the list should be, another page came: an error, a login, a maintenance notice, or an empty page."),
        _l(
            "Open the base URL with ?verb=Identify in a browser that is not logged in. It must show XML that begins "
            "with OAI-PMH; if the address has changed, tell us the new one."
        ),
        "output",
    ),
    "protocol-error": Explanation(
        _l("The repository reports an error"),
        _l("The repository answered the request with an error of the protocol, which stands beside this."),
        _l(
            "Open the address of the request in a browser and read the message. Mostly a metadata format or a set "
            "that we ask for is no longer offered: tell us, or switch it on again."
        ),
        "output",
    ),
    "token-refused": Explanation(
        _l("The list breaks off: its token is refused"),
        _l("The repository gave a token for the next page and then did not accept it, so the list had to begin again."),
        _l(
            "Let tokens live for a day at least, and send pages of 100 to 500 records. An update of the software "
            "often mends this."
        ),
        "paging",
    ),
    "token-loop": Explanation(
        _l("The list goes round in circles"),
        _l("The same token or the same page came again, so the list would never have ended."),
        _l(
            "Update the software. If a plugin or a change of your own makes the list, the token must say where the "
            "next page begins."
        ),
        "paging",
    ),
    "short-list": Explanation(
        _l("The list ends too early"),
        _l(
            "Fewer records came than the repository announced, or the end of the list was not marked. What came is "
            "kept; nothing counts as deleted because of it."
        ),
        _l(
            "Page through the list in a browser from the last request shown here, and compare the number of records "
            "with that on your own pages. Then rebuild the index of the repository or update its software."
        ),
        "paging",
    ),
    "filters-ignored": Explanation(
        _l("Dates or sets are ignored"),
        _l(
            "The list holds records outside the dates or the set that were asked for, so everything has to be fetched"
            " each time."
        ),
        _l(
            "Ask for one day with from and until in a browser: only what was changed on that day may come, on the "
            "second page too."
        ),
        "dates",
    ),
    "stopped": Explanation(
        _l("We stopped the harvest"),
        _l("The harvest was stopped on our side, for example by a restart. It goes on from its last page."),
        _l("Nothing has to be done."),
        "",
    ),
    "unreachable": Explanation(
        _l("The server cannot be reached"),
        _l("No connection, a name that is not found, or no answer within the time allowed, several times over."),
        _l(
            "See from another network whether the site opens. Check the server, its name in the DNS and its firewall;"
            " harvesters come from abroad too."
        ),
        "load",
    ),
    "server-error": Explanation(
        _l("The server fails"),
        _l(
            "The server answered with an internal error (500, 502, 503 or 504), also when it was asked again after a "
            "pause."
        ),
        _l(
            "Look into the error log of the server at the time of the run. Mostly memory or time ran out for one "
            "page, or the database was away."
        ),
        "load",
    ),
    "throttled": Explanation(
        _l("The server asks us to wait"),
        _l(
            "The server said “too many requests” (429 or 503) for longer than we wait within one run. We ask one "
            "thing at a time."
        ),
        _l(
            "Let the limit of requests leave out the OAI-PMH address or our User-Agent, or tell us at what hours and "
            "how fast we may come."
        ),
        "load",
    ),
    "refused": Explanation(
        _l("The server turns us away"),
        _l(
            "The answer was 401 or 403, or a page that wants proof of being human: a firewall or a service in front "
            "of the site blocks programs."
        ),
        _l(
            "Let the firewall (Cloudflare, ModSecurity, Fortinet, …) pass requests to the OAI-PMH address without a "
            "check, or at least our User-Agent."
        ),
        "access",
    ),
    "certificate": Explanation(
        _l("The certificate is not valid"),
        _l(
            "The TLS certificate has expired, is for another name, or comes without the certificates between it and "
            "its authority."
        ),
        _l(
            "Renew the certificate (with Let’s Encrypt: certbot renew) and give the web server the whole chain: "
            "SSLCertificateFile in Apache and ssl_certificate in nginx name fullchain.pem."
        ),
        "",
    ),
    "redirected": Explanation(
        _l("The base URL has moved"),
        _l(
            "The address that we have leads on to another one. We follow it, unless it leads into a private network, "
            "but a redirect may end one day."
        ),
        _l("Tell us the new base URL, and let Identify name it too."),
        "address",
    ),
    "clock": Explanation(
        _l("The clock of the server is wrong"),
        _l(
            "The time in the answers differs from ours by more than five minutes: mostly local time (WIB, WITA, WIT) "
            "is marked as UTC with a Z."
        ),
        _l("Set the clock by NTP, and let the software write times in UTC."),
        "clock",
    ),
    "granularity": Explanation(
        _l("Dates are not as Identify says"),
        _l("Identify promises one form of dates, days or seconds, and the repository takes or shows the other one."),
        _l("Let Identify name the granularity that ListRecords takes: YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ."),
        "dates",
    ),
    "datestamps": Explanation(
        _l("Datestamps cannot be trusted"),
        _l(
            "Records carry no datestamp, one in the future, all the same one, or that of their creation and not of "
            "their last change. Changes may come late."
        ),
        _l("The datestamp of a record must be the moment of its last change, in UTC."),
        "dates",
    ),
    "vanished": Explanation(
        _l("Records vanished without a word"),
        _l(
            "A complete list no longer shows these records, and they were not announced as deleted. They stay here "
            "for some days and are then removed, unless they come back."
        ),
        _l("If they were deleted, nothing has to be done. If not, make them public again, or ask us to keep them."),
        "deletion",
    ),
    "big-drop": Explanation(
        _l("Very many records are missing at once"),
        _l("A complete list shows far fewer records than before. Nothing is removed until a person has looked at it."),
        _l(
            "Tell us whether so many were deleted on purpose. If not, look for a filter, a set or an index that is "
            "not complete, for example after a move to a new server."
        ),
        "deletion",
    ),
    "dead-link": Explanation(
        _l("Links that lead nowhere"),
        _l(
            "The address of a record’s own page did not answer on three days. Readers are told so beside the link; "
            "one answer, and it counts as mended."
        ),
        _l(
            "Open the address in a browser that is not logged in. If the page has moved, let the old address lead to "
            "the new one, or put the new one into the record; if the record is gone, delete it."
        ),
        "links",
    ),
}

_SIGNS = (
    ("eprints", re.compile(r"/cgi/oai2|/perl/oai2|^oai:[^:]*eprints", re.IGNORECASE)),
    ("dspace", re.compile(r"/oai/request|/server/oai|^oai:[^:]+:\d[\d.]+/\d+$", re.IGNORECASE)),
    ("slims", re.compile(r"/oai2?\.php|^oai:slims", re.IGNORECASE)),
    ("ojs", re.compile(r"/index\.php/.*oai|/oai/?$|^oai:[^:]+:article/", re.IGNORECASE)),
)


def explain(code: str) -> Explanation:
    """The words for a problem; those for any unusable record where a catalogue of other days has another code."""
    return FIXES.get(code, FIXES["unusable-record"])


def places(code: str, platform: str | None) -> dict[str, str]:
    """Where to mend it, by the name of the platform: of this one, or of all where it is not known."""
    found = PLACES.get(explain(code).place, {})
    return {PLATFORMS[key]: str(text) for key, text in found.items() if platform in {None, key}}


def find_platform(base_url: str, identifiers: Iterable[str] = ()) -> str | None:
    """The platform that the address or the identifiers look like, a key of `PLATFORMS`; None where nothing tells."""
    texts = (base_url, *identifiers)
    return next((key for key, sign in _SIGNS if any(sign.search(text) for text in texts)), None)
