"""Withdrawals: by value, id and file, at a real hub and at other servers."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.hub import HubInProcess, indicator, sdo
from support.taxii_servers import COLLECTION, Answer, Medallion, serve_script
from support.terminal import lines_of, run_on_terminal
from support.warning_lists import warning_lists

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Action, Candidate, Submitter, Tlp
from tocsin.admission.stix import schemas
from tocsin.admission.timestamps import stix_time
from tocsin.clients.check import read_unexamined
from tocsin.clients.input_files import InputFile
from tocsin.clients.withdraw import Target, list_targets, resolve_name, revoked_version
from tocsin.config.loading import policy_text

NOW = 1_780_000_000_000_000
INDICATOR, TOOL = indicator(seed="1"), sdo("tool", name="Remote shell")
DOMAIN = {
    "type": "domain-name",
    "spec_version": "2.1",
    "id": "domain-name--00000000-0000-4000-8000-000000000001",
    "value": "evil-portal.top",
}
Run = Callable[..., Any]


def in_force(hub: HubInProcess, who: str = "acme") -> list[str]:
    """The patterns of the indicators that are not revoked."""
    found = [each for each in hub.feed("amber", who) if each["type"] == "indicator"]
    return sorted(each["pattern"] for each in found if not each.get("revoked"))


def outcomes(lines: list[str]) -> list[tuple[str, str]]:
    """(value or id, verdict) of each line but the last."""
    read = [json.loads(line) for line in lines[:-1]]
    return [(each["value"] or each["id"], each["verdict"]) for each in read]


class TestAtAHub:
    def push(self, tocsin: Run, text: str, *options: str, name: str = "report.txt") -> None:
        Path(name).write_text(text)
        assert tocsin("push", name, "--to", "inbox", *options)[0] == 0

    @pytest.mark.slow
    def test_a_value_in_any_spelling_withdraws_what_a_text_reported(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top and bad-portal.top\n")
        code, lines, stderr = tocsin(
            "withdraw", "Evil-Portal[.]top", "--to", "inbox", "--yes", "--json"
        )
        pattern = "[domain-name:value = 'evil-portal.top']"
        assert (code, stderr, outcomes(lines)) == (0, "", [(pattern, "withdrawn")])
        assert json.loads(lines[-1])["counts"] == {"named": 1, "withdrawn": 1, "absent": 0}
        assert in_force(served) == ["[domain-name:value = 'bad-portal.top']"]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.txt", "evil-portal[.]top"),
            ("a.csv", "domain,comment\nevil-portal.top,c2\n"),
            ("a.json", json.dumps({"type": "bundle", "objects": [INDICATOR, TOOL]})),
        ],
    )
    def test_a_file_withdraws_what_it_reported(
        self, tocsin: Run, served: HubInProcess, name: str, content: str
    ) -> None:
        self.push(tocsin, content, name=name)
        assert in_force(served) == ["[domain-name:value = 'evil-portal.top']"]
        code, _, _ = tocsin("withdraw", "--file", name, "--to", "inbox", "--yes")
        assert (code, in_force(served)) == (0, [])

    def test_an_id_withdraws_an_object_and_the_reports_of_others_stay(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        sent = indicator()
        served.push(sent), served.push(indicator(), who="north")
        _, lines, _ = tocsin("withdraw", sent["id"], "--to", "inbox", "--yes", "--json")
        assert outcomes(lines) == [(sent["id"], "withdrawn")]
        assert in_force(served) == ["[domain-name:value = 'evil-portal.top']"]

    @pytest.mark.slow
    def test_nobody_withdraws_what_another_partner_sent(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top", "--key", "north:north")
        code, lines, _ = tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes", "--json")
        assert (code, outcomes(lines)[0][1]) == (0, "absent")
        assert in_force(served) == ["[domain-name:value = 'evil-portal.top']"]

    @pytest.mark.slow
    def test_a_second_withdrawal_finds_nothing_and_succeeds(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top")
        words = ("withdraw", "evil-portal.top", "--to", "inbox", "--yes", "--json")
        first, second = tocsin(*words), tocsin(*words)
        assert [outcomes(each[1])[0][1] for each in (first, second)] == ["withdrawn", "absent"]
        assert second[0] == 0

    @pytest.mark.slow
    def test_a_withdrawn_value_is_reported_again_under_a_new_id(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top")
        tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        code, lines, _ = tocsin("push", "report.txt", "--to", "inbox")
        assert (code, in_force(served)) == (1, [])
        assert "send it under a new id (tocsin push --new-ids)" in "".join(lines)
        code, lines, _ = tocsin("push", "report.txt", "--to", "inbox", "--new-ids", "--json")
        assert (code, len(in_force(served))) == (0, 1)
        id = json.loads(lines[0])["source_id"]
        assert tocsin("withdraw", id, "--to", "inbox", "--yes")[0] == 0
        assert in_force(served) == []

    @pytest.mark.slow
    def test_an_object_with_an_id_of_its_own_needs_no_option_for_a_new_one(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, json.dumps(INDICATOR), name="a.json")
        tocsin("withdraw", INDICATOR["id"], "--to", "inbox", "--yes")
        _, lines, _ = tocsin("push", "a.json", "--to", "inbox")
        assert "new id" in "".join(lines) and "--new-ids" not in "".join(lines)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["evil-portal.top", "report.txt"])
    def test_what_was_sent_under_a_new_id_is_withdrawn_by_its_value(
        self, tocsin: Run, served: HubInProcess, name: str
    ) -> None:
        self.push(tocsin, "evil-portal.top", "--new-ids")
        assert len(in_force(served)) == 1
        code, lines, stderr = tocsin("withdraw", name, "--to", "inbox", "--yes", "--json")
        assert (code, stderr, in_force(served)) == (0, "", [])
        assert sorted(verdict for _, verdict in outcomes(lines)) == ["absent", "withdrawn"]

    def test_a_dry_run_shows_the_new_ids_too(self, tocsin: Run, served: HubInProcess) -> None:
        self.push(tocsin, "evil-portal.top", "--new-ids")
        words = ("withdraw", "evil-portal.top", "--dry-run", "--json")
        assert len(tocsin(*words)[1]) == len(tocsin(*words, "--to", "inbox")[1]) == 2

    def test_a_dry_run_shows_what_a_withdrawal_sends_after_the_url_of_the_hub_changed(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.push(tocsin, "evil-portal.top", "--new-ids")
        moved = os.environ["TOCSIN_URL"].replace("/taxii2/", "/other/taxii2/")
        monkeypatch.setenv("TOCSIN_URL", moved)
        words = ("withdraw", "evil-portal.top", "--to", "inbox", "--json")
        assert len(tocsin(*words, "--dry-run")[1]) == 2

    @pytest.mark.slow
    def test_a_value_of_a_stix_file_is_withdrawn_if_it_is_named_itself(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, json.dumps({"type": "bundle", "objects": [INDICATOR]}), name="a.json")
        Path("iocs.txt").write_text("evil-portal.top\n")
        words = ("--to", "inbox", "--json")
        assert outcomes(tocsin("withdraw", "iocs.txt", *words, "--yes")[1])[0][1] == "absent"
        assert len(in_force(served)) == 1
        assert len(tocsin("withdraw", "evil-portal.top", *words, "--dry-run")[1]) == 2
        code, lines, stderr = tocsin("withdraw", "evil-portal.top", *words, "--yes")
        assert (code, stderr, in_force(served)) == (0, "", [])
        assert sorted(verdict for _, verdict in outcomes(lines)) == ["absent", "withdrawn"]

    @pytest.mark.slow
    def test_a_value_that_was_replaced_under_its_id_takes_back_nothing_else(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        newer = {**INDICATOR, "modified": "2026-05-01T10:00:00.000Z"}
        newer["pattern"] = "[domain-name:value = 'bad-portal.top']"
        for version in (INDICATOR, newer):
            self.push(tocsin, json.dumps({"type": "bundle", "objects": [version]}), name="a.json")
        words = ("withdraw", "evil-portal.top", "--to", "inbox", "--json")
        sentence = (
            "tocsin: evil-portal.top was replaced by bad-portal.top under the same id "
            f"({INDICATOR['id']}); withdraw bad-portal.top to take it back\n"
        )
        _, lines, stderr = tocsin(*words, "--dry-run")
        assert (len(lines), stderr) == (1, sentence)
        code, lines, stderr = tocsin(*words, "--yes")
        assert (code, stderr, outcomes(lines)[0][1]) == (0, sentence, "absent")
        assert in_force(served) == [newer["pattern"]]
        code, _, stderr = tocsin("withdraw", "bad-portal.top", "--to", "inbox", "--yes")
        assert (code, stderr, in_force(served)) == (0, "", [])
        assert "was replaced" not in tocsin(*words, "--yes")[2]

    @pytest.mark.slow
    def test_an_older_version_that_was_sent_last_does_not_count_as_the_last_one(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        newer = {**INDICATOR, "modified": "2026-05-01T10:00:00.000Z"}
        newer["pattern"] = "[domain-name:value = 'bad-portal.top']"
        for version in (newer, INDICATOR):
            self.push(tocsin, json.dumps({"type": "bundle", "objects": [version]}), name="a.json")
        words = ("withdraw", "evil-portal.top", "--to", "inbox")
        assert len(tocsin(*words, "--dry-run", "--json")[1]) == 1
        code, _, stderr = tocsin(*words, "--yes")
        assert (code, in_force(served)) == (0, [newer["pattern"]])
        assert "evil-portal.top was replaced by bad-portal.top under the same id" in stderr
        tocsin("withdraw", "bad-portal.top", "--to", "inbox", "--yes")
        assert in_force(served) == []

    @pytest.mark.slow
    def test_a_value_that_the_hub_refused_has_replaced_nothing(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        newer = {**INDICATOR, "modified": "2026-05-01T10:00:00.000Z"}
        newer["pattern"] = "[domain-name:value = 'bad-portal.top']"
        served.services.lifecycle.exclude("bad-portal.top", "operator", "")
        Path("a.json").write_text(json.dumps({"type": "bundle", "objects": [INDICATOR]}))
        Path("b.json").write_text(json.dumps({"type": "bundle", "objects": [newer]}))
        codes = [tocsin("push", name, "--to", "inbox")[0] for name in ("a.json", "b.json")]
        assert (codes, in_force(served)) == ([0, 1], [INDICATOR["pattern"]])
        code, lines, stderr = tocsin(
            "withdraw", "evil-portal.top", "--to", "inbox", "--yes", "--json"
        )
        assert (code, stderr, in_force(served)) == (0, "", [])
        assert sorted(verdict for _, verdict in outcomes(lines)) == ["absent", "withdrawn"]

    def push_one_that_waits(self, tocsin: Run) -> None:
        """A newer version with another value, which a reviewer is to look at."""
        waiting = {
            **INDICATOR,
            "modified": "2026-06-01T10:00:00.000Z",
            "pattern": "[domain-name:value = 'bad-portal.top']",
            "object_marking_refs": ["marking-definition--11111111-1111-4111-8111-111111111111"],
        }
        self.push(tocsin, json.dumps(waiting), "--send-held", name="waiting.json")

    @pytest.mark.slow
    def test_a_value_that_a_reviewer_may_let_replace_another_one_does_so_for_a_withdrawal(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, json.dumps(INDICATOR), name="a.json")
        self.push_one_that_waits(tocsin)
        words = ("--to", "inbox", "--yes", "--json")
        code, lines, stderr = tocsin("withdraw", "evil-portal.top", *words)
        assert (code, outcomes(lines)[0][1]) == (0, "absent")
        assert stderr == (
            "tocsin: evil-portal.top stays published until the hub has decided about "
            f"bad-portal.top, which is to replace it under the same id ({INDICATOR['id']}); "
            "withdraw bad-portal.top to take back both\n"
        )
        assert in_force(served) == [INDICATOR["pattern"]]
        code, _, stderr = tocsin("withdraw", "bad-portal.top", *words)
        assert (code, stderr, in_force(served)) == (0, "", [])

    @pytest.mark.slow
    def test_beside_a_version_that_waits_only_the_published_value_is_said_to_stay(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        newer = {**INDICATOR, "modified": "2026-05-01T10:00:00.000Z"}
        newer["pattern"] = "[domain-name:value = 'mid-portal.top']"
        for version in (INDICATOR, newer):
            self.push(tocsin, json.dumps(version), name="a.json")
        self.push_one_that_waits(tocsin)
        code, _, stderr = tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        assert (code, in_force(served)) == (0, [newer["pattern"]])
        assert "evil-portal.top was replaced by bad-portal.top under the same id" in stderr
        stderr = tocsin("withdraw", "mid-portal.top", "--to", "inbox", "--yes")[2]
        assert "mid-portal.top stays published until the hub has decided about bad-" in stderr

    @pytest.mark.slow
    def test_a_derived_id_that_has_another_value_now_stays(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        [derived] = resolve_name("evil-portal.top", NOW)
        edited = {
            **INDICATOR,
            "id": derived.id,
            "pattern": "[domain-name:value = 'bad-portal.top']",
        }
        self.push(tocsin, "evil-portal.top")
        edited["modified"] = stix_time(time.time_ns() // 1000)
        self.push(tocsin, json.dumps({"type": "bundle", "objects": [edited]}), name="a.json")
        before = in_force(served)
        code, _, stderr = tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        assert (code, in_force(served)) == (0, before) and "was replaced by bad-portal" in stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("operator", ["OR", "AND"])
    def test_a_pattern_with_further_values_is_named_and_stays(
        self, tocsin: Run, served: HubInProcess, operator: str
    ) -> None:
        pattern = f"[domain-name:value = 'evil-portal.top' {operator} ipv4-addr:value = '8.9.7.6']"
        several = {**INDICATOR, "pattern": pattern}
        self.push(tocsin, json.dumps({"type": "bundle", "objects": [several]}), name="a.json")
        before = in_force(served)
        code, _, stderr = tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        assert (code, in_force(served), len(before)) == (0, before, 1)
        assert "tocsin: evil-portal.top is one of several values of [" in stderr
        assert "'8.9.7.6'" in stderr and stderr.count("\n") == 1
        assert stderr.endswith(f"to take it back, withdraw {INDICATOR['id']}\n")
        assert "several" not in tocsin("withdraw", "portal.top", "--to", "inbox", "--yes")[2]

    @pytest.mark.slow
    def test_where_nothing_was_published_it_advises_to_give_the_id(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOCSIN_RECORD_PUSHES", "false")
        self.push(tocsin, "evil-portal.top", "--new-ids")
        code, lines, stderr = tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        assert (code, len(in_force(served))) == (0, 1) and "0 withdrawn, 1 absent" in lines[-1]
        assert "of 1 value nothing of yours is published under its id; if you sent it" in stderr
        assert (
            "give the file, or the id" in stderr
            and "if you sent an observable, ask the operator" in stderr
        )

    @pytest.mark.slow
    def test_it_prints_how_to_see_its_verdicts_again(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top")
        _, lines, _ = tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        (line,) = [each for each in lines if each.startswith("`tocsin status ")]
        id = line.split()[2].rstrip("`")
        assert tocsin("status", id)[1][0].startswith(id)
        assert not tocsin("status")[1][0].startswith(id)

    def test_nothing_of_the_content_is_sent(self, tocsin: Run, served: HubInProcess) -> None:
        kept_back = indicator("intranet.acme.example", description="ask jo.doe@bank.example.net")
        Path("a.json").write_text(json.dumps({"type": "bundle", "objects": [kept_back]}))
        tocsin("withdraw", "--file", "a.json", "--to", "inbox", "--yes")
        (found,) = served.store.partner_data.submission_ids("acme")
        submission = served.store.submissions.find(found)
        assert submission is not None and kept_back["id"].encode() in submission.raw
        assert b"acme.example" not in submission.raw and b"jo.doe" not in submission.raw

    @pytest.mark.slow
    def test_on_a_terminal_it_shows_the_objects_and_asks(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top")
        command = [sys.executable, "-m", "tocsin.clients", "withdraw", "evil-portal.top"]
        code, written = run_on_terminal([*command, "--to", "inbox"], 200, 30, typed="n\n")
        assert code == 1 and "evil-portal.top (domain-name)" in written
        assert "Withdraw 1 object from inbox? This is final. [y/N]" in written
        assert in_force(served) != [] and "no record" not in written

    @pytest.mark.slow
    def test_on_a_terminal_it_says_before_it_asks_what_was_never_sent(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top")
        command = [sys.executable, "-m", "tocsin.clients", "withdraw"]
        command += ["evil-portal.top", "bad-portal.top", "--to", "inbox"]
        _, written = run_on_terminal(command, 200, 30, typed="n\n")
        before = written.partition("Withdraw 2 objects from inbox?")[0]
        assert (
            "tocsin: this computer has no record of sending 1 of these objects to inbox" in before
        )

    @pytest.mark.slow
    def test_on_a_terminal_outcomes_stand_on_their_own_lines_of_at_most_80_characters(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        self.push(tocsin, "evil-portal.top")
        command = [sys.executable, "-m", "tocsin.clients", "withdraw", "evil-portal.top", "--yes"]
        _, written = run_on_terminal([*command, "--to", "inbox"], 80, 30)
        lines = lines_of(written.replace("\r", "\n"))
        assert "withdrawn evil-portal.top (domain-name)" in lines
        assert max(map(len, lines)) <= 80


class TestCommandLine:
    def test_a_file_needs_no_option(self, tocsin: Run, partner: Medallion) -> None:
        Path("iocs.csv").write_text("domain\nevil-portal.top\n")
        code, lines, _ = tocsin("withdraw", "iocs.csv", "--to", COLLECTION, "--yes", "--json")
        pattern = "[domain-name:value = 'evil-portal.top']"
        assert (code, outcomes(lines)) == (0, [(pattern, "withdrawn")])

    def test_a_name_that_is_a_value_and_a_file_is_wrong_usage(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        Path("evil-portal.top").write_text("bad-portal.top\n")
        code, _, stderr = tocsin("withdraw", "evil-portal.top", "--to", COLLECTION, "--yes")
        assert (code, "give the file with --file" in stderr) == (2, True)

    def test_a_dry_run_shows_each_object_and_needs_no_hub(self, tocsin: Run, alone: None) -> None:
        away = ("--url", "http://127.0.0.1:9/taxii2/", "--to", "inbox")
        code, lines, stderr = tocsin("withdraw", "a-portal.top", "1.2.3.4", "--dry-run", *away)
        assert (code, stderr, len(lines)) == (0, "", 2)
        assert lines[0].startswith("ready     indicator--") and lines[0].endswith("'a-portal.top']")

    def test_without_a_terminal_it_asks_for_yes(self, tocsin: Run, partner: Medallion) -> None:
        code, _, stderr = tocsin("withdraw", "evil-portal.top", "--to", COLLECTION)
        assert (code, "--yes" in stderr, stderr.count("\n")) == (2, True, 1)

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ([], "nothing is named"),
            (["hello"], "nor the id"),
            (["ipv4-addr--e1f5bfd8-5ba5-5dbb-a49d-6e3b8f0ad1a7"], "ask the operator"),
            (["marking-definition--e1f5bfd8-5ba5-5dbb-a49d-6e3b8f0ad1a7"], "ask the operator"),
        ],
    )
    def test_what_cannot_be_withdrawn_is_wrong_usage_and_nothing_is_sent(
        self, tocsin: Run, partner: Medallion, names: list[str], message: str
    ) -> None:
        words = ("withdraw", "evil-portal.top", *names) if names else ("withdraw",)
        code, lines, stderr = tocsin(*words, "--to", COLLECTION, "--yes")
        assert (code, lines, message in stderr) == (2, [], True)
        assert partner.backend.data["partner"]["collections"][0]["objects"] == []

    def test_a_file_that_cannot_be_read_exits_with_4_and_the_rest_is_withdrawn(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        words = ("evil-portal.top", "--file", "nosuch.txt", "--to", COLLECTION, "--yes", "--json")
        code, lines, stderr = tocsin("withdraw", *words)
        assert (code, "nosuch.txt: cannot be read" in stderr) == (4, True)
        assert json.loads(lines[-1])["counts"]["failed_files"] == 1
        (arrived,) = partner.backend.data["partner"]["collections"][0]["objects"]
        assert arrived["revoked"] is True

    def test_a_file_without_anything_to_withdraw_is_reported(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        Path("letter.txt").write_text("All is well.\n")
        code, _, stderr = tocsin("withdraw", "--file", "letter.txt", "--to", COLLECTION, "--yes")
        assert (code, "nothing to withdraw was found" in stderr) == (1, True)

    def test_of_observables_it_says_that_the_operator_withdraws_them(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        Path("domain.json").write_text(json.dumps({"type": "bundle", "objects": [DOMAIN]}))
        Path("both.json").write_text(json.dumps({"type": "bundle", "objects": [DOMAIN, INDICATOR]}))
        names = ("--file", "domain.json", "--file", "both.json")
        code, lines, stderr = tocsin("withdraw", *names, "--to", COLLECTION, "--yes", "--json")
        for name in ("domain.json", "both.json"):
            assert f"{name}: 1 observable left out; ask the operator of the hub" in stderr
        assert (code, len(lines), "nothing to withdraw" in stderr) == (0, 2, False)

    def test_after_a_server_error_objects_are_unsent_and_it_exits_with_3(self, tocsin: Run) -> None:
        def script(request: Any) -> Any:
            return Answer({"title": "Gone"}, 500) if request.method == "POST" else None

        with serve_script(script) as server:
            words = ("--to", "feed", "--url", server.url, "--yes", "--json")
            code, lines, _ = tocsin("withdraw", "evil-portal.top", *words)
        assert (code, json.loads(lines[0])["verdict"]) == (3, "unsent")


REVOCABLE = sorted(
    each
    for each in schemas.standard_types()
    if not is_observable_type(each) and each not in ("bundle", "marking-definition")
)


class TestRevokedVersions:
    @pytest.mark.parametrize("kind", [*REVOCABLE])
    def test_they_are_valid_stix_of_every_type(self, kind: str) -> None:
        id = f"{kind}--e1f5bfd8-5ba5-4dbb-a49d-6e3b8f0ad1a7"
        subject = revoked_version(id, NOW)
        pipeline = Pipeline(parse_policy(policy_text()), Submitter(), warning_lists())
        (examined,) = pipeline.examine([Candidate.from_object(0, subject)], NOW)
        refused = [each for each in examined.findings if each.action is Action.REFUSED]
        assert (subject["revoked"], refused) == (True, [])

    def test_a_type_that_stix_does_not_define_has_the_common_properties(self) -> None:
        subject = revoked_version("x-case--e1f5bfd8-5ba5-4dbb-a49d-6e3b8f0ad1a7", NOW)
        assert set(subject) == {"type", "spec_version", "id", "created", "modified", "revoked"}


class TestTargets:
    def test_a_value_has_the_id_under_which_a_text_is_pushed(self) -> None:
        text = InputFile("a.txt", b"evil-portal.top\n")
        (pushed,) = read_unexamined(text, NOW, Tlp.AMBER).candidates
        assert [each.id for each in resolve_name("evil-portal[.]top", NOW)] == [pushed.source_id]

    def test_of_a_file_identities_markings_and_observables_are_left_out(self) -> None:
        sent = indicator()
        others = [
            sdo("identity"),
            {"type": "ipv4-addr", "id": "ipv4-addr--e1f5bfd8-5ba5-5dbb-a49d-6e3b8f0ad1a7"},
            {
                "type": "marking-definition",
                "id": sent["id"].replace("indicator", "marking-definition"),
            },
            {"type": "tool", "id": "tool--1"},
            {"type": "tool"},
        ]
        bundle = json.dumps({"type": "bundle", "objects": [sent, *others]}).encode()
        found = list_targets(read_unexamined(InputFile("a.json", bundle), NOW, Tlp.AMBER))
        assert found == [Target(sent["id"], sent["pattern"], "a.json")]

    def test_an_id_in_capitals_is_understood(self) -> None:
        id = indicator()["id"]
        assert resolve_name(f" {id.upper()}", NOW) == [Target(id)]
