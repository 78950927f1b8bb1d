"""Asking again for what one has already: tags and 304 (RFC 9110 sections 8.8.3 and 13.1.2)."""

from typing import Any

import pytest
from support.hub import HubInProcess
from support.hub import indicator as sent
from support.taxii_hub import GREEN, SCRATCH, TaxiiHub, indicator

from tocsin.server.store import Store

ONE = indicator(1)["id"]
PAGES = ["objects/", "manifest/", f"objects/{ONE}/", f"objects/{ONE}/versions/"]
RESOURCES = ["/taxii2/", "/hub/", "/hub/collections/", "/hub/collections/green/"]


def get_if_changed(taxii: Any, path: Any, tag: Any, **more: Any) -> Any:
    return taxii.get(path, headers={"If-None-Match": tag}, **more)


def tag(taxii: Any, path: Any, **more: Any) -> Any:
    answer = taxii.get(path, **more)
    assert answer.status_code == 200
    return answer.headers["ETag"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_reader_that_has_the_page_gets_304_without_a_body(
    taxii: Any, path: Any, method: str
) -> None:
    had = tag(taxii, f"green/{path}")
    answer = get_if_changed(taxii, f"green/{path}", had, method=method)
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", had)
    assert "Content-Type" not in answer.headers and "Content-Length" not in answer.headers
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", RESOURCES)
def test_resources_have_tags_too(taxii: Any, path: Any) -> None:
    had = taxii.ask(path).headers["ETag"]
    assert taxii.ask(path, headers={"If-None-Match": had}).status_code == 304


def test_an_idle_poll_reads_one_head_and_no_page(taxii: Any) -> None:
    had = tag(taxii, "green/objects/")
    taxii.feeds.pages = taxii.feeds.heads = 0
    assert get_if_changed(taxii, "green/objects/", had).status_code == 304
    assert (taxii.feeds.heads, taxii.feeds.pages) == (1, 0)


@pytest.mark.parametrize("tail", ["objects/", "manifest/"])
def test_a_reader_at_the_end_costs_one_head_even_without_a_tag(taxii: Any, tail: str) -> None:
    last = taxii.get(f"green/{tail}").headers["X-TAXII-Date-Added-Last"]
    taxii.feeds.pages = taxii.feeds.heads = 0
    answer = taxii.get(f"green/{tail}?added_after={last}")
    assert (answer.status_code, answer.headers["X-TAXII-Date-Added-Last"]) == (200, last)
    assert (taxii.feeds.heads, taxii.feeds.pages) == (1, 0)


def test_a_forged_next_is_malformed_even_with_if_none_match_star(taxii: Any) -> None:
    assert get_if_changed(taxii, "green/objects/?next=x", "*").status_code == 400


def test_tags_are_strong(taxii: Any) -> None:
    assert tag(taxii, "green/objects/").startswith('"')


@pytest.mark.parametrize("given", ['W/{}, "x"', '"x", {}', "*"])
def test_if_none_match_is_a_list_compared_weakly(taxii: Any, given: str) -> None:
    listed = given.format(tag(taxii, "green/objects/"))
    assert get_if_changed(taxii, "green/objects/", listed).status_code == 304


@pytest.mark.parametrize("given", ['"x"', "", "nonsense", '"'])
def test_a_tag_that_does_not_match_gets_the_page(taxii: Any, given: str) -> None:
    answer = get_if_changed(taxii, "green/objects/", given)
    assert answer.status_code == 200 and answer.json["objects"]


def test_an_added_object_changes_the_tag(taxii: Any) -> None:
    had = tag(taxii, "green/objects/")
    taxii.feeds.add(GREEN.id, indicator(50))
    assert get_if_changed(taxii, "green/objects/", had).status_code == 200


def test_a_deleted_object_changes_the_tag(taxii: Any) -> None:
    taxii.feeds.add(SCRATCH.id, indicator(1), indicator(2))
    had = tag(taxii, "scratch/objects/")
    taxii.get(f"scratch/objects/{ONE}/", method="DELETE")
    assert get_if_changed(taxii, "scratch/objects/", had).status_code == 200


def test_a_write_to_another_feed_changes_no_tag(taxii: Any) -> None:
    had = tag(taxii, "green/objects/")
    taxii.feeds.add(SCRATCH.id, indicator(50))
    assert get_if_changed(taxii, "green/objects/", had).status_code == 304


QUERIES = [
    "objects/",
    "manifest/",
    "objects/?limit=3",
    "objects/?added_after=2020-01-01T00:00:00Z",
    "objects/?match[type]=indicator",
    "objects/?match[version]=all",
    f"objects/?match[id]={ONE}",
    "objects/?match[spec_version]=2.1",
    "objects/?match[x_unknown]=1",
    f"objects/{ONE}/",
    f"objects/{ONE}/versions/",
]


def test_each_query_has_its_own_tag(taxii: Any) -> None:
    assert len({tag(taxii, f"green/{query}") for query in QUERIES}) == len(QUERIES)


def test_each_page_has_its_own_tag(taxii: Any) -> None:
    first = taxii.get("green/objects/?limit=3")
    second = tag(taxii, f"green/objects/?limit=3&next={first.json['next']}")
    assert second != first.headers["ETag"]


def test_a_filter_may_list_its_values_in_any_order(taxii: Any) -> None:
    given = [
        f"green/objects/?match[type]={types}" for types in ("tool,indicator", "indicator,tool")
    ]
    assert tag(taxii, given[0]) == tag(taxii, given[1])


def test_other_rights_give_another_tag(taxii: Any) -> None:
    taxii.account("reader", "acme", {SCRATCH}, set())
    tags = [tag(taxii, "scratch/objects/", by=by) for by in ("acme-robot", "reader", "operator")]
    assert len(set(tags)) == 3


def test_an_account_that_lost_the_right_is_refused_despite_its_tag(taxii: Any) -> None:
    had = tag(taxii, "green/objects/")
    taxii.account("acme-robot", "acme", {SCRATCH}, {GREEN})
    assert get_if_changed(taxii, "green/objects/", had).status_code == 403


def test_a_deleted_object_is_404_even_with_if_none_match_star(taxii: Any) -> None:
    other = indicator(999)["id"]
    assert get_if_changed(taxii, f"green/objects/{other}/", "*").status_code == 404


def test_a_tag_reveals_nothing_without_the_hubs_key() -> None:
    tags = set()
    for key in (b"k" * 32, b"l" * 32):
        taxii = TaxiiHub(page_token_key=key)
        taxii.feeds.add(GREEN.id, indicator())
        tags.add(tag(taxii, "green/objects/"))
    assert len(tags) == 2


def test_a_page_that_changed_during_reading_does_not_get_the_earlier_tag(taxii: Any) -> None:
    plain = taxii.feeds.page

    def page(feed: Any, query: Any, *, bodies: Any = True) -> Any:
        taxii.feeds.page = plain
        taxii.feeds.add(GREEN.id, indicator(60))
        return plain(feed, query, bodies=bodies)

    before = tag(taxii, "green/objects/")
    taxii.feeds.page = page
    assert tag(taxii, "green/objects/") not in (before, tag(taxii, "green/objects/"))


class TestOnTheRealStore:
    @pytest.fixture
    def hub(self, store: Store) -> Any:
        return HubInProcess(store)

    def tag(self, hub: Any, path: Any) -> Any:
        return hub.ask(f"collections/scratch/{path}").headers["ETag"]

    @pytest.mark.parametrize("path", ["objects/", "manifest/"])
    def test_only_additions_and_deletions_change_the_tag(self, hub: Any, path: str) -> None:
        one, two = sent("a.top"), sent("b.top")
        hub.push(one, to="scratch")
        first = self.tag(hub, path)
        hub.push(one, to="scratch")  # known already
        assert self.tag(hub, path) == first
        hub.push(two, to="scratch")
        second = self.tag(hub, path)
        hub.ask(f"collections/scratch/objects/{two['id']}/", method="DELETE")
        assert len({first, second, self.tag(hub, path)}) == 3
