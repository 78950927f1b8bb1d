"""Settings of rules in policy.toml, for all partners and for one."""

from importlib import import_module
from json import dumps
from typing import Any

import pytest

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.errors import PolicyError
from tocsin.admission.model import Candidate, RuleContext, Submitter, Verdict, Waiver
from tocsin.admission.rules import build_rule, default_settings, rule_names
from tocsin.admission.warninglists.index import WarningLists
from tocsin.admission.warninglists.lists import Reach
from tocsin.clients.check import Checker
from tocsin.clients.input_files import InputFile
from tocsin.config.loading import policy_text
from tocsin.config.settings import ClientSettings

NOTE: dict[str, Any] = {
    "type": "note",
    "spec_version": "2.1",
    "id": "note--3bc740bc-763a-4f0a-8c7c-c85f319ae188",
    "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-01-01T00:00:00.000Z",
    "content": "Ask jane@bank.test or +49 30 901820. Reported by Jane Doe.",
    "object_refs": ["malware--00000000-0000-4000-8000-000000000001"],
}
MORE = """
[rules.personal_data]
email = "keep"
telephone = "keep"

[partners.acme.rules.personal_data]
email = "hold"
"""


def examine(partner: Any, more: Any = MORE, waived: frozenset[str] = frozenset()) -> Any:
    policy = parse_policy(policy_text(None) + more)
    examiner = Pipeline(policy, Submitter(partner=partner), WarningLists([]), Waiver(waived))
    (candidate,) = examiner.examine([Candidate(0, NOTE, NOTE["id"])], 1_790_000_000_000_000)
    return candidate


class TestPartners:
    def test_a_partners_setting_overrides_the_general_one(self) -> None:
        assert examine("acme").verdict is Verdict.HELD
        assert examine("other").is_open

    def test_other_settings_keep_their_general_value(self) -> None:
        assert "+49 30 901820" in examine("acme").object["content"]
        assert "jane@bank.test" in examine("other").object["content"]

    @pytest.mark.parametrize(("partner", "verdict"), [("acme", "held"), ("", "open")])
    def test_the_preview_uses_the_settings_of_the_clients_partner(
        self, partner: str, verdict: str
    ) -> None:
        policy = parse_policy(policy_text(None) + MORE)
        checker = Checker(ClientSettings(partner=partner), policy, WarningLists([]))
        bundle = {"type": "bundle", "id": NOTE["id"].replace("note", "bundle"), "objects": [NOTE]}
        preview = checker.preview(
            InputFile("a.json", dumps(bundle).encode()), 1_790_000_000_000_000
        )
        assert [candidate.verdict for candidate in preview.candidates] == [verdict]

    @pytest.mark.parametrize(
        ("more", "named"),
        [
            ('[partners.acme.rules.personal_data]\nemial = "hold"', "emial"),
            ('[partners.acme.rules.personal_data]\nemail = "sometimes"', "one of"),
            ('[partners.acme.rules.nonsense]\nemail = "hold"', "nonsense"),
            ('[partners.acme]\nemail = "hold"', r"\[partners.acme\] email"),
            ('[partners]\nacme = "hold"', r"\[partners.acme\] must be a table"),
            ("[partners.acme.rules.anonymise_source]\nhandles = 1", "handles"),
            ("[partners.acme.rules.benign]\nhold = [1]", "hold"),
            ('[partners.acme.rules.benign.lists]\nresolvers = "maybe"', "lists"),
            ('[rules]\npersonal_data = "keep"', "personal_data"),
        ],
    )
    def test_a_wrong_setting_is_named(self, more: str, named: str) -> None:
        with pytest.raises(PolicyError, match=named):
            parse_policy(policy_text(None) + "\n" + more)

    def test_the_table_of_a_wrong_setting_is_named(self) -> None:
        more = '\n[partners.acme.rules.personal_data]\nemial = "hold"'
        with pytest.raises(PolicyError, match=r"\[partners\.acme\.rules\.personal_data\]"):
            parse_policy(policy_text(None) + more)


class TestRelease:
    def test_what_was_asked_about_goes_out_and_what_is_always_masked_does_not(self) -> None:
        content = examine("x", "", waived=frozenset(["personal_data"])).object["content"]
        assert content.endswith("Reported by Jane Doe.")
        assert "jane@bank.test" not in content and "901820" not in content


class TestModes:
    @pytest.mark.parametrize("name", rule_names())
    def test_each_default_is_one_of_the_settings_modes(self, name: Any) -> None:
        module = vars(import_module(f"tocsin.admission.rules.{name}"))
        for setting, modes in {**module.get("MODES", {}), **module.get("CHOICES", {})}.items():
            default = default_settings(name)[setting]
            members = [*default] if isinstance(default, dict | list) else [default]
            assert set(members) <= set(modes)


class TestListsOfBenign:
    LISTS = WarningLists(
        [("resolvers", Reach.EXACT, ["8.8.8.8"]), ("clouds", Reach.EXACT, ["8.8.8.8"])]
    )
    SUBJECT = {
        "type": "indicator",
        "pattern": "[ipv4-addr:value = '8.8.8.8']",
        "pattern_type": "stix",
        "confidence": 50,
    }

    def after(self, **settings: Any) -> Any:
        around = RuleContext(Submitter(), self.LISTS, settings=settings)
        return build_rule("benign", around)(Candidate(0, self.SUBJECT))

    @pytest.mark.parametrize(
        ("lists", "verdict"),
        [
            ({"resolvers": "refuse", "clouds": "hold"}, Verdict.REFUSED),
            ({"resolvers": "lower", "clouds": "hold"}, Verdict.HELD),
            ({"resolvers": "lower", "clouds": "ignore"}, Verdict.OPEN),
            ({"resolvers": "ignore", "clouds": "ignore"}, Verdict.OPEN),
        ],
    )
    def test_each_warning_list_has_its_mode_and_the_strictest_counts(
        self, lists: Any, verdict: Any
    ) -> None:
        assert self.after(lists=lists).verdict is verdict

    def test_a_list_that_lowers_costs_confidence_and_ignored_lists_nothing(self) -> None:
        lowered = self.after(lists={"resolvers": "lower", "clouds": "ignore"}).object
        assert (lowered["confidence"], lowered["labels"]) == (30, ["benign-infrastructure"])
        assert self.after(ignore=["resolvers", "clouds"]).object == self.SUBJECT

    def test_the_mode_of_all_other_warning_lists_may_be_set(self) -> None:
        assert self.after(exact="hold").verdict is Verdict.HELD
        assert self.after(exact="hold", lists={"clouds": "refuse"}).verdict is Verdict.REFUSED
