"""Clients at hostile servers: bounded answers, one origin, clean terminals, doubtful cursors."""

import gzip
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.certificates import make_authority, write_private_file
from support.hostile_server import (
    HEAD,
    Octets,
    at_objects,
    at_status,
    bomb,
    drip,
    drip_body,
    drip_chunks,
    many_objects,
    measure_memory,
    serve_octets,
    whole,
)
from support.taxii_servers import Answer, ReceivedRequest, indicator, serve_script
from support.terminal import run_on_terminal

from tocsin.admission.errors import Malformed, ShareError, Unavailable
from tocsin.admission.model import Candidate
from tocsin.admission.timestamps import micros
from tocsin.clients import poll
from tocsin.clients.api import Client
from tocsin.clients.bounds import ResponseBounds, ResponseRefused
from tocsin.clients.check import Preview
from tocsin.clients.http import Collection, Hub, RetrySettings
from tocsin.clients.lookup import find_objects
from tocsin.clients.poll import PollQuery, poll_batches
from tocsin.clients.push import push
from tocsin.clients.state import Cursor
from tocsin.clients.tls import TlsFiles

LENGTH = 200_000
GZIP = "Content-Encoding: gzip"
BOUNDED = RetrySettings(30, 30, 1, 0.01, bounds=ResponseBounds(LENGTH, 60.0))
HASTY = RetrySettings(2, 2, 1, 0.01, bounds=ResponseBounds(LENGTH, 1.0))
LAST = "X-TAXII-Date-Added-Last"


def poll_all(
    url: str, cursor: Cursor | None = None, settings: RetrySettings = BOUNDED
) -> tuple[list[str], Cursor]:
    """The ids of the objects that a poll brings, and the cursor after it."""
    cursor, ids = cursor or Cursor(), []
    with Hub(url, "", settings) as hub:
        for batch in poll_batches(hub, hub.find_collection("feed"), PollQuery(), cursor):
            ids += [json.loads(each)["id"] for each in batch.objects]
            cursor = batch.cursor
    return ids, cursor


def many_details(count: int, id: str) -> bytes:
    """A status with an entry for each of `count` objects, as Tocsin's hub writes it."""
    entry = {
        **{"id": id, "version": "2026-03-01T00:00:00.000Z", "message": "published"},
        **{"x_tocsin_verdict": "admitted", "x_tocsin_public_id": id},
    }
    entries = [entry | {"x_tocsin_index": index} for index in range(count)]
    return json.dumps({"id": "s1", "status": "complete", "successes": entries}).encode()


@pytest.mark.slow
class TestLength:
    @pytest.mark.parametrize("members", [1, 3])
    def test_a_gzip_answer_within_the_bound_is_read(self, members: int) -> None:
        body = json.dumps({"objects": [indicator(1)]}).encode()
        cuts = [len(body) * n // members for n in range(members + 1)]
        parts = [gzip.compress(body[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
        answer = whole(b"".join(parts), GZIP)
        with serve_octets(at_objects(lambda: [answer])) as url:
            assert poll_all(url)[0] == [indicator(1)["id"]]

    @pytest.mark.parametrize(
        "answer",
        [
            whole(bomb(5_000_000), GZIP),
            whole(b'{"objects":[{"id":"' + b"a" * LENGTH + b'"}]}'),
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"200000\r\n" + b"[" * 0x200000,
            HEAD + b"\r\n" + b" " * 1_000_000,
        ],
        ids=["compressed", "plain", "chunked", "without length"],
    )
    def test_a_page_longer_than_the_bound_is_refused_with_advice(self, answer: bytes) -> None:
        with (
            serve_octets(at_objects(lambda: [answer])) as url,
            pytest.raises(ResponseRefused) as no,
        ):
            poll_all(url)
        assert "--limit" in str(no.value) and "max_response_length" in str(no.value)

    def test_pages_become_smaller_until_they_are_within_the_bound(self) -> None:
        sizes: list[int] = []

        def script(request: ReceivedRequest) -> Answer | None:
            if not request.path.endswith("/objects/"):
                return None
            sizes.append(int(request.query["limit"]))
            objects = [{**indicator(n), "description": "x" * 3000} for n in range(200)]
            begin = int(request.query.get("next", 0))
            end = begin + sizes[-1]
            page: dict[str, Any] = {"objects": objects[begin:end]}
            return Answer(page | ({"more": True, "next": str(end)} if end < 200 else {}))

        with serve_script(script) as server:
            assert len(set(poll_all(server.url)[0])) == 200
        assert sizes[:3] == [1000, 125, 15] and set(sizes[3:]) == {15}

    def test_an_error_with_an_endless_body_ends(self) -> None:
        endless = HEAD.replace(b"200 OK", b"404 No") + b"\r\n" + b"[" * 10_000_000
        with serve_octets(lambda *_: [endless]) as url, pytest.raises(ShareError):
            poll_all(url)

    @pytest.mark.parametrize("status", [b"401", b"404", b"503"])
    def test_an_empty_error_that_is_declared_as_gzip_keeps_its_status(self, status: bytes) -> None:
        answer = whole(b"", GZIP).replace(b"200", status, 1)
        with serve_octets(lambda *_: [answer]) as url, pytest.raises(ShareError) as error:
            poll_all(url)
        assert f"says {status.decode()}" in str(error.value)

    def test_an_answer_that_breaks_off_is_not_blamed_on_the_url(self) -> None:
        answer = whole(json.dumps({"objects": [indicator(1)]}).encode())[:-58]
        with (
            serve_octets(at_objects(lambda: [answer])) as url,
            pytest.raises(Unavailable, match=r"broke .*58 more expected\)\); run it again"),
        ):
            poll_all(url)

    def test_a_coding_that_was_not_asked_for_is_refused(self) -> None:
        answer = whole(b"x", "Content-Encoding: gzip, gzip")
        with (
            serve_octets(at_objects(lambda: [answer])) as url,
            pytest.raises(ResponseRefused, match="content coding"),
        ):
            poll_all(url)

    @pytest.mark.parametrize(
        "head",
        [
            b"".join(b"X-%d: %s\r\n" % (n, b"a" * 60_000) for n in range(50)),
            b"X: a\r\n" * 50_000,
        ],
    )
    def test_a_head_that_is_too_long_ends(self, head: bytes) -> None:
        with serve_octets(lambda *_: [HEAD, head, b"\r\n{}"]) as url, pytest.raises(Unavailable):
            poll_all(url)

    def test_endless_interim_answers_end(self) -> None:
        with (
            serve_octets(lambda *_: [b"HTTP/1.1 100 Continue\r\n\r\n"] * 10_000) as url,
            pytest.raises(ResponseRefused),
        ):
            poll_all(url)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"objects":[{"id":"a","x":' + b"[" * 800 + b"]" * 800 + b"}]}",
            b'{"objects":[' + b"0," * 90_000 + b"0]}",
            b'{"objects":[{"id":"\xff"}]}',
            b'{"more":true,"next":"' + b"a" * 100_000 + b'"}',
        ],
        ids=["deep", "numbers", "latin", "token"],
    )
    def test_a_page_that_later_parsers_could_not_read_is_refused(self, body: bytes) -> None:
        with serve_octets(at_objects(lambda: [whole(body)])) as url, pytest.raises(Unavailable):
            poll_all(url)

    def test_a_resource_that_is_nested_too_deeply_is_refused(self) -> None:
        body = b'{"title":"x","x":' + b"[" * 800 + b"]" * 800 + b"}"
        with (
            serve_octets(lambda *_: [whole(body)]) as url,
            pytest.raises(ResponseRefused, match="nested"),
        ):
            poll_all(url)

    @pytest.mark.parametrize("answer", ["bomb", "objects", "values", "wide", "resource", "names"])
    def test_a_hostile_answer_takes_less_than_200_mb_of_memory(self, answer: str) -> None:
        names = b",".join(b'"%x":0' % number for number in range(400_000))
        wide = "\U0001f600".encode().ljust(16_000_000, b"a")  # four octets a character in memory
        answers: dict[str, Callable[[], Octets]] = {
            "bomb": lambda: at_objects(partial(list, [whole(bomb(10**9), GZIP)])),
            "objects": lambda: at_objects(partial(list, [whole(many_objects(15_000_000))])),
            "values": lambda: at_objects(
                partial(list, [whole(b'{"objects":[{"x":[' + b'"a",' * 3_000_000 + b"0]}]}")])
            ),
            "wide": lambda: at_objects(partial(list, [whole(b'{"objects":[{"id":"%s"}]}' % wide)])),
            "resource": lambda: lambda *_: [whole(b'{"title":[' + b'{"a":0},' * 500_000 + b"0]}")],
            "names": lambda: lambda *_: [whole(b"{%s}" % names)],
        }
        code, peak = measure_memory(answers[answer]())
        assert code == (0 if answer == "wide" else 3) and peak < 200

    def test_the_status_of_as_many_objects_as_an_envelope_may_have_is_read(self) -> None:
        id = indicator(1)["id"]
        with serve_octets(at_status(many_details(100_000, id))) as url, Hub(url) as hub:
            report = hub.fetch_status("s1")
        assert len(report.details) == 100_000 and report.details[-1].public_id == id

    @pytest.mark.parametrize("status", ["usual", "objects", "nested", "names", "wide", "long"])
    def test_a_hostile_status_takes_less_than_500_mb_of_memory(self, status: str) -> None:
        length = RetrySettings().bounds.max_length * 4
        wide = "\U0001f600".encode().ljust(length - 100, b"a")
        nested = b'{"a":' * 90 + b"0" + b"}" * 90
        bodies: dict[str, Callable[[], bytes]] = {
            "usual": lambda: many_details(100_000, indicator(1)["id"]),
            "objects": lambda: b'{"id":"a","status":"b","successes":[%s{}]}' % (b"{}," * 2_000_000),
            "nested": lambda: b'{"id":"a","status":"b","x":[%s0]}' % ((nested + b",") * 20_000),
            "names": lambda: b"{%s}" % b",".join(b'"%x":0' % n for n in range(2_000_000)),
            "wide": lambda: b'{"id":"a","status":"b","x":"%s"}' % wide,
            "long": lambda: b'{"id":"a","status":"b","x":"%s"}' % (b"a" * length),
        }
        code, peak = measure_memory(at_status(bodies[status]()), ("status", "s1", "--json"))
        assert code == (0 if status in ("usual", "wide") else 3) and peak < 500


class TestTime:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "answer",
        [
            lambda: drip(HEAD),
            lambda: drip(b"HTTP/1.1 100 Continue\r\n\r\nH"),
            drip_body,
            drip_chunks,
        ],
        ids=["head", "interim", "body", "chunks"],
    )
    def test_an_answer_that_trickles_ends_after_the_time_for_a_whole_answer(
        self, answer: Callable[[], Iterable[bytes]]
    ) -> None:
        started = time.monotonic()
        with (
            serve_octets(at_objects(answer)) as url,
            pytest.raises(ResponseRefused, match="within 1 s.*response_timeout"),
        ):
            poll_all(url, settings=HASTY)
        assert time.monotonic() - started < 10

    @pytest.mark.slow
    @pytest.mark.parametrize("answer", [lambda: drip(HEAD), drip_body], ids=["head", "body"])
    def test_the_same_holds_over_tls(
        self, answer: Callable[[], Iterable[bytes]], tmp_path: Path
    ) -> None:
        own = make_authority()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(own.server().write_pem(tmp_path))
        trusted = TlsFiles(ca=write_private_file(tmp_path / "ca.pem", own.certificate))
        with (
            serve_octets(at_objects(answer), tls) as url,
            Hub(url.replace("127.0.0.1", "localhost"), "", HASTY, trusted) as hub,
            pytest.raises(ResponseRefused, match="within 1 s"),
        ):
            hub.fetch_page(hub.find_collection("feed"), {})

    def test_a_submission_that_is_read_slowly_ends_too(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/root/"
            collection = Collection("c", "", "", "", True, True, url, f"{url}collections/c/")
            impatient = RetrySettings(0.2, 0.2, 0, 0.01, bounds=ResponseBounds(LENGTH, 0.5))
            with Hub(url, "", impatient) as hub, pytest.raises(Unavailable):
                hub.post_envelope(collection, b" " * 50_000_000)


class TestEndlessPages:
    def poll_pages(self, page: Callable[[int], dict[str, Any]]) -> int:
        """Poll a server whose pages depend on their number; how many it was asked for."""
        asked = 0

        def script(request: ReceivedRequest) -> Answer | None:
            nonlocal asked
            if not request.path.endswith("/objects/"):
                return None
            asked += 1
            stamp = f"2026-03-01T00:{asked // 60 % 60:02}:{asked % 60:02}.000000Z"
            return Answer({"more": True} | page(asked), headers={LAST: stamp})

        with serve_script(script) as server, pytest.raises(Malformed, match="says that there is"):
            poll_all(server.url)
        return asked

    def test_the_same_objects_in_ever_other_words_end(self) -> None:
        def page(number: int) -> dict[str, Any]:
            return {"objects": [{**indicator(number % 2), "x": number}], "next": str(number)}

        assert self.poll_pages(page) == 2 + 20

    def test_the_same_objects_under_the_same_next_end(self) -> None:
        def page(number: int) -> dict[str, Any]:
            return {"objects": [{**indicator(1), "x": number}], "next": "same"}

        assert self.poll_pages(page) == 1 + 20

    def test_empty_pages_under_the_same_next_end(self) -> None:
        assert self.poll_pages(lambda _: {"next": "same"}) == 20


class TestWrongTypes:
    @pytest.mark.parametrize("value", [1e308, True, {"a": {}}])
    def test_a_collection_with_names_of_wrong_types_is_listed_and_found_by_its_id(
        self, tocsin: Callable[..., Any], value: object
    ) -> None:
        id = "365fed99-08fa-4fcd-a1b3-fb247eb41d01"
        one = {
            "id": id,
            "can_read": True,
            "can_write": False,
            **dict.fromkeys(("title", "alias", "description"), value),
        }

        def script(request: ReceivedRequest) -> Answer | None:
            return Answer({"collections": [one]}) if "/collections/" in request.path else None

        with serve_script(script) as server:
            assert id in str(tocsin("collections", "--url", server.url))
            code, _, stderr = tocsin("poll", "feed", "--url", server.url)
            assert code == 3 and "sees no collection 'feed'" in stderr

    def test_an_object_without_an_id_cannot_be_sighted(self, tocsin: Callable[..., Any]) -> None:
        nameless = {**indicator(0), "pattern": "[domain-name:value = 'evil-portal.top']"}
        del nameless["id"]

        def script(request: ReceivedRequest) -> Answer | None:
            is_page = request.path.endswith("/objects/")
            return Answer({"objects": [nameless]}) if is_page else None

        with serve_script(script) as server:
            words = ("sighting", "evil-portal.top", "--to", "feed", "--url", server.url)
            code, _, stderr = tocsin(*words)
        assert code == 1 and "has an indicator for" in stderr

    def test_an_object_with_a_number_that_python_does_not_read_hides_no_other_one(
        self, alone: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        long = json.dumps({**indicator(0), "x_number": 1}).replace(": 1}", f": {'1' * 5000}}}")
        body = f'{{"objects":[{long},{json.dumps(indicator(1))}]}}'.encode()

        def script(request: ReceivedRequest) -> Answer | None:
            return Answer(body) if request.path.endswith("/objects/") else None

        with (
            serve_script(script) as server,
            Hub(server.url) as hub,
            Client(server.url) as client,
        ):
            collection = hub.find_collection("feed")
            assert [*find_objects(hub, collection, {})] == [indicator(1)]
            assert [*client.poll("feed")] == [indicator(1)]
        assert "an object is left out" in caplog.text


class TestOtherOrigins:
    def push_one(self, url: str) -> list[Any]:
        with Hub(url, "partner:secret", BOUNDED) as hub:
            sent = Candidate(index=0, object=indicator(0), source_id=indicator(0)["id"])
            collection = hub.find_collection("feed", "can_write")
            return list(push(hub, collection, [Preview("file", (sent,))]))

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("to", ["another origin", "the same origin"])
    def test_a_redirected_push_is_sent_nowhere_and_the_error_names_the_address(
        self, status: int, to: str
    ) -> None:
        with serve_script(lambda _: None) as other:
            place = (other.url if to == "another origin" else "/") + "elsewhere/"

            def script(request: ReceivedRequest) -> Answer | None:
                moved = Answer({}, status, {"Location": place})
                return moved if request.method == "POST" else None

            with serve_script(script) as server:
                (result,) = self.push_one(server.url)
                assert result.results[0].verdict == "unsent"
                assert "redirects a submission" in str(result.error)
                assert place in str(result.error)
                assert not any("elsewhere" in each.path for each in server.requests)
            assert other.requests == []

    def test_a_get_is_not_redirected_to_another_origin(self) -> None:
        with serve_script(lambda _: None) as other:

            def script(request: ReceivedRequest) -> Answer | None:
                moved = Answer({}, 307, {"Location": other.url})
                return moved if "/objects/" in request.path else None

            with (
                serve_script(script) as server,
                Hub(server.url, "partner:secret", BOUNDED) as hub,
                pytest.raises(ResponseRefused, match=f"{other.url}; .*--url"),
            ):
                hub.fetch_page(hub.find_collection("feed"), {})
            assert other.requests == []

    @pytest.mark.slow
    def test_a_get_is_redirected_a_few_times_within_its_origin(self) -> None:
        def script(request: ReceivedRequest) -> Answer | None:
            if request.path.startswith("/moved/"):
                count = int(request.path.split("/")[2])
                away = Answer({}, 302, {"Location": f"/moved/{count - 1}/"})
                return away if count else Answer({"objects": [indicator(1)]})
            return Answer({}, 302, {"Location": hops[0]}) if "/objects/" in request.path else None

        hops = ["/moved/3/"]
        with serve_script(script) as server:
            assert poll_all(server.url)[0] == [indicator(1)["id"]]
            hops[0] = "/moved/100/"
            with pytest.raises(Unavailable, match="redirects"):
                poll_all(server.url)

    def test_an_api_root_at_another_origin_is_left_out_unless_the_user_names_it(self) -> None:
        with serve_script(lambda _: None) as other:
            root = other.url.replace("taxii2", "root")

            def script(request: ReceivedRequest) -> Answer | None:
                found = {"title": "Here", "api_roots": [root, *own]}
                return Answer(found) if request.path == "/taxii2/" else None

            own: list[str] = []
            with serve_script(script) as server:
                with (
                    Hub(server.url, "partner:secret", BOUNDED) as hub,
                    pytest.raises(
                        ResponseRefused, match=f"{root} is left out.*or as the source's url"
                    ),
                ):
                    hub.list_collections()
                own = ["/root/"]
                with Hub(server.url, "partner:secret", BOUNDED) as hub:
                    assert len(hub.list_collections()) == 1
            assert other.requests == []
            with Hub(root, "partner:secret", BOUNDED) as hub:
                assert len(hub.list_collections()) == 1

    def test_no_cookie_of_a_server_is_kept(self) -> None:
        def script(request: ReceivedRequest) -> Answer | None:
            cookie = {"Set-Cookie": "a=b; Path=/"}
            return Answer({"objects": []}, 200, cookie) if "/objects/" in request.path else None

        with serve_script(script) as server, Hub(server.url, "", BOUNDED) as hub:
            for _ in range(2):
                hub.fetch_page(hub.find_collection("feed"), {})
            assert not any("Cookie" in each.headers for each in server.requests)


EVIL = "\x1b[2J\x07\r\n\x9b31m\u202e\u2066\u200b\x7ftocsin: all is well"


def evil_answers(request: ReceivedRequest) -> Answer | None:
    """Answers with control characters in every text."""
    detail = {"id": EVIL, "version": EVIL, "message": EVIL, "x_tocsin_verdict": EVIL}
    finding = {"rule": EVIL, "action": EVIL, "path": EVIL, "message": EVIL, EVIL: EVIL}
    entry = detail | {"x_tocsin_public_id": EVIL, "x_tocsin_finding_indexes": [0, EVIL]}
    status = {
        **{"id": EVIL, "status": EVIL, "x_tocsin_settled": True, "x": EVIL},
        **{"failure_count": 1, "failures": [entry], "x_tocsin_findings": [finding]},
    }
    collection = {
        **{"id": EVIL, "alias": EVIL, "title": EVIL, "description": EVIL},
        **{"can_read": True, "can_write": True},
    }
    if request.path.endswith("/root/collections/"):
        usual = {"id": "feed", "title": EVIL, "can_read": True, "can_write": True}
        return Answer({"collections": [collection, usual]})
    if request.method == "POST" or "/status/known" in request.path:
        return Answer(status)
    if "/status/" in request.path:
        return Answer({"title": EVIL, "description": EVIL}, 422)
    if request.path.endswith("/objects/"):
        odd = {**indicator(1), "name": EVIL, "labels": [EVIL]}
        return Answer(json.dumps({"objects": [odd]}, ensure_ascii=False).encode())
    return None


class TestTerminal:
    @pytest.mark.parametrize(
        "command",
        [
            ["collections"],
            ["collections", "--json"],
            ["status", "known"],
            ["status", "known", "--json"],
            ["status", "other"],
            ["push", "a.txt", "--to", "feed", "--yes"],
            ["push", "a.txt", "--to", "feed", "--yes", "--json"],
            ["push", "a.txt", "--to", "nosuch", "--yes"],
            ["poll", "nosuch"],
            ["poll", "feed", "--format", "csv"],
            ["poll", "feed", "--format", "list"],
        ],
        ids=" ".join,
    )
    def test_no_control_character_of_a_server_reaches_the_output(
        self, tocsin: Callable[..., Any], command: list[str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        Path("a.txt").write_text("evil-portal.top\n")
        with serve_script(evil_answers) as server:
            _, lines, stderr = tocsin(*command, "--url", server.url)
        assert all(line.isprintable() for line in (*lines, *stderr.split("\n")))
        assert not any(line.startswith("tocsin: all is well") for line in stderr.split("\n"))

    @pytest.mark.slow
    @pytest.mark.parametrize("format", ["jsonl", "bundle"])
    def test_on_a_terminal_objects_are_printed_with_escapes_and_stay_json(
        self, alone: None, format: str
    ) -> None:
        with serve_script(evil_answers) as server:
            command = [sys.executable, "-m", "tocsin.clients", "poll", "feed", "--url", server.url]
            _, written = run_on_terminal([*command, "--format", format], 200, 30)
        lines = written.replace("\r\n", "\n").split("\n")
        assert all(line.isprintable() for line in lines)
        found = json.loads("".join(lines))
        assert (found["objects"][0] if format == "bundle" else found)["name"] == EVIL

    def test_the_name_of_a_file_cannot_write_to_the_terminal(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("\x1b[2J\nx.txt").write_text("evil-portal.top\n")
        _, lines, stderr = tocsin("check", "\x1b[2J\nx.txt", "\x1b[2J\nnosuch.txt")
        assert all(line.isprintable() for line in (*lines, *stderr.split("\n")))


class TestDoubtfulCursors:
    def serve(self, stamps: dict[int, str], broken: list[int]) -> Any:
        """A script of one object a page, with these headers; pages in `broken` break off once."""

        def script(request: ReceivedRequest) -> Answer | None:
            if not request.path.endswith("/objects/"):
                return None
            number = int(request.query.get("next", 0))
            if number in broken:
                broken.remove(number)
                return Answer({"title": "Gone"}, 404)
            after = request.query.get("added_after", "")
            more = {"more": True, "next": str(number + 1)} if number + 1 in stamps else {}
            objects = [indicator(number)] if added[number] > after else []
            return Answer({"objects": objects} | more, headers={LAST: stamps[number]})

        added = {n: f"2026-03-01T00:00:{n:02}.000000Z" for n in stamps}
        return script

    @pytest.mark.parametrize("stamp", ["2099-01-01T00:00:00.000000Z", "tomorrow", "0", "\xff"])
    def test_a_stamp_that_is_no_time_before_now_does_not_move_the_cursor(
        self, stamp: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serve_script(self.serve({0: stamp}, [])) as server:
            ids, cursor = poll_all(server.url)
        assert (ids, cursor.last) == ([indicator(0)["id"]], None)
        assert caplog.text.count("is not a timestamp, or is later") == 1

    def test_after_a_stamp_in_the_future_later_objects_arrive_and_known_ones_do_not(self) -> None:
        stamps = {0: "2099-01-01T00:00:00.000000Z"}
        with serve_script(self.serve(stamps, [])) as server:
            _, cursor = poll_all(server.url)
        later = {0: "2026-03-01T00:00:00.000000Z", 1: "2026-03-01T00:00:01.000000Z"}
        with serve_script(self.serve(later, [])) as server:
            ids, cursor = poll_all(server.url, cursor)
        assert (ids, cursor.last) == ([indicator(1)["id"]], 1_772_323_201_000_000)

    def test_what_was_read_by_a_clock_that_was_behind_does_not_come_again_with_the_right_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stamps = {n: f"2026-03-01T00:00:{n:02}.000000Z" for n in range(4)}
        begun = "2026-02-01T00:00:00.000000Z"
        with serve_script(self.serve(stamps, [3])) as server, monkeypatch.context() as behind:
            behind.setattr(poll, "_now", lambda: micros(begun))
            ids, cursor = poll_all(server.url)
        assert (set(ids), cursor.last) == ({indicator(n)["id"] for n in range(4)}, None)
        with serve_script(self.serve(stamps, [2])) as server:
            ids, cursor = poll_all(server.url, cursor)
        assert (ids, cursor.last, len(cursor.seen)) == ([], micros(stamps[3]), 1)

    def test_stamps_that_go_backwards_skip_nothing_when_the_poll_breaks_off(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        stamps = {n: f"2026-03-01T00:00:{9 - n:02}.000000Z" for n in range(4)}
        with serve_script(self.serve(stamps, [3])) as server:
            ids, cursor = poll_all(server.url)
        assert set(ids) == {indicator(n)["id"] for n in range(4)}
        assert cursor.last == 1_772_323_209_000_000
        assert caplog.text.count("goes backwards") == 1

    def test_a_saved_cursor_in_the_future_is_refused_with_advice(
        self, tocsin: Callable[..., Any]
    ) -> None:
        with serve_script(self.serve({0: "2026-03-01T00:00:00.000000Z"}, [])) as server:
            command = ("poll", "feed", "--url", server.url, "--state", "s", "--output", "o")
            assert tocsin(*command)[0] == 0
            content = Path("s").read_text().replace("2026-03-01", "2099-03-01")
            Path("s").write_text(content)
            code, _, stderr = tocsin(*command)
        assert (code, Path("s").read_text()) == (1, content)
        assert "2099-03-01" in stderr and "Check the clock" in stderr


@pytest.mark.slow
def test_bounds_are_settings_of_client_toml(tocsin: Callable[..., Any]) -> None:
    Path("client.toml").write_text("max_response_length = 65536\n")
    long = whole(bomb(100_000), GZIP)
    with serve_octets(at_objects(lambda: [long])) as url:
        code, _, stderr = tocsin("poll", "feed", "--url", url, "--limit", "1")
    assert (code, "longer than 65536 octets" in stderr) == (3, True)
    Path("client.toml").write_text("response_timeout = 0.5\n")
    with serve_octets(at_objects(lambda: drip(HEAD))) as url:
        code, _, stderr = tocsin("poll", "feed", "--url", url)
    assert (code, "within 0.5 s" in stderr) == (3, True)
