"""Each kind of source: what it reads, what it remembers, and where it does not go."""

import json
import os
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.certificates import make_authority, write_private_file
from support.source_servers import FileServer, Mailbox, Taxii20Server, serve, serve_mailbox

from tocsin.admission.errors import Malformed, NotAllowed, NotFound, Unavailable
from tocsin.clients.http import RetrySettings
from tocsin.clients.public_addresses import is_public_address
from tocsin.clients.source_memory import SourceMemory
from tocsin.clients.sources import Document, Source, kinds, load_sources

OneAttempt = partial(RetrySettings, retries=0)
UUIDS = [f"{n:08d}-0000-4000-8000-000000000000" for n in range(3)]


@pytest.fixture
def web() -> Iterator[FileServer]:
    with serve(FileServer()) as server:
        yield server


def load(folder: Path, kind: str, **settings: Any) -> Source:
    """A source as it is read from a file."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    path = folder / "sources.toml"
    path.write_text("\n".join(["[[source]]", f'kind = "{kind}"', 'name = "one"', *lines]) + "\n")
    (source,) = load_sources(path)
    return source


def http(folder: Path, web: FileServer, path: str = "/list.txt", **more: Any) -> Source:
    return load(folder, "http", url=f"{web.url}{path}", **({"allow_private": True} | more))


def read(source: Source, memory: dict[str, str]) -> list[Document]:
    """Read a source, and keep what it remembers."""
    found = []
    for document in source.documents(dict(memory)):
        memory.update(document.memory)
        found.append(document)
    return found


def changing_name(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> list[str]:
    """Let a name have another address at each look-up, an empty one none, and refuse connections.

    Returns the list of the addresses that are connected to, apart from the loopback one.
    """
    answers, connected = iter(addresses), list[str]()
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def find(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host == name:
            host = next(answers)
            if not host:
                raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return look_up(host, port, *more, **options)

    def connect_to(one: socket.socket, address: Any) -> None:
        if not str(address[0]).startswith("127."):
            connected.append(address[0])
            raise ConnectionRefusedError
        connect(one, address)

    monkeypatch.setattr(socket, "getaddrinfo", find)
    monkeypatch.setattr(socket.socket, "connect", connect_to)
    return connected


class TestHttp:
    @pytest.mark.parametrize("first", ["93.184.216.34", ""])
    def test_a_name_that_changes_does_not_lead_into_our_network(
        self, tmp_path: Path, web: FileServer, monkeypatch: pytest.MonkeyPatch, first: str
    ) -> None:
        web.files["/list.txt"] = b"evil.top\n"
        connected = changing_name(monkeypatch, "lists.example", first, *["127.0.0.1"] * 50)
        url = web.url.replace("127.0.0.1", "lists.example")
        monkeypatch.setattr("tocsin.clients.downloads.RetrySettings", OneAttempt)
        with pytest.raises(Unavailable, match="cannot be reached"):
            read(load(tmp_path, "http", url=f"{url}/list.txt"), {})
        assert connected == ([first] if first else []) and web.requests == []

    def test_a_file_is_read_once_until_it_changes(self, tmp_path: Path, web: FileServer) -> None:
        source, memory = http(tmp_path, web), dict[str, str]()
        web.files["/list.txt"] = b"evil.top\n"
        assert [(d.name, d.content) for d in read(source, memory)] == [("list.txt", b"evil.top\n")]
        assert read(source, memory) == []
        assert web.requests[1][1]["If-None-Match"]
        web.files["/list.txt"] = b"evil.top\nworse.top\n"
        assert len(read(source, memory)) == 1

    def test_a_list_whose_indicators_expire_is_read_again_in_time(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        source, memory = http(tmp_path, web, valid_for="30d"), dict[str, str]()
        web.files["/list.txt"] = b"evil.top\n"
        assert len(read(source, memory)) == 1
        assert read(source, memory) == []
        memory["read"] = str(int(time.time()) - 10 * 86_400)
        assert len(read(source, memory)) == 1
        assert read(source, memory) == []

    def test_the_same_content_under_another_tag_is_not_read_again(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        source, memory = http(tmp_path, web), dict[str, str]()
        web.files["/list.txt"] = b"evil.top\n"
        read(source, memory)
        memory["etag"] = '"another"'
        assert read(source, memory) == []

    def test_a_credential_is_sent_and_does_not_follow_a_redirect_elsewhere(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        (tmp_path / "secret").write_text("acme:word\n")
        with serve(FileServer({"/list.txt": b"evil.top"})) as other:
            web.redirects["/list.txt"] = f"{other.url}/list.txt"
            source = http(tmp_path, web, credential_file="secret")
            assert [d.content for d in read(source, {})] == [b"evil.top"]
        assert web.requests[0][1]["Authorization"].startswith("Basic ")
        assert "Authorization" not in other.requests[0][1]

    def test_a_header_of_its_own_takes_the_credential_and_does_not_follow_either(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        (tmp_path / "secret").write_text("word")
        with serve(FileServer({"/list.txt": b"evil.top"})) as other:
            web.redirects["/list.txt"] = f"{other.url}/list.txt"
            read(http(tmp_path, web, credential_file="secret", header="X-Api-Key"), {})
        assert web.requests[0][1]["X-Api-Key"] == "word"
        assert "X-Api-Key" not in other.requests[0][1]

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    def test_an_address_inside_our_network_is_never_connected_to(
        self, tmp_path: Path, web: FileServer, host: str
    ) -> None:
        web.files["/list.txt"] = b"evil.top\n"
        url = web.url.replace("127.0.0.1", host)
        source = load(tmp_path, "http", url=f"{url}/list.txt")
        with pytest.raises(Unavailable, match="not a public address"):
            read(source, {})
        assert web.requests == []

    @pytest.mark.parametrize(
        ("status", "error"), [(403, NotAllowed), (404, NotFound), (500, Unavailable)]
    )
    def test_an_error_names_the_host_and_what_to_check(
        self, tmp_path: Path, web: FileServer, status: int, error: type[Exception]
    ) -> None:
        web.statuses["/list.txt"] = status
        with pytest.raises(error, match=f"127.0.0.1.* says {status}"):
            read(http(tmp_path, web), {})

    def test_a_redirect_that_is_not_followed_names_both_schemes(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        web.redirects["/list.txt"] = "file:///etc/passwd"
        with pytest.raises(Unavailable, match="redirects from http to file; it is not followed"):
            read(http(tmp_path, web), {})

    def test_a_key_in_the_url_is_in_no_error(self, tmp_path: Path, web: FileServer) -> None:
        web.redirects["/list?key=secret"] = "http://a[.test/"
        with pytest.raises(Unavailable, match="/list did not answer") as caught:
            read(http(tmp_path, web, "/list?key=secret"), {})
        assert "secret" not in str(caught.value)

    def test_a_file_that_is_too_long_is_not_read(self, tmp_path: Path, web: FileServer) -> None:
        web.files["/list.txt"] = b"a" * 3000
        with pytest.raises(Unavailable, match="longer than 1024 octets; raise max_length"):
            read(http(tmp_path, web, max_length=1024), {})


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"),
        *("168.63.129.16", "192.0.0.192", "::a00:1", "::ffff:0:a00:1", "64:ff9b:1::a00:1"),
        *("fec0::1", "5f00::1", "3fff::1"),
    ],
)
def test_no_way_of_writing_a_private_address_is_public(address: str) -> None:
    assert not is_public_address(address)
    assert is_public_address("93.184.216.34") and is_public_address("2606:2800:220:1::")


class TestMisp:
    def test_events_are_read_oldest_first_and_again_when_they_change(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        manifest = {uuid: {"timestamp": str(n)} for n, uuid in enumerate(UUIDS, 1)}
        web.files |= {f"/feed/{uuid}.json": b"{}" for uuid in UUIDS}
        web.files["/feed/manifest.json"] = json.dumps(manifest).encode()
        source = load(tmp_path, "misp", url=f"{web.url}/feed/", allow_private=True)
        memory: dict[str, str] = {}
        assert [d.name for d in read(source, memory)] == [f"{uuid}.json" for uuid in UUIDS]
        assert read(source, memory) == []
        manifest[UUIDS[1]]["timestamp"] = "9"
        web.files["/feed/manifest.json"] = json.dumps(manifest).encode()
        assert [d.name for d in read(source, memory)] == [f"{UUIDS[1]}.json"]

    def test_an_event_that_is_missing_or_too_long_holds_up_no_other_one(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        manifest = {uuid: {"timestamp": str(n)} for n, uuid in enumerate(UUIDS, 1)}
        web.files["/feed/manifest.json"] = json.dumps(manifest).encode()
        web.files |= {f"/feed/{UUIDS[1]}.json": b" " * 2000, f"/feed/{UUIDS[2]}.json": b"{}"}
        more = {"allow_private": True, "max_length": 1024}
        source, memory = load(tmp_path, "misp", url=f"{web.url}/feed/", **more), dict[str, str]()
        missing, long, good = read(source, memory)
        assert "404" in missing.skipped and "longer than 1024 octets" in long.skipped
        assert good.content == b"{}" and list(memory) == [UUIDS[2]]

    def test_an_event_that_is_refused_holds_up_no_other_one(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        manifest = {uuid: {"timestamp": str(n)} for n, uuid in enumerate(UUIDS, 1)}
        web.files |= {f"/feed/{uuid}.json": b"{}" for uuid in UUIDS}
        web.files["/feed/manifest.json"] = json.dumps(manifest).encode()
        web.statuses[f"/feed/{UUIDS[0]}.json"] = 403
        web.redirects[f"/feed/{UUIDS[1]}.json"] = "file:///blocked.html"
        source = load(tmp_path, "misp", url=f"{web.url}/feed/", allow_private=True)
        memory: dict[str, str] = {}
        blocked, moved, good = read(source, memory)
        assert "says 403" in blocked.skipped and "is not followed" in moved.skipped
        assert good.content == b"{}" and list(memory) == [UUIDS[2]]

    def test_a_feed_that_refuses_every_event_is_left_alone_after_some(
        self, tmp_path: Path, web: FileServer
    ) -> None:
        uuids = [f"{UUIDS[0][:-3]}{n:03}" for n in range(100)]
        manifest = {uuid: {"timestamp": "1"} for uuid in uuids}
        web.files["/feed/manifest.json"] = json.dumps(manifest).encode()
        web.statuses |= {f"/feed/{uuid}.json": 403 for uuid in uuids}
        source = load(tmp_path, "misp", url=f"{web.url}/feed/", allow_private=True)
        with pytest.raises(NotAllowed, match="check the credential of the source"):
            read(source, {})
        assert len(web.requests) == 21

    def test_a_manifest_without_end_is_refused_before_it_is_read(
        self, tmp_path: Path, web: FileServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tocsin.clients.sources.misp._MAX_BRACES", 100)
        web.files["/manifest.json"] = b"{%s}" % b",".join(b'"%d":{}' % n for n in range(200))
        with pytest.raises(Unavailable, match="more than 100000 events"):
            read(load(tmp_path, "misp", url=web.url, allow_private=True), {})

    def test_a_manifest_names_no_other_paths(self, tmp_path: Path, web: FileServer) -> None:
        manifest = {"../../secret": {"timestamp": "1"}, "x?y": {"timestamp": "1"}}
        web.files["/feed/manifest.json"] = json.dumps(manifest).encode()
        source = load(tmp_path, "misp", url=f"{web.url}/feed/", allow_private=True)
        assert read(source, {}) == []
        assert web.paths() == ["/feed/manifest.json"]

    @pytest.mark.parametrize("content", [b"<html>", b"[]", b"[" * 5000, b'{"a": 1}'])
    def test_a_response_that_is_not_a_manifest_is_an_error_that_says_so(
        self, tmp_path: Path, web: FileServer, content: bytes
    ) -> None:
        web.files["/manifest.json"] = content
        with pytest.raises(Unavailable, match="not the manifest of a MISP feed"):
            read(load(tmp_path, "misp", url=web.url, allow_private=True), {})


class TestDirectory:
    def source(self, folder: Path, **more: Any) -> Source:
        (folder / "in").mkdir(exist_ok=True)
        return load(folder, "directory", path="in", **more)

    def put(self, folder: Path, name: str, content: str, age: float = 60) -> None:
        path = folder / "in" / name
        path.write_text(content)
        os.utime(path, (time.time() - age,) * 2)

    def test_files_are_read_once_and_again_when_they_change(self, tmp_path: Path) -> None:
        source, memory = self.source(tmp_path, pattern="*.txt"), dict[str, str]()
        self.put(tmp_path, "new.txt", "b.top", age=30)
        self.put(tmp_path, "old.txt", "a.top", age=90)
        self.put(tmp_path, "notes.md", "c.top")
        assert [d.name for d in read(source, memory)] == ["old.txt", "new.txt"]
        assert read(source, memory) == []
        self.put(tmp_path, "old.txt", "longer.top", age=10)
        assert [d.content for d in read(source, memory)] == [b"longer.top"]

    def test_a_file_that_is_being_written_waits(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        self.put(tmp_path, "half.txt", "evil.t", age=0)
        assert read(source, {}) == []

    def test_a_file_that_cannot_be_read_holds_up_no_other_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, memory = self.source(tmp_path, max_length=1024), dict[str, str]()
        self.put(tmp_path, "1-long.txt", "a" * 2000, age=90)
        self.put(tmp_path, "2-closed.txt", "closed.top", age=80)
        self.put(tmp_path, "3-good.txt", "evil.top", age=70)
        opening = os.open

        def open_file(path: Any, *more: Any, **named: Any) -> int:
            if "closed" in str(path):
                raise PermissionError(13, "Permission denied")
            return opening(path, *more, **named)

        monkeypatch.setattr("tocsin.clients.sources.directory.os.open", open_file)
        long, closed, good = read(source, memory)
        assert "longer than max_length" in long.skipped
        assert closed.skipped == "cannot be read: Permission denied"
        assert (good.content, good.skipped) == (b"evil.top", "")
        assert [d.name for d in read(source, memory)] == ["2-closed.txt"]

    @pytest.mark.parametrize("is_replaced", [False, True])
    def test_a_file_that_changes_while_others_are_submitted_waits(
        self, tmp_path: Path, is_replaced: bool
    ) -> None:
        source, memory = self.source(tmp_path), dict[str, str]()
        self.put(tmp_path, "1.txt", "a.top", age=90)
        self.put(tmp_path, "2.txt", "b.top", age=80)
        documents = source.documents(memory)
        assert next(documents).name == "1.txt"
        if is_replaced:
            (tmp_path / "in" / "2.txt").unlink()
        (tmp_path / "in" / "2.txt").write_text("evil-portal.to")
        assert list(documents) == []
        self.put(tmp_path, "2.txt", "evil-portal.top", age=10)
        assert [d.content for d in read(source, memory)] == [b"a.top", b"evil-portal.top"]

    def test_a_file_that_goes_while_the_folder_is_read_stops_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Entries(list[Any]):
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                (tmp_path / "in" / "1.txt").touch()

            def __iter__(self) -> Any:
                (tmp_path / "in" / "1.txt").unlink()
                return super().__iter__()

        scan = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: Entries(scan(path)))
        source = self.source(tmp_path)
        self.put(tmp_path, "1.txt", "a.top", age=90)
        self.put(tmp_path, "2.txt", "b.top", age=80)
        assert [d.content for d in read(source, {})] == [b"b.top"]

    def test_a_name_that_is_no_text_holds_up_nothing(self, tmp_path: Path) -> None:
        source, memory = self.source(tmp_path), dict[str, str]()
        self.put(tmp_path, os.fsdecode(b"\xff.txt"), "evil.top")
        with SourceMemory(tmp_path / "memory") as kept:
            for document in source.documents(kept.entries()):
                kept.keep(document.memory)
                memory.update(kept.entries())
        assert list(memory) == ["\\xff.txt"] and read(source, memory) == []

    def test_links_folders_and_hidden_files_are_left_out(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        (tmp_path / "secret.txt").write_text("secret")
        (tmp_path / "in" / "link.txt").symlink_to(tmp_path / "secret.txt")
        (tmp_path / "in" / "folder").mkdir()
        self.put(tmp_path, ".hidden", "x")
        assert read(source, {}) == []


class TestTaxii20:
    def objects(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        return [
            (f"2026-01-01T00:00:00.{n // 3:06d}Z", {"type": "x-thing", "id": f"x-thing--{n}"})
            for n in range(count)
        ]

    def source(self, folder: Path, server: Taxii20Server, **more: Any) -> Source:
        about = {"url": f"{server.url}/taxii/", "collection": "Old feed", "allow_private": True}
        return load(folder, "taxii20", **about, **more)

    def ids(self, documents: list[Document]) -> list[str]:
        return [o["id"] for d in documents for o in json.loads(d.content)["objects"]]

    def test_every_object_is_read_once_page_by_page(self, tmp_path: Path) -> None:
        with serve(Taxii20Server(objects=self.objects(250))) as server:
            source, memory = self.source(tmp_path, server), dict[str, str]()
            assert self.ids(read(source, memory)) == [f"x-thing--{n}" for n in range(250)]
            assert read(source, memory) == []
            server.objects = self.objects(252)  # one has the date of the last ones
            assert self.ids(read(source, memory)) == ["x-thing--250", "x-thing--251"]

    def test_an_object_with_the_date_of_the_last_one_is_not_missed(self, tmp_path: Path) -> None:
        with serve(Taxii20Server(objects=self.objects(4))) as server:
            source, memory = self.source(tmp_path, server), dict[str, str]()
            read(source, memory)
            server.objects = self.objects(5)
            assert server.objects[4][0] == server.objects[3][0]
            assert self.ids(read(source, memory)) == ["x-thing--4"]

    def test_the_position_in_another_feed_skips_nothing(self, tmp_path: Path) -> None:
        with serve(Taxii20Server(objects=self.objects(3))) as server:
            source, memory = self.source(tmp_path, server), dict[str, str]()
            everything = self.ids(read(source, memory))
            memory["feed"] = memory["feed"].replace("/one/", "/two/")  # it was made anew
            assert self.ids(read(source, memory)) == everything and read(source, memory) == []
            memory["feed"] += "?match[type]=x-other"
            assert self.ids(read(source, memory)) == everything
            del memory["feed"]  # as an older version left it
            assert read(source, memory) == []

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "body", [b'{"objects":[%s1]}' % (b"1," * 1000), b'{"objects":[%s{}]}' % (b"{}," * 100_001)]
    )
    def test_a_page_that_takes_many_times_its_length_is_refused(
        self, tmp_path: Path, web: FileServer, body: bytes
    ) -> None:
        feed = {"id": "feed", "title": "Feed", "can_read": True}
        web.files["/one/"] = b'{"title":"Root","versions":["taxii-2.0"]}'
        web.files["/one/collections/"] = json.dumps({"collections": [feed]}).encode()
        web.files["/one/collections/feed/objects/"] = body
        about = {"url": f"{web.url}/one/", "collection": "feed", "allow_private": True}
        with pytest.raises(Unavailable):
            read(load(tmp_path, "taxii20", **about), {})
        assert "/one/collections/feed/objects/" in web.paths()

    def test_a_page_longer_than_max_length_is_refused(self, tmp_path: Path) -> None:
        long = {"type": "x-thing", "id": "x-thing--0", "text": "a" * 2_000}
        with serve(Taxii20Server(objects=[("2026-01-01T00:00:00.000Z", long)])) as server:
            source = self.source(tmp_path, server, max_length=2_000)
            with pytest.raises(Unavailable, match="2000 octets; raise max_length of the source"):
                read(source, {})


class TestImap:
    @pytest.fixture
    def mailbox(self, tmp_path: Path) -> Iterator[Mailbox]:
        ca = make_authority()
        write_private_file(tmp_path / "ca.pem", ca.certificate)
        holder = ca.server()
        certificate = write_private_file(tmp_path / "server.crt", holder.certificate)
        key = write_private_file(tmp_path / "server.key", holder.key)
        (tmp_path / "password").write_text("secret\n")
        with serve_mailbox(Mailbox(), certificate, key) as mailbox:
            yield mailbox

    def source(self, folder: Path, mailbox: Mailbox, **more: Any) -> Source:
        settings = {"host": "127.0.0.1", "port": mailbox.port, "user": "reports", "ca": "ca.pem"}
        private = {"allow_private": True, "password_file": "password"}
        return load(folder, "imap", **(settings | private | more))

    @pytest.mark.slow
    def test_new_messages_are_read_once_and_none_is_changed(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        source, memory = self.source(tmp_path, mailbox), dict[str, str]()
        mailbox.messages = {3: b"Subject: a\r\n\r\nevil.top", 5: b"Subject: b\r\n\r\nworse.top"}
        assert [d.content for d in read(source, memory)] == list(mailbox.messages.values())
        assert read(source, memory) == []
        mailbox.messages[9] = b"Subject: c\r\n\r\n"
        assert [d.name for d in read(source, memory)] == ["message-9.eml"]
        assert not [c for c in mailbox.commands if c.startswith(("UID STORE", "SELECT"))]
        assert all("PEEK" in c for c in mailbox.commands if "BODY" in c)

    def test_a_rebuilt_mailbox_is_read_from_the_beginning(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        source, memory = self.source(tmp_path, mailbox), dict[str, str]()
        mailbox.messages = {5: b"Subject: a\r\n\r\n"}
        read(source, memory)
        mailbox.messages, mailbox.validity = {1: b"Subject: a\r\n\r\n"}, 8
        assert len(read(source, memory)) == 1

    def test_a_long_message_is_left_out_with_a_reason(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        mailbox.messages = {1: b"a" * 2000, 2: b"b"}
        first, second = read(self.source(tmp_path, mailbox, max_length=1024), {})
        assert (first.content, second.content) == (b"", b"b")
        assert "longer than max_length" in first.skipped and not second.skipped

    @pytest.mark.slow
    def test_a_message_that_the_server_does_not_give_now_is_read_later(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        source, memory = self.source(tmp_path, mailbox), dict[str, str]()
        mailbox.messages = {1: b"a", 2: b"b"}
        for what in ("(RFC822.SIZE)", "(BODY.PEEK[])"):
            mailbox.refused = {f"UID FETCH 2 {what}": "NO [UNAVAILABLE] a disk is away"}
            with pytest.raises(Unavailable, match="refuses message 2 for now"):
                read(source, memory)
        assert memory["last"] == "1"
        mailbox.refused = {"UID FETCH 1": "NO never"}
        assert [d.content for d in read(source, memory)] == [b"b"]

    def test_a_message_that_the_server_never_gives_holds_up_no_other_one(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        mailbox.messages = {1: b"a", 2: b"b"}
        mailbox.refused = {"UID FETCH 1 (BODY": "NO the message is damaged"}
        first, second = read(self.source(tmp_path, mailbox), {})
        assert "refused by the server" in first.skipped and second.content == b"b"

    def test_a_mailbox_that_cannot_be_searched_is_not_empty(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        mailbox.messages = {1: b"a"}
        mailbox.refused = {"UID SEARCH": "NO [SERVERBUG] internal error 500"}
        with pytest.raises(Unavailable, match="cannot be searched"):
            read(self.source(tmp_path, mailbox), {})

    def test_a_wrong_password_is_an_error_without_the_password(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        source = self.source(tmp_path, mailbox)
        (tmp_path / "password").write_text("guess")
        with pytest.raises(Unavailable, match="refuses") as caught:
            read(source, {})
        assert "guess" not in str(caught.value)

    def test_a_server_that_repeats_the_password_does_not_put_it_into_the_log(
        self, tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "password").write_text("guess")
        monkeypatch.setattr(mailbox, "refusal", 'NO wrong password "guess"')
        with pytest.raises(
            Unavailable, match="refuses the login or the folder: wrong password"
        ) as caught:
            read(self.source(tmp_path, mailbox), {})
        assert "guess" not in str(caught.value)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "extra",
        [
            b"* 1 FETCH (BODY[] {99999999999}",
            b"* 1 FETCH (BODY[] {%s}" % (b"9" * 5000),
            b"* 1 EXISTS\r\n" * 40_000,
            b"* OK " + b"a" * 900_000,
        ],
    )
    def test_an_answer_without_end_is_refused(
        self, tmp_path: Path, mailbox: Mailbox, extra: bytes
    ) -> None:
        mailbox.messages, mailbox.extra = {1: b"Subject: a\r\n\r\n"}, [extra] * 8
        with pytest.raises(
            Unavailable, match="more data than was asked for|did not answer in IMAP"
        ):
            read(self.source(tmp_path, mailbox, max_length=1024), {})

    def test_a_message_that_is_longer_than_its_size_is_left_out(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        mailbox.messages, mailbox.size = {1: b"a" * 2000}, 10
        (document,) = read(self.source(tmp_path, mailbox, max_length=1024), {})
        assert document.content == b"" and "longer than max_length" in document.skipped

    def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
        self, tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = changing_name(monkeypatch, "mail.example", "93.184.216.34", "127.0.0.1")
        source = self.source(tmp_path, mailbox, host="mail.example", allow_private=False)
        with pytest.raises(Unavailable, match="cannot be read"):
            read(source, {})
        assert place == ["93.184.216.34"] and mailbox.commands == []

    def test_a_server_inside_our_network_is_not_connected_to(
        self, tmp_path: Path, mailbox: Mailbox
    ) -> None:
        with pytest.raises(Unavailable, match="not a public address"):
            read(self.source(tmp_path, mailbox, allow_private=False), {})
        assert mailbox.commands == []


HTTP = "[[source]]\nkind = 'http'\nname = 'a'\n"


class TestFile:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "must consist of"),
            ("[[source]]\nname = 'a'", "kind must be one of"),
            ("[[source]]\nkind = 'ftp'\nname = 'a'", "kind must be one of"),
            ("[[source]]\nkind = 'http'\nname = 'a'", "source 1 .a.: .*url"),
            ("[[source]]\nkind = 'http'\nname = 'A B'\nurl = 'https://a'", "name"),
            (
                "[[source]]\nkind = 'http'\nname = 'a'\nurl = 'https://me:secret@a'",
                "credential_file$",
            ),
            (
                "[[source]]\nkind = 'http'\nname = 'a'\nurl = 'file:///etc/passwd'",
                "url: must begin",
            ),
            ("[[source]]\nkind = 'http'\nname = 'a'\nurl = 'https://a'\nevery = 'daily'", "every"),
            ("[[source]]\nkind = 'http'\nname = 'a'\nurl = 'https://a'\ncolour = 1", "colour"),
            ("[[source]]\nkind = 'directory'\nname = 'a'\npath = 'x'\ntlp = 'pink'", "tlp"),
            (
                HTTP + "url = 'https://a'\nheader = 'X-Api-Key'",
                "header: .* without credential_file",
            ),
            *(
                (
                    f"[[source]]\nkind = '{kind}'\nname = 'a'\nurl = 'https://a'\n"
                    f"collection = 'b'\n{setting}",
                    message,
                )
                for kind in ("taxii", "taxii20")
                for setting, message in (
                    ("header = 'X-Api-Key'", "header: a TAXII server"),
                    ("added_after = '2026-05-01'", "added_after: not an RFC 3339 timestamp"),
                )
            ),
            ("source = [1]", "must be a table"),
            ("[[source]]\nkind = ['http']\nname = 'a'", "kind must be one of directory"),
            ("[[source]\n", "not valid TOML"),
        ],
    )
    def test_an_error_names_the_source_and_the_setting(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        path = tmp_path / "sources.toml"
        path.write_text(text)
        with pytest.raises(Malformed, match=message):
            load_sources(path)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("tlp = 'pink'", "tlp: must be one of clear, green"),
            ("colour = 1", "colour: unknown setting; known are .*as, .*kind, .*url"),
            ("labels = 'a'", r'labels: must be a list of texts, like \["phishing"\]$'),
            ("labels = [1]", "labels: must be a list of texts"),
            ("enabled = 'yes'", "enabled: must be true or false$"),
            ("every = 5", "every: must be a text in quotation marks$"),
            ("max_length = 3", "max_length: must be a whole number from 1024 to 2147483648$"),
            ("ca = ''", "ca: must be a path in quotation marks$"),
        ],
    )
    def test_an_error_names_the_choices(self, tmp_path: Path, setting: str, message: str) -> None:
        path = tmp_path / "sources.toml"
        path.write_text(f"{HTTP}url = 'https://a'\n{setting}")
        with pytest.raises(Malformed, match=rf"source 1 \(a\): {message}"):
            load_sources(path)

    def test_two_sources_cannot_have_one_name(self, tmp_path: Path) -> None:
        one = "[[source]]\nkind = 'directory'\nname = 'a'\npath = 'x'\n"
        path = tmp_path / "sources.toml"
        path.write_text(one + one)
        with pytest.raises(Malformed, match="two sources have the name a"):
            load_sources(path)

    def test_the_kinds_are_found_by_looking(self) -> None:
        assert set(kinds()) == {"directory", "http", "imap", "misp", "taxii", "taxii20"}
