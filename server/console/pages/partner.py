"""The page of a partner: what it sent and what became of it, what came back, how to connect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import flask
from flask.typing import ResponseReturnValue

from tocsin.admission.errors import Conflict, NotAllowed, NotFound
from tocsin.server import auth
from tocsin.server.console.charts import columns
from tocsin.server.console.forms import go, refuse, sentence, text_field
from tocsin.server.console.middleware import status_of
from tocsin.server.console.pages.submissions import count_in_words
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.request_context import context, rights_of_partner
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.model import CollectionKind, ReviewKind
from tocsin.server.partners.agreement_lifecycle import find_current
from tocsin.server.person import HUB_ROLES, Role
from tocsin.server.store.reviews import BY_ITSELF

_OWN = (Role.VIEWER, Role.ANALYST)
_DAYS, _LATEST = 30, 5
_SERIES = ("published", "merged", "refused")


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    views = PartnerPages(services)
    pages.link("Partners", "/partners", "p", HUB_ROLES)
    pages.link("Our page", "/partner", "p", _OWN)
    pages.add("/partners", views.list_partners, HUB_ROLES)
    pages.add("/partners/<slug>", views.show, EVERYBODY)
    pages.add("/partner", views.own, _OWN)
    pages.add("/partner/keys", views.issue_key, (Role.ANALYST,), ("POST",))
    pages.add("/partner/keys/revoke", views.revoke_key, (Role.ANALYST,), ("POST",))


@dataclass(frozen=True, slots=True)
class PartnerPages:
    """The pages."""

    services: ConsoleServices

    def list_partners(self) -> ResponseReturnValue:
        """All partners, with their part in what was published."""
        shares = {
            each.partner: each
            for each in self.services.statistics.concentration(context().rights, _DAYS)
        }
        partners = self.services.store.accounts.list_partners()
        return flask.render_template(
            "partners.html",
            section=f"{ROOT}/partners",
            partners=partners,
            shares=shares,
            may_change=context().who.has(Role.OPERATOR),
        )

    def own(self) -> ResponseReturnValue:
        """The page of the person's own partner."""
        return self._page(context().who.partner)

    def show(self, slug: str) -> ResponseReturnValue:
        """The page of any partner, for the hub's people, and of their own for others."""
        person = context().who
        if not person.is_of_hub and person.partner != slug:
            raise NotFound("there is no such page")
        return self._page(slug)

    def _page(self, slug: str, errors: Mapping[str, str] = MappingProxyType({})) -> str:
        here, store, statistics = context(), self.services.store, self.services.statistics
        readable = {each.id for each in here.readable()}
        partner = store.accounts.require_partner(slug)
        accounts = store.accounts.list_accounts(slug)
        series = statistics.by_day(here.rights, _DAYS, slug)
        totals = {name: sum(getattr(series, name)) for name in _SERIES}
        may_list = auth.may_list_submissions(here.rights)
        waiting = [each for each in store.review_queue.look() if each.partner == slug]
        held = [each for each in waiting if each.kind == ReviewKind.HELD]
        by_itself = sum(each.rules == BY_ITSELF for each in held)
        return flask.render_template(
            "partner.html",
            section=f"{ROOT}/partner" if here.who.partner else f"{ROOT}/partners",
            partner=partner,
            days=_DAYS,
            totals=totals,
            waiting=len(held) - by_itself,
            by_itself=by_itself,
            masked=len(waiting) - len(held),
            sent=sum(totals.values()) + sum(series.duplicate) + len(held),
            duplicates=sum(series.duplicate),
            chart=columns(series.starts, series.submissions),
            value=statistics.value_returned(here.rights, slug, _DAYS),
            outcome=count_in_words,
            may_list=may_list,
            latest=store.submissions.list_of_partner(slug, _LATEST) if may_list else [],
            pollers=[
                p for p in statistics.pollers(here.rights, slug) if p.collection.id in readable
            ],
            aliases=self.services.partners.aliases(),
            keys=[c for a in accounts for c in store.accounts.list_credentials(a.name)],
            people=store.people.list_people(slug),
            agreement=find_current(store.agreements.list_of(slug), self.services.clock()),
            account=next((a.name for a in accounts if a.name == slug), slug),
            feeds=self._feeds(slug),
            taxii=self.services.taxii_url(),
            may_change=here.who.has(Role.OPERATOR),
            may_rotate=here.who.has(Role.ANALYST) and bool(accounts),
            errors=errors,
        )

    def _feeds(self, slug: str) -> list[str]:
        """Names of the feeds that the partner reads and this person may know of."""
        here = context()
        account = rights_of_partner(slug, self.services) if here.who.is_of_hub else here.rights
        reads = [c for c in here.collections if c.id in account.reads or account.operator]
        return [c.alias for c in reads if c.kind is CollectionKind.FEED and c.alias]

    def issue_key(self) -> ResponseReturnValue:
        """Issue a further key for the partner's account, and show it once."""
        slug = context().who.partner
        partner = self.services.store.accounts.require_partner(slug)
        try:
            key = self.services.partners.issue_own_key(self._account(slug), context().who.login)
        except Conflict as error:
            return refuse(self._page(slug, {"key": sentence(error)}), status_of(error))
        return flask.render_template(
            "partner_key.html",
            section=f"{ROOT}/partner",
            partner=partner,
            key=key,
            taxii=self.services.taxii_url(),
        )

    def revoke_key(self) -> ResponseReturnValue:
        """Revoke a key of the partner's."""
        slug = context().who.partner
        account = self._account(slug)
        self.services.partners.revoke_key(account, text_field("key"), context().who.login)
        return go("/partner?done=revoked#key")

    def _account(self, slug: str) -> str:
        """The account that the form names, if it is the partner's."""
        wanted = text_field("account") or slug
        if wanted not in {a.name for a in self.services.store.accounts.list_accounts(slug)}:
            raise NotAllowed("this is not an account of your organisation")
        return wanted
