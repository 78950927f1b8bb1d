"""The local record of pushes: what it keeps, who can read it, and what a crash leaves of it."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from rich.console import Console
from support.hub import HubInProcess
from support.taxii_servers import COLLECTION, Answer, Medallion, serve_script

from tocsin.clients.http import Collection
from tocsin.clients.push_record import PushKind, PushRecords, SentObject
from tocsin.clients.responses import parse_status
from tocsin.clients.results import ObjectResult
from tocsin.clients.terminal import print_status

INBOX = Collection("1", "inbox", "Inbox", "", False, True, "https://h/hub/", "https://h/hub/c/1/")
Run = Callable[..., Any]


def status(id: str) -> Any:
    return parse_status({"id": id, "status": "complete"})


def result(label: str) -> ObjectResult:
    return ObjectResult("a.txt", 0, f"indicator--{label}", "ready", (), None, label=label)


class TestRecords:
    def test_a_push_is_listed_with_its_statuses_objects_and_counts(self, tmp_path: Path) -> None:
        records = PushRecords(tmp_path)
        with records.begin(INBOX, "https://h/", ["a.txt"]) as record:
            record.acknowledge(status("s1"), [result("evil.top")])
            record.acknowledge(status("s2"), [result("bad.top")])
            record.finish({"received": 2, "admitted": 2})
        (push,) = records.list_newest()
        assert (push.url, push.root, push.collection) == ("https://h/", INBOX.root, "inbox")
        assert push.files == ("a.txt",)
        assert [(part.status, part.objects[0].label) for part in push.parts] == [
            ("s1", "evil.top"),
            ("s2", "bad.top"),
        ]
        assert push.counts == {"received": 2, "admitted": 2}

    def test_only_the_owner_can_read_records(self, tmp_path: Path) -> None:
        with PushRecords(tmp_path / "new").begin(INBOX, "https://h/", []) as record:
            record.acknowledge(status("s1"), [result("evil.top")])
        (file,) = (tmp_path / "new" / "pushes").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_objects_acknowledged_before_a_crash_are_in_the_record(self, tmp_path: Path) -> None:
        records = PushRecords(tmp_path)
        with records.begin(INBOX, "https://h/", ["a.txt"]) as record:
            record.acknowledge(status("s1"), [result("evil.top")])
        (file,) = (tmp_path / "pushes").iterdir()
        file.write_bytes(file.read_bytes() + b'{"status": "s2", "obj')
        (push,) = records.list_newest()
        assert ([part.status for part in push.parts], push.counts) == (["s1"], {})

    def test_a_withdrawal_is_told_from_a_push(self, tmp_path: Path) -> None:
        for kind in (None, PushKind.WITHDRAWAL):
            records = PushRecords(tmp_path)
            with records.begin(INBOX, "https://h/", [], kind) as record:
                record.acknowledge(status("s1"), [result("evil.top")])
        assert [each.is_withdrawal for each in PushRecords(tmp_path).list_newest()] == [True, False]

    def test_a_record_without_levels_is_read(self, tmp_path: Path) -> None:
        records = PushRecords(tmp_path)
        with records.begin(INBOX, "https://h/", []) as record:
            record.write({"status": "s1", "objects": [["indicator--1", "evil.top"]]})
        (push,) = records.list_newest()
        assert [*push.objects] == [SentObject("indicator--1", "evil.top", "")]

    def test_new_ids_are_found_by_labels_that_were_not_shortened(self, tmp_path: Path) -> None:
        records, long = PushRecords(tmp_path), "x" * 200
        with records.begin(INBOX, "https://h/", []) as record:  # as from a STIX file
            record.acknowledge(status("s0"), [result("bad.top")])
        with records.begin(INBOX, "https://h/", [], PushKind.NEW_IDS) as record:
            record.acknowledge(status("s1"), [result("evil.top"), result(long)])
        wanted = {"evil.top", "bad.top", long}
        found = {"evil.top": {"indicator--evil.top"}}
        assert records.find_ids(wanted, "https://h/", INBOX) == found
        assert records.find_ids(wanted, "https://other/") == {}
        elsewhere = replace(INBOX, id="2", alias="other")
        assert records.find_ids(wanted, "https://h/", elsewhere) == {}
        assert records.find_ids(wanted, "https://h/") == found

    def test_a_collection_at_another_url_is_the_same_if_its_id_is(self, tmp_path: Path) -> None:
        with PushRecords(tmp_path).begin(INBOX, "https://h/", []) as record:
            record.acknowledge(status("s1"), [result("evil.top")])
        (push,) = PushRecords(tmp_path).list_newest()
        moved = replace(INBOX, root="https://new/hub/", url="https://new/hub/c/1/")
        assert push.went_to("https://new/", moved)
        older = replace(push, collection_id="")
        assert older.went_to("https://h/", INBOX) and not older.went_to("https://new/", moved)

    def test_levels_are_found_after_the_url_of_the_hub_changed(self, tmp_path: Path) -> None:
        records = PushRecords(tmp_path)
        with records.begin(INBOX, "https://h/", []) as record:
            record.write({"status": "s1", "objects": [["indicator--1", "evil.top", "AMBER"]]})
        moved = replace(INBOX, root="https://new/hub/", url="https://new/hub/c/1/")
        found = {"indicator--1": ["AMBER"]}
        assert records.find_levels(found, "https://new/", moved) == found
        other = replace(moved, id="2", alias="other")
        assert records.find_levels(found, "https://h/", other) == found
        assert records.find_levels(found, "https://new/", other) == {}

    def test_the_level_of_what_was_sent_last_comes_first(self, tmp_path: Path) -> None:
        records = PushRecords(tmp_path)
        for level in ("GREEN", "AMBER", "CLEAR", "AMBER"):
            with records.begin(INBOX, "https://h/", []) as record:
                rows = [["indicator--1", "evil.top", each] for each in ("RED", level)]
                record.write({"status": "s1", "objects": rows})
        levels = records.find_levels(["indicator--1"], "https://h/", INBOX)["indicator--1"]
        assert levels == ["AMBER", "RED", "CLEAR", "GREEN"]

    def test_a_push_that_sent_nothing_is_not_listed(self, tmp_path: Path) -> None:
        records = PushRecords(tmp_path)
        with records.begin(INBOX, "https://h/", ["a.txt"]) as record:
            record.finish({"received": 0})
        assert list(records.list_newest()) == []

    def test_a_file_that_is_not_a_record_is_skipped(self, tmp_path: Path) -> None:
        (tmp_path / "pushes").mkdir()
        for number, text in enumerate(("", "[]", "{}", "null\n", '{"tocsin_push": 9}')):
            (tmp_path / "pushes" / f"{number}.jsonl").write_text(text)
        assert list(PushRecords(tmp_path).list_newest()) == []

    def test_an_attempt_of_which_nothing_was_taken_leaves_no_record(self, tmp_path: Path) -> None:
        with PushRecords(tmp_path).begin(INBOX, "https://h/", []) as record:
            record.finish({"received": 1, "unsent": 1})
        assert list((tmp_path / "pushes").iterdir()) == []

    def test_records_are_removed_after_90_days(self, tmp_path: Path) -> None:
        records = PushRecords(tmp_path)
        with records.begin(INBOX, "https://h/", []) as record:
            record.acknowledge(status("s1"), [result("evil.top")])
        (file,) = (tmp_path / "pushes").iterdir()
        os.utime(file, (time.time(), time.time() - 91 * 86_400))
        with records.begin(INBOX, "https://h/", []):
            pass
        assert not file.exists()

    def test_a_folder_that_cannot_be_written_costs_only_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("")
        with PushRecords(tmp_path / "file").begin(INBOX, "https://h/", []) as record:
            record.acknowledge(status("s1"), [result("evil.top")])
        assert "the push is not recorded" in caplog.text


def test_the_last_push_is_the_one_of_the_latest_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, convert = 1_800_000_000, time.gmtime
    # A clock that is read twice may be read in two seconds.
    monkeypatch.setattr(time, "gmtime", lambda at=second: convert(at))
    for id, microseconds in {"s1": -1, "s2": 1_000}.items():
        moment = second * 10**9 + microseconds * 1_000
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment)
        with PushRecords(tmp_path).begin(INBOX, "https://h/", []) as record:
            record.acknowledge(status(id), [result("evil.top")])
    newest = [part.status for push in PushRecords(tmp_path).list_newest() for part in push.parts]
    assert newest == ["s2", "s1"]


@pytest.mark.parametrize("words", [("push", "a.txt"), ("withdraw", "--file", "a.txt")])
@pytest.mark.slow
def test_an_interrupted_push_says_what_the_hub_has_taken(alone: None, words: Any) -> None:
    ids, begun, over = ["s1", "s2"], Event(), Event()

    def answer(request: Any) -> Answer | None:
        if request.method != "POST":
            return None
        if not ids:
            begun.set()
            over.wait(90)
            return Answer({"title": "Gone"}, 503)
        status = {"status": "pending", "total_count": 1, "pending_count": 1}
        return Answer(status | {"id": ids.pop(0)}, 202)

    Path("a.txt").write_text("\n".join(f"h{n}.evil-portal.top" for n in range(2_500)))
    default = signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored
    with serve_script(answer) as server:
        program = [sys.executable, "-m", "tocsin.clients", *words, "--to", "feed", "--yes"]
        with subprocess.Popen([*program, "--url", server.url], stderr=subprocess.PIPE) as push:
            signal.signal(signal.SIGINT, default)
            assert begun.wait(60)
            push.send_signal(signal.SIGINT)
            _, stderr = push.communicate(timeout=25)  # it waits 30 s for an answer
        over.set()
    assert push.returncode == 130
    taken, look, end = stderr.decode().splitlines()[-3:]
    (objects,) = re.findall("the hub took 2 submissions, with ([0-9,]+) of 2,500 objects; ", taken)
    number = int(objects.replace(",", ""))
    assert 2 <= number < 2_500 and objects == f"{number:,}"
    assert taken.endswith("To repeat the command is safe")
    assert "`tocsin status ID` shows the verdicts: s1, s2; " in look
    assert end == "tocsin: interrupted"


class TestStatusOfTheLastPush:
    def push(self, tocsin: Run, value: str) -> str:
        Path("a.txt").write_text(value)
        _, lines, _ = tocsin("push", "a.txt", "--to", COLLECTION, "--json")
        return str(json.loads(lines[-1])["status"]["id"])

    @pytest.mark.slow
    def test_status_without_an_id_shows_the_last_push(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        self.push(tocsin, "evil-portal.top")
        last = self.push(tocsin, "bad-portal.top")
        code, lines, _ = tocsin("status", "--json")
        assert (code, [json.loads(line)["id"] for line in lines]) == (0, [last])

    def test_status_names_objects_by_their_value_on_a_terminal(self) -> None:
        id, label = "indicator--1", "[domain-name:value = 'evil-portal.top']"
        detail = {"id": id, "version": "2026-01-01T00:00:00.000Z", "message": "published"}
        report = parse_status({"id": "s1", "status": "complete", "successes": [detail]})
        for is_terminal, expected in ((True, "evil-portal.top (domain-name)\n"), (False, id)):
            written = StringIO()
            console = Console(file=written, force_terminal=is_terminal, width=80)
            print_status(console, report, {id: label})
            assert expected in written.getvalue()

    def test_push_prints_the_id_of_the_status(self, tocsin: Run, partner: Medallion) -> None:
        Path("a.txt").write_text("evil-portal.top")
        _, lines, _ = tocsin("push", "a.txt", "--to", COLLECTION)
        id = tocsin("status")[1][0].partition(":")[0]
        assert f"`tocsin status {id}` shows the verdicts again" in lines

    def test_nothing_is_recorded_if_the_setting_is_off(
        self, tocsin: Run, partner: Medallion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOCSIN_RECORD_PUSHES", "false")
        self.push(tocsin, "evil-portal.top")
        code, _, stderr = tocsin("status")
        assert (code, "record_pushes is off; give the id" in stderr) == (2, True)

    @pytest.mark.parametrize("command", ["push", "withdraw"])
    def test_without_a_home_folder_it_is_said_that_nothing_is_recorded(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        for variable in ("HOME", "XDG_STATE_HOME"):
            monkeypatch.delenv(variable)
        Path("a.txt").write_text("evil-portal.top")
        words = ("push", "a.txt") if command == "push" else ("withdraw", "evil-portal.top", "--yes")
        reason = "neither HOME nor XDG_STATE_HOME is the path of a folder"
        _, _, stderr = tocsin(*words, "--to", "inbox")
        assert f"the push is not recorded: {reason}" in stderr
        code, _, stderr = tocsin("status")
        assert (code, f"is recorded here; {reason}; give the id" in stderr) == (2, True), stderr

    def test_the_record_has_nothing_of_what_was_not_sent(
        self, tocsin: Run, partner: Medallion, tmp_path: Path
    ) -> None:
        self.push(tocsin, "evil-portal.top and 10.0.4.12")
        (file,) = (tmp_path / "state" / "tocsin" / "pushes").iterdir()
        text = file.read_text()
        assert "evil-portal.top" in text
        assert "10.0.4.12" not in text
