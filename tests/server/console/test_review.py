"""Review in the console: the queue, the item, decisions and their undoing."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.clock import ManualClock
from support.console import add_person, make_person, post, sign_in
from support.crash import build_services_over, run_interrupted
from support.databases import open_again
from support.hub import GREEN, HubInProcess, indicator, sdo, work_off
from support.presence import present
from support.statement_marking import STATEMENT

from tocsin.admission.errors import Conflict, NotAllowed
from tocsin.admission.timestamps import DAY, timestamp
from tocsin.server.intake.masks import find_words
from tocsin.server.intake.review_decisions import Chosen, Decisions, ReviewDecision
from tocsin.server.model import ActState, DecisionKind, Review
from tocsin.server.person import Person, Role
from tocsin.server.store import Store, wall_clock
from tocsin.server.store.journal import JournalFilter

PERSON = "Reported by Jane Doe, who saw it"
MASKED = "Reported by [removed: person's name], who saw it"
SECOND = 1_000_000
REVIEWER, OTHER = "reviewer@hub.example", "other@hub.example"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_clock())


@pytest.fixture
def hub(store: Store, clock: ManualClock) -> Iterator[HubInProcess]:
    """A hub whose clock tests can move, with a reviewer."""
    HubInProcess(store, people=(_reviewer(),))
    with open_again(store, clock) as timed:
        yield HubInProcess(timed, clock, founded=True)


@cache
def _reviewer() -> Person:
    return make_person(REVIEWER, Role.REVIEWER)


@pytest.fixture
def reviewer(hub: HubInProcess) -> FlaskClient:
    return sign_in(hub, REVIEWER)


@pytest.fixture
def other(hub: HubInProcess) -> FlaskClient:
    add_person(hub, OTHER, Role.REVIEWER)
    return sign_in(hub, OTHER)


def ask(hub: HubInProcess, *names: str, who: str = "acme") -> list[Review]:
    """Let objects wait whose descriptions name a person."""
    for name in names or ("evil-portal.top",):
        assert isinstance(hub.clock, ManualClock)
        hub.clock.now += SECOND
        hub.push(indicator(name, description=PERSON), who=who)
    return waiting(hub)


def waiting(hub: HubInProcess) -> list[Review]:
    return hub.store.reviews.list_waiting()


def opened(client: FlaskClient, review: Review) -> str:
    answer = client.get(f"/console/review/{review.id}")
    assert answer.status_code == 200, answer.text
    return answer.text


def decide(client: FlaskClient, review: Review, decision: str, **more: Any) -> Any:
    """Send a decision as the page of the item does."""
    form = {"decision": decision, "version": str(review.revision)} | more
    return post(client, f"/console/review/{review.id}", form)


def part_of(page: str, begin: str, end: str) -> str:
    """The part of a page between two texts."""
    return page.partition(begin)[2].partition(end)[0]


def decide_unchecked(hub: HubInProcess, review: Review, decision: ReviewDecision) -> None:
    """Write a decision down as another version of the form might."""
    person = present(hub.store.people.find_by_login(REVIEWER))
    hub.services.intake.decisions.decide(person, Chosen(review.id, review.revision), decision)


def work(hub: HubInProcess) -> None:
    while hub.services.intake.work():
        pass


def later(hub: HubInProcess, clock: ManualClock, seconds: int = 20) -> None:
    """Let time pass, and the workers work."""
    clock.now += seconds * SECOND
    work(hub)


def descriptions(hub: HubInProcess) -> list[str]:
    return [each["description"] for each in hub.feed("green") if "description" in each]


def answers(hub: HubInProcess, review: Review) -> list[str]:
    """The findings by which the submitter reads a reviewer's decision."""
    [record] = hub.store.submissions.records(review.submission)
    return [each["message"] for each in record.findings if each["rule"] == "reviewer"]


def actions(hub: HubInProcess, actor: str) -> list[str]:
    found = hub.store.journal.search(JournalFilter(actor=actor))
    return sorted(each.action for each in found if each.action.startswith("review."))


class TestQueue:
    def test_says_that_nothing_waits(self, reviewer: FlaskClient) -> None:
        assert "Nothing waits." in reviewer.get("/console/review").text

    @pytest.mark.slow
    def test_lists_the_oldest_first_with_its_age(
        self, hub: HubInProcess, clock: ManualClock, reviewer: FlaskClient
    ) -> None:
        ask(hub, "first.top")
        clock.now += 1_200 * SECOND
        ask(hub, "second.top")
        page = reviewer.get("/console/review").text
        assert page.index("first[.]top") < page.index("second[.]top")
        assert "shows all keys" in page and "shows all keys" in opened(reviewer, waiting(hub)[0])
        assert "20 min" in page and "2</strong> wait for a person" in page

    @pytest.mark.slow
    def test_titles_that_were_cut_tell_no_number_of_characters(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        names = " OR ".join(f"domain-name:value = 'host{n}.top'" for n in range(150))
        hub.push(indicator(pattern=f"[{names}]", description=PERSON))
        [review] = waiting(hub)
        heading = part_of(opened(reviewer, review), "<h1", "</h1>")
        row = part_of(reviewer.get("/console/review").text, '<td class="first name">', "</td>")
        for shown in (heading, row):
            assert '<span class="more">…</span>' in shown and "more characters" not in shown

    def test_is_filtered_and_links_carry_the_filter_on(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        ask(hub, "ours.top")
        ask(hub, "theirs.top", who="north")
        page = reviewer.get("/console/review?partner=north&tlp=green&type=indicator").text
        assert "theirs[.]top" in page and "ours[.]top" not in page
        assert re.search(r"/console/review/[0-9a-f-]+\?partner=north&amp;tlp=green", page)
        none = reviewer.get("/console/review?partner=north&tlp=amber").text
        assert "Nothing passes this filter" in none

    def test_what_waits_for_other_objects_only_is_left_out(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(sdo("note", content="n", object_refs=[sdo("malware", name="m")["id"]]))
        assert "1 more wait only for objects" in reviewer.get("/console/review").text
        assert "/console/review/" in reviewer.get("/console/review?rule=references").text

    def test_names_the_box_of_an_item_by_its_value(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator("a.top", description=PERSON))
        page = reviewer.get("/console/review").text
        assert 'aria-label="Select a[.]top"' in page

    @pytest.mark.slow
    def test_has_pages_of_fifty(self, hub: HubInProcess, reviewer: FlaskClient) -> None:
        hub.push(*(indicator(f"a{n}.top", description=PERSON) for n in range(51)))
        first = reviewer.get("/console/review").text
        second = reviewer.get("/console/review?page=2").text
        assert (first.count('name="item"'), second.count('name="item"')) == (50, 1)
        assert "page=2" in first and reviewer.get("/console/review?page=99").text.count(
            'name="item"'
        )


@pytest.mark.parametrize("path", ["", "/all", "/{}"], ids=["queue", "all", "item"])
def test_a_page_that_asks_for_a_reason_says_that_the_journal_keeps_it(
    hub: HubInProcess, reviewer: FlaskClient, path: str
) -> None:
    [review] = ask(hub)
    page = reviewer.get("/console/review" + path.format(review.id)).text
    hint = part_of(page, 'id="reason-hint">', "</p>")
    assert 'aria-describedby="reason-hint"' in page and "in the journal" in hint


class TestItem:
    def test_describes_the_release_by_what_rules_do_and_not_by_the_whole_text(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        page = reviewer.get(f"/console/review/{review.id}").text
        release = part_of(page, 'value="release"', ">")
        assert 'aria-describedby="full-outcome"' in release
        assert "nothing masked" in part_of(page, 'id="full-outcome"', "</a>")

    @pytest.mark.slow
    def test_says_that_nothing_of_an_object_that_has_ended_can_be_released(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        ends = clock.now + 600 * SECOND
        hub.push(indicator(description=PERSON, valid_until=timestamp(ends)))
        [review] = waiting(hub)
        ended = "The object is not published any more, so no text of it can be released."
        page = opened(reviewer, review)
        assert ended not in page and "It is published with the text masked." in page
        clock.now = ends + 7_200 * SECOND
        hub.sweep()
        reviewer = sign_in(hub, REVIEWER)
        page = opened(reviewer, review)
        assert ended in page and "It is published with the text masked." not in page
        assert "As it was published, masked" in page and 'id="edit"' not in page
        assert " disabled" in part_of(page, 'value="release"', ">")
        assert decide(reviewer, review, "keep_masked").status_code == 303
        later(hub, clock)
        assert waiting(hub) == []

    def test_marks_the_words_in_question_beside_the_masked_text(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        page = opened(reviewer, review)
        assert '<mark tabindex="-1">Jane Doe</mark>' in page
        assert "[removed: person&#39;s name]</ins>" in page
        assert "evil-portal[.]top" in page and "TLP:GREEN" in page

    def test_says_once_why_it_waits(self, hub: HubInProcess, reviewer: FlaskClient) -> None:
        hub.push(indicator(pattern="[url:value = 'https://evil.top/olga65@bank.com/x']"))
        [review] = waiting(hub)
        why = part_of(opened(reviewer, review), '<ul class="why">', "</ul>")
        assert why.count("e-mail address in a URL") == why.count("<li>") == 1

    def test_an_unknown_one_does_not_exist(self, reviewer: FlaskClient) -> None:
        assert reviewer.get("/console/review/nothing").status_code == 404

    def test_says_what_stands_around_it(self, hub: HubInProcess, reviewer: FlaskClient) -> None:
        hub.push(indicator(), who="north")
        [review] = ask(hub)
        page = opened(reviewer, review)
        assert "2 sources" in page and "0 yes, 0 no so far" in page
        assert f"/console/submissions/{review.submission}" in page

    def test_another_report_can_lead(self, hub: HubInProcess, reviewer: FlaskClient) -> None:
        hub.push(indicator(description="Seen by north"), who="north")
        [review] = ask(hub)
        page = opened(reviewer, review)
        [public] = re.findall('name="public" value="([^"]+)"', page)
        form = {"public": public, "partner": "acme"}
        answer = post(reviewer, f"/console/review/{review.id}/lead", form)
        assert answer.status_code == 303
        assert descriptions(hub) == [MASKED]
        found = hub.store.journal.search(JournalFilter(actor=REVIEWER))
        assert "object.lead" in {each.action for each in found}

    @pytest.mark.slow
    def test_numbers_that_no_page_has_made_are_refused(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        opened(reviewer, review)
        for number in ("9" * 5_000, "-1", ""):
            assert decide(reviewer, review, "reject", version=number).status_code == 422
            assert decide(reviewer, review, "edit", mark=[number]).status_code == 422
            item = {"decision": "reject", "item": f"{review.id}:{number}"}
            assert post(reviewer, "/console/review/all", item).status_code == 409
        assert waiting(hub)[0].is_open

    def test_a_held_value_cannot_be_kept_masked(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        hub.push(indicator("vpn.acme.example"))
        [review] = waiting(hub)
        page = opened(reviewer, review)
        assert "the marked part is a value" in page and "(pattern)" in page
        answer = decide(reviewer, review, "keep_masked")
        assert answer.status_code == 422 and "the marked part is a value" in answer.text.lower()
        decide_unchecked(hub, review, ReviewDecision(DecisionKind.KEEP_MASKED))
        later(hub, clock)
        assert hub.feed("green") == []
        assert "the marked part is a value" in waiting(hub)[0].returned
        assert waiting(hub)[0].is_open

    def test_a_held_value_stays_one_in_its_canonical_spelling(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator(pattern="[domain-name:value='VPN.acme.example']"))
        [review] = waiting(hub)
        assert "the marked part is a value" in opened(reviewer, review)
        assert decide(reviewer, review, "keep_masked").status_code == 422

    def test_a_held_text_is_published_without_the_marked_words(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        more = '[rules.personal_data]\nperson = "hold"'
        hub = HubInProcess(hub.store, clock, more=more, founded=True)
        client = sign_in(hub, REVIEWER)
        [review] = ask(hub)
        page = opened(client, review)
        assert "Publish without the marked text" in page and "Why it is held" in page
        assert '<mark tabindex="-1">Jane Doe</mark>' in page and " disabled>Publish" not in page
        decide(client, review, "keep_masked")
        later(hub, clock)
        assert descriptions(hub) == [MASKED] and waiting(hub) == []

    def test_shows_what_a_release_in_full_publishes_and_which_rules_still_act(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        hub.push(indicator(description=f"{PERSON}; call +44 20 7946 0958"))
        [review] = waiting(hub)
        full = part_of(opened(reviewer, review), 'id="full"', "</section>")
        assert "Jane Doe</mark>, who saw it; call" in full and "7946" not in full
        assert "[removed: telephone number]" in full and "telephone number masked" in full
        decide(reviewer, review, "release")
        later(hub, clock)
        assert descriptions(hub) == [f"{PERSON}; call [removed: telephone number]"]

    def test_a_long_text_shows_what_a_release_in_full_publishes_around_the_words_in_question(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator("long.top", description="All is well here. " * 500 + PERSON))
        [review] = waiting(hub)
        full = part_of(opened(reviewer, review), "If you release it in full", "</section>")
        assert 'by <mark tabindex="-1">Jane Doe</mark>, who saw it' in full
        assert f'href="/console/review/{review.id}?all=1#full">Show all of it' in full

    def test_says_when_nothing_else_is_masked_in_full(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        assert "No rule masks anything else." in opened(reviewer, review)

    @pytest.mark.slow
    def test_an_unknown_marking_is_what_is_asked_about_and_shown(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        marking = sdo("marking-definition", definition_type="statement") | {
            "definition": {"statement": "Restricted: TLP:AMBER, members only"},
            "name": "Circle",
        }
        unknown = "marking-definition--" + str(uuid.uuid4())
        hub.push(marking, indicator("a.top", object_marking_refs=[marking["id"]]))
        hub.push(indicator("b.top", object_marking_refs=[unknown]))
        pages = {each.source_id: opened(reviewer, each) for each in waiting(hub)}
        page = next(each for each in pages.values() if unknown in each)
        assert "its marking is in question" in page and "the marked part" not in page
        shown = part_of(page, "The marking in question", "</section>")
        assert unknown in shown and "has not come" in shown
        [known] = [each for each in pages.values() if "a[.]top" in each]
        shown = part_of(known, "The marking in question", "</section>")
        assert marking["id"] in shown and "Restricted: TLP:AMBER, members only" in shown

    @pytest.mark.slow
    def test_the_reason_says_if_a_marking_is_not_known_or_has_ended(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        marked = str(STATEMENT["id"])
        hub.push(STATEMENT, indicator("a.top", object_marking_refs=[GREEN, marked]))
        hub.services.partner_data.withdraw("acme", [marked], "operator", "asked by mail")
        reasons = []
        for marking in (marked, sdo("marking-definition")["id"]):
            sent = indicator("b.top", object_marking_refs=[GREEN, marking])
            hub.push(sent)
            [review] = hub.store.reviews.list_waiting_under("acme", {sent["id"]})
            reasons.append(part_of(opened(reviewer, review), 'id="reason"', "</textarea>"))
        assert "its marking definition was withdrawn, revoked or purged" in reasons[0]
        assert "its marking is not known here" in reasons[1]

    def test_times_versions_and_ids_are_shown_as_they_are(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        page = opened(reviewer, review)
        assert "2026-01-01T00:00:00.000Z" in page and ">2.1<" in page

    def test_names_other_items_on_the_same_value_of_the_partner(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        one, two, three = ask(hub, "a.top", "a.top", "b.top")
        ask(hub, "a.top", who="north")
        assert f"/console/review/{two.id}" in opened(reviewer, one)
        assert f"/console/review/{one.id}" in opened(reviewer, two)
        assert "also waits as" not in opened(reviewer, three)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "text",
        [
            "\u202egpj.exe",
            "a\u200bb",
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "{{7*7}}",
            "javascript:alert(1)",
            "x" * 50_000,
        ],
    )
    def test_hostile_text_is_shown_visibly_and_does_nothing(
        self, hub: HubInProcess, reviewer: FlaskClient, text: str
    ) -> None:
        more = [{"source_name": text, "description": text, "url": "https://e.test/"}]
        hub.push(
            indicator(name=text, description=f"{text} {PERSON}", external_references=more)
            | {"labels": [text[:200]]}
        )
        [review] = waiting(hub)
        for page in (opened(reviewer, review), reviewer.get("/console/review").text):
            assert "\u202e" not in page and "\u200b" not in page
            assert "<script>alert" not in page and "<img" not in page
            assert "49" not in re.findall(r">\s*49\s*<", page)
            assert 'href="javascript' not in page and len(page) < 60_000


class TestDeciding:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("decision", "published"),
        [("keep_masked", [MASKED]), ("release", [PERSON]), ("reject", [MASKED])],
    )
    def test_takes_effect_when_the_time_to_take_it_back_is_over(  # noqa: PLR0913
        self,
        hub: HubInProcess,
        reviewer: FlaskClient,
        clock: ManualClock,
        decision: str,
        published: list[str],
    ) -> None:
        [review] = ask(hub)
        assert decide(reviewer, review, decision).status_code == 303
        later(hub, clock, 19)
        assert descriptions(hub) == [MASKED] and len(waiting(hub)) == 1
        later(hub, clock, 1)
        assert descriptions(hub) == published and waiting(hub) == []
        effect = "review.reject" if decision == "reject" else "review.release"
        assert actions(hub, REVIEWER) == ["review.decide", effect]

    @pytest.mark.slow
    def test_the_next_item_opens_with_the_filter(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        one, two = ask(hub, "one.top", "two.top")
        answer = post(
            reviewer,
            f"/console/review/{one.id}?partner=acme",
            {"decision": "keep_masked", "version": str(one.revision)},
        )
        assert answer.location.startswith(f"/console/review/{two.id}?partner=acme&act=")
        page = reviewer.get(answer.location).text
        assert "Kept masked" in page and "item 1 of 1" in page

    def test_the_submitter_reads_the_reason_of_a_rejection(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        status = hub.push(indicator("vpn.acme.example"))
        [review] = waiting(hub)
        decide(reviewer, review, "reject", reason="it names us")
        later(hub, clock)
        settled = hub.ask(f"status/{status['id']}/").json
        assert "it names us" in str(settled) and settled["failure_count"] == 1

    def test_a_ready_reason_rejects_at_once(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        status = hub.push(indicator("vpn.acme.example"))
        [review] = waiting(hub)
        page = opened(reviewer, review)
        assert "It is about a private address, which matches in every network</bdi> <kbd>3" in page
        decide(reviewer, review, "", ready="private_addresses", reason="")
        later(hub, clock)
        settled = hub.ask(f"status/{status['id']}/").json
        assert "it is about a private address" in str(settled) and settled["failure_count"] == 1

    def test_a_ready_reason_asks_for_nothing_again_if_the_object_is_published(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        act = act_of(decide(reviewer, review, "", ready="personal_data"))
        found = hub.store.review_acts.find(act)
        assert found and found.reason == "it has personal data"

    def test_a_ready_reason_that_no_page_offers_is_refused(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        assert decide(reviewer, review, "", ready="rude").status_code == 422
        items = {"item": f"{review.id}:{review.revision}", "ready": "rude"}
        assert post(reviewer, "/console/review/all", items).status_code == 422
        assert waiting(hub)[0].is_open

    def test_a_reason_that_was_emptied_is_asked_for(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        answer = decide(reviewer, review, "reject", reason=" ")
        assert answer.status_code == 422
        assert 'href="#reason"><bdi dir="auto">Enter a reason for the submitter.' in answer.text
        assert part_of(answer.text, 'id="reason"', "/textarea>").endswith('"true"><')
        items = {"item": f"{review.id}:{review.revision}", "reason": ""}
        answer = post(reviewer, "/console/review/all", items | {"decision": "reject"})
        assert answer.status_code == 422 and 'href="#reason"' in answer.text
        assert waiting(hub)[0].is_open
        answer = post(reviewer, "/console/review/all", items | {"decision": "keep_masked"})
        assert answer.status_code == 303

    def test_rejecting_the_text_of_a_published_object_keeps_it_masked_and_gives_the_reason(
        self, hub: HubInProcess, clock: ManualClock, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        page = opened(reviewer, review)
        assert "the full</span> text <kbd>r" in page and "Reject <kbd>r" not in page
        decide(reviewer, review, "reject", reason="it names the victim")
        later(hub, clock)
        assert descriptions(hub) == [MASKED]
        assert answers(hub, review) == ["the masked text is not published: it names the victim"]

    def test_what_no_person_decided_has_no_answer_of_a_reviewer(self, hub: HubInProcess) -> None:
        [review] = ask(hub)
        hub.services.intake.reviewer.reject(
            review, "retention", "not reviewed in time: send it again"
        )
        assert answers(hub, review) == []

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("decision", "answer"),
        [
            ("keep_masked", "the masked text is not published: a reviewer kept it masked"),
            ("release", "a reviewer released it as it was sent"),
        ],
    )
    def test_the_submitter_reads_what_was_decided(
        self,
        hub: HubInProcess,
        clock: ManualClock,
        reviewer: FlaskClient,
        decision: str,
        answer: str,
    ) -> None:
        [review] = ask(hub)
        add_person(hub, "ann@acme.example", Role.ANALYST, partner="acme")
        analyst, page = (
            sign_in(hub, "ann@acme.example"),
            f"/console/submissions/{review.submission}",
        )
        assert "masked text waits for a reviewer" in analyst.get(page).text
        decide(reviewer, review, decision)
        later(hub, clock)
        assert answers(hub, review) == [answer]
        assert "masked text waits for a reviewer" not in analyst.get(page).text

    @pytest.mark.slow
    def test_without_time_to_take_it_back_it_takes_effect_at_once(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        form = {"name": "R", "zone": "", "scheme": "", "undo_seconds": "0", "has_keys": "yes"}
        post(reviewer, "/console/me/settings", form)
        [review] = ask(hub)
        decide(reviewer, review, "release")
        assert hub.services.intake.waiting.is_set()
        work(hub)
        assert descriptions(hub) == [PERSON]

    @pytest.mark.slow
    def test_what_cannot_take_effect_waits_again_with_the_reason(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        hub.push(indicator("vpn.acme.example"))
        [review] = waiting(hub)
        decide(reviewer, review, "release")
        account = present(hub.store.accounts.find_account("acme"))
        hub.store.accounts.update_account(replace(account, disabled=True))
        later(hub, clock)
        [again] = waiting(hub)
        assert again.is_open and "may not send any more" in again.returned
        assert "did not take effect" in opened(reviewer, again)
        assert actions(hub, REVIEWER) == ["review.decide", "review.return"]

    def test_other_rules_that_ask_since_then_undo_it(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        decide(reviewer, review, "release")
        base = hub.store._base.reviews
        base.update_one({"_id": review.id}, {"$set": {"rules": ["personal_data", "urls"]}})
        later(hub, clock)
        [again] = waiting(hub)
        assert again.is_open and "other rules ask" in again.returned
        assert descriptions(hub) == [MASKED]

    def test_what_its_partner_revokes_meanwhile_is_not_published(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        hub.push(sent := indicator("vpn.acme.example"))
        [review] = waiting(hub)
        decide(reviewer, review, "release")
        hub.push(sent | {"revoked": True, "modified": "2026-03-01T00:00:00.000Z"})
        later(hub, clock)
        assert hub.feed("green") == [] and waiting(hub) == []

    def test_retention_does_not_overtake_it(self, hub: HubInProcess, clock: ManualClock) -> None:
        hub.push(indicator("vpn.acme.example"))
        [review] = waiting(hub)
        clock.now += 16 * DAY
        person = present(hub.store.people.find_by_login(REVIEWER))
        chosen, decision = Chosen(review.id, review.revision), ReviewDecision(DecisionKind.RELEASE)
        hub.services.intake.decisions.decide(person, chosen, decision)
        work_off(hub.services.retention.work)
        assert [each.state for each in waiting(hub)] == ["waiting"]
        later(hub, clock)
        assert len(hub.feed("green")) == 1

    def test_what_came_from_the_own_partner_is_for_others(self, hub: HubInProcess) -> None:
        [review] = ask(hub)
        person = Person("p", "jane@acme.example", "Jane", "acme", frozenset())
        chosen, decision = Chosen(review.id, review.revision), ReviewDecision(DecisionKind.RELEASE)
        with pytest.raises(Conflict, match="your own partner"):
            hub.services.intake.decisions.decide(person, chosen, decision)

    @pytest.mark.slow
    def test_answers_of_a_partner_are_counted(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        one, two, three = ask(hub, "one.top", "two.top", "three.top")
        decide(reviewer, one, "release")
        decide(reviewer, two, "reject")
        later(hub, clock)
        assert "1 yes, 1 no so far" in opened(reviewer, three)
        assert "half of the decisions" in reviewer.get("/console/review").text


class TestEditing:
    @pytest.mark.slow
    def test_masks_the_chosen_words_and_publishes_the_rest(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        hub.push(indicator(description=f"{PERSON}. Ask Tom\u200bmy at once."))
        [review] = waiting(hub)
        page = opened(reviewer, review)
        assert 'name="mark" value="0" checked' in page
        answer = decide(reviewer, review, "edit", words="tommy")
        assert answer.status_code == 303, answer.text
        later(hub, clock)
        [text] = descriptions(hub)
        assert text == "Reported by Jane Doe, who saw it. Ask [removed: by a reviewer] at once."

    @pytest.mark.slow
    def test_the_words_in_question_can_stay_masked(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        decide(reviewer, review, "edit", mark="0", words="saw it")
        later(hub, clock)
        mask = "[removed: by a reviewer]"
        assert descriptions(hub) == [f"Reported by {mask}, who {mask}"]

    def test_a_word_that_is_nowhere_is_asked_for_again(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        answer = decide(reviewer, review, "edit", words="nowhere")
        assert answer.status_code == 422
        assert 'name="mark" value="0">' in answer.text, "what was not chosen stays so"
        assert (
            "there is no such word" in answer.text.lower() and ">nowhere</textarea>" in answer.text
        )
        assert waiting(hub)[0].is_open

    def test_more_words_than_the_form_takes_are_asked_for_again_and_none_is_cut_off(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        words = "saw it\n" * 1_500
        answer = decide(reviewer, review, "edit", words=words)
        assert answer.status_code == 422 and "shorten the text" in answer.text
        assert f">{words.strip()}</textarea>" in answer.text
        assert waiting(hub)[0].is_open

    @pytest.mark.parametrize("mailbox", ["nuno.faria@acme.example", "Nuno.Faria%40ACME.example"])
    def test_is_refused_while_the_masked_words_stand_in_the_pattern(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock, mailbox: str
    ) -> None:
        text = "https://x.club/nuno.faria@acme.example/p"
        pattern = f"[url:value = 'https://x.club/{mailbox}/p']"
        hub.push(indicator(name=text) | {"pattern": pattern})
        [review] = waiting(hub)
        page = opened(reviewer, review)
        assert "No words can be masked here" in page and "(pattern)" in page
        assert 'name="mark"' not in page and 'name="words"' not in page
        answer = decide(reviewer, review, "edit", words="nuno.faria@acme.example")
        assert answer.status_code == 422 and "(pattern)" in answer.text
        masks = tuple(find_words(json.loads(review.object), ["nuno.faria@acme.example"]))
        decide_unchecked(hub, review, ReviewDecision(DecisionKind.EDIT, masks=masks))
        later(hub, clock)
        assert hub.feed("green") == [] and "(pattern)" in waiting(hub)[0].returned

    @pytest.mark.parametrize("value", ["jane.doe.top", "janedoe.top"])
    def test_is_refused_while_words_in_question_stand_where_they_cannot_be_masked(
        self, hub: HubInProcess, reviewer: FlaskClient, value: str
    ) -> None:
        hub.push(indicator(value, description=PERSON))
        [review] = waiting(hub)
        assert "in pattern, which cannot be masked" in opened(reviewer, review)
        answer = decide(reviewer, review, "edit", words="saw it")
        assert answer.status_code == 422 and "in pattern, which cannot be masked" in answer.text

    def test_words_in_question_that_stay_in_a_text_are_released_by_choice(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator(description=PERSON, labels=["jane%20doe"]))
        [review] = waiting(hub)
        assert decide(reviewer, review, "edit", mark="0").status_code == 422
        assert decide(reviewer, review, "edit", words="saw it").status_code == 303

    def test_words_of_one_s_own_are_not_masked_beside_a_value_that_has_them(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator("panel.kolibri.top", description=f"{PERSON}, at Kolibri"))
        [review] = waiting(hub)
        answer = decide(reviewer, review, "edit", words="kolibri")
        assert answer.status_code == 422 and "in pattern, which cannot be masked" in answer.text
        assert ">kolibri</textarea>" in answer.text and waiting(hub)[0].is_open

    @pytest.mark.slow
    def test_words_in_another_spelling_are_asked_for(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator(description=PERSON, labels=["kolibri%20bank", "Kolibri Bank"]))
        [review] = waiting(hub)
        answer = decide(reviewer, review, "edit", words="Kolibri Bank")
        assert answer.status_code == 422 and "enter them as they are written there" in answer.text
        both = "Kolibri Bank\nkolibri%20bank"
        assert decide(reviewer, review, "edit", words=both).status_code == 303

    def test_nothing_to_mask_is_refused(self, hub: HubInProcess, reviewer: FlaskClient) -> None:
        [review] = ask(hub)
        assert decide(reviewer, review, "edit").status_code == 422


class TestUndoing:
    @pytest.mark.slow
    def test_within_the_time_lets_the_item_wait_again(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        act = act_of(decide(reviewer, review, "release"))
        clock.now += 19 * SECOND
        answer = post(reviewer, "/console/review/undo", {"act": act})
        assert answer.location.startswith(f"/console/review/{review.id}?act=")
        assert "Withdrawn" in reviewer.get(answer.location).text
        later(hub, clock, 60)
        assert descriptions(hub) == [MASKED] and waiting(hub)[0].is_open
        assert actions(hub, REVIEWER) == ["review.decide", "review.withdraw"]

    @pytest.mark.slow
    def test_what_was_entered_stands_in_the_form_again(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator("a.top", description=f"{PERSON}. Reported by John Smith of Sales"))
        [review] = waiting(hub)
        act = act_of(decide(reviewer, review, "edit", mark="0", words="Saw It\nSales"))
        page = reviewer.get(post(reviewer, "/console/review/undo", {"act": act}).location).text
        edit = part_of(page, 'id="edit"', "</details>")
        assert edit.startswith(" open>") and ">saw it\nSales</textarea>" in edit
        assert 'value="0" checked' in edit and 'value="1">' in edit
        [review] = waiting(hub)
        act = act_of(decide(reviewer, review, "reject", reason="of no use"))
        page = reviewer.get(post(reviewer, "/console/review/undo", {"act": act}).location).text
        assert ">of no use</textarea>" in page and 'id="edit">' in page
        [review] = waiting(hub)
        decide(reviewer, review, "keep_masked")
        person = present(hub.store.people.find_by_login(REVIEWER))
        acts = hub.store.review_acts.list_latest(person.id)
        assert [(each.reason, each.masks) for each in acts] == [("", ())] * 3

    @pytest.mark.slow
    def test_after_a_purge_says_nothing_of_waiting_and_keeps_no_reason(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        reviews, pages = ask(hub, "a.top", "b.top"), list[str]()
        acts = [act_of(decide(reviewer, each, "reject", reason=PERSON)) for each in reviews]
        pages.append(post(reviewer, "/console/review/undo", {"act": acts[0]}).location)
        for value in ("a.top", "b.top"):
            hub.services.purger.purge_value(value, "operator", "erasure")
        pages.append(post(reviewer, "/console/review/undo", {"act": acts[1]}).location)
        texts = [reviewer.get(each).text for each in pages]
        assert all("Withdrawn" in each and "as before" not in each for each in texts)
        assert [present(hub.store.review_acts.find(each)).reason for each in acts] == ["", ""]

    @pytest.mark.slow
    def test_after_the_time_it_is_refused(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        act = act_of(decide(reviewer, review, "release"))
        clock.now += 20 * SECOND
        answer = post(reviewer, "/console/review/undo", {"act": act})
        assert answer.status_code == 409 and "has taken effect" in answer.text
        work(hub)
        assert descriptions(hub) == [PERSON]

    def test_is_refused_when_another_worker_s_clock_was_ahead(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        act = act_of(decide(reviewer, review, "release"))
        later(hub, clock)
        pending = {"$set": {"state": "pending"}}
        hub.store._base.review_acts.update_one({"_id": act}, pending)  # not done with the last
        clock.now -= 5 * SECOND
        assert post(reviewer, "/console/review/undo", {"act": act}).status_code == 409

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("decision", "value"), [("keep_masked", True), ("release", True), ("reject", False)]
    )
    def test_the_value_is_named_while_it_is_kept_or_published(  # noqa: PLR0913
        self,
        hub: HubInProcess,
        reviewer: FlaskClient,
        clock: ManualClock,
        decision: str,
        value: bool,
    ) -> None:
        hub.push(indicator("vpn.acme.example", description=PERSON))
        ask(hub, "b.top")
        [review] = [each for each in waiting(hub) if each.kind == "held"]
        if decision == "keep_masked":
            [review] = [each for each in waiting(hub) if each.kind != "held"]
        named = "b[.]top" if decision == "keep_masked" else "vpn[.]acme[.]example"
        answer = decide(reviewer, review, decision)
        status = part_of(reviewer.get(answer.location).text, 'id="status"', "</p>")
        assert named in status
        page = reviewer.get("/console/review").text
        assert named in part_of(page, "Your last decisions", "</table>")
        later(hub, clock)
        page = reviewer.get("/console/review").text
        assert (named in part_of(page, "Your last decisions", "</table>")) == value

    def test_is_for_the_person_alone(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient
    ) -> None:
        [review] = ask(hub)
        act = act_of(decide(reviewer, review, "release"))
        assert post(other, "/console/review/undo", {"act": act}).status_code == 404

    @pytest.mark.slow
    def test_the_last_ten_decisions_stay_listed(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        for review in ask(hub, *(f"a{n}.top" for n in range(12))):
            decide(reviewer, review, "reject")
            later(hub, clock)
        page = reviewer.get("/console/review").text
        assert page.count("<td>Rejected</td>") == 10
        assert hub.store._base.review_acts.count_documents({}) == 11


def act_of(answer: Any) -> str:
    """The act that the page after a decision names."""
    assert answer.status_code == 303, answer.text
    found = re.search("[?&]act=([0-9a-f]+)", answer.location)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("way", ["locked out", "removed", "without the role"])
class TestAReviewerWhoIsGone:
    """A reviewer whom an operator locks out, or removes, or from whom the role is taken."""

    def end(self, hub: HubInProcess, way: str) -> None:
        add_person(hub, "operator@hub.example", Role.OPERATOR)
        if way == "locked out":
            hub.services.people.set_disabled(REVIEWER, "operator", disabled=True)
        elif way == "without the role":
            hub.services.people.set_roles(REVIEWER, [Role.AUDITOR], "operator")
        else:
            hub.services.people.remove(REVIEWER, "operator")

    @pytest.mark.slow
    def test_decides_nothing_more(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock, way: str
    ) -> None:
        [review] = ask(hub)
        act_of(decide(reviewer, review, "release"))
        self.end(hub, way)
        later(hub, clock, 60)
        assert descriptions(hub) == [MASKED] and waiting(hub)[0].is_open
        assert actions(hub, "operator") == ["review.withdraw"]

    @pytest.mark.slow
    def test_leaves_no_reason(self, hub: HubInProcess, reviewer: FlaskClient, way: str) -> None:
        [review] = ask(hub)
        act_of(decide(reviewer, review, "reject", reason="names John Smith"))
        self.end(hub, way)
        assert "John" not in str(list(hub.store._base.review_acts.find({})))

    @pytest.mark.slow
    def test_has_decided_what_was_carried_out_before(
        self, hub: HubInProcess, clock: ManualClock, way: str
    ) -> None:
        chosen = [
            Chosen(each.id, each.revision) for each in ask(hub, *(f"e{n}.top" for n in range(14)))
        ]
        person = present(hub.store.people.find_by_login(REVIEWER))
        act = hub.services.intake.decisions.decide_all(
            person, chosen, ReviewDecision(DecisionKind.REJECT)
        )
        clock.now += 60 * SECOND
        while len(waiting(hub)) == 14:
            hub.services.intake.work()
        left = [each.id for each in waiting(hub)]
        self.end(hub, way)
        work(hub)
        if way == "removed":
            assert hub.store._base.review_acts.count_documents({}) == 0
        else:
            found = present(hub.store.review_acts.find(act.id))
            assert found.state is ActState.DONE and [id for id, _ in found.failed] == left
        [entry] = hub.store.journal.search(JournalFilter(action="review.withdraw"))
        assert entry.details["ids"] == left == [each.id for each in waiting(hub) if each.is_open]
        assert len(left) == 4

    def test_writes_down_no_decision_for_which_a_request_had_begun(
        self, hub: HubInProcess, way: str
    ) -> None:
        [review] = ask(hub)
        chosen, kept = Chosen(review.id, review.revision), ReviewDecision(DecisionKind.KEEP_MASKED)
        person = present(hub.store.people.find_by_login(REVIEWER))
        self.end(hub, way)
        decisions = hub.services.intake.decisions
        with pytest.raises(NotAllowed, match="may not decide reviews any more"):
            decisions.decide(person, chosen, kept)
        with pytest.raises(NotAllowed, match="may not decide reviews any more"):
            decisions.decide_all(person, [chosen], kept)
        assert waiting(hub)[0].is_open

    @pytest.mark.slow
    def test_has_no_item_open(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient, way: str
    ) -> None:
        [review] = ask(hub)
        opened(reviewer, review)
        self.end(hub, way)
        assert "yours until" in opened(other, review)


class TestTwoPeople:
    @pytest.mark.slow
    def test_an_open_item_is_claimed_and_shown_so(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient
    ) -> None:
        [review] = ask(hub)
        assert "yours until" in opened(reviewer, review)
        page = opened(other, review)
        assert f"{REVIEWER} has it open" in page and 'name="decision"' not in page
        assert REVIEWER in other.get("/console/review").text

    @pytest.mark.slow
    def test_a_claimed_item_cannot_be_decided_by_another_one(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient
    ) -> None:
        [review] = ask(hub)
        opened(reviewer, review)
        answer = decide(other, review, "release")
        assert answer.status_code == 409 and f"{REVIEWER} has it open" in answer.text

    @pytest.mark.slow
    def test_a_claim_ends_after_a_quarter_of_an_hour_or_by_skipping(
        self,
        hub: HubInProcess,
        reviewer: FlaskClient,
        other: FlaskClient,
        clock: ManualClock,
    ) -> None:
        one, two = ask(hub, "one.top", "two.top")
        opened(reviewer, one)
        opened(reviewer, two)
        clock.now += 15 * 60 * SECOND
        assert "yours until" in opened(other, one)
        clock.now += SECOND
        opened(other, two)
        post(other, f"/console/review/{two.id}/skip", {})
        assert "yours until" in opened(reviewer, two)

    @pytest.mark.slow
    def test_the_next_item_is_one_that_nobody_else_has_open(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient
    ) -> None:
        one, two, three = ask(hub, "one.top", "two.top", "three.top")
        opened(other, two)
        answer = decide(reviewer, one, "reject")
        assert answer.location.startswith(f"/console/review/{three.id}?")

    @pytest.mark.slow
    def test_the_second_decision_is_refused_with_the_first_one(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        field = part_of(opened(reviewer, review), 'id="reason"', "/textarea>")
        reason = part_of(field, ">", "<")
        decide(reviewer, review, "reject", reason="no")
        answer = decide(other, review, "edit", words="saw it", reason="mine")
        assert answer.status_code == 409
        assert "it has been decided already" in answer.text
        for text in (REVIEWER, "Reject", ">saw it</textarea>", 'readonly value="mine"'):
            assert text in answer.text
        answer = decide(other, review, "reject", reason=reason)
        assert answer.status_code == 409 and reason and "had entered" not in answer.text
        later(hub, clock)
        assert decide(other, review, "release").status_code == 409
        assert decide(other, review, "reject", reason="").status_code == 409
        assert descriptions(hub) == [MASKED]

    @pytest.mark.slow
    def test_a_decided_item_is_out_of_the_queue_at_once(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient
    ) -> None:
        [review] = ask(hub)
        decide(reviewer, review, "reject")
        assert "Nothing waits." in other.get("/console/review").text
        page = opened(other, review)
        assert "This item is decided" in page and REVIEWER in page

    def test_a_changed_item_is_looked_at_again(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        answer = post(
            reviewer,
            f"/console/review/{review.id}",
            {"decision": "release", "version": str(review.revision - 1)},
        )
        assert answer.status_code == 409 and "has changed since you opened it" in answer.text


class TestSeveral:
    def test_are_rejected_with_a_ready_reason_that_fits_all(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator("vpn.acme.example"), indicator("www.acme.example"))
        items = [f"{each.id}:{each.revision}" for each in waiting(hub)]
        form = {"item": items, "ready": "victim_terms", "reason": "left in the field"}
        act = hub.store.review_acts.find(act_of(post(reviewer, "/console/review/all", form)))
        assert act and (len(act.reviews), act.reason.partition(":")[2]) == (2, " send it without")
        ask(hub)
        hub.push(indicator("mail.acme.example"))
        items = [f"{each.id}:{each.revision}" for each in waiting(hub)]
        form["item"] = items
        act = hub.store.review_acts.find(act_of(post(reviewer, "/console/review/all", form)))
        assert act and (len(act.reviews), act.reason.partition(":")[2]) == (2, "")

    @pytest.mark.slow
    def test_are_decided_together_and_withdrawn_together(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        found = ask(hub, *(f"a{n}.top" for n in range(12)))
        items = [f"{each.id}:{each.revision}" for each in found]
        form = {"decision": "keep_masked", "item": items[:11]}
        act = act_of(post(reviewer, "/console/review/all?partner=acme", form))
        assert len(hub.store.review_queue.look()) == 1
        answer = post(reviewer, "/console/review/undo", {"act": act})
        page = reviewer.get(answer.location).text
        assert "Withdrawn: 11 items. They wait as before." in page
        assert len(hub.store.review_queue.look()) == 12
        fresh = [f"{each.id}:{each.revision}" for each in waiting(hub)]
        post(reviewer, "/console/review/all", {"decision": "reject", "item": fresh, "reason": "x"})
        later(hub, clock)
        assert waiting(hub) == []

    @pytest.mark.slow
    def test_are_carried_out_a_few_at_a_time_beside_other_work(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient, clock: ManualClock
    ) -> None:
        *many, last = ask(hub, *(f"a{n}.top" for n in range(13)))
        items = [f"{each.id}:{each.revision}" for each in many]
        post(reviewer, "/console/review/all", {"decision": "reject", "item": items})
        clock.now += SECOND
        decide(other, last, "reject")
        clock.now += 30 * SECOND
        turns = hub.services.intake
        left = [len(waiting(hub)) for _ in range(4) if turns.work()]
        assert left[0] == 3 and left[-1] == 0

    @pytest.mark.slow
    def test_what_is_claimed_or_changed_is_skipped_and_named(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient
    ) -> None:
        one, two, three = ask(hub, "one.top", "two.top", "three.top")
        opened(other, one)
        items = [f"{one.id}:{one.revision}", f"{two.id}:0", f"{three.id}:{three.revision}"]
        answer = post(reviewer, "/console/review/all", {"decision": "keep_masked", "item": items})
        page = reviewer.get(answer.location).text
        assert "Skipped 2." in page and one.id[:8] in page and two.id[:8] in page
        assert f"{OTHER} has it open" in page

    def test_what_cannot_be_kept_masked_is_left_out_and_named(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        hub.push(indicator("vpn.acme.example"))
        [held] = waiting(hub)
        [asked] = (each for each in ask(hub) if each != held)
        items = [f"{each.id}:{each.revision}" for each in (held, asked)]
        answer = post(reviewer, "/console/review/all", {"decision": "keep_masked", "item": items})
        page = reviewer.get(answer.location).text
        assert "Kept masked: 1 item" in page and "Skipped 1." in page
        named = part_of(page, "Left out of your last decision", "</ul>")
        assert "vpn[.]acme[.]example" in named and "the marked part is a value" in named
        assert [each.id for each in waiting(hub) if each.is_open] == [held.id]
        alone = {"decision": "keep_masked", "item": items[:1]}
        answer = post(reviewer, "/console/review/all", alone)
        assert answer.status_code == 409 and "vpn[.]acme[.]example" in answer.text

    @pytest.mark.slow
    def test_items_on_which_a_decision_did_not_take_effect_are_named_until_they_are_decided(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        hub.push(indicator("vpn.acme.example"))
        [held] = waiting(hub)
        decide_unchecked(hub, held, ReviewDecision(DecisionKind.KEEP_MASKED))
        later(hub, clock)
        [asked] = (each for each in ask(hub) if each.id != held.id)
        for page in (reviewer.get("/console/review").text, opened(reviewer, asked)):
            assert "did not take effect on 1 item. It waits again." in page
            assert "vpn[.]acme[.]example" in part_of(page, "It waits again.", "</ul>")
        [again] = (each for each in waiting(hub) if each.id == held.id)
        assert "It waits again." not in opened(reviewer, again)
        decide(reviewer, again, "reject")
        assert "It waits again." not in reviewer.get("/console/review").text

    @pytest.mark.slow
    def test_a_form_that_is_sent_twice_leads_to_the_decision_that_was_taken(
        self, hub: HubInProcess, reviewer: FlaskClient, other: FlaskClient
    ) -> None:
        one, two, three = ask(hub, "one.top", "two.top", "three.top")
        opened(other, two)
        items = [f"{each.id}:{each.revision}" for each in (one, two)]
        form = {"decision": "keep_masked", "item": items}
        first = post(reviewer, "/console/review/all", form)
        again = post(reviewer, "/console/review/all", form)
        assert again.status_code == 303 and again.location == first.location
        answer = post(reviewer, "/console/review/all", form | {"decision": "reject"})
        assert answer.status_code == 409 and "it has been decided already by you" in answer.text
        assert "one[.]top" in answer.text and f"{OTHER} has it open" in answer.text
        assert [each.id for each in waiting(hub) if each.is_open] == [two.id, three.id]

    def test_release_in_full_is_not_among_the_choices(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        [review] = ask(hub)
        form = {"decision": "release", "item": [f"{review.id}:{review.revision}"]}
        assert post(reviewer, "/console/review/all", form).status_code == 422
        assert waiting(hub)[0].is_open

    def test_more_than_five_hundred_are_refused(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        form = {"decision": "reject", "item": ["x:1"] * 501}
        answer = post(reviewer, "/console/review/all", form)
        assert answer.status_code == 409 and "500 at most" in answer.text
        assert '<h1 id="item" tabindex="-1">Review<' in answer.text

    def test_what_is_wrong_is_said_on_the_queue_and_the_items_stay_selected(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        review, _ = ask(hub, "one.top", "two.top")
        item = f"{review.id}:{review.revision}"
        answer = post(reviewer, "/console/review/all?partner=acme", {"item": item})
        assert answer.status_code == 422 and "Choose what to do with the items." in answer.text
        assert f'value="{item}" checked' in answer.text and answer.text.count(" checked") == 1

    def test_all_that_match_are_counted_and_frozen(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        ask(hub, "one.top", "two.top")
        ask(hub, "three.top", who="north")
        page = reviewer.get("/console/review/all?partner=acme").text
        assert page.count('name="item"') == 2 and "Keep 2 masked" in page

    def test_none_chosen_changes_nothing(self, hub: HubInProcess, reviewer: FlaskClient) -> None:
        ask(hub)
        answer = post(reviewer, "/console/review/all", {"decision": "reject"})
        assert "No item was chosen" in reviewer.get(answer.location).text


class TestRoles:
    def test_partners_see_nothing_of_it(self, hub: HubInProcess) -> None:
        [review] = ask(hub)
        for role in (Role.VIEWER, Role.ANALYST):
            add_person(hub, f"{role}@hub.example", role, partner="acme")
            client = sign_in(hub, f"{role}@hub.example")
            for path in ("review", f"review/{review.id}", "review/all"):
                assert client.get(f"/console/{path}").status_code == 404
            assert "Review" not in client.get("/console/me").text

    def test_auditors_look_and_cannot_act(self, hub: HubInProcess) -> None:
        [review] = ask(hub)
        add_person(hub, "auditor@hub.example", Role.AUDITOR)
        client = sign_in(hub, "auditor@hub.example")
        page = opened(client, review)
        assert 'name="decision"' not in page and "reviewers decide" in page
        assert 'type="checkbox"' not in client.get("/console/review").text
        assert decide(client, review, "release").status_code == 404
        assert post(client, "/console/review/undo", {"act": "x"}).status_code == 404
        assert hub.store.reviews.find(review.id) == review
        assert waiting(hub)[0].claim is None

    def test_operators_act(self, hub: HubInProcess) -> None:
        [review] = ask(hub)
        add_person(hub, "operator@hub.example", Role.OPERATOR)
        assert decide(sign_in(hub, "operator@hub.example"), review, "reject").status_code == 303


class TestAnotherProcess:
    """A decision is in the database, so nothing depends on the process that took it."""

    def test_carries_a_decision_out_that_a_dead_one_left(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        decide(reviewer, review, "release")
        clock.now += 20 * SECOND
        with open_again(hub.store, clock) as second:
            work_off(build_services_over(hub, second).intake.work)
        assert descriptions(hub) == [PERSON] and waiting(hub) == []

    @pytest.mark.parametrize("after", [1, 2, 3, 4])
    @pytest.mark.slow
    def test_goes_on_where_a_worker_was_killed(  # noqa: PLR0913
        self,
        hub: HubInProcess,
        reviewer: FlaskClient,
        clock: ManualClock,
        after: int,
    ) -> None:
        found = ask(hub, "one.top", "two.top", "three.top")
        items = [f"{each.id}:{each.revision}" for each in found]
        form = {"decision": "reject", "item": items, "reason": "no"}
        clock.now -= 100 * SECOND  # the worker's clock is that of the machine
        post(reviewer, "/console/review/all", form)

        def act() -> None:
            work(hub)

        assert run_interrupted(hub, act, after).left <= 0
        clock.now += 200 * SECOND
        work(hub)
        assert waiting(hub) == []
        assert actions(hub, REVIEWER) == ["review.decide", *["review.reject"] * 3]
        [done] = hub.store.review_acts.list_latest(found_person(hub))
        assert done.state == "done" and hub.store.outbox.lease("t", 0, 9) == []

    def test_does_not_publish_what_is_withdrawn_while_it_evaluates(
        self, hub: HubInProcess, reviewer: FlaskClient, clock: ManualClock
    ) -> None:
        [review] = ask(hub)
        clock.now -= 100 * SECOND  # that of the worker is ahead
        act = act_of(decide(reviewer, review, "release"))
        person = present(hub.store.people.find_by_login(REVIEWER))
        decisions = Decisions(hub.store, threading.Event())

        def withdraw() -> None:
            decisions.withdraw(person, act)

        def run() -> None:
            work(hub)

        assert run_interrupted(hub, run, 1, withdraw, within=True).left <= 0
        assert descriptions(hub) == [MASKED] and waiting(hub)[0].is_open
        assert hub.store.review_acts.list_latest(person.id)[0].state == "withdrawn"

    def test_sees_in_its_queue_what_others_decide_and_add(
        self, hub: HubInProcess, reviewer: FlaskClient
    ) -> None:
        with open_again(hub.store) as second:
            one, two = ask(hub, "one.top", "two.top")
            assert [each.id for each in second.review_queue.look()] == [one.id, two.id]
            decide(reviewer, one, "reject")
            [*_, three] = ask(hub, "three.top")
            assert [each.id for each in second.review_queue.look()] == [two.id, three.id]


def found_person(hub: HubInProcess) -> str:
    return present(hub.store.people.find_by_login(REVIEWER)).id


def test_the_bar_says_how_many_wait_and_only_to_those_who_review(hub: HubInProcess) -> None:
    ask(hub, "a.top", "b.top")
    add_person(hub, "ana@acme.example", Role.VIEWER, partner="acme")
    client = sign_in(hub, REVIEWER)
    assert "2<span" in client.get("/console/me").text
    assert client.get("/console/part/waiting?seen=2").status_code == 204
    assert "2<span" in client.get("/console/part/waiting?seen=1").text
    assert sign_in(hub, "ana@acme.example").get("/console/part/waiting").status_code == 404
