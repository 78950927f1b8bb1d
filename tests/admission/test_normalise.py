"""Normal form of one object (tocsin.admission.normalise)."""

from typing import Any

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.normalise import DefaultTlp, normalise


def normalised(subject: Any) -> Any:
    return normalise(Candidate(index=0, object=subject), DefaultTlp(Tlp.GREEN, {}), {})


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
    def test_duplicate_goes_once_the_marking_covers_the_whole_object(self) -> None:
        marking = {"marking_ref": TLP_2_IDS[Tlp.AMBER], "selectors": ["labels.[0]"]}
        once = normalised(identity(labels=["a", "a"], granular_markings=[marking]))
        assert once.object["labels"] == ["a"]
        assert "granular_markings" not in once.object
        assert "labels" in [f.path for f in once.findings if f.rule == "spelling"]
        assert normalised(once.object).object == once.object

    def test_duplicate_keeps_its_place_while_a_language_selects_it(self) -> None:
        marking = {"lang": "de", "selectors": ["labels.[1]"]}
        once = normalised(identity(labels=["a", "a"], granular_markings=[marking]))
        assert once.object["labels"] == ["a", "a"]
        assert normalised(once.object).object == once.object
