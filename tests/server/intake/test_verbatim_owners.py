"""Verbatim collections: an id belongs to the partner that sent it first, and levels are limits."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest
from support.hub import AMBER, GREEN, HubInProcess, details, findings, indicator, sdo

from tocsin.admission.model import Tlp
from tocsin.server.cli.collection import CollectionSpec, define_collection
from tocsin.server.intake.verbatim import TAKEN_UNSEEN
from tocsin.server.model import Account, Collection, CollectionKind, Partner
from tocsin.server.store import Store

pytestmark = pytest.mark.slow

RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
LATER = "2026-06-01T00:00:00.000Z"
Object = dict[str, Any]


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """With `blind`, which may write to `scratch` and not read it, and an operator's account."""
    hub = HubInProcess(store)
    hub.join(Partner("blind", "Blind"), reads=("clear",))
    hub.store.accounts.add_account(Account("operator", "", operator=True))
    hub.store.accounts.add_key("operator", hashlib.sha256(b"operator").hexdigest())
    return hub


def newer(sent: Object, **more: Any) -> Object:
    return {**sent, "modified": LATER, **more}


def post(hub: HubInProcess, *objects: Object, who: str) -> Object:
    return hub.push(*objects, who=who, to="scratch")


def delete(hub: HubInProcess, sent: Object, who: str) -> int:
    path = f"collections/scratch/objects/{sent['id']}/"
    return int(hub.ask(path, who, "DELETE").status_code)


class TestOwners:
    @pytest.mark.parametrize("who", ["north", "blind"])
    def test_nobody_replaces_or_revokes_the_object_of_another_partner(
        self, hub: HubInProcess, who: str
    ) -> None:
        sent = indicator(name="right")
        post(hub, sent, who="acme")
        post(hub, newer(sent, name="HAXED", revoked=True), who=who)
        post(hub, {**sent, "spec_version": "2.0", "name": "HAXED"}, who=who)
        everything = hub.feed("scratch", **{"match[version]": "all"})
        assert everything == hub.feed("scratch") == [sent]

    def test_a_reader_learns_that_the_id_belongs_to_another_partner(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator()
        post(hub, sent, who="acme")
        status = post(hub, newer(sent, name="other"), indicator(), who="north")
        assert hub.verdicts(status) == ["refused", "admitted"]
        assert "belongs to another partner" in details(status)[0]["message"]

    def test_the_same_version_again_succeeds_from_every_partner(self, hub: HubInProcess) -> None:
        sent = indicator()
        post(hub, sent, who="acme")
        assert hub.verdicts(post(hub, sent, who="north")) == ["duplicate"]

    def test_another_partners_object_without_a_version_is_refused(self, hub: HubInProcess) -> None:
        sco = {"type": "ipv4-addr", "spec_version": "2.1", "value": "198.51.100.7"}
        sco["id"] = f"ipv4-addr--{uuid.uuid4()}"
        post(hub, sco, who="acme")
        other = sdo("ipv4-addr", id=sco["id"], value="198.51.100.8", modified=LATER)
        assert hub.verdicts(post(hub, other, who="north")) == ["refused"]
        plain = {**sco, "spec_version": "2.0"}
        assert hub.verdicts(post(hub, plain, who="north")) == ["refused"]

    def test_the_partner_itself_replaces_and_revokes_its_object(self, hub: HubInProcess) -> None:
        sent = indicator()
        post(hub, sent, who="acme")
        assert hub.verdicts(post(hub, newer(sent, revoked=True), who="acme")) == ["admitted"]
        assert hub.feed("scratch") == [newer(sent, revoked=True)]

    def test_who_sent_it_is_known_after_packing(self, hub: HubInProcess) -> None:
        sent = [indicator(f"d{n}.top") for n in range(70)]
        for each in sent:
            post(hub, each, who="acme")
        while hub.store.packing.pack_next():
            pass
        assert hub.store.packing.packed
        status = post(hub, newer(sent[0], name="HAXED"), who="north")
        assert hub.verdicts(status) == ["refused"]
        assert hub.verdicts(post(hub, newer(sent[0], name="mine"), who="acme")) == ["admitted"]

    def test_what_an_operator_adds_to_an_object_leaves_it_its_partners(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator()
        post(hub, sent, who="acme")
        assert hub.verdicts(post(hub, newer(sent), who="operator")) == ["admitted"]
        latest = {**sent, "modified": "2026-07-01T00:00:00.000Z"}
        assert hub.verdicts(post(hub, latest, who="north")) == ["refused"]
        assert hub.verdicts(post(hub, latest, who="acme")) == ["admitted"]

    def test_what_an_operator_sent_first_is_replaced_by_operators_only(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator()
        post(hub, sent, who="operator")
        assert hub.verdicts(post(hub, newer(sent), who="acme")) == ["refused"]

    def test_only_its_partner_and_operators_delete_an_object(self, hub: HubInProcess) -> None:
        one, two = indicator(), indicator()
        post(hub, one, two, who="acme")
        assert delete(hub, one, "north") == 403
        assert len(hub.feed("scratch")) == 2
        assert (delete(hub, one, "acme"), delete(hub, two, "operator")) == (200, 200)
        assert delete(hub, one, "north") == 404

    def test_an_id_that_was_deleted_can_be_used_by_others(self, hub: HubInProcess) -> None:
        sent = indicator()
        post(hub, sent, who="acme")
        delete(hub, sent, "acme")
        assert hub.verdicts(post(hub, newer(sent), who="north")) == ["admitted"]


class TestAggregates:
    @pytest.mark.parametrize("first", ["scratch", "green"])
    def test_who_writes_to_one_source_replaces_nothing_that_another_shows(
        self, hub: HubInProcess, first: str
    ) -> None:
        lab = Collection(str(uuid.uuid4()), "lab", CollectionKind.VERBATIM, "Lab")
        hub.store.feeds.add(lab)
        both = CollectionSpec((first, "lab"), max_tlp=Tlp.GREEN)
        view = Collection(str(uuid.uuid4()), "both", CollectionKind.AGGREGATE, "Both")
        hub.store.feeds.add(define_collection(hub.store, view, both))
        account = Account("east", "north", frozenset({lab.id}), frozenset({lab.id}))
        hub.store.accounts.add_account(account)
        hub.store.accounts.add_key("east", hashlib.sha256(b"east").hexdigest())
        hub.push(indicator(name="right"), to="scratch" if first == "scratch" else "inbox")
        (sent,) = hub.feed(first)
        late = {**sent, "modified": "2030-01-01T00:00:00.000Z", "name": "HAXED", "revoked": True}
        hub.push(late, who="east", to="lab")
        shown = hub.feed("both", who="operator")
        assert [each for each in shown if each["type"] == "indicator"] == [sent]


class TestAnAccountThatMayNotRead:
    def test_its_answer_does_not_depend_on_what_others_have(self, hub: HubInProcess) -> None:
        sco = {"type": "ipv4-addr", "spec_version": "2.1", "value": "198.51.100.7"}
        sco["id"] = f"ipv4-addr--{uuid.uuid4()}"
        known, plain = indicator("known.top"), indicator("plain.top")
        post(hub, known, sco, who="acme")
        mine = [newer(known, name="x"), {**sco, "x_a": 1}, newer(plain, name="x"), plain]
        answers = [details(post(hub, each, who="blind"))[0] for each in mine]
        for each in answers:
            assert "x_tocsin_public_id" not in each
            del each["id"], each["version"]
        assert answers == [answers[0]] * 4
        assert (answers[0]["x_tocsin_verdict"], answers[0]["message"]) == ("admitted", TAKEN_UNSEEN)

    def test_a_version_that_it_sends_twice_is_answered_like_a_new_one(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator()
        first, again = (post(hub, sent, who="blind") for _ in range(2))
        other = post(hub, {**sent, "name": "other"}, who="blind")
        assert details(first) == details(again) == details(other)
        assert hub.feed("scratch") == [sent]

    def test_a_fault_of_its_object_is_named(self, hub: HubInProcess) -> None:
        assert hub.verdicts(post(hub, indicator(modified="soon"), who="blind")) == ["refused"]


class TestLevels:
    @pytest.mark.parametrize(
        ("most", "marks", "verdict"),
        [
            (Tlp.GREEN, [GREEN], "admitted"),
            (Tlp.GREEN, [AMBER], "refused"),
            (Tlp.GREEN, [GREEN, AMBER], "refused"),
            (Tlp.GREEN, [], "admitted"),
            (Tlp.AMBER, [AMBER], "admitted"),
            (Tlp.AMBER, [RED], "refused"),
            (Tlp.RED, [RED], "refused"),
        ],
    )
    def test_what_is_marked_above_a_partners_level_is_refused(
        self, hub: HubInProcess, most: Tlp, marks: list[str], verdict: str
    ) -> None:
        hub.join(Partner("east", "East", max_tlp=most, default_tlp=min(most, Tlp.AMBER)))
        sent = indicator(object_marking_refs=marks) if marks else indicator()
        status = post(hub, sent, who="east")
        assert hub.verdicts(status) == [verdict]
        assert len(hub.feed("scratch")) == (verdict == "admitted")
        assert verdict == "admitted" or "marked TLP:" in findings(status)[0]["message"]
        assert "agreement" not in str(status)  # the partner has none

    def test_a_part_that_is_marked_above_it_counts_too(self, hub: HubInProcess) -> None:
        hub.join(Partner("east", "East", max_tlp=Tlp.GREEN, default_tlp=Tlp.GREEN))
        parts = [{"marking_ref": AMBER, "selectors": ["name"]}]
        status = post(hub, indicator(name="x", granular_markings=parts), who="east")
        assert hub.verdicts(status) == ["refused"]

    def test_red_is_refused_from_an_operator_too(self, hub: HubInProcess) -> None:
        status = post(hub, indicator(object_marking_refs=[RED]), who="operator")
        assert hub.verdicts(status) == ["refused"]
