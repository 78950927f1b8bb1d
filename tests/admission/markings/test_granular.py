"""Parts of an object that are marked more strictly than the whole, feed by feed."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import (
    HealthCheck,
    Phase,
    given,
    settings,
)
from hypothesis import (
    strategies as st,
)
from support.clock import hub_and_clock
from support.examples import examples
from support.granular_markings import malware, marks, out
from support.hub import (
    AMBER,
    CLEAR,
    GREEN,
    RED,
    HubInProcess,
    findings,
    indicator,
    relationship,
    sdo,
)
from support.presence import present
from support.warning_lists import warning_lists

from tocsin.admission import examine, parse_policy
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.markings.selectors import resolve_selector
from tocsin.admission.markings.tlp import (
    TLP_1_IDS,
    TLP_2_IDS,
    read_markings,
    split_off_granular_tlp,
)
from tocsin.admission.model import Candidate, Submitter, Tlp
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.stix.schemas import schemas
from tocsin.config import policy_text
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


FEEDS = {"clear": Tlp.CLEAR, "green": Tlp.GREEN, "amber": Tlp.AMBER}
WORD = re.compile(r"word(\d)x\d+y")
NUMBERS = itertools.count()
LEVELS = (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER)


class TestLeavingOut:
    def test_each_feed_has_the_parts_that_it_may_show(self, hub: HubInProcess) -> None:
        granular = marks(AMBER, "description", "labels.[1]")
        hub.push(malware(name="n", description="d", labels=list("abc"), granular_markings=granular))
        [green], [amber] = out(hub, "green"), out(hub, "amber")
        assert (green.get("description"), green["labels"]) == (None, ["a", "c"])
        assert (amber["description"], amber["labels"]) == ("d", ["a", "b", "c"])
        assert "granular_markings" not in green
        assert amber["granular_markings"] == marks(AMBER, "description", "labels.[1]")
        assert green["id"] == amber["id"] and green["modified"] < amber["modified"]

    def test_what_an_object_cannot_do_without_makes_it_stricter(self, hub: HubInProcess) -> None:
        hub.push(malware(name="n", granular_markings=marks(AMBER, "is_family")))
        assert out(hub, "green") == []
        assert out(hub, "amber")[0]["object_marking_refs"] == [AMBER]

    def test_so_does_what_makes_an_observable_what_it_is(self, hub: HubInProcess) -> None:
        file = {
            "type": "file",
            "spec_version": "2.1",
            "id": "file--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0",
            "name": "bad.exe",
            "size": 7,
            "object_marking_refs": [GREEN],
        }
        hub.push({**file, "granular_markings": marks(AMBER, "size")})
        [green], [amber] = out(hub, "green", "file"), out(hub, "amber", "file")
        assert ("size" in green, amber["size"], green["id"]) == (False, 7, amber["id"])
        hub.push({**file, "name": "worse.exe", "granular_markings": marks(AMBER, "name")})
        assert "worse" not in json.dumps(out(hub, "green", "file"))

    def test_red_parts_go_nowhere(self, hub: HubInProcess) -> None:
        granular = marks(RED, "description")
        status = hub.push(malware(name="n", description="r", granular_markings=granular))
        assert [(o["name"], "description" in o) for o in out(hub, "amber")] == [("n", False)]
        assert any(f["action"] == "stripped" for f in findings(status))

    def test_a_less_strict_part_is_as_strict_as_the_whole(self, hub: HubInProcess) -> None:
        strict = {"object_marking_refs": [AMBER], "granular_markings": marks(CLEAR, "name")}
        hub.push(malware(name="n", **strict))
        assert out(hub, "green") == []
        assert "granular_markings" not in out(hub, "amber")[0]

    def test_a_selector_that_selects_nothing_is_refused(self, hub: HubInProcess) -> None:
        status = hub.push(malware(name="n", granular_markings=marks(AMBER, "descriptoin")))
        assert hub.verdicts(status) == ["refused"]

    def test_places_are_those_of_the_object_as_it_was_sent(self, hub: HubInProcess) -> None:
        labels = ["acme.example", "open", "shut"]
        hub.push(malware(name="n", labels=labels, granular_markings=marks(AMBER, "labels.[2]")))
        assert out(hub, "green")[0]["labels"] == ["open"]
        [amber] = out(hub, "amber")
        assert amber["labels"] == ["open", "shut"]
        assert amber["granular_markings"] == marks(AMBER, "labels.[1]")

    def test_what_waits_for_others_is_still_parted_when_they_come(self, hub: HubInProcess) -> None:
        found, bad = indicator(), malware(name="n")
        granular = marks(AMBER, "description")
        joined = relationship(found, "indicates", bad, description="d", granular_markings=granular)
        hub.push(joined)
        hub.push(found, bad)
        [green], [amber] = out(hub, "green", "relationship"), out(hub, "amber", "relationship")
        assert ("description" in green, amber["description"]) == (False, "d")


class TestOnTheWay:
    def test_a_client_sends_the_whole_with_its_parts_marked(self) -> None:
        policy, submitter = parse_policy(policy_text()), Submitter(default_tlp=Tlp.GREEN)
        granular = marks(AMBER, "description", "labels.[1]") + marks(RED, "labels.[0]")
        sent = malware(name="n", description="d", labels=list("abc"), granular_markings=granular)
        now = 1_800_000_000_000_000

        def examined(subject: Any) -> Any:
            [candidate] = examine([Candidate(0, subject)], policy, submitter, warning_lists(), now)
            return candidate

        once = present(join_layers(examined(sent)))
        assert (once["description"], once["labels"]) == ("d", ["b", "c"])
        assert once["granular_markings"] == marks(AMBER, "description", "labels.[0]")
        assert join_layers(examined(once)) == once


class TestMerging:
    def test_a_second_source_shows_in_the_less_strict_copy_though_it_brings_a_stricter_part(
        self, store: Store
    ) -> None:
        hub, clock = hub_and_clock(store)
        hub.push(indicator(confidence=40), who="acme")
        clock.advance(hours=2)
        part = {"description": "only for some", "granular_markings": marks(AMBER, "description")}
        hub.push(indicator(confidence=40, **part), who="north")
        [green], [amber] = out(hub, "green", "indicator"), out(hub, "amber", "indicator")
        assert [each["extensions"][EXTENSION_ID]["contributors"] for each in (green, amber)] == [
            2,
            2,
        ]
        assert green["confidence"] == amber["confidence"] > 40
        assert "description" not in green and amber["description"] == "only for some"

    def test_a_stricter_part_of_one_partner_is_in_no_less_strict_copy(
        self, hub: HubInProcess
    ) -> None:
        strict = {
            "description": "a long and strict description",
            "confidence": 80,
            "labels": ["strict", "loose"],
            "granular_markings": marks(AMBER, "description", "confidence", "labels.[0]"),
        }
        hub.push(indicator(**strict), who="acme")
        hub.push(indicator(description="loose", labels=["other"], confidence=20), who="north")
        [green], [amber] = out(hub, "green", "indicator"), out(hub, "amber", "indicator")
        assert (green["description"], green["labels"]) == ("loose", ["loose", "other"])
        assert green["confidence"] < 80 <= amber["confidence"]
        assert amber["labels"] == ["loose", "other", "strict"]
        [marking] = amber["granular_markings"]
        assert sorted(marking["selectors"]) == ["confidence", "description", "labels.[2]"]

    def test_a_change_that_a_feed_may_not_see_leaves_no_trace_in_it(
        self, hub: HubInProcess
    ) -> None:
        sent = malware(name="n", description="one", granular_markings=marks(AMBER, "description"))
        hub.push(sent)
        before = hub.ask("collections/green/manifest/")
        newer = {**sent, "description": "two", "modified": "2026-02-01T00:00:00.000Z"}
        hub.push(newer)
        after = hub.ask("collections/green/manifest/")
        assert out(hub, "amber")[0]["description"] == "two"
        assert (after.json, after.headers.get("ETag")) == (before.json, before.headers.get("ETag"))

    def test_a_change_that_all_may_see_makes_no_copy_older_than_a_poorer_one(
        self, hub: HubInProcess
    ) -> None:
        sent = malware(name="n", description="d", granular_markings=marks(AMBER, "description"))
        hub.push(sent)
        hub.push({**sent, "name": "m", "modified": "2026-02-01T00:00:00.000Z"})
        [green], [amber] = out(hub, "green"), out(hub, "amber")
        assert (green["name"], amber["name"], amber["description"]) == ("m", "m", "d")
        assert green["modified"] < amber["modified"]

    def test_nor_does_one_that_its_copy_does_not_show(self, hub: HubInProcess) -> None:
        strict = {
            "description": "long and strict",
            "granular_markings": marks(AMBER, "description"),
        }
        hub.push(indicator(**strict), who="acme")
        loose = indicator(description="loose")
        hub.push(loose, who="north")
        newer = {"description": "other", "modified": "2026-02-01T00:00:00.000Z"}
        hub.push({**loose, **newer}, who="north")
        [green], [amber] = out(hub, "green", "indicator"), out(hub, "amber", "indicator")
        assert (green["description"], amber["description"]) == ("other", "long and strict")
        assert green["modified"] < amber["modified"]

    def test_an_indicator_with_parts_is_the_same_again_if_it_holds_since_later(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator(description="d", granular_markings=marks(AMBER, "description"))
        hub.push(sent)
        again = hub.push({**sent, "valid_from": "2026-01-05T00:00:00Z"})
        assert hub.verdicts(again) == ["duplicate"]
        other = hub.push({**sent, "description": "e"})
        assert hub.verdicts(other) == ["refused"]

    def test_marking_a_part_later_takes_it_out_of_the_newest_version(
        self, hub: HubInProcess
    ) -> None:
        sent = malware(name="n", description="d")
        hub.push(sent)
        newer = {"modified": "2026-02-01T00:00:00.000Z"}
        hub.push({**sent, **newer, "granular_markings": marks(AMBER, "description")})
        assert "description" not in out(hub, "green")[0]
        assert out(hub, "amber")[0]["description"] == "d"

    def test_revoking_revokes_every_copy(self, hub: HubInProcess) -> None:
        sent = malware(name="n", description="d", granular_markings=marks(AMBER, "description"))
        hub.push(sent)
        hub.push({**sent, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"})
        [green], [amber] = out(hub, "green"), out(hub, "amber")
        assert green["revoked"] and amber["revoked"] and "description" not in green


class TestTranslations:
    def translated(self, bad: Any, **more: Any) -> Any:
        contents = {"de": {"name": "Name", "description": "geheim"}}
        stamp = {"object_modified": bad["modified"]}
        return sdo("language-content", object_ref=bad["id"], contents=contents, **stamp, **more)

    @pytest.mark.parametrize("together", [True, False])
    def test_a_translation_is_as_strict_as_what_it_translates(
        self, hub: HubInProcess, together: bool
    ) -> None:
        bad = malware(name="n", description="d", granular_markings=marks(AMBER, "description"))
        told = self.translated(bad)
        for each in [(told, bad)] if together else [(told,), (bad,)]:
            hub.push(*each)
        [green], [amber] = (
            out(hub, "green", "language-content"),
            out(hub, "amber", "language-content"),
        )
        assert green["contents"] == {"de": {"name": "Name"}}
        assert amber["contents"]["de"]["description"] == "geheim"
        assert green["object_ref"] == out(hub, "green")[0]["id"]

    def test_it_is_of_the_newest_public_version(self, hub: HubInProcess) -> None:
        bad = malware(name="n")
        hub.push(bad, self.translated(bad))
        assert "object_modified" not in out(hub, "green", "language-content")[0]

    def test_its_words_are_searched_like_any_others(self, hub: HubInProcess) -> None:
        bad = malware(name="n")
        told = self.translated(bad) | {"contents": {"de": {"name": "Angriff auf acme.example"}}}
        hub.push(bad, told)
        assert "acme.example" not in json.dumps(out(hub, "green", "language-content"))


def word(level: Any) -> Any:
    """A word that tells for whom it is."""
    return f"word{int(level)}x{next(NUMBERS)}y"


@st.composite
def objects(draw: Any) -> Any:
    """An object, whole and parts marked at random, with words that tell for whom they are."""
    whole = draw(st.sampled_from([*LEVELS, None]))
    own = Tlp.AMBER if whole is None else whole
    chosen = {
        name: max(own, draw(st.sampled_from(list(Tlp))))
        for name in draw(
            st.sets(
                st.sampled_from(
                    ("name", "description", *(f"labels.[{n}]" for n in range(3)), "references")
                )
            )
        )
    }
    kind = draw(st.sampled_from(("malware", "indicator", "campaign")))
    levels = {name: chosen.get(name, own) for name in ("name", "description", "references")}
    body = {"name": word(levels["name"]), "description": word(levels["description"])}
    body["labels"] = [word(chosen.get(f"labels.[{n}]", own)) for n in range(3)]
    reference = word(levels["references"])
    body["external_references"] = [{"source_name": "open", "description": reference}]
    selectors = {"references": "external_references.[0].description"}
    body["granular_markings"] = [
        {"marking_ref": TLP_2_IDS[level], "selectors": [selectors.get(name, name)]}
        for name, level in chosen.items()
    ]
    ids = draw(st.sampled_from((TLP_1_IDS, TLP_2_IDS)))
    body["object_marking_refs"] = [] if whole is None else [ids[whole]]
    body = {name: value for name, value in body.items() if value}
    if kind == "indicator":
        made = indicator(f"shared{draw(st.integers(0, 3))}.top")
    else:
        made = sdo(kind, **({"is_family": False} if kind == "malware" else {}))
    made.pop("object_marking_refs")
    return {**made, **body}


def words_of(value: Any, path: Any = ()) -> Iterator[Any]:
    if isinstance(value, str):
        yield from ((path, Tlp(int(found[1]))) for found in WORD.finditer(value))
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for step, each in items:
            yield from words_of(each, (*path, step))


class TestAnyMarkings:
    @given(
        st.lists(objects(), min_size=4, max_size=12), st.lists(objects(), min_size=1, max_size=6)
    )
    @settings(
        max_examples=examples(12),
        deadline=None,
        phases=(Phase.explicit, Phase.generate),  # to shrink an example takes minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    def test_no_word_reaches_a_feed_for_which_it_is_too_strict(
        self, hub: HubInProcess, one: Any, other: Any
    ) -> None:
        hub.push(*one, who="acme")
        hub.push(*other, who="north")
        for feed, level in FEEDS.items():
            answer = hub.ask(
                f"collections/{feed}/objects/",
                query_string={"limit": 1000, "match[version]": "all"},
            )
            assert {int(digit) for digit in WORD.findall(answer.text)} <= set(range(level + 1))
            for each in answer.json["objects"]:
                assert list(schemas()[each["type"]].validator.iter_errors(each)) == []
                self.check_markings(each)
        amber = hub.ask("collections/amber/objects/", query_string={"limit": 1000}).text
        for each in (*one, *other):
            if each["type"] == "malware":  # not merged, so nothing gives way to better texts
                sent = {match[0] for match in WORD.finditer(json.dumps(each))}
                assert {w for w in sent if int(w[4]) <= Tlp.AMBER} <= set(
                    match[0] for match in WORD.finditer(amber)
                )

    def check_markings(self, copy: Any) -> None:
        """What is marked is there, and every word is marked as strictly as it must be."""
        whole, levels = split_off_granular_tlp(copy, {})
        marked = [(resolve_selector(copy, selector), level) for level, selector in levels]
        assert all(path is not None for path, _ in marked)
        for path, level in words_of(copy):
            strictest = max(
                (at for place, at in marked if path[: len(present(place))] == place),
                default=Tlp.CLEAR,
            )
            assert max(strictest, read_markings(whole, {}).tlp or Tlp.CLEAR) >= level
