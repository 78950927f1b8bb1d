"""Differences of versions: by property, then by words, in bounded time."""

import time

import pytest

from tocsin.server.console.differences import MOST_LINES, Segment, compare_versions, list_properties


def segments(old: str, new: str) -> list[tuple[str, str]]:
    [change] = compare_versions({"description": old}, {"description": new})
    return [(each.change, each.text) for each in change.segments]


def test_changed_words_are_marked_and_the_others_kept() -> None:
    assert segments("seen in three campaigns", "seen in four campaigns") == [
        ("same", "seen in"),
        ("removed", " three"),
        ("added", " four"),
        ("same", " campaigns"),
    ]


def test_every_character_of_both_versions_is_in_the_difference() -> None:
    old, new = "a  b.\n\nc d ", "a b!\n c\td e\n"
    found = segments(old, new)
    assert "".join(text for change, text in found if change != "added").split() == old.split()
    assert "".join(text for change, text in found if change != "removed") == new


def test_lists_and_rules_are_compared_by_lines() -> None:
    old = {"labels": ["kit", "phishing"], "pattern": "rule a {\n  x\n}"}
    new = {"labels": ["phishing", "stealer"], "pattern": "rule a {\n  y\n}"}
    labels, pattern = compare_versions(old, new)
    assert labels.has_lines and labels.segments == (
        Segment("removed", "kit"),
        Segment("same", "phishing"),
        Segment("added", "stealer"),
    )
    assert pattern.has_lines and [each.text for each in pattern.segments] == [
        *("rule a {", "  x", "  y", "}")
    ]


def test_a_text_of_many_words_is_compared_by_sentences() -> None:
    same = "The same words as before. " * 300
    found = segments(f"{same}It ends here. Now.", f"{same}It goes on here. Now.")
    assert ("removed", "It ends here. ") in found and ("added", "It goes on here. ") in found


def test_properties_that_came_or_went_are_whole() -> None:
    changes = compare_versions({"name": "a", "x": 1}, {"x": 1, "labels": ["b", "c"]})
    assert [each.name for each in changes] == ["labels", "name"]
    assert changes[0].segments == (Segment("added", "b\nc"),)


def test_equal_versions_have_no_difference() -> None:
    assert compare_versions({"a": [{"b": 1}]}, {"a": [{"b": 1}]}) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a b " * 499 + "a b", "b a c " * 332 + "b a c"),
        ("a " * 200_000, "a " * 199_999 + "b"),
        ("x" * 50_000, "y" * 50_000),
        (". " * 900, ", " * 900),
        ("a.\n" * 900, "b.\n" * 900),
    ],
)
def test_hostile_texts_are_compared_in_bounded_time(old: str, new: str) -> None:
    begun = time.process_time()
    assert compare_versions({"content": old}, {"content": new})
    assert time.process_time() - begun < 1


def test_many_properties_share_one_budget() -> None:
    old = {f"x_{number}": "a b c d " * 200 for number in range(100)}
    new = {name: "d c b a " * 200 for name in old}
    begun = time.process_time()
    assert len(compare_versions(old, new)) == 100
    assert time.process_time() - begun < 1


def test_nested_values_are_lines_with_their_path_and_are_counted() -> None:
    [found] = list_properties({"x": {"a": [1, {"b": True}], "c": None}})
    assert found.lines == ("a: 1", "a[2].b: true", "c: ")
    [phase] = list_properties({"p": [{"kill_chain_name": "k", "phase_name": "p"}]})
    assert phase.lines == ("k: p",)
    [many] = list_properties({"object_refs": [f"a--{n}" for n in range(MOST_LINES + 7)]})
    assert (len(many.lines), many.more, many.is_prose) == (MOST_LINES, 7, False)
