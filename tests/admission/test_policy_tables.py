"""[limits], [accept], [merge] and [decay] of the policy: each setting takes effect."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.hub import GREEN
from support.stix_objects import TIME, make_object, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.merge.confidence import (
    Source,
    combine_confidence,
    decay_confidence,
    half_life,
    lower_by_denials,
    weigh_confidence,
)
from tocsin.admission.model import Candidate, Submitter, Verdict
from tocsin.admission.policy import _TABLES
from tocsin.admission.timestamps import DAY, stix_time
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
CUSTOM_PROPERTY = make_object("malware", x_own="text", object_marking_refs=[GREEN])
CUSTOM_TYPE = CUSTOM_PROPERTY | {"type": "x-case", "id": ref("x-case"), "created": TIME}
PLAIN = make_object("malware", object_marking_refs=[GREEN])
KQL = make_object("indicator", pattern="text", pattern_type="kql", object_marking_refs=[GREEN])
OCTETS = len(str(PLAIN).replace(": ", ":").replace(", ", ",").replace("True", "true"))
FUTURE = PLAIN | {"modified": stix_time(NOW + 60_000_000)}

CASES = [
    ("object_octets", OCTETS, PLAIN, "kept"),
    ("object_octets", OCTETS - 1, PLAIN, "refused"),
    ("pattern_characters", 4, KQL, "kept"),
    ("pattern_characters", 3, KQL, "refused"),
    ("clock_skew_seconds", 60, FUTURE, "kept"),
    ("clock_skew_seconds", 59, FUTURE, "refused"),
    ("unknown_types", '"keep"', CUSTOM_TYPE, "kept"),
    ("unknown_types", '"strip"', CUSTOM_TYPE, "refused"),
    ("unknown_types", '"refuse"', CUSTOM_TYPE, "refused"),
    ("unknown_patterns", '"keep"', KQL, "kept"),
    ("unknown_patterns", '"refuse"', KQL, "refused"),
    ("custom_properties", '"keep"', CUSTOM_PROPERTY, "kept"),
    ("custom_properties", '"strip"', CUSTOM_PROPERTY, "stripped"),
    ("custom_properties", '"refuse"', CUSTOM_PROPERTY, "refused"),
]


def policy_with(setting: Any, value: Any) -> Any:
    text, count = re.subn(rf"(?m)^{setting} = \S+", f"{setting} = {value}", policy_text(None))
    assert count == 1
    return parse_policy(text)


@pytest.mark.parametrize(("setting", "value", "subject", "outcome"), CASES)
def test_each_setting_of_limits_and_accept_decides_the_outcome(
    setting: Any, value: Any, subject: Any, outcome: Any
) -> None:
    sent = Candidate(0, subject, subject["id"], subject["modified"])
    pipeline = Pipeline(policy_with(setting, value), Submitter(), WarningLists([]))
    [candidate] = pipeline.examine([sent], NOW)
    actions = {
        finding.action.value for finding in candidate.findings if finding.stage == "validate"
    }
    assert (
        (candidate.verdict is Verdict.REFUSED) == (outcome == "refused") == ("refused" in actions)
    )
    assert ("stripped" in actions) == (outcome == "stripped")
    assert candidate.is_open == (outcome != "refused")
    assert (candidate.object == subject) == (outcome != "stripped")


HALF_LIFE_PATTERNS = {
    "ipv4_days": "ipv4-addr:value = '45.12.1.2'",
    "ipv6_days": "ipv6-addr:value = '2a00::1'",
    "url_days": "url:value = 'http://evil.top/'",
    "domain_days": "domain-name:value = 'evil.top'",
    "email_days": "email-addr:value = 'a@evil.top'",
    "hash_days": "file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf84270'",
    "other_days": "mutex:name = 'x'",
}


@pytest.mark.parametrize("setting", HALF_LIFE_PATTERNS)
@pytest.mark.parametrize("days", [0, 7])
def test_each_half_life_setting_sets_the_half_life_of_its_kind(setting: Any, days: int) -> None:
    subject = make_object("indicator", pattern=f"[{HALF_LIFE_PATTERNS[setting]}]")
    assert half_life(subject, policy_with(setting, days).confidence) == days * DAY


FORMULA: dict[str, tuple[int, Callable[[Any], int | None], int]] = {
    "ceiling": (80, lambda scale: combine_confidence([Source(50, 100)], scale), 80),
    "corroboration_percent": (
        50,
        lambda scale: combine_confidence([Source(100, 55), Source(100, None)], scale),
        75,
    ),
    "unreliable_percent": (50, lambda scale: weigh_confidence(60, 0, scale), 30),
    "reliable_percent": (50, lambda scale: weigh_confidence(60, 100, scale), 80),
    "false_positive_percent": (50, lambda scale: lower_by_denials(60, [100], scale), 30),
    "step": (25, lambda scale: decay_confidence(80, 30 * DAY, 30 * DAY, scale.step), 50),
    "refresh_days": (3, lambda scale: scale.refresh_interval, 3 * DAY),
}


@pytest.mark.parametrize("setting", FORMULA)
def test_each_confidence_setting_is_a_parameter_of_the_formula(setting: Any) -> None:
    value, compute, expected = FORMULA[setting]
    assert compute(policy_with(setting, value).confidence) == expected


def test_every_setting_of_the_policy_tables_has_a_test() -> None:
    covered = {setting for setting, *_ in CASES} | HALF_LIFE_PATTERNS.keys() | FORMULA.keys()
    elsewhere = {"quiet_period_seconds", "rules"}  # test_sightings.py, test_settings.py
    assert covered | elsewhere == {setting for table in _TABLES.values() for setting in table}
