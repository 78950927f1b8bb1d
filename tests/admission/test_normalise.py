"""Normal form of one object (tocsin.admission.normalise)."""

from typing import Any

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.normalise import MarkingContext, normalise


def normalise_object(subject: Any) -> Any:
    return normalise(Candidate(index=0, object=subject), MarkingContext(Tlp.GREEN, {}), {})


def identity(**more: Any) -> Any:
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": "identity--11111111-1111-4111-8111-111111111111",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": "x",
        **more,
    }


class TestListItemsThatAMarkingSelects:
    def test_a_duplicate_item_is_removed_when_the_tlp_marking_is_raised_to_the_whole_object(
        self,
    ) -> None:
        marking = {"marking_ref": TLP_2_IDS[Tlp.AMBER], "selectors": ["labels.[0]"]}
        once = normalise_object(identity(labels=["a", "a"], granular_markings=[marking]))
        assert once.object["labels"] == ["a"]
        assert "granular_markings" not in once.object
        assert "labels" in [f.path for f in once.findings if f.rule == "spelling"]
        assert normalise_object(once.object).object == once.object

    def test_a_duplicate_item_that_a_language_marking_selects_is_kept(self) -> None:
        marking = {"lang": "de", "selectors": ["labels.[1]"]}
        once = normalise_object(identity(labels=["a", "a"], granular_markings=[marking]))
        assert once.object["labels"] == ["a", "a"]
        assert normalise_object(once.object).object == once.object


class TestControlCharacters:
    def test_control_characters_are_removed_from_texts_and_ends_of_lines_stay(self) -> None:
        text = "a\x00b\x1b[31mc\x07\x85\x9b\x7f\r\n\td\b\fe"
        once = normalise_object(identity(name=text, labels=["x\x00y"], description="C:\\bin"))
        assert once.object["name"] == "ab[31mc\r\n\tde"
        assert once.object["labels"] == ["xy"]
        assert once.object["description"] == "C:\\bin"
        assert normalise_object(once.object).object == once.object
