"""TLP 1.0 for the accounts that ask for it: ids, definitions, filters and tags."""

from dataclasses import replace
from typing import Any

import pytest
import stix2
from support.hub import HubInProcess as Hub
from support.hub import indicator
from support.presence import present

from tocsin.admission.markings.tlp import TLP_1_IDS, TLP_2_IDS
from tocsin.admission.model import Tlp
from tocsin.server.model import Collection, CollectionKind, MarkingScheme
from tocsin.server.store import Store

LEVELS = (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER)
TAILS = ("objects/", "manifest/", "objects/?match[type]=indicator&limit=1")


@pytest.fixture
def hub(store: Store) -> Hub:
    """A hub where north is shown TLP 1.0 and acme TLP 2.0, with an indicator of each level."""
    hub = Hub(store)
    account = present(hub.store.accounts.find_account("north"))
    hub.store.accounts.update_account(replace(account, marking=MarkingScheme.TLP1))
    hub.push(*(marked(each) for each in LEVELS))
    return hub


def marked(level: Tlp, **more: Any) -> dict[str, Any]:
    return indicator(
        f"{level.name.lower()}-portal.top", object_marking_refs=[TLP_2_IDS[level]], **more
    )


def read(hub: Hub, path: str, who: str = "north") -> Any:
    return hub.ask(f"collections/amber/{path}", who)


def markings(objects: list[dict[str, Any]]) -> set[str]:
    return {ref for each in objects for ref in each.get("object_marking_refs", [])}


@pytest.mark.parametrize("tail", TAILS)
def test_an_answer_has_the_length_of_that_with_tlp_2_and_no_id_of_it(hub: Hub, tail: str) -> None:
    shown, stored = read(hub, tail), read(hub, tail, "acme")
    assert len(shown.data) == len(stored.data)
    assert not any(id_.encode() in shown.data for id_ in TLP_2_IDS.values())
    assert [each["id"] for each in shown.json["objects"] if "marking" not in each["id"]] == [
        each["id"] for each in stored.json["objects"] if "marking" not in each["id"]
    ]


def test_each_level_has_its_id_of_tlp_1(hub: Hub) -> None:
    found = read(hub, "objects/?match[type]=indicator").json["objects"]
    assert markings(found) == {TLP_1_IDS[each] for each in LEVELS}
    assert {each["pattern"].split("'")[1]: each["object_marking_refs"] for each in found} == {
        f"{each.name.lower()}-portal.top": [TLP_1_IDS[each]] for each in LEVELS
    }


def test_the_definitions_are_those_that_python_stix2_knows(hub: Hub) -> None:
    found = read(hub, "objects/?match[type]=marking-definition").json["objects"]
    definitions = {each["id"]: stix2.parse(each) for each in found}
    assert definitions[TLP_1_IDS[Tlp.CLEAR]] == stix2.TLP_WHITE
    assert definitions[TLP_1_IDS[Tlp.GREEN]] == stix2.TLP_GREEN
    assert definitions[TLP_1_IDS[Tlp.AMBER]] == stix2.TLP_AMBER


def test_manifest_and_versions_give_the_version_of_the_definition_shown(hub: Hub) -> None:
    id_ = TLP_1_IDS[Tlp.GREEN]
    records = read(hub, f"manifest/?match[id]={id_}").json["objects"]
    assert [(each["id"], each["version"]) for each in records] == [
        (id_, "2017-01-20T00:00:00.000Z")
    ]
    versions = read(hub, f"objects/{id_}/versions/").json["versions"]
    assert versions == ["2017-01-20T00:00:00.000Z"]
    assert [each["id"] for each in read(hub, f"objects/{id_}/").json["objects"]] == [id_]


@pytest.mark.parametrize("name", ["match[id]", "match[relationships-all]"])
def test_filters_take_the_ids_that_were_shown(hub: Hub, name: str) -> None:
    found = read(hub, f"objects/?{name}={TLP_1_IDS[Tlp.GREEN]}")
    same = read(hub, f"objects/?{name}={TLP_2_IDS[Tlp.GREEN]}", "acme")
    assert len(found.json["objects"]) == len(same.json["objects"]) == 1
    assert read(hub, f"objects/?{name}={TLP_1_IDS[Tlp.GREEN]}", "acme").json == {"more": False}


def test_amber_strict_is_shown_as_red_and_found_as_red(hub: Hub, store: Store) -> None:
    feed = Collection("f" * 8, "strict", CollectionKind.FEED, "Strict", "", Tlp.AMBER_STRICT)
    store.feeds.add(feed)
    account = present(store.accounts.find_account("north"))
    store.accounts.update_account(replace(account, reads=account.reads | {feed.id}))
    acme = store.accounts.require_partner("acme")
    store.accounts.update_partner(replace(acme, max_tlp=Tlp.AMBER_STRICT))
    assert hub.verdicts(hub.push(marked(Tlp.AMBER_STRICT))) == ["admitted"]
    for query in (f"match[relationships-all]={TLP_1_IDS[Tlp.RED]}", "match[tlp]=red"):
        found = hub.ask(f"collections/strict/objects/?{query}", "north").json["objects"]
        assert [each["object_marking_refs"] for each in found] == [[TLP_1_IDS[Tlp.RED]]]


def test_the_tag_of_a_page_is_another_one_so_no_cache_confuses_them(hub: Hub) -> None:
    tag = read(hub, "objects/", "acme").headers["ETag"]
    answer = hub.ask("collections/amber/objects/", "north", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["ETag"] != tag) == (200, True)
    again = hub.ask(
        "collections/amber/objects/", "north", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304


def test_an_object_read_with_tlp_1_comes_back_as_a_duplicate(hub: Hub) -> None:
    shown = read(hub, "objects/?match[type]=indicator").json["objects"]
    status = hub.push(*shown, who="north")
    assert hub.verdicts(status) == ["duplicate"] * 3
    assert len(read(hub, "objects/?match[type]=indicator", "acme").json["objects"]) == 3


def test_a_verbatim_collection_shows_what_was_sent(hub: Hub) -> None:
    hub.push(marked(Tlp.GREEN), to="scratch")
    found = hub.ask("collections/scratch/objects/", "north").json["objects"]
    assert markings(found) == {TLP_2_IDS[Tlp.GREEN]}
