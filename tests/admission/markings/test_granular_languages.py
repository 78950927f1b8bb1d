"""Languages of single properties: `lang` in a granular marking."""

from typing import Any

import pytest
from support.granular_markings import granular_markings, malware, newest_objects
from support.hub import AMBER, HubInProcess, details, indicator
from support.stix_objects import make_object

from tocsin.admission.model import Candidate
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config.loading import policy_text

GERMAN = {"lang": "de", "selectors": ["description"]}


def validate_malware(*markings: Any) -> Any:
    subject = make_object("malware", description="d", granular_markings=list(markings))
    return validate(Candidate(0, subject), parse_policy(policy_text(None)), 1_790_000_000_000_000)


class TestValidation:
    def test_a_language_marking_needs_no_marking_ref(self) -> None:
        assert validate_malware(GERMAN).is_open

    @pytest.mark.parametrize(
        "marking", [{"selectors": ["description"]}, GERMAN | {"marking_ref": AMBER}]
    )
    def test_a_granular_marking_needs_exactly_one_of_lang_and_marking_ref(
        self, marking: Any
    ) -> None:
        [finding] = validate_malware(marking).findings
        assert finding.path == "granular_markings[0]" and "exclude each other" in finding.message

    @pytest.mark.parametrize("change", [{"lang": "no language"}, {"selectors": ["other"]}])
    def test_an_invalid_language_or_selector_is_refused(self, change: Any) -> None:
        assert not validate_malware(GERMAN | change).is_open


class TestPublished:
    def test_a_language_marking_is_published_with_its_property(self, hub: HubInProcess) -> None:
        hub.push(malware(name="n", description="d", granular_markings=[GERMAN]))
        assert newest_objects(hub, "green")[0]["granular_markings"] == [GERMAN]

    def test_a_language_marking_of_a_stricter_property_is_left_out_with_it(
        self, hub: HubInProcess
    ) -> None:
        markings = [GERMAN, *granular_markings(AMBER, "description")]
        hub.push(malware(name="n", description="d", granular_markings=markings))
        [green], [amber] = newest_objects(hub, "green"), newest_objects(hub, "amber")
        assert "description" not in green and "granular_markings" not in green
        assert amber["granular_markings"] == [*granular_markings(AMBER, "description"), GERMAN]

    def test_a_language_marking_moves_with_its_item_when_stricter_ones_are_left_out(
        self, hub: HubInProcess
    ) -> None:
        of_items = {"lang": "de", "selectors": ["labels.[1]", "labels.[2]"]}
        markings = [of_items, *granular_markings(AMBER, "labels.[0]", "labels.[2]")]
        hub.push(malware(name="n", labels=["a", "b", "c"], granular_markings=markings))
        [green], [amber] = newest_objects(hub, "green"), newest_objects(hub, "amber")
        assert green["granular_markings"] == [{"lang": "de", "selectors": ["labels.[0]"]}]
        assert of_items in amber["granular_markings"]

    def test_a_language_marking_stays_with_the_text_of_the_leading_source(
        self, hub: HubInProcess
    ) -> None:
        hub.push(indicator("evil.top", description="kurz", granular_markings=[GERMAN]))
        [entry] = details(hub.push(indicator("evil.top", description="longer"), who="north"))
        [public] = newest_objects(hub, "green", "indicator")
        assert entry["x_tocsin_verdict"] == "merged"
        assert (public["description"], public["granular_markings"]) == ("kurz", [GERMAN])
