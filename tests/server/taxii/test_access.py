"""Authentication, authorisation and errors (conformance 3, 4 and 12.13)."""

import logging
from typing import Any

import pytest
from support.taxii_hub import GREEN, HIDDEN, INBOX, MT, SCRATCH, TaxiiHub, basic, indicator

from tocsin.admission import errors
from tocsin.admission.errors import ShareError
from tocsin.server.auth import AuthScheme
from tocsin.server.taxii import resources

OBJECT = indicator()["id"]
GUARDED = [
    ("GET", "/taxii2/"),
    ("GET", "/hub/"),
    ("GET", "/hub/collections/"),
    ("GET", "/hub/status/00000000-0000-4000-8000-000000000000/"),
    ("GET", "/hub/collections/green/"),
    ("GET", "/hub/collections/never-was/"),
    ("GET", "/hub/collections/green/manifest/"),
    ("GET", "/hub/collections/green/objects/"),
    ("HEAD", "/hub/collections/green/objects/"),
    ("OPTIONS", "/hub/collections/green/objects/"),
    ("POST", "/hub/collections/green/objects/"),
    ("PUT", "/hub/collections/green/objects/"),
    ("GET", f"/hub/collections/green/objects/{OBJECT}/"),
    ("DELETE", f"/hub/collections/green/objects/{OBJECT}/"),
    ("GET", f"/hub/collections/green/objects/{OBJECT}/versions/"),
    ("GET", "/hub/no/such/path/"),
    ("GET", "/taxii2/no/such/path"),
]


@pytest.fixture
def taxii() -> Any:
    taxii = TaxiiHub()
    taxii.feeds.add(GREEN.id, indicator())
    taxii.feeds.add(HIDDEN.id, indicator())
    return taxii


@pytest.mark.parametrize("header", [None, basic("acme", "wrong"), "Bearer wrong", "Nonsense"])
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_3_3_without_a_valid_credential_every_path_challenges(
    taxii: Any, method: Any, path: Any, header: Any
) -> None:
    answer = taxii.ask(path, method=method, by=None, headers={"Authorization": header})
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, MT)
    assert answer.headers.getlist("WWW-Authenticate") == [
        'Basic realm="Tocsin", charset="UTF-8"',
        'Bearer realm="Tocsin"',
    ]
    assert method == "HEAD" or answer.json["title"] == "Unauthorized"


def test_3_3_a_disabled_account_is_challenged(taxii: Any) -> None:
    account = taxii.account("gone", "acme", {GREEN}, set())
    object.__setattr__(account, "disabled", True)
    assert taxii.ask("/hub/", by="gone").status_code == 401


@pytest.mark.parametrize(
    "header", ["Bearer acme-robot-key", "Token acme-robot-key", basic("acme", "acme-robot-key")]
)
def test_3_2_each_scheme_authenticates(taxii: Any, header: Any) -> None:
    assert taxii.ask("/hub/", by=None, headers={"Authorization": header}).status_code == 200


def test_3_2_a_disabled_scheme_is_neither_accepted_nor_named() -> None:
    taxii = TaxiiHub(schemes=frozenset({AuthScheme.BEARER}))
    answer = taxii.ask("/hub/")
    assert answer.status_code == 401
    assert answer.headers.getlist("WWW-Authenticate") == ['Bearer realm="Tocsin"']
    bearer = {"Authorization": "Bearer acme-robot-key"}
    assert taxii.ask("/hub/", by=None, headers=bearer).status_code == 200


def test_6_8_public_discovery_needs_no_credential_but_refuses_a_wrong_one() -> None:
    taxii = TaxiiHub(public_discovery=True)
    assert taxii.ask("/taxii2/", by=None).json["api_roots"] == ["/hub/"]
    assert taxii.ask("/hub/", by=None).status_code == 401
    wrong = {"Authorization": "Bearer wrong"}
    assert taxii.ask("/taxii2/", by=None, headers=wrong).status_code == 401


@pytest.mark.parametrize(
    "tail", ["manifest/", "objects/", f"objects/{OBJECT}/", f"objects/{OBJECT}/versions/"]
)
def test_3_6_reading_without_the_right_is_403_if_visible_else_404(taxii: Any, tail: str) -> None:
    assert taxii.get(f"inbox/{tail}").status_code == 403
    assert taxii.get(f"hidden/{tail}").status_code == 404


def test_3_7_writing_without_the_right_is_refused_before_the_body_is_read(taxii: Any) -> None:
    assert taxii.post("green", b"{bad").status_code == 403
    assert taxii.post("hidden", b"{bad").status_code == 404


@pytest.mark.parametrize(
    ("reads", "writes", "status"),
    [(set(), set(), 404), ({SCRATCH}, set(), 403), (set(), {SCRATCH}, 403)],
)
def test_3_8_the_status_of_delete_for_each_combination_of_rights(
    taxii: Any, reads: Any, writes: Any, status: int
) -> None:
    taxii.feeds.add(SCRATCH.id, indicator())
    taxii.account("other", "other", reads, writes)
    answer = taxii.get(f"scratch/objects/{OBJECT}/", method="DELETE", by="other")
    assert answer.status_code == status
    assert taxii.feeds.knows(SCRATCH.id, OBJECT)


@pytest.mark.parametrize(
    "tail", ["", "manifest/", "objects/", f"objects/{OBJECT}/", f"objects/{OBJECT}/versions/"]
)
@pytest.mark.parametrize("name", ["hidden", HIDDEN.id])
def test_3_10_a_hidden_collection_looks_like_an_unknown_one(
    taxii: Any, name: Any, tail: str
) -> None:
    hidden, unknown = taxii.get(f"{name}/{tail}"), taxii.get(f"never-was/{tail}")
    assert (hidden.status_code, hidden.data) == (unknown.status_code, unknown.data)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_3_10_a_hidden_collection_looks_unknown_to_other_methods_too(
    taxii: Any, method: str
) -> None:
    tail, more = "objects/", {"method": method, "data": b"{", "headers": {"Content-Type": MT}}
    hidden, unknown = taxii.get(f"hidden/{tail}", **more), taxii.get(f"never-was/{tail}", **more)
    assert (hidden.status_code, hidden.data) == (unknown.status_code, unknown.data)


def test_3_12_a_page_token_grants_no_rights(taxii: Any) -> None:
    taxii.feeds.add(GREEN.id, indicator(2))
    next = taxii.get("green/objects/?limit=1").json["next"]
    assert taxii.get(f"green/objects/?next={next}").status_code == 200
    assert taxii.get(f"green/objects/?next={next}", by="blind").status_code == 404


def test_3_13_a_status_is_readable_by_its_submitter_only(taxii: Any) -> None:
    taxii.account("colleague", "acme", set(), set())
    id = taxii.post("inbox", {"objects": [indicator()]}).json["id"]
    answers = {
        by: taxii.ask(f"/hub/status/{id}/", by=by) for by in ("colleague", "operator", "blind")
    }
    assert [answer.status_code for answer in answers.values()] == [200, 200, 404]
    unknown = taxii.ask("/hub/status/00000000-0000-4000-8000-000000000000/")
    assert answers["blind"].data == unknown.data


GOOD = {"Accept": MT, "Content-Type": MT}
BAD_ACCEPT = {"Accept": "text/html"}
BAD_TYPE = {"Content-Type": "text/plain"}
LONG, BROKEN, BARE = b"x" * 3000, b"{bad", b"{}"


@pytest.mark.parametrize(
    ("by", "name", "headers", "body", "status"),
    [
        ("stranger", "never-was", {}, BROKEN, 401),
        ("acme-robot", "never-was", BAD_ACCEPT, BROKEN, 404),
        ("acme-robot", "green", BAD_ACCEPT, BROKEN, 403),
        ("acme-robot", "scratch", BAD_ACCEPT | BAD_TYPE, LONG, 406),
        ("acme-robot", "scratch", BAD_TYPE, LONG, 415),
        ("acme-robot", "scratch", {}, LONG, 413),
        ("acme-robot", "scratch", {}, BROKEN, 400),
        ("acme-robot", "scratch", {}, BARE, 422),
    ],
)
def test_12_13_checks_are_made_in_a_fixed_order(
    by: str, name: str, headers: Any, body: Any, status: int
) -> None:
    taxii = TaxiiHub(max_content_length=2000)
    answer = taxii.post(name, body, by=by, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/hub/nowhere/", 404),
        ("/hub//collections/", 404),
        ("/other-root/", 404),
        ("/", 404),
        ("/hub/collections/not-a-uuid/", 404),
        ("/hub/collections/%00%0a/", 404),
        ("/hub/status/foo/", 404),
        ("/hub/collections/green/objects/garbage/", 404),
        ("/hub/collections/green/objects/?limit=0", 400),
    ],
)
def test_4_5_every_error_is_a_taxii_error(taxii: Any, path: str, status: int) -> None:
    answer = taxii.ask(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, MT)
    assert answer.json["http_status"] == str(status)
    assert set(answer.json) <= {"title", "description", "http_status"}
    assert all(isinstance(value, str) for value in answer.json.values())


def test_4_5_a_500_carries_only_an_error_id(taxii: Any, caplog: pytest.LogCaptureFixture) -> None:
    taxii.intake.failing = ZeroDivisionError("secret detail")
    answer = taxii.post("scratch", {"objects": [indicator()]})
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, MT)
    assert set(answer.json) == {"title", "http_status", "error_id"}
    assert answer.json["error_id"] in caplog.text
    assert "secret detail" in caplog.text


def test_an_outage_is_503_with_retry_after(taxii: Any) -> None:
    taxii.intake.failing = errors.Unavailable("the database is away")
    answer = taxii.post("scratch", {"objects": [indicator()]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_an_outage_that_the_store_knows_is_no_bug(taxii: Any) -> None:
    taxii.intake.failing = ConnectionError("reset")
    answer = taxii.post("scratch", {"objects": [indicator()]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "reset" not in answer.text


class TestWithoutADatabase:
    @pytest.mark.parametrize("path", ["/taxii2/", "/hub/", "/hub/collections/green/objects/"])
    def test_nothing_is_looked_up_for_a_credential(self, taxii: Any, path: str) -> None:
        taxii.readiness.database = False
        answer = taxii.ask(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")

    def test_a_request_without_a_credential_gets_a_message_that_says_so(self, taxii: Any) -> None:
        taxii.readiness.database = False
        assert taxii.ask("/hub/", by=None).status_code == 401

    def test_public_discovery_is_answered(self) -> None:
        taxii = TaxiiHub(public_discovery=True)
        taxii.readiness.database = False
        assert taxii.ask("/taxii2/", by=None).status_code == 200


def test_without_room_a_post_is_refused_before_its_body_is_read(taxii: Any) -> None:
    taxii.readiness.room = False
    answer = taxii.post("scratch", b"{")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert taxii.get("scratch/objects/").status_code == 200


def test_4_each_kind_of_error_has_a_status() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, ShareError)]
    assert set(kinds) == set(resources.HTTP_STATUS)
    assert resources.http_status(errors.NotFound("x")) == 404


def test_other_paths_keep_their_own_answers(taxii: Any) -> None:
    def console() -> None:
        raise errors.NotFound("for the console's own handler")

    taxii.app.get("/console/")(console)

    assert taxii.ask("/console/nowhere").headers["Content-Type"].startswith("text/html")
    taxii.app.config["PROPAGATE_EXCEPTIONS"] = False
    assert taxii.ask("/console/").headers["Content-Type"].startswith("text/html")


def test_one_line_is_logged_per_request(taxii: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tocsin.server.taxii")
    answer = taxii.get("green/objects/")
    (line,) = caplog.messages
    assert "account=acme-robot GET /hub/collections/green/objects/ collection=green" in line
    assert f"request={answer.headers['X-Request-Id']} " in line
    assert " status=200 objects=1 ms=" in line


@pytest.mark.parametrize("page", ["", "versions/"])
def test_the_log_does_not_say_which_object_was_looked_up(
    taxii: Any, caplog: pytest.LogCaptureFixture, page: str
) -> None:
    caplog.set_level(logging.INFO, "tocsin.server.taxii")
    taxii.get(f"green/objects/indicator--0f1e8b7c-2d7e-4f0b-9a52-1c3d5e7f9a0b/{page}")
    (line,) = caplog.messages
    assert f" GET /hub/collections/green/objects/-/{page} " in line and "indicator--" not in line


@pytest.mark.parametrize("path", ["green/objects//{}/", "green/{}/", "{}/"])
def test_the_log_does_not_say_so_of_a_path_that_does_not_exist_either(
    taxii: Any, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO, "tocsin.server.taxii")
    taxii.get(path.format("indicator--0f1e8b7c-2d7e-4f0b-9a52-1c3d5e7f9a0b"))
    (line,) = caplog.messages
    assert " status=404 " in line and "indicator--" not in line


def test_clients_cannot_inject_lines_into_the_log(
    taxii: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tocsin.server.taxii")
    taxii.ask("/hub/x%0d%0aERROR%20forged/" + "y" * 500)
    (line,) = caplog.messages
    assert "\n" not in line and "ERROR forged" not in line and len(line) < 400


def test_no_credential_reaches_the_log(taxii: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    taxii.ask("/hub/")
    taxii.ask("/hub/", by=None, headers={"Authorization": "Bearer wrong-secret"})
    assert "robot-key" not in caplog.text and "wrong-secret" not in caplog.text


def test_visible_collections_differ_by_account(taxii: Any) -> None:
    listed = {
        by: [c["id"] for c in taxii.ask("/hub/collections/", by=by).json.get("collections", [])]
        for by in ("acme-robot", "operator", "blind")
    }
    assert listed["acme-robot"] == [GREEN.id, SCRATCH.id, INBOX.id]
    assert listed["operator"] == [GREEN.id, SCRATCH.id, INBOX.id, HIDDEN.id]
    assert listed["blind"] == []
