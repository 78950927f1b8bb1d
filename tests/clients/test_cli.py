"""JSON lines, exit codes and messages of the command `tocsin`."""

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
from support.disk import limited_files
from support.hub import HubInProcess
from support.taxii_servers import (
    COLLECTION,
    OTHER,
    Answer,
    Medallion,
    ReceivedRequest,
    indicator,
    serve_script,
    usual_resources,
)
from support.terminal import lines_of, run_on_terminal

from tocsin.clients.cli.main import main

COMMAND = [sys.executable, "-m", "tocsin.clients"]


pytestmark = pytest.mark.usefixtures("alone")


def write_bundle(name: str, *objects: dict[str, Any]) -> str:
    """Write a bundle file; returns its name."""
    Path(name).write_text(json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects}))
    return name


def acceptable_indicator(number: int) -> dict[str, Any]:
    """An indicator that admission accepts."""
    return {**indicator(number), "pattern": f"[domain-name:value = 'bad{number}.example.org']"}


def private_indicator(number: int) -> dict[str, Any]:
    """An indicator on a private address, which admission refuses."""
    return {**indicator(number), "pattern": "[ipv4-addr:value = '192.168.1.1']"}


class TestCheck:
    def test_check_json_has_one_line_per_candidate_and_a_last_line_of_counts(
        self, tocsin: Callable[..., Any]
    ) -> None:
        code, lines, _ = tocsin(
            "check", write_bundle("a.json", acceptable_indicator(1), private_indicator(2)), "--json"
        )
        first, second, last = map(json.loads, lines)
        assert code == 4
        assert set(first) == {"file", "index", "source_id", "verdict", "findings", "object"}
        assert (first["file"], first["index"]) == ("a.json", 0)
        assert (first["source_id"], first["verdict"]) == (acceptable_indicator(1)["id"], "ready")
        assert first["object"]["pattern"] == acceptable_indicator(1)["pattern"]
        assert (second["verdict"], second["object"]) == ("refused", None)
        assert set(second["findings"][-1]) == {"stage", "rule", "path", "action", "message"}
        assert last["counts"] | {"ready": 1, "refused": 1, "received": 2} == last["counts"]

    def test_check_explain_shows_rule_action_and_path_of_each_stage(
        self, tocsin: Callable[..., Any]
    ) -> None:
        sent = {
            **acceptable_indicator(1),
            "description": "ask jo.doe@bank.example.net",
            "confidence": 40,
        }
        _, lines, _ = tocsin("check", write_bundle("a.json", sent), "--explain")
        text = "\n".join(lines)
        stages = ("validate", "normalise", "identify", "sanitise")
        assert [line.split()[0] for line in lines if line.strip().startswith(stages)] == [*stages]
        assert "personal_data: replaced at description" in text
        assert "jo.doe" not in text

    def test_check_explain_ends_with_the_stage_that_refused(
        self, tocsin: Callable[..., Any]
    ) -> None:
        _, lines, _ = tocsin(
            "check",
            write_bundle("a.json", {**acceptable_indicator(1), "confidence": 400}),
            "--explain",
        )
        assert lines[1].split() == ["validate"] and "schema: refused at confidence" in lines[2]
        assert not any(line.strip().startswith("sanitise") for line in lines)

    def test_check_diff_shows_the_object_before_and_after_admission(
        self, tocsin: Callable[..., Any]
    ) -> None:
        sent = {**acceptable_indicator(1), "description": "ask jo.doe@bank.example.net"}
        _, lines, _ = tocsin("check", write_bundle("a.json", sent), "--diff")
        changed = [line.strip() for line in lines if line.strip()[:1] in "+-" and "descr" in line]
        assert changed[0].startswith('-  "description": "ask jo.doe@')
        assert changed[1] == '+  "description": "ask [removed: e-mail address]",'

    @pytest.mark.slow
    def test_of_a_text_that_the_hub_never_gets_it_promises_no_review(
        self, tocsin: Callable[..., Any], served: HubInProcess
    ) -> None:
        sent = [{**acceptable_indicator(n), "description": "Reported by Jane Doe"} for n in (1, 2)]
        sent[1]["pattern"] = "[email-message:to_refs[*].value = 'jo@acme-mail.top']"  # held
        _, lines, _ = tocsin("push", write_bundle("a.json", *sent), "--to", "inbox", "--json")
        for line in lines[:2]:
            found = [each for each in json.loads(line)["findings"] if "name" in each["message"]]
            assert [each["action"] for each in found] == ["stripped"]
            assert found[0]["message"].endswith("; it is not sent, so no reviewer can release it")
        file = write_bundle("b.json", {**sent[0], "id": indicator(3)["id"]})
        _, lines, _ = tocsin("push", file, "--to", "inbox", "--json", "--raw")
        assert "a reviewer of the hub may release it" in lines[0]

    def test_check_diff_with_json_includes_the_object_as_read(
        self, tocsin: Callable[..., Any]
    ) -> None:
        _, lines, _ = tocsin(
            "check", write_bundle("a.json", acceptable_indicator(1)), "--diff", "--json"
        )
        assert json.loads(lines[0])["before"] == acceptable_indicator(1)

    def test_check_of_a_valid_file_exits_with_0(self, tocsin: Callable[..., Any]) -> None:
        code, lines, _ = tocsin("check", write_bundle("a.json", acceptable_indicator(1)))
        assert code == 0
        assert lines[0].split()[:3] == ["ready", "a.json#0", acceptable_indicator(1)["id"]]
        assert "1 received, 1 ready" in lines[-1]

    def test_check_continues_after_an_unreadable_file(self, tocsin: Callable[..., Any]) -> None:
        Path("b.bin").write_bytes(b"\x00\x01\x02\xff" * 50)
        arguments = (
            "nosuch.json",
            "b.bin",
            write_bundle("a.json", acceptable_indicator(1)),
            "--json",
        )
        code, lines, stderr = tocsin("check", *arguments)
        *errors, line, last = map(json.loads, lines)
        assert code == 4
        assert [each["file"] for each in errors] == ["nosuch.json", "b.bin"]
        assert all("error" in each for each in errors)
        assert line["verdict"] == "ready"
        assert last["counts"]["failed_files"] == 2
        assert "No such file" in stderr

    @pytest.mark.parametrize("terms", [["Globex", "Initech"], ["Globex,Initech"]])
    def test_terms_from_the_command_line_and_client_toml_are_masked(
        self, tocsin: Callable[..., Any], terms: Any
    ) -> None:
        Path("client.toml").write_text('terms = ["acme.example"]\n')
        text = {
            **acceptable_indicator(1),
            "description": "seen at acme.example by Globex with Initech",
        }
        words = [word for term in terms for word in ("--term", term)]
        _, lines, _ = tocsin("check", write_bundle("a.json", text), *words, "--json")
        shared = json.dumps(json.loads(lines[0])["object"])
        assert not any(word in shared for word in ("acme", "Globex", "Initech"))

    def test_terms_of_a_file_that_a_local_one_replaces_are_warned_of(
        self, tocsin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(Path("config").absolute()))
        own, local = Path("config/tocsin/client.toml"), Path("client.toml")
        own.parent.mkdir(parents=True)
        own.write_text('names = ["Globex"]\nterms = ["acme.example", "vpn"]\n')
        file = write_bundle("a.json", acceptable_indicator(1))
        assert tocsin("check", file)[2] == ""
        local.write_text('terms = ["acme.example"]\n')
        code, _, stderr = tocsin("check", file)
        assert (code, stderr.count("\n")) == (0, 1)
        assert (
            f"client.toml is read instead of {own.absolute()}: 2 of its names and terms" in stderr
        )
        assert tocsin("check", file, "--config", "client.toml")[2] == ""
        own.write_text("not TOML")
        assert tocsin("check", file)[2] == ""

    @pytest.mark.slow
    def test_check_reads_standard_input_for_a_dash(self, tmp_path: Path) -> None:
        ran = subprocess.run(
            [*COMMAND, "check", "-", "--as", "iocs.txt", "--json"],
            input=b"hxxp://bad-domain[.]net/x\n",
            capture_output=True,
            cwd=tmp_path,
        )
        line, _ = map(json.loads, ran.stdout.splitlines())
        assert (ran.returncode, line["file"]) == (0, "-")
        assert line["object"]["pattern"] == "[url:value = 'http://bad-domain.net/x']"

    def test_each_line_of_check_ends_with_the_shortened_pattern(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("a.txt").write_text("evil[.]top and hxxps://bad[.]site/" + 200 * "a")
        _, (first, second, _), _ = tocsin("check", "a.txt")
        assert first.endswith("  [domain-name:value = 'evil.top']")
        assert "[url:value = 'https://bad.site/aaa" in second and second.endswith("aaa…")

    def test_check_prints_no_control_characters(self, tocsin: Callable[..., Any]) -> None:
        _, lines, _ = tocsin(
            "check", write_bundle("a.json", {**acceptable_indicator(1), "id": "indicator--\x1b[2J"})
        )
        assert "\x1b" not in "".join(lines)


class TestPush:
    def test_push_prints_the_servers_verdict_on_each_object(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        sent = write_bundle("a.json", acceptable_indicator(1), private_indicator(2))
        code, lines, _ = tocsin("push", sent, "--to", COLLECTION, "--yes", "--json")
        *results, last = map(json.loads, lines)
        verdicts = {line["index"]: line["verdict"] for line in results}
        assert (code, verdicts) == (4, {0: "admitted", 1: "refused"})
        assert last["status"]["status"] == "complete"
        assert last["statuses"] == [last["status"]["id"]]
        assert last["counts"] == {
            **{"received": 2, "admitted": 1, "merged": 0, "duplicate": 0},
            **{"held": 0, "refused": 1},
        }

    def test_objects_that_the_preview_refuses_are_not_sent(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        tocsin("push", write_bundle("a.json", private_indicator(1)), "--to", COLLECTION)
        assert partner.backend.data["partner"]["collections"][0]["objects"] == []

    def test_push_tlp_marks_objects_that_have_no_marking(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        tocsin(
            "push",
            write_bundle("a.json", acceptable_indicator(1)),
            "--to",
            COLLECTION,
            "--tlp",
            "GREEN",
        )
        (arrived,) = partner.backend.data["partner"]["collections"][0]["objects"]
        green = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
        assert arrived["object_marking_refs"] == [green]

    def test_push_raw_sends_objects_unchanged(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        tocsin("push", write_bundle("a.json", private_indicator(1)), "--to", COLLECTION, "--raw")
        (arrived,) = partner.backend.data["partner"]["collections"][0]["objects"]
        assert arrived == private_indicator(1)

    @pytest.mark.parametrize(
        "option", [("--term", "acme.net"), ("--consent", "none"), ("--consent", "everyone")]
    )
    def test_push_raw_is_refused_with_an_option_that_would_have_no_effect(
        self, tocsin: Callable[..., Any], partner: Medallion, option: tuple[str, str]
    ) -> None:
        file = write_bundle("a.json", acceptable_indicator(1))
        code, _, stderr = tocsin("push", file, "--to", COLLECTION, "--raw", *option)
        assert (code, f"{option[0]} would have no effect" in stderr) == (2, True)
        assert partner.backend.data["partner"]["collections"][0]["objects"] == []

    def test_push_to_a_collection_without_write_access_exits_with_3(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        code, _, stderr = tocsin(
            "push", write_bundle("a.json", acceptable_indicator(1)), "--to", "Closed"
        )
        assert code == 3
        text = "may not write to Closed, only Sightings of ours: name one of these, or ask the"
        assert text in stderr

    def test_a_poll_without_a_collection_says_where_their_names_are(
        self, tocsin: Callable[..., Any]
    ) -> None:
        code, _, stderr = tocsin("poll")
        assert code == 2
        assert "`tocsin collections` lists them." in stderr

    def test_without_a_name_the_only_writable_collection_is_meant(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        file = write_bundle("a.json", acceptable_indicator(1))
        code, lines, _ = tocsin("push", file, "--json")
        assert (code, json.loads(lines[0])["verdict"]) == (0, "admitted")
        assert len(partner.backend.data["partner"]["collections"][0]["objects"]) == 1

    @pytest.mark.parametrize(
        "words", ["push a.txt", "withdraw evil.top --yes", "sighting evil.top"]
    )
    def test_without_a_name_several_writable_collections_are_listed(
        self, tocsin: Callable[..., Any], partner: Medallion, words: str
    ) -> None:
        for each in partner.backend.data["partner"]["collections"]:
            each["can_write"] = True
        Path("a.txt").write_text("evil.top")
        code, _, stderr = tocsin(*words.split())
        assert code == 2
        assert "several collections (Closed, Sightings of ours): name one with --to" in stderr
        assert not any(c["objects"] for c in partner.backend.data["partner"]["collections"])

    def test_without_a_writable_collection_the_operator_is_named(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        for each in partner.backend.data["partner"]["collections"]:
            each["can_write"] = False
        code, _, stderr = tocsin("push", write_bundle("a.json", acceptable_indicator(1)))
        assert code == 3
        assert "this key may write to no collection: ask the operator for rights" in stderr

    def test_a_watched_folder_needs_the_name_of_a_collection(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("out").mkdir()
        code, _, stderr = tocsin("push", "--watch", "out")
        assert (code, "--watch needs --to" in stderr) == (2, True)


class TestPoll:
    def test_poll_prints_objects_as_json_lines_on_standard_output(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        partner.add(*(indicator(n) for n in range(5)))
        code, lines, stderr = tocsin("poll", COLLECTION, "--limit", "2")
        assert (code, stderr) == (0, "")
        assert [json.loads(each) for each in lines] == [indicator(n) for n in range(5)]

    def test_a_list_without_values_is_explained(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        partner.add({**indicator(1), "pattern": "[file:size > 1]"})
        code, lines, stderr = tocsin("poll", COLLECTION, "--format", "list", "--verbose")
        assert (code, lines) == (0, [])
        assert "1 object received; a list has only the values of indicators" in stderr

    @pytest.mark.parametrize("limit", ["1", "3", "1000"])
    def test_poll_with_a_state_file_appends_only_new_objects(
        self, tocsin: Callable[..., Any], partner: Medallion, limit: str
    ) -> None:
        arguments = ("--output", "o", "--state", "s", "--format", "list", "--limit", limit)
        for number in range(3):
            partner.add(indicator(2 * number), indicator(2 * number + 1))
            assert tocsin("poll", COLLECTION, *arguments)[0] == 0
        assert Path("o").read_text().split() == [f"bad{n}.test" for n in range(6)]

    @pytest.mark.parametrize(
        ("types", "warning"),
        [
            (
                ["indicators"],
                "has no type indicators; it may be a custom type, or did you mean indicator?",
            ),
            (["tool,zebra"], "STIX 2.1 has no type zebra; it may be a custom type\n"),
            (["tool,x-zebra", "malware"], ""),
        ],
    )
    def test_poll_warns_about_a_type_that_stix_does_not_define(
        self, tocsin: Callable[..., Any], partner: Medallion, types: Any, warning: str
    ) -> None:
        options = [word for each in types for word in ("--type", each)]
        code, _, stderr = tocsin("poll", COLLECTION, *options)
        assert (code, warning in stderr, bool(warning)) == (0, True, bool(stderr))

    def test_poll_with_a_damaged_state_file_exits_with_1_and_writes_nothing(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        Path("s").write_text("{")
        Path("o").write_text("kept\n")
        partner.add(indicator(0))
        code, _, stderr = tocsin("poll", COLLECTION, "--output", "o", "--state", "s")
        assert (code, Path("o").read_text(), Path("s").read_text()) == (1, "kept\n", "{")
        assert "remove it to poll everything" in stderr

    def test_poll_saves_the_cursor_of_a_bundle_with_the_bundle(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        arguments = ("--format", "bundle", "--output", "b.json", "--state", "s", "--limit", "2")
        partner.add(*(indicator(n) for n in range(5)))
        tocsin("poll", COLLECTION, *arguments)
        assert len(json.loads(Path("b.json").read_text())["objects"]) == 5
        tocsin("poll", COLLECTION, *arguments)
        assert "objects" not in json.loads(Path("b.json").read_text())

    @pytest.mark.slow
    def test_an_interrupted_follow_exits_with_130_and_loses_no_object(
        self, partner: Medallion, tmp_path: Path
    ) -> None:
        partner.add(indicator(0))
        arguments = ["poll", COLLECTION, "--state", "s", "--output", "o", "--follow", "0.1"]
        default = signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored
        with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE) as following:
            signal.signal(signal.SIGINT, default)
            wait_for_lines(tmp_path / "o", 1)
            partner.add(indicator(1))
            wait_for_lines(tmp_path / "o", 2)
            following.send_signal(signal.SIGINT)
            _, stderr = following.communicate(timeout=60)
        assert following.returncode == 130
        assert stderr.startswith(b"tocsin: interrupted") and stderr.count(b"\n") == 1

    @pytest.mark.slow
    @pytest.mark.parametrize("format", ["jsonl", "csv", "list", "mirror"])
    def test_a_follow_waits_for_room_on_a_full_disk_and_then_has_each_object_once(
        self, tocsin: Callable[..., Any], partner: Medallion, tmp_path: Path, format: str
    ) -> None:
        output: tuple[str, ...] = ("--state", "s", "--output", "o", "--format", format)
        grown = written = tmp_path / "o"
        if format == "mirror":
            output, written = ("--mirror", "m"), tmp_path / "m/edl/domain.txt"
            grown = tmp_path / "m/.tocsin/state.sqlite-wal"
        partner.add(*(acceptable_indicator(n) for n in range(10)))
        words = [*COMMAND, "poll", COLLECTION, "--follow", "0.1", "--limit", "16", *output]
        with subprocess.Popen(words, stderr=subprocess.PIPE) as following:
            wait_for_lines(written, 10)
            partner.add(acceptable_indicator(10))
            wait_for_lines(written, 11)  # so a whole poll has succeeded
            limit = resource.prlimit(following.pid, resource.RLIMIT_FSIZE)
            full = (grown.stat().st_size + 300, limit[1])
            resource.prlimit(following.pid, resource.RLIMIT_FSIZE, full)
            partner.add(*(acceptable_indicator(n) for n in range(11, 80)))
            assert following.stderr is not None
            message = following.stderr.readline().decode()
            resource.prlimit(following.pid, resource.RLIMIT_FSIZE, limit)
            wait_for_lines(written, 80)
            following.send_signal(signal.SIGINT)
            following.communicate(timeout=60)
        assert "cannot be written" in message and message.endswith("; the next poll is in 0.1 s\n")
        if format == "mirror":
            output, whole = ("--mirror", "p"), tmp_path / "p/edl/domain.txt"
        else:
            output, whole = ("--output", "p", "--format", format), tmp_path / "p"
        assert tocsin("poll", COLLECTION, *output)[0] == 0
        assert written.read_bytes() == whole.read_bytes()

    @pytest.mark.parametrize(
        ("format", "room"),
        [
            ("csv", 0),
            *(
                pytest.param(each, 1_000, marks=pytest.mark.slow)
                for each in ("csv", "list", "mirror", "stateless")
            ),
        ],
    )
    def test_a_follow_waits_for_room_also_at_its_first_poll(
        self,
        tocsin: Callable[..., Any],
        partner: Medallion,
        tmp_path: Path,
        format: str,
        room: int,
    ) -> None:
        line_format = "csv" if format == "csv" else "list"
        output, written = ["--mirror", "m"], tmp_path / "m/edl/domain.txt"
        if format != "mirror":
            output, written = ["--output", "o", "--format", line_format], tmp_path / "o"
            output += [] if format == "stateless" else ["--state", "s"]
        partner.add(*(acceptable_indicator(n) for n in range(80)))
        words = [*COMMAND, "poll", COLLECTION, "--follow", "0.1", "--limit", "16", *output]
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        with limited_files(room):
            following = subprocess.Popen(words, stderr=subprocess.PIPE)
        with following:
            assert following.stderr is not None
            message = following.stderr.readline().decode()
            resource.prlimit(following.pid, resource.RLIMIT_FSIZE, limit)
            wait_for_lines(written, 80)
            partner.add(acceptable_indicator(80))
            wait_for_lines(written, 81 + (format == "csv"))
            following.send_signal(signal.SIGINT)
            following.communicate(timeout=60)
        assert "cannot be written" in message and message.endswith("; the next poll is in 0.1 s\n")
        assert tocsin("poll", COLLECTION, "--output", "p", "--format", line_format)[0] == 0
        assert sorted(written.read_bytes().split()) == sorted(Path("p").read_bytes().split())

    def test_a_follow_waits_also_if_there_is_no_room_to_make_the_state_file(
        self, tocsin: Callable[..., Any], partner: Medallion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        partner.add(acceptable_indicator(0))
        pauses: list[float] = []

        def make_none(*_: object) -> NoReturn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def pause(seconds: float) -> None:
            if pauses:
                raise KeyboardInterrupt
            pauses.append(seconds)
            monkeypatch.setattr(tempfile, "mkstemp", make)

        make = tempfile.mkstemp
        monkeypatch.setattr(tempfile, "mkstemp", make_none)
        # Of this module alone: the threads of the test's own hubs sleep, too.
        monkeypatch.setattr("tocsin.clients.cli.poll.time", SimpleNamespace(sleep=pause))
        words = ("poll", COLLECTION, "--state", "s", "--output", "o", "--follow", "9")
        code, _, stderr = tocsin(*words)
        assert (code, pauses, Path("o").read_bytes().count(b"\n")) == (130, [9], 1)
        assert "s cannot be written: No space left on device; the next poll is in 9 s\n" in stderr

    @pytest.mark.slow
    def test_what_a_pipe_has_taken_does_not_come_again_while_there_is_no_room_for_the_cursor(
        self, partner: Medallion, tmp_path: Path
    ) -> None:
        partner.add(*(acceptable_indicator(n) for n in range(3)))
        words = [*COMMAND, "poll", COLLECTION, "--state", "s", "--follow", "0.1"]
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        with limited_files(50):
            following = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with following:
            assert following.stdout is not None and following.stderr is not None
            messages = [following.stderr.readline() for _ in range(3)]
            assert all(b"s cannot be written" in each for each in messages)
            resource.prlimit(following.pid, resource.RLIMIT_FSIZE, limit)
            deadline = time.monotonic() + 60
            while not Path("s").exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            partner.add(acceptable_indicator(3))
            lines = [following.stdout.readline() for _ in range(4)]
            following.send_signal(signal.SIGINT)
            rest, _ = following.communicate(timeout=60)
        arrived = [json.loads(each) for each in (*lines, *rest.splitlines())]
        assert arrived == [acceptable_indicator(n) for n in range(4)]

    @pytest.mark.parametrize(("status", "lines"), [(500, ["old"]), (200, ["bad1.test"])])
    def test_a_file_of_several_collections_is_replaced_once_all_are_read(
        self, tocsin: Callable[..., Any], status: int, lines: list[str]
    ) -> None:
        resources: Any = usual_resources()
        collections = resources["/root/collections/"]["collections"]
        collections.append({**collections[0], "id": OTHER, "alias": "other"})

        def answer(request: ReceivedRequest) -> Answer:
            if not request.path.endswith("/objects/"):
                return Answer(resources[request.path])
            is_other = OTHER in request.path
            return Answer({"objects": [indicator(1)]}, status if is_other else 200)

        Path("o").write_text("old\n")
        with serve_script(answer) as server:
            words = ("poll", "feed", "other", "--url", server.url, "--output", "o")
            code = tocsin(*words, "--format", "list")[0]
        assert (code, Path("o").read_text().split()) == (3 if status == 500 else 0, lines)

    def test_without_follow_a_full_disk_ends_a_poll_with_1_and_names_the_file(
        self, tocsin: Callable[..., Any], partner: Medallion, tmp_path: Path
    ) -> None:
        partner.add(*(acceptable_indicator(n) for n in range(100)))
        with limited_files(1_000):
            code, _, stderr = tocsin("poll", COLLECTION, "--output", "o")
        assert (code, list(tmp_path.glob("*o*"))) == (1, [])
        assert f"--output: {tmp_path / 'o'} cannot be written: File too large" in stderr

    @pytest.mark.slow
    def test_a_killed_poll_neither_loses_nor_repeats_objects(
        self, tocsin: Callable[..., Any], partner: Medallion, tmp_path: Path
    ) -> None:
        partner.add(*(indicator(n) for n in range(60)))
        arguments = ["poll", COLLECTION, "--state", "s", "--output", "o", "--limit", "2"]
        for lines in (2, 3, 20):
            with subprocess.Popen([*COMMAND, *arguments]) as poll:
                wait_for_lines(tmp_path / "o", lines)
                poll.kill()
        assert tocsin(*arguments)[0] == 0
        arrived = [json.loads(each) for each in Path("o").read_text().splitlines()]
        assert arrived == [indicator(n) for n in range(60)]

    @pytest.mark.slow
    def test_a_poll_into_a_closed_pipe_prints_no_traceback(self, partner: Medallion) -> None:
        partner.add(*(indicator(n) for n in range(150)))
        command = " ".join([*COMMAND, "poll", COLLECTION, "--limit", "10", "| head -1"])
        ran = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120)
        assert (ran.stdout.count(b"\n"), ran.stderr) == (1, b"")


def wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, "too few lines arrived within a minute"
        time.sleep(0.02)


class TestStatusAndCollections:
    def test_status_prints_the_taxii_status(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        _, lines, _ = tocsin(
            "push", write_bundle("a.json", acceptable_indicator(1)), "--to", COLLECTION, "--json"
        )
        id = json.loads(lines[-1])["status"]["id"]
        code, (line,), _ = tocsin("status", id, "--json")
        assert (code, json.loads(line)["success_count"]) == (0, 1)
        assert tocsin("status", id)[1] == [f"{id}: complete, 1 succeeded, 0 failed, 0 pending"]

    def test_an_api_root_that_a_proxy_has_moved_is_named_with_what_to_give_instead(
        self, tocsin: Callable[..., Any]
    ) -> None:
        def answer(request: ReceivedRequest) -> Answer | None:
            return Answer({}, 404) if request.path.startswith("/root/") else None

        with serve_script(answer) as server:
            code, _, stderr = tocsin("collections", "--url", server.url)
        assert code == 1 and "/root/, but there is none; if a proxy serves the hub below" in stderr
        assert "this key" not in stderr

    def test_an_unknown_status_id_exits_with_1(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        code, _, stderr = tocsin("status", "2d086da7-4bdc-4f91-900e-d77486753710")
        assert (code, "knows no status" in stderr) == (1, True)

    def test_collections_are_printed_as_a_table_or_json_lines(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        code, lines, _ = tocsin("collections", "--json")
        assert code == 0
        assert [json.loads(each)["id"] for each in lines][0] == COLLECTION
        table = "\n".join(tocsin("collections")[1])
        assert COLLECTION in table and "Sightings of ours" in table

    @pytest.mark.slow
    def test_collections_on_a_narrow_terminal_have_all_their_columns(
        self, partner: Medallion
    ) -> None:
        _, written = run_on_terminal([*COMMAND, "collections"], 30, 60)
        lines = lines_of(written)
        assert lines[0].split() == ["alias", "id", "read", "write", "title"]
        assert any(
            COLLECTION in line and line.endswith(" yes    Sightings of ours") for line in lines
        )


def test_a_command_does_not_change_the_logging_configuration(tocsin: Callable[..., Any]) -> None:
    loggers = [logging.getLogger(name) for name in ("", "tocsin")]
    before = [(each.level, [*each.handlers]) for each in loggers]
    tocsin("check", write_bundle("a.json", acceptable_indicator(1)))
    assert [(each.level, [*each.handlers]) for each in loggers] == before


class TestExitCodes:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["nosuch"],
            ["check"],
            ["push", "a"],
            ["poll"],
            ["poll", "c", "--limit", "0"],
            ["poll", "c", "--limit", "many"],
            ["poll", "c", "--format", "xml"],
            ["poll", "c", "--follow", "-1"],
            ["check", "a", "--tlp", "mauve"],
            ["check", ""],
            ["push", "--watch", "nosuch", "--to", "inbox"],
            ["poll", "c", "--added-after", "yesterday"],
            ["poll", "c", "--since", "yesterday"],
            ["receipts", "--since", "yesterday"],
            ["sighting", "evil-portal.top", "--to", "inbox", "--seen", "yesterday"],
        ],
    )
    def test_wrong_usage_exits_with_2(self, arguments: Any) -> None:
        assert main(arguments) == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            ["collections"],
            ["collections", "--url", "hub.example"],
            ["collections", "--url", "https://a:b@hub.example/"],
            ["collections", "--config", "nosuch.toml"],
            ["poll", "c", "--format", "bundle", "--follow", "1"],
            ["poll", "c", "--since", "1h", "--added-after", "2026-01-31"],
        ],
    )
    def test_unusable_settings_exit_with_2_and_one_line(
        self, tocsin: Callable[..., Any], arguments: Any
    ) -> None:
        code, lines, stderr = tocsin(*arguments)
        assert (code, lines, stderr.count("\n")) == (2, [], 1)

    @pytest.mark.parametrize("place", ["client.toml", "config/tocsin/client.toml"])
    @pytest.mark.parametrize("target", ["nosuch", "client.toml", "."])
    def test_a_settings_file_that_leads_nowhere_exits_with_2(
        self,
        tocsin: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        place: str,
        target: str,
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(Path("config").absolute()))
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).symlink_to(target)
        code, lines, stderr = tocsin("check", write_bundle("a.json", acceptable_indicator(1)))
        assert (code, lines, stderr.count("\n")) == (2, [], 1)
        assert "client.toml" in stderr

    @pytest.mark.parametrize("command", [["collections"], ["poll", COLLECTION], ["status", "x"]])
    def test_a_wrong_key_exits_with_3(
        self, tocsin: Callable[..., Any], partner: Medallion, command: Any
    ) -> None:
        code, _, stderr = tocsin(*command, "--key", "partner:wrong")
        assert (code, stderr.count("\n")) == (3, 1)
        assert "does not know this account and secret: check both" in stderr

    def test_after_a_wrong_key_the_advice_for_programs_is_left_out(
        self, tocsin: Callable[..., Any]
    ) -> None:
        error = {"title": "Unauthorized", "description": "send the key as HTTP Basic"}
        with serve_script(lambda request: Answer(error, 401)) as server:
            _, _, stderr = tocsin("collections", "--url", server.url, "--key", "partner:wrong")
        assert "HTTP Basic" not in stderr and "`tocsin login` keeps it" in stderr

    def test_a_missing_key_exits_with_3_and_its_own_message(
        self, tocsin: Callable[..., Any], partner: Medallion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("TOCSIN_KEY")
        code, _, stderr = tocsin("collections")
        assert (code, "; no key was sent: run `tocsin login`" in stderr) == (3, True)

    def test_an_unreachable_hub_exits_with_3(self, tocsin: Callable[..., Any]) -> None:
        code, _, stderr = tocsin("collections", "--url", "http://127.0.0.1:9/taxii2/")
        assert (code, stderr.count("\n"), "cannot be reached" in stderr) == (3, 1, True)

    @pytest.mark.parametrize(
        ("proxy", "message"),
        [
            ("http://user:hunter2@127.0.0.1:9", "through the proxy 127.0.0.1:9 ([Errno"),
            ("user:hunter2@127.0.0.1:9", "the proxy 127.0.0.1:9: its URL cannot be read; check"),
            ("http://user:hunter2", "the proxy that is set: its URL cannot be read; check"),
            ("http://user:hunter2@:0x", "the proxy that is set: its URL cannot be read; check"),
            ("http://user:hunt/er2@[x", "the proxy that is set: its URL cannot be read; check"),
        ],
    )
    @pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
    def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
        self,
        tocsin: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        proxy: str,
        message: str,
    ) -> None:
        monkeypatch.setenv(variable, proxy)
        monkeypatch.setenv("no_proxy", "")
        code, _, stderr = tocsin("collections", "--url", "https://127.0.0.1:9/taxii2/")
        assert (code, message in stderr) == (3, True), stderr
        assert "hunt" not in stderr and "check the variables http_proxy, https_proxy" in stderr

    def test_a_proxy_that_opens_no_tunnel_is_named(
        self, tocsin: Callable[..., Any], partner: Medallion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = urlsplit(os.environ["TOCSIN_URL"]).netloc
        monkeypatch.setenv("https_proxy", f"http://{proxy}")
        monkeypatch.setenv("no_proxy", "")
        _, _, stderr = tocsin("collections", "--url", "https://127.0.0.1:9/taxii2/")
        assert f"127.0.0.1:9 cannot be reached through the proxy {proxy} (" in stderr

    @pytest.mark.skipif(find_spec("socks") is not None, reason="PySocks is installed")
    def test_a_socks_proxy_needs_pysocks(
        self, tocsin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
        code, _, stderr = tocsin("collections", "--url", "http://127.0.0.1:9/taxii2/")
        assert (code, "run pip install 'requests[socks]'" in stderr) == (3, True), stderr

    def test_https_to_a_port_without_tls_exits_with_3(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        url = os.environ["TOCSIN_URL"].replace("http://", "https://")
        code, _, stderr = tocsin("collections", "--url", url)
        assert (code, stderr.count("\n"), "a URL with http://" in stderr) == (3, 1, True), stderr

    @pytest.mark.parametrize(
        "command",
        [
            ["poll", "nosuch"],
            ["push", "iocs.txt", "--to", "nosuch"],
            ["withdraw", "evil-portal.top", "--to", "nosuch", "--yes"],
            ["sighting", "evil-portal.top", "--to", "nosuch"],
        ],
        ids=lambda command: command[0],
    )
    def test_a_collection_that_the_key_does_not_see_exits_with_3(
        self, tocsin: Callable[..., Any], partner: Medallion, command: list[str]
    ) -> None:
        Path("iocs.txt").write_text("evil-portal.top\n")
        code, _, stderr = tocsin(*command)
        assert (code, "Sightings of ours" in stderr) == (3, True)

    def test_a_collection_that_is_gone_when_objects_are_sent_exits_with_3(
        self, tocsin: Callable[..., Any]
    ) -> None:
        def script(request: Any) -> Any:
            return Answer({"title": "No such one"}, 404) if request.method == "POST" else None

        Path("iocs.txt").write_text("evil-portal.top\n")
        with serve_script(script) as server:
            code, lines, stderr = tocsin(
                "push", "iocs.txt", "--to", "feed", "--url", server.url, "--json"
            )
        assert (code, json.loads(lines[0])["verdict"]) == (3, "unsent")
        assert "says 404: No such one" in stderr

    def test_after_a_server_error_objects_are_unsent_and_push_exits_with_3(
        self, tocsin: Callable[..., Any]
    ) -> None:
        def script(request: Any) -> Any:
            return Answer({"title": "Gone"}, 500) if request.method == "POST" else None

        with serve_script(script) as server:
            sent = write_bundle("a.json", acceptable_indicator(1))
            code, lines, stderr = tocsin(
                "push", sent, "--to", "feed", "--url", server.url, "--json"
            )
        assert (code, json.loads(lines[0])["verdict"]) == (3, "unsent")
        assert "says 500: Gone" in stderr


@pytest.mark.slow
def test_a_check_says_on_a_terminal_that_it_starts_before_it_loads_admission() -> None:
    Path("list.txt").write_text("evil.top\n")
    code, written = run_on_terminal([*COMMAND, "check", "list.txt"], 100, 60)
    assert code == 0
    assert written.startswith("tocsin: starting …\r")
    assert "starting" not in "".join(lines_of(written))


@pytest.mark.slow
def test_no_note_of_the_start_is_written_where_standard_error_is_a_file() -> None:
    Path("list.txt").write_text("evil.top\n")
    done = subprocess.run([*COMMAND, "check", "list.txt"], capture_output=True, text=True)
    assert (done.returncode, "starting" in done.stderr) == (0, False)


@pytest.mark.slow
def test_the_command_line_is_read_before_admission_is_loaded() -> None:
    code = "import sys, tocsin.clients.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tocsin.admission.pipeline" not in done.stdout.split()


@pytest.mark.slow
def test_the_clients_load_neither_the_web_framework_nor_the_database() -> None:
    program = (
        "import sys, tocsin.clients.cli.main; "
        "sys.exit(any(name in sys.modules for name in ('flask', 'pymongo', 'tocsin.server')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("words", [("poll", "green"), ("push", "a.txt", "--to", "inbox")])
def test_a_key_that_sees_no_collection_learns_why_that_may_be(
    tocsin: Callable[..., Any], words: tuple[str, ...]
) -> None:
    def script(request: Any) -> Answer | None:
        return Answer({}) if request.path.endswith("/collections/") else None

    Path("a.txt").write_text("evil-portal.top")
    with serve_script(script) as server:
        _, _, stderr = tocsin(*words, "--url", server.url)
        assert "none at all: ask the operator for rights; if there were some, your" in stderr
        code, lines, stderr = tocsin("collections", "--url", server.url)
    assert (code, lines) == (3, []) and "your agreement may have ended" in stderr
