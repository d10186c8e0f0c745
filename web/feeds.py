"""Feeds of ended runs, of the network and of a member, for feed readers and monitors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, current_app
from flask_babel import gettext
from lxml import etree

from harvester.catalogue.findings import RunReport, list_ended_runs
from harvester.datestamps import format_datestamp, from_epoch
from harvester.xml_chars import NOT_XML
from web.locales import present_locale
from web.members import read_report
from web.tiers import get_tiers
from web.words import KINDS, MEANINGS, outcome_sentence, outcome_word

blueprint = Blueprint("feeds", __name__, url_prefix="/members")

_ATOM = "{http://www.w3.org/2005/Atom}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_NAMES: Any = {None: _ATOM[1:-1]}

Entry = tuple[str, str, RunReport]  # a member's slug and name, and a run of it


@blueprint.get("/.atom")
def network_feed() -> Response:
    """The runs of all members that ended last."""
    with get_tiers().catalogue.read() as connection:
        ended = list_ended_runs(connection)
    return _feed("/members/", str(current_app.jinja_env.globals["network_name"]), ended)


@blueprint.get("/<slug>.atom")
def member_feed(slug: str) -> Response:
    """The member's latest runs that ended."""
    report = read_report(slug)
    ended = [(slug, report.name, run) for run in report.runs if run.finished_at is not None]
    return _feed(f"/members/{slug}", report.name, ended)


def _feed(path: str, name: str, entries: Sequence[Entry]) -> Response:
    # Identifiers stay the same whatever address a reader came by.
    root = get_tiers().settings.base_url
    feed = etree.Element(f"{_ATOM}feed", {_LANGUAGE: present_locale()}, nsmap=_NAMES)
    _add(feed, "id", root + path)
    _add(feed, "title", gettext("Harvests: %(name)s", name=name))
    _add(feed, "updated", _moment(max((run.finished_at or 0 for _, _, run in entries), default=0)))
    _add(_add(feed, "author"), "name", name)
    _add(feed, "link", rel="alternate", type="text/html", href=root + path)
    _add(feed, "link", rel="self", type="application/atom+xml", href=f"{root}{path}.atom")
    for slug, member, run in entries:
        _add_entry(feed, f"{root}/members/{slug}", member, run)
    body = etree.tostring(feed, xml_declaration=True, encoding="UTF-8")
    answer = Response(body, content_type="application/atom+xml; charset=utf-8")
    answer.vary.update(("Accept-Language", "Cookie"))
    return answer


def _add_entry(feed: etree._Element, page: str, member: str, run: RunReport) -> None:
    entry = _add(feed, "entry")
    _add(entry, "id", f"{page}#run-{run.id}")
    _add(entry, "title", f"{member}: {outcome_word(run)}")
    _add(entry, "updated", _moment(run.finished_at or 0))
    _add(entry, "published", _moment(run.finished_at or 0))
    _add(_add(entry, "author"), "name", member)
    _add(entry, "link", rel="alternate", type="text/html", href=f"{page}#run-{run.id}")
    _add(entry, "category", term=run.outcome or "")
    told = [str(KINDS[run.kind]), outcome_sentence(run), str(MEANINGS[run.outcome or ""]), run.error or ""]
    _add(entry, "content", "\n".join(filter(None, told)), type="text")


def _add(parent: etree._Element, name: str, text: str = "", **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, _ATOM + name, attributes)
    element.text = NOT_XML.sub("\ufffd", text) or None
    return element


def _moment(seconds: int) -> str:
    return format_datestamp(from_epoch(seconds))
