"""`/openapi.json`: the document matches the routes, the query parameters and real answers."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from support.hub import HubInProcess
from support.presence import present
from support.schemathesis_trial import (
    EXAMPLES,
    Wsgi,
    build_app,
    fill_hub,
    request_repeatedly,
    run_trial,
    serve_on_socket,
)
from support.taxii_hub import MT, TaxiiHub, basic
from werkzeug.wrappers import Request

from tocsin.admission.model import Verdict
from tocsin.server.auth import AuthScheme
from tocsin.server.store import Store
from tocsin.server.taxii import content, long_poll, openapi, query
from tocsin.server.taxii.protocols import TaxiiSettings
from tocsin.server.taxii.query import Endpoint

KEY = b"k" * 16
OWN = TaxiiSettings("Tocsin", KEY, contact="ops@hub.example", max_objects=77, page_cap=55)
DOCUMENT = json.loads(json.dumps(openapi.build_document(OWN)))
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
}


@pytest.fixture(scope="module")
def hub(common_store: Store) -> HubInProcess:
    return fill_hub(HubInProcess(common_store))


def resolve(reference: dict[str, Any]) -> dict[str, Any]:
    """The component that a `$ref` names."""
    found: dict[str, Any] = DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def resolve_if_reference(node: dict[str, Any]) -> dict[str, Any]:
    return resolve(node) if "$ref" in node else node


def references(value: object) -> Iterator[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from references(each)
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]


def examples(value: object) -> Iterator[tuple[dict[str, Any], object]]:
    """Every example with its schema."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from examples(each)
    if isinstance(value, dict) and isinstance(value.get("schema"), dict):
        yield from ((value["schema"], one["value"]) for one in value.get("examples", {}).values())
        if "example" in value:
            yield value["schema"], value["example"]


def is_valid(schema: dict[str, Any], value: object) -> bool:
    whole = schema | {"components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return validator.is_valid(value)


def normalise_path(path: str) -> str:
    """A path with nameless parameters and its trailing slash."""
    bare = re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)
    return bare if bare.endswith((".json", "/")) else f"{bare}/"


class TestTheDocument:
    def test_it_is_openapi_3_1(self) -> None:
        assert [each.message for each in OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)] == []

    def test_its_limits_and_words_are_those_of_the_code(self) -> None:
        parameters, headers = (DOCUMENT["components"][kind] for kind in ("parameters", "headers"))
        for name in (query.ID, query.TYPE, query.SPEC, query.VERSION):
            (listed,) = (each for each in parameters.values() if each["name"] == name)
            assert listed["schema"]["maxItems"] == query.MAX_VALUES
        assert f"at most {long_poll.MAX_WAIT} " in parameters["Prefer"]["description"]
        assert headers["Content-Encoding"]["schema"]["enum"] == list(content.CODINGS)
        assert headers["Accept-Encoding"]["example"] == content.ACCEPTED_CODING
        details = DOCUMENT["components"]["schemas"]["StatusDetails"]["properties"]
        assert set(details["x_tocsin_verdict"]["enum"]) == {*Verdict, "pending"} - {"open"}

    def test_every_answer_has_the_media_type_of_the_code(self) -> None:
        types = {
            type
            for _, _, operation in OPERATIONS.values()
            for answer in map(resolve_if_reference, operation["responses"].values())
            for type in answer.get("content", {})
        }
        assert types == {content.MEDIA_TYPE, content.OPENAPI}

    def test_it_describes_exactly_the_routes_and_methods_that_are_served(
        self, hub: HubInProcess
    ) -> None:
        served = {
            (normalise_path(rule.rule), method.lower())
            for rule in build_app(hub).url_map.iter_rules()
            if not rule.endpoint.startswith(("monitoring.", "export."))  # these are not TAXII
            for method in present(rule.methods) - {"OPTIONS"}
        }
        assert {(normalise_path(path), method) for path, method, _ in OPERATIONS.values()} == served

    def test_every_reference_resolves_and_every_component_is_used(self) -> None:
        used = set(references(DOCUMENT))
        kinds = DOCUMENT["components"].items()
        defined = {f"#/components/{kind}/{name}" for kind, of in kinds for name in of}
        schemes = {each for each in defined if "/securitySchemes/" in each}
        assert used - defined == set()
        assert defined - used == {"#/components/responses/MethodNotAllowed"} | schemes

    def test_every_example_is_valid(self) -> None:
        found = list(examples(DOCUMENT))
        assert len(found) > 40
        for schema, value in found:
            inner = resolve(schema) if "$ref" in schema else schema
            read = int(str(value)) if inner.get("type") == "integer" else value  # headers are text
            assert is_valid(schema, read), value

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
    def test_an_endpoint_has_the_query_parameters_that_the_hub_reads(
        self, id: str, endpoint: Any
    ) -> None:
        described = [resolve(each) for each in OPERATIONS[id][2]["parameters"]]
        assert {each["name"] for each in described if each["in"] == "query"} == query.PARAMETERS[
            endpoint
        ]

    def test_head_has_the_parameters_and_statuses_of_get(self) -> None:
        for id, (_, method, operation) in OPERATIONS.items():
            if method == "get":
                head = OPERATIONS[id.replace("get", "head")][2]
                assert head.get("parameters") == operation.get("parameters")
                assert head["responses"].keys() == operation["responses"].keys()
                assert "content" not in head["responses"]["200"]

    def test_every_link_names_an_operation_with_these_parameters(self) -> None:
        links = [
            link
            for _, _, operation in OPERATIONS.values()
            for answer in operation["responses"].values()
            for link in answer.get("links", {}).values()
        ]
        assert len(links) == 10
        for link in links:
            path, _, operation = OPERATIONS[link["operationId"]]
            every = [*DOCUMENT["paths"][path].get("parameters", []), *operation["parameters"]]
            known = {f"{each['in']}.{each['name']}" for each in map(resolve, every)}
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
    def test_a_schema_refuses_what_taxii_forbids(self, schema: str, value: Any) -> None:
        assert not is_valid({"$ref": f"#/components/schemas/{schema}"}, value)


class TestSettings:
    def test_the_limits_are_those_of_this_hub(self) -> None:
        assert "55 entries" in DOCUMENT["info"]["description"]
        posted = DOCUMENT["components"]["schemas"]["NewObjects"]["properties"]["objects"]
        assert posted["maxItems"] == 77

    def test_a_generated_client_uses_the_server_that_the_document_came_from(self) -> None:
        assert [each["url"] for each in DOCUMENT["servers"]] == ["/"]

    def test_client_certificates_are_described_only_if_enabled(self) -> None:
        assert "certificate" not in json.dumps(DOCUMENT["security"])
        document = openapi.build_document(replace(OWN, schemes=frozenset(AuthScheme)))
        assert {"certificate": []} in document["security"]
        assert document["components"]["securitySchemes"]["certificate"]["type"] == "mutualTLS"
        assert OPENAPI_31_VALIDATOR.is_valid(json.loads(json.dumps(document)))

    def test_only_enabled_schemes_are_described(self) -> None:
        document = openapi.build_document(replace(OWN, schemes=frozenset({AuthScheme.BEARER})))
        assert document["security"] == [{"bearer": []}]
        assert set(document["components"]["securitySchemes"]) == {"bearer"}

    @pytest.mark.parametrize("enabled", [True, False])
    def test_tls_client_ca_enables_client_certificates(
        self, hub: HubInProcess, enabled: bool
    ) -> None:
        settings = {"tls_client_ca": Path("ca.pem")} if enabled else {}
        served = build_app(hub, **settings).test_client().get("/openapi.json").json
        assert ({"certificate": []} in present(served)["security"]) is enabled

    def test_public_discovery_needs_no_credential(self) -> None:
        document = openapi.build_document(TaxiiSettings("Tocsin", KEY, public_discovery=True))
        assert {} in document["paths"]["/taxii2/"]["get"]["security"]
        assert "security" not in DOCUMENT["paths"]["/taxii2/"]["get"]


class TestThePath:
    @pytest.fixture
    def client(self, hub: HubInProcess) -> Any:
        return build_app(hub).test_client()

    def test_it_needs_no_credential(self, client: Any) -> None:
        answer = client.get("/openapi.json")
        assert (answer.status_code, answer.json["openapi"]) == (200, "3.1.0")
        assert answer.headers["Content-Type"] == "application/openapi+json;version=3.1"

    def test_it_names_no_collection_and_no_account(self, client: Any, hub: HubInProcess) -> None:
        text = client.get("/openapi.json").text
        for collection in hub.store.feeds.collections():
            assert collection.id not in text
        assert "acme" not in text

    def test_a_reader_who_has_it_gets_304(self, client: Any) -> None:
        tag = client.get("/openapi.json").headers["ETag"]
        again = client.get("/openapi.json", headers={"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")

    def test_head_has_the_headers_of_get(self, client: Any) -> None:
        head, get = client.head("/openapi.json"), client.get("/openapi.json")
        assert (head.status_code, head.data) == (200, b"")
        for name in ("ETag", "Content-Type", "Content-Length"):
            assert head.headers[name] == get.headers[name]

    def test_post_is_answered_with_405(self, client: Any) -> None:
        answer = client.post("/openapi.json")
        assert (answer.status_code, answer.headers["Content-Type"]) == (405, MT)
        assert answer.json["http_status"] == "405"


class TestTheHub:
    """Real answers, checked by schemathesis; TOCSIN_TEST_EXAMPLES=500 tries harder."""

    @pytest.mark.slow
    @pytest.mark.long
    def test_it_answers_as_described(self, hub: HubInProcess) -> None:
        with serve_on_socket(build_app(hub)) as url:
            trial = run_trial(url)
        print(trial.summary())
        assert trial.complaints == []
        assert trial.answers.total() > 25 * EXAMPLES
        reached = {"GET 200", "GET 400", "GET 401", "GET 403", "GET 404", "POST 202"}
        assert reached <= trial.answers.keys()  # whether 304 is among them is left to chance

    @pytest.mark.slow
    def test_it_answers_as_described_over_the_rate_limit(self, hub: HubInProcess) -> None:
        with serve_on_socket(build_app(hub, requests_per_minute=2)) as url:
            statuses = request_repeatedly(url, "/hub/collections/", "GET", 4)
        assert set(statuses) == {200, 429}


def changed(
    app: Wsgi, change: Callable[[int, dict[str, Any], bytes], tuple[int, dict[str, Any], bytes]]
) -> Wsgi:
    """The application with changed answers."""

    def wrapped(environ: Any, start_response: Any) -> Any:
        if Request(environ).path == "/openapi.json":
            return app(environ, start_response)
        content: dict[str, Any] = {}

        def start(status: Any, headers: Any, exc_info: Any = None) -> None:
            content["status"], content["headers"] = int(status.split()[0]), dict(headers)

        octets = b"".join(app({**environ, "HTTP_ACCEPT_ENCODING": ""}, start))
        status, headers, octets = change(content["status"], content["headers"], octets)
        headers["Content-Length"] = str(len(octets))
        start_response(f"{status} Whatever", list(headers.items()))
        return [octets]

    return wrapped


def body(**changes: object) -> Callable[..., Any]:
    """Set properties of the answer; None removes one."""

    def change(status: Any, headers: Any, octets: Any) -> Any:
        if not octets:
            return status, headers, octets
        content = json.loads(octets) | changes
        kept = {name: value for name, value in content.items() if value is not None}
        return status, headers, json.dumps(kept).encode()

    return change


def header(name: str, value: str | None) -> Callable[..., Any]:
    def change(status: Any, headers: Any, octets: Any) -> Any:
        others = {key: value for key, value in headers.items() if key != name}
        return status, others | ({name: value} if value else {}), octets

    return change


def status(code: int) -> Callable[..., Any]:
    def change(before: Any, headers: Any, octets: Any) -> Any:
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


@pytest.mark.slow
class TestTheTrialItself:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_it_finds_a_fault(self, hub: HubInProcess, fault: Any) -> None:
        change, check = FAULTS[fault]
        with serve_on_socket(changed(build_app(hub), change)) as url:
            trial = run_trial(url, 2, ["getCollections"], first=True)
        assert check in {each.partition(":")[0] for each in trial.complaints}

    def test_it_finds_missing_authentication(self, hub: HubInProcess) -> None:
        app = build_app(hub)

        def unguarded(environ: Any, start_response: Any) -> Any:
            return app({**environ, "HTTP_AUTHORIZATION": basic("acme", "acme")}, start_response)

        with serve_on_socket(unguarded) as url:
            trial = run_trial(url, 2, ["getCollections"], first=True)
        assert "ignored_auth" in {each.partition(":")[0] for each in trial.complaints}

    def test_it_finds_invalid_parameters_that_are_accepted(self, hub: HubInProcess) -> None:
        app = build_app(hub)

        def lenient(environ: Any, start_response: Any) -> Any:
            return app({**environ, "QUERY_STRING": ""}, start_response)

        with serve_on_socket(lenient) as url:
            trial = run_trial(url, 4, ["getObjects"], first=True)
        assert "negative_data_rejection" in {each.partition(":")[0] for each in trial.complaints}


def test_an_app_without_the_blueprint_has_no_such_path() -> None:
    assert TaxiiHub().ask("/openapi.json").status_code == 404
