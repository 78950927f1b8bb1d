"""The curl commands of docs/export.md keep what they have when a request fails."""

import os
import re
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from support.paths import ROOT
from support.programs import require_program

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "export.md").read_text()
FETCH, SEND = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
HUB, SPLUNK = "https://hub.example", "https://splunk.example:8088"


class ListServer(ThreadingHTTPServer):
    """Serves one list, and keeps what is posted."""

    status = 200
    body = b"a.test\n"
    is_cut = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ListRequest)
        self.answered: list[int] = []
        self.posted: list[bytes] = []


class ListRequest(BaseHTTPRequestHandler):
    """One request to a ListServer."""

    server: ListServer

    def do_GET(self) -> None:
        """Answer with the list, its tag's 304, or the error."""
        server, tag = self.server, f'"{len(self.server.body)}"'
        is_known = server.status == 200 and self.headers["If-None-Match"] == tag
        body = b"" if is_known else server.body
        self._answer(304 if is_known else server.status, tag, body)

    def do_POST(self) -> None:
        """Keep the body."""
        self.server.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, '""', b"")

    def _answer(self, status: int, tag: str, body: bytes) -> None:
        self.server.answered.append(status)
        self.send_response(status)
        self.send_header("ETag", tag)
        if status != 304:
            self.send_header("Content-Length", str(len(body) + 9 * self.server.is_cut))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[ListServer]:
    require_program("curl", "curl")
    with ListServer() as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(command: str, server: ListServer, folder: Path) -> int:
    place = f"http://127.0.0.1:{server.server_port}"
    text = command.replace(HUB, place).replace(SPLUNK, place)
    environment = dict(os.environ) | {"TOCSIN_KEY": "acme:key", "TOKEN": "token"}
    done = subprocess.run(["sh", "-c", text], cwd=folder, env=environment, timeout=60)
    return done.returncode


def kept(folder: Path) -> tuple[str, str]:
    return (folder / "domain.txt").read_text(), (folder / "domain.tag").read_text().strip()


def test_an_unchanged_list_costs_a_304_and_stays(server: ListServer, tmp_path: Path) -> None:
    assert [run(FETCH, server, tmp_path) for _ in range(2)] == [0, 0]
    assert server.answered == [200, 304]
    assert kept(tmp_path) == ("a.test\n", '"7"')


@pytest.mark.parametrize("body", [b"a.test\nb.test\n", b""])
def test_a_changed_list_replaces_the_old_one(
    server: ListServer, tmp_path: Path, body: bytes
) -> None:
    run(FETCH, server, tmp_path)
    server.body = body
    assert [run(FETCH, server, tmp_path) for _ in range(2)] == [0, 0]
    assert server.answered == [200, 200, 304]
    assert kept(tmp_path) == (body.decode(), f'"{len(body)}"')


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_an_error_leaves_the_list_and_its_tag(
    server: ListServer, tmp_path: Path, status: int
) -> None:
    run(FETCH, server, tmp_path)
    server.status, server.body = status, b'{"title": "no"}'
    assert run(FETCH, server, tmp_path) != 0
    assert kept(tmp_path) == ("a.test\n", '"7"')


def test_a_list_that_was_cut_off_is_not_taken_later_either(
    server: ListServer, tmp_path: Path
) -> None:
    run(FETCH, server, tmp_path)
    server.body, server.is_cut = b"a.test\nb.te", True
    assert run(FETCH, server, tmp_path) != 0
    server.body, server.is_cut = b"a.test\n", False
    assert run(FETCH, server, tmp_path) == 0
    assert server.answered == [200, 200, 304]
    assert kept(tmp_path) == ("a.test\n", '"7"')


def test_splunk_gets_a_whole_file_only(server: ListServer, tmp_path: Path) -> None:
    assert run(SEND, server, tmp_path) == 0
    assert server.posted == [b"a.test\n"]
    for server.status, server.is_cut in ((503, False), (200, True)):
        assert run(SEND, server, tmp_path) != 0
    assert server.posted == [b"a.test\n"]
