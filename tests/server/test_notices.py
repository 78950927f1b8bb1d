"""Notices by mail and webhook: once each, without content, to those who want them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from support.clock import ManualClock
from support.console import add_person
from support.hub import HubInProcess, indicator, relationship
from support.observables import sco
from support.presence import present
from support.processes import free_port

from tocsin.admission.timestamps import DAY
from tocsin.config.settings import HubSettings
from tocsin.server.auth import certificate_fingerprint
from tocsin.server.model import Agreement, Query
from tocsin.server.person import Role
from tocsin.server.store import Store, wall_clock
from tocsin.server.worker import build_notices

HOUR = DAY // 24
UNKNOWN = f"marking-definition--{'1' * 8}-1111-4111-8111-{'1' * 12}"
VALUE = "secret-portal.top"


class Mailbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    mailbox = Mailbox()
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, port
    controller.stop()


@pytest.fixture
def posts() -> Iterator[tuple[list[dict[str, str]], str]]:
    found: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *about: object) -> None:
            """Write no log line."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield found, f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_clock())


def open_hub(store: Store, clock: ManualClock, **settings: Any) -> HubInProcess:
    """Open a hub with people of whom two want mails."""
    hub = HubInProcess(store, clock=clock, settings=HubSettings(**settings))
    for login, role, partner in (
        ("otto@hub.example", Role.OPERATOR, ""),
        ("rita@hub.example", Role.REVIEWER, ""),
        ("ana@acme.example", Role.ANALYST, "acme"),
        ("nora@north.example", Role.VIEWER, "north"),
    ):
        person = add_person(hub, login, role, partner=partner)
        hub.store.people.update(replace(person, wants_mail=login != "otto@hub.example"))
    return hub


def send_notices(hub: HubInProcess) -> int:
    """Send what has begun, as the hub's background work does; its number."""
    return build_notices(hub.services, hub.settings).work()


def hold_one(hub: HubInProcess) -> None:
    held = indicator(VALUE, object_marking_refs=[UNKNOWN])
    assert hub.verdicts(hub.push(held)) == ["held"]


@pytest.mark.slow
def test_a_review_that_waits_is_said_once_and_again_after_it_has_ended(
    store: Store, clock: ManualClock, mailbox: tuple[Mailbox, int]
) -> None:
    received, port = mailbox
    about = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none"}
    hub = open_hub(store, clock, mail_from="hub@hub.example", **about)
    hold_one(hub)
    assert send_notices(hub) == 0, "it may be decided within the hour"
    clock.now += 2 * HOUR
    for _ in range(3):
        send_notices(hub)
    assert [to for to, _ in received.mails] == [["rita@hub.example"]], "who wants mails"
    assert VALUE not in received.mails[0][1] and "/console/review" in received.mails[0][1]
    (review,) = hub.store.reviews.list_waiting()
    hub.services.intake.reviewer.reject(review, "rita", "no")
    send_notices(hub)
    hold_one(hub)
    clock.now += 2 * HOUR
    send_notices(hub)
    assert len(received.mails) == 2


@pytest.mark.slow
def test_what_waits_for_its_references_only_needs_nobody(
    store: Store, clock: ManualClock, posts: tuple[list[dict[str, str]], str]
) -> None:
    received, url = posts
    hub = open_hub(store, clock, notice_webhook=url)
    found = indicator(VALUE)
    waits = relationship(found, "based-on", sco("ipv4-addr", value="45.77.1.1"))
    assert hub.verdicts(hub.push(found, waits)) == ["admitted", "held"]
    clock.now += 2 * HOUR
    assert send_notices(hub) == 0, "nobody has anything to decide"
    hold_one(hub)
    assert send_notices(hub) == 0, "what waits for somebody waits for less than an hour"
    clock.now += 2 * HOUR
    assert send_notices(hub) == 1 and [each["kind"] for each in received] == ["reviews_wait"]


@pytest.mark.slow
def test_a_silent_poller_is_said_to_the_people_of_its_partner(
    store: Store, clock: ManualClock, mailbox: tuple[Mailbox, int], posts: Any
) -> None:
    (received, port), (posted, url) = mailbox, posts
    about = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none"}
    hub = open_hub(store, clock, mail_from="hub@hub.example", notice_webhook=url, **about)
    otto = present(hub.store.people.find_by_login("otto@hub.example"))
    hub.store.people.update(replace(otto, wants_mail=True))
    hub.push(indicator("a.bad-portal.top"))
    assert hub.feed("green")
    hub.store.deliveries.flush()
    hub.push(indicator("b.bad-portal.top"))
    clock.now += 4 * DAY
    assert send_notices(hub) == 1
    pages = {to: re.findall(r"/console(\S+)", text)[0] for (to,), text in received.mails}
    assert pages == {"ana@acme.example": "/partner", "otto@hub.example": "/partners/acme"}
    assert [each["kind"] for each in posted] == ["poller_silent"]
    assert posted[0]["url"].endswith("/console/partners/acme")
    assert "bad-portal" not in json.dumps(posted)


def test_a_notice_that_cannot_be_sent_is_tried_again(
    store: Store, clock: ManualClock, posts: Any
) -> None:
    posted, url = posts
    hub = open_hub(store, clock, notice_webhook="http://127.0.0.1:9/")
    hold_one(hub)
    clock.now += 2 * HOUR
    assert send_notices(hub) == 1
    assert send_notices(hub) == 1, "it has not left the hub"
    other = HubInProcess(store, clock=clock, settings=HubSettings(notice_webhook=url), founded=True)
    send_notices(other)
    assert send_notices(other) == 0 and len(posted) == 1


def test_nothing_is_looked_for_where_notices_cannot_leave(store: Store, clock: ManualClock) -> None:
    hub = open_hub(store, clock)
    hold_one(hub)
    clock.now += 2 * HOUR
    assert send_notices(hub) == 0
    assert hub.store.feeds.page(hub.collection("green").id, Query()) is not None


def test_an_agreement_that_ends_soon_is_said_unless_another_one_goes_on(
    store: Store, clock: ManualClock, posts: Any
) -> None:
    posted, url = posts
    hub = open_hub(store, clock, notice_webhook=url)
    terms = Agreement("", "acme", frozenset({hub.collection("green").id}), starts=clock.now)
    agreements = hub.services.agreements
    agreements.add(replace(terms, until=clock.now + 60 * DAY), "t")
    assert send_notices(hub) == 0
    clock.now += 50 * DAY
    assert send_notices(hub) == 1
    assert posted[0]["kind"] == "agreement_ends"
    agreements.add(terms, "t")
    assert send_notices(hub) == 0


@pytest.mark.slow
def test_the_end_of_an_agreement_is_said_once(store: Store, clock: ManualClock, posts: Any) -> None:
    posted, url = posts
    hub = open_hub(store, clock, notice_webhook=url)
    terms = Agreement("", "acme", frozenset({hub.collection("green").id}), starts=clock.now)
    hub.services.agreements.add(replace(terms, until=clock.now + 2 * DAY), "t")
    for _ in range(20):
        send_notices(hub)
        hub.services.agreements.work()
        clock.now += DAY
    assert [each["kind"] for each in posted] == ["agreement_ends", "agreement_ended"]
    assert posted[1]["text"] == "The agreement with acme has ended."
    assert posted[1]["url"].endswith("/console/partners/acme")
    assert not hub.store.notices.list_sent()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gap", "kinds"),
    [(0, []), (5 * DAY, ["agreement_ends", "agreement_ended"])],
    ids=["none", "five days"],
)
def test_the_end_of_an_agreement_is_said_if_the_next_one_begins_later(
    store: Store, clock: ManualClock, posts: Any, gap: int, kinds: list[str]
) -> None:
    posted, url = posts
    hub = open_hub(store, clock, notice_webhook=url)
    end = clock.now + 2 * DAY
    terms = Agreement("", "acme", frozenset({hub.collection("green").id}), starts=clock.now)
    hub.services.agreements.add(replace(terms, until=end), "t")
    hub.services.agreements.add(replace(terms, starts=end + gap), "t")
    for _ in range(10):
        send_notices(hub)
        hub.services.agreements.work()
        clock.now += DAY
    assert [each["kind"] for each in posted] == kinds
    assert not hub.store.notices.list_sent(), "the next one is in force"


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [
        ("", "https://hub.test:8443/console"),
        ("https://hub.example/", "https://hub.example/console"),
    ],
)
def test_a_link_begins_with_public_url_or_where_the_hub_answers_when_it_is_sent(
    store: Store, clock: ManualClock, posts: Any, tmp_path: Path, public_url: str, expected: str
) -> None:
    posted, url = posts
    hub = open_hub(store, clock, notice_webhook=url, data=tmp_path, public_url=public_url)
    (tmp_path / "url").write_text("https://hub.test:8443/taxii2/\n")
    hold_one(hub)
    clock.now += 2 * HOUR
    send_notices(hub)
    assert [each["url"] for each in posted] == [f"{expected}/review"]


def test_a_client_certificate_that_expires_is_said_before_and_once_it_has(
    store: Store, clock: ManualClock, mailbox: tuple[Mailbox, int], posts: Any
) -> None:
    (received, port), (posted, url) = mailbox, posts
    about = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none"}
    hub = open_hub(store, clock, mail_from="hub@hub.example", notice_webhook=url, **about)
    digest = certificate_fingerprint(b"of a tool")
    hub.store.accounts.add_key("acme", digest, clock.now, clock.now + 59 * DAY)
    for _ in range(4):
        send_notices(hub)
        clock.now += 20 * DAY
    assert [each["kind"] for each in posted] == ["certificate_expires"] * 2
    assert "the account acme expires within 30 days" in posted[0]["text"]
    assert "the account acme has expired" in posted[1]["text"]
    assert posted[0]["url"].endswith("/console/partners/acme#key")
    assert [to for to, _ in received.mails] == [["ana@acme.example"]] * 2
    hub.store.accounts.revoke_key(digest)
    assert send_notices(hub) == 0
    assert not hub.store.notices.list_sent()


def test_a_certificate_of_a_disabled_account_needs_nobody(
    store: Store, clock: ManualClock, posts: Any
) -> None:
    hub = open_hub(store, clock, notice_webhook=posts[1])
    digest = certificate_fingerprint(b"of a tool")
    hub.store.accounts.add_key("acme", digest, clock.now, clock.now + DAY)
    account = hub.store.accounts.find_account("acme")
    assert account is not None
    hub.store.accounts.update_account(replace(account, disabled=True))
    assert send_notices(hub) == 0


class ServedCertificate:
    """The hub's certificate, with its end in seconds since 1970 UTC."""

    def __init__(self, end: float) -> None:
        self.certificate_end = end

    def find_warning(self) -> str:
        return ""


def test_the_end_of_the_hubs_own_certificate_is_said_once_by_all_processes(
    store: Store, clock: ManualClock, posts: Any
) -> None:
    posted, url = posts
    hub = open_hub(store, clock, notice_webhook=url)
    hub.services.monitor.certificate = ServedCertificate(clock.now / 1e6 + 20 * 86_400)
    other = HubInProcess(store, clock=clock, settings=HubSettings(notice_webhook=url), founded=True)
    for _ in range(4):
        send_notices(hub)
        send_notices(other)  # it does no TLS
        clock.now += 7 * DAY
    texts = [each["text"] for each in posted]
    assert texts == [
        "The hub's TLS certificate expires within 14 days.",
        "The hub's TLS certificate has expired.",
    ]
