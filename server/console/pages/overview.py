"""The start page of operators: what is wrong now, then what happens over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import flask
from flask import request
from flask.typing import ResponseReturnValue

from tocsin.admission.certificates import Validity
from tocsin.admission.descriptions import count
from tocsin.admission.timestamps import HOUR
from tocsin.server.console.charts import columns, lines
from tocsin.server.console.pages.requests import count_requests
from tocsin.server.console.queue_ages import count_ages
from tocsin.server.console.registry import Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.console.texts import age
from tocsin.server.partners.administration import EXPIRES_SOON
from tocsin.server.person import Role
from tocsin.server.reports.pollers import SILENT, Poller
from tocsin.server.reports.senders import SendingAccount
from tocsin.server.reports.statistics import Share
from tocsin.server.store.review_queue import QueuedReview
from tocsin.server.store.reviews import BY_ITSELF

_WHO = (Role.OPERATOR, Role.AUDITOR)
_SPANS = (7, 30, 90)
_SHARE = 50
"""Percent of one partner that is worth a sentence."""
_LATE_REVIEW = 3 * HOUR
_MOST_WAITING = 10_000
_SERIES = ("published", "merged", "held", "refused")
_CLASSES = {"published": "admitted"}
_QUEUE, _WATCHING = "/help/operate/load#the-queue", "/help/operate/watching#watching-the-hub"
_ADVICE = dict.fromkeys(
    ("database", "disk"), "/help/operate/database#a-full-disk-and-a-database-that-is-away"
)
"""Where the documentation says what to do about a part that is not well."""


@dataclass(frozen=True, slots=True)
class OverviewNotice:
    """A sentence about something that is not well."""

    text: str
    path: str = ""
    """A page of the console about it; empty: none."""


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the page."""
    overview = OverviewPage(services)
    pages.link("Overview", "/overview", "o", _WHO)
    pages.add("/overview", overview.show, _WHO)


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The page."""

    services: ConsoleServices

    def show(self) -> ResponseReturnValue:
        """Sentences, charts, pollers, health."""
        given = request.args.get("days", "30")
        days = int(given) if given in map(str, _SPANS) else _SPANS[1]
        statistics, account = self.services.statistics, context().rights
        series = statistics.by_day(account, days)
        shares = statistics.concentration(account, days)
        pollers, senders = statistics.pollers(account), statistics.senders(account)
        queue = self.services.store.review_queue.look()
        waiting = [each for each in queue if each.rules != BY_ITSELF]
        charts = [
            (name, _CLASSES.get(name, name), columns(series.starts, getattr(series, name)))
            for name in _SERIES
        ]
        rows = list(zip(series.starts, *(getattr(series, name) for name in _SERIES), strict=True))
        return flask.render_template(
            "overview.html",
            section=f"{ROOT}/overview",
            days=days,
            spans=_SPANS,
            notices=[
                *self._notices(shares, waiting),
                *self._silences(pollers, senders),
            ],
            charts=charts,
            rows=rows[::-1],
            totals={name: sum(getattr(series, name)) for name in _SERIES},
            latency=lines(series.starts, series.median, series.p95),
            last=_last_figures(series.median, series.p95),
            pollers=pollers,
            senders=senders,
            waiting=len(waiting),
            ages=count_ages(waiting, self.services.clock()),
            shares=shares,
            health=self.services.monitor.check(),
        )

    def _notices(
        self, shares: list[Share], waiting: list[QueuedReview]
    ) -> Iterator[OverviewNotice]:
        """Everything that is not well, the worst first."""
        store, now = self.services.store, self.services.clock()
        for part, is_well in self.services.monitor.check().items():
            if not is_well:
                yield OverviewNotice(
                    f"Not well: {part}. Read what to do.", _ADVICE.get(part, _WATCHING)
                )
        if self.services.settings.four_eyes and (asked := count_requests(self.services)):
            text = f"{count(asked, 'request')} {'waits' if asked == 1 else 'wait'}"
            path = "/admin/requests" if context().who.has(Role.OPERATOR) else ""
            yield OverviewNotice(f"{text} for a second operator.", path)
        yield from self._certificates()
        aside = store.submissions.count_set_aside(_MOST_WAITING)
        if aside:
            text = f"{count(aside, 'submission')} {'is' if aside == 1 else 'are'} set aside"
            yield OverviewNotice(f"{text}. Read how to list and decide them.", _QUEUE)
        if waiting and now - waiting[0].asked > _LATE_REVIEW:
            yield OverviewNotice(f"A review waits for {age(waiting[0].asked, now)}.", "/review")
        if len(shares) > 1 and shares[0].percent >= _SHARE:
            yield OverviewNotice(
                f"{shares[0].percent:.0f} % of what was published came from {shares[0].partner}."
            )

    def _certificates(self) -> Iterator[OverviewNotice]:
        """The hub's TLS certificate and partners' client certificates that expire soon."""
        now, end = self.services.clock() / 1e6, self.services.monitor.find_certificate_end()
        if end is not None and (warning := Validity(0.0, end).find_warning(now)):
            yield OverviewNotice(
                f"The hub's TLS certificate {warning}: renew it and send the hub SIGHUP."
            )
        for slug, each in self.services.partners.list_expiring(self.services.clock()):
            warning = Validity(0.0, each.expires / 1e6).find_warning(now, EXPIRES_SOON / 1e6)
            text = f"A client certificate of {each.account} {warning}"
            path = f"/partners/{slug}#key" if slug else ""
            yield OverviewNotice(f"{text}: register the renewed one and revoke this one.", path)

    def _silences(
        self, pollers: list[Poller], senders: list[SendingAccount]
    ) -> Iterator[OverviewNotice]:
        """Accounts that read or submit, and have not for longer than usual."""
        now = self.services.clock()
        for each in pollers:
            if each.silent_since is not None and now - each.silent_since > SILENT:
                name = each.collection.alias or each.collection.id
                span = age(each.last_polled or 0, now)
                wait = "its sources have something new"
                if each.behind is not None:
                    wait = f"{count(each.behind, 'entry waits', 'entries wait')} for it"
                yield OverviewNotice(f"{each.account} has not polled {name} for {span}; {wait}.")
        for sender in senders:
            if sender.silent and sender.usual is not None:
                span, usual = age(sender.last, now), age(0, sender.usual)
                yield OverviewNotice(
                    f"{sender.account} has submitted nothing for {span}; usual is every {usual}."
                )


def _last_figures(*series: tuple[int | None, ...]) -> list[int | None]:
    """The latest value of each series; None if it has none."""
    return [next((v for v in each[::-1] if v is not None), None) for each in series]
