"""`tocsin-hub review`: a reviewer sees what is asked about, and releases all of it or part."""

import contextlib
import io
import json
from typing import Any
from unittest import mock

import pytest
from support.hub import (
    GREEN,
    HUB_SECRETS,
    HubInProcess,
    details,
    findings,
    indicator,
    relationship,
    sdo,
)

from tocsin.admission.errors import Conflict, NotFound
from tocsin.config.settings import HubSettings
from tocsin.server.cli.review import (
    decide_review,
    list_reviews,
    print_review,
    review_command,
    show_review,
)
from tocsin.server.intake.review_decisions import Chosen, ReviewDecision
from tocsin.server.model import DecisionKind
from tocsin.server.person import Person, Role
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store
from tocsin.server.store.journal import JournalFilter

PERSON = "Reported by Jane Doe, who saw it"
MASKED = "Reported by [removed: person's name], who saw it"
ESCAPE = "\x1b[2J\u202e"


def opened(hub: HubInProcess) -> Runtime:
    """The hub as the commands of jane open it."""
    return Runtime(HubSettings(), HUB_SECRETS, hub.services, "operator:jane")


def waiting_id(hub: HubInProcess) -> str:
    [review] = hub.store.reviews.list_waiting()
    return review.id


def shown(hub: HubInProcess) -> Any:
    return show_review(opened(hub), waiting_id(hub))


def printed(hub: HubInProcess) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_review(shown(hub))
    return out.getvalue()


def list_on_terminal(hub: HubInProcess, *words: str) -> None:
    """Run `review list` on this hub."""
    runtime = contextlib.nullcontext(opened(hub))
    with (
        mock.patch("tocsin.server.cli.command.open_runtime", return_value=runtime),
        mock.patch("tocsin.server.cli.command.has_secrets", return_value=True),
        mock.patch("tocsin.server.cli.command.read_secrets"),
    ):
        review_command.main(["list", *words], standalone_mode=False)


class TestShowing:
    def test_the_object_is_shown_as_it_was_sent(self, hub: HubInProcess) -> None:
        sent = indicator(description=PERSON)
        hub.push(sent)
        answer = shown(hub)
        assert answer["object"] == sent
        assert (answer["type"], answer["sender"]) == ("indicator", "acme")

    def test_the_words_in_question_are_marked_with_path_and_span(self, hub: HubInProcess) -> None:
        hub.push(indicator(description=PERSON))
        [mark] = [each for each in shown(hub)["marked"] if each["path"] == "description"]
        [word] = mark["words"]
        assert (word["text"], PERSON[word["start"] : word["end"]]) == ("Jane Doe", "Jane Doe")
        assert mark["rule"] == "personal_data" and "person's name" in mark["reason"]

    def test_each_word_is_marked_by_the_finding_that_is_about_it(self, hub: HubInProcess) -> None:
        hub.push(indicator(description="Contact: Jane Doe, call +49 30 901820, jo.doe@bank.test"))
        marks = {each["action"]: each for each in shown(hub)["marked"]}
        words = {action: [w["text"] for w in each["words"]] for action, each in marks.items()}
        assert words == {
            "asked": ["Jane Doe"],
            "replaced": ["+49 30 901820", "jo.doe@bank.test"],
        }

    def test_words_in_lists_are_marked_too(self, hub: HubInProcess) -> None:
        more = {"source_name": "x", "description": PERSON}
        hub.push(indicator(external_references=[more]))
        [mark] = shown(hub)["marked"]
        assert mark["path"] == "external_references[0].description"
        assert [word["text"] for word in mark["words"]] == ["Jane Doe"]

    def test_of_a_pattern_that_is_held_the_whole_is_marked(self, hub: HubInProcess) -> None:
        hub.push(sent := indicator("vpn.acme.example"))
        [mark] = shown(hub)["marked"]
        assert (mark["rule"], mark["path"]) == ("victim_terms", "pattern")
        assert [word["text"] for word in mark["words"]] == [sent["pattern"]]

    def test_control_characters_do_not_reach_the_terminal(self, hub: HubInProcess) -> None:
        hub.push(indicator(description=f"{PERSON} {ESCAPE}", name=ESCAPE))
        text = printed(hub)
        assert "Jane Doe" in text and "description[" in text
        assert all(c.isprintable() or c == "\n" for c in text)

    def test_an_unknown_review_is_refused(self, hub: HubInProcess) -> None:
        with pytest.raises(NotFound):
            show_review(opened(hub), "nothing")

    def test_of_a_decided_review_it_says_that_the_object_is_gone(self, hub: HubInProcess) -> None:
        hub.push(indicator(description=PERSON))
        name = waiting_id(hub)
        decide_review(opened(hub), name, release=True, reason="")
        with pytest.raises(Conflict, match="has been released; its object is not kept"):
            show_review(opened(hub), name)

    def test_invisible_characters_around_a_word_do_not_hide_it(self, hub: HubInProcess) -> None:
        hub.push(indicator(description=f"invoice\u202egpj.exe. {PERSON}"))
        [mark] = [each for each in shown(hub)["marked"] if each["path"] == "description"]
        assert [word["text"] for word in mark["words"]] == ["Jane Doe"]

    def test_a_word_written_in_several_places_is_marked_in_each(self, hub: HubInProcess) -> None:
        hub.push(indicator(description="Contact: Jane Doe. Contact: Jane Doe."))
        [mark] = shown(hub)["marked"]
        assert [word["text"] for word in mark["words"]] == ["Jane Doe", "Jane Doe"]


def test_a_decision_of_the_console_is_shown_and_not_overridden(hub: HubInProcess) -> None:
    hub.push(indicator("vpn.acme.example"))
    [review] = hub.store.reviews.list_waiting()
    person = Person("p", "jane@hub.example", "Jane", "", frozenset({Role.REVIEWER}))
    hub.store.people.add(person)
    chosen, decision = Chosen(review.id, review.revision), ReviewDecision(DecisionKind.RELEASE)
    hub.services.intake.decisions.decide(person, chosen, decision)
    [entry] = list_reviews(opened(hub), None)
    assert (entry["decided"], entry["by"]) == ("release", "jane@hub.example")
    with pytest.raises(Conflict, match=r"jane@hub\.example has decided review"):
        decide_review(opened(hub), review.id, release=False, reason="no")


class TestListing:
    def test_type_and_value_stand_beside_the_findings(self, hub: HubInProcess) -> None:
        hub.push(sent := indicator("vpn.acme.example"))
        [entry] = list_reviews(opened(hub), None)
        assert (entry["type"], entry["value"]) == ("indicator", sent["pattern"])
        assert entry["findings"]

    def test_a_name_stands_for_an_object_without_a_value(self, hub: HubInProcess) -> None:
        hub.push(sdo("malware", name="evil", is_family=False, description=PERSON))
        [entry] = list_reviews(opened(hub), None)
        assert (entry["type"], entry["value"]) == ("malware", "evil")

    def test_of_each_the_list_has_the_id_the_object_and_the_question(
        self, hub: HubInProcess, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub.push(indicator("vpn.acme.example", name=ESCAPE))
        [entry] = list_reviews(opened(hub), None)
        list_on_terminal(hub)
        first, second, *others, last = capsys.readouterr().out.splitlines()
        assert first.split()[:3] == [entry["review"], "acme", "held"]
        assert second.strip() == f"indicator: {entry['value']}"
        findings: Any = entry["findings"]
        held = [each for each in findings if each["action"] == "held"]
        assert [line.strip() for line in others] == [f"{f['rule']}: {f['message']}" for f in held]
        assert held and len(held) < len(findings)
        assert last.strip() == f"it is refused on {str(entry['ends'])[:10]} unless you decide"

    def test_the_oldest_are_listed_and_the_others_mentioned(
        self, hub: HubInProcess, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for n in range(3):
            hub.push(indicator(f"vpn{n}.acme.example"))
        found = list_reviews(opened(hub), None)
        assert list_reviews(opened(hub), None, 2) == found[:2]
        list_on_terminal(hub, "--limit", "2")
        shown = capsys.readouterr()
        assert all(str(each["review"]) in shown.out for each in found[:2])
        assert str(found[2]["review"]) not in shown.out
        assert "more reviews wait than these 2" in shown.err

    def test_what_waits_for_others_is_listed_only_if_it_is_asked_for(
        self, hub: HubInProcess, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first, second = indicator("evil-portal.top"), indicator("one-more.top")
        hub.push(relationship(first, "related-to", second))
        hub.push(indicator("vpn.acme.example"))
        found = {str(each["type"]): str(each["review"]) for each in list_reviews(opened(hub), None)}
        waits, asked = found["relationship"], found["indicator"]
        list_on_terminal(hub, "--limit", "1")
        shown = capsys.readouterr()
        assert asked in shown.out and waits not in shown.out
        assert "1 object not listed here waits for others that have not come yet" in shown.err
        assert "--limit" not in shown.err
        list_on_terminal(hub, "--all", "--partner", "acme")
        shown = capsys.readouterr()
        assert asked in shown.out and waits in shown.out and not shown.err
        list_on_terminal(hub, "--partner", "north")
        assert capsys.readouterr().err == "tocsin-hub: the list is empty\n"


def release(hub: HubInProcess, **more: Any) -> Any:
    return decide_review(opened(hub), waiting_id(hub), release=True, reason="", **more)


class TestReleasingWithoutTheTexts:
    def test_a_question_about_a_text_is_closed_and_the_mask_stays(self, hub: HubInProcess) -> None:
        hub.push(indicator(description=PERSON))
        assert release(hub, without_text=True)["verdict"] == "admitted"
        assert [each["description"] for each in hub.feed("green")] == [MASKED]
        assert hub.store.reviews.list_waiting() == []

    def test_a_held_object_is_admitted_with_its_texts_masked(self, hub: HubInProcess) -> None:
        hub.push(indicator("vpn.acme.example", description=PERSON))
        assert release(hub, without_text=True)["verdict"] == "admitted"
        assert [each["description"] for each in hub.feed("green")] == [MASKED]
        assert hub.store.reviews.list_waiting() == []

    def test_a_text_for_which_an_object_is_held_is_masked(self, store: Store) -> None:
        hub = HubInProcess(store, more='[rules.personal_data]\nperson = "hold"')
        hub.push(indicator(description=PERSON))
        assert hub.feed("green") == []
        assert release(hub, without_text=True)["verdict"] == "admitted"
        assert [each["description"] for each in hub.feed("green")] == [MASKED]

    def test_what_would_be_invalid_without_the_text_stays_for_another_decision(
        self, hub: HubInProcess
    ) -> None:
        bare = {"type": "artifact", "spec_version": "2.1", "object_marking_refs": [GREEN]}
        name = "artifact--6f437177-6e48-5cf8-9d9e-872a2bddd641"
        hub.push({**bare, "id": name, "payload_bin": "aGVsbG8gd29ybGQ="})
        before = hub.store.reviews.list_waiting()
        with pytest.raises(Conflict, match="release it as a whole, or reject it"):
            release(hub, without_text=True)
        assert hub.store.reviews.list_waiting() == before

    def test_the_journal_says_that_the_texts_stayed_out(self, hub: HubInProcess) -> None:
        hub.push(indicator(description=PERSON))
        review = waiting_id(hub)
        release(hub, without_text=True)
        [entry] = hub.store.journal.search(JournalFilter(about=review))
        assert (entry.action, entry.actor) == ("review.release", "operator:jane")
        assert entry.details["without_text"] is True

    def test_a_plain_release_still_publishes_the_text(self, hub: HubInProcess) -> None:
        hub.push(indicator(description=PERSON))
        release(hub)
        assert [each["description"] for each in hub.feed("green")] == [PERSON]


def test_a_rejection_is_in_the_journal_with_its_person_and_reason(hub: HubInProcess) -> None:
    hub.push(indicator("vpn.acme.example"))
    review = waiting_id(hub)
    decide_review(opened(hub), review, release=False, reason="names a victim")
    [entry] = hub.store.journal.search(JournalFilter(about=review))
    assert (entry.action, entry.actor) == ("review.reject", "operator:jane")
    assert entry.details["reason"] == "names a victim"


class TestTooManyWaiting:
    @pytest.fixture
    def hub(self, store: Store) -> HubInProcess:
        return HubInProcess(store, settings=HubSettings(max_waiting_reviews=2))

    def held(self, hub: HubInProcess, *names: str, who: str = "acme") -> Any:
        return hub.push(*(indicator(f"{name}.{who}.example") for name in names), who=who)

    def test_what_exceeds_the_limit_is_refused_with_the_reason(self, hub: HubInProcess) -> None:
        status = self.held(hub, "one", "two", "three")
        assert sorted(hub.verdicts(status)) == ["held", "held", "refused"]
        assert any("too many waiting" in each["message"] for each in findings(status))
        assert hub.verdicts(self.held(hub, "four")) == ["refused"]
        assert len(hub.store.reviews.list_waiting()) == 2

    def test_another_partner_is_not_concerned(self, hub: HubInProcess) -> None:
        self.held(hub, "one", "two")
        assert hub.verdicts(self.held(hub, "one", who="north")) == ["held"]

    def test_a_decision_makes_room(self, hub: HubInProcess) -> None:
        self.held(hub, "one", "two")
        first, _ = hub.store.reviews.list_waiting()
        decide_review(opened(hub), first.id, release=False, reason="")
        assert hub.verdicts(self.held(hub, "three")) == ["held"]

    def test_a_shortened_copy_is_published_and_its_text_is_not_queued(
        self, hub: HubInProcess
    ) -> None:
        self.held(hub, "one", "two")
        status = hub.push(indicator(description=PERSON))
        assert hub.verdicts(status) == ["admitted"]
        assert [each["description"] for each in hub.feed("green")] == [MASKED]
        messages = [each["message"] for each in findings(status)]
        assert any("too many waiting" in each for each in messages)
        assert "person's name masked" in messages, "nobody may release it"
        assert len(hub.store.reviews.list_waiting()) == 2

    def test_a_reference_to_what_was_refused_does_not_wait(self, hub: HubInProcess) -> None:
        self.held(hub, "one", "two")
        target = indicator("three.acme.example")
        note = sdo("note", content="see", object_refs=[target["id"], indicator()["id"]])
        hub.push(target)
        status = hub.push(note)
        assert [entry["x_tocsin_verdict"] for entry in details(status)] != ["held"]

    def test_zero_is_no_limit(self, store: Store) -> None:
        hub = HubInProcess(store, settings=HubSettings(max_waiting_reviews=0))
        assert hub.verdicts(self.held(hub, "one", "two", "three")) == ["held"] * 3


def test_a_shown_review_is_json(hub: HubInProcess) -> None:
    hub.push(indicator(description=PERSON))
    assert json.loads(json.dumps(shown(hub)))["review"] == waiting_id(hub)
