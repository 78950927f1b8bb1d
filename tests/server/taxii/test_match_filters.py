"""The optional match filters in requests (interoperability document 3.13.2; conformance 20.2)."""

from dataclasses import replace
from typing import Any

import pytest
from support.hub import AMBER, GREEN_1, HUB_SECRETS, HubInProcess, indicator, sdo
from support.presence import present

from tocsin.admission.model import Tlp
from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app
from tocsin.server.store import Store
from tocsin.server.taxii import query as filters
from tocsin.server.taxii.query import INTEROP_PARAMETERS, MAX_FILTERS, Endpoint

WHITE_1 = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
PATTERN = "[domain-name:value = 'a.example']"
IGNORED = "X-Tocsin-Ignored-Filters"


@pytest.fixture(scope="module")
def hub(common_store: Store) -> Any:
    hub = HubInProcess(common_store)
    acme = present(hub.store.accounts.find_partner("acme"))
    hub.store.accounts.update_partner(replace(acme, max_tlp=Tlp.AMBER_STRICT))
    hub.push(*OBJECTS, to="scratch")
    return hub


MALWARE = sdo("malware", name="Grandoreiro, banking", object_marking_refs=[WHITE_1], confidence=80)
TOOL = sdo("tool", name="Remote Helper", object_marking_refs=[STRICT], confidence=30)
RULE = indicator(
    pattern=PATTERN,
    object_marking_refs=[],
    granular_markings=[{"marking_ref": GREEN_1, "selectors": ["pattern"]}],
    created_by_ref=TOOL["id"].replace("tool", "identity"),
)
LINK = sdo(
    "relationship",
    source_ref=RULE["id"],
    target_ref=MALWARE["id"],
    relationship_type="indicates",
    object_marking_refs=[AMBER],
    modified="2026-03-01T00:00:00.000Z",
)
OBJECTS = [MALWARE, TOOL, RULE, LINK]


def names(hub: Any, path: Any, **query: Any) -> Any:
    """The answer's objects by number, in the order in which they were posted."""
    answer = hub.ask(path, query_string=query)
    assert answer.status_code == 200, answer.text
    assert IGNORED not in answer.headers
    known = [one["id"] for one in OBJECTS]
    return [known.index(one["id"]) for one in answer.json.get("objects", [])]


CASES = [
    ({"match[name]": "Remote Helper"}, [1]),
    ({"match[name]": "remote helper"}, []),
    ({"match[name]": "Grandoreiro, banking"}, []),
    ({"match[pattern]": PATTERN}, [2]),
    ({"match[tlp]": "white"}, [0]),
    ({"match[tlp]": "clear,green"}, [0, 2]),
    ({"match[tlp]": "amber"}, [3]),
    ({"match[tlp]": "amber+strict"}, [1]),
    ({"match[relationships-all]": MALWARE["id"]}, [3]),
    ({"match[relationships-all]": f"{RULE['id']},{RULE['created_by_ref']}"}, [2, 3]),
    ({"match[confidence]": "030"}, [1]),
    ({"match[confidence-gte]": "30"}, [0, 1]),
    ({"match[confidence-gte]": "31", "match[confidence-lte]": "80"}, [0]),
    ({"match[confidence-gte]": "90,31"}, [0]),
    ({"match[modified-gte]": "2026-02-01T00:00:00+01:00"}, [3]),
    ({"match[revoked]": "false", "match[type]": "tool,malware"}, [0, 1]),
    ({"match[name]": "Remote Helper", "match[id]": f"{TOOL['id']},{RULE['id']}"}, [1]),
]


@pytest.mark.parametrize("end", ["objects", "manifest"])
@pytest.mark.parametrize(("query", "found"), CASES)
def test_filters_combine_with_and_their_values_with_or(
    hub: Any, end: str, query: Any, found: Any
) -> None:
    assert names(hub, f"collections/scratch/{end}/", **query) == found


@pytest.mark.parametrize(
    "raw", ["match[tlp]=amber+strict", "match%5Btlp%5D=amber%2Bstrict", "match[name]=Remote+Helper"]
)
def test_a_plus_sign_may_be_encoded_or_not(hub: Any, raw: str) -> None:
    answer = hub.ask(f"collections/scratch/objects/?{raw}")
    assert [one["id"] for one in answer.json["objects"]] == [TOOL["id"]]


def test_the_object_endpoint_supports_match_filters(hub: Any) -> None:
    path = f"collections/scratch/objects/{TOOL['id']}/"
    assert names(hub, path, **{"match[confidence-gte]": "30"}) == [1]
    assert names(hub, path, **{"match[confidence-gte]": "31"}) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confidence", "high"),
        ("confidence", "1.5"),
        ("confidence-gte", ""),
        ("confidence-lte", "1,x"),
        ("src_port", "٣"),
        ("number", "9" * 30),
        ("revoked", "yes"),
        ("revoked", "True"),
        ("tlp", "orange"),
        ("tlp", "GREEN"),
        ("modified-gte", "yesterday"),
        ("valid_from-lte", "2026-02-30T00:00:00Z"),
        ("labels", ""),
        ("labels", "a,,b"),
        ("name", "x" * 5_000),
        ("name", ",".join(map(str, range(501)))),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_the_field(hub: Any, field: str, value: Any) -> None:
    answer = hub.ask("collections/scratch/objects/", query_string={f"match[{field}]": value})
    assert answer.status_code == 400
    assert f"match[{field}]: " in answer.text


def test_a_repeated_match_filter_is_refused(hub: Any) -> None:
    answer = hub.ask("collections/scratch/objects/?match[labels]=a&match[labels]=b")
    assert (answer.status_code, "match[labels]" in answer.text) == (400, True)


def test_the_number_of_match_filters_is_limited(hub: Any) -> None:
    several = dict.fromkeys(
        sorted(set(INTEROP_PARAMETERS) - {"match[tlp]", "match[revoked]"})[:8], "1"
    )
    asked = [
        (name, "1")
        for name in INTEROP_PARAMETERS
        if INTEROP_PARAMETERS[name].isupper() or INTEROP_PARAMETERS[name].endswith("s")
    ]
    path = "collections/scratch/objects/"
    assert len(several) < MAX_FILTERS < len(asked)
    assert hub.ask(path, query_string=dict(asked[:MAX_FILTERS])).status_code == 200
    answer = hub.ask(path, query_string=dict(asked[: MAX_FILTERS + 1]))
    text = answer.json["description"]
    assert (answer.status_code, text.startswith("more than 10 filters")) == (400, True)


def test_a_page_token_is_bound_to_the_match_filters(hub: Any) -> None:
    path = "collections/scratch/objects/"
    asked = {"match[confidence-gte]": "30", "limit": "1"}
    first = hub.ask(path, query_string=asked).json
    assert first["more"] is True
    assert names(hub, path, **asked, next=first["next"]) == [1]
    for other in ({"match[confidence-gte]": "31"}, {"match[confidence]": "30"}, {}):
        answer = hub.ask(path, query_string={**other, "limit": "1", "next": first["next"]})
        assert answer.status_code == 400


@pytest.mark.slow
def test_the_tag_of_a_page_tells_filters_apart(hub: Any) -> None:
    def tags() -> Any:
        path = "collections/scratch/objects/"
        return [hub.ask(path, query_string=query).headers["ETag"] for query, _ in CASES]

    one, again = tags(), tags()
    assert again == one
    assert len(set(one)) == len(one)


def test_a_published_object_is_found_in_its_feed(hub: Any) -> None:
    hub.push(indicator("feeds.top", labels=["only-here"], confidence=55))
    (found,) = hub.feed("green", **{"match[labels]": "only-here", "match[confidence-lte]": "60"})
    assert "feeds.top" in found["pattern"]
    assert hub.feed("green", **{"match[labels]": "only-here", "match[tlp]": "green"}) == [found]


@pytest.mark.parametrize(
    "path", [f"objects/{TOOL['id']}/versions/", "objects/"], ids=["versions", "objects"]
)
def test_disabled_match_filters_are_ignored_and_named(hub: Any, path: str) -> None:
    off = HubSettings(interop_filters=False)
    closed = replace_client(hub, off) if path == "objects/" else hub
    answer = closed.ask(f"collections/scratch/{path}?match[confidence]=high&match[tlp]=red")
    assert answer.status_code == 200
    assert answer.headers[IGNORED] == "match[confidence], match[tlp]"


def replace_client(hub: Any, settings: Any) -> Any:
    other = object.__new__(HubInProcess)
    other.store, other.services = hub.store, hub.services
    other.client = create_app(hub.services, HUB_SECRETS, settings).test_client()
    return other


@pytest.mark.parametrize(
    "name",
    ["match[confidence]", "match[version", "Match[version]", "mach[version]", "version", "Limit"],
)
def test_delete_with_a_filter_that_is_not_known_is_refused(hub: Any, name: str) -> None:
    path = f"collections/scratch/objects/{TOOL['id']}/?{name}=30"
    answer = hub.ask(path, method="DELETE")
    assert (answer.status_code, "nothing was deleted" in answer.text) == (400, True)


@pytest.mark.parametrize("endpoint", [Endpoint.OBJECTS, Endpoint.MANIFEST, Endpoint.OBJECT])
def test_every_field_is_known_where_objects_are_filtered(endpoint: Any) -> None:
    for name in INTEROP_PARAMETERS:
        value = {"match[tlp]": "red", "match[revoked]": "true"}.get(name, "1")
        if name.startswith(("match[modified", "match[valid")):
            value = "2026-01-01T00:00:00Z"
        asked = filters.parse_query([(name, value)], endpoint, 1, 1)
        assert (len(asked.query.filters), asked.ignored) == (1, ())
