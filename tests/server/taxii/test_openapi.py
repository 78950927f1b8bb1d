"""The description in OpenAPI 3.1: it is true of the hub, and whole."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from support.hub import HubInProcess
from support.schemathesis_trial import (
    EXAMPLES,
    Wsgi,
    answers,
    app_of,
    filled,
    serving,
    tried,
)
from support.taxii_hub import MT, Taxii, basic
from werkzeug.wrappers import Request

from tocsin.server.auth import AuthScheme
from tocsin.server.taxii import openapi, query
from tocsin.server.taxii.protocols import TaxiiSettings
from tocsin.server.taxii.query import Endpoint

KEY = b"k" * 16
OWN = TaxiiSettings("Tocsin", KEY, contact="ops@hub.example", max_objects=77, page_cap=55)
DOCUMENT = json.loads(json.dumps(openapi.document(OWN)))
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
}


@pytest.fixture(scope="module")
def hub(common_store) -> HubInProcess:
    return filled(HubInProcess(common_store))


def named(reference: dict) -> dict:
    """What a reference leads to."""
    found = DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(value: object) -> Iterator[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from references(each)
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]


def examples(value: object) -> Iterator[tuple[dict, object]]:
    """Each example with its schema."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from examples(each)
    if isinstance(value, dict) and isinstance(value.get("schema"), dict):
        yield from ((value["schema"], one["value"]) for one in value.get("examples", {}).values())
        if "example" in value:
            yield value["schema"], value["example"]


def valid(schema: dict, value: object) -> bool:
    whole = schema | {"components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return validator.is_valid(value)


def normal(path: str) -> str:
    """A path without the names of what is in its braces, and with its last slash."""
    bare = re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)
    return bare if bare.endswith((".json", "/")) else f"{bare}/"


class TestTheDocument:
    def test_it_is_openapi_3_1(self):
        assert [each.message for each in OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)] == []

    def test_it_describes_every_path_and_method_and_nothing_else(self, hub):
        served = {
            (normal(rule.rule), method.lower())
            for rule in app_of(hub).url_map.iter_rules()
            for method in rule.methods - {"OPTIONS"}
        }
        assert {(normal(path), method) for path, method, _ in OPERATIONS.values()} == served

    def test_every_reference_leads_somewhere_and_every_component_is_used(self):
        told = set(references(DOCUMENT))
        parts = DOCUMENT["components"].items()
        there = {f"#/components/{kind}/{name}" for kind, of in parts for name in of}
        apart = {f"#/components/responses/{name}" for name in ("MethodNotAllowed",)}
        schemes = {each for each in there if "/securitySchemes/" in each}
        assert told - there == set()
        assert there - told == apart | schemes

    def test_every_example_is_valid(self):
        found = list(examples(DOCUMENT))
        assert len(found) > 40
        for schema, value in found:
            inner = named(schema) if "$ref" in schema else schema
            told = int(value) if inner.get("type") == "integer" else value  # as a header writes it
            assert valid(schema, told), value

    @pytest.mark.parametrize(
        ("id", "endpoint"),
        [
            ("getManifest", Endpoint.MANIFEST),
            ("getObjects", Endpoint.OBJECTS),
            ("getObject", Endpoint.OBJECT),
            ("getVersions", Endpoint.VERSIONS),
            ("deleteObject", Endpoint.DELETE),
        ],
    )
    def test_an_endpoint_has_the_parameters_that_the_door_knows(self, id, endpoint):
        told = [named(each) for each in OPERATIONS[id][2]["parameters"]]
        assert {each["name"] for each in told if each["in"] == "query"} == query.KNOWN[endpoint]

    def test_head_may_be_asked_what_get_may(self):
        for id, (_, method, operation) in OPERATIONS.items():
            if method == "get":
                head = OPERATIONS[id.replace("get", "head")][2]
                assert head.get("parameters") == operation.get("parameters")
                assert head["responses"].keys() == operation["responses"].keys()
                assert "content" not in head["responses"]["200"]

    def test_every_link_leads_to_an_operation_with_these_parameters(self):
        links = [
            link
            for _, _, operation in OPERATIONS.values()
            for answer in operation["responses"].values()
            for link in answer.get("links", {}).values()
        ]
        assert len(links) == 8
        for link in links:
            path, _, operation = OPERATIONS[link["operationId"]]
            every = [*DOCUMENT["paths"][path].get("parameters", []), *operation["parameters"]]
            known = {f"{each['in']}.{each['name']}" for each in map(named, every)}
            assert link["parameters"].keys() <= known

    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ("Envelope", {"more": False, "objects": []}),
            ("Envelope", {}),
            ("Envelope", {"more": True, "objects": [{"type": "x-it", "id": "x-it--1"}]}),
            ("Envelope", {"more": True}),
            ("Manifest", {"objects": []}),
            ("Versions", {"more": False, "versions": []}),
            ("Collections", {"collections": []}),
            ("Timestamp", "2026-01-01T00:00:00.000Z"),
            ("Timestamp", "2026-01-01T00:00:00.000000+00:00"),
            ("Identifier", "00000000-0000-1000-8000-000000000000"),
            ("Error", {"http_status": "404"}),
            ("Error", {"title": "Not Found", "http_status": 404}),
        ],
    )
    def test_a_schema_refuses_what_taxii_does(self, schema, value):
        assert not valid({"$ref": f"#/components/schemas/{schema}"}, value)


class TestWhatDependsOnTheHub:
    def test_the_limits_are_those_of_this_hub(self):
        assert "55 entries" in DOCUMENT["info"]["description"]
        posted = DOCUMENT["components"]["schemas"]["NewObjects"]["properties"]["objects"]
        assert posted["maxItems"] == 77

    def test_a_generated_client_goes_where_the_description_came_from(self):
        assert [each["url"] for each in DOCUMENT["servers"]] == ["/"]

    def test_a_certificate_is_a_credential_only_where_it_is_taken(self):
        assert "certificate" not in json.dumps(DOCUMENT["security"])
        told = openapi.document(replace(OWN, schemes=frozenset(AuthScheme)))
        assert {"certificate": []} in told["security"]
        assert told["components"]["securitySchemes"]["certificate"]["type"] == "mutualTLS"
        assert OPENAPI_31_VALIDATOR.is_valid(json.loads(json.dumps(told)))

    def test_only_the_schemes_of_this_hub_are_named(self):
        told = openapi.document(replace(OWN, schemes=frozenset({AuthScheme.BEARER})))
        assert told["security"] == [{"bearer": []}]
        assert set(told["components"]["securitySchemes"]) == {"bearer"}

    @pytest.mark.parametrize("asked", [True, False])
    def test_a_hub_that_asks_for_certificates_says_so(self, hub, asked):
        chosen = {"tls_client_ca": Path("ca.pem")} if asked else {}
        told = app_of(hub, **chosen).test_client().get("/openapi.json").json
        assert ({"certificate": []} in told["security"]) is asked

    def test_discovery_asks_for_no_credential_where_it_is_public(self):
        told = openapi.document(TaxiiSettings("Tocsin", KEY, public_discovery=True))
        assert {} in told["paths"]["/taxii2/"]["get"]["security"]
        assert "security" not in DOCUMENT["paths"]["/taxii2/"]["get"]


class TestItsPath:
    @pytest.fixture
    def client(self, hub):
        return app_of(hub).test_client()

    def test_anybody_may_read_it(self, client):
        answer = client.get("/openapi.json")
        assert (answer.status_code, answer.json["openapi"]) == (200, "3.1.0")
        assert answer.headers["Content-Type"] == "application/openapi+json;version=3.1"

    def test_it_tells_nothing_of_what_the_hub_holds(self, client, hub):
        told = client.get("/openapi.json").text
        for collection in hub.store.feeds.collections():
            assert collection.id not in told
        assert "acme" not in told

    def test_who_has_it_is_told_so(self, client):
        tag = client.get("/openapi.json").headers["ETag"]
        again = client.get("/openapi.json", headers={"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")

    def test_head_has_its_headers(self, client):
        head, get = client.head("/openapi.json"), client.get("/openapi.json")
        assert (head.status_code, head.data) == (200, b"")
        for name in ("ETag", "Content-Type", "Content-Length"):
            assert head.headers[name] == get.headers[name]

    def test_it_is_not_written_to(self, client):
        answer = client.post("/openapi.json")
        assert (answer.status_code, answer.headers["Content-Type"]) == (405, MT)
        assert answer.json["http_status"] == "405"


class TestTheHub:
    """Tried by schemathesis; TOCSIN_TEST_EXAMPLES=500 tries harder."""

    def test_it_answers_as_it_is_described(self, hub):
        with serving(app_of(hub)) as url:
            trial = tried(url)
        print(trial.told())
        assert trial.complaints == []
        assert trial.answers.total() > 25 * EXAMPLES
        reached = {"GET 200", "GET 304", "GET 400", "GET 401", "GET 403", "GET 404", "POST 202"}
        assert reached <= trial.answers.keys()

    def test_it_answers_as_described_to_whoever_asks_too_often(self, hub):
        with serving(app_of(hub, requests_per_minute=2)) as url:
            told = answers(url, "/hub/collections/", "GET", 4)
        assert set(told) == {200, 429}


def changed(app: Wsgi, change: Callable[[int, dict, bytes], tuple[int, dict, bytes]]) -> Wsgi:
    """The application with its answers changed on their way."""

    def wrapped(environ, start_response):
        if Request(environ).path == "/openapi.json":
            return app(environ, start_response)
        told = {}

        def start(status, headers, exc_info=None):
            told["status"], told["headers"] = int(status.split()[0]), dict(headers)

        octets = b"".join(app({**environ, "HTTP_ACCEPT_ENCODING": ""}, start))
        status, headers, octets = change(told["status"], told["headers"], octets)
        headers["Content-Length"] = str(len(octets))
        start_response(f"{status} Whatever", list(headers.items()))
        return [octets]

    return wrapped


def body(**changes: object) -> Callable:
    """Sets properties of what is answered; None takes one out."""

    def change(status, headers, octets):
        if not octets:
            return status, headers, octets
        told = json.loads(octets) | changes
        kept = {name: value for name, value in told.items() if value is not None}
        return status, headers, json.dumps(kept).encode()

    return change


def header(name: str, value: str | None) -> Callable:
    def change(status, headers, octets):
        others = {key: told for key, told in headers.items() if key != name}
        return status, others | ({name: value} if value else {}), octets

    return change


def status(code: int) -> Callable:
    def change(before, headers, octets):
        return (code if before == 200 else before), headers, octets

    return change


FAULTS = {
    "an error without its title": (body(title=None), "response_schema_conformance"),
    "a property that is not described": (body(x_more=1), "response_schema_conformance"),
    "an empty list": (body(collections=[]), "response_schema_conformance"),
    "another type": (header("Content-Type", "text/html"), "content_type_conformance"),
    "no tag": (header("ETag", None), "response_headers_conformance"),
    "a status that is not described": (status(206), "status_code_conformance"),
    "a breakdown": (status(500), "not_a_server_error"),
    "no Allow": (header("Allow", None), "unsupported_method"),
}


class TestTheTrialItself:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_it_finds_a_fault(self, hub, fault):
        change, check = FAULTS[fault]
        with serving(changed(app_of(hub), change)) as url:
            trial = tried(url, 2, ["getCollections"], first=True)
        assert check in {each.partition(":")[0] for each in trial.complaints}

    def test_it_finds_a_door_that_lets_anybody_in(self, hub):
        app = app_of(hub)

        def open_door(environ, start_response):
            return app({**environ, "HTTP_AUTHORIZATION": basic("acme", "acme")}, start_response)

        with serving(open_door) as url:
            trial = tried(url, 2, ["getCollections"], first=True)
        assert "ignored_auth" in {each.partition(":")[0] for each in trial.complaints}

    def test_it_finds_wrong_data_that_is_taken(self, hub):
        app = app_of(hub)

        def lenient(environ, start_response):
            return app({**environ, "QUERY_STRING": ""}, start_response)

        with serving(lenient) as url:
            trial = tried(url, 4, ["getObjects"], first=True)
        assert "negative_data_rejection" in {each.partition(":")[0] for each in trial.complaints}


def test_a_hub_without_the_description_has_no_such_path():
    assert Taxii().ask("/openapi.json").status_code == 404
