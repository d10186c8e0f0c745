"""What the network is and how its search works."""

from __future__ import annotations

from flask import Blueprint, render_template

from web.links import full_url

blueprint = Blueprint("about", __name__)


@blueprint.get("/about")
def about() -> str:
    """The page for readers, members and programmers."""
    return render_template("about.html", root=full_url(""))
