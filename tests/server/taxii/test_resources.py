"""Discovery, API root, status and collections (conformance 5 to 9)."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.taxii_hub import GREEN, INBOX, MT, TaxiiHub, finding, indicator

from tocsin.server.model import Record
from tocsin.server.taxii import resources
from tocsin.server.taxii.protocols import TaxiiSettings

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SIX_DECIMALS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
STIX_ID = re.compile(r"[a-z0-9-]+--[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def taxii() -> Any:
    return TaxiiHub()


def follow(taxii: Any, *records: Any, collection: Any = INBOX) -> Any:
    """The status resource of a submission that stands as its records say."""
    sent = taxii.statuses.add(taxii.acme, collection, list(records))
    return taxii.ask(f"/hub/status/{sent.id}/").json


def test_6_discovery_tells_title_contact_and_the_root(taxii: Any) -> None:
    assert taxii.ask("/taxii2/").json == {
        "title": "Tocsin",
        "contact": "ops@hub.example",
        "default": "/hub/",
        "api_roots": ["/hub/"],
    }


def test_6_2_the_root_that_discovery_names_answers(taxii: Any) -> None:
    assert taxii.ask(taxii.ask("/taxii2/").json["default"]).status_code == 200


def test_7_2_the_api_root_tells_versions_and_length(taxii: Any) -> None:
    content = taxii.ask("/hub/").json
    assert content == {
        "title": "Tocsin",
        "versions": [MT],
        "max_content_length": 10 * 1024 * 1024,
        "x_tocsin_date_added": "unique",
    }


@pytest.mark.parametrize(
    "wrong",
    [{"max_content_length": 0}, {"page_size": 0}, {"page_cap": -1}, {"page_token_key": b"short"}],
)
def test_7_4_limits_that_cannot_be_kept_stop_the_start(wrong: Any) -> None:
    with pytest.raises(ValueError, match="greater than zero|octets"):
        TaxiiSettings(**({"title": "t", "page_token_key": b"k" * 32} | wrong))


def test_9_1_without_collections_the_key_is_left_out(taxii: Any) -> None:
    assert taxii.ask("/hub/collections/", by="blind").json == {}


def test_9_2_collections_come_by_ascending_id_every_time(taxii: Any) -> None:
    content = [c["id"] for c in taxii.ask("/hub/collections/").json["collections"]]
    taxii.feeds.known.reverse()
    again = [c["id"] for c in taxii.ask("/hub/collections/").json["collections"]]
    assert content == again == sorted(content)


def test_9_4_rights_are_those_of_the_account_that_asks(taxii: Any) -> None:
    def flags(by: Any) -> Any:
        content = taxii.ask("/hub/collections/", by=by).json["collections"]
        return {c["alias"]: (c["can_read"], c["can_write"]) for c in content}

    assert flags("acme-robot") == {
        "green": (True, False),
        "scratch": (True, True),
        "inbox": (False, True),
    }
    assert flags("operator")["inbox"] == (False, False)


def test_9_6_alias_and_id_name_the_same_collection(taxii: Any) -> None:
    by_alias, by_id = taxii.get("green/"), taxii.get(f"{GREEN.id}/")
    assert by_alias.json == by_id.json
    assert (by_alias.json["id"], by_alias.json["alias"]) == (GREEN.id, "green")
    assert "description" not in by_alias.json


def test_9_6_a_cursor_from_the_alias_serves_the_id(taxii: Any) -> None:
    taxii.feeds.add(GREEN.id, indicator(1), indicator(2))
    next = taxii.get("green/objects/?limit=1").json["next"]
    assert taxii.get(f"{GREEN.id}/objects/?limit=1&next={next}").status_code == 200


SETTLED = (
    Record(0, "admitted", "indicator--a", "2020-01-01T00:00:00Z", "indicator--p"),
    Record(1, "merged", "indicator--b", "2020-01-01T00:00:00Z", "indicator--q"),
    Record(2, "duplicate", "indicator--c", "2020-01-01T00:00:00Z"),
    Record(3, "refused", findings=(finding("refused", "it has no id"),)),
)
HELD = Record(4, "held", "indicator--d", "2020", findings=(finding("held", "marked TLP:RED"),))


def test_8_1_a_settled_status_is_complete_and_counts_every_record(taxii: Any) -> None:
    content = follow(taxii, *SETTLED)
    assert UUID4.fullmatch(content["id"])
    assert SIX_DECIMALS.fullmatch(content["request_timestamp"])
    assert content["status"] == "complete"
    counts = [content[f"{name}_count"] for name in ("total", "success", "failure", "pending")]
    assert counts == [4, 3, 1, 0]
    assert content["x_tocsin_counts"] == {"admitted": 1, "merged": 1, "duplicate": 1, "refused": 1}
    assert content["x_tocsin_settled"] is True


def test_8_3_what_is_held_is_pending_though_settled(taxii: Any) -> None:
    content = follow(taxii, *SETTLED, HELD)
    assert (content["status"], content["pending_count"], content["x_tocsin_settled"]) == (
        "pending",
        1,
        True,
    )
    assert content["pendings"][0]["message"] == "waits for a reviewer: marked TLP:RED"


def test_8_3_what_nobody_looked_at_yet_is_pending_and_unsettled(taxii: Any) -> None:
    content = follow(taxii, *SETTLED, Record(4, "pending"))
    assert (content["status"], content["x_tocsin_settled"]) == ("pending", False)
    assert content["x_tocsin_counts"]["pending"] == 1


def test_8_3_records_that_are_not_there_yet_count_as_pending(taxii: Any) -> None:
    sent = taxii.statuses.add(taxii.acme, INBOX, [Record(0, "pending"), Record(1, "pending")])
    content = resources.format_status(sent, [])
    assert (content["total_count"], content["pending_count"], content["status"]) == (
        2,
        2,
        "pending",
    )
    assert "pendings" not in content


def test_8_4_a_status_is_not_complete_before_its_submission_is(taxii: Any) -> None:
    sent = taxii.statuses.add(taxii.acme, INBOX, [Record(0, "pending")])
    assert resources.format_status(sent, [SETTLED[0]])["status"] == "pending"


def test_8_5_lists_are_left_out_when_empty(taxii: Any) -> None:
    content = follow(taxii, SETTLED[0])
    assert "successes" in content and not {"failures", "pendings"} & content.keys()


def test_8_6_every_entry_has_id_version_and_what_became_of_it(taxii: Any) -> None:
    content = follow(taxii, *SETTLED, HELD)
    entries = content["successes"] + content["failures"] + content["pendings"]
    assert all(entry["id"] and entry["version"] and entry["message"] for entry in entries)
    assert [entry["x_tocsin_index"] for entry in entries] == [0, 1, 2, 3, 4]
    assert content["successes"][0]["x_tocsin_public_id"] == "indicator--p"
    [index] = content["failures"][0]["x_tocsin_finding_indexes"]
    assert content["x_tocsin_findings"][index] == finding("refused", "it has no id")
    assert "x_tocsin_finding_indexes" not in content["successes"][0]
    assert "x_tocsin_public_id" not in content["failures"][0]


def test_8_6_an_object_without_an_id_goes_by_its_place(taxii: Any) -> None:
    entry = follow(taxii, *SETTLED)["failures"][0]
    assert entry["id"] == "record--00000000-0000-4000-8000-000000000003"
    assert STIX_ID.fullmatch(entry["id"])
    assert entry["message"] == "refused: it has no id"


@pytest.mark.parametrize(
    "id", ["8", "indicator--1", "a--00000000-0000-4000-8000-000000000000", "x\n", "\ud7ff" * 300]
)
def test_8_6_a_text_that_is_not_a_stix_id_is_not_returned_as_one(taxii: Any, id: str) -> None:
    (entry,) = follow(taxii, Record(5, "refused", id, findings=(finding("refused", "so"),)))[
        "failures"
    ]
    assert entry["id"] == "record--00000000-0000-4000-8000-000000000005"


@pytest.mark.parametrize("version", ["soon", "2020", "2020-13-01T00:00:00Z", "1\n"])
def test_8_7_a_text_that_is_not_a_timestamp_is_not_returned_as_a_version(
    taxii: Any, version: str
) -> None:
    content = follow(taxii, Record(0, "refused", indicator()["id"], version))
    (entry,) = content["failures"]
    assert entry["id"] == indicator()["id"]
    assert entry["version"] == content["request_timestamp"]


def test_8_7_an_object_without_a_version_has_the_time_of_receipt(taxii: Any) -> None:
    content = follow(taxii, *SETTLED)
    assert content["failures"][0]["version"] == content["request_timestamp"]


def test_8_7_a_version_is_returned_as_it_was_sent(taxii: Any) -> None:
    assert follow(taxii, *SETTLED)["successes"][0]["version"] == "2020-01-01T00:00:00Z"


def test_a_message_names_what_was_done_and_stays_short(taxii: Any) -> None:
    many = tuple(finding("stripped", f"took out {n}") for n in range(200))
    noted = finding("repaired", "spelling")
    content = follow(taxii, Record(0, "admitted", "indicator--a", "2020", findings=(noted, *many)))
    message = content["successes"][0]["message"]
    assert message.startswith("published: took out 0; took out 1")
    assert "spelling" not in message and len(message) <= 500


@pytest.mark.parametrize("id", ["00000000-0000-4000-8000-000000000000", "foo", "%00", "a" * 300])
def test_8_9_an_unknown_status_is_not_found(taxii: Any, id: str) -> None:
    assert taxii.ask(f"/hub/status/{id}/").status_code == 404


def test_the_status_of_a_post_is_the_one_that_is_polled(taxii: Any) -> None:
    posted = taxii.post("scratch", {"objects": [indicator(), {"type": "x"}]}).json
    assert taxii.ask(f"/hub/status/{posted['id']}/").json == posted


def walk(value: Any) -> Iterator[Any]:
    yield value
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from walk(inner)


@pytest.mark.parametrize("by", ["acme-robot", "operator", "blind"])
def test_5_4_no_list_is_empty_and_nothing_is_null(taxii: Any, by: str) -> None:
    content = [taxii.ask(path, by=by).json for path in ("/taxii2/", "/hub/", "/hub/collections/")]
    content += [taxii.get(f"scratch/{tail}/", by=by).json for tail in ("objects", "manifest")]
    assert not [value for value in walk(content) if value is None or value == []]
