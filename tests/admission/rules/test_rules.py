"""How rules are found and their settings checked."""

from typing import Any

import pytest
from support.rules import rule_context

from tocsin.admission.errors import PolicyError
from tocsin.admission.model import Candidate
from tocsin.admission.rules import build_rule, check_settings, default_settings, rule_names


class TestRules:
    def test_rules_are_found_by_folder(self) -> None:
        assert set(rule_names()) >= {
            *("anonymise_source", "personal_data", "victim_terms"),
            *("private_addresses", "benign", "marking"),
        }

    @pytest.mark.parametrize("name", ["nonsense", "_masking", "os.path", ""])
    def test_unknown_rules_are_refused(self, name: str) -> None:
        with pytest.raises(PolicyError, match="no sanitising rule"):
            check_settings(name, {})

    @pytest.mark.parametrize("name", rule_names())
    def test_each_rule_accepts_its_own_defaults(self, name: Any) -> None:
        check_settings(name, default_settings(name))

    @pytest.mark.parametrize("settings", [{"hodl": []}, {"hold": "resolvers"}])
    def test_wrong_settings_of_a_rule_are_named(self, settings: Any) -> None:
        with pytest.raises(PolicyError, match=next(iter(settings))):
            check_settings("benign", settings)

    @pytest.mark.parametrize("name", rule_names())
    def test_every_rule_passes_an_object_that_could_not_be_read(self, name: Any) -> None:
        candidate = build_rule(name, rule_context())(Candidate(0, None))
        assert candidate.object is None
