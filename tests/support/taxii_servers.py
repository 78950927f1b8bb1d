"""Other TAXII servers on real sockets: medallion, and a scripted server."""

import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import medallion
from flask import Flask
from medallion.backends.base import Backend
from medallion.backends.memory_backend import MemoryBackend
from medallion.exceptions import BackendError, ProcessingError
from medallion.views import collections, discovery, manifest, objects
from werkzeug.serving import WSGIRequestHandler, make_server

MEDIA_TYPE = "application/taxii+json;version=2.1"
COLLECTION = "365fed99-08fa-4fcd-a1b3-fb247eb41d01"
OTHER = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
KEY = "partner:let-me-in"


def indicator(number: int) -> dict[str, Any]:
    day = "2026-01-02T03:04:05.000Z"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}",
        "created": day,
        "modified": day,
        "valid_from": day,
        "pattern_type": "stix",
        "pattern": f"[domain-name:value = 'bad{number}.test']",
    }


class _SilentHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Write no log line."""


@dataclass
class Medallion:
    url: str
    backend: MemoryBackend

    def add(self, *added: dict[str, Any]) -> None:
        """Add objects as one POST does: all share one date_added."""
        now = medallion.common.get_timestamp()
        self.backend.add_objects("partner", COLLECTION, {"objects": list(added)}, now)
        time.sleep(0.001)


@contextmanager
def serve_medallion(page: int = 1000) -> Iterator[Medallion]:
    """Serve medallion 3.0.0 with one readable and writable collection and one closed one."""
    backend = MemoryBackend(check_interval=3600)
    backend.data = _medallion_content()
    with serve_over(backend, page) as url:
        backend.data["/discovery"]["api_roots"] = [url.replace("taxii2", "partner")]
        yield Medallion(url, backend)


@contextmanager
def serve_over(backend: Backend, page: int = 1000) -> Iterator[str]:
    """Serve medallion 3.0.0 over a backend; yields the URL of its discovery."""
    with serve_app(medallion_app(backend, page)) as origin:
        yield f"{origin}/taxii2/"


@contextmanager
def serve_app(app: Callable[..., Any], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve an application on a real socket; yields its origin."""
    server = make_server(
        "127.0.0.1", 0, app, threaded=True, request_handler=_SilentHandler, ssl_context=tls
    )
    with _running(server):
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.port}"


def medallion_app(backend: Backend, page: int = 1000) -> Flask:
    """A Flask application with medallion's views, users and error handlers."""
    app = Flask("partner")
    setattr(app, "users_backend", dict([KEY.split(":")]))  # noqa: B010 (mypy does not know the attribute)
    setattr(app, "taxii_config", {"max_page_size": page})  # noqa: B010
    setattr(app, "medallion_backend", backend)  # noqa: B010
    for blueprint in (
        collections.collections_bp,
        discovery.discovery_bp,
        manifest.manifest_bp,
        objects.objects_bp,
    ):
        app.register_blueprint(blueprint)
    app.register_error_handler(ProcessingError, medallion.handle_processing_error)
    app.register_error_handler(BackendError, medallion.handle_backend_error)
    return app


def _medallion_content() -> dict[str, Any]:
    def collection(id: str, title: str, *, readable: bool) -> dict[str, Any]:
        flags = {"can_read": readable, "can_write": readable}
        return {"id": id, "title": title, **flags, "media_types": [], "objects": [], "manifest": []}

    return {
        "/discovery": {"title": "A partner's server"},
        "partner": {
            "information": {
                "title": "Partner",
                "versions": [MEDIA_TYPE],
                "max_content_length": 9000,
            },
            "status": [],
            "collections": [
                collection(COLLECTION, "Sightings of ours", readable=True),
                collection(OTHER, "Closed", readable=False),
            ],
        },
    }


@dataclass
class ReceivedRequest:
    """A request that a scripted server received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """The answer of a scripted server."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    break_off: bool = False
    """Close the connection instead of answering."""


@dataclass
class ScriptedServer:
    """A running scripted server and the requests that it has received."""

    url: str
    requests: list[ReceivedRequest]

    def paths(self, method: str = "GET") -> list[str]:
        return [each.path for each in self.requests if each.method == method]


Script = Callable[[ReceivedRequest], Answer | None]


@contextmanager
def serve_script(script: Script, max_content_length: int = 100_000) -> Iterator[ScriptedServer]:
    """Serve discovery and collections by default; `script` may answer any request first."""
    requests: list[ReceivedRequest] = []
    resources = usual_resources(max_content_length)

    class Responder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length", 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            request = ReceivedRequest(
                self.command, parts.path, query, dict(self.headers), self.rfile.read(length)
            )
            requests.append(request)
            missing = Answer({"title": "Not here"}, 404)
            usual = Answer(resources[parts.path]) if parts.path in resources else missing
            self._send(script(request) or usual)

        do_POST = do_GET

        def _send(self, answer: Answer) -> None:
            if answer.break_off:
                self.close_connection = True
                return
            raw = answer.body
            body = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
            self.send_response(answer.status)
            headers = {"Content-Type": MEDIA_TYPE, **answer.headers}
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Write no log line."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Responder)
    server.daemon_threads = True
    with _running(server):
        yield ScriptedServer(f"http://127.0.0.1:{server.server_port}/taxii2/", requests)


def usual_resources(max_content_length: int = 100_000) -> dict[str, object]:
    """Discovery, an API root and its one collection, by their paths."""
    return {
        "/taxii2/": {"title": "Scripted", "api_roots": ["/root/"]},
        "/root/": {
            "title": "Root",
            "versions": [MEDIA_TYPE],
            "max_content_length": max_content_length,
        },
        "/root/collections/": {
            "collections": [
                {
                    "id": COLLECTION,
                    "alias": "feed",
                    "title": "A feed",
                    "can_read": True,
                    "can_write": True,
                }
            ]
        },
    }


@contextmanager
def _running(server: Any) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
