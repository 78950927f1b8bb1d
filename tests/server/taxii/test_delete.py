"""Deleting objects (TAXII 2.1 section 5.7; conformance 14)."""

from typing import Any

import pytest
from support.taxii_hub import SCRATCH, ids, indicator

ONE = indicator(1)["id"]


def delete(taxii: Any, query: Any = "", id: Any = ONE) -> Any:
    return taxii.get(f"scratch/objects/{id}/{query}", method="DELETE")


@pytest.fixture
def scratch(taxii: Any) -> Any:
    taxii.feeds.add(SCRATCH.id, indicator(1), indicator(1, modified="2021-01-01T00:00:00Z"))
    taxii.feeds.add(SCRATCH.id, indicator(1, modified="2022-01-01T00:00:00Z"), indicator(2))
    return taxii


def test_14_2_a_deletion_answers_without_a_body(scratch: Any) -> None:
    answer = delete(scratch)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == "0"


def test_14_5_delete_without_filters_deletes_every_version(scratch: Any) -> None:
    next = scratch.get("scratch/objects/?match[version]=all&limit=1").json["next"]
    delete(scratch)
    assert scratch.get(f"scratch/objects/{ONE}/").status_code == 404
    assert scratch.get(f"scratch/objects/{ONE}/versions/").status_code == 404
    assert ids(scratch.get("scratch/manifest/")) == ids(scratch.get("scratch/objects/")) == [2]
    assert ids(scratch.get(f"scratch/objects/?match[version]=all&next={next}")) == [2]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("?match[version]=last", ["2020", "2021"]),
        ("?match[version]=first", ["2021", "2022"]),
        ("?match[version]=first,last", ["2021"]),
        ("?match[version]=2021-01-01T00:00:00.000Z", ["2020", "2022"]),
        ("?match[version]=2021-01-01T00:00:00Z,last&match[spec_version]=2.1", ["2020"]),
    ],
)
def test_14_6_delete_can_name_versions(scratch: Any, query: str, left: Any) -> None:
    assert delete(scratch, query).status_code == 200
    listed = scratch.get(f"scratch/objects/{ONE}/versions/").json["versions"]
    assert [version[:4] for version in listed] == left


def test_14_6_delete_of_all_versions_in_every_spec_leaves_nothing(scratch: Any) -> None:
    assert delete(scratch, "?match[version]=all&match[spec_version]=2.1").status_code == 200
    assert delete(scratch).status_code == 404


@pytest.mark.parametrize(
    "query", ["?match[version]=1999-01-01T00:00:00Z", "?match[spec_version]=2.0"]
)
def test_14_7_deleting_an_unknown_object_is_404(scratch: Any, query: str) -> None:
    assert delete(scratch, query).status_code == 404
    assert delete(scratch, id=indicator(99)["id"]).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "?match[type]=indicator",
        "?match[foo]=1",
        "?added_after=2020-01-01T00:00:00Z",
        "?limit=1",
        "?match[version]=nonsense",
        "?match[version]=",
    ],
)
def test_14_6_delete_with_an_unsupported_filter_deletes_nothing(scratch: Any, query: str) -> None:
    assert delete(scratch, query).status_code == 400
    assert len(scratch.get(f"scratch/objects/{ONE}/versions/").json["versions"]) == 3
