"""Granular markings: a part stricter than its object is left out of less strict feeds."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.clock import hub_and_clock
from support.examples import examples
from support.granular_markings import granular_markings, malware, newest_objects
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
from tocsin.admission.markings.granular import drop_selectors, join_layers, resolve_selector
from tocsin.admission.markings.tlp import (
    TLP_1_IDS,
    TLP_2_IDS,
    read_markings,
    split_off_granular_tlp,
)
from tocsin.admission.model import Candidate, Submitter, Tlp
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.stix.schemas import schemas
from tocsin.config.loading import policy_text
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


FEEDS = {"clear": Tlp.CLEAR, "green": Tlp.GREEN, "amber": Tlp.AMBER}
WORD_PATTERN = re.compile(r"word(\d)x\d+y")
NUMBERS = itertools.count()
LEVELS = (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER)


class TestFeeds:
    def test_each_feed_has_only_the_parts_of_its_level(self, hub: HubInProcess) -> None:
        granular = granular_markings(AMBER, "description", "labels.[1]")
        hub.push(malware(name="n", description="d", labels=list("abc"), granular_markings=granular))
        [green], [amber] = newest_objects(hub, "green"), newest_objects(hub, "amber")
        assert (green.get("description"), green["labels"]) == (None, ["a", "c"])
        assert (amber["description"], amber["labels"]) == ("d", ["a", "b", "c"])
        assert "granular_markings" not in green
        assert amber["granular_markings"] == granular_markings(AMBER, "description", "labels.[1]")
        assert green["id"] == amber["id"] and green["modified"] < amber["modified"]

    def test_a_stricter_marking_of_a_required_property_raises_the_whole_object(
        self, hub: HubInProcess
    ) -> None:
        hub.push(malware(name="n", granular_markings=granular_markings(AMBER, "is_family")))
        assert newest_objects(hub, "green") == []
        assert newest_objects(hub, "amber")[0]["object_marking_refs"] == [AMBER]

    def test_a_stricter_marking_of_an_id_contributing_property_raises_the_observable(
        self, hub: HubInProcess
    ) -> None:
        file = {
            "type": "file",
            "spec_version": "2.1",
            "id": "file--5e4bfb8b-c1c9-5fa3-a6a1-9d7d5b5fa2c0",
            "name": "bad.exe",
            "size": 7,
            "object_marking_refs": [GREEN],
        }
        hub.push({**file, "granular_markings": granular_markings(AMBER, "size")})
        [green], [amber] = (
            newest_objects(hub, "green", "file"),
            newest_objects(hub, "amber", "file"),
        )
        assert ("size" in green, amber["size"], green["id"]) == (False, 7, amber["id"])
        hub.push(
            {**file, "name": "worse.exe", "granular_markings": granular_markings(AMBER, "name")}
        )
        assert "worse" not in json.dumps(newest_objects(hub, "green", "file"))

    def test_a_part_at_tlp_red_is_in_no_feed(self, hub: HubInProcess) -> None:
        granular = granular_markings(RED, "description")
        status = hub.push(malware(name="n", description="r", granular_markings=granular))
        assert [(o["name"], "description" in o) for o in newest_objects(hub, "amber")] == [
            ("n", False)
        ]
        assert any(f["action"] == "stripped" for f in findings(status))

    def test_a_part_is_never_less_strict_than_the_whole_object(self, hub: HubInProcess) -> None:
        stricter = {
            "object_marking_refs": [AMBER],
            "granular_markings": granular_markings(CLEAR, "name"),
        }
        hub.push(malware(name="n", **stricter))
        assert newest_objects(hub, "green") == []
        assert "granular_markings" not in newest_objects(hub, "amber")[0]

    def test_a_selector_that_selects_nothing_is_refused(self, hub: HubInProcess) -> None:
        status = hub.push(
            malware(name="n", granular_markings=granular_markings(AMBER, "descriptoin"))
        )
        assert hub.verdicts(status) == ["refused"]

    def test_selectors_refer_to_the_object_as_submitted(self, hub: HubInProcess) -> None:
        labels = ["acme.example", "open", "shut"]
        hub.push(
            malware(
                name="n", labels=labels, granular_markings=granular_markings(AMBER, "labels.[2]")
            )
        )
        assert newest_objects(hub, "green")[0]["labels"] == ["open"]
        [amber] = newest_objects(hub, "amber")
        assert amber["labels"] == ["open", "shut"]
        assert amber["granular_markings"] == granular_markings(AMBER, "labels.[1]")

    @pytest.mark.slow
    def test_an_object_released_by_late_references_is_still_split_by_level(
        self, hub: HubInProcess
    ) -> None:
        reported, malware_object = indicator(), malware(name="n")
        granular = granular_markings(AMBER, "description")
        related = relationship(
            reported, "indicates", malware_object, description="d", granular_markings=granular
        )
        hub.push(related)
        hub.push(reported, malware_object)
        [green], [amber] = (
            newest_objects(hub, "green", "relationship"),
            newest_objects(hub, "amber", "relationship"),
        )
        assert ("description" in green, amber["description"]) == (False, "d")


class TestClients:
    def test_a_client_sends_the_whole_object_with_granular_markings(self) -> None:
        policy, submitter = parse_policy(policy_text()), Submitter(default_tlp=Tlp.GREEN)
        granular = granular_markings(AMBER, "description", "labels.[1]") + granular_markings(
            RED, "labels.[0]"
        )
        sent = malware(name="n", description="d", labels=list("abc"), granular_markings=granular)
        now = 1_800_000_000_000_000

        def examine_object(subject: Any) -> Any:
            [candidate] = examine([Candidate(0, subject)], policy, submitter, warning_lists(), now)
            return candidate

        once = present(join_layers(examine_object(sent)))
        assert (once["description"], once["labels"]) == ("d", ["b", "c"])
        assert once["granular_markings"] == granular_markings(AMBER, "description", "labels.[0]")
        assert join_layers(examine_object(once)) == once


class TestVersionsAndMerging:
    @pytest.mark.slow
    def test_a_contribution_with_a_stricter_part_counts_as_source_in_the_less_strict_copy(
        self, store: Store
    ) -> None:
        hub, clock = hub_and_clock(store)
        hub.push(indicator(confidence=40), who="acme")
        clock.advance(hours=2)
        part = {
            "description": "only for some",
            "granular_markings": granular_markings(AMBER, "description"),
        }
        hub.push(indicator(confidence=40, **part), who="north")
        [green], [amber] = (
            newest_objects(hub, "green", "indicator"),
            newest_objects(hub, "amber", "indicator"),
        )
        assert [each["extensions"][EXTENSION_ID]["contributors"] for each in (green, amber)] == [
            2,
            2,
        ]
        assert green["confidence"] == amber["confidence"] > 40
        assert "description" not in green and "description" not in amber  # acme leads

    def test_a_stricter_part_of_one_contribution_is_in_no_less_strict_copy(
        self, store: Store
    ) -> None:
        hub, clock = hub_and_clock(store)
        stricter = {
            "description": "a long and strict description",
            "confidence": 80,
            "labels": ["strict", "loose"],
            "granular_markings": granular_markings(
                AMBER, "description", "confidence", "labels.[0]"
            ),
        }
        hub.push(indicator(**stricter), who="acme")
        clock.advance(hours=2)
        hub.push(indicator(description="loose", labels=["other"], confidence=20), who="north")
        [green], [amber] = (
            newest_objects(hub, "green", "indicator"),
            newest_objects(hub, "amber", "indicator"),
        )
        assert green["labels"] == ["loose"] and "description" not in green
        assert green["confidence"] < 80 <= amber["confidence"]
        assert amber["labels"] == ["strict", "loose"]
        [marking] = amber["granular_markings"]
        assert sorted(marking["selectors"]) == ["confidence", "description", "labels.[0]"]

    def test_a_change_to_a_stricter_part_does_not_change_the_less_strict_feed(
        self, hub: HubInProcess
    ) -> None:
        sent = malware(
            name="n", description="one", granular_markings=granular_markings(AMBER, "description")
        )
        hub.push(sent)
        before = hub.ask("collections/green/manifest/")
        newer = {**sent, "description": "two", "modified": "2026-02-01T00:00:00.000Z"}
        hub.push(newer)
        after = hub.ask("collections/green/manifest/")
        assert newest_objects(hub, "amber")[0]["description"] == "two"
        assert (after.json, after.headers.get("ETag")) == (before.json, before.headers.get("ETag"))

    def test_after_a_change_for_all_the_stricter_copy_is_the_newer_one(
        self, hub: HubInProcess
    ) -> None:
        sent = malware(
            name="n", description="d", granular_markings=granular_markings(AMBER, "description")
        )
        hub.push(sent)
        hub.push({**sent, "name": "m", "modified": "2026-02-01T00:00:00.000Z"})
        [green], [amber] = newest_objects(hub, "green"), newest_objects(hub, "amber")
        assert (green["name"], amber["name"], amber["description"]) == ("m", "m", "d")
        assert green["modified"] < amber["modified"]

    def test_an_indicator_resubmitted_with_a_later_valid_from_is_a_duplicate(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator(description="d", granular_markings=granular_markings(AMBER, "description"))
        hub.push(sent)
        again = hub.push({**sent, "valid_from": "2026-01-05T00:00:00Z"})
        assert hub.verdicts(again) == ["duplicate"]
        other = hub.push({**sent, "description": "e"})
        assert hub.verdicts(other) == ["refused"]

    def test_a_part_marked_in_a_later_version_is_removed_from_the_newest_version(
        self, hub: HubInProcess
    ) -> None:
        sent = malware(name="n", description="d")
        hub.push(sent)
        newer = {"modified": "2026-02-01T00:00:00.000Z"}
        hub.push({**sent, **newer, "granular_markings": granular_markings(AMBER, "description")})
        assert "description" not in newest_objects(hub, "green")[0]
        assert newest_objects(hub, "amber")[0]["description"] == "d"

    def test_revocation_revokes_the_copy_at_every_level(self, hub: HubInProcess) -> None:
        sent = malware(
            name="n", description="d", granular_markings=granular_markings(AMBER, "description")
        )
        hub.push(sent)
        hub.push({**sent, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"})
        [green], [amber] = newest_objects(hub, "green"), newest_objects(hub, "amber")
        assert green["revoked"] and amber["revoked"] and "description" not in green


class TestTranslations:
    def translation_of(self, malware_object: Any, **more: Any) -> Any:
        contents = {"de": {"name": "Name", "description": "geheim"}}
        stamp = {"object_modified": malware_object["modified"]}
        return sdo(
            "language-content", object_ref=malware_object["id"], contents=contents, **stamp, **more
        )

    @pytest.mark.parametrize("in_one_submission", [True, False])
    def test_a_translation_is_as_strict_as_what_it_translates(
        self, hub: HubInProcess, in_one_submission: bool
    ) -> None:
        malware_object = malware(
            name="n", description="d", granular_markings=granular_markings(AMBER, "description")
        )
        translation = self.translation_of(malware_object)
        for each in (
            [(translation, malware_object)]
            if in_one_submission
            else [(translation,), (malware_object,)]
        ):
            hub.push(*each)
        [green], [amber] = (
            newest_objects(hub, "green", "language-content"),
            newest_objects(hub, "amber", "language-content"),
        )
        assert green["contents"] == {"de": {"name": "Name"}}
        assert amber["contents"]["de"]["description"] == "geheim"
        assert green["object_ref"] == newest_objects(hub, "green")[0]["id"]

    def test_a_published_translation_refers_to_the_newest_version(self, hub: HubInProcess) -> None:
        malware_object = malware(name="n")
        hub.push(malware_object, self.translation_of(malware_object))
        assert "object_modified" not in newest_objects(hub, "green", "language-content")[0]

    def test_a_translation_is_sanitised_like_any_other_text(self, hub: HubInProcess) -> None:
        malware_object = malware(name="n")
        translation = self.translation_of(malware_object) | {
            "contents": {"de": {"name": "Angriff auf acme.example"}}
        }
        hub.push(malware_object, translation)
        assert "acme.example" not in json.dumps(newest_objects(hub, "green", "language-content"))


def word_of_level(level: Any) -> Any:
    """A unique word that contains its TLP level."""
    return f"word{int(level)}x{next(NUMBERS)}y"


@st.composite
def objects(draw: Any) -> Any:
    """An object with random object and granular markings, and words that contain their level."""
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
    body = {
        "name": word_of_level(levels["name"]),
        "description": word_of_level(levels["description"]),
    }
    body["labels"] = [word_of_level(chosen.get(f"labels.[{n}]", own)) for n in range(3)]
    reference = word_of_level(levels["references"])
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
        subject = indicator(f"shared{draw(st.integers(0, 3))}.top")
    else:
        subject = sdo(kind, **({"is_family": False} if kind == "malware" else {}))
    subject.pop("object_marking_refs")
    return {**subject, **body}


def levels_of_words(value: Any, path: Any = ()) -> Iterator[Any]:
    """The path and the level of each word in a value."""
    if isinstance(value, str):
        yield from ((path, Tlp(int(match[1]))) for match in WORD_PATTERN.finditer(value))
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for step, each in items:
            yield from levels_of_words(each, (*path, step))


class TestGeneratedMarkings:
    @given(
        st.lists(objects(), min_size=4, max_size=12), st.lists(objects(), min_size=1, max_size=6)
    )
    @settings(
        max_examples=examples(12),
        deadline=None,
        phases=(Phase.explicit, Phase.generate),  # shrinking an example takes minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    def test_no_word_reaches_a_feed_below_its_level(
        self, hub: HubInProcess, one: Any, other: Any
    ) -> None:
        hub.push(*one, who="acme")
        hub.push(*other, who="north")
        for feed, level in FEEDS.items():
            answer = hub.ask(
                f"collections/{feed}/objects/",
                query_string={"limit": 1000, "match[version]": "all"},
            )
            assert {int(digit) for digit in WORD_PATTERN.findall(answer.text)} <= set(
                range(level + 1)
            )
            for each in answer.json["objects"]:
                assert list(schemas()[each["type"]].validator.iter_errors(each)) == []
                self.check_markings(each)
        amber = hub.ask("collections/amber/objects/", query_string={"limit": 1000}).text
        for each in (*one, *other):
            if each["type"] == "malware":  # not merged, so no text is replaced by another
                sent = {match[0] for match in WORD_PATTERN.finditer(json.dumps(each))}
                assert {w for w in sent if int(w[4]) <= Tlp.AMBER} <= set(
                    match[0] for match in WORD_PATTERN.finditer(amber)
                )

    def check_markings(self, copy: Any) -> None:
        """Check that each selector resolves and that each word is marked at its level or above."""
        whole, levels = split_off_granular_tlp(copy, {})
        marked = [(resolve_selector(copy, selector), level) for level, selector in levels]
        assert all(path is not None for path, _ in marked)
        for path, level in levels_of_words(copy):
            strictest = max(
                (at for place, at in marked if path[: len(present(place))] == place),
                default=Tlp.CLEAR,
            )
            assert max(strictest, read_markings(whole, {}).tlp or Tlp.CLEAR) >= level


MARKED_SUBJECT = {
    "labels": ["a", "b"],
    "kill_chain_phases": [{"phase_name": "x"}],
    "extensions": {"1": "one"},
}


class TestSelectors:
    @pytest.mark.parametrize(
        ("selector", "path"),
        [
            ("labels", ("labels",)),
            ("labels.[1]", ("labels", 1)),
            ("kill_chain_phases.[0].phase_name", ("kill_chain_phases", 0, "phase_name")),
            ("extensions.1", ("extensions", "1")),
        ],
    )
    def test_a_selector_of_an_existing_property_resolves_to_its_path(
        self, selector: str, path: Any
    ) -> None:
        assert resolve_selector(MARKED_SUBJECT, selector) == path

    @pytest.mark.parametrize(
        "selector",
        [
            "name",
            "labels.[2]",
            "labels.1",
            "labels.x1x",
            "labels.[²]",
            "labels.[-1]",
            "labels.a",
            "",
        ],
    )
    def test_a_selector_of_a_missing_property_resolves_to_none(self, selector: str) -> None:
        assert resolve_selector(MARKED_SUBJECT, selector) is None


NAMES = st.text("ab.-", min_size=1, max_size=6)


@pytest.mark.slow
@given(st.sets(NAMES, max_size=4), st.lists(NAMES, min_size=1, max_size=6))
def test_exactly_the_selectors_of_dropped_properties_and_of_their_parts_are_dropped(
    names: set[str], selectors: list[str]
) -> None:
    marked = {"granular_markings": granular_markings(AMBER, *selectors)}
    kept = [s for s in selectors if not any(s == n or s.startswith(f"{n}.") for n in names)]
    expected = {"granular_markings": granular_markings(AMBER, *kept)} if kept else {}
    assert drop_selectors(marked, names) == expected
