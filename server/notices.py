"""Notices by mail and webhook: something needs a person.

A notice says that there is something and where to look, never what: no value, no text, no name of
another partner.  Each is sent once, when it begins; again only after it has ended in between.
"""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import requests

from tocsin.admission.certificates import SOON_SECONDS
from tocsin.admission.timestamps import DAY, HOUR
from tocsin.server.model import Account, Agreement
from tocsin.server.partners.administration import Partners
from tocsin.server.partners.agreement_lifecycle import ENDS_SOON
from tocsin.server.person import Person, Role
from tocsin.server.reports.statistics import StatisticsReader
from tocsin.server.store import Store
from tocsin.server.store.agreements import group_by_partner
from tocsin.server.store.reviews import BY_ITSELF

log = logging.getLogger(__name__)

NOTICE_PAUSE_SECONDS = 300.0
"""Seconds between two looks for what needs a person."""
_TIMEOUT = 10.0
_WITHIN = "expires within {} days"
_OWN_SOON = SOON_SECONDS * 1_000_000
"""Time before the end of the hub's own certificate at which a notice says so."""
_OWN_CERTIFICATE = "hub certificate "
"""Begin of the keys of notices about it.  Another process that works on the same database shows
another one, or none: it must not forget them.  They hold the end, so a renewed one has others."""
_SILENT = 3 * DAY
_OWN_PAGE = "/partner"
"""Page of the console of a partner's people, who see none of the hub's."""
_LATE = HOUR
"""Age of the oldest review that is worth a notice."""


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """Addresses and means by which notices are sent; without an address none is."""

    title: str
    find_console: Callable[[], str]
    """Gives the URL of the console, as it is when a notice is sent."""
    webhook: str = field(default="", repr=False)
    """URL to which each notice for operators is posted as JSON; may hold a secret."""
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_tls: str = "starttls"
    """`starttls`, `tls` or `none`."""
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    sender: str = ""
    """Mailbox from which mails come."""

    @property
    def sends(self) -> bool:
        """True if notices can leave the hub."""
        return bool(self.webhook or self.smtp_host)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that needs a person."""

    key: str
    """The same as long as it lasts."""
    kind: str
    text: str
    path: str
    """Page of the console about it, for the hub's own people."""
    partner: str = ""
    """The partner whose people get it too, with a link to their own page; empty: only the hub's own
    people get it."""
    roles: frozenset[Role] = frozenset({Role.OPERATOR})
    """Roles of the hub's own people who get it."""


class Notices:
    """Finds what needs a person, and says so once."""

    def __init__(
        self,
        store: Store,
        statistics: StatisticsReader,
        settings: NoticeSettings,
        clock: Callable[[], int],
        find_certificate_end: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`clock` gives the time in µs since 1970 UTC.

        `find_certificate_end` gives the end of the hub's own certificate, in seconds since then;
        None without TLS.
        """
        self._store, self._statistics, self._settings = store, statistics, settings
        self._clock, self._find_certificate_end = clock, find_certificate_end

    def work(self) -> int:
        """Send the notices that have begun; their number.

        One that cannot be sent is tried again with the next look.
        """
        if not self._settings.sends:
            return 0
        current = {each.key: each for each in self._find()}
        sent = self._store.notices.list_sent()
        ended = {key for key in sent - current.keys() if not key.startswith(_OWN_CERTIFICATE)}
        self._store.notices.forget(ended)
        new = [each for key, each in current.items() if key not in sent]
        for notice in new:
            if self._send(notice):
                self._store.notices.note_sent(notice.key, self._clock())
        return len(new)

    def _find(self) -> Iterator[Notice]:
        now = self._clock()
        waiting = self._store.review_queue.look()  # the oldest first
        oldest = next((each.asked for each in waiting if each.rules != BY_ITSELF), now)
        if now - oldest > _LATE:
            text = "Objects wait for a review, the oldest for more than an hour."
            roles = frozenset({Role.REVIEWER, Role.OPERATOR})
            yield Notice("reviews", "reviews_wait", text, "/review", roles=roles)
        if self._store.submissions.count_set_aside(1):
            text = "A submission was set aside; `tocsin-hub submission list` shows it."
            yield Notice("aside", "submission_set_aside", text, "/overview")
        yield from self._find_own_certificate(now)
        yield from self._find_certificates(now)
        yield from self._find_ending(now)
        yield from self._find_silent(now)

    def _find_own_certificate(self, now: int) -> Iterator[Notice]:
        end = self._find_certificate_end()
        if end is not None and end * 1e6 < now + _OWN_SOON:
            is_over = end * 1e6 < now
            text = f"The hub's TLS certificate {'has expired' if is_over else _WITHIN.format(14)}."
            key = f"{_OWN_CERTIFICATE}{end:.0f} {is_over}"
            yield Notice(key, "hub_certificate_expires", text, "/overview")

    def _find_certificates(self, now: int) -> Iterator[Notice]:
        """Client certificates that expire soon, and again once they have."""
        for slug, each in Partners(self._store).list_expiring(now):
            is_over = each.expires < now
            state = "has expired" if is_over else _WITHIN.format(30)
            text = f"A client certificate of the account {each.account} {state}."
            path = f"/partners/{slug}#key" if slug else "/overview"
            key = f"certificate {each.id} {is_over}"
            yield Notice(key, "certificate_expires", text, path, slug)

    def _find_ending(self, now: int) -> Iterator[Notice]:
        """Agreements that end soon or have ended lately, unless another one goes on."""
        for slug, agreements in group_by_partner(self._store.agreements.list_all()).items():
            path, text = f"/partners/{slug}", f"The agreement with {slug} {{}}."
            ends = _find_ends(agreements)
            coming = min((each for each in ends if each > now), default=0)
            last = max((each for each in ends if each <= now), default=0)
            if now < coming <= now + ENDS_SOON:
                key = f"ends {ends[coming]} {coming}"
                said = text.format(f"ends within {ENDS_SOON // DAY} days")
                yield Notice(key, "agreement_ends", said, path, slug)
            if last > now - ENDS_SOON and not any(each.was_in_force(now) for each in agreements):
                key, said = f"ends {ends[last]} {last} now", text.format("has ended")
                yield Notice(key, "agreement_ended", said, path, slug)

    def _find_silent(self, now: int) -> Iterator[Notice]:
        for each in self._statistics.pollers(Account("notices", "", operator=True)):
            silent = each.silent_since
            if silent is not None and now - silent > _SILENT:
                name = each.collection.alias or each.collection.id
                text = f"The account {each.account} has not polled {name} for three days or more."
                key = f"silent {each.account} {each.collection.id}"
                path = f"/partners/{each.partner}" if each.partner else "/overview"
                yield Notice(key, "poller_silent", text, path, each.partner)

    def _send(self, notice: Notice) -> bool:
        """True if it has left the hub on every way."""
        ways = []
        if self._settings.webhook:
            ways.append(self._post(notice))
        if self._settings.smtp_host:
            ways.append(self._mail(notice, self._find_recipients(notice)))
        return all(ways)

    def _find_recipients(self, notice: Notice) -> list[Person]:
        people = self._store.people.list_people("")
        found = [each for each in people if not each.roles.isdisjoint(notice.roles)]
        if notice.partner:
            found += self._store.people.list_people(notice.partner)
        return [each for each in found if each.wants_mail and not each.disabled]

    def _post(self, notice: Notice) -> bool:
        body = {"hub": self._settings.title, "kind": notice.kind, "text": notice.text}
        body["url"] = f"{self._settings.find_console()}{notice.path}"
        try:
            answer = requests.post(
                self._settings.webhook,
                data=json.dumps(body),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            log.warning("notices: the webhook does not answer: %s", type(error).__name__)
            return False
        return True

    def _mail(self, notice: Notice, people: Iterable[Person]) -> bool:
        mails = [(each.login, self._write(notice, each)) for each in people]
        if not mails:
            return True
        try:
            with self._connect() as server:
                for recipient, mail in mails:
                    server.send_message(mail, self._settings.sender, [recipient])
        except (smtplib.SMTPException, OSError) as error:
            log.warning("notices: mails cannot be sent: %s", type(error).__name__)
            return False
        return True

    def _connect(self) -> smtplib.SMTP:
        known, context = self._settings, ssl.create_default_context()
        if known.smtp_tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                known.smtp_host, known.smtp_port, timeout=_TIMEOUT, context=context
            )
        else:
            server = smtplib.SMTP(known.smtp_host, known.smtp_port, timeout=_TIMEOUT)
            if known.smtp_tls == "starttls":
                server.starttls(context=context)
        if known.smtp_user:
            server.login(known.smtp_user, known.smtp_password)
        return server

    def _write(self, notice: Notice, person: Person) -> EmailMessage:
        mail, path = EmailMessage(), notice.path if person.is_of_hub else _OWN_PAGE
        console = self._settings.find_console()
        mail["Subject"] = f"{self._settings.title}: {notice.kind.replace('_', ' ')}"
        mail["From"], mail["To"] = self._settings.sender, person.login
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="tocsin.invalid")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(
            f"{notice.text}\n\n{console}{path}\n\n"
            f"You get these mails because you chose so at {console}/me\n"
        )
        return mail


def _find_ends(agreements: Sequence[Agreement]) -> dict[int, str]:
    """The times, in µs, at which an agreement ends and no other one is in force, and its id."""
    return {
        each.until: each.id
        for each in agreements
        if each.until is not None
        and not any(other.was_in_force(each.until) for other in agreements)
    }
