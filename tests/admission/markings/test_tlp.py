"""What markings say, whoever spelt them."""

from typing import Any

import pytest
from support.presence import present

from tocsin.admission.markings.tlp import (
    TLP_1_IDS,
    TLP_2_IDS,
    Markings,
    is_tlp_definition,
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
    def test_tlp_2_is_read_and_needs_no_repair(self, tlp: Any) -> None:
        assert read_markings(marked_with(TLP_2_IDS[tlp]), {}) == Markings(tlp)

    @pytest.mark.parametrize("tlp", TLP_1_IDS)
    def test_tlp_1_is_read_and_written_as_tlp_2(self, tlp: Any) -> None:
        subject = marked_with(TLP_1_IDS[tlp])
        marks = read_markings(subject, {})
        assert marks == Markings(tlp)
        assert write_markings(subject, marks) == marked_with(TLP_2_IDS[tlp])

    def test_of_several_the_strictest_counts(self) -> None:
        ids = (TLP_2_IDS[Tlp.GREEN], TLP_1_IDS[Tlp.AMBER], TLP_2_IDS[Tlp.CLEAR])
        assert read_markings(marked_with(*ids), {}).tlp is Tlp.AMBER

    def test_none_is_none(self) -> None:
        assert read_markings({}, {}) == Markings()

    @pytest.mark.parametrize(
        ("invented", "tlp"),
        [
            ("marking-definition--826578e1-40ad-459f-bc73-ede076f81f37", Tlp.AMBER_STRICT),
            ("marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b03e", Tlp.AMBER_STRICT),
            ("marking-definition--bab4a63c-aed9-4b5f-a869-75b77dcc1ef3", Tlp.GREEN),
            ("marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ec", Tlp.RED),
        ],
    )
    def test_ids_that_people_invented_are_repaired(self, invented: str, tlp: Any) -> None:
        marks = read_markings(marked_with(invented), {})
        assert (marks.tlp, marks.repaired) == (tlp, ((invented, TLP_2_IDS[tlp]),))

    @pytest.mark.parametrize(
        "body",
        [
            {"definition_type": "tlp", "definition": {"tlp": "amber"}},
            {"name": "TLP:AMBER"},
            {**STATEMENT, "definition": {"statement": "TLP:AMBER"}},
            {"extensions": tlp_definition(Tlp.AMBER)["extensions"]},
        ],
    )
    def test_a_definition_under_a_foreign_id_is_read_by_what_it_says(self, body: Any) -> None:
        marks = read_markings(
            marked_with(FOREIGN), {FOREIGN: {"type": "marking-definition", **body}}
        )
        assert (marks.tlp, marks.repaired) == (Tlp.AMBER, ((FOREIGN, TLP_2_IDS[Tlp.AMBER]),))

    def test_where_id_and_definition_differ_the_stricter_counts(self) -> None:
        green = TLP_1_IDS[Tlp.GREEN]
        said = {"definition_type": "tlp", "definition": {"tlp": "amber"}}
        assert read_markings(marked_with(green), {green: said}).tlp is Tlp.AMBER
        red = TLP_1_IDS[Tlp.RED]
        assert (
            read_markings(marked_with(red), {red: {"definition": {"tlp": "white"}}}).tlp is Tlp.RED
        )


class TestOthers:
    def test_a_statement_sent_along_and_mitres_are_known(self) -> None:
        marks = read_markings(marked_with(MITRE, FOREIGN), {FOREIGN: STATEMENT})
        assert (marks.other_ids, marks.unknown_ids) == ((FOREIGN, MITRE), ())

    def test_what_nobody_defined_is_unknown(self) -> None:
        assert read_markings(marked_with(FOREIGN), {}).unknown_ids == (FOREIGN,)

    def test_an_access_control_marking_is_unknown(self) -> None:
        acs = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"
        body = {**STATEMENT, "extensions": {acs: {"control_set": {"classification": "U"}}}}
        assert read_markings(marked_with(FOREIGN), {FOREIGN: body}).unknown_ids == (FOREIGN,)

    def test_they_are_part_of_the_scope(self) -> None:
        assert Markings(Tlp.GREEN, ("b", "c")).scope == "green|b|c"


class TestPartsOfAnObject:
    granular = [
        {"marking_ref": TLP_1_IDS[Tlp.AMBER], "selectors": ["name"]},
        {"marking_ref": FOREIGN, "selectors": ["name"]},
        {"lang": "de", "selectors": ["name"]},
    ]

    def test_their_markings_count(self) -> None:
        subject = {**marked_with(TLP_2_IDS[Tlp.GREEN]), "granular_markings": self.granular}
        marks = read_markings(subject, {})
        assert (marks.tlp, marks.unknown_ids) == (Tlp.AMBER, (FOREIGN,))

    def test_and_are_drawn_up_to_the_whole_while_languages_stay(self) -> None:
        subject = {"name": "n", "granular_markings": self.granular}
        assert write_markings(subject, read_markings(subject, {})) == {
            "name": "n",
            "object_marking_refs": [TLP_2_IDS[Tlp.AMBER], FOREIGN],
            "granular_markings": [{"lang": "de", "selectors": ["name"]}],
        }


def test_marking_twice_changes_nothing() -> None:
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
def test_our_own_definitions_say_what_they_stand_for(tlp: Any) -> None:
    own = tlp_definition(tlp)
    assert is_tlp_definition(own)
    assert read_markings(marked_with(FOREIGN), {FOREIGN: own}).tlp is tlp
    assert own["name"] == f"TLP:{present(tlp).label.upper()}"


def test_a_statement_is_no_definition_of_a_level() -> None:
    assert not is_tlp_definition({"type": "marking-definition", "id": FOREIGN, **STATEMENT})
