"""Checks that are skipped for the indicators of a list change no verdict."""

from collections.abc import Callable
from typing import Any

import pytest
from support.hub import sdo
from support.warning_lists import warning_lists

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.masking import TextSearch
from tocsin.admission.model import Candidate, Submitter
from tocsin.config.loading import policy_text

NOW = 1_780_000_000_000_000
DAY = "2026-01-01T00:00:00.000Z"
Object = dict[str, Any]

VALUES = [
    "[url:value = 'http://evil.top/?mail=jane.doe@bank-of-test.example.org']",
    "[url:value = 'http://evil.top/?mail=jane%40bank-of-test.org&phone=+1-212-555-0123']",
    "[url:value = 'http://evil.top/jane(at)bank-of-test(dot)org']",
    "[url:value = 'http://10.0.0.1/a']",
    "[url:value = 'http://8.8.8.8@10.0.0.1/a']",
    "[url:value = 'http://167772161/']",
    "[url:value = 'http://user:secret@evil.top/C:/Users/jdoe/a']",
    "[url:value = 'http://evil.top/home/jdoe/a?token=abcdefghijklmnop1234']",
    "[url:value = 'http://localhost/a']",
    "[url:value = 'http://foo.localhost:80/10.0.0.1']",
    "[url:value = 'https://twitter.com/jdoe/status/1234567890']",
    "[url:value = 'http://evil.top/acme-corp/ACME Corp']",
    "[ipv4-addr:value = '10.1.2.3']",
    "[ipv4-addr:value = '8.8.4.4']",
    "[ipv4-addr:value = '203.0.113.9']",
    "[ipv4-addr:value = '100.63.0.1']",
    "[ipv4-addr:value = '239.1.1.1']",
    "[ipv4-addr:value = '300.1.1.1']",
    "[ipv4-addr:value = '9.0.0.0/8']",
    "[domain-name:value = 'vpn.acme.example']",
    "[domain-name:value = 'ip-10-0-0-1.evil.top']",
    "[domain-name:value = '1.0.0.10.in-addr.arpa']",
    "[domain-name:value = 'john-smith.evil.top']",
    "[email-addr:value = 'jane@evil.top']",
    "[file:name = 'C:\\\\\\\\Users\\\\\\\\jdoe\\\\\\\\a.exe']",
    "[file:name = '10.0.0.1 of jane@bank-of-test.org']",
    "[file:hashes.MD5 = '0cc175b9c0f1b6a831c399e269772661']",
    "[file:hashes.MD5 = '4111111111111111 4111111111111111']",
    "[file:hashes.MD5 = '12345678901234567890123456789012']",
    "[file:hashes.'SHA-256' = '+49 30 1234567']",
]


def indicator(pattern: str, number: int = 0, **more: Any) -> Object:
    made = sdo("indicator", pattern=pattern, pattern_type="stix", valid_from=DAY)
    made["id"] = f"indicator--00000000-0000-4000-8000-{number:012}"
    value = pattern.partition("= '")[2].removesuffix("']").replace("\\\\", "\\")
    return {**made, "name": value, **more}


def examine(*objects: Object) -> list[Candidate]:
    submitter = Submitter(names=("ACME Corp",), terms=("acme.example",))
    pipeline = Pipeline(parse_policy(policy_text()), submitter, warning_lists())
    submission = [Candidate.from_object(0, each) for each in objects]
    return [candidate for each in submission for candidate in pipeline.examine([each], NOW)]


@pytest.mark.parametrize("spell", [str, str.upper, str.title, "{}, seen".format, "{}".format])
def test_a_text_that_is_the_own_value_is_judged_as_if_it_was_searched(
    spell: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = [indicator(pattern, n) for n, pattern in enumerate(VALUES)]
    objects = [each | {"name": spell(each["name"])} for each in objects]
    spared = examine(*objects)
    monkeypatch.setattr(TextSearch, "_is_spared", lambda *_: False)
    assert examine(*objects) == spared


def test_some_own_values_are_spared_and_others_are_not() -> None:
    findings = {
        pattern: {each.rule for each in found.findings}
        for pattern, found in zip(VALUES, examine(*map(indicator, VALUES)), strict=True)
    }
    assert findings[VALUES[26]] == {"spelling"}
    assert {"user_paths"} <= findings[VALUES[6]] and {"private_addresses"} <= findings[VALUES[12]]


PLAIN = indicator("[domain-name:value = 'evil-portal.top']")


@pytest.mark.parametrize(
    "more",
    [
        {"id": "indicator--00000000-0000-7000-8000-000000000001"},
        {"id": "indicator--00000000-0000-4000-c000-000000000001"},
        {"id": "indicator--00000000-0000-4000-8000-00000000000G"},
        {"id": "tool--00000000-0000-4000-8000-000000000001"},
        {"id": 7},
        {"name": 7},
        {"name": None},
        {"name": "x" * 999_000},
        {"name": "x" * 1_000_000},
        {"name": "\x07" * 166_700},
        {"name": "\u3042" * 333_300},
        {"pattern": ["[domain-name:value = 'evil.top']"]},
        {"pattern": "[domain-name:value = 'evil"},
        {"pattern": "[domain-name:value = 'ev\x01il.top']"},
        {"pattern": "[ipv4-addr:value = '1.2.3.999']"},
        {"pattern": "[file:hashes.MD5 = 'x']"},
        {"pattern_type": "yara"},
        {"pattern_version": "2.1"},
        {"revoked": "no"},
        {"modified": "2025-01-01T00:00:00.000Z"},
        {"valid_from": "yesterday"},
        {"valid_until": DAY},
        {"granular_markings": [{"lang": "en", "selectors": ["nothing"]}]},
        {"object_marking_refs": ["marking-definition--1"]},
        {"x_more": 1},
    ],
)
def test_an_indicator_like_the_one_before_is_validated_as_if_it_was_alone(more: Object) -> None:
    changed = PLAIN | more
    (_, alone) = examine(PLAIN | {"created": "2025-06-01T00:00:00.000Z"}, changed)
    (*_, after) = examine(PLAIN, changed)
    (*_, between) = examine(PLAIN, changed, PLAIN, changed)
    assert after == between == alone


def test_an_indicator_is_validated_again_at_another_time() -> None:
    pipeline = Pipeline(parse_policy(policy_text()), Submitter(), warning_lists())
    candidate = Candidate.from_object(0, PLAIN)
    verdicts = [pipeline.examine([candidate], now)[0].is_open for now in (NOW, 1_000_000, NOW)]
    assert verdicts == [True, False, True]  # created in the future
