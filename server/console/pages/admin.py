"""Administration: partners, people, keys, feeds, exclusions, warning lists, policy, journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any

import flask
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import Malformed, NotFound, PolicyError, ShareError
from tocsin.admission.merge.confidence import parse_reliability
from tocsin.admission.model import Consent, Tlp
from tocsin.admission.policy import parse_policy
from tocsin.admission.recogniser.recogniser import is_installed
from tocsin.admission.timestamps import micros
from tocsin.admission.warninglists.index import read_list_documents
from tocsin.admission.warninglists.lists import LIST_REACH
from tocsin.server.console.forms import (
    FieldErrors,
    find_changed,
    find_too_long,
    format_list,
    go,
    merge_entered,
    number_field,
    parse_list,
    sent_fields,
    sentence,
    show_again,
    text_field,
)
from tocsin.server.console.middleware import status_of
from tocsin.server.console.pages.requests import ask_second, count_requests
from tocsin.server.console.policy_trial import count_words
from tocsin.server.console.registry import Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.model import CollectionKind, MarkingScheme, Partner
from tocsin.server.partners.administration import PartnerChange
from tocsin.server.partners.agreement_lifecycle import find_current
from tocsin.server.partners.countries import parse_country
from tocsin.server.partners.names import check_slug, find_short_terms
from tocsin.server.partners.people import check_roles
from tocsin.server.person import HUB_ROLES, Invitation, Person, Role
from tocsin.server.store.agreements import group_by_partner
from tocsin.server.store.journal import JournalEntry, JournalFilter, entry_as_json

_SEE = (Role.OPERATOR, Role.AUDITOR)
_ACT = (Role.OPERATOR,)
_PAGE = 50
_MOST_EXPORTED, _MOST_DIGITS = 50_000, 16
_LONGEST_FIELD, _LONGEST_TERMS = 1_000, 100_000
"""Characters of a field of a partner, and of all its terms together."""
_LONGEST_EXCLUSION = 2_000
SECTIONS = (
    ("partners", "Partners", "organisations that share, their rights and keys"),
    ("agreements", "Agreements", "the terms under which partners send and receive, until when"),
    ("people", "People", "who signs in here, and with which roles"),
    ("feeds", "Collections", "inboxes, feeds and views"),
    ("exclusions", "Exclusions", "values that nobody may submit"),
    ("warning-lists", "Warning lists", "harmless values by which submissions are checked"),
    ("policy", "Policy", "rules in force"),
    ("journal", "Journal", "what was done, when and by whom"),
)
Form = Mapping[str, str]


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    overview = AdminOverview(services)
    pages.link("Administration", "/admin", "a", _SEE)
    pages.add("/admin", overview.show, _SEE)
    pages.add("/admin/feeds", overview.feeds, _SEE)
    pages.add("/admin/warning-lists", overview.warning_lists, _SEE)
    pages.add("/admin/policy", overview.policy, _SEE)
    trials = TrialPages(services)
    pages.add("/admin/policy/trial", trials.begin, _ACT, ("POST",))
    pages.take_long("/admin/policy/trial")
    pages.add("/admin/policy/trial/<id>", trials.show, _ACT)
    partners = PartnerAdminPages(services)
    pages.add("/admin/partners", partners.list_partners, _SEE)
    pages.add("/admin/partners/new", partners.ask, _ACT)
    pages.add("/admin/partners/new", partners.add, _ACT, ("POST",))
    pages.add("/admin/partners/<slug>", partners.show, _SEE)
    pages.add("/admin/partners/<slug>", partners.change, _ACT, ("POST",))
    pages.add("/admin/partners/<slug>/keys", partners.issue_key, _ACT, ("POST",))
    pages.add("/admin/partners/<slug>/keys/revoke", partners.revoke_key, _ACT, ("POST",))
    people = PeoplePages(services)
    pages.add("/admin/people", people.list_people, _SEE)
    pages.add("/admin/people", people.invite, _ACT, ("POST",))
    pages.add("/admin/people/<id>", people.change, _ACT, ("POST",))
    pages.add("/admin/invitations/<id>", people.withdraw_invitation, _ACT, ("POST",))
    exclusions = ExclusionPages(services)
    pages.add("/admin/exclusions", exclusions.list_exclusions, _SEE)
    pages.add("/admin/exclusions", exclusions.add, _ACT, ("POST",))
    pages.add("/admin/exclusions/remove", exclusions.remove, _ACT, ("POST",))
    journal = JournalPages(services)
    pages.add("/admin/journal", journal.list_entries, _SEE)
    pages.add("/admin/journal.jsonl", journal.export, _SEE)


def _page(
    template: str, name: str, errors: Form | None = None, status: int = 200, **values: object
) -> Response:
    section, may_act = f"{ROOT}/admin", context().who.has(*_ACT)
    return show_again(
        template, errors or {}, status, section=section, name=name, may_act=may_act, **values
    )


def _policy_page(services: ConsoleServices, text: str, errors: Form, status: int) -> Response:
    """The policy in force, below it the form with another's text."""
    policy = services.policy
    return _page(
        "admin_policy.html",
        "policy",
        errors,
        status,
        policy=policy,
        rules=[(rule, policy.settings_for(rule, "")) for rule in policy.rules],
        text=text,
        has_recogniser=is_installed(),
    )


@dataclass(frozen=True, slots=True)
class AdminOverview:
    """Pages that only show."""

    services: ConsoleServices

    def show(self) -> ResponseReturnValue:
        """The list of what there is."""
        return _page(
            "admin.html",
            "",
            sections=SECTIONS,
            waiting=count_requests(self.services),
            has_requests=self.services.settings.four_eyes and context().who.has(*_ACT),
        )

    def feeds(self) -> ResponseReturnValue:
        """All collections, with the number of objects that were ever added."""
        here, feeds = context(), self.services.store.feeds
        rows = [
            (each, feeds.head(each.id).position if each.kind in _COUNTED else None)
            for each in here.collections
        ]
        return _page("admin_feeds.html", "feeds", rows=rows)

    def warning_lists(self) -> ResponseReturnValue:
        """The lists that count, with their versions."""
        lists = {
            name: (each, document.source)
            for document in read_list_documents(self.services.warning_lists)
            for name, each in document.lists.items()
            if name in LIST_REACH
        }
        return _page("admin_warning_lists.html", "warning-lists", lists=sorted(lists.items()))

    def policy(self) -> ResponseReturnValue:
        """The rules in force, and the digest of the policy's text."""
        return _policy_page(self.services, self.services.policy_text, {}, 200)


_COUNTED = (CollectionKind.FEED, CollectionKind.VERBATIM)


@dataclass(frozen=True, slots=True)
class TrialPages:
    """Trials of a policy on the latest objects."""

    services: ConsoleServices

    def begin(self) -> ResponseReturnValue:
        """Begin a trial of the policy in the form."""
        text = request.form.get("text", "").replace("\r\n", "\n")
        try:
            policy = parse_policy(text)
            id = self.services.trials.begin(text, policy.sha256, context().who.login)
        except (PolicyError, ShareError) as error:
            return _policy_page(self.services, text, {"text": sentence(error)}, 422)
        return go(f"/admin/policy/trial/{id}")

    def show(self, id: str) -> ResponseReturnValue:
        """Show the results of the trial; its progress, until it is done."""
        trial = self.services.trials.find(id)
        return _page(
            "admin_trial.html",
            "policy",
            trial=trial,
            before=count_words(trial.before),
            after=dict(count_words(trial.after)),
        )


@dataclass(frozen=True, slots=True)
class PartnerAdminPages:
    """Partners and their keys."""

    services: ConsoleServices

    def list_partners(self) -> ResponseReturnValue:
        """All partners, by short name."""
        accounts, aliases = self.services.store.accounts, self.services.partners.aliases()
        own = {each.name: each for each in accounts.list_accounts()}
        agreements = group_by_partner(self.services.store.agreements.list_all())
        now = self.services.clock()
        rows = [
            (
                partner,
                own.get(partner.slug),
                _names(own, partner.slug, aliases),
                find_current(agreements.get(partner.slug, ()), now),
            )
            for partner in accounts.list_partners()
        ]
        return _page("admin_partners.html", "partners", rows=rows)

    def ask(self) -> ResponseReturnValue:
        """The form for a new partner."""
        usual = {"max_tlp": "amber", "consent": Consent.NONE.value, "reliability": "50"}
        return self._form({}, dict.fromkeys(_FIELDS, "") | usual, 200)

    def _form(self, errors: Form, form: Form, status: int) -> Response:
        collections = [
            each for each in context().collections if each.kind is not CollectionKind.INBOX
        ]
        writable = [each for each in context().collections if each.kind in _WRITABLE]
        chosen = {
            name: set(request.form.getlist(name)) if errors else _DEFAULT_RIGHTS[name]
            for name in ("reads", "writes")
        }
        return _page(
            "admin_partner_new.html",
            "partners",
            errors,
            status,
            form=form,
            collections=collections,
            writable=writable,
            chosen=chosen,
            levels=_LEVELS,
            consents=_CONSENTS,
        )

    def add(self) -> ResponseReturnValue:
        """Add a partner, and show its key and the invitation of its first person, once."""
        form = sent_fields(_FIELDS)
        try:
            fields = self._parse_new(form)
        except FieldErrors as error:
            return self._form(error.errors, form, 422)
        partner = Partner(form["slug"], **fields)
        change = PartnerChange(
            reads=request.form.getlist("reads"), writes=request.form.getlist("writes")
        )
        actor = context().who.login
        try:
            waits = ask_second(self.services, f"Add the partner {form['slug']}.")
            if waits is not None:
                return waits
            key = self.services.partners.add(partner, change, actor)
        except ShareError as error:
            return self._form({"slug": sentence(error)}, form, status_of(error))
        link = ""
        if form["mailbox"]:
            roles = frozenset({Role.ANALYST})
            invitation = Invitation("", form["mailbox"], "", partner.slug, roles, 0, actor)
            link = f"{self.services.origin()}/invitation/{self.services.people.invite(invitation)}"
        return _page(
            "admin_key.html",
            "partners",
            partner=partner,
            key=key,
            link=link,
            mailbox=form["mailbox"],
            taxii=self.services.taxii_url(),
        )

    def _parse_new(self, form: Form) -> dict[str, Any]:
        """The fields of a new partner but its short name.  Raises FieldErrors."""
        errors, fields = dict[str, str](), dict[str, Any]()
        try:
            check_slug(form["slug"])
        except ShareError as error:
            errors["slug"] = sentence(error)
        try:
            fields = _parse_partner(form)
        except FieldErrors as error:
            errors |= error.errors
        try:
            if form["mailbox"]:
                self.services.people.check_invitation(form["mailbox"])
        except ShareError as error:
            errors["mailbox"] = sentence(error)
        if errors:
            raise FieldErrors(errors)
        return fields

    def show(self, slug: str) -> ResponseReturnValue:
        """One partner with its rights, keys and people."""
        return self._show(slug, {}, 200)

    def _show(self, slug: str, errors: Form, status: int) -> Response:
        store = self.services.store
        partner = store.accounts.require_partner(slug)
        accounts = store.accounts.list_accounts(slug)
        keys = [c for a in accounts for c in store.accounts.list_credentials(a.name)]
        stored = self._describe(slug)
        given = (
            merge_entered(stored, _LABELS, _BOXES)
            if errors
            else dict.fromkeys(_LABELS, ()) | stored
        )
        return _page(
            "admin_partner.html",
            "partners",
            errors,
            status,
            partner=partner,
            given=given,
            texts={name: "".join(given[name]) for name in _partner_fields(partner)},
            shown=json.dumps(stored),
            short_terms=find_short_terms(partner),
            accounts=accounts,
            keys=keys,
            people=store.people.list_people(slug),
            invitations=[
                each
                for each in store.people.list_invitations(self.services.clock())
                if each.partner == slug
            ],
            collections=[c for c in context().collections if c.kind is not CollectionKind.INBOX],
            writable=[c for c in context().collections if c.kind in _WRITABLE],
            aliases=self.services.partners.aliases(),
            levels=_LEVELS,
            consents=_CONSENTS,
            markings=[(each.value, _MARKINGS[each]) for each in MarkingScheme],
        )

    def change(self, slug: str) -> ResponseReturnValue:
        """Change a partner and the rights of its account."""
        self.services.store.accounts.require_partner(slug)
        form = sent_fields(_FIELDS) | {"slug": slug}
        if changed := find_changed(self._describe(slug), _LABELS):
            return self._show(slug, changed, HTTPStatus.CONFLICT)
        try:
            fields = _parse_partner(form)
            marking = _parse_marking(text_field("marking"))
        except FieldErrors as error:
            return self._show(slug, error.errors, 422)
        change = PartnerChange(
            fields,
            request.form.getlist("reads"),
            request.form.getlist("writes"),
            disabled=request.form.get("disabled") == "yes",
            marking=marking,
        )
        try:
            waits = ask_second(
                self.services,
                f"Give the partner {slug} more rights.",
                self._describe(slug),
                partner=slug,
                raises=self._raises(slug, change, fields["max_tlp"]),
            )
            if waits is not None:
                return waits
            self.services.partners.change(slug, change, context().who.login)
        except ShareError as error:
            return self._show(slug, {"partner_name": sentence(error)}, status_of(error))
        return go(f"/admin/partners/{slug}?done=saved")

    def _describe(self, slug: str) -> dict[str, list[str]]:
        """The fields of the form for a partner, as they are now."""
        accounts, aliases = self.services.store.accounts, self.services.partners.aliases()
        partner, account = accounts.require_partner(slug), accounts.find_account(slug)
        fields = {name: [text] for name, text in _partner_fields(partner).items()}
        if account is None:
            return fields
        fields["reads"] = [aliases.get(id, id) for id in account.reads]
        fields["writes"] = [aliases.get(id, id) for id in account.writes]
        fields["marking"] = [account.marking.value]
        return fields | ({"disabled": ["yes"]} if account.disabled else {})

    def _raises(self, slug: str, change: PartnerChange, max_tlp: Tlp) -> bool:
        """True if a change lets the partner do something that it could not do before."""
        partners, accounts = self.services.partners, self.services.store.accounts
        account = accounts.find_account(slug)
        if account is None:
            return True
        reads = partners.find_readable_ids(change.reads or ())
        writes = partners.find_writable_ids(change.writes or ())
        return (
            not reads <= account.reads
            or not writes <= account.writes
            or max_tlp > accounts.require_partner(slug).max_tlp
            or (account.disabled and not change.disabled)
        )

    def issue_key(self, slug: str) -> ResponseReturnValue:
        """Issue a further key, and show it once."""
        partner = self.services.store.accounts.require_partner(slug)
        key = self.services.partners.issue_key(self._account(slug), context().who.login)
        return _page(
            "admin_key.html",
            "partners",
            partner=partner,
            key=key,
            link="",
            mailbox="",
            taxii=self.services.taxii_url(),
        )

    def revoke_key(self, slug: str) -> ResponseReturnValue:
        """Revoke a key."""
        self.services.store.accounts.require_partner(slug)
        key, actor = text_field("key"), context().who.login
        self.services.partners.revoke_key(self._account(slug), key, actor)
        return go(f"/admin/partners/{slug}?done=revoked#key")

    def _account(self, slug: str) -> str:
        """The account of the partner that the form names."""
        wanted = text_field("account") or slug
        if wanted not in {a.name for a in self.services.store.accounts.list_accounts(slug)}:
            raise NotFound("this partner has no such account")
        return wanted


_LABELS = {
    "partner_name": "Name of the organisation",
    "country": "Country",
    "sectors": "Sectors",
    "terms": "Its domains, products, networks",
    "max_tlp": "May send up to",
    "consent": "Who may learn its name",
    "reliability": "Reliability",
    "group": "Group",
    "reads": "May read",
    "writes": "May send to",
    "marking": "Levels are shown as",
    "disabled": "Locked out",
}
_BOXES = ("reads", "writes", "disabled")
_WRITABLE = (CollectionKind.INBOX, CollectionKind.VERBATIM)
_LEVELS = [
    (level.label.lower(), f"TLP:{level.label.upper()}") for level in Tlp if level is not Tlp.RED
]  # RED is for named persons: admission refuses it from everyone
_CONSENTS = [
    (Consent.NONE.value, "nobody: it is anonymous"),
    *((each.value, each.value) for each in Consent if each is not Consent.NONE),
]
_MARKINGS = {
    MarkingScheme.TLP2: "TLP 2.0",
    MarkingScheme.TLP1: "TLP 1.0, for tools that know no other",
}
_FIELDS = ("slug", "partner_name", "country", "sectors", "terms", "max_tlp", "consent") + (
    "reliability",
    "group",
    "mailbox",
)
_DEFAULT_RIGHTS = {"reads": {"clear", "green"}, "writes": {"inbox"}}


def _parse_partner(form: Form) -> dict[str, Any]:
    """The fields of a partner but its short name.  Raises FieldErrors."""
    short = {name: text for name, text in form.items() if name != "terms"}
    errors = find_too_long(short, _LONGEST_FIELD) | find_too_long(form, _LONGEST_TERMS)
    if not form["partner_name"]:
        errors["partner_name"] = "Enter the name of the organisation."
    readers = {
        "country": parse_country,
        "max_tlp": _parse_level,
        "consent": Consent,
        "reliability": parse_reliability,
        "sectors": parse_list,
        "terms": parse_list,
    }
    fields: dict[str, Any] = {"name": form["partner_name"], "group": form["group"]}
    for name, read in readers.items():
        try:
            fields[name] = read(form[name])
        except (ValueError, ShareError) as error:
            errors[name] = sentence(error)
    if errors:
        raise FieldErrors(errors)
    fields["default_tlp"] = min(fields["max_tlp"], Tlp.AMBER)
    return fields


def _parse_level(text: str) -> Tlp:
    if text not in dict(_LEVELS):
        raise Malformed("choose one of the levels")
    return Tlp.parse(text)


def _partner_fields(partner: Partner) -> dict[str, str]:
    """The fields of a partner but its short name, as its form has them."""
    return {
        "partner_name": partner.name,
        "country": partner.country,
        "sectors": format_list(partner.sectors),
        "terms": format_list(partner.terms),
        "max_tlp": partner.max_tlp.label.lower(),
        "consent": partner.consent.value,
        "reliability": str(partner.reliability),
        "group": partner.group,
    }


def _parse_marking(text: str) -> MarkingScheme:
    """The marking of the partner's feeds.  Raises FieldErrors."""
    try:
        return MarkingScheme(text or MarkingScheme.TLP2)
    except ValueError as error:
        raise FieldErrors({"marking": "Choose one of the markings."}) from error


def _names(accounts: Mapping[str, Any], slug: str, aliases: Mapping[str, str]) -> str:
    account = accounts.get(slug)
    return ", ".join(sorted(aliases.get(id, id) for id in account.reads)) if account else ""


_EFFECT_ON_KNOWN = (
    "Let {} set a new password with a link."
    " That removes the second factors, and the roles stay: {}."
)
"""The effect of an invitation on a person who signs in already."""


@dataclass(frozen=True, slots=True)
class PeoplePages:
    """People and invitations."""

    services: ConsoleServices

    def list_people(self) -> ResponseReturnValue:
        """Everyone who signs in, and the invitations that hold."""
        return self._list({}, {}, 200)

    def _list(self, errors: Form, form: Form, status: int, link: str = "") -> Response:
        store = self.services.store
        return _page(
            "admin_people.html",
            "people",
            errors,
            status,
            people=store.people.list_people(),
            invitations=store.people.list_invitations(self.services.clock()),
            partners=[("", "the hub"), *((p.slug, p.name) for p in store.accounts.list_partners())],
            hub_roles=sorted(HUB_ROLES),
            partner_roles=sorted(set(Role) - HUB_ROLES),
            form=form,
            link=link,
        )

    def invite(self) -> ResponseReturnValue:
        """Invite a person; the page shows the link once."""
        form = {name: text_field(name, 300) for name in ("mailbox", "partner", "full_name")}
        actor = context().who.login
        known = self.services.store.people.find_by_login(form["mailbox"])
        is_same = known is not None and known.partner == form["partner"]
        try:
            roles = frozenset(map(Role, request.form.getlist("roles")))
            invitation = Invitation(
                id="",
                login=form["mailbox"],
                name=form["full_name"],
                partner=form["partner"],
                roles=roles,
                until=0,
                by=actor,
                person=known.id if known is not None and is_same else "",
            )
            if not form["mailbox"]:
                raise Malformed("enter the person's mailbox")
            check_roles(roles, is_of_hub=not form["partner"])
            text = f"Invite {form['mailbox']} as {', '.join(sorted(roles))}."
            if known is not None and is_same:
                text = _EFFECT_ON_KNOWN.format(known.login, ", ".join(sorted(known.roles)))
            waits = ask_second(self.services, text, partner=form["partner"])
            if waits is not None:
                return waits
            secret = self.services.people.invite(invitation)
        except (ShareError, ValueError) as error:
            place = "roles" if "role" in str(error) else "mailbox"
            return self._list({place: sentence(error)}, form, 422)
        return self._list({}, {}, 200, f"{self.services.origin()}/invitation/{secret}")

    def change(self, id: str) -> ResponseReturnValue:
        """Change the roles of a person, lock it out or let it in, or remove it."""
        person, actor = self._require(id), context().who.login
        people, act = self.services.people, text_field("act")
        match act:
            case "roles":
                roles = [Role(each) for each in request.form.getlist("roles") if each in set(Role)]
                waits = ask_second(
                    self.services,
                    f"Give {person.login} the roles {', '.join(sorted(roles))}.",
                    {"roles": person.roles},
                    partner=person.partner,
                    raises=not person.roles.issuperset(roles),
                )
                if waits is not None:
                    return waits
                people.set_roles(person.login, roles, actor)
            case "disable":
                people.set_disabled(person.login, actor, disabled=True)
            case "enable":
                text = f"Let {person.login} in again."
                waits = ask_second(self.services, text, partner=person.partner)
                if waits is not None:
                    return waits
                people.set_disabled(person.login, actor, disabled=False)
            case "factors":
                people.remove_second_factors(person.login, actor)
            case "remove":
                people.remove(person.login, actor)
            case _:
                raise Malformed("choose what to change")
        return go("/admin/people")

    def withdraw_invitation(self, id: str) -> ResponseReturnValue:
        """End an invitation that was not taken."""
        self.services.people.withdraw_invitation(id, context().who.login)
        return go("/admin/people")

    def _require(self, id: str) -> Person:
        found = self.services.store.people.find(id)
        if found is None:
            raise NotFound("there is no such person")
        return found


@dataclass(frozen=True, slots=True)
class ExclusionPages:
    """The exclusion list."""

    services: ConsoleServices

    def list_exclusions(self) -> ResponseReturnValue:
        """All excluded values."""
        return self._list({}, {}, 200)

    def _list(self, errors: Form, form: Form, status: int) -> Response:
        return _page(
            "admin_exclusions.html",
            "exclusions",
            errors,
            status,
            exclusions=self.services.store.exclusions.list(),
            form=form,
            revoked=number_field("revoked", -1),
        )

    def add(self) -> ResponseReturnValue:
        """Refuse a value from now on, and revoke what is published on it."""
        form = sent_fields(("value", "reason"))
        if errors := find_too_long(form, _LONGEST_EXCLUSION):
            return self._list(errors, form, 422)
        try:
            _, revoked = self.services.lifecycle.exclude(
                form["value"], context().who.login, form["reason"]
            )
        except ShareError as error:
            return self._list({"value": sentence(error)}, form, status_of(error))
        return go(f"/admin/exclusions?revoked={revoked}")

    def remove(self) -> ResponseReturnValue:
        """Take a value off the list."""
        self.services.lifecycle.readmit([text_field("value", 2_000)], context().who.login)
        return go("/admin/exclusions")


@dataclass(frozen=True, slots=True)
class JournalPages:
    """The journal."""

    services: ConsoleServices

    def list_entries(self) -> ResponseReturnValue:
        """The newest entries that the filter selects, 50 a page."""
        given = {
            name: request.args.get(name, "")[:300] for name in ("who", "act", "about", "since")
        }
        errors, since = {}, 0
        if given["since"]:
            try:
                since = micros(_as_time(given["since"]))
            except ShareError:
                errors["since"] = "Write the time like 2026-01-31 or 2026-01-31T08:00:00Z, in UTC."
        before = request.args.get("before", "")
        before = before if before.isdecimal() and len(before) < _MOST_DIGITS else "0"
        wanted = JournalFilter(since, given["act"], given["who"], given["about"])
        entries = list(islice(self.services.store.journal.search(wanted, int(before)), _PAGE + 1))
        more = entries[_PAGE - 1].sequence if len(entries) > _PAGE else 0
        return _page(
            "admin_journal.html",
            "journal",
            errors=errors,
            given=given,
            entries=[(each, _details(each)) for each in entries[:_PAGE]],
            more=more,
        )

    def export(self) -> ResponseReturnValue:
        """The entries after a number in order, a JSON object on each line; at most 50,000."""
        after = request.args.get("after", "0")
        start = int(after) if after.isdecimal() and len(after) < _MOST_DIGITS else 0
        found = islice(self.services.store.journal.entries(start), _MOST_EXPORTED)
        lines = (json.dumps(entry_as_json(entry)) + "\n" for entry in found)
        answer = flask.Response("".join(lines), content_type="application/x-ndjson")
        answer.headers["Content-Disposition"] = 'attachment; filename="journal.jsonl"'
        return answer


def _as_time(text: str) -> str:
    return f"{text}T00:00:00Z" if len(text) == len("2026-01-31") else text


def _details(entry: JournalEntry) -> str:
    return " · ".join(
        f"{name}: {value if isinstance(value, str | int) else json.dumps(value)}"
        for name, value in entry.details.items()
    )
