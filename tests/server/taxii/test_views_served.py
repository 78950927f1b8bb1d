"""Aggregates and snapshots as partners read them: whole hub, real store, real sockets."""

import hashlib
import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from support.hub import AMBER, CLEAR, GREEN, GREEN_1, HubInProcess, indicator, sdo
from support.schemathesis_trial import serve_on_socket
from taxii2client.v21 import Collection, as_pages

from tocsin.admission.model import Tlp
from tocsin.server.cli.collection import CollectionSpec, define_collection
from tocsin.server.model import Account, CollectionKind, Partner
from tocsin.server.model import Collection as Made
from tocsin.server.store import Store

LAST = "X-TAXII-Date-Added-Last"


@pytest.fixture(scope="module")
def hub(common_store: Store) -> Any:
    """A hub whose scratch and lab hold 40 indicators, ten of them in both.

    The operator's account may do all; `lone` reads nothing but the aggregate `both`.
    """
    hub: Any = HubInProcess(common_store)
    hub.store.feeds.add(Made(str(uuid.uuid4()), "lab", CollectionKind.VERBATIM, "Lab"))
    make(
        hub,
        "both",
        CollectionKind.AGGREGATE,
        CollectionSpec(("scratch", "lab"), types=frozenset({"indicator"}), max_tlp=Tlp.RED),
    )
    make(hub, "news", CollectionKind.AGGREGATE, CollectionSpec(("scratch", "lab"), max_tlp=Tlp.RED))
    make(hub, "open", CollectionKind.AGGREGATE, CollectionSpec(("scratch",), max_tlp=Tlp.GREEN))
    current = CollectionSpec(("scratch",), max_tlp=Tlp.RED, active=True)
    make(hub, "fresh", CollectionKind.AGGREGATE, current)
    hub.store.accounts.add_account(Account("operator", "", operator=True))
    hub.store.accounts.add_key("operator", hashlib.sha256(b"operator").hexdigest())
    hub.join(Partner("lone", "Lone"), ("both",))
    objects = indicators(40)
    for i, to in enumerate(("scratch", "lab", "scratch", "lab")):
        put(hub, objects[i * 10 : i * 10 + 10], to)
    put(hub, objects[:10], "lab")
    hub.sent = [each["id"] for each in objects]
    return hub


@pytest.fixture(scope="module")
def url(hub: Any) -> Iterator[Any]:
    """Where the hub is served."""
    with serve_on_socket(hub.client.application) as origin:
        yield f"{origin}/hub/"


def make(hub: Any, alias: Any, kind: Any, wish: Any) -> Any:
    """A view, added as the operator's command does."""
    new = define_collection(hub.store, Made(str(uuid.uuid4()), alias, kind, alias.title()), wish)
    hub.store.feeds.add(new)
    return new


def indicators(count: Any) -> Any:
    return [indicator(f"{uuid.uuid4().hex}.top") for _ in range(count)]


def put(hub: Any, objects: Any, to: Any) -> None:
    """Post to a verbatim collection as the operator."""
    status = hub.push(*objects, who="operator", to=to)
    assert status["failure_count"] == 0, status


def ask(hub: Any, path: Any, method: Any = "GET", who: Any = "operator", **headers: Any) -> Any:
    """A request below the collections."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return hub.ask(f"collections/{path}", who, method, headers=fields)


def page(hub: Any, name: Any, who: Any = "operator", **query: Any) -> Any:
    return hub.ask(f"collections/{name}/objects/", who, query_string=query)


def ids(answer: Any) -> Any:
    return [each["id"] for each in answer.json.get("objects", [])]


class TestReading:
    @pytest.mark.slow
    def test_taxii2_client_is_given_each_once_by_pages(self, hub: Any, url: Any) -> None:
        id = hub.collection("both").id
        both = Collection(f"{url}collections/{id}/", user="lone", password="lone")
        for ask_for in (both.get_objects, both.get_manifest):
            pages = [one["objects"] for one in as_pages(ask_for, per_request=7)]
            assert [each["id"] for one in pages for each in one] == hub.sent
            assert [len(one) for one in pages] == [7, 7, 7, 7, 7, 5]
        stamps = [each["date_added"] for each in pages[0]]
        assert stamps == sorted(set(stamps))

    @pytest.mark.slow
    def test_a_reader_by_date_receives_each_once(self, hub: Any) -> None:
        got, query = [], {"limit": 7}
        while found := ids(answer := page(hub, "both", **query)):
            got += found
            query["added_after"] = answer.headers[LAST]
        assert got == hub.sent

    def test_filters_and_single_objects_work_as_elsewhere(self, hub: Any) -> None:
        one, none = hub.sent[3], "indicator--00000000-0000-4000-8000-000000000000"
        assert ids(page(hub, "both", **{"match[id]": one})) == [one]
        assert ids(page(hub, "both", **{"match[type]": "malware"})) == []
        assert ids(ask(hub, f"both/objects/{one}/")) == [one]
        assert len(ask(hub, f"both/objects/{one}/versions/").json["versions"]) == 1
        assert ask(hub, f"both/objects/{none}/").status_code == 404

    @pytest.mark.slow
    def test_optional_filters_work_as_elsewhere_and_a_page_is_bound_to_them(self, hub: Any) -> None:
        marks = (AMBER, GREEN, AMBER)
        tools = [sdo("tool", name="Of both", object_marking_refs=[mark]) for mark in marks]
        put(hub, tools[:2], "scratch")
        put(hub, tools[2:], "lab")
        amber = {"match[name]": "Of both", "match[tlp]": "amber"}
        green = {"match[name]": "Of both", "match[tlp]": "green"}
        first = page(hub, "news", limit=1, **amber)
        token = first.json["next"]
        assert ids(first) == [tools[0]["id"]]
        assert ids(page(hub, "news", limit=1, next=token, **amber)) == [tools[2]["id"]]
        assert ids(page(hub, "news", **green)) == [tools[1]["id"]]
        assert page(hub, "news", limit=1, next=token, **green).status_code == 400
        assert page(hub, "news", limit=1, **green).headers["ETag"] != first.headers["ETag"]

    def test_a_page_that_the_reader_has_is_not_sent_again(self, hub: Any) -> None:
        tag = page(hub, "both", limit=7).headers["ETag"]
        assert ask(hub, "both/objects/?limit=7", If_None_Match=tag).status_code == 304
        assert ask(hub, "both/objects/?limit=7", "HEAD").headers["ETag"] == tag

    @pytest.mark.slow
    def test_news_in_any_source_end_a_wait_and_change_the_tag(self, hub: Any) -> None:
        before = page(hub, "news", limit=1000)
        path = f"news/objects/?added_after={before.headers[LAST]}"
        malware = sdo("malware", name="M", is_family=False)
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(ask, hub, path, Prefer="wait=50")
            time.sleep(0.5)
            began = time.monotonic()
            put(hub, [malware], "lab")
            assert ids(answer.result()) == [malware["id"]]
        assert answer.result().headers["Preference-Applied"] == "wait=50"
        assert time.monotonic() - began < 40
        assert page(hub, "news", limit=1000).headers["ETag"] != before.headers["ETag"]


class TestLevels:
    def test_an_object_counts_as_what_it_is_marked_with(self, hub: Any) -> None:
        part = [{"marking_ref": AMBER, "selectors": ["pattern"]}]
        stranger = "marking-definition--" + str(uuid.uuid4())
        marks: dict[str, dict[str, Any]] = {
            "clear": {"object_marking_refs": [CLEAR]},
            "green of TLP 1": {"object_marking_refs": [GREEN_1]},
            "amber": {"object_marking_refs": [AMBER]},
            "clear and amber": {"object_marking_refs": [CLEAR, AMBER]},
            "amber in part": {"object_marking_refs": [GREEN], "granular_markings": part},
            "unmarked": {"object_marking_refs": []},
            "green and what is not known": {"object_marking_refs": [GREEN, stranger]},
        }
        objects = {name: sdo("tool", name=name, **mark) for name, mark in marks.items()}
        put(hub, objects.values(), "scratch")
        shown = ids(page(hub, "open", limit=1000))
        seen = [name for name, each in objects.items() if each["id"] in shown]
        assert seen == ["clear", "green of TLP 1"]
        assert ask(hub, f"open/objects/{objects['amber']['id']}/").status_code == 404

    def test_feeds_are_gathered_by_the_level_that_admission_found(self, hub: Any) -> None:
        make(
            hub,
            "public",
            CollectionKind.AGGREGATE,
            CollectionSpec(("amber", "green", "clear"), max_tlp=Tlp.GREEN),
        )
        marks = (CLEAR, GREEN, AMBER)
        hub.push(*(indicator(f"{i}.top", object_marking_refs=[m]) for i, m in enumerate(marks)))
        found = page(hub, "public", limit=1000).json["objects"]
        patterns = [each["pattern"] for each in found if each["type"] == "indicator"]
        assert patterns == [f"[domain-name:value = '{i}.top']" for i in (0, 1)]
        assert hub.identity in [each["id"] for each in found]
        assert len(found) == len({each["id"] for each in found})

    @pytest.mark.parametrize(
        ("said", "active"),
        [
            ({}, True),
            ({"valid_until": "2026-02-01T00:00:00Z"}, False),
            ({"valid_until": "2999-02-01T00:00:00Z"}, True),
            ({"valid_until": "soon"}, False),
            ({"valid_until": 7}, False),
            ({"revoked": True}, False),
            ({"revoked": False}, True),
            ({"revoked": "yes"}, False),
        ],
    )
    def test_revoked_and_expired_objects_are_not_active(
        self, hub: Any, said: Any, active: bool
    ) -> None:
        one = sdo("tool", name="T", **said)
        put(hub, [one], "scratch")
        assert (one["id"] in ids(page(hub, "fresh", limit=1000))) is active


class TestRights:
    def test_views_cannot_be_written_or_deleted_from(self, hub: Any) -> None:
        body = json.dumps({"objects": indicators(1)})
        for who in ("operator", "lone"):
            posted = hub.ask("collections/both/objects/", who, "POST", data=body)
            gone = ask(hub, f"both/objects/{hub.sent[0]}/", "DELETE", who)
            assert (posted.status_code, gone.status_code) == (403, 403)
        seen = ask(hub, "both/", who="lone").json
        assert (seen["can_read"], seen["can_write"]) == (True, False)

    def test_a_view_does_not_exist_without_a_grant(self, hub: Any) -> None:
        assert ask(hub, "both/objects/", who="acme").status_code == 404
        assert "both" not in [
            each["alias"] for each in ask(hub, "", who="acme").json["collections"]
        ]

    def test_a_view_is_readable_without_rights_to_its_sources(self, hub: Any) -> None:
        assert ask(hub, "both/objects/", who="lone").status_code == 200
        assert ask(hub, "lab/objects/", who="lone").status_code == 404


class TestSnapshot:
    def test_is_what_its_source_was_until_something_is_deleted(self, hub: Any) -> None:
        before = ids(page(hub, "lab", limit=1000))
        make(hub, "kept", CollectionKind.SNAPSHOT, CollectionSpec(("lab",)))
        put(hub, [sdo("tool", name="Later")], "lab")
        assert ids(page(hub, "kept", limit=1000)) == before
        assert ask(hub, "kept/").json["description"].startswith("As it was at 20")
        assert ask(hub, f"lab/objects/{before[0]}/", "DELETE").status_code == 200
        assert ids(page(hub, "kept", limit=1000)) == before[1:]
        assert (
            hub.ask("collections/kept/objects/", "operator", "POST", data="{}").status_code == 403
        )

    def test_of_an_aggregate_keeps_its_filters(self, hub: Any) -> None:
        made = make(hub, "pinned", CollectionKind.SNAPSHOT, CollectionSpec(("open",)))
        assert made.view == replace(hub.collection("open").view, at=made.view.at)
        assert ids(page(hub, "pinned", limit=1000)) == ids(page(hub, "open", limit=1000))
