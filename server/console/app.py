"""The Flask application of the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flask
from jinja2 import StrictUndefined
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from tocsin.admission.errors import ShareError
from tocsin.server.console import assets, texts
from tocsin.server.console.forms import url_with
from tocsin.server.console.middleware import Middleware
from tocsin.server.console.pages import register_pages
from tocsin.server.console.registry import Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ConsoleServices


def create_console(services: ConsoleServices) -> flask.Flask:
    """Build the console; it is mounted below `CONSOLE_ROOT` of `urls.py`."""
    here = str(Path(__file__).parent)
    app = flask.Flask(__name__, static_folder=None, root_path=here, instance_path=here)
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_content_length
    app.config["MAX_FORM_MEMORY_SIZE"] = services.settings.max_content_length
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # which would say that a page is there
    app.url_map.strict_slashes = False
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        texts.FILTERS,
        time=_with_zone(texts.time),
        hour=_with_zone(texts.hour),
        lookup=lambda key, table: table.get(key, key),
    )
    middleware = Middleware(services)
    pages = Pages(app, middleware.public, middleware.long)
    assets.register(app, middleware.public)
    register_pages(pages, services)
    app.context_processor(lambda: _common(services, pages))
    app.before_request(middleware.enter)
    app.after_request(middleware.leave)
    app.register_error_handler(ShareError, middleware.answer_share_error)
    app.register_error_handler(HTTPException, middleware.answer_http_exception)
    app.register_error_handler(Exception, middleware.answer_exception)
    return app


def _with_zone(write: Callable[..., Markup]) -> Callable[..., Markup]:
    """A filter for times that also writes them in the zone of the person who reads the page."""

    def write_for_reader(micros: int | None, **options: bool) -> Markup:
        reader = context().reader
        return write(micros, zone=texts.find_zone(reader.zone) if reader else None, **options)

    return write_for_reader


def _common(services: ConsoleServices, pages: Pages) -> dict[str, object]:
    """The variables of every template."""
    here = context()
    person = here.reader
    return {
        "hub_title": services.settings.title,
        "person": person,
        "token": here.session.token if here.session else "",
        "now": services.clock(),
        "has_provider": services.provider is not None,
        "bar": pages.bar(person) if person else [],
        "asset": assets.url,
        "integrity": assets.integrity,
        "url_with": url_with,
    }
