"""[limits], [accept], [merge] and [decay] of the policy: each setting is what decides."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.hub import GREEN
from support.stix_objects import TIME, made, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.merge.confidence import Source, combine_confidence, weigh_confidence
from tocsin.admission.merge.decay import decay_confidence, half_life
from tocsin.admission.model import Candidate, Submitter, Verdict
from tocsin.admission.policy import _TABLES
from tocsin.admission.timestamps import DAY, stix_time
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000
OWN = made("malware", x_own="told", object_marking_refs=[GREEN])
CASE = OWN | {"type": "x-case", "id": ref("x-case"), "created": TIME}
PLAIN = made("malware", object_marking_refs=[GREEN])
KQL = made("indicator", pattern="told", pattern_type="kql", object_marking_refs=[GREEN])
OCTETS = len(str(PLAIN).replace(": ", ":").replace(", ", ",").replace("True", "true"))
SOON = PLAIN | {"modified": stix_time(NOW + 60_000_000)}

TRIED = [
    ("object_octets", OCTETS, PLAIN, "kept"),
    ("object_octets", OCTETS - 1, PLAIN, "refused"),
    ("pattern_characters", 4, KQL, "kept"),
    ("pattern_characters", 3, KQL, "refused"),
    ("clock_skew_seconds", 60, SOON, "kept"),
    ("clock_skew_seconds", 59, SOON, "refused"),
    ("unknown_types", '"keep"', CASE, "kept"),
    ("unknown_types", '"strip"', CASE, "stripped"),
    ("unknown_types", '"refuse"', CASE, "refused"),
    ("unknown_patterns", '"keep"', KQL, "kept"),
    ("unknown_patterns", '"refuse"', KQL, "refused"),
    ("custom_properties", '"keep"', OWN, "kept"),
    ("custom_properties", '"strip"', OWN, "stripped"),
    ("custom_properties", '"refuse"', OWN, "refused"),
]


def policy(setting: Any, value: Any) -> Any:
    text, count = re.subn(rf"(?m)^{setting} = \S+", f"{setting} = {value}", policy_text(None))
    assert count == 1
    return parse_policy(text)


@pytest.mark.parametrize(("setting", "value", "subject", "outcome"), TRIED)
def test_what_is_accepted_and_how_long_it_may_be(
    setting: Any, value: Any, subject: Any, outcome: Any
) -> None:
    candidate = Candidate(0, subject, subject["id"], subject["modified"])
    examiner = Pipeline(policy(setting, value), Submitter(), WarningLists([]))
    [told] = examiner.examine([candidate], NOW)
    actions = {finding.action.value for finding in told.findings if finding.stage == "validate"}
    assert (told.verdict is Verdict.REFUSED) == (outcome == "refused") == ("refused" in actions)
    assert ("stripped" in actions) == (outcome == "stripped")
    assert told.is_open == (outcome != "refused")
    assert (told.object == subject) == (outcome != "stripped")


KINDS = {
    "ipv4_days": "ipv4-addr:value = '45.12.1.2'",
    "ipv6_days": "ipv6-addr:value = '2a00::1'",
    "url_days": "url:value = 'http://evil.top/'",
    "domain_days": "domain-name:value = 'evil.top'",
    "email_days": "email-addr:value = 'a@evil.top'",
    "hash_days": "file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf84270'",
    "other_days": "mutex:name = 'x'",
}


@pytest.mark.parametrize("setting", KINDS)
@pytest.mark.parametrize("days", [0, 7])
def test_how_fast_each_kind_ages(setting: Any, days: int) -> None:
    subject = made("indicator", pattern=f"[{KINDS[setting]}]")
    assert half_life(subject, policy(setting, days).confidence) == days * DAY


FORMULA: dict[str, tuple[int, Callable[[Any], int | None], int]] = {
    "ceiling": (80, lambda scale: combine_confidence([Source(50, 100)], [], scale), 80),
    "corroboration_percent": (
        50,
        lambda scale: combine_confidence([Source(100, 55), Source(100, None)], [], scale),
        75,
    ),
    "unreliable_percent": (50, lambda scale: weigh_confidence(60, 0, scale), 30),
    "reliable_percent": (50, lambda scale: weigh_confidence(60, 100, scale), 80),
    "false_positive_percent": (
        50,
        lambda scale: combine_confidence([Source(50, 60)], [100], scale),
        30,
    ),
    "step": (25, lambda scale: decay_confidence(80, 30 * DAY, 30 * DAY, scale.step), 55),
    "refresh_days": (3, lambda scale: scale.refresh_interval, 3 * DAY),
}


@pytest.mark.parametrize("setting", FORMULA)
def test_what_confidence_is_worked_out_by(setting: Any) -> None:
    value, worked_out, expected = FORMULA[setting]
    assert worked_out(policy(setting, value).confidence) == expected


def test_every_setting_is_tried() -> None:
    tried = {setting for setting, *_ in TRIED} | KINDS.keys() | FORMULA.keys()
    elsewhere = {"quiet_period_seconds", "rules"}  # test_sightings.py, test_settings.py
    assert tried | elsewhere == {setting for table in _TABLES.values() for setting in table}
