"""The console's script, style and icons, each under a URL with its hash."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

import flask

from tocsin.server.console.services import ROOT

_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_NAMES = ("console.css", "console.js", "passkeys.js", "htmx.min.js", "icon.svg")
_PREFIX = "/static"
ASSET = "asset"
"""The endpoint."""


@cache
def _content(name: str) -> bytes:
    return files("tocsin.server.console").joinpath("static", name).read_bytes()


@cache
def url(name: str) -> str:
    """The URL of an asset; it changes with the content."""
    return f"{ROOT}{_PREFIX}/{hashlib.sha256(_content(name)).hexdigest()[:16]}/{name}"


@cache
def integrity(name: str) -> str:
    """The digest of a script for `integrity`."""
    digest = hashlib.sha384(_content(name)).digest()
    return f"sha384-{base64.b64encode(digest).decode()}"


def register(app: flask.Flask, public: set[str]) -> None:
    """Serve the assets without a session."""
    served = {url(name): name for name in _NAMES}

    def serve(digest: str, name: str) -> flask.Response:
        if f"{ROOT}{_PREFIX}/{digest}/{name}" not in served:
            flask.abort(404)
        kind = _TYPES[name.rpartition(".")[2]]
        answer = flask.Response(_content(name), content_type=f"{kind}; charset=utf-8")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer

    app.add_url_rule(f"{_PREFIX}/<digest>/<name>", ASSET, serve)
    public.add(ASSET)
