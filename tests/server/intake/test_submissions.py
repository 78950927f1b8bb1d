"""A submission on its way: references, observables, review, bad input, and the plain collection."""

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from support.hub import (
    AMBER,
    GREEN,
    HubInProcess,
    Object,
    default_admission,
    details,
    findings,
    indicator,
    relationship,
    sdo,
)
from support.presence import present
from support.stix_objects import yara_bomb

from tocsin.admission.merge.identity import MITRE, observable_id
from tocsin.admission.stix.mitre_attack import attack_ids
from tocsin.server.model import Partner
from tocsin.server.store import Store, submissions

MALWARE = min(each for each in attack_ids() if each.startswith("malware--"))


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


def traffic_from(address: str, **more: Any) -> tuple[Object, Object]:
    """Build an address and network traffic from it, under the ids that their values give them."""
    source: Object = {"type": "ipv4-addr", "spec_version": "2.1", "value": address}
    source |= {"id": observable_id(source), "object_marking_refs": [GREEN]}
    traffic: Object = {"type": "network-traffic", "spec_version": "2.1", "protocols": ["tcp"]}
    traffic |= {"src_ref": source["id"], "object_marking_refs": [GREEN], **more}
    return source, traffic | {"id": observable_id(traffic)}


class TestReferences:
    def test_two_reports_may_refer_to_each_other(self, hub: HubInProcess) -> None:
        one = sdo("report", name="A", published="2026-01-01T00:00:00Z")
        two = sdo("report", name="B", published="2026-01-01T00:00:00Z")
        one["object_refs"], two["object_refs"] = [two["id"]], [one["id"]]
        assert hub.verdicts(hub.push(one, two)) == ["admitted", "admitted"]

    def test_a_relationship_is_rewritten_to_the_public_ends(self, hub: HubInProcess) -> None:
        one, malware = indicator(), sdo("malware", name="Foo", is_family=True)
        hub.push(one, malware, relationship(one, "indicates", malware))
        public = {o["type"]: o for o in hub.feed("green")}
        assert public["relationship"]["source_ref"] == public["indicator"]["id"]
        assert public["relationship"]["target_ref"] == public["malware"]["id"]

    def test_the_order_within_a_submission_does_not_matter(self, hub: HubInProcess) -> None:
        one, malware = indicator(), sdo("malware", name="Foo", is_family=True)
        status = hub.push(relationship(one, "indicates", malware), malware, one)
        assert hub.verdicts(status) == ["admitted"] * 3

    def test_an_object_of_an_earlier_submission_is_found(self, hub: HubInProcess) -> None:
        one, malware = indicator(), sdo("malware", name="Foo", is_family=True)
        hub.push(one)
        status = hub.push(malware, relationship(one, "indicates", malware))
        assert hub.verdicts(status) == ["admitted", "admitted"]

    def test_a_relationship_waits_for_its_ends_and_is_then_admitted(
        self, hub: HubInProcess
    ) -> None:
        one, malware = indicator(), sdo("malware", name="Foo", is_family=True)
        early = hub.push(relationship(one, "indicates", malware))
        assert hub.verdicts(early) == ["held"]
        hub.push(one, malware)
        later = hub.ask(f"status/{early['id']}/").json
        assert (later["status"], hub.verdicts(later)) == ("complete", ["admitted"])

    def test_what_joins_two_objects_is_as_strict_as_the_stricter_end(
        self, hub: HubInProcess
    ) -> None:
        one = indicator(object_marking_refs=[AMBER])
        malware = sdo("malware", name="Foo", is_family=True)
        hub.push(one, malware, relationship(one, "indicates", malware))
        assert [o["type"] for o in hub.feed("green")] == ["malware"]
        joined = next(o for o in hub.feed("amber") if o["type"] == "relationship")
        assert joined["object_marking_refs"] == [AMBER]

    def test_a_report_leaves_out_what_its_readers_cannot_see(self, hub: HubInProcess) -> None:
        seen, hidden = indicator("g.top"), indicator("a.top", object_marking_refs=[AMBER])
        report = sdo(
            "report",
            name="R",
            published="2026-01-01T00:00:00Z",
            object_refs=[seen["id"], hidden["id"]],
        )
        hub.push(seen, hidden, report)
        public = {o["type"]: o for o in hub.feed("green")}
        assert public["report"]["object_refs"] == [public["indicator"]["id"]]

    def test_attack_keeps_its_ids_in_references(self, hub: HubInProcess) -> None:
        known = min(each for each in attack_ids() if each.startswith("attack-pattern"))
        technique = sdo("attack-pattern", name="T", created_by_ref=MITRE) | {"id": known}
        one = indicator()
        status = hub.push(technique, one, relationship(one, "indicates", technique))
        joined = next(o for o in hub.feed("green") if o["type"] == "relationship")
        assert joined["target_ref"] == technique["id"]
        assert hub.verdicts(status) == ["duplicate", "admitted", "admitted"]

    def test_an_object_that_only_claims_to_be_of_mitre_gets_an_id_of_the_hub(
        self, hub: HubInProcess
    ) -> None:
        claimed = sdo("malware", name="M", is_family=True, created_by_ref=MITRE)
        one = indicator()
        status = hub.push(claimed, one, relationship(one, "indicates", claimed))
        assert hub.verdicts(status) == ["admitted"] * 3
        later = indicator("evil-shop.ru")
        hub.push(later, relationship(later, "indicates", claimed))
        text = hub.ask("collections/green/objects/").text
        assert claimed["id"] not in text and MITRE not in text
        [public] = [o["id"] for o in hub.feed("green") if o["type"] == "malware"]
        joined = [o["target_ref"] for o in hub.feed("green") if o["type"] == "relationship"]
        assert joined == [public, public]

    @pytest.mark.parametrize("kind", ["relationship", "x-mitre-tactic"])
    def test_a_copy_of_mitres_that_is_dropped_leaves_no_reference_to_its_id(
        self, hub: HubInProcess, kind: str
    ) -> None:
        ends = {"relationship_type": "uses", "source_ref": MALWARE, "target_ref": MALWARE}
        more = ends if kind == "relationship" else {"name": "T"}
        copy = sdo(kind, created_by_ref=MITRE, **more)
        one = indicator()
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z")
        listed = report | {"object_refs": [one["id"], copy["id"]]}
        assert hub.verdicts(hub.push(copy, one, listed))[0] == "duplicate"
        hub.push(listed | {"id": sdo("report")["id"]})
        assert copy["id"] not in hub.ask("collections/green/objects/").text

    def test_a_definition_of_a_tlp_level_under_an_id_of_the_senders_leaves_no_reference_to_it(
        self, hub: HubInProcess
    ) -> None:
        own = sdo("marking-definition", name="TLP:GREEN")
        one = indicator(object_marking_refs=[own["id"]])
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z")
        hub.push(own, one, report | {"object_refs": [one["id"], own["id"]]})
        assert own["id"] not in hub.ask("collections/green/objects/").text
        [published] = [o for o in hub.feed("green") if o["type"] == "report"]
        assert GREEN in published["object_refs"]

    def test_where_the_submitter_is_stays_unsaid(self, hub: HubInProcess) -> None:
        author = sdo("identity", name="Acme Corporation", identity_class="organization")
        place = sdo("location", country="LI")
        located = relationship(author, "located-at", place)
        status = hub.push(author, place, located, indicator(created_by_ref=author["id"]))
        assert hub.verdicts(status) == ["duplicate", "refused", "refused", "admitted"]
        assert [o["type"] for o in hub.feed("amber")] == ["indicator"]

    @pytest.mark.slow
    def test_what_a_reader_may_not_see_answers_as_if_it_were_not_there(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("low", "Low Limited"), reads=("clear", "green"))
        name = "domain-name--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0"
        secret = {"type": "domain-name", "spec_version": "2.1", "id": name, "value": "evil.top"}
        status = hub.push(secret | {"object_marking_refs": [AMBER]}, who="acme")
        known = {"id": details(status)[0]["x_tocsin_public_id"]}
        for target in (known, {"id": "domain-name--00000000-0000-5000-8000-000000000000"}):
            one = indicator(f"{uuid.uuid4()}.top")
            asked = hub.push(one, relationship(one, "based-on", target), who="low")
            assert hub.verdicts(asked) == ["admitted", "held"]
        assert hub.verdicts(hub.push(indicator(object_marking_refs=[AMBER]), who="acme"))
        again = hub.push(indicator(object_marking_refs=[AMBER]), who="low")
        assert hub.verdicts(again) == ["admitted"]


class TestObservables:
    def test_an_sco_keeps_the_id_that_its_value_gives_it(self, hub: HubInProcess) -> None:
        known = "domain-name--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0"
        sent = {"type": "domain-name", "spec_version": "2.1", "id": known, "value": "EVIL.top"}
        hub.push(sent | {"object_marking_refs": [GREEN]})
        [public] = hub.feed("green")
        assert public["value"] == "evil.top" and public["id"] != known

    @pytest.mark.slow
    def test_green_knowledge_of_an_sco_says_nothing_of_amber(self, hub: HubInProcess) -> None:
        def sco(mark: Any) -> Any:
            name = "domain-name--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0"
            value = {"type": "domain-name", "spec_version": "2.1", "id": name, "value": "evil.top"}
            return value | {"object_marking_refs": [mark]}

        hub.push(sco(AMBER), who="acme")
        assert hub.feed("green") == []
        hub.push(sco(GREEN), who="north")
        [green], [amber] = hub.feed("green"), hub.feed("amber")
        assert green == amber and green["object_marking_refs"] == [GREEN]


class TestReview:
    def test_released_objects_are_published(self, hub: HubInProcess) -> None:
        foreign = "marking-definition--11111111-1111-4111-8111-111111111111"
        status = hub.push(indicator(object_marking_refs=[foreign, GREEN]))
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.release(review, "operator")
        after = hub.ask(f"status/{status['id']}/").json
        assert (after["status"], hub.verdicts(after)) == ("complete", ["admitted"])
        assert len(hub.feed("green")) == 1

    def test_rejected_objects_are_refused_with_the_reason(self, hub: HubInProcess) -> None:
        foreign = "marking-definition--11111111-1111-4111-8111-111111111111"
        status = hub.push(indicator(object_marking_refs=[foreign]))
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.reject(review, "operator", "say TLP")
        after = hub.ask(f"status/{status['id']}/").json
        assert hub.verdicts(after) == ["refused"]
        assert findings(after)[-1]["message"] == "say TLP"

    def test_what_was_asked_about_follows_in_a_fuller_version_and_nothing_else(
        self, hub: HubInProcess
    ) -> None:
        text = "Reported by Jane Doe, jane@bank.test"
        status = hub.push(indicator("evil.top", description=text))
        masked = "[removed: person's name], [removed: e-mail address]"
        assert hub.verdicts(status) == ["admitted"]
        assert [o["description"] for o in hub.feed("green")] == [f"Reported by {masked}"]
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.release(review, "operator")
        [public] = hub.feed("green")
        assert public["description"] == "Reported by Jane Doe, [removed: e-mail address]"
        assert hub.store.reviews.list_waiting() == []

    @pytest.mark.slow
    def test_sending_it_again_asks_nobody_twice_and_masks_nothing_again(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator("evil.top", description="Reported by Jane Doe")
        for verdict in ("admitted", "duplicate"):
            assert hub.verdicts(hub.push(sent)) == [verdict]
            assert len(hub.store.reviews.list_waiting()) == 1
        hub.services.intake.reviewer.release(hub.store.reviews.list_waiting()[0], "operator")
        assert hub.verdicts(hub.push(sent)) == ["duplicate"]
        assert hub.feed("green")[0]["description"] == "Reported by Jane Doe"
        assert hub.store.reviews.list_waiting() == []


class TestBadInput:
    def test_one_bad_object_does_not_spoil_the_rest(self, hub: HubInProcess) -> None:
        status = hub.push({"type": "indicator"}, indicator(), indicator(modified="bogus"), 7)
        assert hub.verdicts(status) == ["refused", "admitted", "refused", "refused"]
        assert (status["total_count"], status["success_count"], status["failure_count"]) == (
            4,
            1,
            3,
        )

    def test_a_refusal_says_where_and_why(self, hub: HubInProcess) -> None:
        [entry] = details(hub.push(indicator(modified="bogus")))
        assert "modified" in json.dumps(entry["x_tocsin_findings"])

    def test_a_bogus_version_poisons_no_feed(self, hub: HubInProcess) -> None:
        for collection in ("inbox", "scratch"):
            hub.push(indicator(modified="bogus"), to=collection)
        assert hub.feed("scratch") == hub.feed("amber") == []

    @pytest.mark.slow
    def test_a_bogus_version_where_stix_defines_none_costs_nothing(self, hub: HubInProcess) -> None:
        marking = {"type": "marking-definition", "spec_version": "2.1", "modified": "bogus"}
        marking |= {"created": "2026-01-01T00:00:00.000Z", "definition_type": "statement"}
        marking |= {"id": f"marking-definition--{uuid.uuid4()}"}
        address, traffic = traffic_from("45.12.1.2", modified="bogus")
        texts = [{"definition": {"statement": text}} for text in ("one", "other")]
        verdicts = [hub.verdicts(hub.push(marking | text, traffic)) for text in texts]
        assert verdicts == [["admitted", "held"], ["admitted", "duplicate"]]
        assert hub.verdicts(hub.push(address, who="north")) == ["admitted"]
        assert hub.verdicts(hub.push(address, traffic)) == ["merged", "duplicate"]

    def test_an_observable_with_a_version_of_its_own_follows_what_it_waits_for(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shipped = default_admission()
        policy = replace(shipped.policy, custom_properties="keep")
        admission = replace(shipped, policy=policy)
        monkeypatch.setattr("support.hub.default_admission", lambda: admission)
        hub = HubInProcess(store)
        address, traffic = traffic_from("45.12.1.2", modified="2026-01-01T00:00:00.000Z")
        assert hub.verdicts(hub.push(traffic)) == ["held"]
        assert hub.verdicts(hub.push(address, traffic | {"x_note": "n"})) == ["admitted"] * 2

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b'{"objects": [', 400),
            (b"[" * 10_000 + b"]" * 10_000, 400),
            (b'{"objects": [' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"]}", 400),
            (b'{"objects": []}', 422),
            (b'{"type": "bundle", "objects": [{}]}', 422),
        ],
    )
    def test_what_is_no_envelope_is_a_taxii_error(
        self, hub: HubInProcess, body: Any, code: int
    ) -> None:
        answer = hub.ask("collections/inbox/objects/", method="POST", data=body)
        assert (answer.status_code, "title" in answer.json) == (code, True)
        assert hub.ask("collections/green/objects/").status_code == 200

    @pytest.mark.parametrize(
        "poison",
        [
            {"created_by_ref": ["a"]},
            {"created_by_ref": {}},
            {"id": ["x"]},
            {"type": "marking-definition", "id": {}},
            {"type": "identity", "id": ["x"]},
            {"valid_until": "9999-12-31T23:59:59-23:59"},
            {"created": "0001-01-01T00:00:00+23:59"},
            {"pattern": "[a:b = t'0001-01-01T00:00:00+23:59']"},
            {"object_marking_refs": [{}]},
            {"external_references": {"a": 1}},
            {"labels": [{}]},
            {"type": ["x"]},
        ],
    )
    def test_no_shape_of_an_object_costs_its_neighbours(
        self, hub: HubInProcess, poison: Any
    ) -> None:
        status = hub.push(indicator("one.top"), indicator("bad.top") | poison, indicator("two.top"))
        verdicts = hub.verdicts(status)
        assert (verdicts[0], verdicts[2]) == ("admitted", "admitted")
        assert verdicts[1] in ("refused", "held", "admitted")

    @pytest.mark.parametrize("kind", [["x"], {}, None, 5, "report"])
    def test_a_broken_object_with_the_id_of_a_neighbour_is_refused_alone(
        self, hub: HubInProcess, kind: Any
    ) -> None:
        good, other = indicator("one.top"), indicator("two.top")
        status = hub.push(good, {"type": kind, "id": good["id"], "object_refs": 5}, other)
        assert hub.verdicts(status) == ["admitted", "refused", "admitted"]

    @pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00 and so on", "\\\\\\ud83d", "\\uffff"])
    @pytest.mark.parametrize("to", ["inbox", "scratch"])
    def test_half_of_a_surrogate_pair_is_refused(
        self, hub: HubInProcess, half: str, to: str
    ) -> None:
        """As a program leaves it that cuts a text in the middle of a smiley."""
        sent = [indicator(f"{n}.top", description="\U0001f600 %") for n in ("one", "bad", "two")]
        texts = [json.dumps(each) for each in sent]
        texts[1] = texts[1].replace("%", half)
        body = '{"objects": [' + ",".join(texts) + "]}"
        status = hub.push_raw(body.encode(), to=to)
        assert hub.verdicts(status) == ["admitted", "refused", "admitted"]
        assert "send whole characters" in details(status)[1]["message"]
        assert len(hub.feed("green" if to == "inbox" else to)) == 2

    @pytest.mark.slow
    def test_thousands_of_dead_references_are_one_finding(self, hub: HubInProcess) -> None:
        refs = [f"indicator--{uuid.uuid4()}" for _ in range(3000)]
        report = sdo("report", name="R", published="2026-01-01T00:00:00Z", object_refs=refs)
        [entry] = details(hub.push(report))
        assert len(entry["x_tocsin_findings"]) < 10

    def test_a_status_says_once_what_was_found_in_many_objects(self, hub: HubInProcess) -> None:
        author = "identity--0f1e2d3c-0000-4000-8000-000000000001"
        status = hub.push(*(indicator(f"{n}.top", created_by_ref=author) for n in range(30)))
        alike = [each["x_tocsin_finding_indexes"] for each in status["successes"]]
        assert len(alike) == 30 and all(each == alike[0] for each in alike)
        assert len(status["x_tocsin_findings"]) == len(alike[0]) > 0

    def test_findings_that_an_earlier_version_stored_are_still_there(
        self, hub: HubInProcess
    ) -> None:
        status = hub.push({"type": "indicator"}, indicator())
        verdicts = hub.store._base.verdicts
        [batch] = verdicts.find({"submission": status["id"]})
        for record in batch["records"]:
            record["findings"] = [batch["findings"][number] for number in record["findings"]]
        verdicts.update_one(
            {"_id": batch["_id"]},
            {"$set": {"records": batch["records"]}, "$unset": {"findings": ""}},
        )
        assert details(hub.ask(f"status/{status['id']}/").json) == details(status)

    @pytest.mark.slow
    def test_revoking_again_and_again_ends_with_an_analyst(self, hub: HubInProcess) -> None:
        for _ in range(18):
            one = indicator()
            gone = {**one, "modified": "2026-02-01T00:00:00.000Z", "revoked": True}
            hub.push(one, gone)
        assert hub.verdicts(hub.push(indicator())) == ["held"]


class TestHostilePatterns:
    @pytest.mark.slow
    def test_a_rule_that_compiles_for_minutes_is_refused_and_the_rest_admitted(
        self, hub: HubInProcess
    ) -> None:
        status = hub.push(indicator(pattern_type="yara", pattern=yara_bomb(12_000)), indicator())
        assert hub.verdicts(status) == ["refused", "admitted"]
        assert "processor time" in findings(status)[0]["message"]


class TestVerbatim:
    def test_what_is_posted_is_what_is_read(self, hub: HubInProcess) -> None:
        odd = {"type": "x-own", "id": "x-own--5e4bfb8b-c1c9-4fa3-a6a1-9d7d5b5fa2c0", "ü": [1, {}]}
        status = hub.push(odd, to="scratch")
        assert (hub.verdicts(status), hub.feed("scratch")) == (["admitted"], [odd])

    @pytest.mark.parametrize("value", [None, "", 2.1, "2.2", ["2.1"]])
    def test_an_object_whose_spec_version_is_none_is_refused(
        self, hub: HubInProcess, value: Any
    ) -> None:
        status = hub.push(indicator(spec_version=value), to="scratch")
        assert (hub.verdicts(status), hub.feed("scratch")) == (["refused"], [])
        assert "spec_version" in details(status)[0]["message"]

    def test_the_same_version_with_other_content_keeps_the_first(self, hub: HubInProcess) -> None:
        sent = indicator(name="first")
        hub.push(sent, to="scratch")
        assert hub.verdicts(hub.push({**sent, "name": "second"}, to="scratch")) == ["refused"]
        assert hub.feed("scratch")[0]["name"] == "first"

    def test_8_7_an_object_without_a_version_has_the_same_one_everywhere(
        self, hub: HubInProcess
    ) -> None:
        sco = {"type": "ipv4-addr", "spec_version": "2.1", "value": "198.51.100.7"}
        sco["id"] = f"ipv4-addr--{uuid.uuid4()}"
        first, again = (details(hub.push(sco, to="scratch"))[0] for _ in range(2))
        other = details(hub.push({**sco, "value": "198.51.100.8"}, to="scratch"))[0]
        assert (first["x_tocsin_verdict"], other["x_tocsin_verdict"]) == ("admitted", "refused")
        path = f"collections/scratch/objects/{sco['id']}/"
        (listed,) = hub.ask(f"collections/scratch/manifest/?match[id]={sco['id']}").json["objects"]
        (version,) = hub.ask(f"{path}versions/").json["versions"]
        versions = {first["version"], again["version"], other["version"], listed["version"]}
        assert versions == {version} == {listed["date_added"]}
        assert hub.ask(f"{path}?match[version]={version}").json["objects"] == [sco]

    def test_who_may_read_and_write_may_delete(self, hub: HubInProcess) -> None:
        sent = indicator()
        hub.push(sent, to="scratch")
        path = f"collections/scratch/objects/{sent['id']}/"
        assert hub.ask(path, method="DELETE").status_code == 200
        assert (hub.ask(path).status_code, hub.feed("scratch")) == (404, [])


class TestDurability:
    @pytest.mark.slow
    def test_a_large_submission_is_settled_in_the_background(self, hub: HubInProcess) -> None:
        many = [indicator(f"d{n}.top") for n in range(1100)]
        status = hub.push(*many)
        assert (status["status"], status["success_count"]) == ("complete", 1100)
        page = hub.ask("collections/green/objects/?limit=1000").json
        assert (len({o["id"] for o in page["objects"]}), page["more"]) == (1000, True)

    def test_a_settled_submission_can_be_admitted_again_without_a_trace(
        self, hub: HubInProcess
    ) -> None:
        status = hub.push(indicator())
        submission = hub.store.submissions.find(status["id"])
        hub.services.intake.admit(present(submission))
        assert hub.ask(f"status/{status['id']}/").json == status

    def test_a_submission_that_another_worker_took_over_is_left_alone(
        self, hub: HubInProcess
    ) -> None:
        status = hub.push(indicator("one.top"), to="scratch")
        overtaken = replace(present(hub.store.submissions.find(status["id"])), settled=0)
        before = hub.feed("scratch")
        hub.services.intake.admit(present(overtaken))
        assert hub.feed("scratch") == before
        assert hub.ask(f"status/{status['id']}/").json["success_count"] == 1

    def test_a_body_that_is_purged_while_it_is_read_is_read_again(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = hub.push(indicator(description="x" * 20_000))
        find = submissions.find_body

        def late(*arguments: Any) -> bytes | None:
            hub.store.commit(lambda txn: txn.purges.redact_submission(status["id"], b"", ()))
            return find(*arguments)

        monkeypatch.setattr(submissions, "find_body", late)
        assert present(hub.store.submissions.find(status["id"])).raw == b""

    def test_a_short_body_that_an_older_hub_stored_in_a_piece_is_read_and_forgotten(
        self, hub: HubInProcess
    ) -> None:
        status, base = hub.push(indicator("old.top")), hub.store._base
        before = present(hub.store.submissions.find(status["id"])).raw
        base.submission_bodies.insert_one({"_id": f"{status['id']}/0", "raw": before})
        change = {"$set": {"pieces": 1}, "$unset": {"body": ""}}
        base.submissions.update_one({"_id": status["id"]}, change)
        assert b"old.top" in present(hub.store.submissions.find(status["id"])).raw
        hub.store.commit(lambda txn: txn.purges.redact_submission(status["id"], b"{}", ()))
        assert present(hub.store.submissions.find(status["id"])).raw == b"{}"
        assert base.submission_bodies.count_documents({}) == 0

    def test_a_status_belongs_to_its_submitter(self, hub: HubInProcess) -> None:
        status = hub.push(indicator(), who="acme")
        assert hub.ask(f"status/{status['id']}/", "north").status_code == 404
