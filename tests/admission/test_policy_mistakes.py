"""Messages about a wrong policy.toml: the file, the place in it, and the allowed values."""

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.admission import parse_policy
from tocsin.admission.errors import PolicyError
from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.model import Partner
from tocsin.server.serving import open_serving_runtime

FILE = Path("/srv/tocsin/policy.toml")


def error_message(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, FILE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "instead", "expected"),
    [
        ("object_octets", 'object_octets = "many"', ("whole number from 0 to ", "not 'many'")),
        ("object_octets", "object_octets = true", ("whole number from 0 to ", "not True")),
        ("object_octets", "", ("[limits] object_octets is missing",)),
        ("object_octets", "octets = 1", ("[limits] octets is unknown", "object_octets")),
        ("ceiling", "ceiling = 400", ("[merge] ceiling", "from 0 to 100, not 400")),
        ("unknown_types", 'unknown_types = "x"', ("[accept]", "strip, keep, refuse, not 'x'")),
        ("rules", 'rules = ["marking", "bening"]', ("[sanitise] rules", "'bening'", "benign")),
        ("rules", 'rules = "marking"', ("[sanitise] rules", "a list of rule names")),
        ("rules", "rules = []", ("[sanitise] rules", "marking")),
        (
            "rules",
            'rules = ["marking", "personal_data", "user_paths"]',
            ("[sanitise] rules", 'put "user_paths" before "personal_data"'),
        ),
        ("rules", "rules == []", ("not TOML", "at line ")),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_the_allowed_values(
    line: str, instead: str, expected: Any
) -> None:
    text = re.sub(rf"^{line} = (\[[^]]*\]|.*)", instead, policy_text(), count=1, flags=re.MULTILINE)
    answer = error_message(text)
    assert answer.startswith(f"{FILE}: ")
    assert [each for each in expected if each not in answer] == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("[limit]", ("[limit] is not a table", "[limits], [accept]")),
        ("[rules.bening]\nx = 1", ("[rules.bening]", "no sanitising rule 'bening'", "benign")),
        ("[rules.benign]\nlower = 1", ("[rules.benign] lower is unknown", "lower_by")),
        ('[rules.benign]\nlower_by = "1"', ("[rules.benign] lower_by", "whole number", "'1'")),
        ("[rules.benign]\nlower_by = -9", ("[rules.benign] lower_by", "from 0", "-9")),
        ('[rules.marking]\nacs_scopes = "USG"', ("acs_scopes", "a list of words", "'USG'")),
        ('[rules.marking]\nacs_custodian = "acme"', ("acs_custodian", "such as USA.DHS", "'acme'")),
        ('[rules.benign.lists]\nx = "maybe"', ("[rules.benign] lists", "refuse", "'maybe'")),
        ('[rules.personal_data]\nregions = ["USA"]', ("regions", "AC, AD, AE … ZW", "'USA'")),
        ("[partners.acme]\nx = 1", ("[partners.acme] x is unknown", "rules")),
        ("[partners.acme.rules.benign]\nx = 1", ("[partners.acme.rules.benign] x", "lower_by")),
        (
            '[rules.marking]\nunknown = "keep"',
            ("unknown must be", "hold, refuse", "'keep'"),
        ),
        ("[partners.ACME.rules.benign]\nlower_by = 1", ("[partners.ACME]", "small letters")),
    ],
)
def test_a_wrong_table_is_refused_with_its_place_and_the_allowed_names(
    more: str, expected: Any
) -> None:
    answer = error_message(f"{policy_text()}\n{more}\n")
    assert answer.startswith(f"{FILE}: ")
    assert [each for each in expected if each not in answer] == []


@pytest.mark.parametrize("place", ["rules", "partners.acme.rules"])
def test_a_table_for_a_rule_that_is_not_applied_is_refused(place: str) -> None:
    text = policy_text().replace('    "benign",\n', "")
    assert "benign" not in text.partition("rules = [")[2].partition("]")[0]
    answer = error_message(f"{text}\n[{place}.benign]\nlower_by = 5\n")
    assert answer.startswith(f"{FILE}: [{place}.benign] has no effect: [sanitise] rules does not")


def test_the_clients_report_policy_mistakes_with_the_name_of_their_file(
    tocsin: Callable[..., Any],
) -> None:
    Path("mine.toml").write_text("[limit]")
    Path("client.toml").write_text('policy = "mine.toml"')
    Path("iocs.txt").write_text("evil-portal.top")
    code, lines, stderr = tocsin("check", "iocs.txt")
    assert (code, lines, stderr.startswith("tocsin: mine.toml: [limit]")) == (2, [], True)


@pytest.mark.slow
def test_a_hub_reports_at_start_the_tables_for_unknown_partners(
    engine_uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "policy.toml"
    tables = "".join(f"[partners.{slug}.rules.benign]\nlower_by = 5\n" for slug in ("acme", "amce"))
    file.write_text(f"{policy_text()}\n{tables}")
    name = f"test_{uuid.uuid4().hex}"
    settings = HubSettings(data=tmp_path, policy=file, mongo_uri=engine_uri, database=name)
    with open_serving_runtime(settings, lambda text: None) as hub:
        hub.services.store.accounts.add_partner(Partner("acme", "ACME Corp"))
    assert len(_ineffective_tables(caplog)) == 2  # no partner exists yet
    with open_serving_runtime(settings, lambda text: None):
        pass
    [line] = _ineffective_tables(caplog)[2:]
    assert line.startswith("policy: [partners.amce] has no effect")


def _ineffective_tables(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each for each in caplog.messages if each.startswith("policy: ")]
