"""Errors about local files that `tocsin` cannot read or write."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.taxii_servers import COLLECTION, Medallion, indicator

from tocsin.admission.formats import formats
from tocsin.clients.cli import inputs
from tocsin.clients.files import UnusableFile, WrongPath, writing


class TestOutputAndStateFiles:
    @pytest.mark.parametrize("option", ["--output", "--state"])
    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("nosuch/file", "create it, or name another file"),
            ("afile/file", "create it, or name another file"),
            ("afolder", "name "),
        ],
    )
    @pytest.mark.parametrize("format", ["jsonl", "bundle"])
    def test_an_unwritable_file_exits_with_2_and_names_a_remedy(
        self,
        tocsin: Callable[..., Any],
        partner: Medallion,
        option: str,
        name: str,
        advice: str,
        format: str,
    ) -> None:
        Path("afile").touch()
        Path("afolder").mkdir()
        partner.add(indicator(0))
        code, lines, stderr = tocsin("poll", COLLECTION, "--format", format, option, name)
        assert (code, lines, stderr.count("\n")) == (2, [], 1)
        assert option in stderr and name in stderr and advice in stderr

    def test_an_unwritable_state_file_is_reported_before_any_request(
        self, tocsin: Callable[..., Any]
    ) -> None:
        away = ("--url", "http://127.0.0.1:9/taxii2/")
        code, _, stderr = tocsin("poll", "x", "--state", "nosuch/s", "--output", "o", *away)
        assert (code, "does not exist: create it" in stderr, Path("o").exists()) == (2, True, False)

    def test_a_device_is_refused_as_output_file(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        code, _, stderr = tocsin("poll", COLLECTION, "--output", "/dev/null")
        assert (code, "; omit --output or give -, and redirect" in stderr) == (2, True)

    def test_a_link_to_a_device_is_refused_as_a_device(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        Path("stdout").symlink_to("/dev/null")
        code, _, stderr = tocsin("poll", COLLECTION, "--output", "stdout")
        assert (code, "; omit --output or give -, and redirect" in stderr) == (2, True)
        code, _, stderr = tocsin("poll", COLLECTION, "--state", "stdout")
        assert (code, "a pipe, not a file; name a file\n" in stderr) == (2, True)

    def test_poll_writes_to_standard_output_for_a_dash(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        partner.add(indicator(0))
        code, (line,), _ = tocsin("poll", COLLECTION, "--output", "-")
        assert (code, json.loads(line)) == (0, indicator(0))


class TestSameFiles:
    @pytest.mark.parametrize("other", ["s", "./afolder/../s", "link", "hard"])
    @pytest.mark.parametrize("format", ["jsonl", "list", "bundle"])
    def test_a_state_file_is_refused_as_output(
        self, tocsin: Callable[..., Any], partner: Medallion, other: str, format: str
    ) -> None:
        partner.add(indicator(0))
        Path("afolder").mkdir()
        tocsin("poll", COLLECTION, "--state", "s", "--output", "o")
        os.link("s", "hard")
        Path("link").symlink_to("s")
        before = Path("s").read_bytes()
        for output, state in (("s", other), (other, "s")):
            options = ("--output", output, "--state", state, "--format", format)
            code, _, stderr = tocsin("poll", COLLECTION, *options)
            assert (code, "--output and --state name the same file" in stderr) == (2, True), stderr
        assert Path("s").read_bytes() == before

    @pytest.mark.parametrize("link", [False, True])
    def test_output_and_state_may_not_become_the_same_file(
        self, tocsin: Callable[..., Any], partner: Medallion, link: bool
    ) -> None:
        if link:
            Path("o").symlink_to("new")
        code, _, stderr = tocsin(
            "poll", COLLECTION, "--output", "o" if link else "./new", "--state", "new"
        )
        assert (code, "name two files" in stderr, Path("new").exists()) == (2, True, False)

    @pytest.mark.slow
    def test_standard_output_may_not_be_the_state_file(self, partner: Medallion) -> None:
        partner.add(indicator(0))
        command = [sys.executable, "-m", "tocsin.clients", "poll", COLLECTION, "--state", "s"]
        with open("s", "ab") as stdout:
            ran = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, timeout=60)
        assert (ran.returncode, b"name two files" in ran.stderr) == (2, True), ran.stderr
        assert Path("s").read_bytes() == b""

    @pytest.mark.parametrize("option", ["--cert", "--ca"])
    def test_a_file_of_the_connection_is_refused_as_output(
        self, tocsin: Callable[..., Any], partner: Medallion, option: str
    ) -> None:
        Path("key.pem").write_text("a key")
        code, _, stderr = tocsin("poll", COLLECTION, option, "key.pem", "--output", "key.pem")
        assert (code, f"--output and {option} name the same file" in stderr) == (2, True), stderr
        assert Path("key.pem").read_text() == "a key"

    @pytest.mark.parametrize("place", ["client.toml", "home/tocsin/client.toml", "other.toml"])
    @pytest.mark.parametrize(
        ("option", "words"),
        [
            ("--output", ["poll", COLLECTION]),
            ("--save-map", ["check", "iocs.csv", "--map", "host=domain"]),
        ],
    )
    def test_the_file_of_the_settings_is_not_overwritten(
        self,
        tocsin: Callable[..., Any],
        partner: Medallion,
        monkeypatch: pytest.MonkeyPatch,
        place: str,
        option: str,
        words: list[str],
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", os.path.abspath("home"))
        Path("iocs.csv").write_text("host\nevil.top\n")
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text('terms = ["acme.example"]\n')
        config = ["--config", place] if place == "other.toml" else []
        code, _, stderr = tocsin(*words, option, place, *config)
        assert (code, f"{option} and the settings name the same file" in stderr) == (2, True)
        assert Path(place).read_text() == 'terms = ["acme.example"]\n'

    @pytest.mark.parametrize(
        "words", [["poll", COLLECTION, "--output"], ["login", "--file"]], ids=["poll", "login"]
    )
    def test_the_policy_of_the_settings_is_not_overwritten(
        self, tocsin: Callable[..., Any], partner: Medallion, words: list[str]
    ) -> None:
        Path("client.toml").write_text('policy = "own.toml"\n')
        Path("own.toml").touch()
        code, _, stderr = tocsin(*words, "own.toml")
        assert (code, "and the setting policy name the same file" in stderr) == (2, True), stderr

    def test_login_does_not_write_its_settings_into_the_certificate_of_the_hub(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("ca.pem").write_text("a certificate")
        code, _, stderr = tocsin("login", "--ca", "ca.pem", "--file", "ca.pem")
        assert (code, "--file and --ca name the same file" in stderr) == (2, True), stderr

    def test_a_mapping_is_not_saved_over_a_file_to_be_checked(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("iocs.csv").write_text("host\nevil.top\n")
        options = ("--map", "host=domain", "--save-map", "iocs.csv")
        code, _, stderr = tocsin("check", "iocs.csv", *options)
        assert (code, "--save-map and FILE name the same file" in stderr) == (2, True), stderr
        assert Path("iocs.csv").read_text() == "host\nevil.top\n"

    @pytest.mark.parametrize("name", ["lock", "status.json"])
    def test_collect_does_not_write_its_state_over_the_list_of_sources(
        self, tocsin: Callable[..., Any], name: str
    ) -> None:
        Path("collect-state").mkdir()
        file = Path("collect-state") / name
        text = (
            '[[source]]\nname = "a"\nkind = "directory"\npath = "."\nto = "inbox"\nevery = "1h"\n'
        )
        file.write_text(text)
        code, _, stderr = tocsin("collect", "--once", "--sources", str(file))
        assert (code, "--state and --sources name the same file" in stderr) == (2, True), stderr
        assert file.read_text() == text


class TestFolders:
    @pytest.mark.parametrize("name", ["afile", "apipe"])
    @pytest.mark.parametrize("command", [["poll", COLLECTION, "--mirror"], ["push", "--watch"]])
    def test_anything_else_in_place_of_a_folder_exits_with_2(
        self, tocsin: Callable[..., Any], partner: Medallion, command: list[str], name: str
    ) -> None:
        Path("afile").touch()
        os.mkfifo("apipe")
        words = ["--to", COLLECTION] if command[0] == "push" else []
        code, _, stderr = tocsin(*command, name, *words)
        assert code == 2
        assert f"{name} is not a folder; name a folder" in stderr or "'afile' is a file" in stderr

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
    def test_a_folder_without_permission_asks_for_another_folder(
        self, tmp_path: Path, number: int
    ) -> None:
        with (
            pytest.raises(WrongPath, match="lacks the permission; name another folder"),
            writing(tmp_path / "files", "--mirror: m", kind="folder"),
        ):
            raise OSError(number, os.strerror(number))

    def test_a_full_disk_is_no_wrong_path(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableFile, match="No space") as raised, writing(tmp_path / "f", "f"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert not isinstance(raised.value, WrongPath)


class TestInputFiles:
    @pytest.mark.parametrize("name", ["-dash.txt", "--dash.txt"])
    def test_a_file_whose_name_begins_with_a_dash_is_answered_with_how_to_name_it(
        self, tocsin: Callable[..., Any], name: str
    ) -> None:
        hint = f" For the file of this name, write ./{name}."
        assert hint not in tocsin("check", name)[2]
        Path(name).write_text("evil.top")
        code, _, stderr = tocsin("check", name)
        assert (code, hint in stderr) == (2, True), stderr
        assert tocsin("check", f"./{name}")[0] == 0

    def test_standard_input_is_read_only_once(self, tocsin: Callable[..., Any]) -> None:
        code, _, stderr = tocsin("check", "-", "-")
        assert (code, "which can be read only once" in stderr) == (2, True)

    @pytest.mark.parametrize("command", [["check"], ["push", "--to", COLLECTION]])
    def test_a_file_without_anything_to_share_is_reported_and_exits_with_1(
        self, tocsin: Callable[..., Any], partner: Medallion, command: Any
    ) -> None:
        Path("letter.txt").write_text("All is well.\n")
        code, _, stderr = tocsin(*command, "letter.txt")
        expected = "tocsin: letter.txt: nothing to share was found in it, such as a domain"
        assert (code, stderr.startswith(expected), "--as report.txt" in stderr) == (1, True, True)

    @pytest.mark.parametrize("command", [["check"], ["push", "--to", COLLECTION]])
    @pytest.mark.parametrize("text", ["All is well.\n", ""])
    def test_beside_others_a_file_without_anything_to_share_exits_with_4(
        self, tocsin: Callable[..., Any], partner: Medallion, command: Any, text: str
    ) -> None:
        Path("letter.txt").write_text(text)
        Path("iocs.txt").write_text("evil-portal.top\n")
        code, lines, _ = tocsin(*command, "letter.txt", "iocs.txt", "--json")
        assert (code, json.loads(lines[-1])["counts"]["failed_files"]) == (4, 1)
        assert "letter.txt" in {json.loads(each).get("file") for each in lines if "error" in each}

    @pytest.mark.parametrize("command", [["check"], ["push", "--to", COLLECTION]])
    @pytest.mark.parametrize("name", ["nosuch.json", "afolder", "afile/x"])
    def test_an_unreadable_file_exits_with_1(
        self, tocsin: Callable[..., Any], partner: Medallion, command: Any, name: str
    ) -> None:
        Path("afolder").mkdir()
        Path("afile").touch()
        code, _, stderr = tocsin(*command, name)
        assert (code, f"{name}: cannot be read: " in stderr) == (1, True)

    def test_a_device_without_an_end_is_read_up_to_a_limit(
        self, tocsin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(inputs, "LARGE", 10_000)
        monkeypatch.setattr(inputs, "LONGEST_STREAM", 30_000)
        Path("a.txt").write_text("evil.top")
        code, _, stderr = tocsin("check", "/dev/zero", "a.txt")
        assert (code, "/dev/zero: it has more than 30,000 octets" in stderr) == (4, True), stderr
        with open("/dev/zero") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            code, _, stderr = tocsin("check", "-")
        assert (code, "-: it has more than 30,000 octets" in stderr) == (1, True), stderr
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith("tocsin-")] == []

    @pytest.mark.slow
    def test_a_long_pipe_with_a_name_is_read_to_its_end(
        self, tocsin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inputs, "LARGE", 10_000)
        monkeypatch.setattr(inputs, "_PIECE", 1_000)
        os.mkfifo("pipe.txt")
        text = "".join(f"bad{n}.example.org\n" for n in range(1_000))
        with ThreadPoolExecutor() as writer:
            writer.submit(Path("pipe.txt").write_text, text)
            code, lines, _ = tocsin("check", "pipe.txt", "--json")
        assert (code, json.loads(lines[-1])["counts"]["ready"]) == (0, 1_000)

    @pytest.mark.parametrize("options", [["check"], ["push", "--raw", "--to", COLLECTION]])
    def test_a_file_in_no_known_format_is_answered_with_the_list_of_formats(
        self, tocsin: Callable[..., Any], partner: Medallion, options: Any
    ) -> None:
        Path("image").write_bytes(b"\x00\x01\x02\xff" * 50)
        code, _, stderr = tocsin(*options, "image")
        assert (code, "--as" in stderr) == (1, True)
        assert [each.name for each in formats() if each.name not in stderr] == []
        assert len(formats()) > 12

    @pytest.mark.parametrize("options", [["check"], ["push", "--to", COLLECTION]])
    def test_a_file_of_a_known_kind_is_answered_with_what_to_do_about_it(
        self, tocsin: Callable[..., Any], partner: Medallion, options: Any
    ) -> None:
        Path("scan").write_bytes(b"\x89PNG\r\n")
        code, _, stderr = tocsin(*options, "scan")
        assert code == 1
        assert stderr == (
            "tocsin: scan: it is an image, and text in images is not read: "
            "type its values into a text or a table\n"
        )
