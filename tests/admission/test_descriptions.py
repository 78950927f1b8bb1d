"""The name of an object, and what differs in its texts."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.slowness import measure_slowness

from tocsin.admission.descriptions import compare_texts, describe_object, find_changes

WORDS = st.lists(st.sampled_from(["a", "b", "[removed: e-mail address]", " ", "\n", "c,"])).map(
    "".join
)


@pytest.mark.slow
@given(WORDS, WORDS)
def test_the_passages_of_two_texts_make_up_both(before: str, after: str) -> None:
    passages = list(compare_texts(before, after))
    assert "".join(each.before for each in passages) == before
    assert "".join(each.after for each in passages) == after


def test_a_mark_of_what_was_removed_is_one_word() -> None:
    passages = compare_texts("to +49 89 123, on", "to [removed: telephone number], on")
    assert [tuple(each) for each in passages if not each.is_equal] == [
        ("+49 89 123,", "[removed: telephone number],")
    ]


@pytest.mark.slow
def test_long_texts_are_compared_as_wholes_and_quickly() -> None:
    before = " ".join(f"a{n} x" for n in range(200_000))
    began = time.process_time()
    assert [tuple(each) for each in compare_texts(before, before + " y")] == [
        (before, before + " y")
    ]
    assert time.process_time() - began < 5 * measure_slowness()


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ({"type": "indicator", "pattern": "[url:value = 'http://a\\'b']"}, ("http://a'b", "url")),
        ({"type": "malware", "name": "Loader"}, ("Loader", "malware")),
        ({"type": "note", "content": "c" * 99}, ("c" * 60 + "…", "note")),
        ({}, ("", "")),
    ],
)
def test_an_object_is_described_by_its_value_or_name(
    subject: dict[str, str], expected: tuple[str, str]
) -> None:
    assert describe_object(subject) == expected


def test_only_what_a_rule_changed_is_a_change() -> None:
    before = {"name": "a", "labels": ["x", "y"], "description": "d"}
    after = {"name": "b", "labels": ["x", "z"]}
    findings = [
        {"path": "name", "action": "noted", "rule": "r"},
        {"path": "labels[1]", "action": "replaced", "rule": "r"},
        {"path": "description", "action": "stripped", "rule": "r"},
        {"path": "description", "action": "stripped", "rule": "again"},
        {"path": "not.there[7]", "action": "stripped", "rule": "r"},
    ]
    assert [(c.path, c.before, c.after) for c in find_changes(before, after, findings)] == [
        ("labels[1]", "y", "z"),
        ("description", "d", "(removed)"),
    ]


def test_each_rule_that_changed_a_value_is_named_once() -> None:
    findings = [
        {"path": "description", "action": "replaced", "rule": rule} for rule in ("b", "a", "b")
    ]
    [change] = find_changes({"description": "x"}, {"description": "y"}, findings)
    assert change.rules == ("b", "a")
