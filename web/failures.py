"""What readers see when something is wrong: plain words and a way on, never a stack trace."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from harvester.errors import ArchiveError, CatalogueError, EngineError, QueryRejectedError

RETRY_AFTER = "30"  # seconds: an index or a database is back within moments, or a person must look

# Status: (heading, sentence).
_WORDS: dict[int, tuple[Any, Any]] = {
    400: (_l("This request cannot be read"), _l("Something in the address is not as it should be.")),
    404: (
        _l("There is nothing at this address"),
        _l("The address may be mistyped, or the page may have moved. Try a search:"),
    ),
    405: (_l("This address cannot be used that way"), _l("It answers other kinds of request.")),
    500: (
        _l("Something went wrong on our side"),
        _l("The fault has been noted. Please try again; if it stays, tell the people who run this site."),
    ),
    503: (
        _l("Search is resting for a moment"),
        _l("The index is being built or cannot be reached. Nothing is lost: please try again in half a minute."),
    ),
}
_ARCHIVE_DOWN = (
    _l("The archive cannot be reached"),
    _l("The store of the copies does not answer just now. Nothing is lost: please try again in half a minute."),
)
_CATALOGUE_DOWN = (
    _l("The catalogue cannot be reached"),
    _l("Its database does not answer just now. Nothing is lost: please try again in half a minute."),
)


def use_failures(app: Flask) -> None:
    """Every failure has its designed answer: a page for readers, JSON for programs."""
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(QueryRejectedError, lambda _: answer_failure(400, *_WORDS[400]))
    app.register_error_handler(EngineError, _answer_engine_down)
    app.register_error_handler(CatalogueError, _answer_catalogue_down)
    app.register_error_handler(ArchiveError, _answer_archive_down)


def _answer_http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None or (error.code or 500) < 400:
        return error.get_response()  # a redirect to the address with a slash
    status = error.code or 500
    heading, sentence = _WORDS.get(status, _WORDS[400 if status < 500 else 500])
    answer = make_response(answer_failure(status, heading, sentence))
    if isinstance(error, MethodNotAllowed):
        answer.allow.update(error.valid_methods or ())
    return answer


def _answer_engine_down(error: EngineError) -> ResponseReturnValue:
    current_app.logger.warning("the engine does not answer: %s", error)
    return answer_failure(503, *_WORDS[503])


def _answer_catalogue_down(error: CatalogueError) -> ResponseReturnValue:
    current_app.logger.warning("%s", error)
    return answer_failure(503, *_CATALOGUE_DOWN)


def _answer_archive_down(error: ArchiveError) -> ResponseReturnValue:
    current_app.logger.warning("%s", error)
    return answer_failure(503, *_ARCHIVE_DOWN)


def answer_failure(status: int, heading: Any, sentence: Any) -> ResponseReturnValue:
    """The page, or the JSON, that says so, with this status."""
    if request.path.startswith("/api/") or request.path.endswith(".json"):
        answer = jsonify(error=str(heading), detail=str(sentence))
    else:
        answer = make_response(render_template("error.html", status=status, heading=heading, sentence=sentence))
    answer.status_code = status
    if status == 503:
        answer.headers["Retry-After"] = RETRY_AFTER
    return answer
