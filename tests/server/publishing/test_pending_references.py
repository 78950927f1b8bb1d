"""References are kept whole, and the order in which objects come does not matter."""

import itertools
import json
import random
import uuid
from dataclasses import replace
from typing import Any

import pytest
from support.clock import hub_extension
from support.hub import (
    AMBER,
    GREEN,
    RED,
    HubInProcess,
    details,
    findings,
    indicator,
    relationship,
    sdo,
)
from support.observables import sco
from support.presence import present
from support.statement_marking import STATEMENT

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.merge.identity import observable_id
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.stix.references import RewrittenReferences
from tocsin.server.model import Collection, CollectionKind, Partner
from tocsin.server.publishing.public_ids import PublicIds, published_layers
from tocsin.server.store import Store

pytestmark = pytest.mark.slow

FEW = ("indicator", "malware", "relationship", "report", "sighting")
ALL = (*FEW, "observed-data", "domain-name", "ipv4-addr", "network-traffic")
SAMPLE = 24


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


def graph(tag: Any) -> Any:
    """Objects that refer to one another, by type; `tag` keeps them apart from other graphs."""
    number = int(tag[1:])
    address = sco("ipv4-addr", value=f"45.77.{number // 256}.{number % 256}")
    domain = sco("domain-name", value=f"{tag}.top", resolves_to_refs=[address["id"]])
    traffic = sco("network-traffic", dst_ref=address["id"], protocols=["tcp"])
    seen = sdo(
        "observed-data",
        first_observed="2026-01-01T00:00:00Z",
        last_observed="2026-01-01T00:00:00Z",
        number_observed=1,
        object_refs=[domain["id"], traffic["id"]],
        labels=[tag],
    )
    found = indicator(f"{tag}.top", labels=[tag])
    bad = sdo("malware", name=tag, is_family=True)
    joined = relationship(found, "indicates", bad, description=tag)
    sighted = sdo(
        "sighting", sighting_of_ref=found["id"], observed_data_refs=[seen["id"]], description=tag
    )
    members = [bad, joined, found, domain, sighted, seen]
    report = sdo(
        "report",
        name=tag,
        published="2026-01-01T00:00:00Z",
        object_refs=[each["id"] for each in members],
    )
    together = [found, bad, joined, report, sighted, seen, domain, address, traffic]
    return {each["type"]: each for each in together}


def push_in_orders(hub: Any, orders: Any) -> None:
    """Each order with a graph of its own, object by object in separate submissions."""
    graphs = [(f"n{number}", order) for number, order in enumerate(orders)]
    whole = {tag: graph(tag) for tag, _ in graphs}
    for step in range(len(orders[0])):
        hub.push(*(whole[tag][order[step]] for tag, order in graphs))


_OF_THE_HUB = ("created", "modified", "extensions")


def described_graphs(hub: Any, feed: Any, tags: Any) -> Any:
    """Each graph as a feed shows it, with names for ids; without stamps and the hub's figures.

    Figures that only rise wait for the quiet period, so they depend on the order of arrival.
    """
    found = {o["id"]: o for o in read(hub, feed)}
    name_of = {id: f"{o['type']}--of-{tag}" for id, o in found.items() if (tag := tag_of(o, found))}
    said: dict[Any, list[Any]] = {tag: [] for tag in tags}
    for id, each in found.items():
        tag = name_of[id].partition("--of-")[2]
        body = {k: v for k, v in each.items() if k not in _OF_THE_HUB}
        text = json.dumps(body, sort_keys=True)
        for other in sorted(references_in(body)):
            text = text.replace(other, name_of.get(other, "elsewhere"))
        text = text.replace(id, name_of[id]).replace(f"of-{tag}", "of-it").replace(tag, "it")
        said[tag].append(text.replace(each.get("value", "no value"), "value"))
    return {tag: sorted(texts) for tag, texts in said.items()}


def read(hub: Any, feed: Any) -> Any:
    found, query = [], {"limit": 500}
    while True:
        page = hub.ask(f"collections/{feed}/objects/", query_string=query).json
        found += page.get("objects", [])
        if not page.get("more"):
            own = ("identity", "marking-definition", "extension-definition")
            return [each for each in found if each["type"] not in own]
        query["next"] = page["next"]


def tag_of(subject: Any, found: Any) -> Any:
    for name in ("name", "description"):
        if name in subject:
            return subject[name]
    if subject["type"] == "network-traffic":
        return tag_of(found[subject["dst_ref"]], found)
    if subject["type"] == "ipv4-addr":
        third, fourth = subject["value"].split(".")[2:]
        return f"n{int(third) * 256 + int(fourth)}"
    return subject.get("labels", [subject.get("value", "").partition(".")[0]])[0]


def references_in(body: Any) -> Any:
    refs = [v for k, v in body.items() if k.endswith("_ref")]
    refs += [each for k, v in body.items() if k.endswith("_refs") for each in v]
    return {ref for ref in refs if not ref.startswith(("marking-definition--", "identity--"))}


class TestOrder:
    @pytest.mark.slow
    @pytest.mark.long
    def test_every_order_of_a_few_objects_gives_the_same_feed(self, hub: HubInProcess) -> None:
        orders = list(itertools.permutations(FEW))
        push_in_orders(hub, orders)
        said = described_graphs(hub, "green", [f"n{number}" for number in range(len(orders))])
        assert len(said["n0"]) == len(FEW)
        assert {tuple(texts) for texts in said.values()} == {tuple(said["n0"])}

    def test_the_order_of_a_graph_with_observables_does_not_matter(self, hub: HubInProcess) -> None:
        chosen = random.Random(7)
        orders = [chosen.sample(ALL, len(ALL)) for _ in range(SAMPLE)]
        push_in_orders(hub, [ALL, ALL[::-1], *orders])
        said = described_graphs(hub, "green", [f"n{number}" for number in range(SAMPLE + 2)])
        assert len(said["n0"]) == len(ALL)
        assert "elsewhere" not in str(said["n0"])
        assert {tuple(texts) for texts in said.values()} == {tuple(said["n0"])}

    def test_the_order_within_one_submission_does_not_matter(self, hub: HubInProcess) -> None:
        hub.push(*graph("n1").values())
        push_in_orders(hub, [ALL[::-1]])
        said = described_graphs(hub, "green", ["n0", "n1"])
        assert said["n0"] == said["n1"]


def waiting_grouping(*members: Any) -> Any:
    """A grouping of these objects and of one that never comes."""
    refs = [*(each["id"] for each in members), f"indicator--{uuid.uuid4()}"]
    return sdo("grouping", context="malware-analysis", object_refs=refs)


class TestCompleting:
    def test_a_report_is_out_at_once_and_completed_when_its_members_come(
        self, hub: HubInProcess
    ) -> None:
        first, late = indicator("one.top"), indicator("two.top")
        refs = [late["id"], first["id"]]
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z", object_refs=refs)
        hub.push(first, report)
        [early] = [o for o in hub.feed("green") if o["type"] == "report"]
        hub.push(late)
        full = {o["type"]: o for o in hub.feed("green")}["report"]
        names = {o["id"]: o.get("pattern") for o in hub.feed("green")}
        assert [names[ref] for ref in early["object_refs"]] == [first["pattern"]]
        assert [names[ref] for ref in full["object_refs"]] == [late["pattern"], first["pattern"]]
        assert full["id"] == early["id"] and full["modified"] > early["modified"]

    def test_an_arrival_that_completes_nothing_makes_no_version(self, hub: HubInProcess) -> None:
        member = indicator("one.top")
        refs = [member["id"], f"indicator--{uuid.uuid4()}"]
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z", object_refs=refs)
        hub.push(member, report)
        before = hub.feed("green")
        hub.push(indicator("else.top", object_marking_refs=[AMBER]))
        assert hub.feed("green") == before

    def test_an_id_that_stands_for_something_else_completes_what_waits(
        self, hub: HubInProcess
    ) -> None:
        member = indicator("one.top")
        hub.push(member, waiting_grouping(member))
        other = indicator("two.top") | {n: member[n] for n in ("id", "created", "modified")}
        hub.push(other)
        grouping, public = (
            next(o for o in hub.feed("green") if o["type"] == kind and not o.get("revoked"))
            for kind in ("grouping", "indicator")
        )
        assert (grouping["object_refs"], public["pattern"]) == ([public["id"]], other["pattern"])

    def test_a_hidden_arrival_shows_nothing_that_has_changed_before(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("watch", "Watch"), ("clear", "green"))
        member, hidden = indicator("one.top"), sco("domain-name", value="hidden.top")
        hub.push(member, waiting_grouping(member, hidden), who="watch")
        hub.push(
            indicator("two.top") | {n: member[n] for n in ("id", "created", "modified")},
            who="watch",
        )
        before = hub.feed("green", **{"match[version]": "all"})
        hub.push(hidden | {"object_marking_refs": [AMBER]}, who="north")
        assert hub.feed("green", **{"match[version]": "all"}) == before
        hub.push(hidden | {"object_marking_refs": [GREEN]}, who="north")
        grouping = next(o for o in hub.feed("green") if o["type"] == "grouping")
        assert len(grouping["object_refs"]) == 2

    def test_what_is_named_by_its_own_and_its_public_id_may_be_hidden_from_its_sender(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("watch", "Watch"), ("clear", "green"))
        seen, public = indicator("one.top"), sco("domain-name", value="hidden.top")
        hidden = public | {"id": f"domain-name--{uuid.uuid4()}", "object_marking_refs": [AMBER]}
        hub.push(seen, waiting_grouping(seen, hidden, public), who="watch")
        assert hub.verdicts(hub.push(hidden, who="watch")) == ["admitted"]
        counts = {
            feed: len(each["object_refs"])
            for feed in ("green", "amber")
            for each in hub.feed(feed)
            if each["type"] == "grouping"
        }
        assert counts == {"green": 1, "amber": 2}

    def test_a_hidden_arrival_does_not_drop_a_reference_to_what_has_gone_meanwhile(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("watch", "Watch"), ("clear", "green"))
        gone, hidden = (sco("domain-name", value=f"{name}.top") for name in ("gone", "hidden"))
        hub.push(gone | {"object_marking_refs": [GREEN]}, who="acme")
        hub.push(waiting_grouping(gone, hidden), who="watch")
        hub.services.partner_data.withdraw("acme", [gone["id"]], "operator", "a mistake")
        before = hub.feed("green", **{"match[version]": "all"})
        assert len(next(o for o in before if o["type"] == "grouping")["object_refs"]) == 1
        hub.push(hidden | {"object_marking_refs": [AMBER]}, who="north")
        assert hub.feed("green", **{"match[version]": "all"}) == before

    def test_a_member_that_only_others_may_see_is_in_their_copy(self, hub: HubInProcess) -> None:
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z")
        seen, hidden = indicator("one.top"), indicator("two.top", object_marking_refs=[AMBER])
        report["object_refs"] = [seen["id"], hidden["id"]]
        hub.push(seen, hidden, report)
        counts = {
            feed: len(o["object_refs"])
            for feed in ("green", "amber")
            for o in hub.feed(feed)
            if o["type"] == "report"
        }
        assert counts == {"green": 1, "amber": 2}

    def test_an_end_that_another_partner_sends_later_joins_the_relationship(
        self, hub: HubInProcess
    ) -> None:
        address = sco("ipv4-addr", value="45.77.1.1")
        found = indicator("one.top")
        joined = relationship(found, "based-on", address)
        assert hub.verdicts(hub.push(found, joined, who="acme")) == ["admitted", "held"]
        hub.push(address, who="north")
        [out] = [o for o in hub.feed("green") if o["type"] == "relationship"]
        assert out["target_ref"] == address["id"]

    @pytest.mark.parametrize("time", ["2026-01-01T02:00:00+02:00", "2026-01-01T23:59:60Z", "x"])
    def test_a_version_in_a_strange_spelling_keeps_nobody_else_waiting(
        self, hub: HubInProcess, time: str
    ) -> None:
        address = sco("ipv4-addr", value="45.77.1.1")
        strange, plain = indicator("one.top"), indicator("two.top")
        hub.push(strange, relationship(strange, "based-on", address, modified=time), who="north")
        joined = relationship(plain, "based-on", address)
        assert hub.verdicts(hub.push(plain, joined)) == ["admitted", "held"]
        hub.push(address)
        found = [o for o in hub.feed("green") if o["type"] == "relationship"]
        assert len(found) == (1 if time == "x" else 2)
        assert not hub.store.reviews.list_waiting()

    def test_nobody_joins_what_another_calls_by_the_same_private_id(
        self, hub: HubInProcess
    ) -> None:
        private = sdo("malware", name="m", is_family=True)
        found = indicator("one.top")
        hub.push(found, relationship(found, "indicates", private), who="acme")
        hub.push(private, who="north")
        assert "relationship" not in {o["type"] for o in hub.feed("green")}

    def test_nothing_waits_for_what_was_refused(self, hub: HubInProcess) -> None:
        inside = sco("ipv4-addr", value="10.1.2.3")
        outside = sco("ipv4-addr", value="45.77.1.1")
        ends = {"src_ref": inside["id"], "dst_ref": outside["id"]}
        traffic = sco("network-traffic", protocols=["tcp"], **ends)
        orders = [
            [inside, outside, traffic],
            [traffic, outside, inside],
            [outside, traffic, inside],
        ]
        for number, order in enumerate(orders):
            for each in order:
                hub.push({**each, "protocols": [f"p{number}"]} if each is traffic else each)
        out = [o for o in hub.feed("green") if o["type"] == "network-traffic"]
        assert len(out) == 3
        assert all("src_ref" not in o and o["dst_ref"] == outside["id"] for o in out)

    def test_nothing_refers_to_what_is_held(self, hub: HubInProcess) -> None:
        joined = relationship(indicator("a.top"), "indicates", sdo("malware", name="m"))
        report = sdo(
            "report", name="r", published="2026-01-01T00:00:00Z", object_refs=[joined["id"]]
        )
        assert hub.verdicts(hub.push(report, joined)) == ["held", "held"]
        assert hub.feed("green") == []

    def test_what_an_analyst_refuses_is_waited_for_no_longer(self, hub: HubInProcess) -> None:
        inside = sco("domain-name", value="north.example")  # its own: a reviewer looks
        outside = sco("ipv4-addr", value="45.77.1.1")
        ends = {"src_ref": inside["id"], "dst_ref": outside["id"]}
        hub.push(outside, sco("network-traffic", protocols=["tcp"], **ends), inside, who="north")
        [review] = [r for r in hub.store.reviews.list_waiting() if r.rules != ("references",)]
        hub.services.intake.reviewer.reject(review, "analyst", "not for others")
        [traffic] = [o for o in hub.feed("green") if o["type"] == "network-traffic"]
        assert "src_ref" not in traffic

    def test_a_refused_object_that_is_sent_again_corrected_completes_others(
        self, hub: HubInProcess
    ) -> None:
        one, two = indicator("one.top"), indicator("two.top", object_marking_refs=[RED])
        refs = [two["id"], one["id"]]
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z", object_refs=refs)
        hub.push(one, two, report)
        right = {"object_marking_refs": [GREEN], "modified": "2026-02-01T00:00:00.000Z"}
        hub.push({**two, **right})
        assert [len(o["object_refs"]) for o in hub.feed("green") if o["type"] == "report"] == [2]

    def test_a_refused_object_that_is_sent_again_corrected_does_not_change_the_id_of_an_archive(
        self, hub: HubInProcess, archive: Any
    ) -> None:
        wrong = sco("file", name="q", hashes={"MD5": "zz"})
        hub.push(wrong, archive(wrong, MEMBER), MEMBER)
        [before] = [o for o in hub.feed("green") if "extensions" in o]
        hub.push({**wrong, "hashes": {"MD5": "1" * 32}})
        [after] = [o for o in hub.feed("green") if "extensions" in o]
        assert before == after

    def test_the_ids_of_a_submission_are_those_that_will_be_public(self) -> None:
        refused = Candidate(0, indicator()).refuse()
        sighted = sdo("sighting", sighting_of_ref=present(refused.object)["id"])
        noted = sdo("note", content="n", object_refs=[sighted["id"]])
        candidates = [
            Candidate(n, each, each["id"], tlp=Tlp.GREEN, scope="green", key=each["id"])
            for n, each in enumerate((noted, sighted, indicator()), 1)
        ]
        refused = replace(refused, source_id=present(refused.object)["id"])
        ids = PublicIds(uuid.UUID(int=7), {"id": "identity--1"})
        assert ids.assign([refused, *candidates], frozenset()).keys() == {candidates[2].source_id}

    def test_a_definition_that_came_before_is_known(self, hub: HubInProcess) -> None:
        statement = STATEMENT | {"definition": {"statement": "Copyright"}}
        hub.push(statement, indicator("a.top", object_marking_refs=[GREEN, statement["id"]]))
        status = hub.push(indicator("b.top", object_marking_refs=[GREEN, statement["id"]]))
        assert hub.verdicts(status) == ["admitted"]
        one, two = hub.feed("green")
        assert one["object_marking_refs"] == two["object_marking_refs"]

    def test_the_status_tells_at_last_that_all_is_out(self, hub: HubInProcess) -> None:
        found, bad = indicator("a.top"), sdo("malware", name="m", is_family=True)
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z")
        joined = relationship(found, "indicates", bad)
        report["object_refs"] = [joined["id"]]
        ids = [hub.push(each)["id"] for each in (report, joined, bad, found)]
        statuses = [hub.ask(f"status/{id}/").json for id in ids]
        assert [details(s)[0]["x_tocsin_verdict"] for s in statuses] == ["admitted"] * 4


def test_the_finding_of_waiting_is_gone_once_the_object_is_published(hub: HubInProcess) -> None:
    ends = sdo("malware", name="m", is_family=True), sdo("tool", name="t")
    waiting = hub.push(relationship(ends[0], "uses", ends[1]))
    hub.push(*ends)
    [entry] = details(hub.ask(f"status/{waiting['id']}/").json)
    assert entry["message"] == "published"
    assert "x_tocsin_findings" not in entry


def test_an_object_that_would_lose_all_that_it_refers_to_stays_as_it_is_published(
    hub: HubInProcess,
) -> None:
    domain, found = sco("domain-name", value="evil.top"), indicator(object_marking_refs=[AMBER])
    hub.push(domain, who="north")
    group = sdo("grouping", context="unspecified", object_refs=[domain["id"], found["id"]])
    hub.push(group)
    hub.push({**domain, "value": "else.top"}, who="north")
    hub.push(found)
    [shown] = [each for each in hub.feed("green") if each["type"] == "grouping"]
    assert shown["object_refs"] == [domain["id"]]


MEMBER = sco("file", name="g.dll", hashes={"MD5": "4" * 32})
BINARY = {"windows-pebinary-ext": {"pe_type": "exe", "imphash": "5" * 32}}


@pytest.fixture
def archive() -> Any:
    """Build a file that is an archive and a binary, too."""

    def build(*members: Any) -> Any:
        packed = {"contains_refs": [each["id"] for each in members], "comment": "p"}
        return sco("file", name="b.zip", extensions={"archive-ext": packed, **BINARY})

    return build


class TestArchives:
    """The id of a file follows from its extensions, references in them included."""

    @pytest.mark.parametrize("order", ["wga", "agw", "w,ga", "g,wa", "w,g,a"])
    def test_only_a_refused_member_is_missing(
        self, hub: HubInProcess, archive: Any, order: str
    ) -> None:
        wrong = sco("file", name="q", hashes={"MD5": "zz"})
        sent = {"w": wrong, "g": MEMBER, "a": archive(MEMBER, wrong)}
        statuses = [hub.push(*(sent[name] for name in step)) for step in order.split(",")]
        [public] = [o for o in hub.feed("green") if o.get("name") == "b.zip"]
        packed = {"contains_refs": [MEMBER["id"]], "comment": "p"}
        assert public["extensions"] == {"archive-ext": packed, **BINARY}
        assert public["id"] == observable_id(public)
        [finding] = [f for f in findings(statuses[-1]) if f["rule"] == "references"]
        assert finding["path"] == "extensions.archive-ext.contains_refs"

    def test_an_archive_without_any_member_that_was_taken_is_a_plain_file(
        self, hub: HubInProcess, archive: Any
    ) -> None:
        wrong = sco("file", name="q", hashes={"MD5": "zz"})
        status = hub.push(archive(wrong), wrong)
        [public] = hub.feed("green")
        assert public["extensions"] == BINARY
        assert public["id"] == observable_id(public)
        [removed, _] = [f for f in findings(status) if f["rule"] == "references"]
        assert removed["path"] == "extensions.archive-ext"
        assert "were refused" in removed["message"]

    def test_an_archive_waits_no_longer_for_a_member_that_is_refused(
        self, hub: HubInProcess, archive: Any
    ) -> None:
        wrong = sco("file", name="q", hashes={"MD5": "zz"})
        hub.push(MEMBER, archive(MEMBER, wrong))
        hub.push(wrong)
        [public] = [o for o in hub.feed("green") if o.get("name") == "b.zip"]
        assert public["extensions"]["archive-ext"]["contains_refs"] == [MEMBER["id"]]
        assert public["id"] == observable_id(public)

    def test_an_archive_waits_for_members_that_have_not_arrived(
        self, hub: HubInProcess, archive: Any
    ) -> None:
        late = sco("file", name="late", hashes={"MD5": "6" * 32})
        assert hub.verdicts(hub.push(archive(MEMBER, late), MEMBER)) == ["held", "admitted"]
        hub.push(late)
        [public] = [o for o in hub.feed("green") if o.get("name") == "b.zip"]
        assert len(public["extensions"]["archive-ext"]["contains_refs"]) == 2
        assert public["id"] == observable_id(public)

    def test_what_completes_an_archive_leaves_its_extensions(
        self, hub: HubInProcess, archive: Any
    ) -> None:
        wrong = sco("file", name="q", hashes={"MD5": "zz"})
        late = sco("url", value="http://evil.top/late")
        hub.push(wrong, MEMBER, archive(MEMBER, wrong) | {"contains_refs": [late["id"]]})
        hub.push(late, {**wrong, "hashes": {"MD5": "1" * 32}})
        [public] = [o for o in hub.feed("green") if o.get("name") == "b.zip"]
        assert public["contains_refs"] == [late["id"]]
        assert public["extensions"]["archive-ext"]["contains_refs"] == [MEMBER["id"]]
        assert public["id"] == observable_id(public)

    def test_the_id_of_an_archive_is_known_before_its_members_are_published(
        self, archive: Any
    ) -> None:
        member, outer = {**MEMBER, "id": f"file--{uuid.uuid4()}"}, archive(MEMBER)
        inner = archive(member)
        outer["extensions"]["archive-ext"]["contains_refs"] = [inner["id"]]
        candidates = [
            Candidate(n, each, each["id"], tlp=Tlp.GREEN, scope="green", key=each["id"])
            for n, each in enumerate((outer, inner, member))
        ]
        ids = PublicIds(uuid.UUID(int=7), {"id": "identity--1"})
        known = ids.assign(candidates, frozenset())
        assert known[member["id"]].id == MEMBER["id"]
        assert known[inner["id"]].id == archive(MEMBER)["id"]
        outer["extensions"]["archive-ext"]["contains_refs"] = [archive(MEMBER)["id"]]
        assert known[outer["id"]].id == observable_id(outer)


MEMBERS = {"report": {"name": "r", "published": "2026-01-01T00:00:00.000Z"}}
MEMBERS |= {"note": {"content": "n"}, "opinion": {"opinion": "disagree"}}
MEMBERS |= {"grouping": {"context": "unspecified"}}


class TestStricterReferences:
    """A list of references of which the least strict is stricter than the object itself."""

    @pytest.mark.parametrize("kind", MEMBERS)
    def test_a_report_is_as_strict_as_the_least_strict_object_it_lists(
        self, hub: HubInProcess, kind: Any
    ) -> None:
        strict = [indicator(f"a{n}.top", object_marking_refs=[AMBER]) for n in range(2)]
        listed = sdo(kind, object_refs=[each["id"] for each in strict], **MEMBERS[kind])
        status = hub.push(listed, *strict)
        assert hub.verdicts(status) == ["admitted"] * 3
        assert hub.feed("green", "north") == []
        [public] = [each for each in hub.feed("amber", "north") if each["type"] == kind]
        assert len(public["object_refs"]) == 2
        [finding] = [each for each in findings(status) if each["rule"] == "marking"]
        assert (
            finding["message"]
            == "raised to TLP:AMBER because an object that it references is TLP:AMBER"
        )

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_not_if_one_of_them_may_be_seen_in_whatever_order_they_come(
        self, hub: HubInProcess, order: Any
    ) -> None:
        strict, plain = indicator("a.top", object_marking_refs=[AMBER]), indicator("b.top")
        listed = sdo("report", object_refs=[strict["id"], plain["id"]], **MEMBERS["report"])
        for at in order:
            hub.push((strict, plain, listed)[at])
        [public] = [each for each in hub.feed("green", "north") if each["type"] == "report"]
        assert len(public["object_refs"]) == 1

    def test_an_opinion_on_a_stricter_indicator_counts(self, hub: HubInProcess) -> None:
        strict = indicator("a.top", object_marking_refs=[AMBER])
        hub.push(strict, sdo("opinion", object_refs=[strict["id"]], **MEMBERS["opinion"]))
        [public] = [each for each in hub.feed("amber", "north") if each["type"] == "indicator"]
        assert hub_extension(public)["false_positives"] == 1


COLLECTION_OF_ALL = Collection(
    "f" * 8, "strict", CollectionKind.FEED, "Strict", "", Tlp.AMBER_STRICT
)


def marked(subject: dict[str, Any], *selectors: str, level: str = AMBER) -> dict[str, Any]:
    """The object with parts that are marked more strictly."""
    return subject | {"granular_markings": [{"marking_ref": level, "selectors": [*selectors]}]}


def versions(hub: HubInProcess, feed: str, kind: str) -> list[dict[str, Any]]:
    """All versions of the objects of a type in a feed."""
    return [o for o in hub.feed(feed, **{"match[version]": "all"}) if o["type"] == kind]


class TestReferencesOfStricterParts:
    """They lead to what has not arrived."""

    def test_are_there_for_those_who_may_see_them_once_it_arrives(self, hub: HubInProcess) -> None:
        first, late = indicator("one.top"), indicator("two.top")
        refs = [first["id"], late["id"]]
        report = marked(sdo("report", object_refs=refs, **MEMBERS["report"]), "object_refs.[1]")
        assert hub.verdicts(hub.push(first, report)) == ["admitted"] * 2
        before = versions(hub, "green", "report")
        hub.push(late)
        assert versions(hub, "green", "report") == before
        assert len(before) == 1 and len(before[0]["object_refs"]) == 1
        assert len(versions(hub, "amber", "report")[-1]["object_refs"]) == 2
        assert hub.store._base.pending_references.count_documents({}) == 0

    def test_is_said_to_the_sender(self, hub: HubInProcess) -> None:
        first = indicator("one.top")
        refs = [first["id"], *(f"indicator--{uuid.uuid4()}" for _ in range(3))]
        report = sdo("report", object_refs=refs, **MEMBERS["report"])
        status = hub.push(first, marked(report, "object_refs.[2]", "object_refs.[3]"))
        [finding] = [each for each in findings(status) if each["rule"] == "references"]
        assert finding["message"].startswith("3 of its references")

    def test_do_not_let_the_other_parts_wait(self, hub: HubInProcess) -> None:
        member = indicator("one.top")
        grouping = waiting_grouping(member)
        hub.push(member, marked(grouping, "object_refs.[1]"))
        before = versions(hub, "green", "grouping")
        other = indicator("two.top") | {n: member[n] for n in ("id", "created", "modified")}
        hub.push(other)
        assert versions(hub, "green", "grouping") == before
        [public] = [o for o in hub.feed("amber") if o["type"] == "indicator" and "revoked" not in o]
        assert versions(hub, "amber", "grouping")[-1]["object_refs"] == [public["id"]]

    def test_are_of_no_layer_that_needs_them(self) -> None:
        levels = [RewrittenReferences({"type": "file", "name": name}) for name in "abc"]
        levels[1] = replace(levels[1], missing=("file--1",))
        layers = published_layers(
            zip((Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT), levels, strict=True)
        )
        assert [level for level, _ in layers] == [Tlp.GREEN, Tlp.AMBER_STRICT]

    def test_that_are_stricter_still_are_for_that_level(self, hub: HubInProcess) -> None:
        strict = TLP_2_IDS[Tlp.AMBER_STRICT]
        hub.store.feeds.add(COLLECTION_OF_ALL)
        hub.join(Partner("strict", "Strict Limited", max_tlp=Tlp.AMBER_STRICT))
        members = indicator("one.top"), indicator("two.top", object_marking_refs=[strict])
        refs = [each["id"] for each in members]
        report = marked(sdo("report", object_refs=refs, **MEMBERS["report"]), "object_refs.[1]")
        hub.push(*members, report, who="strict")
        ids = [o["id"] for o in hub.feed("amber") if o["type"] == "report"]
        [public] = hub.store.read(lambda known: known.public_objects(ids)).values()
        [mine] = public.contributions
        counts = [(level, len(each["object_refs"])) for level, each in mine.stricter_layers]
        assert counts == [(Tlp.AMBER_STRICT, 2)]

    def test_that_are_for_a_stricter_level_do_not_change_the_id_of_an_observable(
        self, hub: HubInProcess
    ) -> None:
        strict = sco("ipv4-addr", value="45.77.1.1") | {"object_marking_refs": [AMBER]}
        sent = sco("domain-name", value="one.top", resolves_to_refs=[strict["id"]])
        domain = marked(sent | {"object_marking_refs": [GREEN]}, "resolves_to_refs")
        for order in ((strict, domain), (domain, strict)):
            hub.push(*order)
        [green] = versions(hub, "green", "domain-name")
        [amber] = versions(hub, "amber", "domain-name")
        assert "resolves_to_refs" not in green and green["id"] == amber["id"]
        assert amber["resolves_to_refs"] == [strict["id"]]

    def test_of_a_layer_that_has_lost_what_it_needs_are_not_published(
        self, hub: HubInProcess
    ) -> None:
        seen = sco("domain-name", value="one.top") | {"object_marking_refs": [GREEN]}
        late = sco("file", hashes={"MD5": "1" * 32}) | {"object_marking_refs": [GREEN]}
        refs = {"analysis_sco_refs": [seen["id"]], "sample_ref": late["id"]}
        analysis = sdo("malware-analysis", product="p", version="1", **refs)
        hub.push(seen, marked(analysis, "sample_ref", "version"))
        hub.services.partner_data.withdraw("acme", [seen["id"]], "operator", "a mistake")
        before = versions(hub, "amber", "malware-analysis")
        hub.push(late)
        assert versions(hub, "amber", "malware-analysis") == before
        hub.push(seen)
        last = versions(hub, "amber", "malware-analysis")[-1]
        assert refs.keys() <= last.keys() and last["version"] == "1"


class TestWhatIsGoneWaitsForNothing:
    @pytest.fixture
    def sent(self, hub: HubInProcess) -> dict[str, Any]:
        """A malware whose sample has not arrived."""
        sample = f"file--{uuid.uuid4()}"
        malware = sdo("malware", name="m", is_family=False, sample_refs=[sample])
        hub.push(malware)
        assert hub.store._base.pending_references.count_documents({}) == 1
        return malware

    @pytest.mark.parametrize("way", ["purge", "revoke", "withdraw", "revoked by its sender"])
    def test_whatever_ended_it(self, hub: HubInProcess, sent: dict[str, Any], way: str) -> None:
        ((name, services),) = [(o["id"], hub.services) for o in hub.feed("green")]
        if way == "purge":
            services.purger.purge(name, "operator", "why")
        elif way == "revoke":
            services.lifecycle.revoke(name, "operator", "why")
        elif way == "withdraw":
            services.partner_data.withdraw("acme", [name], "operator", "why")
        else:
            hub.push({**sent, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"})
        assert list(hub.store._base.pending_references.find({})) == []
