"""Adding objects (TAXII 2.1 section 5.5; conformance 2.15, 7.5 and 12)."""

import io
import json
from typing import Any

import pytest
from support.chunked_posts import post_chunked
from support.taxii_hub import MT, SCRATCH, TaxiiHub, indicator

from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.server.taxii import resources


@pytest.fixture
def taxii() -> Any:
    return TaxiiHub(max_content_length=5000)


BUNDLE = {"type": "bundle", "id": "bundle--x", "objects": [indicator()]}


def test_12_1_a_post_is_accepted_with_its_status(taxii: Any) -> None:
    answer = taxii.post("scratch", {"objects": [indicator()]})
    assert (answer.status_code, answer.headers["Content-Type"]) == (202, MT)
    assert (answer.json["status"], answer.json["success_count"]) == ("complete", 1)


def test_12_2_a_duplicate_is_a_success_that_changes_nothing(taxii: Any) -> None:
    taxii.post("scratch", {"objects": [indicator()]})
    before = taxii.get("scratch/manifest/").json
    again = taxii.post("scratch", {"objects": [indicator()]})
    assert (again.status_code, again.json["success_count"]) == (202, 1)
    assert taxii.get("scratch/manifest/").json == before


def test_12_3_the_same_version_with_other_content_fails_alone(taxii: Any) -> None:
    taxii.post("scratch", {"objects": [indicator()]})
    other = taxii.post("scratch", {"objects": [indicator(name="other"), indicator(2)]}).json
    assert (other["failure_count"], other["success_count"]) == (1, 1)
    assert "other content" in other["failures"][0]["message"]


def test_12_7_one_bad_object_does_not_sink_the_others(taxii: Any) -> None:
    objects = [indicator(1), {"type": "indicator"}, 7, indicator(2)]
    status = taxii.post("scratch", {"objects": objects}).json
    assert (status["success_count"], status["failure_count"]) == (2, 2)


def test_11_5_objects_arrive_octet_for_octet() -> None:
    body = b'{"type": "x-acme",  "id":"x-acme--1", "n":1e400, "big":123456789012345678901}'
    assert resources.parse_envelope(b'{"objects":[' + body + b" , 5]}") == [body, b"5"]


def test_the_intake_is_given_the_body_as_received(taxii: Any) -> None:
    body = b' {"objects": [ {"type":"x","id":"x--1"} ], "x_acme_note": [1, 2]}\n'
    assert taxii.post("scratch", body).status_code == 202
    assert taxii.intake.received == [body]


def test_12_10_custom_properties_of_the_envelope_are_ignored(taxii: Any) -> None:
    status = taxii.post("scratch", {"objects": [indicator()], "x_a": {"b": []}, "more": False})
    assert (status.status_code, status.json["total_count"]) == (202, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{bad json",
        b'{"objects":[{"a":1,}]}',
        b'{"objects":[{"a":NaN}]}',
        b'{"objects":[{"a":-Infinity}]}',
        b'{"objects":[{"a":"\xff"}]}',
        b'\xef\xbb\xbf{"objects":[{}]}',
        '{"objects":[{}]}'.encode("utf-16"),
        b'{"objects":[{}],"objects":[{}]}',
        b'{"x_a":1,"objects":[{}],"x_a":1}',
        b'{"objects":[{}]} {}',
        b'{"objects":[' + b'{"a":' * 900,
        b"[" * 4000,
        b"[1",
        b"nothing",
    ],
)
def test_2_15_a_body_that_is_not_json_is_malformed(taxii: Any, body: Any) -> None:
    answer = taxii.post("scratch", body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, MT)
    assert answer.json["description"]
    assert taxii.intake.received == []


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_2_15_an_empty_body_is_said_to_be_empty(taxii: Any, body: bytes) -> None:
    answer = taxii.post("scratch", body)
    assert answer.status_code == 400
    assert answer.json["description"] == 'the body is empty: send {"objects": […]}'


def test_2_15_a_byte_order_mark_is_named(taxii: Any) -> None:
    body = b'\xef\xbb\xbf{"objects":[{}]}'
    assert "byte order mark" in taxii.post("scratch", body).json["description"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'"x"',
        b"7",
        b"null",
        b'{"objects":[]}',
        b'{"objects":{}}',
        b'{"objects":"x"}',
        b'{"objects":null}',
        b'{"x_objects":[{}]}',
        json.dumps(BUNDLE).encode(),
    ],
)
def test_12_5_json_that_is_not_an_envelope_is_422(taxii: Any, body: Any) -> None:
    answer = taxii.post("scratch", body)
    assert (answer.status_code, answer.json["http_status"]) == (422, "422")
    assert taxii.intake.received == []


def test_12_5_the_error_for_a_bundle_says_what_to_send(taxii: Any) -> None:
    assert "bundle is not an envelope" in taxii.post("scratch", BUNDLE).json["description"]


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: e["Event"]], ids=["wrapped", "bare"])
def test_12_5_the_error_for_an_event_of_misp_names_the_command_that_sends_it(
    taxii: Any, wrap: Any
) -> None:
    body = wrap({"Event": {"info": "x", "Attribute": []}})
    assert "with tocsin push" in taxii.post("scratch", body).json["description"]


def test_12_12_the_number_of_objects_is_limited() -> None:
    assert len(resources.parse_envelope(b'{"objects":[{"a":1},{"a":2}]}', 2)) == 2
    with pytest.raises(Unprocessable, match="more than 2 objects"):
        resources.parse_envelope(b'{"objects":[{"a":1},{"a":2},{"a":3}]}', 2)


def test_12_12_too_many_values_are_refused_before_decoding() -> None:
    with pytest.raises(Unprocessable, match="more values"):
        resources.parse_envelope(b'{"objects":[' + b"0," * 1_000_000 + b"0]}")


@pytest.mark.parametrize("depth", [20_000, 1_000_000])  # less is for admission to refuse
def test_12_12_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(Malformed, match="deeply"):
        resources.parse_envelope(b'{"objects":[' + b'{"a":' * depth + b"1" + b"}" * depth + b"]}")


SURPLUS = [(-1, 202), (0, 202), (1, 413)]


def padded(length: Any) -> Any:
    body = json.dumps({"objects": [indicator()]}).encode()
    return body + b" " * (length - len(body))


@pytest.mark.parametrize(("surplus", "status"), SURPLUS)
def test_7_5_a_body_may_have_max_content_length_octets_and_no_more(
    taxii: Any, surplus: Any, status: Any
) -> None:
    answer = taxii.post("scratch", padded(5000 + surplus))
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, MT)


@pytest.mark.parametrize(("surplus", "status"), SURPLUS)
def test_7_6_the_length_of_a_chunked_body_is_limited(taxii: Any, surplus: Any, status: Any) -> None:
    answer = post_chunked(taxii, "scratch", io.BytesIO(padded(5000 + surplus)))
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, MT)


class Endless(io.RawIOBase):
    given = 0

    def readinto(self, buffer: Any) -> Any:
        self.given += len(buffer)
        buffer[:] = b" " * len(buffer)
        return len(buffer)


@pytest.mark.parametrize(("name", "status"), [("scratch", 413), ("green", 403)])
def test_7_6_a_body_with_a_too_large_content_length_is_not_read(
    taxii: Any, name: str, status: int
) -> None:
    body = Endless()
    answer = post_chunked(taxii, name, body, CONTENT_LENGTH="5001")
    assert answer.status_code == status
    assert answer.json["description"] and body.given == 0


@pytest.mark.parametrize(("name", "status"), [("scratch", 413), ("green", 403)])
def test_7_6_an_endless_body_is_read_up_to_the_limit_only(
    taxii: Any, name: str, status: int
) -> None:
    body = Endless()
    answer = post_chunked(taxii, name, body)
    assert answer.status_code == status
    assert body.given < 300_000


class Broken(io.RawIOBase):
    def readinto(self, buffer: Any) -> None:
        raise ValueError("Bad chunked transfer size")


def test_an_incomplete_body_is_malformed(taxii: Any) -> None:
    answer = post_chunked(taxii, "scratch", Broken())
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, MT)


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("scratch", {"Authorization": "Bearer wrong"}, 401),
        ("green", {}, 403),
        ("nowhere", {}, 404),
        ("scratch", {"Content-Type": "text/plain"}, 415),
        ("scratch", {"Content-Encoding": "br"}, 415),
    ],
)
def test_a_request_that_its_head_refuses_is_answered_without_reading_its_body(
    taxii: Any, name: str, headers: dict[str, str], status: int
) -> None:
    body = Endless()
    environ = {"wsgi.input": body, "wsgi.input_terminated": True}
    more = {"environ_overrides": environ, "headers": {"Content-Type": MT, **headers}}
    answer = taxii.get(f"{name}/objects/", method="POST", **more)
    assert (answer.status_code, body.given) == (status, 0)


def test_12_12_a_refused_body_leaves_the_collection_readable(taxii: Any) -> None:
    taxii.post("scratch", b'{"objects":[{"a":' + b"[" * 3000)
    assert taxii.get("scratch/objects/").status_code == 200
    assert SCRATCH.id not in taxii.feeds.logs
