"""Indicators and observables on warning lists."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.slowness import measure_slowness

from tocsin.admission.model import (
    Action,
    Candidate,
    RuleContext,
    Submitter,
    Verdict,
    WarninglistHit,
)
from tocsin.admission.output_formats.listed_values import KINDS, listed_values, without_wildcards
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.rules import approve_settings, build_rule
from tocsin.admission.warninglists.index import WarningLists, WithExclusions
from tocsin.admission.warninglists.lists import Reach

LISTS = WarningLists(
    [
        ("famous sites", Reach.WIDE, ["good.test"]),
        ("resolvers", Reach.EXACT, ["8.8.8.8"]),
        ("clouds", Reach.WITHIN, ["52.0.0.0/8"]),
    ]
)


HELD = WarningLists([("popular", Reach.EXACT, ["popular.test"])], mode="hold")


def indicator(pattern: str, **more: Any) -> Any:
    return {"type": "indicator", "pattern": pattern, "pattern_type": "stix", **more}


def apply_benign(subject: Any, settings: Any = None, lists: Any = LISTS) -> Any:
    context = RuleContext(Submitter(), lists, settings=settings or {})
    return build_rule("benign", context)(Candidate(0, subject))


class TestBenign:
    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'good.test']",
            "[ipv4-addr:value = '8.8.8.8']",
            "[domain-name:value = 'good.test' OR ipv4-addr:value = '8.8.8.8']",
            "[url:value = 'https://good.test/']",
            "[url:value = 'https://good.test/*']",
            "[url:value = 'https://GOOD.test/**']",
        ],
    )
    def test_an_indicator_on_listed_values_only_is_refused(self, pattern: str) -> None:
        candidate = apply_benign(indicator(pattern))
        assert candidate.verdict is Verdict.REFUSED
        assert "warning list" in candidate.findings[0].message

    def test_an_indicator_on_listed_and_other_values_is_held(self) -> None:
        candidate = apply_benign(indicator("[domain-name:value IN ('good.test', 'evil.test')]"))
        assert candidate.verdict is Verdict.HELD

    def test_a_list_that_attackers_may_be_on_holds(self) -> None:
        held = apply_benign(indicator("[domain-name:value = 'popular.test']"), lists=HELD)
        assert held.verdict is Verdict.HELD
        assert held.findings[0].message.startswith("held for review: known to be harmless")

    @pytest.mark.parametrize(
        ("settings", "verdict"),
        [
            ({"exact": "refuse"}, Verdict.HELD),
            ({"exact": "lower"}, Verdict.OPEN),
            ({"lists": {"popular": "refuse"}}, Verdict.REFUSED),
            ({"ignore": ["popular"]}, Verdict.OPEN),
        ],
    )
    def test_the_policy_may_change_what_such_a_list_does(
        self, settings: Any, verdict: Verdict
    ) -> None:
        subject = indicator("[domain-name:value = 'popular.test']")
        assert apply_benign(subject, settings, HELD).verdict is verdict

    def test_a_warning_list_may_hold_or_be_ignored(self) -> None:
        subject = indicator("[ipv4-addr:value = '8.8.8.8']")
        held = apply_benign(subject, {"hold": ["resolvers"]})
        ignored = apply_benign(subject, {"ignore": ["resolvers"]})
        assert (held.verdict, ignored.verdict) == (Verdict.HELD, Verdict.OPEN)

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value != 'good.test' AND domain-name:value LIKE '%.evil.test']",
            "[domain-name:value LIKE 'good.test']",
            "[domain-name:value = 'evil.test']",
        ],
    )
    def test_a_pattern_that_does_not_match_on_a_listed_value_stays(self, pattern: str) -> None:
        assert apply_benign(indicator(pattern)).findings == ()

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'evil.good.test']",
            "[url:value = 'https://good.test/evil']",
            "[ipv4-addr:value = '52.1.2.3']",
        ],
    )
    def test_a_value_close_to_a_listed_one_is_labelled_and_loses_confidence(
        self, pattern: str
    ) -> None:
        candidate = apply_benign(indicator(pattern, confidence=50, labels=["c2"]))
        assert candidate.is_open
        assert candidate.object["labels"] == ["c2", "benign-infrastructure"]
        assert candidate.object["confidence"] == 30
        assert candidate.findings[0].action is Action.LOWERED

    def test_confidence_is_lowered_only_once(self) -> None:
        subject = indicator("[ipv4-addr:value = '52.1.2.3']", confidence=50)
        once = apply_benign(subject).object
        assert apply_benign(once).object == once
        assert "labels" not in subject

    def test_missing_confidence_is_not_invented(self) -> None:
        candidate = apply_benign(indicator("[ipv4-addr:value = '52.1.2.3']"))
        assert "confidence" not in candidate.object

    def test_an_observable_on_a_warning_list_is_only_noted(self) -> None:
        candidate = apply_benign({"type": "ipv4-addr", "value": "8.8.8.8"})
        assert candidate.is_open and candidate.findings[0].action is Action.NOTED

    @pytest.mark.parametrize(
        "pattern",
        [
            "[ipv4-addr:value = '0.0.0.0/0']",
            "[ipv4-addr:value ISSUBSET '52.0.0.0/11']",
            "[domain-name:value = 'evil.test' OR ipv4-addr:value = '52.0.0.0/8']",
            "[ipv6-addr:value = '2600::/19']",
            "[ipv4-addr:value LIKE '10.%']",
            "[ipv4-addr:value MATCHES '^10\\\\.']",
        ],
    )
    def test_an_indicator_on_a_network_that_would_cut_readers_off_is_held(
        self, pattern: str
    ) -> None:
        candidate = apply_benign(indicator(pattern))
        assert candidate.verdict is Verdict.HELD and "so wide" in candidate.findings[0].message
        assert apply_benign(indicator(pattern), {"wide": "keep"}, HELD).verdict is Verdict.OPEN

    @pytest.mark.parametrize(
        "pattern",
        [
            "[ipv4-addr:value = '45.0.0.0/12']",
            "[ipv6-addr:value = '2a00:1000::/28']",
            "[ipv4-addr:value = '45.0.0.1' AND ipv4-addr:value != '52.0.0.0/8']",
        ],
    )
    def test_an_indicator_on_a_narrower_network_is_not_held(self, pattern: str) -> None:
        assert apply_benign(indicator(pattern)).verdict is Verdict.OPEN


class TestWidePatterns:
    @pytest.mark.parametrize(
        "comparison",
        [
            *("domain-name:value MATCHES '.*'", "url:value LIKE '%'", "ipv4-addr:value LIKE '%'"),
            *("ipv4-addr:value != '1.1.1.1'", "domain-name:value > 'a'", "EXISTS url:value"),
            *("NOT EXISTS url:value", "domain-name:value NOT IN ('a.com')", "file:size > 0"),
            *("domain-name:value LIKE '%.com'", "domain-name:value LIKE '%.co.jp'"),
            *("domain-name:value MATCHES '\\\\.xyz$'", "url:value MATCHES '^https?://[^/]+/'"),
            *("domain-name:value MATCHES '(net|top)$'", "url:value LIKE 'http%.xyz/%'"),
            *("domain-name:value MATCHES '^(?!evil)[a-z0-9.-]{4,60}$'", "file:name LIKE '%a%'"),
            *("file:hashes.MD5 MATCHES '^[0-9a-f]{32}$'", "file:name MATCHES '(\\\\w|q)*abc?d?'"),
            *("ipv4-addr:value LIKE '45%'", "ipv4-addr:value MATCHES '\\\\.1$'"),
            *("email-addr:value LIKE '%@%.com'", "email-message:sender_ref.value LIKE '%.com'"),
            "domain-name:value NOT LIKE '%.evil.test'",
        ],
    )
    @pytest.mark.parametrize("branch", ["", "file:name = 'evil.exe' OR ", "file:name = 'x'] OR ["])
    def test_a_pattern_of_which_an_alternative_matches_nearly_everything_is_held(
        self, comparison: str, branch: str
    ) -> None:
        candidate = apply_benign(indicator(f"[{branch}{comparison}]"))
        assert candidate.verdict is Verdict.HELD
        assert "add a comparison with a value" in candidate.findings[0].message

    @pytest.mark.parametrize(
        ("comparison", "sample"),
        [
            ("domain-name:value MATCHES '^google\\\\.com$'", "google.com"),
            ("domain-name:value MATCHES 'G[o0]+gle'", "google.com"),
            ("domain-name:value MATCHES '\\\\Agoogle.com\\\\Z'", "google.com"),
            ("domain-name:value LIKE 'google.co_'", "google.com"),
            ("url:value LIKE 'https://www.google.com%'", "https://www.google.com/"),
            ("url:value LIKE 'http://192.168.%'", "http://192.168.0.1/"),
            ("ipv4-addr:value LIKE '8.8.8.%'", "8.8.8.8"),
            ("ipv4-addr:value LIKE '10.77.%'", "10.77.1.1"),
            ("ipv4-addr:value MATCHES '^10\\\\.77\\\\.'", "10.77.1.1"),
            ("network-traffic:dst_ref.value LIKE '192.168.%'", "192.168.0.1"),
            ("email-addr:value LIKE '%@gmail.com'", "jane@gmail.com"),
        ],
    )
    def test_a_pattern_that_matches_a_harmless_or_private_value_is_held(
        self, comparison: str, sample: str
    ) -> None:
        candidate = apply_benign(indicator(f"[{comparison}]"), lists=WarningLists())
        assert candidate.verdict is Verdict.HELD
        assert f"matches {sample}," in candidate.findings[0].message

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value LIKE '%.evil.test']",
            "[domain-name:value LIKE 'login-micros0ft%']",
            "[domain-name:value MATCHES '^[a-z]{12}\\\\.top$']",
            "[domain-name:value MATCHES '^[a-z0-9]{16}\\\\.(com|net)$']",
            "[domain-name:value NOT != 'evil.test']",
            "[url:value LIKE '%/wp-content/evil.php%']",
            "[url:value MATCHES '^https?://[^/]+/panel/gate\\\\.php\\\\?id=[0-9]+$']",
            "[url:value MATCHES '^(?=.*evil)https?://evil-bank\\\\.test/']",
            "[ipv4-addr:value LIKE '45.77.%']",
            "[process:command_line LIKE '%powershell%-enc%']",
            "[process:command_line LIKE '%cmd%']",
            "[file:name LIKE '%.exe']",
            "[file:name MATCHES '^[a-z]{8}\\\\.dll$']",
            "[mutex:name MATCHES 'foo']",
            "[windows-registry-key:key LIKE 'HKEY_CURRENT_USER\\\\\\\\Evil%']",
            "[file:size > 0 AND file:name = 'evil.exe']",
            "[file:size > 0] FOLLOWEDBY [domain-name:value = 'evil.test']",
            "([file:size > 0] AND [file:name = 'evil.exe']) WITHIN 5 SECONDS",
            "[network-traffic:dst_ref.value LIKE '10.%' AND network-traffic:dst_port = 4444]",
            "[network-traffic:dst_port > 1024 AND network-traffic:src_ref.value = '45.77.1.9']",
            "[process:command_line = 'ping NOT EXISTS > nul LIKE %']",
        ],
    )
    def test_a_pattern_that_a_selective_comparison_restricts_passes(self, pattern: str) -> None:
        canonical_pattern(pattern)  # it is one
        assert apply_benign(indicator(pattern)).is_open

    @pytest.mark.parametrize(
        ("comparison", "verdict"),
        [
            ("domain-name:value MATCHES '^good\\\\.test$'", Verdict.REFUSED),
            ("ipv4-addr:value ISSUPERSET '8.8.8.8/32'", Verdict.REFUSED),
            ("ipv4-addr:value LIKE '52.7.%'", Verdict.HELD),
            ("ipv4-addr:value MATCHES '^52\\\\.7\\\\.'", Verdict.HELD),
        ],
    )
    def test_an_expression_that_comes_to_a_value_or_network_is_looked_up(
        self, comparison: str, verdict: Verdict
    ) -> None:
        lists = WarningLists(
            [
                ("famous", Reach.WIDE, ["good.test"]),
                ("resolvers", Reach.EXACT, ["8.8.8.8", "52.7.1.1"]),
            ]
        )
        assert apply_benign(indicator(f"[{comparison}]"), lists=lists).verdict is verdict

    def test_an_expression_on_hosts_that_not_every_tool_reads_is_held(self) -> None:
        held = apply_benign(indicator("[domain-name:value MATCHES '^(evil)google\\\\1\\\\.test$']"))
        assert held.verdict is Verdict.HELD and "write simpler" in held.findings[0].message
        other = indicator("[file:name MATCHES '^(evil)google\\\\1\\\\.test$']")
        assert apply_benign(other).is_open

    def test_the_policy_may_keep_wide_patterns_and_a_reviewer_may_release_them(self) -> None:
        subject = indicator("[file:size > 0]")
        assert apply_benign(subject, {"wide": "keep"}).is_open
        assert apply_benign(subject, {"wide": "refuse"}).verdict is Verdict.REFUSED
        assert apply_benign(subject, approve_settings("benign", {})).is_open

    def test_patterns_of_other_languages_are_not_read(self) -> None:
        subject = indicator("[file:size > 0]", pattern_type="sigma")
        assert apply_benign(subject).is_open

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "expression",
        [
            *("(a+)+" * 5_000 + "$", "[" * 60_000, "(" * 30_000, "(?=a" * 15_000, "a{999}" * 9_000),
            *("(" * 900 + "a" + "{2000})" * 900, "(.?[a-y]?[b-x]?){1900}QQQQ", "%a" * 9_000),
            *("a|" * 30_000, "(.?[a-y]?){400}QQQQ' OR url:value MATCHES '" * 1_000 + "evil"),
            "(?<=\\\\" * 5_000,
        ],
    )
    @pytest.mark.parametrize("operator", ["LIKE", "MATCHES"])
    def test_a_hostile_expression_takes_a_bounded_time(
        self, operator: str, expression: str
    ) -> None:
        began = time.process_time()
        apply_benign(indicator(f"[url:value {operator} '{expression}']"))
        assert time.process_time() - began < measure_slowness()


class TestWhatBlockListsHold:
    """Block lists hold values behind references, and spell values in their own way."""

    EXCLUDED = WithExclusions(
        [("domain-name", "ours.top", "own"), ("email-addr", "me@ours.top", "own")], LISTS
    )

    @pytest.mark.parametrize(
        "pattern",
        [
            "[network-traffic:dst_ref.value = 'good.test']",
            "[network-traffic:src_ref.value = '8.8.8.8']",
            "[network-traffic:dst_ref.value IN ('good.test', '8.8.8.8')]",
            "[network-traffic:dst_ref.value = 'ours.top']",
            "[email-message:from_ref.value = 'me@ours.top']",
            "[email-message:sender_ref.value = 'me@ours.top']",
            "[process:opened_connection_refs[*].dst_ref.value = 'good.test']",
        ],
    )
    def test_a_value_behind_a_reference_is_judged_as_what_it_is(self, pattern: str) -> None:
        assert apply_benign(indicator(pattern), lists=self.EXCLUDED).verdict is Verdict.REFUSED

    @pytest.mark.parametrize("value", ["8.0.0.0/8", "45.0.0.0/11", "2a00::/19"])
    def test_a_wide_network_behind_a_reference_is_held(self, value: str) -> None:
        candidate = apply_benign(indicator(f"[network-traffic:dst_ref.value = '{value}']"))
        assert candidate.verdict is Verdict.HELD and "so wide" in candidate.findings[0].message

    @pytest.mark.slow
    @given(st.data())
    def test_everything_that_an_indicator_lists_was_looked_up_as_it_is_listed(
        self, data: st.DataObject
    ) -> None:
        comparisons = data.draw(st.lists(_comparisons(), min_size=1, max_size=4))
        pattern = comparisons[0]
        for each in comparisons[1:]:
            pattern += data.draw(st.sampled_from((" OR ", " AND ", "] OR ["))) + each
        subject = indicator(canonical_pattern(f"[{pattern}]"))
        asked = _AskedLists()
        apply_benign(subject, {"wide": "keep"}, asked)
        listed = listed_values(subject)
        assert {(_LISTED_TYPES[kind], value) for kind, value in listed} <= asked
        spelt = {without_wildcards(value) for kind, value in listed if kind == "url"}
        assert {("url", value) for value in spelt} <= asked

    INCLUDING = WithExclusions(
        [("ipv4-addr", "45.77.141.9", "own"), ("domain-name", "ours.top", "own")], LISTS
    )

    @pytest.mark.parametrize(
        "pattern",
        [
            "[ipv4-addr:value ISSUBSET '8.8.8.0/24']",
            "[ipv4-addr:value ISSUBSET '8.8.8.8/30']",
            "[ipv4-addr:value = '8.8.8.0/24']",
            "[ipv4-addr:value ISSUBSET '45.77.141.0/24']",
            "[ipv4-addr:value = '45.77.141.8/31']",
            "[url:value = 'https://good.test/#a']",
            "[url:value = 'https://x@good.test/']",
        ],
    )
    def test_an_indicator_with_which_a_harmless_value_would_be_blocked_is_held(
        self, pattern: str
    ) -> None:
        candidate = apply_benign(indicator(pattern), {"exact": "refuse"}, self.INCLUDING)
        assert candidate.verdict is Verdict.HELD
        assert "would also block harmless values" in candidate.findings[0].message

    def test_a_reviewer_may_release_a_network_around_a_harmless_value(self) -> None:
        settings = approve_settings("benign", {})
        subject = indicator("[ipv4-addr:value ISSUBSET '45.77.141.0/24']")
        assert apply_benign(subject, settings, self.INCLUDING).is_open

    @pytest.mark.parametrize("url", ["http://ours.top", "http://ours.top/#a", "http://a@ours.top/"])
    def test_the_start_page_of_an_excluded_domain_is_refused_also_after_approval(
        self, url: str
    ) -> None:
        subject = indicator(f"[url:value = '{url}']")
        for settings in ({}, approve_settings("benign", {})):
            assert apply_benign(subject, settings, self.INCLUDING).verdict is Verdict.REFUSED

    def test_a_network_on_a_warning_list_is_refused_with_issubset(self) -> None:
        lists = WarningLists([("mail", Reach.WIDE, ["45.1.2.0/24"])])
        subject = indicator("[ipv4-addr:value ISSUBSET '45.1.2.0/24']")
        assert apply_benign(subject, lists=lists).verdict is Verdict.REFUSED

    def test_an_observable_of_a_network_around_a_listed_address_gets_no_note(self) -> None:
        candidate = apply_benign({"type": "ipv4-addr", "value": "8.8.8.0/24"})
        assert candidate.is_open and candidate.findings == ()


_LISTED_TYPES = {
    **dict.fromkeys(KINDS, "file"),
    **{"ipv4": "ipv4-addr", "ipv6": "ipv6-addr", "domain": "domain-name"},
    **{"url": "url", "email": "email-addr"},
}
_FIELDS = (
    *("domain-name:value", "url:value", "ipv4-addr:value", "ipv6-addr:value", "email-addr:value"),
    *("network-traffic:dst_ref.value", "network-traffic:src_ref.value", "file:hashes.MD5"),
    *("email-message:from_ref.value", "email-message:'sender_ref'.value", "file:hashes.'SHA-1'"),
    *("email-message:to_refs[*].value", "domain-name:resolves_to_refs[*].value"),
)
_VALUES = (
    *("Good.Test", "b\u00fccher.example.", "8.8.8.8", "8.8.8.8/32", "8.8.8.0/24", "45.0.0.0/12"),
    *("2606:4700:4700:0::1111", "2606:4700::/32", "Me@Good.Test", "8.8.0.9/16"),
    *("http://GOOD.test:80", "https://x@good.test/#a", "http://b\u00fccher.example/\u00e4"),
    *("http://good.test/*", "http://good.test/a*b?*", "http://good.test/*#a"),
    *("http://[2606:4700::1]/", "http://8.8.8.8", "d41d8cd98f00b204E9800998ecf8427e"),
    "a9993e364706816aba3e25717850c26c9cd0d89d",
)


@st.composite
def _comparisons(draw: st.DrawFn) -> str:
    field, value = draw(st.sampled_from(_FIELDS)), draw(st.sampled_from(_VALUES))
    operator = draw(st.sampled_from(("=", "=", "IN", "ISSUBSET", "LIKE", "!=", "NOT =")))
    return f"{field} {operator} " + (f"('{value}', 'x')" if operator == "IN" else f"'{value}'")


class _AskedLists(set[tuple[str, str]]):
    """Warning lists without entries that keep what they were asked."""

    def hits(self, kind: str, value: str) -> tuple[WarninglistHit, ...]:
        """See Warninglists.hits."""
        self.add((kind, value))
        return ()
