"""Translations and `duplicate-of`: only the partner that leads an object makes them."""

from __future__ import annotations

from typing import Any

import pytest
from support.clock import LATER, ManualClock
from support.hub import AMBER, HubInProcess, Object, details, indicator, relationship, sdo
from support.observables import sco

from tocsin.admission.model import Consent
from tocsin.server.model import Partner

pytestmark = pytest.mark.slow

HARMLESS = {"de": {"name": "HARMLOS", "description": "Fehlalarm, nicht blockieren"}}
FRENCH = {"fr": {"name": "Portail"}}


def translation(of: Object | str, contents: Object = HARMLESS, **more: Any) -> Object:
    target = of if isinstance(of, str) else of["id"]
    return sdo("language-content", object_ref=target, contents=contents, **more)


def shown(hub: HubInProcess, kind: str, feed: str = "green") -> list[Object]:
    return [each for each in hub.feed(feed) if each["type"] == kind]


def public_id(hub: HubInProcess, kind: str = "indicator") -> str:
    return str(shown(hub, kind)[0]["id"])


@pytest.fixture
def report() -> Object:
    return indicator("evil.top", name="Portal", description="Login page")


class TestWhoMayTranslate:
    @pytest.mark.parametrize("more", [{}, {"object_modified": "2026-01-01T00:00:00.000Z"}])
    def test_nobody_translates_the_object_of_another_partner(
        self, hub: HubInProcess, report: Object, more: Object
    ) -> None:
        hub.push(report)
        status = hub.push(translation(public_id(hub), **more), who="north")
        assert hub.verdicts(status) == ["refused"]
        assert "only the partner whose report is published" in details(status)[0]["message"]
        assert shown(hub, "language-content") == []

    def test_who_joins_without_leading_does_not_translate(
        self, hub: HubInProcess, report: Object
    ) -> None:
        hub.push(report)
        own = indicator("evil.top", name="Harmless")
        status = hub.push(own, translation(own), who="north")
        assert hub.verdicts(status) == ["merged", "refused"]

    def test_who_leads_translates_its_report(self, hub: HubInProcess, report: Object) -> None:
        hub.push(indicator("evil.top"), report)
        assert hub.verdicts(hub.push(translation(report, FRENCH))) == ["admitted"]
        assert shown(hub, "language-content")[0]["object_ref"] == public_id(hub)

    def test_the_order_within_a_submission_does_not_matter(
        self, hub: HubInProcess, report: Object
    ) -> None:
        status = hub.push(translation(report, FRENCH), report)
        assert hub.verdicts(status) == ["admitted", "admitted"]

    def test_a_translation_before_a_later_batch_waits_for_its_object(
        self, hub: HubInProcess, report: Object
    ) -> None:
        many = [indicator(f"d{n}.top") for n in range(500)]
        status = hub.push(translation(report, FRENCH), *many, report)
        final = hub.ask(f"status/{status['id']}/").json
        assert set(hub.verdicts(final)) == {"admitted"}
        assert len(shown(hub, "language-content")) == 1

    def test_what_the_hub_or_the_world_says_is_translated_by_nobody(
        self, hub: HubInProcess
    ) -> None:
        assert hub.verdicts(hub.push(translation(hub.identity))) == ["refused"]
        assert hub.verdicts(hub.push(translation(AMBER))) == ["refused"]

    def test_an_own_object_that_nobody_else_can_report_is_translated_unseen(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("mute", "Mute"), reads=("clear",))
        malware = sdo("malware", name="Foo", is_family=True, object_marking_refs=[AMBER])
        status = hub.push(malware, translation(malware, FRENCH), who="mute")
        assert hub.verdicts(status) == ["admitted", "admitted"]

    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_translation_that_its_partner_may_not_read_tells_nothing_of_who_leads_there(
        self, hub: HubInProcess, hidden: bool
    ) -> None:
        hub.join(Partner("mute", "Mute"), reads=("clear", "green"))
        hub.join(Partner("best", "Best", reliability=100))
        file = sco("file", name="x.exe", hashes={"MD5": "1" * 32})
        hub.push(file, who="mute")
        if hidden:
            hub.push({**file, "object_marking_refs": [AMBER]}, who="best")
        sent = translation(file, {"de": {"name": "xx"}}, object_marking_refs=[AMBER])
        assert hub.verdicts(hub.push(sent, who="mute")) == ["refused"]

    def test_an_object_has_a_hundred_translations(self, hub: HubInProcess, report: Object) -> None:
        hub.push(report)
        every = [translation(report, FRENCH) for _ in range(101)]
        assert hub.verdicts(hub.push(*every)).count("refused") == 1
        assert len(shown(hub, "language-content")) == 100
        hub.push({**every[0], "revoked": True, "modified": LATER})
        assert hub.verdicts(hub.push(translation(report, FRENCH))) == ["admitted"]


class TestTheLeadChanges:
    @pytest.fixture
    def translated(self, hub: HubInProcess, report: Object) -> Object:
        """A translation by acme of what it leads; north reports the same."""
        sent = translation(report, FRENCH)
        hub.push(report, sent)
        hub.push(indicator("evil.top", name="Second"), who="north")
        assert "revoked" not in shown(hub, "language-content")[0]
        return sent

    def is_over(self, hub: HubInProcess) -> bool:
        (last,) = shown(hub, "language-content")
        return last.get("revoked") is True and "Portail" not in str(last)

    def test_an_analyst_lets_another_partner_lead(
        self, hub: HubInProcess, translated: Object
    ) -> None:
        hub.services.lifecycle.lead(public_id(hub), "north", "operator")
        assert self.is_over(hub)

    def test_a_more_reliable_partner_reports_it(
        self, hub: HubInProcess, translated: Object
    ) -> None:
        hub.join(Partner("best", "Best", reliability=100))
        own = indicator("evil.top", name="Of the best")
        status = hub.push(own, translation(own, HARMLESS), who="best")
        assert hub.verdicts(status) == ["merged", "admitted"]
        ended, new = sorted(shown(hub, "language-content"), key=lambda each: "revoked" not in each)
        assert ended["revoked"] and new["contents"] == HARMLESS

    def test_the_leading_partner_withdraws(
        self, hub: HubInProcess, report: Object, translated: Object
    ) -> None:
        hub.push({**report, "revoked": True, "modified": LATER})
        assert shown(hub, "indicator")[0]["name"] == "Second"
        assert self.is_over(hub)

    def test_the_object_is_revoked(self, hub: HubInProcess, translated: Object) -> None:
        hub.services.lifecycle.revoke(public_id(hub), "operator", "wrong")
        assert self.is_over(hub)

    def test_the_translation_does_not_come_back_with_the_lead(
        self, hub: HubInProcess, report: Object, translated: Object
    ) -> None:
        hub.services.lifecycle.lead(public_id(hub), "north", "operator")
        hub.services.lifecycle.lead(public_id(hub), "", "operator")
        assert self.is_over(hub)
        assert hub.verdicts(hub.push({**translated, "modified": LATER})) == ["refused"]
        assert hub.verdicts(hub.push(translation(report, FRENCH))) == ["admitted"]

    def test_a_corrected_report_keeps_its_translation(
        self, hub: HubInProcess, report: Object, translated: Object
    ) -> None:
        hub.push({**report, "modified": LATER, "description": "Corrected"})
        assert not self.is_over(hub)

    def test_the_loss_of_the_lead_is_no_withdrawal(self, hub: HubInProcess) -> None:
        own = [indicator(f"d{n}.top") for n in range(4)]
        for each in own:
            hub.push(each, translation(each, FRENCH))
            hub.push(indicator(each["pattern"].split("'")[1]), who="north")
        for each in shown(hub, "indicator"):
            hub.services.lifecycle.lead(each["id"], "north", "operator")
        assert hub.verdicts(hub.push(indicator("new.top"))) == ["admitted"]


class TestTranslationsOfOneVersion:
    """`object_modified` names the version of the object that a translation is of."""

    @pytest.fixture
    def malware(self) -> Object:
        return sdo("malware", name="Foo", is_family=True, description="Harmless to servers.")

    def of_version(self, malware: Object, **more: Any) -> Object:
        texts = {"de": {"description": "Harmlos"}}
        return translation(malware, texts, object_modified=malware["modified"], **more)

    def texts(self, hub: HubInProcess) -> list[str]:
        living = [each for each in shown(hub, "language-content") if "revoked" not in each]
        return [each["contents"]["de"]["description"] for each in living]

    def test_it_ends_when_the_text_changes(self, hub: HubInProcess, malware: Object) -> None:
        hub.push(malware, self.of_version(malware))
        assert self.texts(hub) == ["Harmlos"]
        hub.push({**malware, "modified": LATER, "description": "Wipes servers."})
        (ended,) = shown(hub, "language-content")
        assert ended["revoked"] and "Harmlos" not in str(ended)

    def test_a_part_that_only_stricter_levels_see_ends_for_them_alone(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        strict = {"marking_ref": AMBER, "selectors": ["description"]}
        malware["granular_markings"] = [strict]
        texts = {"de": {"name": "Fuu", "description": "Harmlos"}}
        sent = translation(malware, texts, object_modified=malware["modified"])
        hub.push(malware, sent)
        before = hub.feed("green")
        newer = {**malware, "modified": LATER, "description": "Wipes servers."}
        hub.push(newer)
        assert hub.feed("green") == before
        [left] = shown(hub, "language-content", "amber")
        assert left["contents"] == {"de": {"name": "Fuu"}}
        again = {**sent, "modified": LATER, "object_modified": LATER}
        assert hub.verdicts(hub.push(again)) == ["admitted"]
        assert hub.feed("green") == before
        assert "Harmlos" in str(shown(hub, "language-content", "amber"))
        hub.push({**newer, "modified": "2026-06-01T00:00:00.000Z", "name": "Bar"})
        assert [each["revoked"] for each in shown(hub, "language-content")] == [True]

    @pytest.mark.parametrize("sent_at", ["once", "last", "the hub's"])
    def test_beside_what_changes_nothing_it_is_as_strict_as_the_published_text(
        self, hub: HubInProcess, malware: Object, sent_at: str
    ) -> None:
        strict = {"marking_ref": AMBER, "selectors": ["description"]}
        newer = {**malware, "modified": LATER, "granular_markings": [strict]}
        text = translation(malware, {"de": {"description": "Geheim"}})
        if sent_at == "once":
            hub.push(newer, malware, text)
        elif sent_at == "last":
            hub.push(newer)
            hub.push(malware, text)
        else:
            hub.push(newer)
            [public] = shown(hub, "malware", "amber")
            hub.push(public, {**text, "object_ref": public["id"]})
        assert "Geheim" not in str(hub.feed("green"))
        assert "Geheim" in str(hub.feed("amber"))

    def test_an_ended_part_does_not_come_back_with_what_it_waited_for(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
        author = sdo("identity", name="Kite", identity_class="organization")
        malware["granular_markings"] = [{"marking_ref": AMBER, "selectors": ["description"]}]
        texts = {"de": {"name": "Fuu", "description": "Harmlos"}}
        version = malware["modified"]
        sent = translation(malware, texts, object_modified=version, created_by_ref=author["id"])
        hub.push(malware, sent, who="open")
        hub.push({**malware, "modified": LATER, "description": "Wipes servers."}, who="open")
        hub.push(author, who="open")
        [left] = shown(hub, "language-content", "amber")
        assert left["contents"] == {"de": {"name": "Fuu"}}
        assert left["created_by_ref"] != hub.identity

    def test_it_stays_when_something_else_changes(self, hub: HubInProcess, malware: Object) -> None:
        sent = self.of_version(malware)
        newer = {**malware, "modified": LATER, "name": "Bar"}
        hub.push(malware, sent)
        assert hub.verdicts(hub.push(newer, sent)) == ["admitted", "duplicate"]
        assert self.texts(hub) == ["Harmlos"]

    def test_the_translation_of_any_version_stays(self, hub: HubInProcess, malware: Object) -> None:
        hub.push(malware, translation(malware, {"de": {"description": "Harmlos"}}))
        hub.push({**malware, "modified": LATER, "description": "Wipes servers."})
        assert self.texts(hub) == ["Harmlos"]

    def test_the_new_translation_may_come_with_the_new_text(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        sent = self.of_version(malware)
        hub.push(malware, sent)
        newer = {**malware, "modified": LATER, "description": "Wipes servers."}
        german = {"de": {"description": "Löscht Server"}}
        again = {**sent, "modified": LATER, "object_modified": LATER, "contents": german}
        assert hub.verdicts(hub.push(again, newer)) == ["admitted", "admitted"]
        assert self.texts(hub) == ["Löscht Server"]

    def test_the_new_translation_may_come_later_under_its_id(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        sent = self.of_version(malware)
        hub.push(malware, sent)
        hub.push({**malware, "modified": LATER, "description": "Wipes servers."})
        assert hub.verdicts(hub.push(sent)) == ["refused"]
        again = {**sent, "modified": LATER, "object_modified": LATER}
        assert hub.verdicts(hub.push(again)) == ["admitted"]
        assert self.texts(hub) == ["Harmlos"]

    def test_a_translation_that_names_the_public_version_ends_for_good(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        hub.push(malware)
        [read] = shown(hub, "malware")
        sent = self.of_version(read)
        hub.push(sent)
        assert hub.verdicts(hub.push(sent)) == ["duplicate"]
        hub.push({**malware, "modified": LATER, "description": "Wipes servers."})
        assert hub.verdicts(hub.push(sent)) == ["refused"]
        assert self.texts(hub) == []
        [read] = shown(hub, "malware")
        again = {**sent, "object_modified": read["modified"]}
        assert hub.verdicts(hub.push(again)) == ["admitted"]

    def test_the_new_text_may_come_with_a_later_batch(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        hub.push(malware)
        newer = {**malware, "modified": LATER, "description": "Wipes servers."}
        many = [indicator(f"d{n}.top") for n in range(500)]
        status = hub.push(self.of_version(newer), *many, newer)
        final = hub.ask(f"status/{status['id']}/").json
        assert set(hub.verdicts(final)) == {"admitted"}
        assert self.texts(hub) == ["Harmlos"]

    def test_the_refusal_names_the_own_id_that_leads(self, hub: HubInProcess) -> None:
        first, leads = indicator("evil.top", name="A"), indicator("evil.top", modified=LATER)
        hub.push(first, leads)
        status = hub.push(self.of_version(first))
        message = details(status)[0]["message"]
        assert f"under another id takes precedence: {leads['id']}; " in message
        status = hub.push(self.of_version({**leads, "modified": first["modified"]}))
        assert "under another id" not in details(status)[0]["message"]

    @pytest.mark.parametrize(("name", "living"), [("Gate", 0), ("Portal", 1)])
    def test_it_ends_when_another_id_says_something_else_at_the_same_time(
        self, timed: tuple[HubInProcess, ManualClock], name: str, living: int
    ) -> None:
        hub, clock = timed
        first, second = sorted((indicator("evil.top") for _ in "12"), key=lambda o: str(o["id"]))
        first["name"], second["name"] = "Portal", name
        version = first["modified"]
        hub.push(first, translation(first, FRENCH, object_modified=version))
        clock.now += 1_000_000
        hub.push(second)
        assert self.living(hub) == living
        hub.push(translation(second, FRENCH, object_modified=version))
        assert self.living(hub) == living + 1

    def living(self, hub: HubInProcess) -> int:
        return len([t for t in shown(hub, "language-content") if "revoked" not in t])

    def test_a_version_that_no_later_batch_brings_is_refused(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        hub.push(malware)
        early = {**self.of_version(malware), "object_modified": LATER}
        many = [indicator(f"d{n}.top") for n in range(500)]
        status = hub.push(early, *many, malware)
        final = hub.ask(f"status/{status['id']}/").json
        assert [hub.verdicts(final)[n] for n in (0, -1)] == ["refused", "duplicate"]
        assert self.texts(hub) == []

    def test_a_translation_of_another_version_is_refused(
        self, hub: HubInProcess, malware: Object
    ) -> None:
        late = {**self.of_version(malware), "object_modified": LATER}
        status = hub.push(malware, late)
        assert hub.verdicts(status) == ["admitted", "refused"]
        assert "another version" in details(status)[1]["message"]


class TestTheObjectGetsAnotherId:
    def test_its_translation_is_sent_again_under_the_same_id(self, hub: HubInProcess) -> None:
        ends = sdo("malware", name="Foo", is_family=True), sdo("tool", name="Bar")
        link = relationship(ends[0], "uses", ends[1], description="Uses it")
        sent = translation(link, {"de": {"description": "Nutzt es"}})
        hub.push(*ends, link, sent)
        hub.push({**link, "modified": LATER, "stop_time": "2026-01-01T00:00:00Z"})
        assert hub.verdicts(hub.push(sent)) == ["admitted"]
        living = [each for each in shown(hub, "language-content") if "revoked" not in each]
        [now] = [each for each in shown(hub, "relationship") if "revoked" not in each]
        assert [each["object_ref"] for each in living] == [now["id"]]


class TestSuperseded:
    @pytest.mark.parametrize("word", ["duplicate-of", "revoked-by"])
    def test_nobody_says_of_anothers_object_that_it_is_superseded(
        self, hub: HubInProcess, report: Object, word: str
    ) -> None:
        hub.push(report)
        own = indicator("other.top")
        link = relationship({"id": public_id(hub)}, word, own)
        assert hub.verdicts(hub.push(own, link, who="north")) == ["admitted", "refused"]

    def test_ones_own_object_may_be_a_duplicate_of_anothers(
        self, hub: HubInProcess, report: Object
    ) -> None:
        hub.push(report)
        own = indicator("other.top")
        link = relationship(own, "duplicate-of", {"id": public_id(hub)})
        assert hub.verdicts(hub.push(own, link, who="north")) == ["admitted", "admitted"]

    def test_other_relationships_are_statements_of_their_own(
        self, hub: HubInProcess, report: Object
    ) -> None:
        hub.push(report)
        own = indicator("other.top")
        link = relationship({"id": public_id(hub)}, "derived-from", own)
        assert hub.verdicts(hub.push(own, link, who="north")) == ["admitted", "admitted"]

    def test_it_ends_with_the_lead_of_the_partner_that_said_it(
        self, hub: HubInProcess, report: Object
    ) -> None:
        own = indicator("other.top")
        hub.push(report, own, relationship(report, "duplicate-of", own))
        hub.push(indicator("evil.top"), who="north")
        target = next(e["id"] for e in shown(hub, "indicator") if "evil" in e["pattern"])
        hub.services.lifecycle.lead(target, "north", "operator")
        assert shown(hub, "relationship")[0]["revoked"]


@pytest.mark.parametrize("sent", ["apart", "with the hub's", "with an older version"])
def test_no_answer_tells_if_another_marks_a_part_more_strictly(
    hub: HubInProcess, report: Object, sent: str
) -> None:
    hub.join(Partner("watch", "Watch Limited"), ("clear", "green"))
    hub.push(report | {"modified": LATER}, who="watch")
    strict = {"marking_ref": AMBER, "selectors": ["description"]}
    hub.push(indicator("evil.top", description="x", granular_markings=[strict]), who="north")
    [public] = shown(hub, "indicator")
    before = {"apart": [], "with the hub's": [public], "with an older version": [report]}[sent]
    about = public["id"] if sent == "with the hub's" else report
    status = hub.push(*before, translation(about), who="watch")
    assert hub.verdicts(status)[-1] == "admitted"
    assert "raised" not in str(status)
    assert len(shown(hub, "language-content")) == 1
