"""A server in front of a hub that violates one rule of TAXII on purpose."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from support.taxii_servers import serve_app
from werkzeug.test import run_wsgi_app

DATES = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last")


@dataclass
class Exchange:
    """A request to the hub, and its response."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    status: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.content) if self.content[:1] == b"{" else {}

    @json.setter
    def json(self, value: object) -> None:
        self.content = json.dumps(value).encode()

    def is_at(self, *ends: str) -> bool:
        return self.path.endswith(ends)


@dataclass(frozen=True)
class Fault:
    """A violated rule: the changes of the request and of the response."""

    name: str
    found_by: tuple[str, ...]
    on_request: Callable[[Exchange], object] = lambda _: None
    on_response: Callable[[Exchange], object] = lambda _: None


@contextmanager
def serve_with_fault(app: Callable[..., Any], fault: Fault) -> Iterator[str]:
    """Serve an application with a fault; yield its discovery URL."""

    def application(environ: Any, start_response: Any) -> Any:
        exchange = _parse_request(environ)
        fault.on_request(exchange)
        if not exchange.status:
            _pass_on(app, environ, exchange)
        fault.on_response(exchange)
        headers = exchange.response_headers | {"Content-Length": str(len(exchange.content))}
        start_response(f"{exchange.status} Answer", list(headers.items()))
        return [exchange.content]

    with serve_app(application) as origin:
        yield f"{origin}/taxii2/"


def _parse_request(environ: dict[str, Any]) -> Exchange:
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
    body, status, headers = run_wsgi_app(app, environ | changed, buffered=True)
    exchange.status, exchange.content = int(status.split()[0]), b"".join(body)
    exchange.response_headers = {n: v for n, v in headers.items() if n.lower() != "content-length"}
