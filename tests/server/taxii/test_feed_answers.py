"""Answers to readers of a feed, and their date headers (conformance 10, 11, 13, 15 and 18)."""

from typing import Any

import pytest
from support.taxii_hub import SCRATCH, address, ids, indicator, objects, stamp

ONE = indicator(1)["id"]


FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
ENDPOINTS = ["manifest/", "objects/", f"objects/{ONE}/", f"objects/{ONE}/versions/"]


def test_11_1_an_envelope_is_no_bundle(taxii: Any) -> None:
    assert set(objects(taxii).json) == {"more", "objects"}
    assert ids(objects(taxii)) == [2, 3, 4, 5, 6, 7, 1, 9]


@pytest.mark.parametrize("query", ["?match[type]=nonexistent", "?added_after=2999-01-01T00:00:00Z"])
def test_11_3_an_empty_result_is_an_envelope_without_objects(taxii: Any, query: str) -> None:
    answer = objects(taxii, query)
    assert (answer.status_code, answer.json) == (200, {"more": False})


def test_10_4_an_empty_manifest_is_an_empty_object(taxii: Any) -> None:
    assert taxii.get("scratch/manifest/").json == {}


@pytest.mark.parametrize(
    "query", ["", "?match[type]=indicator&limit=3", "?match[version]=all", f"?match[id]={ONE}"]
)
def test_10_1_a_manifest_lists_the_objects_of_the_same_query(taxii: Any, query: str) -> None:
    manifest, found = taxii.get(f"green/manifest/{query}"), objects(taxii, query)
    assert ids(manifest) == ids(found)
    assert manifest.json["more"] == found.json["more"]
    assert (manifest.headers[FIRST], manifest.headers[LAST]) == (
        found.headers[FIRST],
        found.headers[LAST],
    )


def test_10_2_a_record_per_version_with_its_date(taxii: Any) -> None:
    listed = taxii.get(f"green/manifest/?match[id]={ONE}&match[version]=all").json["objects"]
    assert listed == [
        {
            "id": ONE,
            "date_added": stamp(position),
            "version": version,
            "media_type": "application/stix+json;version=2.1",
        }
        for position, version in (
            (1, "2020-01-01T00:00:00.000Z"),
            (8, "2022-01-01T00:00:00Z"),
            (9, "2021-01-01T00:00:00.000Z"),
        )
    ]


def test_10_6_a_record_names_its_stix_version(taxii: Any) -> None:
    old = indicator(1)
    del old["spec_version"]
    taxii.feeds.add(SCRATCH.id, old)
    listed = taxii.get("scratch/manifest/").json["objects"]
    assert listed[0]["media_type"] == "application/stix+json;version=2.0"


def test_11_5_objects_leave_octet_for_octet(taxii: Any) -> None:
    body = b'{"id" : "x--1", "type":"x", "n":1e400, "u":"\\u00e9\xc3\xa9" }'
    taxii.feeds.put(SCRATCH.id, {"id": "x--1", "type": "x"}, body)
    assert body in taxii.get("scratch/objects/").data


def test_13_1_an_object_by_its_id_even_percent_encoded(taxii: Any) -> None:
    assert ids(taxii.get(f"green/objects/{ONE.replace('-', '%2D')}/")) == [1]


@pytest.mark.parametrize("tail", ["", "versions/"])
@pytest.mark.parametrize("id", [indicator(99)["id"], "garbage", "%F0%9F%92%A9", "%00"])
def test_13_2_an_unknown_object_is_not_found(taxii: Any, id: Any, tail: str) -> None:
    assert taxii.get(f"green/objects/{id}/{tail}").status_code == 404


def test_13_3_a_known_object_with_nothing_left_is_an_empty_envelope(taxii: Any) -> None:
    answer = taxii.get(f"green/objects/{ONE}/?added_after=2999-01-01T00:00:00Z")
    assert (answer.status_code, answer.json) == (200, {"more": False})


def test_13_5_the_latest_version_by_default(taxii: Any) -> None:
    (found,) = taxii.get(f"green/objects/{ONE}/").json["objects"]
    assert found["modified"] == "2022-01-01T00:00:00Z"


def test_13_6_several_versions_come_in_pages(taxii: Any) -> None:
    base, seen = f"green/objects/{ONE}/?match[version]=all&limit=1", []
    answer = taxii.get(base)
    while True:
        seen += [one["modified"][:4] for one in answer.json["objects"]]
        if not answer.json["more"]:
            break
        answer = taxii.get(f"{base}&next={answer.json['next']}")
    assert seen == ["2020", "2022", "2021"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("match[version]=1999-01-01T00:00:00Z", 404),
        ("match[version]=1999-01-01T00:00:00Z,last", 200),
        ("match[version]=2021-01-01T00:00:00Z", 200),
        ("match[version]=2021-01-01T00:00:00Z&added_after=2999-01-01T00:00:00Z", 200),
    ],
)
def test_13_7_an_explicit_version_that_is_not_there_is_not_found(
    taxii: Any, query: str, status: int
) -> None:
    assert taxii.get(f"green/objects/{ONE}/?{query}").status_code == status


def test_15_1_versions_by_date_added(taxii: Any) -> None:
    listed = taxii.get(f"green/objects/{ONE}/versions/").json
    assert listed["versions"] == [
        "2020-01-01T00:00:00.000Z",
        "2022-01-01T00:00:00Z",
        "2021-01-01T00:00:00.000Z",
    ]


def test_15_1_no_versions_left_is_an_empty_object(taxii: Any) -> None:
    answer = taxii.get(f"green/objects/{ONE}/versions/?added_after=2999-01-01T00:00:00Z")
    assert (answer.status_code, answer.json) == (200, {})


def test_15_3_an_object_without_version_has_its_date_added_everywhere(taxii: Any) -> None:
    id = address(9)["id"]
    assert taxii.get(f"green/objects/{id}/versions/").json["versions"] == [stamp(10)]
    assert ids(taxii.get(f"green/objects/{id}/?match[version]={stamp(10)}")) == [9]


def test_15_7_versions_can_be_paged_by_added_after_alone(taxii: Any) -> None:
    seen: list[Any] = []
    after: str | None = "2000-01-01T00:00:00Z"
    while after:
        answer = taxii.get(f"green/objects/{ONE}/versions/?limit=2&added_after={after}")
        seen += answer.json["versions"]
        after = answer.headers[LAST] if answer.json["more"] else None
    assert len(seen) == len(set(seen)) == 3


@pytest.mark.parametrize("tail", ENDPOINTS)
def test_18_1_pages_have_headers_with_the_first_and_last_date_added(taxii: Any, tail: Any) -> None:
    answer = taxii.get(f"green/{tail}")
    expected = {"manifest/": (2, 10), "objects/": (2, 10), f"objects/{ONE}/": (8, 8)}
    first, last = expected.get(tail, (1, 9))
    assert (answer.headers[FIRST], answer.headers[LAST]) == (stamp(first), stamp(last))


def test_18_3_the_date_added_headers_are_those_of_the_page(taxii: Any) -> None:
    answer = objects(taxii, "?limit=2")
    assert (answer.headers[FIRST], answer.headers[LAST]) == (stamp(2), stamp(3))


@pytest.mark.parametrize("tail", ENDPOINTS)
def test_18_4_the_date_added_headers_of_an_empty_page_repeat_added_after(
    taxii: Any, tail: Any
) -> None:
    answer = taxii.get(f"green/{tail}?added_after=2999-01-01T00:00:00Z")
    listed = (answer.headers[FIRST], answer.headers[LAST])
    assert listed == ("2999-01-01T00:00:00.000000Z",) * 2


@pytest.mark.parametrize("query", ["", "?match[type]=malware"])
def test_18_4_an_empty_page_without_added_after_has_no_date_added_headers(
    taxii: Any, query: str
) -> None:
    answer = taxii.get(f"scratch/objects/{query}")
    assert FIRST not in answer.headers and LAST not in answer.headers


@pytest.mark.parametrize("far", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z"])
def test_18_4_the_end_of_time_is_no_error(taxii: Any, far: str) -> None:
    answer = objects(taxii, f"?added_after={far}")
    assert answer.headers[LAST] == "9999-12-31T23:59:59.999999Z"


@pytest.mark.parametrize(
    "path", ["/taxii2/", "/hub/", "/hub/collections/", "/hub/collections/green/"]
)
def test_18_5_other_resources_have_no_date_added_headers(taxii: Any, path: str) -> None:
    assert FIRST not in taxii.ask(path).headers
