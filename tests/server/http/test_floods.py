"""Nobody holds the hub by being slow: floods without a credential, and partners that dawdle."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from support.presence import present
from support.socket_peers import (
    BODY,
    LIMIT,
    LONG,
    POST,
    ROOT,
    STRANGER,
    Peer,
    get,
    serve_application,
    serve_hub,
    still_answers,
)
from support.taxii_hub import GREEN, TaxiiHub, indicator

from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.http.server import AddressCounts

PAGE = get("/hub/collections/green/objects/?limit=50", "Connection: close\r\n")
HEAD = b"GET /hub/ HTTP/1.1\r\nA: "
EXPECTING = "Expect: 100-continue\r\n"
OTHER = "127.0.0.2"
"""The address of an honest poller, where it is not that of the flood."""
WINDOW = 4096


def large_feed() -> TaxiiHub:
    """A hub whose `green` has a page of five megabytes."""
    taxii = TaxiiHub(max_content_length=LIMIT)
    taxii.feeds.add(GREEN.id, *(indicator(n) | {"name": "n" * 100_000} for n in range(1, 51)))
    return taxii


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A hub with the shipped limits and two threads."""
    with serve_application(large_feed().app, ConnectionLimits(max_body=LIMIT)) as port:
        yield port


def unfinished_heads(port: int) -> list[Peer]:
    return [Peer(port).send(HEAD) for _ in range(64)]


def unfinished_bodies(port: int) -> list[Peer]:
    return [Peer(port).send(LONG) for _ in range(64)]


def unfinished_bodies_of_strangers(port: int) -> list[Peer]:
    head = f"{STRANGER}Content-Length: 9999\r\n\r\n".encode()
    return [Peer(port).send(head) for _ in range(64)]


def silent_connections(port: int) -> list[Peer]:
    return [Peer(port) for _ in range(600)]


def slow_readers(port: int) -> list[Peer]:
    return [Peer(port, window=WINDOW).send(PAGE) for _ in range(64)]


@pytest.mark.parametrize("source", ["127.0.0.1", OTHER], ids=["same address", "other address"])
@pytest.mark.parametrize(
    "flood",
    [
        unfinished_heads,
        unfinished_bodies,
        unfinished_bodies_of_strangers,
        silent_connections,
        slow_readers,
    ],
)
@pytest.mark.slow
def test_an_honest_poller_is_answered_during_a_flood(
    port: int, flood: Callable[[int], list[Peer]], source: str
) -> None:
    with ExitStack() as stack:
        for each in flood(port):
            stack.callback(each.close)
        for _ in range(5):
            with closing(Peer(port, source=source)) as honest:  # the others have 20 seconds
                assert present(honest.send(ROOT).receive()).status == 200


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Arrivals:
    """Notes where each request that has arrived comes from; none is quick."""

    def __init__(self) -> None:
        self.sources: list[str] = []

    def __call__(self, environ: dict[str, Any]) -> bool:
        self.sources.append(environ["REMOTE_ADDR"])
        return False


def closed_count(peers: list[Peer]) -> int:
    """The number of connections that the hub has closed."""
    return sum(each.is_closed() for each in peers)


class TestLimitsByAddress:
    @pytest.fixture
    def small(self) -> Iterator[int]:
        """A hub that takes eight connections of one address, four of them unfinished."""
        limits = ConnectionLimits(max_body=LIMIT, per_address=8, unfinished_per_address=4)
        with serve_application(large_feed().app, limits) as port:
            yield port

    def test_beyond_the_limit_the_slowest_connections_are_closed(self, small: int) -> None:
        silent = [Peer(small) for _ in range(8)]
        time.sleep(0.2)
        busy = Peer(small).send(ROOT)
        assert present(busy.receive()).status == 200
        assert silent[0].is_closed() and closed_count(silent) == 1
        for each in (busy, *silent):
            each.close()

    def test_another_address_has_a_limit_of_its_own(self, small: int) -> None:
        silent = [Peer(small) for _ in range(8)]
        other = [Peer(small, source=OTHER) for _ in range(8)]
        assert present(other[0].send(ROOT).receive()).status == 200
        assert closed_count(silent + other) == 0
        for each in silent + other:
            each.close()

    @pytest.mark.parametrize("start", [HEAD, LONG], ids=["heads", "bodies"])
    def test_unfinished_requests_have_a_lower_limit(self, small: int, start: bytes) -> None:
        unfinished = [Peer(small).send(start) for _ in range(7)]
        wait_until(lambda: closed_count(unfinished) >= 3)
        assert still_answers(small)
        assert closed_count(unfinished) == 3
        for each in unfinished:
            each.close()

    def test_a_connection_whose_request_is_handled_is_not_closed(self) -> None:
        waiting = Gate()
        with serve_application(waiting, ConnectionLimits(per_address=2)) as port:
            working = [Peer(port).send(ROOT) for _ in range(2)]
            waiting.await_calls(2)
            with closing(Peer(port)) as third:
                assert third.send(ROOT).receive() is None
            waiting.is_open = True
            assert [present(each.receive()).status for each in working] == [200, 200]
            for each in working:
                each.close()

    def test_many_requests_of_one_address_do_not_delay_another(self) -> None:
        waiting, arrivals = Gate(), Arrivals()
        with serve_application(waiting, ConnectionLimits(), is_quick=arrivals) as port:
            many = [Peer(port).send(ROOT) for _ in range(20)]
            wait_until(lambda: len(arrivals.sources) == 20)
            waiting.await_calls(2)
            honest = Peer(port, source=OTHER).send(ROOT)
            wait_until(lambda: OTHER in arrivals.sources)
            time.sleep(0.1)  # it is queued just after
            waiting.is_open = True
            assert present(honest.receive()).status == 200
            assert OTHER in waiting.sources[:4]
            for each in (honest, *many):
                each.close()


class OtherProcesses:
    """Servers that share the socket, with these connections of every address."""

    count_of_others = 1

    def __init__(self, counts: AddressCounts) -> None:
        self._counts = counts

    def count(self, key: str) -> AddressCounts:
        return self._counts

    def note(self, key: str, counts: AddressCounts) -> None:
        """Do nothing: the server under test is alone."""

    def note_total(self, connections: int) -> None:
        """Do nothing: the server under test is alone."""

    def fewest(self) -> int:
        return 0


class TestSeveralProcesses:
    @pytest.mark.parametrize("droppable", [0, 3])
    def test_one_more_connection_is_taken_only_if_others_can_close_one(
        self, droppable: int
    ) -> None:
        elsewhere = OtherProcesses(AddressCounts(6, 0, droppable))
        waiting, arrivals, limits = Gate(), Arrivals(), ConnectionLimits(per_address=8)
        with serve_application(waiting, limits, others=elsewhere, is_quick=arrivals) as port:
            working = [Peer(port).send(ROOT) for _ in range(2)]
            waiting.await_calls(2)
            with closing(Peer(port)) as third:
                third.send(ROOT)
                wait_until(lambda: third.is_closed() or len(arrivals.sources) == 3)
                waiting.is_open = True
                answer = third.receive()
            assert (answer is not None) == (droppable > 0)
            for each in working:
                each.close()

    @pytest.mark.slow
    def test_the_process_with_the_most_closes_what_is_too_much(self) -> None:
        elsewhere = OtherProcesses(AddressCounts(3, 0, 3))
        with serve_application(Gate(), ConnectionLimits(per_address=8), others=elsewhere) as port:
            silent = [Peer(port) for _ in range(5)]
            time.sleep(0.3)
            assert closed_count(silent) == 0
            elsewhere._counts = AddressCounts(5, 0, 5)
            wait_until(lambda: closed_count(silent) >= 2)
            time.sleep(0.3)
            assert closed_count(silent) == 2
            for each in silent:
                each.close()


class Gate:
    """A WSGI application that answers once it is open."""

    def __init__(self) -> None:
        self.is_open = False
        self.sources: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.sources.append(environ["REMOTE_ADDR"])
        until = time.monotonic() + 60
        while not self.is_open and time.monotonic() < until:
            time.sleep(0.01)
        start_response("200 OK", [])
        return [b"open"]

    def open(self) -> None:
        self.is_open = True

    def await_calls(self, count: int) -> None:
        until = time.monotonic() + 60
        while len(self.sources) < count and time.monotonic() < until:
            time.sleep(0.01)


class TestRefusedByTheHead:
    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (f"{STRANGER}Content-Length: 9999\r\n", 401),
            (POST.replace("scratch", "nowhere") + "Content-Length: 9999\r\n", 404),
            (POST.replace("scratch", "green") + "Content-Length: 9999\r\n", 403),
            (f"{POST}Content-Length: {LIMIT + 1}\r\n", 413),
            (POST.replace("taxii+json", "json") + "Content-Length: 9999\r\n", 415),
            (f"{STRANGER}Transfer-Encoding: chunked\r\n", 401),
        ],
    )
    @pytest.mark.parametrize("more", ["", EXPECTING], ids=["", "expecting"])
    def test_a_request_is_refused_before_its_body_arrives(
        self, port: int, head: str, status: int, more: str
    ) -> None:
        with closing(Peer(port)) as peer:
            response = present(peer.send(f"{head}{more}\r\n".encode()).receive())
            assert (response.status, response.is_taxii) == (status, True)

    def test_an_expected_100_is_sent_only_for_a_body_that_is_wanted(self, port: int) -> None:
        with closing(Peer(port)) as peer:
            peer.send(f"{POST}{EXPECTING}Content-Length: {len(BODY)}\r\n\r\n".encode())
            assert present(peer.receive()).status == 100
            assert present(peer.send(BODY).receive()).status == 202

    def test_a_body_refused_while_it_arrives_is_not_the_next_request(self, port: int) -> None:
        with closing(Peer(port)) as peer:
            peer.send(f"{STRANGER}Content-Length: {len(ROOT)}\r\n\r\n".encode())
            assert present(peer.receive()).status == 401
            peer.send(ROOT).send(get("/hub/collections/"))
            response = present(peer.receive())
            assert (response.status, b"collections" in response.body) == (200, True)

    @pytest.mark.slow
    def test_a_far_too_long_body_is_not_held_in_memory(self, port: int) -> None:
        head = f"{STRANGER}Content-Length: 400000000\r\n\r\n".encode()
        with closing(Peer(port)) as peer:
            before = resident()
            peer.send(head)
            for _ in range(60):
                peer.send(b"a" * 100_000)
            assert resident() - before < 3 * 1024

    def test_a_request_with_a_late_body_is_counted_once(self) -> None:
        taxii = TaxiiHub(quota=600, max_content_length=LIMIT)
        with (
            serve_application(taxii.app, ConnectionLimits(max_body=LIMIT)) as port,
            closing(Peer(port)) as peer,
        ):
            peer.send(f"{POST}Content-Length: {len(BODY)}\r\n\r\n".encode())
            time.sleep(0.3)
            response = present(peer.send(BODY).receive())
            assert (response.status, "r=599" in response.headers["ratelimit"]) == (202, True)

    def test_an_account_closed_while_its_body_arrives_is_refused(self) -> None:
        taxii = TaxiiHub(max_content_length=LIMIT)
        with (
            serve_application(taxii.app, ConnectionLimits(max_body=LIMIT)) as port,
            closing(Peer(port)) as peer,
        ):
            peer.send(f"{POST}Content-Length: {len(BODY)}\r\n\r\n".encode())
            time.sleep(0.3)
            taxii.people.by_digest.clear()
            assert present(peer.send(BODY).receive()).status == 401


def resident() -> int:
    """KiB of memory that this process has now."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class TestReaders:
    @pytest.mark.slow
    def test_a_reader_below_the_minimum_rate_is_disconnected(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        limits = ConnectionLimits(timeout=0.5, min_rate=10_000_000)
        with serve_application(large_feed().app, limits) as port:
            slow = [Peer(port, window=WINDOW).send(PAGE) for _ in range(4)]
            wait_until(lambda: caplog.text.count("it reads too slowly") == 4)
            assert [len(each.receive_all()) < 5_000_000 for each in slow] == [True] * 4
            assert still_answers(port)
            for each in slow:
                each.close()

    @pytest.mark.slow
    def test_a_steady_slow_reader_receives_the_whole_page(self) -> None:
        limits = ConnectionLimits(timeout=2.2, min_rate=500_000)
        with (
            serve_application(large_feed().app, limits) as port,
            closing(Peer(port, window=65536)) as steady,
        ):
            began = time.monotonic()
            octets = steady.send(PAGE).receive_all(pause=0.04)
            assert time.monotonic() - began > limits.timeout
            assert len(octets) >= 5_000_000 and octets.endswith(b"}")

    @pytest.mark.slow
    def test_unread_answers_are_held_up_to_a_limit(self) -> None:
        limits = ConnectionLimits(max_held=20_000_000)
        with serve_application(large_feed().app, limits) as port:
            slow = [Peer(port, window=WINDOW).send(PAGE) for _ in range(8)]
            time.sleep(1)
            assert still_answers(port)
            whole = [len(each.receive_all()) >= 5_000_000 for each in slow]
            assert 2 <= whole.count(True) <= 4
            for each in slow:
                each.close()


class TestTheEnd:
    @pytest.mark.slow
    def test_a_request_in_progress_is_answered_when_the_hub_stops(self) -> None:
        waiting = Gate()
        with serve_application(waiting, ConnectionLimits()) as port:
            working, idle = Peer(port).send(ROOT), Peer(port)
            waiting.await_calls(1)
            threading.Timer(0.5, waiting.open).start()
        assert present(working.receive()).headers["connection"] == "close"
        assert idle.receive() is None
        for each in (working, idle):
            each.close()

    @pytest.mark.slow
    def test_an_idle_connection_is_closed_after_the_timeout(self) -> None:
        with serve_hub(0.5) as port, closing(Peer(port).send(ROOT)) as peer:
            assert present(peer.receive()).status == 200
            assert peer.receive() is None
