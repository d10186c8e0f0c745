"""Why a record has no full text, and what its member can do about it, in the reader's language."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask_babel import lazy_gettext as _l


class Words(NamedTuple):
    """What a reason says, and what helps; nothing helps where there is nothing to mend."""

    title: Any
    advice: Any = ""


_SETTING = _l("Let the file's address answer programs as it does readers: with the file itself, and without a login.")
_SERVER = _l("It is tried again by itself, soon and then more rarely. If it stays, ask whoever runs the server.")

REASONS: dict[str, Words] = {
    "due": Words(_l("Not looked for yet")),
    "no-link": Words(
        _l("Neither the record nor its page leads to a file"),
        _l("Put the file's address into the record, or citation_pdf_url into its page. Some works have no file."),
    ),
    "not-found": Words(
        _l("The page or file is not there"), _l("Mend the address in the record, or put the file back.")
    ),
    "login": Words(_l("A login stands before the file"), _SETTING),
    "refused": Words(_l("The server turns us away"), _SETTING),
    "robots": Words(
        _l("robots.txt forbids it"), _l("Let robots.txt of the file's host allow the folder of the files to everybody.")
    ),
    "foreign-host": Words(
        _l("The file is on another host"), _l("Tell us which hosts are yours: then files are fetched from there, too.")
    ),
    "private-address": Words(
        _l("The address lies in a private network"), _l("Put the public address of the server into the record.")
    ),
    "not-a-web-link": Words(_l("The address is none of the web"), _l("Mend the address in the record.")),
    "not-a-file": Words(
        _l("A web page came where a file should be"), _l("Link to the file itself, not to a viewer or to a page.")
    ),
    "wrong-type": Words(
        _l("The file holds no text"), _l("PDF, Word, EPUB, HTML and plain text are read; pictures and sound are not.")
    ),
    "empty": Words(_l("The file is empty, or has no text"), _l("Look at the file, and upload it again.")),
    "too-large": Words(
        _l("The file is larger than is kept"), _l("Make the PDF smaller: most large ones are pictures of pages.")
    ),
    "broken": Words(_l("The download breaks off"), _SERVER),
    "server-error": Words(_l("The server fails"), _SERVER),
    "busy": Words(_l("The server asks for a rest"), _SERVER),
    "unreachable": Words(_l("The server cannot be reached"), _SERVER),
    "certificate": Words(
        _l("The server's certificate cannot be trusted"), _l("Renew the certificate, and send the whole chain of it.")
    ),
    "embargoed": Words(_l("Under embargo"), _l("It is looked for again when the embargo ends.")),
    "restricted": Words(
        _l("The record says that access is restricted"), _l("If it is open, say so in the record's rights.")
    ),
    "no-fulltext": Words(_l("The member's files are not fetched"), _l("Tell us if they may be.")),
    "taken-down": Words(_l("Taken down by request")),
    "deleted": Words(_l("The record was deleted")),
    "unread": Words(_l("The file was not read yet")),
    "scanned": Words(
        _l("Pictures of pages, without a layer of text"), _l("Run text recognition (OCR) over it, and upload it again.")
    ),
    "encrypted": Words(
        _l("The file opens with a password only"), _l("Upload the file without a password and without protection.")
    ),
    "damaged": Words(_l("The file is damaged"), _l("Upload the file again from its source.")),
    "too-big": Words(_l("Reading the file takes too much memory"), _l("Save the PDF anew with another program.")),
    "too-long": Words(_l("Reading the file takes too long"), _l("Save the PDF anew with another program.")),
    "unsupported": Words(
        _l("A kind of file that is not read"), _l("Upload it as PDF; Word files of before 2007 are not read either.")
    ),
}

LOST = "source-away"
"""No reason why there is none: the source of a file that is held does not give it any more."""
REASONS[LOST] = Words(
    _l("The source does not give the file any more"),
    _l("Our copy is shown meanwhile. Mend the address in the record, or put the file back."),
)

# How files were found.
RUNGS: dict[str, Any] = {
    "metadata": _l("Links in the record"),
    "ore": "ORE",
    "xoai": "XOAI",
    "mets": "METS",
    "didl": "DIDL",
    "rem": "REM",
    "signposting": "Signposting",
    "citation": "citation_pdf_url",
    "alternate": "link rel=alternate",
    "schema": "schema.org",
    "platform": _l("Links on the page, as the platform makes them"),
}
