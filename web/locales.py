"""The reader's language, and numbers and dates written in it."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Flask, Response, g, redirect, request
from flask_babel import Babel, format_date, format_datetime, format_decimal, get_locale, gettext

from harvester.datestamps import format_datestamp, from_epoch, parse_datestamp
from indexer.normalise.dates import PublicationDate

LOCALES = {"id": "Indonesia", "en": "English"}
_COOKIE = "lang"
_A_YEAR = 365 * 24 * 3600


def use_locales(app: Flask) -> None:
    """The app speaks Indonesian and English: the reader's choice (`?lang=`, kept in a cookie) or the browser's."""
    Babel(app, default_locale="id", locale_selector=_select_locale)
    app.before_request(_switch_locale)
    app.jinja_env.filters.update(
        number=format_number,
        day=format_day,
        moment=format_moment,
        issued=format_issued,
        isoday=format_isoday,
        iso=lambda seconds: format_datestamp(from_epoch(seconds)),
    )


def present_locale() -> str:
    """The code of the language that this answer is written in."""
    return str(get_locale() or "id")


def format_number(value: int) -> str:
    """The number with the marks of the reader's language: 1.284 or 1,284."""
    return str(format_decimal(value))


def format_day(seconds: int) -> str:
    """The day (UTC) of a moment in seconds since 1970: 21 November 2026."""
    return str(format_date(from_epoch(seconds), "d MMMM yyyy"))


def format_moment(seconds: int) -> str:
    """Day, hour and minute (UTC) of a moment in seconds since 1970."""
    return str(format_datetime(from_epoch(seconds), gettext("d MMMM yyyy, HH:mm 'UTC'")))


def format_issued(issued: PublicationDate) -> str:
    """A date of issue as precise as it is known."""
    if not issued.month:
        return str(issued.year)
    moment = from_epoch(0).replace(year=issued.year, month=issued.month, day=issued.day or 1)
    return str(format_date(moment, "d MMMM yyyy" if issued.day else "MMMM yyyy"))


def format_isoday(text: str) -> str:
    """An ISO date in the reader's words; as it is where it is none."""
    moment = parse_datestamp(text)
    return str(format_date(moment, "d MMMM yyyy")) if moment else text


def _select_locale() -> str:
    if "locale" not in g:
        chosen = request.cookies.get(_COOKIE)
        g.locale = chosen if chosen in LOCALES else request.accept_languages.best_match(LOCALES) or "id"
    return str(g.locale)


def _switch_locale() -> Response | None:
    wanted = request.args.get("lang")
    if wanted is None or request.method not in {"GET", "HEAD"}:
        return None
    rest = [(name, value) for name, value in request.args.items(multi=True) if name != "lang"]
    # One slash only: a path of two would name another host.
    path = "/" + request.path.lstrip("/\\")
    answer = redirect(path + ("?" + urlencode(rest) if rest else ""))
    if wanted in LOCALES:
        answer.set_cookie(_COOKIE, wanted, _A_YEAR, samesite="Lax", httponly=True, secure=request.is_secure)
    return answer  # type: ignore[return-value]  # werkzeug's type is Flask's at run time
