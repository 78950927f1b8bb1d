"""Rules whose exceptions name the writer's own machines are held."""

import pytest
from support.rules import apply_rule, indicator

from tocsin.admission.model import Verdict

SIGMA = """title: Beacon
detection:
  selection:
    c-uri|contains: evil.top
  filter_main:
    {}
  condition: selection and not filter_main
"""


def examine(pattern: str, language: str) -> Verdict:
    subject = indicator(pattern, pattern_type=language)
    verdict: Verdict = apply_rule("victim_terms", subject).verdict
    return verdict


class TestSigma:
    @pytest.mark.parametrize(
        "line",
        [
            "src_ip: 81.2.3.4",
            "DestinationIp:\n      - 8.8.8.8\n      - 81.2.3.4",
            "src_ip:\n      - 81.2.3.0/24",
            "Computer|endswith: '.bank.org'",
            "WorkstationName: 'HSN-JUMP01'",
            "TargetUserName:\n      - adm_huber",
            "User: 'BANK\\m.huber'",
            "src_ip|cidr:\n      - 10.0.0.0/8\n      - 141.84.0.0/16",
        ],
    )
    def test_a_filter_of_own_machines_or_people_is_held(self, line: str) -> None:
        assert examine(SIGMA.format(line), "sigma") is Verdict.HELD

    @pytest.mark.parametrize(
        "line",
        [
            "Image|endswith: '\\svchost.exe'",
            "DestinationPort: 443",
            "User|contains:\n      - 'AUTHORI'\n      - 'AUTORI'",
            "User: 'NT AUTHORITY\\SYSTEM'",
            "User|contains: 'AUTHORI' # in many languages",
            "SubjectUserName|endswith: '$'",
            "CommandLine|contains: ' --update '",
            "User|startswith: 'NT-AUTORITÄT\\'",
            "User: 'IIS APPPOOL\\DefaultAppPool'",
            "TargetUserName: ANONYMOUS LOGON",
            "DestinationIp|cidr:\n      - '20.184.0.0/13'\n      - '51.103.210.0/23'",
            "DestinationIp|cidr:\n      - '2603:1000::/24'\n      - '2620:1ec::/36'",
            "DestinationHostname|endswith: '.windowsupdate.com'",
            "DestinationIp:\n      - 8.8.8.8\n      - 2606:4700:4700::1111",
        ],
    )
    def test_a_filter_of_what_all_machines_have_is_not(self, line: str) -> None:
        assert examine(SIGMA.format(line), "sigma") is Verdict.OPEN

    @pytest.mark.parametrize(
        "condition",
        [
            "selection and not corporate",
            "selection and not 1 of corp*",
            "selection and not (corporate or other)",
        ],
    )
    def test_a_selection_that_the_condition_negates_is_one(self, condition: str) -> None:
        rule = SIGMA.format("src_ip: 81.2.3.4").replace("filter_main:", "corporate:")
        negating = rule.replace("selection and not filter_main", condition)
        assert examine(negating, "sigma") is Verdict.HELD
        affirming = rule.replace("selection and not filter_main", "selection or corporate")
        assert examine(affirming, "sigma") is Verdict.OPEN

    def test_the_message_says_that_the_rule_is_held_and_why(self) -> None:
        subject = indicator(SIGMA.format("src_ip: 81.2.3.4"), pattern_type="sigma")
        (finding,) = apply_rule("victim_terms", subject).findings
        assert finding.message == (
            "held for review: exceptions of the rule name addresses, machines or people, which may "
            "be yours; a reviewer of the hub decides"
        )

    def test_what_a_rule_looks_for_is_no_exception(self) -> None:
        rule = SIGMA.format("Image: a.exe").replace("c-uri|contains: evil.top", "dst_ip: 45.9.70.7")
        assert examine(rule, "sigma") is Verdict.OPEN


class TestNetworkRules:
    @pytest.mark.parametrize(
        "rule",
        [
            'pass ip 81.2.3.4 any -> any any (msg:"scanner"; sid:1;)',
            'alert tcp ![81.2.3.4,81.2.3.5] any -> 45.9.70.7 443 (msg:"C2"; sid:1;)',
            "alert ip any any -> 45.9.70.7 any (sid:1;)\npass ip 81.2.3.4 any -> any any (sid:2;)",
            'alert tcp !81.2.3.4 any -> 45.9.70.7 443 (msg:"C2"; sid:1;)',
        ],
    )
    def test_a_rule_that_lets_addresses_pass_is_held(self, rule: str) -> None:
        assert examine(rule, "suricata") is Verdict.HELD

    @pytest.mark.parametrize(
        "rule",
        [
            'alert tcp $HOME_NET any -> 45.9.70.7 443 (msg:"C2"; sid:1;)',
            'alert http $HOME_NET any -> !$DNS any (content:!"81.2.3.4"; sid:1;)',
        ],
    )
    def test_a_rule_on_an_attackers_address_is_not(self, rule: str) -> None:
        assert examine(rule, "suricata") is Verdict.OPEN
