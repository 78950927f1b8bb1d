"""An object of a preview beside what others would read of it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hub import default_admission
from support.slowness import measure_slowness

from tocsin.admission import Pipeline
from tocsin.admission.model import Candidate, StixObject, Submitter, Tlp
from tocsin.server.console.comparison import Compared, Room, compare, has_own_text
from tocsin.server.console.drafts import PreviewedObject
from tocsin.server.console.previews import find_standing, object_to_send
from tocsin.server.store import wall_clock

GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"


def indicator(**more: object) -> StixObject:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": "[domain-name:value = 'evil-portal.top']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [GREEN],
        **more,
    }


def examined(subject: StixObject) -> Candidate:
    admission = default_admission()
    pipeline = Pipeline(admission.policy, Submitter("acme"), admission.warninglists)
    return pipeline.examine([Candidate.from_object(0, subject)], wall_clock())[0]


def compared(subject: StixObject, reader: Tlp = Tlp.AMBER, room: Room | None = None) -> Compared:
    candidate = examined(subject)
    standing = find_standing(Candidate.from_object(0, subject), candidate)
    return compare(1, PreviewedObject(subject, candidate), standing, reader, room or Room())


def test_only_the_words_that_differ_are_marked() -> None:
    (change,) = compared(indicator(description="Sent to jo.doe@bank.example.net today")).changes
    assert [(p.text, p.is_different) for p in change.before] == [
        ("Sent to ", False),
        ("jo.doe@bank.example.net", True),
        (" today", False),
    ]
    assert [p.text for p in change.after if p.is_different] == ["[removed: e-mail address]"]
    assert change.why == (("personal_data", "e-mail address masked"),)


@pytest.mark.slow
@given(st.text("ab \n@.", max_size=40), st.text("ab \n@.", max_size=40))
def test_both_sides_of_a_change_are_complete(before: str, after: str) -> None:
    text = f"{before} jo.doe@bank.example.net {after}"
    for change in compared(indicator(description=text)).changes:
        if change.path == "description":
            assert "".join(piece.text for piece in change.before) == text


def test_the_strict_parts_of_an_object_are_shown_to_readers_of_their_level_only() -> None:
    marks = [{"marking_ref": AMBER, "selectors": ["description"]}]
    subject = indicator(description="for few", granular_markings=marks)
    assert "description" in (compared(subject, Tlp.AMBER).content or {})
    assert "description" not in (compared(subject, Tlp.GREEN).content or {})
    assert compared(subject, Tlp.CLEAR).content is None


def test_a_page_has_room_for_so_much_and_says_how_much_is_left_out() -> None:
    text = " ".join(f"w{n} x{n}@bank.example.net" for n in range(40))
    room = Room(left=4_000)
    first, second = (compared(indicator(description=text), room=room) for _ in range(2))
    assert (len(first.changes), first.more_changes) == (1, 0)
    assert (len(second.changes), second.more_changes) == (0, 1)


@pytest.mark.slow
def test_a_text_of_a_megabyte_is_compared_quickly_and_shown_in_part() -> None:
    middle = f" {'x' * 50}" * 20_000
    text = f"jo.doe@bank.example.net{middle} jo.doe@bank.example.net"
    subject = indicator(description=text)
    candidate = examined(indicator(description="jo.doe@bank.example.net"))
    long = Candidate.from_object(0, subject).with_findings(*candidate.findings)
    masked = long.with_object({**subject, "description": f"[removed: x]{middle} [removed: x]"})
    began = time.process_time()
    found = compare(
        1, PreviewedObject(subject, masked), find_standing(long, long), Tlp.AMBER, Room()
    )
    assert time.process_time() - began < 3 * measure_slowness()
    assert sum(len(piece.text) for piece in found.changes[0].before) < 3_000


def test_texts_that_no_rule_changed_are_shown_as_readers_get_them() -> None:
    found = compared(
        indicator(name="Of Zelda Miller", description="by zelda", labels=["one", "two"])
    )
    assert {each.name: each.text for each in found.texts} == {
        "name": "Of Zelda Miller",
        "description": "by zelda",
        "labels": "one, two",
    }
    assert not any(each.is_long for each in found.texts)


def test_a_changed_text_that_is_shown_in_part_is_there_in_full_too() -> None:
    middle = f"{'a word ' * 40}Zelda Miller {'a word ' * 40}"
    sent = indicator(description=f"a@bank.example.net {middle} b@bank.example.net")
    (text,) = (each for each in compared(sent).texts if each.name == "description")
    assert "Zelda Miller" in text.text and "@" not in text.text and text.is_long
    short = compared(indicator(description="to a@bank.example.net today"))
    assert [each.name for each in short.texts] == []


def test_a_value_is_not_repeated_among_the_texts() -> None:
    assert compared(indicator(name="evil-portal.top")).texts == ()


def test_texts_for_which_a_page_has_no_room_are_counted_and_cut_where_they_stand_alone() -> None:
    sent = indicator(description="long " * 1_000)
    few = compared(sent, room=Room(texts=1_000))
    assert (few.texts, few.more_texts) == ((), 1)
    (alone,) = compared(sent, room=Room(texts=1_000, cuts=True)).texts
    assert (alone.most, len(alone.text)) == (1_000, 5_000)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, False),
        ({"description": "by zelda"}, True),
        ({"labels": ["given"], "indicator_types": ["benign"]}, False),
        ({"labels": ["given", "own"]}, True),
    ],
)
def test_objects_with_texts_of_their_own_are_known(more: dict[str, object], expected: bool) -> None:
    assert has_own_text(indicator(**more), ("given",)) is expected


@pytest.mark.parametrize("marked", [True, False])
def test_what_a_reviewer_must_see_is_sent_as_it_was_read_with_its_level(marked: bool) -> None:
    subject = indicator(description="Dear Jane Doe, pay.")
    if not marked:
        del subject["object_marking_refs"]
    sent = object_to_send(examined(subject), Tlp.GREEN)
    assert sent["description"] == "Dear Jane Doe, pay."
    assert sent["object_marking_refs"] == [GREEN if marked else AMBER]


def test_what_no_reviewer_asks_for_is_sent_masked() -> None:
    sent = object_to_send(examined(indicator(description="to jo.doe@bank.example.net")), Tlp.GREEN)
    assert sent["description"] == "to [removed: e-mail address]"
