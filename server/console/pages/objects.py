"""The page of one published object: what is published, how it came about, who received it.

A person sees what `ObjectReports` gives for their rights.  An object that they may not read is
answered like one that never existed, for acts too.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

import flask
import orjson
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.model import AssessmentKind, StixObject
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.stix.object_titles import object_title, single_value
from tocsin.admission.stix.sightings_and_opinions import (
    REPEAT_WINDOW,
    Observation,
    build_statement,
)
from tocsin.server.console.differences import compare_versions, list_properties
from tocsin.server.console.drawings import Graph, draw_confidence, draw_graph
from tocsin.server.console.forms import go, show_again, text_field
from tocsin.server.console.middleware import status_of
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.console.texts import LONGEST, defang
from tocsin.server.model import Collection, CollectionKind, Receipt, RevocationReason
from tocsin.server.person import Role
from tocsin.server.reports.object_report import ObjectReport, PublishedCopy, Relation
from tocsin.server.reports.receivers import split_receivers
from tocsin.server.store.journal import JournalFilter

_STATE = (Role.ANALYST, Role.OPERATOR)
_REVOKE = (Role.OPERATOR, Role.REVIEWER)
_PURGE = (Role.OPERATOR,)
_SEE_JOURNAL = (Role.OPERATOR, Role.AUDITOR)
_LONGEST_ID = 300
_MOST_DIGITS = 6
_MOST_VERSIONS = 50
"""Versions of one collection to which the page links."""
_MOST_ENTRIES = 20
"""Entries of the journal on the page."""
_LONGEST_WHOLE = 100_000
"""Characters of a text where somebody asks for all of it."""
_TYPED = 6
"""Characters of the value that are typed before it is purged."""
_HIDDEN = frozenset(
    {"type", "spec_version", "id", "created_by_ref", "object_marking_refs", "external_references"}
)
_PUBLISHER = ("created_by_ref", "hub_ref")
_ATTACK = re.compile(r"(TA|T|S|G|M|C|DS)\d{4}(\.\d{3})?")
_ATTACK_PATHS = {
    "TA": "tactics", "T": "techniques", "S": "software", "G": "groups", "M": "mitigations",
    "C": "campaigns", "DS": "datasources",
}  # fmt: skip
_CVE = re.compile(r"CVE-\d{4}-\d{4,10}")
_STATEMENTS = {
    AssessmentKind.SIGHTING.value: "sighting",
    AssessmentKind.FALSE_POSITIVE.value: "false alarm",
    AssessmentKind.OTHER.value: "another opinion",
}
DONE = {
    "seen": "Your sighting was taken. It counts at the latest when the quiet period ends.",
    "false-alarm": "Your false alarm was taken. False alarms count at once.",
    "repeated": "Your organisation reported this within the last hour. It was not counted again.",
    "held": "What you reported waits for a reviewer.",
    "refused": "What you reported was refused; the submission says why.",
    "queued": "What you reported is stored and will be examined in a moment.",
    "withdrawn": "What you reported of it was withdrawn.",
    "lead": "Another report leads from now on.",
    "revoked": "The object was revoked.",
    "requested": "The purge waits for a second operator.",
    "declined": "The request to purge it was declined.",
    "purging": "The object was revoked for good. Its content is deleted within a minute.",
}
"""The text of the status line after an act."""


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    objects, acts = ObjectDetails(services), ObjectActs(services)
    pages.add("/objects/<id>", objects.show, EVERYBODY)
    pages.add("/objects/<id>/statement", acts.state, _STATE, ("POST",))
    pages.add("/objects/<id>/withdraw", acts.withdraw, (Role.ANALYST,), ("POST",))
    pages.add("/objects/<id>/lead", acts.lead, _REVOKE, ("POST",))
    pages.add("/objects/<id>/revoke", acts.ask_to_revoke, _REVOKE)
    pages.add("/objects/<id>/revoke", acts.revoke, _REVOKE, ("POST",))
    pages.add("/objects/<id>/purge", acts.ask_to_purge, _PURGE)
    pages.add("/objects/<id>/purge", acts.purge, _PURGE, ("POST",))
    pages.add("/objects/<id>/purge/confirm", acts.confirm, _PURGE, ("POST",))
    pages.add("/objects/<id>/purge/decline", acts.decline, _PURGE, ("POST",))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The published copy and the versions of it that the page shows, counted from 1."""

    copy: PublishedCopy
    number: int
    compared: int
    """0: none."""

    @property
    def body(self) -> StixObject:
        """The version that is shown."""
        return _parse(self.copy, self.number)

    @property
    def former(self) -> StixObject:
        """The version with which it is compared."""
        return _parse(self.copy, self.compared)


@dataclass(frozen=True, slots=True)
class Reference:
    """An external reference; `link` is the hub's own, empty if there is none."""

    name: str
    id: str
    text: str
    link: str


@dataclass(frozen=True, slots=True)
class ObjectDetails:
    """Shows one object."""

    services: ConsoleServices

    def show(self, id: str) -> ResponseReturnValue:
        """The object, in one of its published copies and versions."""
        report = find_report(self.services, id)
        chosen = _choose(report)
        body = chosen.body
        whole = request.args.get("whole") == "1"
        relations = _shown_relations(report.relations.listed)
        return flask.render_template(
            "object.html",
            section=f"{ROOT}/search",
            report=report,
            value=value_of(report.body),
            hub=context().who.is_of_hub,
            chosen=chosen,
            versions=_version_numbers(chosen),
            properties=list_properties(body, _hidden(body)),
            changes=compare_versions(chosen.former, body, _HIDDEN) if chosen.compared else None,
            references=read_references(body),
            longest=_LONGEST_WHOLE if whole else LONGEST,
            has_long=not whole and any(len(t) > LONGEST for t in _texts(body)),
            relations=relations,
            graph=self._graph(relations),
            statements=_STATEMENTS,
            bars=_bars(report),
            entries=self._entries(id),
            may=self._acts(report),
            request_to_purge=self._purge_request(id),
            is_purging=context().who.is_of_hub and self.services.store.purges.find(id) is not None,
            done=DONE.get(request.args.get("done", ""), ""),
            sent=_uuid(request.args.get("sent", "")),
        )

    def _graph(self, relations: Sequence[Relation]) -> Graph | None:
        wanted = request.args.get("relations") == "graph"
        return draw_graph(relations) if wanted and relations else None

    def _entries(self, id: str) -> list[object]:
        """The latest entries of the journal about the object; for the hub's own people."""
        if not context().who.is_of_hub:
            return []
        found = self.services.store.journal.search(JournalFilter(about=id))
        return list(islice(found, _MOST_ENTRIES))

    def _purge_request(self, id: str) -> object:
        return self.services.store.purges.find_request(id) if context().who.is_of_hub else None

    def _acts(self, report: ObjectReport) -> dict[str, bool]:
        """The acts that the page offers to this person."""
        who = context().who
        return {
            "state": report.in_force
            and report.type == "indicator"
            and who.has(*_STATE)
            and _find_inbox() is not None,
            "withdraw": who.has(Role.ANALYST) and not who.is_of_hub and bool(report.contributions),
            "lead": who.has(*_REVOKE) and not report.revoked,
            "revoke": who.has(*_REVOKE) and not report.revoked and _is_in_feed(report),
            "purge": who.has(*_PURGE) and not _is_purged(report),
            "journal": who.has(*_SEE_JOURNAL),
        }


@dataclass(frozen=True, slots=True)
class ObjectActs:
    """The acts on an object, each with its form."""

    services: ConsoleServices

    def state(self, id: str) -> ResponseReturnValue:
        """Submit that an indicator was seen, or that it raises false alarms."""
        report = find_report(self.services, id)
        inbox = _find_inbox()
        if report.type != "indicator" or report.revoked or inbox is None:
            raise NotFound("there is no such page")
        is_false_alarm = text_field("statement") == "false-alarm"
        if self._has_reported_lately(report, is_false_alarm=is_false_alarm):
            return _back(id, "repeated")
        observation = Observation(false_alarm=is_false_alarm)
        statement = build_statement(report.body, observation, self.services.clock(), uuid.uuid4())
        one = orjson.dumps(statement)
        raw = b'{"objects":[' + one + b"]}"
        rights, every = context().rights, context().collections
        receipt = self.services.intake.receive(rights, inbox, [one], raw, every)
        outcome = _outcome(receipt, "false-alarm" if is_false_alarm else "seen")
        return _back(id, outcome, receipt.submission.id)

    def _has_reported_lately(self, report: ObjectReport, *, is_false_alarm: bool) -> bool:
        """True if the person's partner has stated the same within the last hour."""
        kind = AssessmentKind.FALSE_POSITIVE if is_false_alarm else AssessmentKind.SIGHTING
        since = self.services.clock() - REPEAT_WINDOW
        own = (each for each in report.assessments if each.partner == context().who.partner)
        return any(each.kind is kind and each.when >= since for each in own)

    def withdraw(self, id: str) -> ResponseReturnValue:
        """Withdraw what the person's partner reported of the object."""
        report, who = find_report(self.services, id), context().who
        if who.is_of_hub or not report.contributions:
            raise NotFound("there is no such page")
        reason = text_field("reason", 1_000) or "in the console"
        self.services.partner_data.withdraw(who.partner, [id], who.login, reason)
        return _back(id, "withdrawn")

    def lead(self, id: str) -> ResponseReturnValue:
        """Let a partner's report lead; none: the most reliable source leads again."""
        find_report(self.services, id)
        self.services.lifecycle.lead(id, text_field("partner", 100), context().who.login)
        return _back(id, "lead")

    def ask_to_revoke(self, id: str) -> ResponseReturnValue:
        """Show the effects of a revocation, in numbers, and the form for its reason.

        Somebody else may have revoked the object meanwhile: then its page says so.
        """
        if find_report(self.services, id).revoked:
            return go(f"/objects/{quote(id, safe='')}")
        return self._ask("object_revoke.html", id, {})

    def _ask(
        self, template: str, id: str, errors: Mapping[str, str], status: int = 200
    ) -> Response:
        report = find_report(self.services, id)
        value = value_of(report.body)
        return show_again(
            template,
            errors,
            status,
            section=f"{ROOT}/search",
            report=report,
            value=value,
            feeds=[c for c in report.copies if c.collection.kind is CollectionKind.FEED],
            typed=_typed_text(value, id),
            four_eyes=self.services.settings.four_eyes,
            received=split_receivers(report.private.received if report.private else ()),
            form={name: text_field(name, 1_000) for name in ("reason", "typed")},
        )

    def revoke(self, id: str) -> ResponseReturnValue:
        """Revoke the object in every feed."""
        reason = text_field("reason", 1_000)
        find_report(self.services, id)
        if not reason:
            errors = {"reason": "Enter a reason. The journal keeps it."}
            return self._ask("object_revoke.html", id, errors, 422)
        self.services.lifecycle.revoke(id, context().who.login, reason)
        return _back(id, "revoked")

    def ask_to_purge(self, id: str) -> ResponseReturnValue:
        """Show what a purge deletes, and the form that asks for the end of the value.

        It may have been purged already: then its page says so.
        """
        if _is_purged(find_report(self.services, id)):
            return go(f"/objects/{quote(id, safe='')}")
        return self._ask("object_purge.html", id, {})

    def purge(self, id: str) -> ResponseReturnValue:
        """Purge the object, or ask a second operator to."""
        report, reason = find_report(self.services, id), text_field("reason", 1_000)
        errors: dict[str, str] = {}
        if not reason:
            errors["reason"] = "Enter a reason. The journal keeps it."
        if not _is_typed(text_field("typed", 100), _typed_text(value_of(report.body), id)):
            errors["typed"] = "These are not the last six characters."
        if errors:
            return self._ask("object_purge.html", id, errors, 422)
        actor, purger = context().who.login, self.services.purger
        four_eyes = self.services.settings.four_eyes
        try:
            (purger.request if four_eyes else purger.begin)(id, actor, reason)
        except Malformed as error:
            errors = {"reason": str(error)}
            return self._ask("object_purge.html", id, errors, status_of(error))
        return _back(id, "requested" if four_eyes else "purging")

    def confirm(self, id: str) -> ResponseReturnValue:
        """Purge what another operator asks to purge."""
        find_report(self.services, id)
        self.services.purger.confirm(id, context().who.login)
        return _back(id, "purging")

    def decline(self, id: str) -> ResponseReturnValue:
        """Drop the request to purge the object."""
        find_report(self.services, id)
        self.services.purger.decline(id, context().who.login)
        return _back(id, "declined")


def find_report(services: ConsoleServices, id: str) -> ObjectReport:
    """The report on an object for the person; NotFound as for an object that never was."""
    if len(id) > _LONGEST_ID:
        raise NotFound("there is no such object")
    return services.object_reports.report(context().rights, id)


def value_of(body: StixObject) -> str:
    """The value that an object is about, else its title, else its id."""
    pattern = body.get("pattern")
    title = pattern if isinstance(pattern, str) else object_title(body)
    return single_value(title) or str(body["id"])


def read_references(body: StixObject) -> list[Reference]:
    """The external references; links only to ATT&CK and CVE, and only by their id."""
    found = body.get("external_references")
    return [
        Reference(
            str(each.get("source_name", "")),
            str(each.get("external_id", "")),
            "\n".join(str(each[name]) for name in ("description", "url") if each.get(name)),
            _own_link(str(each.get("source_name", "")), str(each.get("external_id", ""))),
        )
        for each in (found if isinstance(found, list) else ())[:100]
        if isinstance(each, dict)
    ]


def _own_link(name: str, id: str) -> str:
    """The page of an id of ATT&CK or CVE; empty for all others."""
    if name == "cve" and _CVE.fullmatch(id):
        return f"https://www.cve.org/CVERecord?id={id}"
    found = _ATTACK.fullmatch(id) if name.startswith("mitre-") else None
    if found is None:
        return ""
    return f"https://attack.mitre.org/{_ATTACK_PATHS[found[1]]}/{id.replace('.', '/')}/"


def _choose(report: ObjectReport) -> _Chosen:
    """The copy, version and comparison that the URL names; else the fullest and the current one.

    Of several copies that are as full, that of the collection with most readers.
    """
    name = request.args.get("level", "")
    copies = {_name(each.collection): each for each in report.copies}
    fullest = report.copies[-1].current.body
    widest = next(each for each in report.copies if each.current.body == fullest)
    copy = copies.get(name, widest)
    total = len(copy.versions)
    current = copy.versions.index(copy.current) + 1
    number = _number("version", total) or current
    compared = _number("compare", total)
    return _Chosen(copy, number, compared if compared != number else 0)


def _name(collection: Collection) -> str:
    return collection.alias or collection.id


def _number(name: str, most: int) -> int:
    text = request.args.get(name, "")
    number = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    return number if number <= most else 0


def _parse(copy: PublishedCopy, number: int) -> StixObject:
    parsed: StixObject = orjson.loads(copy.versions[number - 1].body)
    return parsed


def _version_numbers(chosen: _Chosen) -> list[int]:
    """The versions to which the page links, the newest first."""
    total = len(chosen.copy.versions)
    return list(range(total, max(0, total - _MOST_VERSIONS), -1))


def _shown_relations(every: Sequence[Relation]) -> list[Relation]:
    """The relations by kind, but those to the identity in whose name the object is published."""
    shown = [each for each in every if not (each.outgoing and each.kind in _PUBLISHER)]
    return sorted(shown, key=lambda each: (not each.outgoing, each.kind, each.title, each.id))


def _bars(report: ObjectReport) -> list[object]:
    steps = report.private.confidence if report.private else None
    return [*draw_confidence(steps)] if steps is not None else []


def _hidden(body: StixObject) -> frozenset[str]:
    """The properties that the page shows in another way, or not at all."""
    extensions = body.get("extensions")
    is_own = isinstance(extensions, dict) and set(extensions) == {EXTENSION_ID}
    return _HIDDEN | {"extensions"} if is_own else _HIDDEN


def _texts(body: StixObject) -> list[str]:
    return [line for each in list_properties(body, _HIDDEN) for line in each.lines]


def _is_in_feed(report: ObjectReport) -> bool:
    return any(each.collection.kind is CollectionKind.FEED for each in report.copies)


def _find_inbox() -> Collection | None:
    """The inbox to which the person submits; the hub's operators may use any."""
    here = context()
    every = here.collections if here.who.is_of_hub else here.writable()
    return next((each for each in every if each.kind is CollectionKind.INBOX), None)


def _outcome(receipt: Receipt, done: str) -> str:
    """The word for the status line: what became of the only object of a submission."""
    verdicts = {each.verdict for each in receipt.records}
    if not verdicts:
        return "queued"
    return next((each for each in ("held", "refused") if each in verdicts), done)


def _back(id: str, done: str, submission: str = "") -> Response:
    sent = f"&sent={submission}" if submission else ""
    return go(f"/objects/{quote(id, safe='')}?done={done}{sent}")


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return ""


def _typed_text(value: str, id: str) -> str:
    """The text whose last six characters are typed: the value, if a keyboard can write its end."""
    end = value[-_TYPED:]
    return value if len(end) == _TYPED and end.isascii() and end.isprintable() else id


def _is_purged(report: ObjectReport) -> bool:
    """True if nothing is left that a purge could delete; the command can repeat it all the same."""
    private = report.private
    reason = private.revocation_reason if private is not None else ""
    return reason == RevocationReason.PURGED and not report.contributions


def _is_typed(typed: str, text: str) -> bool:
    """True for the last six characters, also as they stand in the defanged value."""
    return typed in {text[-_TYPED:], defang(text)[-_TYPED:]}
