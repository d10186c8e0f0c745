"""Takedowns: carried out in every tier at once, and a page on which the network's operators make and lift them."""

from __future__ import annotations

import hmac
import threading
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256

import structlog
from flask import Blueprint, Response, abort, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue.files import File, list_files
from harvester.catalogue.records import CataloguedRecord, find_record, public_ids
from harvester.catalogue.takedowns import Takedown, list_takedowns
from harvester.errors import ArchiveError, EngineError, LumbungError
from harvester.fulltext.redact import settle_takedowns
from harvester.fulltext.takedown import find_target, lift_takedown, take_down
from harvester.settings import Settings
from indexer.build import advance, when_free
from indexer.crosswalks import describe
from indexer.engine.opening import open_engine
from indexer.feed import prepare
from web.tiers import get_tiers

blueprint = Blueprint("takedowns", __name__)

_FORM = b"the form of takedowns"
_LONGEST = 2000
_PAGE_SECONDS = 20.0  # that an operator waits for archived pages
_FEED_SECONDS = 10  # what else waits for the feed is the worker's affair


class NoTargetError(LumbungError):
    """There is no record and no kept file of this name."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it: whether it was not so already, and, in sentences, what is still to come."""

    changed: bool
    amiss: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A takedown on the list; `record` is the public id where it is a record's."""

    takedown: Takedown
    record: str | None


def carry_out(
    settings: Settings,
    catalogue: Catalogue,
    archive: Archive,
    what: str,
    note: str,
    *,
    lift: bool,
    seconds: float | None = None,
) -> Done:
    """What is named is down, or is so no more, for readers and fetchers from now on; then in feed, index and archive.

    An archive or index that is away is brought up to date by the worker later, and so are archived pages that were not
    looked at within so many seconds; `amiss` says so.

    Raises:
        NoTargetError: nothing is called so.
        CatalogueError: nothing was done.
    """
    with catalogue.write() as connection:
        target = find_target(connection, what)
        if target is None:
            raise NoTargetError(f"there is no record and no kept file {what!r}")
        do = lift_takedown if lift else take_down
        changed = do(connection, target.record, target.sha256, note, catalogue.now())
    log = structlog.get_logger("takedown")
    log.warning("lifted" if lift else "taken down", what=target.name, note=note, changed=changed)
    amiss: list[str] = []
    prepare.advance(catalogue, settings.repository_domain, seconds=_FEED_SECONDS)
    try:
        with closing(open_engine(settings)) as engine:  # one of our own: whoever has written keeps others from it
            when_free(lambda: advance(catalogue, engine, archive))
    except (ArchiveError, EngineError) as error:
        amiss.append(f"the index follows when it is back: {error}")
    amiss += _redact(catalogue, archive, seconds)
    for sentence in amiss:
        log.error("a takedown is not complete yet", what=target.name, why=sentence)
    return Done(changed, tuple(amiss))


def _redact(catalogue: Catalogue, archive: Archive, seconds: float | None) -> list[str]:
    stop = threading.Event()
    clock = threading.Timer(seconds or 0.0, stop.set)
    clock.daemon = True
    if seconds is not None:
        clock.start()
    try:
        told = settle_takedowns(catalogue, archive, stop)
    except ArchiveError as error:
        return [f"the archived pages are redacted by the worker when the archive is back: {error}"]
    finally:
        clock.cancel()
    amiss = [f"the archived page {key} could not be redacted: look at it" for key in told.left]
    return amiss if told.complete else [*amiss, "the other archived pages are redacted by the worker, within minutes"]


@blueprint.get("/takedowns")
def takedowns() -> ResponseReturnValue:
    """The list of all there ever were, the form, and what is held of the record that is named."""
    _admit()
    return _page(request.args.get("what", "")[:_LONGEST])


@blueprint.post("/takedowns")
def change() -> ResponseReturnValue:
    """One takedown is made, or lifted."""
    key = _admit()
    if not hmac.compare_digest(request.form.get("token", "").encode(), _token(key).encode()):
        abort(403)
    what, note = (request.form.get(name, "")[:_LONGEST].strip() for name in ("what", "note"))
    lift = request.form.get("do") == "lift"
    if not (what and note):
        return _page(what, gettext("Say what is meant, and why: both are kept."), status=400)
    tiers = get_tiers()
    try:
        done = carry_out(tiers.settings, tiers.catalogue, tiers.archive, what, note, lift=lift, seconds=_PAGE_SECONDS)
    except NoTargetError:
        return _page(what, gettext("There is no such record and no such file."), status=404)
    if not done.changed:
        told = gettext("It was not down.") if lift else gettext("It was down already.")
    else:
        told = gettext("It may be shown and fetched again.") if lift else gettext("It is down.")
    return _page("", told, amiss=done.amiss)


def _admit() -> str:
    """The operators' key, which the reader's program told.

    There is no such page where no key is set.
    """
    key = get_tiers().settings.operator_key
    if not key:
        abort(404)
    told = request.authorization
    password = (told.password or "") if told is not None and told.type == "basic" else ""
    if not hmac.compare_digest(password.encode(), key.encode()):
        if password:
            structlog.get_logger("takedown").warning("a wrong operators' key", client=request.remote_addr)
        answer = Response(gettext("This page is for the operators of the network."), 401, mimetype="text/plain")
        answer.headers["WWW-Authenticate"] = 'Basic realm="operators", charset="UTF-8"'
        abort(answer)
    return key


def _token(key: str) -> str:
    """What only our own form sends: programs send the password by themselves, to forms of strangers, too."""
    return hmac.new(key.encode(), _FORM, sha256).hexdigest()


def _page(what: str, told: str = "", amiss: tuple[str, ...] = (), status: int = 200) -> Response:
    tiers = get_tiers()
    with tiers.catalogue.read() as connection:
        known = list_takedowns(connection)
        ids = public_ids(connection, [each.record_id for each in known if each.record_id is not None])
        target = find_target(connection, what) if what else None
        record: CataloguedRecord | None = None
        files: tuple[File, ...] = ()
        if target and target.record is not None:
            record = find_record(connection, target.name)
            files = list_files(connection, [target.record]).get(target.record, ())
    this_year = 9999  # dates are not shown
    page = render_template(
        "takedowns.html",
        what=what,
        told=told,
        amiss=amiss,
        token=_token(tiers.settings.operator_key),
        record=record,
        title=describe(record, this_year=this_year).title if record else "",
        files=[file for file in files if file.sha256],
        listed=[Listed(each, ids.get(each.record_id) if each.record_id is not None else None) for each in known],
    )
    answer = make_response(page, status)
    answer.headers["Cache-Control"] = "no-store"
    return answer
