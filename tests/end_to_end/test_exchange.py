"""The promises of the exchange (docs/privacy.md, docs/protocol.md): a partner's submission goes in,
and what other partners may know comes out."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.hub import (
    AMBER,
    CLEAR,
    GREEN,
    GREEN_1,
    RED,
    HubInProcess,
    details,
    findings,
    indicator,
    sdo,
)
from support.presence import present
from support.statement_marking import STATEMENT

from tocsin.admission.model import Consent, Tlp
from tocsin.admission.stix.history_extension import AUTHOR_ID, EXTENSION_ID
from tocsin.server.model import Partner
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


class TestMerging:
    def test_two_partners_one_domain_give_one_public_indicator(self, hub: HubInProcess) -> None:
        hub.push(indicator("evil.top"), who="acme")
        status = hub.push(indicator("EVIL.top."), who="north")
        [public] = hub.feed("green")
        assert hub.verdicts(status) == ["merged"]
        assert details(status)[0]["x_tocsin_public_id"] == public["id"]
        assert (
            len(
                hub.store.commit(
                    lambda txn: txn.public_objects([public["id"]])[public["id"]]
                ).contributions
            )
            == 2
        )

    def test_neither_partner_is_visible_in_any_feed(self, hub: HubInProcess) -> None:
        author = sdo("identity", name="Acme Corporation", identity_class="organization")
        sent = indicator(
            created_by_ref=author["id"], description="seen by ACME corporation at mail.acme.example"
        )
        hub.push(author, sent, who="acme")
        text = json.dumps(hub.feed("green", "north")).lower()
        assert "acme" not in text and author["id"] not in text and sent["id"] not in text
        assert hub.feed("green")[0]["created_by_ref"] == hub.identity

    def test_amber_and_green_are_two_public_objects_and_green_says_nothing_of_amber(
        self, hub: HubInProcess
    ) -> None:
        hub.push(indicator(object_marking_refs=[AMBER], description="amber words"), who="acme")
        hub.push(indicator(object_marking_refs=[GREEN], description="green words"), who="north")
        [green] = hub.feed("green")
        assert green["description"] == "green words"
        assert {o["description"] for o in hub.feed("amber")} == {"amber words", "green words"}
        assert len({o["id"] for o in hub.feed("amber")}) == 2

    def test_the_first_of_two_equally_reliable_partners_leads(self, hub: HubInProcess) -> None:
        early = {"valid_from": "2025-01-01T00:00:00Z", "labels": ["a"]}
        late = {"valid_from": "2025-06-01T00:00:00Z", "labels": ["b"]}
        for domain, first, second in (("one.top", early, late), ("two.top", late, early)):
            hub.push(indicator(domain, **first), who="acme")
            hub.push(indicator(domain, **second), who="north")
        one, two = hub.feed("green")
        assert (one["valid_from"], one["labels"]) == ("2025-01-01T00:00:00Z", ["a"])
        assert (two["valid_from"], two["labels"]) == ("2025-06-01T00:00:00Z", ["b"])

    def test_sending_the_same_again_is_a_duplicate_and_changes_nothing(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator()
        hub.push(sent)
        before = hub.ask("collections/green/manifest/").json
        assert hub.verdicts(hub.push(sent)) == ["duplicate"]
        assert hub.ask("collections/green/manifest/").json == before

    def test_the_hubs_own_object_coming_back_corroborates_nothing(self, hub: HubInProcess) -> None:
        hub.push(indicator(), who="acme")
        [public] = hub.feed("green")
        assert hub.verdicts(hub.push(public, who="north")) == ["duplicate"]
        assert hub.feed("green") == [public]

    def test_a_new_version_replaces_the_partners_contribution(self, hub: HubInProcess) -> None:
        sent = indicator(description="first")
        hub.push(sent)
        status = hub.push({**sent, "modified": "2026-02-01T00:00:00.000Z", "description": "second"})
        [public] = hub.feed("green")
        assert (hub.verdicts(status), public["description"]) == (["admitted"], "second")

    def test_the_same_version_with_other_content_is_refused(self, hub: HubInProcess) -> None:
        sent = indicator(description="first")
        hub.push(sent)
        status = hub.push({**sent, "description": "second"})
        assert hub.verdicts(status) == ["refused"]
        assert hub.feed("green")[0]["description"] == "first"

    def test_a_new_pattern_under_an_old_id_moves_the_contribution(self, hub: HubInProcess) -> None:
        sent = indicator("old.top")
        hub.push(sent)
        hub.push({**indicator("new.top"), "id": sent["id"], "modified": "2026-02-01T00:00:00.000Z"})
        by_pattern = {o["pattern"]: o.get("revoked", False) for o in hub.feed("green")}
        assert by_pattern == {
            "[domain-name:value = 'old.top']": True,
            "[domain-name:value = 'new.top']": False,
        }

    def test_it_moves_also_to_what_the_partner_says_under_another_id_already(
        self, hub: HubInProcess
    ) -> None:
        sent, other = indicator("old.top"), indicator("new.top")
        hub.push(sent, other)
        again = {**other, "id": sent["id"], "modified": "2026-02-01T00:00:00.000Z"}
        assert hub.verdicts(hub.push(again)) == ["duplicate"]
        assert revoked(hub) == {"old.top": True, "new.top": False}

    def test_what_the_partner_said_since_under_another_id_stays(self, hub: HubInProcess) -> None:
        one = indicator("old.top")
        hub.push(one)
        hub.push(indicator("old.top", modified="2026-01-05T00:00:00.000Z", description="more"))
        hub.push({**indicator("new.top"), "id": one["id"], "modified": "2026-02-01T00:00:00.000Z"})
        assert revoked(hub) == {"old.top": False, "new.top": False}

    def test_an_old_version_that_comes_late_moves_nothing_back(self, hub: HubInProcess) -> None:
        old = indicator("old.top")
        new = {**indicator("new.top"), "id": old["id"], "modified": "2026-02-01T00:00:00.000Z"}
        hub.push(new)
        status = hub.push(old)
        assert hub.verdicts(status) == ["duplicate"]
        assert "a newer version" in findings(status)[-1]["message"]
        assert revoked(hub) == {"new.top": False}

    def test_what_comes_with_such_an_old_version_leads_to_what_is_there(
        self, hub: HubInProcess
    ) -> None:
        first = indicator("evil.top")
        other = first | {"pattern": "[domain-name:value = 'else.top']"}
        hub.push(other | {"modified": "2026-03-01T00:00:00.000Z"})
        report = sdo(
            "report", name="R", published="2026-01-01T00:00:00Z", object_refs=[first["id"]]
        )
        assert hub.verdicts(hub.push(first, report)) == ["duplicate", "admitted"]
        found = {each["type"]: each for each in hub.feed("green")}
        assert found["report"]["object_refs"] == [found["indicator"]["id"]]

    @pytest.mark.parametrize("times", [("2026-01-01T00:00:00Z", None), (None, "yesterday")])
    def test_an_observable_moves_whatever_it_calls_its_version(
        self, hub: HubInProcess, times: Any
    ) -> None:
        for digest, time in zip("ab", times, strict=True):
            said = {"modified": time} if time else {}
            file = {"type": "file", "spec_version": "2.1", "hashes": {"MD5": digest * 32}}
            name = "file--11111111-1111-4111-8111-111111111111"
            status = hub.push({**file, "id": name, "object_marking_refs": [GREEN], **said})
            assert hub.verdicts(status) == ["admitted"]
        assert [o.get("revoked") for o in hub.feed("green")] == [True, None]


def revoked(hub: Any) -> Any:
    """By the value of each indicator in the feed, whether it is revoked."""
    return {o["pattern"].split("'")[1]: o.get("revoked", False) for o in hub.feed("green")}


def everything(hub: Any, feed: Any) -> Any:
    """The hub's own objects too."""
    return hub.ask(f"collections/{feed}/objects/").json["objects"]


class TestWhoSpeaks:
    def test_nobody_changes_what_another_partner_said(self, hub: HubInProcess) -> None:
        said = sdo("malware", name="Foo", is_family=True, description="as it is")
        hub.push(said, who="acme")
        forged = {**said, "modified": "2026-06-01T00:00:00.000Z", "description": "forged"}
        hub.push(forged, {**forged, "revoked": True}, who="north")
        [first, *_] = hub.feed("green")
        assert (first["description"], first.get("revoked")) == ("as it is", None)

    @pytest.mark.slow
    def test_who_wants_to_be_named_is_while_nobody_else_says_it_under_however_many_ids(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
        author = sdo("identity", name="Open Limited", identity_class="organization")
        named = {"created_by_ref": author["id"]}
        hub.push(author, indicator(**named), indicator(**named, labels=["a"]), who="open")
        ids = {o["type"]: o["id"] for o in everything(hub, "green") if o["id"] != hub.identity}
        assert hub.feed("green")[0]["created_by_ref"] == ids["identity"]
        hub.push(indicator(labels=["b"]), who="north")
        assert hub.feed("green")[0]["created_by_ref"] == hub.identity

    @pytest.mark.slow
    def test_nobody_is_named_where_his_words_are_taken_back_for_stricter_ones(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
        author = sdo("identity", name="Open Limited", identity_class="organization")
        green, amber = (
            indicator(f"{mark[-1]}.top", object_marking_refs=[mark]) for mark in (GREEN, AMBER)
        )
        seen = sdo("sighting", sighting_of_ref=green["id"], created_by_ref=author["id"])
        hub.push(author, green, amber, seen, who="open")
        later = {"modified": "2026-02-01T00:00:00.000Z", "sighting_of_ref": amber["id"]}
        hub.push({**seen, **later, "object_marking_refs": [AMBER]}, who="open")
        [gone] = [o for o in hub.feed("green") if o["type"] == "sighting"]
        strict = [o for o in hub.feed("amber") if o["type"] == "sighting"]
        [left] = [o for o in strict if "revoked" not in o]
        assert (gone["revoked"], gone["created_by_ref"]) == (True, hub.identity)
        assert gone["sighting_of_ref"] != left["sighting_of_ref"] and gone["id"] != left["id"]

    def test_nobody_revokes_by_the_public_id(self, hub: HubInProcess) -> None:
        hub.push(indicator(), who="acme")
        [public] = hub.feed("green")
        hub.push({**public, "revoked": True, "modified": "2026-11-25T00:00:00.000Z"}, who="north")
        assert hub.feed("green") == [public]

    @pytest.mark.slow
    @pytest.mark.parametrize("more", [{}, {"created_by_ref": None}])
    def test_nobody_learns_from_an_id_that_something_stricter_is_there(
        self, hub: HubInProcess, more: Any
    ) -> None:
        """Knowing an id that only readers of AMBER know changes no answer."""
        hub.join(Partner("low", "Low Limited"), reads=("clear", "green"))
        hub.push(indicator("evil.top", object_marking_refs=[AMBER]))
        [secret] = hub.feed("amber", "north")
        verdicts = []
        for name in (secret["id"], indicator()["id"]):
            own = indicator(f"{name[-9:]}.top", id=name, created_by_ref=secret["created_by_ref"])
            sent = {k: v for k, v in (own | more).items() if v is not None}
            verdicts.append(hub.verdicts(hub.push(sent, who="low")))
        assert verdicts[0] == verdicts[1] == (["admitted"] if more else ["refused"])

    def test_authors_of_notes_are_people_and_stay_unnamed(self, hub: HubInProcess) -> None:
        one = indicator()
        note = sdo("note", content="seen", authors=["Jo Doe"], object_refs=[one["id"]])
        hub.push(one, note)
        assert "Jo Doe" not in json.dumps(hub.feed("green"))

    def test_invisible_characters_hide_no_name(self, hub: HubInProcess) -> None:
        hub.push(indicator(description="A\u200bcme Corp\u00adoration was hit"))
        assert hub.feed("green")[0]["description"] == "[removed: submitter's name] was hit"

    def test_what_a_file_carried_waits_for_an_analyst(self, hub: HubInProcess) -> None:
        name = "artifact--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0"
        sent = {"type": "artifact", "spec_version": "2.1", "id": name, "payload_bin": "YWNtZQ=="}
        assert hub.verdicts(hub.push(sent)) == ["held"]

    def test_recipients_of_a_message_are_not_passed_on(self, hub: HubInProcess) -> None:
        victim = {
            "type": "email-addr",
            "spec_version": "2.1",
            "id": "email-addr--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0",
            "value": "lure@evil.top",
        }
        message = {
            "type": "email-message",
            "spec_version": "2.1",
            "id": "email-message--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0",
            "is_multipart": False,
            "from_ref": victim["id"],
            "to_refs": [victim["id"]],
            "received_lines": ["from mail.acme.example"],
        }
        hub.push(victim, message)
        [public] = [o for o in hub.feed("amber") if o["type"] == "email-message"]
        assert "to_refs" not in public and "received_lines" not in public
        assert public["from_ref"].startswith("email-addr--")

    def test_terms_are_kept_out_of_all_reports_for_a_partner_that_asks(
        self, hub: HubInProcess
    ) -> None:
        partner = hub.store.accounts.find_partner("acme")
        hub.store.accounts.update_partner(replace(present(partner), mask_everywhere=True))
        hub.push(indicator(description="acme.example was hit first"), who="north")
        assert "acme.example" not in json.dumps(hub.feed("green"))
        assert hub.verdicts(hub.push(indicator("mail.acme.example"), who="north")) == ["held"]

    @pytest.mark.parametrize(
        ("language", "pattern"),
        [
            ("snort", "alert tcp 10.1.2.3 any -> any 80 (sid:1;)"),
            ("yara", 'rule a { meta: by = "jo@bank.test" condition: true }'),
        ],
    )
    def test_patterns_of_other_languages_are_searched_too(
        self, hub: HubInProcess, language: str, pattern: str
    ) -> None:
        assert hub.verdicts(hub.push(indicator(pattern=pattern, pattern_type=language))) == ["held"]

    def test_a_private_address_in_a_url_waits_for_an_analyst(self, hub: HubInProcess) -> None:
        url = "[url:value = 'http://evil.top/?ip=10.1.2.3']"
        assert hub.verdicts(hub.push(indicator(pattern=url))) == ["held"]


class TestRevocation:
    def test_a_partner_withdraws_only_its_own_contribution(self, hub: HubInProcess) -> None:
        sent = indicator()
        hub.push(sent, who="acme")
        hub.push(indicator(), who="north")
        hub.push({**sent, "modified": "2026-02-01T00:00:00.000Z", "revoked": True}, who="acme")
        assert "revoked" not in hub.feed("green")[0]

    def test_with_the_last_contribution_the_public_object_is_revoked(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator()
        hub.push(sent)
        hub.push({**sent, "modified": "2026-02-01T00:00:00.000Z", "revoked": True})
        assert hub.feed("green")[0]["revoked"] is True

    def test_what_was_revoked_comes_back_under_a_new_id(self, hub: HubInProcess) -> None:
        sent = indicator()
        hub.push(sent)
        hub.push({**sent, "modified": "2026-02-01T00:00:00.000Z", "revoked": True})
        hub.push(indicator(), who="north")
        old, new = hub.feed("green")
        assert (old["revoked"], new.get("revoked"), old["id"] == new["id"]) == (True, None, False)


class TestMarkings:
    def test_red_is_refused(self, hub: HubInProcess) -> None:
        status = hub.push(indicator(object_marking_refs=[RED]))
        assert hub.verdicts(status) == ["refused"]
        assert "RED" in details(status)[0]["message"]

    def test_the_status_of_a_stricter_version_says_that_the_one_before_stays(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator("evil.top")
        hub.push(sent)
        later = {"modified": "2026-02-01T00:00:00.000Z", "object_marking_refs": [RED]}
        status = hub.push(sent | later)
        assert hub.verdicts(status) == ["refused"]
        assert "stays published: revoke it" in findings(status)[-1]["message"]
        assert hub.verdicts(hub.push(sent | later | {"revoked": True})) == ["admitted"]

    def test_an_unknown_marking_waits_for_an_analyst(self, hub: HubInProcess) -> None:
        foreign = "marking-definition--11111111-1111-4111-8111-111111111111"
        status = hub.push(indicator(object_marking_refs=[foreign]))
        assert (status["status"], hub.verdicts(status)) == ("pending", ["held"])
        assert hub.feed("amber") == []

    def test_both_generations_of_green_are_one_scope(self, hub: HubInProcess) -> None:
        hub.push(indicator(object_marking_refs=[GREEN_1]), who="acme")
        status = hub.push(indicator(object_marking_refs=[GREEN]), who="north")
        assert hub.verdicts(status) == ["merged"]
        assert hub.feed("green")[0]["object_marking_refs"] == [GREEN]

    def test_what_carries_no_mark_is_taken_as_the_partner_agreed(self, hub: HubInProcess) -> None:
        sent = indicator()
        del sent["object_marking_refs"]
        hub.push(sent)
        assert hub.feed("green") == []
        assert hub.feed("amber")[0]["object_marking_refs"] == [AMBER]

    def test_above_the_partners_level_is_refused(self, hub: HubInProcess) -> None:
        hub.join(Partner("low", "Low Limited", max_tlp=Tlp.CLEAR, default_tlp=Tlp.CLEAR))
        assert hub.verdicts(hub.push(indicator(), who="low")) == ["refused"]

    def test_each_feed_has_what_it_takes_and_nothing_stricter(self, hub: HubInProcess) -> None:
        marks = {"c.top": CLEAR, "g.top": GREEN, "a.top": AMBER}
        hub.push(*(indicator(d, object_marking_refs=[mark]) for d, mark in marks.items()))
        seen = {feed: len(hub.feed(feed)) for feed in ("clear", "green", "amber")}
        assert seen == {"clear": 1, "green": 2, "amber": 3}

    def test_the_definitions_that_readers_need_are_in_the_feed(self, hub: HubInProcess) -> None:
        found = hub.ask("collections/green/objects/").json["objects"]
        assert [o["id"] for o in found] == [hub.identity, CLEAR, GREEN, AUTHOR_ID, EXTENSION_ID]

    def test_a_statement_goes_with_the_objects_that_carry_it(self, hub: HubInProcess) -> None:
        statement = STATEMENT | {"definition": {"statement": "Copyright Acme Corporation"}}
        hub.push(statement, indicator(object_marking_refs=[GREEN, statement["id"]]))
        found = {o["id"]: o for o in hub.ask("collections/green/objects/").json["objects"]}
        [carrier] = [o for o in found.values() if o["type"] == "indicator"]
        [carried] = [found[ref] for ref in carrier["object_marking_refs"] if ref != GREEN]
        assert carried["definition"]["statement"] == "Copyright [removed: submitter's name]"

    def test_an_object_waits_rather_than_lose_a_marking(self, hub: HubInProcess) -> None:
        strict = STATEMENT | {"object_marking_refs": [AMBER]}
        status = hub.push(strict, indicator(object_marking_refs=[GREEN, strict["id"]]))
        assert hub.verdicts(status) == ["admitted", "held"]
