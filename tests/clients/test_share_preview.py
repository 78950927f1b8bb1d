"""Preview of push and check, and the sending of held objects."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.paths import ROOT
from support.taxii_servers import COLLECTION, Medallion, indicator
from support.terminal import CONTROL, lines_of, run_on_terminal, with_controlling_terminal

from tocsin.admission.descriptions import describe_object
from tocsin.clients.cli.inputs import Inputs, preview_files
from tocsin.clients.share_preview import is_cut, print_share_preview
from tocsin.config.settings import ClientSettings

Run = Callable[..., Any]
PUSH = (sys.executable, "-m", "tocsin.clients", "push")
CHECK = (sys.executable, "-m", "tocsin.clients", "check")
HELD = {
    **indicator(1),
    "pattern": "[email-message:to_refs[*].value = 'accounts@northmole.example']",
}

pytestmark = pytest.mark.usefixtures("alone")


def write(name: str, *objects: dict[str, Any]) -> str:
    Path(name).write_text(json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects}))
    return name


def named(number: int, **more: Any) -> dict[str, Any]:
    return {**indicator(number), "pattern": f"[domain-name:value = 'bad{number}.top']", **more}


def shown(*names: str, most: int | None = 15) -> list[str]:
    """The lines of the preview of files, 80 columns wide."""
    written = StringIO()
    previews = preview_files(ClientSettings(), Inputs(names, "", "green"))
    results = [result for each in previews for result in each.results(before=True)]
    print_share_preview(Console(file=written, width=80, highlight=False), results, most)
    return [line.rstrip() for line in written.getvalue().splitlines()]


class TestTable:
    def test_each_object_is_shown_with_value_type_and_level(self) -> None:
        Path("a.txt").write_text("evil-portal.top and " + "5c1f0b7e93a2d8464e7a90cb13f6d285")
        rows = [line.split() for line in shown("a.txt")]
        assert ["evil-portal.top", "domain-name", "GREEN"] in rows
        assert ["5c1f0b7e93a2d8464e7a90cb13f6d285", "MD5", "GREEN"] in rows

    def test_removed_text_is_shown_before_and_after_side_by_side(self) -> None:
        lines = shown(write("a.json", named(1, description="ask jo.doe@bank.example.net")))
        section = lines[lines.index("Changed before it is sent (1)") :]
        (row,) = [line for line in section if "ask" in line]
        assert "jo.doe@" in row and "ask [removed:" in row

    def test_a_note_about_many_objects_is_one_row(self) -> None:
        Path("a.txt").write_text("TLP:AMBER\nevil-portal.top and bad-portal.top\n")
        lines = shown("a.txt")
        (row,) = [line for line in lines if line.startswith("TLP:AMBER on line 1")]
        assert "Notes (1)" in lines and row.split()[-1] == "2"

    def test_a_note_names_its_files_if_there_are_several(self) -> None:
        for name in ("a.txt", "b.txt"):
            Path(name).write_text("TLP:AMBER\nevil-portal.top\n")
        Path("c.txt").write_text(
            "bad-portal.top\nevil-typo.tpo\nhttp//broken.top/x\n45.134.26.0/24\n"
        )
        lines = shown("a.txt", "b.txt", "c.txt")
        assert any(line.startswith("a.txt, b.txt: TLP:AMBER on line 1") for line in lines)
        assert any(line.startswith("c.txt: 2 lines hold no indicator") for line in lines)
        assert any(line.startswith("2 lines hold no indicator") for line in shown("c.txt"))

    def test_one_change_of_many_objects_is_one_row(self) -> None:
        author = "identity--13003a89-9fed-40fd-aaa3-32d513b843e2"
        lines = shown(write("a.json", *(named(n, created_by_ref=author) for n in range(3))))
        assert "Changed before it is sent (1)" in lines
        assert any(line.startswith("created_by_ref of 3") for line in lines)

    def test_the_column_of_changes_is_left_out_if_nothing_changed(self) -> None:
        assert "changed" not in "\n".join(shown(write("a.json", named(1))))
        changed = named(1, description="ask jo.doe@bank.example.net")
        assert "changed" in "\n".join(shown(write("a.json", changed)))

    def test_held_and_refused_objects_are_shown_with_the_reason(self) -> None:
        private = {**indicator(2), "pattern": "[ipv4-addr:value = '10.0.4.12']"}
        text = " ".join(" ".join(shown(write("a.json", HELD, private))).split())
        assert "Held for a reviewer of the hub to look at (1)" in text
        assert "pattern: held for review" in text
        assert "Refused, never sent (1)" in text
        assert "10.0.4.12" in text and "a private, reserved or" in text

    def test_a_refused_row_of_a_table_is_shown_with_its_text(self) -> None:
        Path("a.csv").write_text("domain\nevil-portal.top\nevil-typo.tpo\n")
        lines = shown("a.csv")
        assert any(line.startswith("evil-typo.tpo") for line in lines)

    def test_no_line_is_longer_than_80_columns(self) -> None:
        long = named(1, description="ask jo.doe@bank.example.net " + "x" * 500)
        lines = shown(write("a.json", long, HELD, named(3, pattern="[broken")))
        assert max(map(len, lines)) <= 80

    def test_a_long_list_is_cut_and_says_how_many_more_there_are(self) -> None:
        name = write("a.json", *map(named, range(20)))
        assert "and 15 more" in shown(name, most=5)
        assert not any(line.startswith("and ") for line in shown(name, most=None))
        previews = preview_files(ClientSettings(), Inputs((name,), "", ""))
        results = list(previews[0].results())
        assert (is_cut(results, 19), is_cut(results, 20)) == (True, False)

    def test_control_characters_of_a_file_do_not_reach_the_terminal(self) -> None:
        lines = shown(write("a.json", named(1, description="\x1b[2J ask jo.doe@bank.example.net")))
        assert "\x1b" not in "".join(lines)

    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            ("[url:value = 'http://a.top/\\'x']", ("http://a.top/'x", "url")),
            ("[file:hashes.'SHA-256' = 'ab']", ("ab", "SHA-256")),
            ("[file:name = 'a.exe']", ("a.exe", "file")),
            ("Paper Lantern", ("Paper Lantern", "")),
        ],
    )
    def test_an_object_is_described_by_its_value_and_the_type_of_that(
        self, label: str, expected: Any
    ) -> None:
        assert describe_object({}, label) == expected


class TestCheckOnATerminal:
    def check(self, *words: str) -> tuple[int, list[str]]:
        code, written = run_on_terminal((*CHECK, *words), 80, 60)
        return code, lines_of(written.replace("\r", "\n"))

    @pytest.mark.slow
    def test_check_shows_the_tables_of_push_and_no_line_is_longer_than_the_terminal(self) -> None:
        code, lines = self.check(write("a.json", named(1), HELD), "nosuch")
        assert (code, max(map(len, lines)) <= 80) == (4, True)
        assert any(line.startswith("Would be shared (1)") for line in lines)
        (totals,) = [line for line in lines if " received, " in line]
        assert totals == "2 received, 1 ready, 0 duplicate, 1 held, 0 refused, 1 failed file"

    @pytest.mark.slow
    def test_a_message_names_the_command_that_shows_all_of_a_long_list(self) -> None:
        _, lines = self.check(write("a.json", *map(named, range(20))))
        assert "and 5 more" in lines
        assert any("tocsin check FILE | less" in line for line in lines)

    @pytest.mark.slow
    def test_explain_wraps_its_sentences(self) -> None:
        private = {**indicator(2), "pattern": "[ipv4-addr:value = '10.0.4.12']"}
        _, lines = self.check(write("a.json", private), "--explain")
        assert max(map(len, lines)) <= 80


@pytest.mark.slow
class TestOnATerminal:
    def push(self, *words: str, typed: str) -> tuple[int, list[str]]:
        command = (*PUSH, *words, "--to", COLLECTION)
        code, written = run_on_terminal(command, 80, 60, typed)
        return code, lines_of(written.replace("\r", "\n"))

    def sent(self, partner: Medallion) -> list[str]:
        collection = partner.backend.data["partner"]["collections"][0]
        return [str(each["pattern"]) for each in collection["objects"]]

    def test_push_shows_what_it_would_share_and_sends_it_on_yes(self, partner: Medallion) -> None:
        code, lines = self.push(write("a.json", named(1)), typed="y\n")
        assert (code, self.sent(partner)) == (0, [named(1)["pattern"]])
        assert any(line.startswith("Would be shared (1)") for line in lines)
        assert any("bad1.top" in line and "domain-name" in line for line in lines)

    def test_a_result_stands_on_its_own_line_beside_a_progress_bar(
        self, partner: Medallion
    ) -> None:
        name = write("a.json", named(1), named(2), named(3, pattern="[broken"))
        command = (*PUSH, name, "--to", COLLECTION, "--yes")
        _, written = run_on_terminal(command, 80, 60)
        shown = CONTROL.sub("", written)
        assert "admitted" in shown and not re.search(r"\d/\d *[a-z]", shown)

    @pytest.mark.parametrize("command", [PUSH, CHECK])
    def test_no_progress_bar_stands_beside_results_that_go_through_a_pipe(
        self, partner: Medallion, command: tuple[str, ...]
    ) -> None:
        Path("iocs.txt").write_text("".join(f"evil-portal{n}.top\n" for n in range(300)))
        words = ["iocs.txt", *(("--to", COLLECTION, "--yes") if command == PUSH else ())]
        piped = f"{shlex.join([*command, *words])} | cat"
        _, written = run_on_terminal(["sh", "-c", piped], 80, 60)
        assert "iocs.txt#0" in written and "iocs.txt#299" in written
        assert not re.search(r"\d/300", CONTROL.sub("", written))

    def test_the_progress_bar_counts_what_is_sent(self, partner: Medallion) -> None:
        name = write("a.json", named(1), named(2), named(3, pattern="[broken"))
        _, written = run_on_terminal((*PUSH, name, "--to", COLLECTION, "--yes"), 80, 60)
        assert set(re.findall(r"\d/\d", CONTROL.sub("", written))) <= {"0/2", "2/2"}
        _, written = run_on_terminal((*PUSH, "nosuch", "--to", COLLECTION, "--yes"), 80, 60)
        assert "0/0" not in CONTROL.sub("", written)

    @pytest.mark.parametrize("command", [PUSH, CHECK])
    def test_it_says_that_it_reads_what_is_typed_and_how_to_end(
        self, partner: Medallion, command: tuple[str, ...]
    ) -> None:
        words = ["-", *(("--to", COLLECTION) if command == PUSH else ())]
        answers = [("Ctrl-D;", "evil-portal.top\n\x04"), ("[y/N]", "y\n")]
        code, written = run_on_terminal([*command, *words], 100, 60, answers=answers)
        assert (code, "tocsin: reading standard input: " in written) == (0, True)
        assert len(self.sent(partner)) == (command == PUSH)

    def test_all_is_offered_once(self, partner: Medallion) -> None:
        name = write("a.json", *map(named, range(20)))
        command = (*PUSH, name, "--to", COLLECTION)
        answers = [("show all]", "a\n"), ("[y/N]", "y\n")]
        code, written = run_on_terminal(command, 80, 60, answers=answers)
        assert (code, written.count("a: show all"), len(self.sent(partner))) == (0, 1, 20)

    def test_before_the_question_it_says_what_was_sent_before_and_more_strictly(
        self, partner: Medallion
    ) -> None:
        Path("a.txt").write_text("evil-portal.top\n")
        self.push("a.txt", "--tlp", "amber", typed="y\n")
        Path("a.txt").write_text("evil-portal.top\nbad-portal.top\n")
        expected = "1 of 2 objects sent from this computer before"
        _, lines = self.push("a.txt", "--tlp", "amber", typed="n\n")
        assert expected in lines
        _, lines = self.push("a.txt", "--tlp", "green", typed="n\n")
        assert f"{expected}, 1 only at a stricter level" in lines

    def test_before_the_question_it_warns_of_readers_who_lose_what_was_sent_less_strictly(
        self, partner: Medallion
    ) -> None:
        Path("a.txt").write_text("evil-portal.top\nbad-portal.top\n")
        self.push("a.txt", "--tlp", "green", typed="y\n")
        code, lines = self.push("a.txt", typed="\n")
        warning = "2 objects were sent at TLP:GREEN before: at TLP:AMBER, readers of TLP:GREEN "
        text = " ".join(" ".join(lines).split())
        assert f"{warning}lose them; add --tlp green to keep the level" in text
        assert code == 1
        _, lines = self.push("a.txt", "--tlp", "amber", typed="y\n")
        text = " ".join(" ".join(lines).split())
        assert f"{warning}lose them" in text and "add --tlp" not in text
        _, lines = self.push("a.txt", typed="n\n")
        assert not any("lose them" in line for line in lines)

    def test_a_file_that_comes_through_a_pipe_is_asked_about_on_the_terminal(
        self, partner: Medallion
    ) -> None:
        command = f"echo evil-portal.top | {shlex.join(PUSH)} - --as a.txt --to {COLLECTION}"
        question = ("[y/N]", "n\n")
        code, written = run_on_terminal(
            with_controlling_terminal(command), 80, 60, answers=[question]
        )
        assert (code, "nothing was sent" in written, self.sent(partner)) == (1, True, [])
        code, _ = run_on_terminal(
            with_controlling_terminal(command), 80, 60, answers=[("[y/N]", "y\n")]
        )
        assert (code, len(self.sent(partner))) == (0, 1)

    def test_where_the_terminal_cannot_be_read_a_piped_file_needs_yes(
        self, partner: Medallion
    ) -> None:
        command = f"echo evil-portal.top | {shlex.join(PUSH)} - --as a.txt --to {COLLECTION}"
        code, written = run_on_terminal(("sh", "-c", command), 80, 60)
        assert (code, "give --yes" in written, self.sent(partner)) == (2, True, [])
        code, _ = run_on_terminal(("sh", "-c", f"{command} --yes"), 80, 60)
        assert (code, len(self.sent(partner))) == (0, 1)

    def test_a_script_sends_a_piped_file_unasked(self, partner: Medallion) -> None:
        command = (*PUSH, "-", "--as", "a.txt", "--to", COLLECTION)
        done = subprocess.run(command, input=b"evil-portal.top", capture_output=True, check=False)
        assert (done.returncode, len(self.sent(partner))) == (0, 1)

    def test_push_sends_nothing_if_the_answer_is_empty(self, partner: Medallion) -> None:
        code, _ = self.push(write("a.json", named(1)), typed="\n")
        assert (code, self.sent(partner)) == (1, [])

    def test_held_objects_are_sent_by_default_when_asked(self, partner: Medallion) -> None:
        code, lines = self.push(write("a.json", named(2), HELD), typed="\ny\n")
        assert (code, len(self.sent(partner))) == (0, 2)
        assert any("Send the held object too" in line for line in lines)

    def test_held_objects_are_kept_if_the_answer_is_no(self, partner: Medallion) -> None:
        code, _ = self.push(write("a.json", named(2), HELD), typed="n\ny\n")
        assert (code, self.sent(partner)) == (4, [named(2)["pattern"]])

    def test_by_default_what_only_this_computer_holds_is_kept(self, partner: Medallion) -> None:
        own = {**indicator(3), "pattern": "[domain-name:value = 'mail.ourselves.net']"}
        name = write("a.json", named(2), HELD, own)
        code, lines = self.push(name, "--term", "ourselves.net", typed="\ny\n")
        assert (code, self.sent(partner)) == (4, [named(2)["pattern"]])
        text = " ".join(" ".join(lines).split())
        assert "1 held object may be published without a review: the hub holds it only if" in text

    def test_by_default_a_draft_of_misp_is_kept(self, partner: Medallion) -> None:
        draft = json.loads((ROOT / "docs" / "examples" / "harbour-isac.misp.json").read_text())
        draft["Event"]["published"] = False
        Path("draft.json").write_text(json.dumps(draft))
        code, _ = self.push("draft.json", typed="\n")
        assert (code, self.sent(partner)) == (1, [])

    def test_the_results_do_not_repeat_what_was_shown(self, partner: Medallion) -> None:
        private = {**indicator(2), "pattern": "[ipv4-addr:value = '10.0.4.12']"}
        described = named(1, description="ask jo.doe@bank.example.net")
        _, lines = self.push(write("a.json", described, private), typed="y\n")
        assert not any("#1 " in line for line in lines)
        assert [line for line in lines if "#0 " in line]
        assert not any("replaced at description" in line for line in lines)

    def test_the_answer_a_shows_all_rows_and_asks_again(self, partner: Medallion) -> None:
        code, lines = self.push(write("a.json", *map(named, range(20))), typed="a\nn\n")
        text = "\n".join(lines)
        assert (code, self.sent(partner)) == (1, [])
        assert "and 5 more" in text and "bad19.top" in text


class TestWithoutATerminal:
    def test_a_push_says_what_it_did_not_send_and_exits_with_4(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        code, lines, stderr = tocsin("push", write("a.json", named(2), HELD), "--to", COLLECTION)
        assert (code, lines[-1]) == (
            4,
            "2 received, 1 admitted, 0 merged, 0 duplicate, 0 held, 1 withheld, 0 refused",
        )
        assert "1 object not sent" in stderr and "--send-held" in stderr

    def test_a_push_of_which_everything_is_held_exits_with_1(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        assert tocsin("push", write("a.json", HELD), "--to", COLLECTION)[0] == 1

    def test_send_held_sends_what_the_check_holds(self, tocsin: Run, partner: Medallion) -> None:
        code, _, stderr = tocsin(
            "push", write("a.json", named(2), HELD), "--to", COLLECTION, "--send-held"
        )
        assert (code, stderr) == (0, "")
        assert len(partner.backend.data["partner"]["collections"][0]["objects"]) == 2


class TestOptions:
    def arrived(self, partner: Medallion) -> dict[str, Any]:
        (found,) = partner.backend.data["partner"]["collections"][0]["objects"]
        return dict(found)

    def test_a_label_is_added_to_every_object(self, tocsin: Run, partner: Medallion) -> None:
        sent = write("a.json", named(1, labels=["old"]))
        tocsin("push", sent, "--to", COLLECTION, "--label", "phishing", "--label", "old")
        assert self.arrived(partner)["labels"] == ["old", "phishing"]

    def test_valid_for_ends_indicators_that_state_no_end(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        Path("a.txt").write_text("evil-portal.top")
        tocsin("push", "a.txt", "--to", COLLECTION, "--valid-for", "30d")
        arrived = self.arrived(partner)
        assert arrived["valid_until"][:10] > arrived["valid_from"][:10]

    def test_valid_for_leaves_an_end_that_is_stated(self, tocsin: Run, partner: Medallion) -> None:
        sent = named(1, valid_until="2031-01-01T00:00:00.000Z")
        tocsin("push", write("a.json", sent), "--to", COLLECTION, "--valid-for", "8w")
        assert self.arrived(partner) == {**sent, "object_marking_refs": [AMBER]}

    def test_an_object_that_an_option_changes_is_a_new_version(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        tocsin("push", write("a.json", named(1)), "--to", COLLECTION, "--label", "phishing")
        assert self.arrived(partner)["modified"] > named(1)["modified"]

    @pytest.mark.parametrize(("consent", "named_author"), [("none", False), ("everyone", True)])
    def test_consent_decides_whether_the_author_is_sent(
        self, tocsin: Run, partner: Medallion, consent: str, named_author: bool
    ) -> None:
        author = "identity--13003a89-9fed-40fd-aaa3-32d513b843e2"
        sent = write("a.json", named(1, created_by_ref=author))
        tocsin("push", sent, "--to", COLLECTION, "--consent", consent)
        assert ("created_by_ref" in self.arrived(partner)) == named_author

    @pytest.mark.parametrize("duration", ["", "d", "0d", "30", "30m", "-1d", "9999999d", "½d"])
    def test_a_duration_that_cannot_be_read_is_wrong_usage(
        self, tocsin: Run, duration: str
    ) -> None:
        assert tocsin("push", "a", "--to", "inbox", "--valid-for", duration)[0] == 2


AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
