"""Media types and methods (TAXII 2.1 sections 1.6.8 and 3.1; conformance 2)."""

from typing import Any

import pytest
from support.taxii_hub import GREEN, MT, TaxiiHub, address, indicator

OBJECT = indicator()["id"]
READS = [
    "/taxii2/",
    "/hub/",
    "/hub/collections/",
    "/hub/collections/green/",
    f"/hub/collections/{GREEN.id}/",
    "/hub/collections/green/manifest/",
    "/hub/collections/green/objects/",
    f"/hub/collections/green/objects/{OBJECT}/",
    f"/hub/collections/green/objects/{OBJECT}/versions/",
]


@pytest.fixture
def taxii() -> Any:
    taxii = TaxiiHub()
    taxii.feeds.add(GREEN.id, indicator(), address(7))
    return taxii


@pytest.mark.parametrize("path", READS)
def test_2_1_every_answer_carries_type_and_version(taxii: Any, path: Any) -> None:
    answer = taxii.ask(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, MT)
    assert isinstance(answer.json, dict)


@pytest.mark.parametrize("path", READS)
def test_2_11_a_path_without_its_last_slash_is_served_too(taxii: Any, path: Any) -> None:
    assert taxii.ask(path.rstrip("/")).data == taxii.ask(path).data


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*",
        "*/*",
        "application/*",
        "application/taxii+json",
        "application/taxii+json;version=2.1",
        "application/taxii+json; version=2.1",
        'application/taxii+json;version="2.1"',
        "APPLICATION/TAXII+JSON;VERSION=2.1",
        "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
        "application/taxii+json;version=2.1;q=0.5, */*;q=0.1",
        "text/html, application/taxii+json;q=0.1",
        "application/json, text/plain, */*",
        "application/taxii+json;version=2.0, */*;q=0.1",
        "application/taxii+json;version=2.1;q=nonsense",
        "text/html, image/gif, *; q=.2, */*; q=.2",
        'text/html;note="a,b", application/taxii+json',
        "*/*;q=0, application/taxii+json",
    ],
)
def test_2_8_accept_is_parsed_as_in_rfc_7231(taxii: Any, accept: None | str) -> None:
    answer = taxii.ask("/hub/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, MT)


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/json",
        "text/*",
        "application/taxii+json;version=2.0",
        "application/taxii+json;version=2.2",
        "application/taxii+json;version=2.1;q=0",
        "application/taxii+json;version=2.1;q=0, application/taxii+json",
        "application/taxii+json;q=0.000, */*",
        "application/stix+json;version=2.1",
        "nonsense",
        ";;;",
    ],
)
def test_2_5_an_unsupported_media_type_is_406(taxii: Any, accept: str) -> None:
    answer = taxii.ask("/hub/", headers={"Accept": accept})
    assert (answer.status_code, answer.json["http_status"]) == (406, "406")
    assert answer.headers["Content-Type"] == MT


@pytest.mark.parametrize(
    "accept",
    [
        "application/taxii+json;version=2.1,application/stix+json;version=2.1",
        "application/stix+json;version=2.1",
        "application/stix+json",
    ],
)
def test_2_4_a_manifest_accepts_both_of_its_media_types(taxii: Any, accept: str) -> None:
    answer = taxii.get("green/manifest/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, MT)


@pytest.mark.parametrize(
    "type",
    [
        MT,
        "application/taxii+json; version=2.1",
        "application/taxii+json",
        "application/taxii+json;version=2.1;charset=utf-8",
        'Application/TAXII+json;Version="2.1";Charset=UTF-8',
    ],
)
def test_2_9_the_taxii_content_type_is_accepted(taxii: Any, type: Any) -> None:
    body = {"objects": [indicator()]}
    assert taxii.post("scratch", body, headers={"Content-Type": type}).status_code == 202


@pytest.mark.parametrize(
    "type",
    [
        None,
        "",
        "application/json",
        "application/taxii+json;version=2.0",
        "application/stix+json;version=2.1",
        "application/taxii+json;charset=utf-16",
        "text/plain",
    ],
)
def test_2_10_any_other_content_type_is_refused(taxii: Any, type: None | str) -> None:
    answer = taxii.post("scratch", {"objects": [indicator()]}, headers={"Content-Type": type})
    assert (answer.status_code, answer.headers["Content-Type"]) == (415, MT)
    assert "Accept-Encoding" not in answer.headers
    assert taxii.intake.received == []


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "identity, br"])
def test_2_16_a_coding_other_than_gzip_is_415_with_accept_encoding(taxii: Any, coding: str) -> None:
    answer = taxii.post("scratch", b"\x1f\x8b", headers={"Content-Encoding": coding})
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "gzip")


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/taxii2/", "POST", "GET, HEAD, OPTIONS"),
        ("/hub/", "DELETE", "GET, HEAD, OPTIONS"),
        ("/hub/collections/green/objects/", "PUT", "GET, HEAD, OPTIONS, POST"),
        ("/hub/collections/green/objects", "PATCH", "GET, HEAD, OPTIONS, POST"),
        (f"/hub/collections/green/objects/{OBJECT}/", "POST", "DELETE, GET, HEAD, OPTIONS"),
    ],
)
def test_2_14_other_methods_are_405_with_allow(
    taxii: Any, path: str, method: str, allow: str
) -> None:
    answer = taxii.ask(path, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)
    assert (answer.json["http_status"], answer.headers["Content-Type"]) == ("405", MT)


def test_2_14_options_lists_the_methods(taxii: Any) -> None:
    answer = taxii.get("green/objects/", method="OPTIONS")
    assert (answer.status_code, answer.data) == (200, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert answer.headers["Content-Type"] == MT


@pytest.mark.parametrize("path", READS)
def test_2_12_head_has_the_headers_of_get_and_no_body(taxii: Any, path: Any) -> None:
    head, get = taxii.ask(path, method="HEAD"), taxii.ask(path)
    assert (head.status_code, head.data) == (200, b"")
    varies = {"X-Request-Id"}
    assert [h for h in head.headers if h[0] not in varies] == [
        h for h in get.headers if h[0] not in varies
    ]


def test_9_7_media_types_name_each_stix_version_that_a_collection_can_hold(taxii: Any) -> None:
    types = {
        c["alias"]: c["media_types"] for c in taxii.ask("/hub/collections/").json["collections"]
    }
    assert types["green"] == ["application/stix+json;version=2.1"]
    assert (
        types["scratch"]
        == types["inbox"]
        == [
            "application/stix+json;version=2.0",
            "application/stix+json;version=2.1",
        ]
    )
