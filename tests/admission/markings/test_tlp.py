"""Markings of an object: TLP 1, TLP 2, and other definitions."""

from typing import Any

import pytest
from support.presence import present

from tocsin.admission.markings.tlp import (
    TLP_1_IDS,
    TLP_2_IDS,
    Markings,
    is_contradictory,
    is_tlp_definition,
    parse_tlp_label,
    read_markings,
    tlp_definition,
    write_markings,
)
from tocsin.admission.model import Tlp

FOREIGN = "marking-definition--00000000-1111-4222-8333-444444444444"
MITRE = "marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168"
STATEMENT = {"definition_type": "statement", "definition": {"statement": "Copyright 2026"}}


def marked_with(*ids: Any) -> Any:
    return {"object_marking_refs": list(ids)}


class TestLevels:
    @pytest.mark.parametrize("tlp", Tlp)
    def test_a_tlp_2_marking_is_read_without_repair(self, tlp: Any) -> None:
        assert read_markings(marked_with(TLP_2_IDS[tlp]), {}) == Markings(tlp)

    @pytest.mark.parametrize("tlp", TLP_1_IDS)
    def test_a_tlp_1_marking_is_read_and_written_as_tlp_2(self, tlp: Any) -> None:
        subject = marked_with(TLP_1_IDS[tlp])
        markings = read_markings(subject, {})
        assert markings == Markings(tlp)
        assert write_markings(subject, markings) == marked_with(TLP_2_IDS[tlp])

    def test_the_strictest_of_several_tlp_markings_counts(self) -> None:
        ids = (TLP_2_IDS[Tlp.GREEN], TLP_1_IDS[Tlp.AMBER], TLP_2_IDS[Tlp.CLEAR])
        assert read_markings(marked_with(*ids), {}).tlp is Tlp.AMBER

    def test_an_object_without_markings_has_no_level(self) -> None:
        assert read_markings({}, {}) == Markings()

    @pytest.mark.parametrize(
        ("wrong_id", "tlp"),
        [
            ("marking-definition--826578e1-40ad-459f-bc73-ede076f81f37", Tlp.AMBER_STRICT),
            ("marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b03e", Tlp.AMBER_STRICT),
            ("marking-definition--bab4a63c-aed9-4b5f-a869-75b77dcc1ef3", Tlp.GREEN),
            ("marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ec", Tlp.RED),
        ],
    )
    def test_known_wrong_ids_of_tlp_levels_are_repaired(self, wrong_id: str, tlp: Any) -> None:
        markings = read_markings(marked_with(wrong_id), {})
        assert (markings.tlp, markings.repaired) == (tlp, ((wrong_id, TLP_2_IDS[tlp]),))

    @pytest.mark.parametrize(
        "body",
        [
            {"definition_type": "tlp", "definition": {"tlp": "amber"}},
            {"name": "TLP:AMBER"},
            {**STATEMENT, "definition": {"statement": "TLP:AMBER"}},
            {"extensions": tlp_definition(Tlp.AMBER)["extensions"]},
        ],
    )
    def test_a_tlp_definition_under_another_id_is_read_by_its_content(self, body: Any) -> None:
        markings = read_markings(
            marked_with(FOREIGN), {FOREIGN: {"type": "marking-definition", **body}}
        )
        assert (markings.tlp, markings.repaired) == (Tlp.AMBER, ((FOREIGN, TLP_2_IDS[Tlp.AMBER]),))

    @pytest.mark.parametrize("word", ["amber-strict", "AmberStrict", "Amber / Strict"])
    def test_amber_strict_is_read_in_every_spelling(self, word: str) -> None:
        definition = {"definition_type": "tlp", "definition": {"tlp": word}}
        assert read_markings(marked_with(FOREIGN), {FOREIGN: definition}).tlp is Tlp.AMBER_STRICT

    def test_a_definition_whose_extension_lacks_the_level_is_unknown(self) -> None:
        [extension] = tlp_definition(Tlp.AMBER)["extensions"]
        definition = {"extensions": {extension: {"extension_type": "property-extension"}}}
        assert read_markings(marked_with(FOREIGN), {FOREIGN: definition}).unknown_ids == (FOREIGN,)

    def test_the_stricter_level_counts_when_id_and_definition_differ(self) -> None:
        green = TLP_1_IDS[Tlp.GREEN]
        amber = {"definition_type": "tlp", "definition": {"tlp": "amber"}}
        assert read_markings(marked_with(green), {green: amber}).tlp is Tlp.AMBER
        red = TLP_1_IDS[Tlp.RED]
        assert (
            read_markings(marked_with(red), {red: {"definition": {"tlp": "white"}}}).tlp is Tlp.RED
        )


class TestOtherMarkings:
    def test_a_statement_with_its_definition_and_the_marking_of_mitre_are_known(self) -> None:
        markings = read_markings(marked_with(MITRE, FOREIGN), {FOREIGN: STATEMENT})
        assert (markings.other_ids, markings.unknown_ids) == ((FOREIGN, MITRE), ())

    def test_a_marking_without_a_definition_is_unknown(self) -> None:
        assert read_markings(marked_with(FOREIGN), {}).unknown_ids == (FOREIGN,)

    def test_an_access_control_marking_is_unknown(self) -> None:
        acs = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"
        body = {**STATEMENT, "extensions": {acs: {"control_set": {"classification": "U"}}}}
        assert read_markings(marked_with(FOREIGN), {FOREIGN: body}).unknown_ids == (FOREIGN,)


class TestGranularMarkings:
    granular = [
        {"marking_ref": TLP_1_IDS[Tlp.AMBER], "selectors": ["name"]},
        {"marking_ref": FOREIGN, "selectors": ["name"]},
        {"lang": "de", "selectors": ["name"]},
    ]

    def test_granular_tlp_markings_raise_the_level_of_the_object(self) -> None:
        subject = {**marked_with(TLP_2_IDS[Tlp.GREEN]), "granular_markings": self.granular}
        markings = read_markings(subject, {})
        assert (markings.tlp, markings.unknown_ids) == (Tlp.AMBER, (FOREIGN,))

    def test_granular_markings_are_moved_to_the_object_except_languages(self) -> None:
        subject = {"name": "n", "granular_markings": self.granular}
        assert write_markings(subject, read_markings(subject, {})) == {
            "name": "n",
            "object_marking_refs": [TLP_2_IDS[Tlp.AMBER], FOREIGN],
            "granular_markings": [{"lang": "de", "selectors": ["name"]}],
        }


def test_writing_markings_twice_changes_nothing() -> None:
    once = write_markings(
        marked_with(TLP_1_IDS[Tlp.GREEN], MITRE),
        read_markings(marked_with(TLP_1_IDS[Tlp.GREEN]), {}),
    )
    assert (
        present(
            write_markings(once, read_markings(once, {MITRE: STATEMENT})).get("object_marking_refs")
        )[0]
        == (TLP_2_IDS[Tlp.GREEN])
    )


@pytest.mark.parametrize("tlp", Tlp)
def test_the_hubs_tlp_definitions_are_read_as_their_level(tlp: Any) -> None:
    definition = tlp_definition(tlp)
    assert is_tlp_definition(definition)
    assert read_markings(marked_with(FOREIGN), {FOREIGN: definition}).tlp is tlp
    assert definition["name"] == f"TLP:{present(tlp).label.upper()}"


def test_a_statement_is_not_a_tlp_definition() -> None:
    assert not is_tlp_definition({"type": "marking-definition", "id": FOREIGN, **STATEMENT})


class TestLabels:
    @pytest.mark.parametrize(
        ("label", "tlp"),
        [
            ("tlp:red", Tlp.RED),
            ("TLP:RED", Tlp.RED),
            (' misp:tlp="red" ', Tlp.RED),
            ("TLP:AMBER+STRICT", Tlp.AMBER_STRICT),
            ("tlp:amber-strict", Tlp.AMBER_STRICT),
            ("tlp-amber_strict", Tlp.AMBER_STRICT),
            ("tlp:amber", Tlp.AMBER),
            ("TLP_GREEN", Tlp.GREEN),
            ("tlp:white", Tlp.CLEAR),
            ("ｔｌｐ：ｒｅｄ", Tlp.RED),
            ("t\u200blp:red", Tlp.RED),
            ("tlp:green/tlp:red", Tlp.RED),
        ],
    )
    def test_a_label_counts_as_a_marking_in_every_spelling(self, label: str, tlp: Any) -> None:
        assert parse_tlp_label(label) is tlp
        assert read_markings({"labels": ["c2", label]}, {}).tlp is tlp

    @pytest.mark.parametrize(
        "label", ["c2", "redline", "tlp", "outlp:red", "tlp:redline", "helped"]
    )
    def test_other_labels_are_no_markings(self, label: str) -> None:
        assert read_markings({"labels": [label]}, {}) == Markings()

    @pytest.mark.parametrize("labels", [["tlp:red"], ["tlp:red", "tlp:green"]])
    def test_the_strictest_of_labels_and_markings_counts(self, labels: Any) -> None:
        marked = marked_with(TLP_2_IDS[Tlp.CLEAR]) | {"labels": labels}
        assert read_markings(marked, {}).tlp is Tlp.RED

    def test_a_label_below_the_marking_changes_nothing(self) -> None:
        marked = marked_with(TLP_2_IDS[Tlp.AMBER]) | {"labels": ["tlp:clear"]}
        assert read_markings(marked, {}) == Markings(Tlp.AMBER)


class TestContradictions:
    @pytest.mark.parametrize(
        "body",
        [
            {"definition_type": "tlp", "definition": {"tlp": "clear"}},
            {"extensions": tlp_definition(Tlp.CLEAR)["extensions"]},
            {**STATEMENT, "definition": {"statement": "TLP:CLEAR"}},
        ],
    )
    @pytest.mark.parametrize("name", ["TLP:RED", "tlp red", "Meeting TLP:AMBER+STRICT"])
    def test_a_definition_whose_name_and_content_differ_is_unknown(
        self, name: str, body: Any
    ) -> None:
        definition = {"type": "marking-definition", "name": name, **body}
        assert is_contradictory(definition) and not is_tlp_definition(definition)
        assert read_markings(marked_with(FOREIGN), {FOREIGN: definition}).unknown_ids == (FOREIGN,)

    def test_a_statement_whose_name_limits_sharing_is_unknown(self) -> None:
        definition = {"type": "marking-definition", "name": "Meeting notes, TLP:RED", **STATEMENT}
        assert read_markings(marked_with(FOREIGN), {FOREIGN: definition}).unknown_ids == (FOREIGN,)
