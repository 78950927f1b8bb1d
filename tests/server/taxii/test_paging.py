"""Walking a feed page by page (TAXII 2.1 sections 3.4 and 3.5; conformance 17)."""

from typing import Any

import pytest
from support.taxii_hub import GREEN, SCRATCH, TaxiiHub, ids, indicator, objects, stamp

ONE = indicator(1)["id"]


LAST = "X-TAXII-Date-Added-Last"


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 9, 1000, 10**30])
@pytest.mark.parametrize("tail", ["objects/", "manifest/"])
def test_17_1_a_walk_by_next_meets_each_once_in_order(taxii: Any, tail: str, limit: int) -> None:
    seen, next = [], ""
    while True:
        answer = taxii.get(f"green/{tail}?limit={limit}{next}")
        assert len(ids(answer)) <= limit
        seen += ids(answer)
        if not answer.json["more"]:
            break
        next = f"&next={answer.json['next']}"
    assert seen == [2, 3, 4, 5, 6, 7, 1, 9]
    assert "next" not in answer.json


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_17_8_a_walk_by_date_alone_loses_nothing(taxii: Any, limit: int) -> None:
    seen: list[Any] = []
    after: str | None = "2000-01-01T00:00:00Z"
    while after:
        answer = objects(taxii, f"?limit={limit}&added_after={after}")
        seen += ids(answer)
        after = answer.headers[LAST] if answer.json["more"] else None
    assert seen == [2, 3, 4, 5, 6, 7, 1, 9]


def test_17_4_a_limit_over_the_cap_is_capped() -> None:
    taxii = TaxiiHub(page_size=2, page_cap=3)
    taxii.feeds.add(GREEN.id, *(indicator(n) for n in range(5)))
    assert (len(ids(objects(taxii))), len(ids(objects(taxii, "?limit=1000000")))) == (2, 3)
    assert objects(taxii, "?limit=1000000").json["more"] is True


def test_17_10_the_same_next_gives_the_same_page(taxii: Any) -> None:
    next = objects(taxii, "?limit=3").json["next"]
    assert (
        objects(taxii, f"?limit=3&next={next}").data == objects(taxii, f"?limit=3&next={next}").data
    )


def test_17_6_limit_may_change_on_the_way(taxii: Any) -> None:
    next = objects(taxii, "?limit=2").json["next"]
    assert ids(objects(taxii, f"?limit=4&next={next}")) == [4, 5, 6, 7]
    assert ids(objects(taxii, f"?next={next}")) == [4, 5, 6, 7, 1, 9]


@pytest.mark.parametrize(
    "path",
    [
        "green/objects/?match[type]=indicator&",
        f"green/objects/?match[id]={ONE}&",
        "green/objects/?match[version]=all&",
        "green/objects/?match[version]=first,last&",
        "green/objects/?match[version]=2020-01-01T00:00:00Z&",
        "green/objects/?match[spec_version]=2.1&",
        "green/manifest/?",
        f"green/objects/{ONE}/?",
        f"green/objects/{ONE}/versions/?",
    ],
)
def test_17_7_a_cursor_of_another_walk_is_refused(taxii: Any, path: str) -> None:
    next = objects(taxii, "?limit=2").json["next"]
    assert taxii.get(f"{path}next={next}").status_code == 400


@pytest.mark.parametrize("tail", ["objects/?limit=2", "manifest/?limit=2"])
def test_a_cursor_of_another_collection_is_ignored_and_a_header_says_so(
    taxii: Any, tail: str
) -> None:
    taxii.feeds.add(SCRATCH.id, indicator(1))
    next = objects(taxii, "?limit=2").json["next"]
    first, answer = taxii.get(f"scratch/{tail}"), taxii.get(f"scratch/{tail}&next={next}")
    assert (answer.status_code, answer.data) == (200, first.data)
    assert answer.headers["X-Tocsin-Ignored-Next"] == "of another collection"
    assert answer.headers["ETag"] == first.headers["ETag"]
    assert "X-Tocsin-Ignored-Next" not in first.headers


def test_beside_a_cursor_of_another_collection_added_after_holds(taxii: Any) -> None:
    taxii.feeds.add(SCRATCH.id, indicator(1))
    next = objects(taxii, "?limit=2").json["next"]
    answer = taxii.get(f"scratch/objects/?next={next}&added_after={stamp(100)}")
    assert answer.json == {"more": False}
    assert answer.headers[LAST] == stamp(100)


def test_17_7_a_cursor_with_any_character_changed_is_refused(taxii: Any) -> None:
    next = objects(taxii, "?limit=2").json["next"]
    for place in range(len(next)):
        forged = next[:place] + ("A" if next[place] != "A" else "B") + next[place + 1 :]
        assert objects(taxii, f"?next={forged}").status_code == 400


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t + "=", lambda t: t[4:]]
)
def test_17_7_a_cursor_cut_or_lengthened_is_refused(taxii: Any, change: Any) -> None:
    next = objects(taxii, "?limit=2").json["next"]
    assert objects(taxii, f"?next={change(next)}").status_code == 400


def test_17_7_a_cursor_of_a_hub_with_another_key_is_refused(taxii: Any) -> None:
    other = TaxiiHub(feeds=taxii.feeds, page_token_key=b"other" * 8)
    next = objects(other, "?limit=2").json["next"]
    assert objects(taxii, f"?next={next}").status_code == 400


def test_17_11_a_cursor_outlives_the_process(taxii: Any) -> None:
    next = objects(taxii, "?limit=2").json["next"]
    restarted = TaxiiHub(feeds=taxii.feeds)
    assert ids(objects(restarted, f"?limit=1&next={next}")) == [4]


@pytest.mark.parametrize(
    ("then", "found"),
    [
        (f"&added_after={stamp(2)}", [5, 6, 7, 1, 9]),  # as when the walk began
        ("", [5, 6, 7, 1, 9]),  # some clients leave it out once they have next
        (f"&added_after={stamp(3)}", [5, 6, 7, 1, 9]),  # later, but passed already
        (f"&added_after={stamp(6)}", [7, 1, 9]),  # later: both hold
    ],
)
def test_17_16_next_and_added_after_both_hold(taxii: Any, then: str, found: Any) -> None:
    next = objects(taxii, f"?limit=2&added_after={stamp(2)}").json["next"]
    assert ids(objects(taxii, f"?next={next}{then}")) == found


def test_17_16_added_after_may_come_in_later_but_not_move_back(taxii: Any) -> None:
    next = objects(taxii, "?limit=2").json["next"]
    assert ids(objects(taxii, f"?next={next}&added_after={stamp(6)}")) == [7, 1, 9]
    next = objects(taxii, f"?limit=2&added_after={stamp(2)}").json["next"]
    assert objects(taxii, f"?next={next}&added_after={stamp(1)}").status_code == 400


def test_17_9_what_vanishes_between_pages_leaves_an_empty_last_page(taxii: Any) -> None:
    next = objects(taxii, "?limit=7").json["next"]
    taxii.feeds.logs[GREEN.id].pop()
    answer = objects(taxii, f"?next={next}")
    assert (answer.status_code, answer.json) == (200, {"more": False})
