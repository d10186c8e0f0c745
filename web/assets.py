"""The site's own files, addressed by what is in them so that browsers keep them for ever."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, url_for

_FOLDER = Path(__file__).parent / "static"
_TYPES = {"style.css": "text/css", "site.js": "text/javascript", "mark.svg": "image/svg+xml"}


def use_assets(app: Flask) -> None:
    """Templates can name a file by `asset_url`; each is read once, when the app is made."""
    files = {name: (_FOLDER / name).read_bytes() for name in _TYPES}
    hashes = {name: blake2b(body, digest_size=6).hexdigest() for name, body in files.items()}

    def asset_url(name: str) -> str:
        return url_for("assets.static_file", version=hashes[name], name=name)

    def static_file(version: str, name: str) -> Response:
        if name not in files:
            abort(404)
        answer = Response(files[name], content_type=f"{_TYPES[name]}; charset=utf-8")
        # A page of yesterday's version asks for yesterday's file: it gets this one, but must not keep it.
        current = version == hashes[name]
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
        return answer

    def favicon() -> Response:
        answer = Response(files["mark.svg"], content_type="image/svg+xml; charset=utf-8")
        answer.headers["Cache-Control"] = "public, max-age=86400"
        return answer

    blueprint = Blueprint("assets", __name__)
    blueprint.add_url_rule("/static/<version>/<name>", "static_file", static_file)
    blueprint.add_url_rule("/favicon.svg", "favicon", favicon)
    blueprint.add_url_rule("/favicon.ico", "favicon_ico", favicon)
    app.register_blueprint(blueprint)
    app.jinja_env.globals["asset_url"] = asset_url
