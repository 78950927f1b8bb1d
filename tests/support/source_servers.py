"""Servers that `tocsin collect` reads: files, a TAXII 2.0 collection, a mailbox."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote


@dataclass
class FileServer:
    """Files by path, served with an ETag; every request is recorded."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    """Paths that answer with an error."""
    hanging: set[str] = field(default_factory=set)
    """Paths that never answer."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [path for path, _ in self.requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        path = handler.path
        self.requests.append((path, dict(handler.headers)))
        if path in self.hanging:
            self.released.wait(60)
            return
        if path in self.redirects:
            _send(handler, 302, {"Location": self.redirects[path]})
        elif path in self.statuses:
            _send(handler, self.statuses[path], {"Retry-After": "7200"})
        elif path not in self.files:
            _send(handler, 404, {})
        else:
            content = self.files[path]
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            known = handler.headers.get("If-None-Match") == tag
            _send(handler, 304 if known else 200, {"ETag": tag}, b"" if known else content)


@dataclass
class Taxii20Server(FileServer):
    """A collection of a TAXII 2.0 server, with pages by Range (TAXII 2.0 section 3.4)."""

    objects: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Dates added and objects, in order."""
    about: dict[str, Any] = field(default_factory=lambda: {"title": "Old feed"})
    """Properties of the collection beside its id and the rights."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        self.requests.append((handler.path, dict(handler.headers)))
        path, _, query = handler.path.partition("?")
        if "version=2.0" not in handler.headers.get("Accept", ""):
            _send(handler, 406, {})
            return
        if path != "/root/collections/one/objects/":
            resource = self._resources().get(path)
            body = b"" if resource is None else json.dumps(resource).encode()
            _send(handler, 404 if resource is None else 200, {}, body)
            return
        after = unquote(query.removeprefix("added_after="))
        found = [each for each in self.objects if each[0] > after]
        wanted = re.fullmatch(r"items (\d+)-(\d+)", handler.headers["Range"])
        assert wanted is not None
        begin, end = int(wanted[1]), int(wanted[2]) + 1
        page = found[begin:end]
        last = begin + len(page) - 1
        headers = {"Content-Range": f"items {begin}-{last}/{len(found)}"} if page else {}
        if page:
            headers["X-TAXII-Date-Added-Last"] = page[-1][0]
        bundle = {"type": "bundle", "spec_version": "2.0", "objects": [each[1] for each in page]}
        _send(handler, 206 if page else 200, headers, json.dumps(bundle).encode())

    def _resources(self) -> dict[str, Any]:
        one = {"id": "one", "can_read": True, "can_write": False, **self.about}
        return {
            "/taxii/": {"title": "Old server", "api_roots": [f"{self.url}/root/"]},
            "/root/": {"title": "Root", "versions": ["taxii-2.0"], "max_content_length": 9999},
            "/root/collections/": {"collections": [one]},
        }


def _send(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b""
) -> None:
    handler.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    with suppress(BrokenPipeError, ConnectionResetError):
        handler.wfile.write(body)


S = TypeVar("S", bound=FileServer)


class _Handler(BaseHTTPRequestHandler):
    server_of_files: FileServer

    def do_GET(self) -> None:
        self.server_of_files.answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(files: S) -> Iterator[S]:
    """Serve at a free port of the loopback address."""
    handler = type("Handler", (_Handler,), {"server_of_files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    files.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield files
    finally:
        files.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """A mailbox over IMAP4 with TLS (RFC 3501): as much of it as reading new messages takes."""

    messages: dict[int, bytes] = field(default_factory=dict)
    """By UID."""
    validity: int = 7
    password: str = "secret"  # noqa: S105
    port: int = 0
    commands: list[str] = field(default_factory=list)
    refusal: str = "NO wrong password"
    extra: list[bytes] = field(default_factory=list)
    """Lines that come before each message."""
    size: int = 0
    """The size that it says each message has; 0: the true one."""
    refused: dict[str, str] = field(default_factory=dict)
    """Refusals of commands, by their beginning."""

    def talk(self, connection: socket.socket) -> None:
        """Answer the commands of one connection."""
        lines = connection.makefile("rb")
        connection.sendall(b"* OK ready\r\n")
        for line in lines:
            tag, _, command = line.decode().strip().partition(" ")
            self.commands.append(command)
            refusals = [text for begin, text in self.refused.items() if command.startswith(begin)]
            if refusals:
                connection.sendall(f"{tag} {refusals[0]}\r\n".encode())
                continue
            for each in self._answer(command):
                connection.sendall(each + b"\r\n")
            is_wrong = command.startswith("LOGIN") and f'"{self.password}"' not in command
            connection.sendall(f"{tag} {self.refusal if is_wrong else 'OK done'}\r\n".encode())
            if command == "LOGOUT":
                return

    def _answer(self, command: str) -> Iterator[bytes]:
        if command == "CAPABILITY":
            yield b"* CAPABILITY IMAP4rev1"
        elif command.startswith("EXAMINE"):
            yield b"* %d EXISTS" % len(self.messages)
            yield b"* OK [UIDVALIDITY %d] valid" % self.validity
        elif found := re.fullmatch(r"UID SEARCH UID (\d+):\*", command):
            last = max(self.messages, default=0)  # `n:*` always has the last one
            uids = {uid for uid in self.messages if uid >= int(found[1])} | ({last} - {0})
            yield b"* SEARCH " + b" ".join(b"%d" % uid for uid in sorted(uids))
        elif found := re.fullmatch(r"UID FETCH (\d+) \((.*)\)", command):
            uid = int(found[1])
            content = self.messages.get(uid, b"")
            if found[2] == "RFC822.SIZE":
                yield b"* 1 FETCH (UID %d RFC822.SIZE %d)" % (uid, self.size or len(content))
            else:
                yield from self.extra
                head = b"* 1 FETCH (UID %d BODY[] {%d}" % (uid, len(content))
                yield head + b"\r\n" + content + b")"


@contextmanager
def serve_mailbox(mailbox: Mailbox, certificate: Path, key: Path) -> Iterator[Mailbox]:
    """Serve a mailbox at a free port of the loopback address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mailbox.port = listener.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    mailbox.talk(tls)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield mailbox
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
