"""The objects of a submission in a line."""

import json

from support.hub import Object, indicator, sdo

from tocsin.server.console.contents import MOST_OBJECTS, describe_contents


def body(*objects: Object) -> bytes:
    return json.dumps({"objects": objects}).encode()


def test_objects_are_counted_by_kind_the_most_frequent_first() -> None:
    hashes = [{**indicator(), "pattern": f"[file:hashes.'SHA-256' = '{n:064}']"} for n in range(2)]
    odd = {"type": "<script>", "id": "x"}
    found = describe_contents(body(sdo("malware", name="Bad", is_family=False), *hashes, odd))
    assert found.counts == "2 hashes, 1 malware, 1 other object"
    assert found.values[0] == "Bad" and len(found.values) == 3 and not found.has_more


def test_a_large_submission_shows_its_first_values_only() -> None:
    found = describe_contents(body(*(indicator(f"a{n}.top") for n in range(MOST_OBJECTS + 1))))
    assert (found.counts, found.values) == ("", ("a0.top", "a1.top", "a2.top")) and found.has_more


def test_what_is_no_object_is_counted_as_another() -> None:
    assert describe_contents(b'{"objects": [1, "x"]}').counts == "2 other objects"
