"""Free texts of an object: which strings they are, and how they are replaced."""

from typing import Any

import pytest

from tocsin.admission.errors import Unprocessable
from tocsin.admission.stix.free_text import MAX_DEPTH, free_texts, matched_values, replace_texts

REF = "identity--0c1f0f9e-5b1a-4c43-9e0a-0b7f7b0f1a11"


def text_paths(subject: Any) -> Any:
    return {path for path, _ in free_texts(subject)}


class TestFreeTexts:
    def test_names_descriptions_labels_and_external_references_are_free_text(self) -> None:
        subject = {
            "name": "n",
            "description": "d",
            "labels": ["one", "two"],
            "external_references": [{"source_name": "s", "url": "https://u.test/"}],
        }
        assert list(free_texts(subject)) == [
            (("name",), "n"),
            (("description",), "d"),
            (("labels", 0), "one"),
            (("labels", 1), "two"),
            (("external_references", 0, "source_name"), "s"),
            (("external_references", 0, "url"), "https://u.test/"),
        ]

    def test_custom_properties_are_free_text_at_any_depth(self) -> None:
        subject = {"x_note": "a", "x_deep": {"type": "b", "list": [["c"]]}}
        assert text_paths(subject) == {
            ("x_note",),
            ("x_deep", "type"),
            ("x_deep", "list", 0, 0),
        }

    def test_patterns_ids_times_and_hashes_are_not_free_text(self) -> None:
        subject = {
            "type": "indicator",
            "id": "indicator--x",
            "created": "2026-01-01T00:00:00.000Z",
            "pattern": "[domain-name:value = 'x.test']",
            "valid_from": "2026-01-01T00:00:00Z",
            "created_by_ref": REF,
            "object_marking_refs": [REF],
            "hashes": {"MD5": "d41d8cd98f00b204e9800998ecf8427e"},
            "x_file": {"hashes": {"MD5": "d41d8cd98f00b204e9800998ecf8427e"}},
        }
        assert text_paths(subject) == set()

    def test_text_under_the_name_of_a_reference_or_hash_is_free_text(self) -> None:
        subject = {"x_ref": "ask Jane Doe", "x": {"hashes": {"MD5": "ask jane@doe.test"}}}
        assert len(text_paths(subject)) == 2

    def test_the_value_of_an_observable_is_matched_and_its_other_texts_are_free_text(self) -> None:
        subject = {"type": "email-addr", "value": "a@b.test", "display_name": "Jane Doe"}
        assert text_paths(subject) == {("display_name",)}
        assert list(matched_values(subject)) == [(("value",), "a@b.test")]

    def test_a_private_kill_chain_is_free_text_and_a_well_known_one_is_not(self) -> None:
        known = {"kill_chain_name": "lockheed-martin-cyber-kill-chain", "phase_name": "delivery"}
        own = {"kill_chain_name": "acme-chain", "phase_name": "p"}
        subject = {"kill_chain_phases": [known, own]}
        found = text_paths(subject)
        assert ("kill_chain_phases", 1, "kill_chain_name") in found
        assert ("kill_chain_phases", 0, "kill_chain_name") not in found

    def test_an_object_nested_too_deeply_is_refused_without_recursion(self) -> None:
        deep: Any = "x"
        for _ in range(5000):
            deep = [deep]
        with pytest.raises(Unprocessable, match=str(MAX_DEPTH)):
            list(free_texts({"x_deep": deep}))


class TestReplaceTexts:
    def test_replace_texts_changes_the_given_paths_only_and_not_its_argument(self) -> None:
        subject = {"name": "a", "labels": ["b", "c"], "x": {"y": "z"}}
        result = replace_texts(subject, {("labels", 1): "new"})
        assert result == {"name": "a", "labels": ["b", "new"], "x": {"y": "z"}}
        assert subject["labels"] == ["b", "c"]
        assert result["x"] is subject["x"]

    def test_replace_texts_removes_several_items_of_one_list(self) -> None:
        subject = {"labels": ["a", "b", "c", "d"]}
        assert replace_texts(subject, {("labels", 1): None, ("labels", 3): None}) == {
            "labels": ["a", "c"]
        }

    def test_replace_texts_removes_containers_that_become_empty(self) -> None:
        subject = {"name": "n", "labels": ["a"], "x": {"y": {"z": "w"}}}
        assert replace_texts(subject, {("labels", 0): None, ("x", "y", "z"): None}) == {"name": "n"}

    def test_replace_texts_removes_a_reference_with_nothing_but_its_source_left(self) -> None:
        subject = {
            "external_references": [
                {"source_name": "a", "url": "https://u.test/"},
                {"source_name": "b", "url": "https://v.test/", "description": "kept"},
            ]
        }
        removals: dict[tuple[str | int, ...], str | None] = {
            ("external_references", i, "url"): None for i in (0, 1)
        }
        assert replace_texts(subject, removals) == {
            "external_references": [{"source_name": "b", "description": "kept"}]
        }

    @pytest.mark.parametrize(
        ("selector", "moved"),
        [
            ("labels.[0]", "labels.[0]"),
            ("labels.[1]", None),
            ("labels.[2]", "labels.[1]"),
            ("labels", "labels"),
            ("external_references.[1].description", "external_references.[0].description"),
            ("external_references.[0].description", None),
            ("labels.[²]", None),
            ("labels.[99999999999999999999]", None),
        ],
    )
    def test_selectors_move_with_the_items_of_a_shortened_list(
        self, selector: str, moved: str | None
    ) -> None:
        cited = [{"source_name": each, "description": "d"} for each in ("one", "two")]
        marking = {"lang": "de", "selectors": [selector]}
        lists = {"labels": ["a", "b", "c"], "external_references": cited}
        gone = (("labels", 1), ("external_references", 0, "description"))
        result = replace_texts({**lists, "granular_markings": [marking]}, dict.fromkeys(gone))
        left = [] if moved is None else [{"lang": "de", "selectors": [moved]}]
        assert result.get("granular_markings", []) == left

    def test_replace_texts_removes_selectors_of_removed_properties(self) -> None:
        marking = {"lang": "de", "selectors": ["description", "labels.[1]"]}
        subject = {"description": "d", "labels": ["a", "b"], "granular_markings": [marking]}
        result = replace_texts(subject, {("labels", 1): None})
        assert result["granular_markings"] == [{"lang": "de", "selectors": ["description"]}]

    def test_replace_texts_without_changes_returns_the_same_object(self) -> None:
        subject = {"name": "a"}
        assert replace_texts(subject, {}) is subject
