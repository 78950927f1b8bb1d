"""No look-up costs more, the more there was before: each has an index, on what grows."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener
from support.hub import HubInProcess, indicator, relationship, sdo, work_off
from support.stix_objects import TIME

from tocsin.admission.timestamps import DAY
from tocsin.server.intake.review_decisions import Chosen, ReviewDecision
from tocsin.server.model import Account, DecisionKind
from tocsin.server.person import Person, Role
from tocsin.server.reports.search import SearchFilters
from tocsin.server.store import Store
from tocsin.server.store.journal import JournalFilter

SMALL = {
    *("agreements", "collections", "delivery_marks", "exclusions", "heads", "hub_state", "outbox"),
    *("packing", "partners", "scopes"),
}
"""They hold what there is few of, and are read as wholes."""
WHOLE = ("accounts", ())
"""All accounts, of which there are a few for each partner: who can have received an object."""


class CommandLog(CommandListener):
    """Remembers what was looked up, once for each kind of query."""

    def __init__(self) -> None:
        self.filters: dict[Any, Any] = {}

    def started(self, event: Any) -> None:
        command = event.command
        if event.command_name in ("find", "findAndModify"):
            query = command.get("filter", command.get("query", {}))
            place = command[event.command_name]
            self.filters[place, tuple(query)] = query, command.get("sort", {})

    def succeeded(self, event: Any) -> None:
        """Nothing to remember."""

    def failed(self, event: Any) -> None:
        """Nothing to remember."""


@pytest.fixture
def recorder() -> Any:
    return CommandLog()


@pytest.fixture
def hub(engine_uri: str, recorder: Any) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](engine_uri, event_listeners=[recorder]) as client:
        name = f"test_{uuid.uuid4().hex}"
        store = Store(client, name)
        store.prepare()
        hub = HubInProcess(store)
        recorder.filters.clear()  # of the test itself, which copies what a new hub founds
        yield hub
        client.drop_database(name)


def live(hub: Any) -> None:
    """All that a submission can lead to."""
    ends = indicator("one.top"), sdo("malware", name="m", is_family=False)
    joined = relationship(ends[0], "indicates", ends[1])
    listed = sdo("report", name="r", published=TIME, object_refs=[joined["id"], ends[0]["id"]])
    for each in (listed, joined, *ends):
        hub.push(each)
    for name in ("one", "two"):
        hub.push(held := indicator(f"{name}.acme.example"))
    hub.push(held | {"revoked": True})
    for review in hub.store.reviews.list_waiting("acme"):
        hub.services.intake.reviewer.release(review, "analyst")
    decide_in_console(hub)
    hub.sweep()
    work_off(hub.services.retention.work)
    hub.services.lifecycle.exclude("one.top", "analyst", "enough")
    hub.push(sdo("malware", name="m"), to="scratch")
    hub.store.deliveries.begin(alone=True)
    list(hub.store.journal.search(JournalFilter(actor="analyst", about="one.top")))
    newest = hub.store.submissions.list_of_partner("acme", 1)[0]
    list(hub.store.submissions.list_of_partner("acme", 10, (newest.received, newest.id)))
    for query in ({"added_after": TIME}, {"match[type]": "indicator"}, {"match[id]": joined["id"]}):
        hub.feed("green", **query)
    hub.store.deliveries.end()
    list(hub.store.deliveries.of_collections([hub.collection("green").id], hub.store.clock()))
    hub.store.deliveries.gaps()
    hub.store.deliveries.last_polls_of("acme")
    list(hub.store.purges.undecided_bodies())
    hub.store.partner_data.submission_ids("acme")
    hub.store.reviews.list_all("acme")
    hub.services.monitor.format_metrics()
    look(hub)


def look(hub: Any) -> None:
    """All that people look at, and what fills it."""
    services, operator = hub.services, Account("operator", "", operator=True)
    while hub.store.values.index_next(fewest=1) or hub.store.statistics.count_next():
        pass
    hub.store.statistics.forget()
    for text in ("two.top", "91.198.22.70", "", "m"):
        found = services.search.search(operator, text, SearchFilters(until=hub.store.clock()))
        for hit in found.hits[:3]:
            services.object_reports.report(operator, hit.id)
    services.search.search(operator, "m", SearchFilters(partner="acme"))
    services.statistics.by_day(operator, 90)
    services.statistics.pollers(operator)
    services.statistics.value_returned(operator, "acme")


def decide_in_console(hub: Any) -> None:
    """The queries of reviewers in the console."""
    person = Person("p", "jane@hub.example", "Jane", "", frozenset({Role.REVIEWER}))
    hub.store.people.add(person)
    hub.push(*(indicator(f"{name}.acme.example") for name in ("three", "four")))
    decisions, acts = hub.services.intake.decisions, hub.store.review_acts
    for each in hub.store.reviews.list_waiting("acme"):
        hub.store.review_queue.look()
        hub.store.reviews.list_titles([each.id])
        hub.store.review_queue.claim(each.id, person.id, person.login, hub.store.clock())
        chosen = [Chosen(each.id, each.revision)]
        act = decisions.decide_all(person, chosen, ReviewDecision(DecisionKind.REJECT))
        acts.find(act.id)
    decisions.withdraw(person, act.id)
    acts.list_latest(person.id)
    acts.list_pending(person.id)
    hub.store.review_queue.end_claims(person.id)
    acts.forget(0)
    hub.store.commit(lambda txn: txn.review_acts.remove_person(person.id))
    acts.forget_figures(hub.store.clock() // DAY)
    acts.answers("acme", "victim_terms")
    acts.median_turnaround(hub.store.clock(), 7)


@pytest.mark.slow
def test_every_query_has_one(hub: Any, recorder: Any) -> None:
    live(hub)
    base, scans = hub.store._base, []
    for (place, fields), (query, order) in dict(recorder.filters).items():
        if place in SMALL or (place, fields) == WHOLE:
            continue
        command = {"find": place, "filter": query} | ({"sort": order} if order else {})
        plan = base.command("explain", command, verbosity="queryPlanner")
        if "COLLSCAN" in json.dumps(plan["queryPlanner"]["winningPlan"], default=str):
            scans.append((place, fields))
    assert scans == []
