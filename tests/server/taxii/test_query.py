"""The query string (TAXII 2.1 section 3.4; conformance 16)."""

from typing import Any

import pytest
from support.taxii_hub import EPOCH, SCRATCH, ids, indicator, objects, stamp

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import timestamp
from tocsin.server.taxii import query as filters
from tocsin.server.taxii.query import Endpoint

ONE = indicator(1)["id"]


ENDPOINTS = ["manifest/", "objects/", f"objects/{ONE}/", f"objects/{ONE}/versions/"]


@pytest.mark.parametrize(
    "query",
    [
        "added_after=yesterday",
        "added_after=2020-13-45T00:00:00Z",
        "added_after=2020-01-01",
        "added_after=2020-01-01T00:00:00",
        "added_after=",
        "added_after",
        "added_after=2020-01-01T00:00:00Z,2021-01-01T00:00:00Z",
        "added_after=2020-01-01T00:00:00Z&added_after=2020-01-01T00:00:00Z",
        "limit=0",
        "limit=-1",
        "limit=1.5",
        "limit=abc",
        "limit=",
        "limit=+1",
        "limit=%D9%A1",
        "limit=1&limit=1",
        "next=",
        "next=garbage",
        "match[version]=foo",
        "match[version]=",
        "match[version]=all,last",
        "match[version]=all,all",
        "match[version]=last,last",
        "match[version]=last, first",
        "match[version]=LAST",
        "match[id]=",
        "match[id]=a,,b",
        "match[type]=a, b",
        "match[type]=a&match[type]=b",
        "match[type]=a&match%5Btype%5D=b",
        "match[spec_version]=2.1&match[spec_version]=2.1",
        "match[foo]=1&match[foo]=2",
        "match[id]=" + ",".join(["x"] * (filters.MAX_VALUES + 1)),
    ],
)
def test_16_1_a_malformed_parameter_is_refused_by_name(taxii: Any, query: Any) -> None:
    answer = objects(taxii, f"?{query}")
    assert answer.status_code == 400
    name = query.partition("=")[0].replace("%5B", "[").replace("%5D", "]")
    assert answer.json["description"].startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        (f"added_after={stamp(1)}&added_after={stamp(2)}", "give one value"),
        ("limit=5&limit=6", "give one value"),
        ("match[type]=a&match[type]=b", "join the values with commas"),
    ],
)
def test_16_1_only_values_of_filters_are_to_be_joined(taxii: Any, query: str, advice: str) -> None:
    description = objects(taxii, f"?{query}").json["description"]
    assert description.endswith(f": given more than once; {advice}")


@pytest.mark.parametrize("tail", ENDPOINTS)
def test_16_2_so_it_is_on_every_endpoint(taxii: Any, tail: Any) -> None:
    assert taxii.get(f"green/{tail}?limit=0").status_code == 400


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (stamp(6), [7, 1, 9]),
        (timestamp(EPOCH + 6).replace("Z", "999Z"), [7, 1, 9]),
        ("2024-01-01t00:00:00.000006z", [7, 1, 9]),
        ("2024-01-01T00:00:00.000006%2B00:00", [7, 1, 9]),
        ("2024-01-01T02:00:00.000006+02:00", [7, 1, 9]),
        ("2024-01-01T00:00:00Z", [2, 3, 4, 5, 6, 7, 1, 9]),
        ("0001-01-01T00:00:00%2B23:59", [2, 3, 4, 5, 6, 7, 1, 9]),
    ],
)
def test_16_3_added_after_is_exclusive_and_liberal(taxii: Any, text: Any, found: Any) -> None:
    assert ids(objects(taxii, f"?added_after={text}")) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("match[type]=ipv4-addr", [9]),
        ("match%5Btype%5D=ipv4-addr", [9]),
        ("match[type]=ipv4-addr,indicator&limit=2", [2, 3]),
        (f"match[id]={ONE},{indicator(3)['id']}", [3, 1]),
        (f"match[type]=ipv4-addr&match[id]={ONE}", []),
        ("match[id]=never-was", []),
        ("match[version]=first&limit=2", [1, 2]),
        ("match[version]=all", [1, 2, 3, 4, 5, 6, 7, 1, 1, 9]),
        ("match[version]=first,last", [1, 2, 3, 4, 5, 6, 7, 1, 9]),
        ("match[version]=2021-01-01T00:00:00Z", [1]),
        ("match[version]=2021-01-01T00:00:00.0000000Z,2022-01-01T00:00:00.0Z", [1, 1]),
        ("match[spec_version]=2.0", []),
        ("match[spec_version]=2.0,2.1&match[type]=ipv4-addr", [9]),
        ("foo=1&limit=1", [2]),
        ("Limit=1&MATCH[type]=x&match[version]=first&limit=1", [1]),
    ],
)
def test_16_7_filters_join_by_and_their_values_by_or(taxii: Any, query: str, found: Any) -> None:
    assert ids(objects(taxii, f"?{query}")) == found


def test_16_14_the_latest_spec_version_by_default(taxii: Any) -> None:
    old = indicator(1)
    del old["spec_version"]
    taxii.feeds.add(SCRATCH.id, old, indicator(1))

    def specs(query: Any) -> Any:
        listed = taxii.get(f"scratch/manifest/?{query}").json["objects"]
        return [one["media_type"][-3:] for one in listed]

    assert specs("") == specs("match[version]=all") == ["2.1"]
    assert specs("match[spec_version]=2.0") == ["2.0"]
    assert specs("match[spec_version]=2.0,2.1") == ["2.0", "2.1"]


STIX_TYPES = [
    "attack-pattern",
    "campaign",
    "course-of-action",
    "grouping",
    "identity",
    "incident",
    "indicator",
    "infrastructure",
    "intrusion-set",
    "location",
    "malware",
    "malware-analysis",
    "note",
    "observed-data",
    "opinion",
    "report",
    "threat-actor",
    "tool",
    "vulnerability",
    "artifact",
    "autonomous-system",
    "directory",
    "domain-name",
    "email-addr",
    "email-message",
    "file",
    "ipv4-addr",
    "ipv6-addr",
    "mac-addr",
    "mutex",
    "network-traffic",
    "process",
    "software",
    "url",
    "user-account",
    "windows-registry-key",
    "x509-certificate",
    "relationship",
    "sighting",
    "extension-definition",
    "language-content",
    "marking-definition",
]


@pytest.mark.parametrize("type", STIX_TYPES)
def test_16_11_no_stix_type_is_an_error(taxii: Any, type: Any) -> None:
    assert objects(taxii, f"?match[type]={type}").status_code == 200


def test_16_20_the_version_is_chosen_before_added_after_acts(taxii: Any) -> None:
    """The version of 2021 came last but is not the latest."""
    assert ids(objects(taxii, f"?added_after={stamp(8)}")) == [9]


@pytest.mark.parametrize(
    ("tail", "query", "ignored"),
    [
        ("objects/", "match[foo]=1", "match[foo]"),
        ("objects/", "match[a]=1&match[b]=2&limit=3", "match[a], match[b]"),
        ("objects/", "match[x%0d%0aSet-Cookie:y]=1", "match[?]"),
        ("objects/", "match[type]=indicator&foo=1", None),
        (f"objects/{ONE}/", "match[type]=malware", "match[type]"),
        (f"objects/{ONE}/versions/", "match[version]=last", "match[version]"),
    ],
)
def test_16_8_ignored_match_fields_are_named(
    taxii: Any, tail: str, query: str, ignored: None | str
) -> None:
    answer = taxii.get(f"green/{tail}?{query}")
    assert (answer.status_code, answer.headers.get("X-Tocsin-Ignored-Filters")) == (200, ignored)


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_16_22_each_endpoint_has_its_own_parameters(endpoint: Any) -> None:
    numbers = {"manifest": 7, "objects": 7, "object": 5, "versions": 4, "delete": 2}
    assert len(filters.PARAMETERS[endpoint]) == numbers[endpoint]


def test_16_23_the_number_of_values_is_capped() -> None:
    pairs = [("match[id]", ",".join(map(str, range(filters.MAX_VALUES))))]
    assert len(filters.parse_query(pairs, Endpoint.OBJECTS, 1, 1).query.ids) == filters.MAX_VALUES
    with pytest.raises(Malformed, match="several requests"):
        filters.parse_query([("match[id]", pairs[0][1] + ",x")], Endpoint.OBJECTS, 1, 1)
