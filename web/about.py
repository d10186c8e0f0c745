"""What the network is and how its search works."""

from __future__ import annotations

from flask import Blueprint, render_template

from web.links import full_url
from web.tiers import get_tiers

blueprint = Blueprint("about", __name__)


@blueprint.get("/about")
def about() -> str:
    """The page for readers, members and programmers."""
    return render_template("about.html", root=full_url(""))


@blueprint.get("/about/oai")
def about_oai() -> str:
    """The page for those who harvest the network."""
    settings = get_tiers().settings
    return render_template("about_oai.html", root=settings.base_url, domain=settings.repository_domain)
