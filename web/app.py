"""The site as a Flask application."""

from __future__ import annotations

from flask import Flask

from harvester.logs import set_up_logging
from harvester.settings import Settings, load_settings
from web import (
    about,
    api,
    check,
    copies,
    coverage,
    feeds,
    health,
    home,
    members,
    metrics,
    problems,
    reasons,
    record,
    search,
    takedowns,
    words,
)
from web.assets import use_assets
from web.failures import use_failures
from web.gate import Gate
from web.headers import use_headers
from web.health import use_health
from web.links import safe_url
from web.locales import LOCALES, present_locale, use_locales
from web.metrics import use_metrics
from web.oai import provider
from web.tiers import Tiers, attach_tiers


def create_served_app() -> Flask:
    """The site in a process of its own."""
    settings = load_settings()
    set_up_logging(verbose=False, log_format=settings.log_format)
    app = create_app(settings)
    app.wsgi_app = Gate(app.wsgi_app)  # type: ignore[method-assign]  # as Flask's documentation has it
    return app


def create_app(settings: Settings | None = None) -> Flask:
    """The site over the tiers that the settings name; they are opened by the first request that needs them."""
    settings = settings or load_settings()
    app = Flask("web", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # likewise
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["safe_url"] = safe_url
    app.jinja_env.globals.update(
        network_name=settings.network_name,
        admin_email=settings.admin_email,
        locales=LOCALES,
        present_locale=present_locale,
        words=words,
        reasons=reasons,
    )
    tiers = Tiers(settings)
    attach_tiers(app, tiers)
    use_health(app, tiers)
    use_metrics(app)
    use_locales(app)
    use_assets(app)
    use_headers(app)
    use_failures(app)
    copies.use_copies(app)
    for module in (
        home,
        search,
        record,
        copies,
        coverage,
        takedowns,
        members,
        problems,
        check,
        feeds,
        about,
        api,
        health,
        metrics,
        provider,
    ):
        app.register_blueprint(module.blueprint)
    return app
