"""Parts of an object that are in another language: `lang` in a granular marking."""

from typing import Any

import pytest
from support.granular_markings import malware, marks, out
from support.hub import AMBER, HubInProcess, details, indicator
from support.stix_objects import made

from tocsin.admission.model import Candidate
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config import policy_text

GERMAN = {"lang": "de", "selectors": ["description"]}


def judged(*markings: Any) -> Any:
    subject = made("malware", description="d", granular_markings=list(markings))
    return validate(Candidate(0, subject), parse_policy(policy_text(None)), 1_790_000_000_000_000)


class TestTaken:
    def test_a_language_needs_no_marking_beside_it(self) -> None:
        assert judged(GERMAN).is_open

    @pytest.mark.parametrize(
        "marking", [{"selectors": ["description"]}, GERMAN | {"marking_ref": AMBER}]
    )
    def test_of_the_two_there_is_one(self, marking: Any) -> None:
        [fault] = judged(marking).findings
        assert fault.path == "granular_markings[0]" and "exclude each other" in fault.message

    @pytest.mark.parametrize("change", [{"lang": "no language"}, {"selectors": ["other"]}])
    def test_it_is_one_and_of_something(self, change: Any) -> None:
        assert not judged(GERMAN | change).is_open


class TestPublished:
    def test_it_stays_with_the_part(self, hub: HubInProcess) -> None:
        hub.push(malware(name="n", description="d", granular_markings=[GERMAN]))
        assert out(hub, "green")[0]["granular_markings"] == [GERMAN]

    def test_it_goes_with_a_part_that_may_not_be_seen(self, hub: HubInProcess) -> None:
        markings = [GERMAN, *marks(AMBER, "description")]
        hub.push(malware(name="n", description="d", granular_markings=markings))
        [green], [amber] = out(hub, "green"), out(hub, "amber")
        assert "description" not in green and "granular_markings" not in green
        assert amber["granular_markings"] == [*marks(AMBER, "description"), GERMAN]

    def test_it_goes_where_another_partners_words_count(self, hub: HubInProcess) -> None:
        hub.push(indicator("evil.top", description="kurz", granular_markings=[GERMAN]))
        [entry] = details(hub.push(indicator("evil.top", description="longer"), who="north"))
        [public] = out(hub, "green", "indicator")
        assert entry["x_tocsin_verdict"] == "merged" and "granular_markings" not in public
