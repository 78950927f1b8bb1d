"""The compiled schemas of STIX 2.1."""

from tocsin.admission.stix.schemas import schemas


def test_only_the_schemas_of_types_that_are_met_are_compiled() -> None:
    found = schemas.__wrapped__()
    assert not found["tool"].validator.is_valid({"type": "tool"})
    assert [kind for kind, each in found.items() if "validator" in vars(each)] == ["tool"]
