"""A server in front of a hub that breaks one rule of TAXII on purpose."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

MT = "application/taxii+json;version=2.1"
DATES = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last")


@dataclass
class Exchange:
    """A request on its way in, and its answer on its way out."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    status: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    told: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.told) if self.told[:1] == b"{" else {}

    @json.setter
    def json(self, told: object) -> None:
        self.told = json.dumps(told).encode()

    def is_at(self, *ends: str) -> bool:
        return self.path.endswith(ends)


@dataclass(frozen=True)
class Fault:
    """A rule that is broken: what is changed on the way in, and on the way out."""

    name: str
    found_by: tuple[str, ...]
    inwards: Callable[[Exchange], object] = lambda _: None
    outwards: Callable[[Exchange], object] = lambda _: None


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def broken(app: Callable[..., Any], fault: Fault) -> Iterator[str]:
    """The discovery URL of a server that answers as an application does, but for a fault."""

    def application(environ: Any, start_response: Any) -> Any:
        exchange = _asked(environ)
        fault.inwards(exchange)
        if not exchange.status:
            _pass_on(app, environ, exchange)
        fault.outwards(exchange)
        headers = exchange.answered | {"Content-Length": str(len(exchange.told))}
        start_response(f"{exchange.status} Answer", list(headers.items()))
        return [exchange.told]

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/taxii2/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _asked(environ: dict[str, Any]) -> Exchange:
    headers = {n[5:].replace("_", "-"): v for n, v in environ.items() if n.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["CONTENT-TYPE"] = environ["CONTENT_TYPE"]
    length = -1 if "TRANSFER-ENCODING" in headers else int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    query = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
    return Exchange(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, headers, body)


def _pass_on(app: Callable[..., Any], environ: dict[str, Any], exchange: Exchange) -> None:
    changed = {
        "QUERY_STRING": urlencode(exchange.query),
        "CONTENT_TYPE": exchange.headers.get("CONTENT-TYPE", ""),
        "CONTENT_LENGTH": str(len(exchange.body)),
        "wsgi.input": io.BytesIO(exchange.body),
    }
    told, status, headers = run_wsgi_app(app, environ | changed, buffered=True)
    exchange.status, exchange.told = int(status.split()[0]), b"".join(told)
    exchange.answered = {n: v for n, v in headers.items() if n.lower() != "content-length"}
