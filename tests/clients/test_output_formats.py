"""Output files of a poll: objects are neither lost nor repeated, in every format."""

import csv
import io
import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from support.disk import limited_files
from support.taxii_servers import indicator

from tocsin.admission.output_formats.csv import CSV_HEADER
from tocsin.clients.files import DiskFull, UnusableFile, WrongPath
from tocsin.clients.output_formats import FORMATS, DistinctOutput, open_output
from tocsin.clients.state import Cursor

TLP_GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
LINE_FORMATS = [each for each in FORMATS if each != "bundle"]


def as_bytes(*objects: dict[str, Any]) -> list[bytes]:
    return [json.dumps(each).encode() for each in objects]


class TestOutputFiles:
    def write_objects(
        self, path: Any, cursor: Any, objects: Any, format: Any = "jsonl", append: Any = True
    ) -> Any:
        target = open_output(format, path, io.BytesIO(), append=append)
        target.resume(cursor)
        target.write(objects)
        output, size = target.finish()
        target.close()
        return Cursor(output=output, size=size)

    def test_a_poll_appends_to_the_file_of_the_previous_poll(self, tmp_path: Path) -> None:
        path, objects = tmp_path / "out", as_bytes(*map(indicator, range(4)))
        cursor = self.write_objects(path, Cursor(), objects[:2])
        self.write_objects(path, cursor, objects[2:])
        assert path.read_bytes().splitlines() == objects

    @pytest.mark.parametrize("other", ["jsonl", "csv", "list", "bundle"])
    @pytest.mark.parametrize("format", ["jsonl", "csv", "list"])
    def test_lines_are_appended_only_to_a_file_of_the_same_format(
        self, tmp_path: Path, format: str, other: str
    ) -> None:
        path = tmp_path / "out"
        self.write_objects(path, Cursor(), as_bytes(indicator(0)), other)
        before = path.read_bytes()
        if format == other:
            self.write_objects(path, Cursor(), as_bytes(indicator(1)), format)
            assert path.read_bytes().startswith(before)
            return
        with pytest.raises(WrongPath, match=f"give --format {other}"):
            open_output(format, path, io.BytesIO(), append=True)
        assert path.read_bytes() == before
        open_output(other, path, io.BytesIO(), append=True).close()

    def test_rows_are_not_appended_to_a_table_with_other_columns(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        path.write_bytes(before := CSV_HEADER.replace(b",name", b"") + b"indicator--1,indicator\n")
        with pytest.raises(WrongPath, match="other columns than"):
            open_output("csv", path, io.BytesIO(), append=True)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("format", ["jsonl", "csv"])
    def test_a_list_that_begins_with_a_url_is_known_as_a_list(
        self, tmp_path: Path, format: str
    ) -> None:
        path = tmp_path / "out"
        path.write_text("http://cdn.top/a,b;c#d\nevil.top\n")
        with pytest.raises(WrongPath, match="give --format list"):
            open_output(format, path, io.BytesIO(), append=True)
        open_output("list", path, io.BytesIO(), append=True).close()

    def test_a_file_that_another_poll_appends_to_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        first = open_output("jsonl", path, io.BytesIO(), append=True)
        for _ in range(2):
            with pytest.raises(UnusableFile, match="another poll is writing to it; wait until"):
                open_output("jsonl", path, io.BytesIO(), append=True)
        first.close()
        open_output("jsonl", path, io.BytesIO(), append=True).close()

    @pytest.mark.parametrize("format", LINE_FORMATS)
    def test_lines_written_after_the_saved_cursor_are_replaced(
        self, tmp_path: Path, format: str
    ) -> None:
        path, objects = tmp_path / "out", as_bytes(*map(indicator, range(4)))
        cursor = self.write_objects(path, Cursor(), objects[:1], format)
        self.write_objects(path, cursor, objects[1:3], format)
        self.write_objects(path, cursor, objects[1:], format)
        whole = tmp_path / "whole"
        self.write_objects(whole, Cursor(), objects, format)
        assert path.read_bytes() == whole.read_bytes()

    @pytest.mark.parametrize("format", LINE_FORMATS)
    @pytest.mark.parametrize("number", [2, 300])  # it fails at the end, or when its buffer is full
    def test_after_a_full_disk_each_line_is_written_once(
        self, tmp_path: Path, format: str, number: int
    ) -> None:
        path, objects = tmp_path / "out", as_bytes(*map(indicator, range(number)))
        output = open_output(format, path, io.BytesIO(), append=True)
        target = DistinctOutput(output)
        target.resume(Cursor())
        target.write(objects[:1])
        cursor = Cursor(None, frozenset(), *target.sync())
        with (
            limited_files(cursor.size + 5),
            pytest.raises(DiskFull, match="--output: .*out cannot"),
        ):
            target.write(objects[1:])
            target.sync()
        target.resume(cursor)
        target.write(objects[1:])
        target.finish()
        output.close()
        whole = tmp_path / "whole"
        self.write_objects(whole, Cursor(), objects, format)
        assert path.read_bytes() == whole.read_bytes()

    @pytest.mark.parametrize(
        ("until", "listed"), [("2020-01-01T00:00:00Z", b""), ("9000-01-01T00:00:00Z", b"bad0")]
    )
    def test_a_list_leaves_out_values_that_have_expired_and_a_table_does_not(
        self, tmp_path: Path, until: str, listed: bytes
    ) -> None:
        objects = as_bytes(indicator(0) | {"valid_until": until})
        self.write_objects(tmp_path / "list", Cursor(), objects, "list")
        assert (tmp_path / "list").read_bytes()[:4] == listed
        self.write_objects(tmp_path / "csv", Cursor(), objects, "csv")
        assert until in (tmp_path / "csv").read_text() and "bad0" in (tmp_path / "csv").read_text()

    def test_a_line_truncated_by_a_crash_is_rewritten(self, tmp_path: Path) -> None:
        path, objects = tmp_path / "out", as_bytes(*map(indicator, range(3)))
        cursor = self.write_objects(path, Cursor(), objects[:1])
        with path.open("ab") as file:
            file.write(objects[1] + b"\n" + objects[2][:20])
        self.write_objects(path, cursor, objects[1:])
        assert path.read_bytes().splitlines() == objects

    def test_existing_content_of_the_output_file_is_preserved(self, tmp_path: Path) -> None:
        path, objects = tmp_path / "out", as_bytes(indicator(0))
        path.write_bytes(b"no line end")
        self.write_objects(path, Cursor(), objects)
        assert path.read_bytes().splitlines() == [b"no line end", *objects]

    def test_an_output_file_without_a_state_is_replaced(self, tmp_path: Path) -> None:
        path, objects = tmp_path / "out", as_bytes(indicator(0))
        path.write_bytes(b"old\n")
        self.write_objects(path, Cursor(), objects, append=False)
        assert path.read_bytes().splitlines() == objects

    @pytest.mark.parametrize("format", FORMATS)
    def test_an_unfinished_output_leaves_the_old_file(self, tmp_path: Path, format: str) -> None:
        path = tmp_path / "out"
        path.write_text("old")
        target = open_output(format, path, io.BytesIO(), append=False)
        target.resume(Cursor())
        target.write(as_bytes(indicator(0)))
        target.sync()
        target.close()
        assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["out"])

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_replaced_file_keeps_its_permissions(self, tmp_path: Path, format: str) -> None:
        path = tmp_path / "out"
        path.write_text("old")
        path.chmod(0o640)
        self.write_objects(path, Cursor(), as_bytes(indicator(0)), format, append=False)
        assert "bad0" in path.read_text() and path.stat().st_mode & 0o777 == 0o640
        assert os.listdir(tmp_path) == ["out"]

    @pytest.mark.parametrize("append", [True, False])
    @pytest.mark.parametrize("format", FORMATS)
    def test_a_new_output_file_is_for_its_owner_only(
        self, tmp_path: Path, format: str, append: bool
    ) -> None:
        before = os.umask(0)
        try:
            path = tmp_path / "out"
            self.write_objects(path, Cursor(), as_bytes(indicator(0)), format, append=append)
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("append", [True, False])
    @pytest.mark.parametrize("format", FORMATS)
    @pytest.mark.parametrize("target", ["precious", "nosuch"])
    def test_nothing_is_written_through_a_symbolic_link(
        self, tmp_path: Path, target: str, format: str, append: bool
    ) -> None:
        (tmp_path / "precious").write_text("kept")
        (tmp_path / "link").symlink_to(tmp_path / target)
        with pytest.raises(UnusableFile, match="symbolic link.*name the file itself"):
            open_output(format, tmp_path / "link", io.BytesIO(), append=append)
        assert sorted(os.listdir(tmp_path)) == ["link", "precious"]
        assert (tmp_path / "precious").read_text() == "kept"

    def test_a_file_with_a_guessed_temporary_name_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / f".out-{os.getpid()}").symlink_to(tmp_path / "precious")
        path, objects = tmp_path / "out", as_bytes(indicator(0))
        self.write_objects(path, Cursor(), objects, append=False)
        assert not (tmp_path / "precious").exists() and path.read_bytes() == objects[0] + b"\n"

    def test_links_among_the_folders_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to("folder")
        self.write_objects(tmp_path / "link" / "out", Cursor(), as_bytes(indicator(0)))
        assert (tmp_path / "folder" / "out").is_file()

    @pytest.mark.parametrize("format", LINE_FORMATS)
    def test_later_polls_of_a_follow_append_to_the_replaced_file(
        self, tmp_path: Path, format: str
    ) -> None:
        path, objects = tmp_path / "out", as_bytes(*map(indicator, range(4)))
        path.write_text("old")
        target = open_output(format, path, io.BytesIO(), append=False)
        cursor = Cursor()
        for some in (objects[:2], objects[2:]):
            target.resume(cursor)
            target.write(some)
            output, size = target.finish()
            cursor = Cursor(output=output, size=size)
        target.close()
        whole = tmp_path / "whole"
        self.write_objects(whole, Cursor(), objects, format)
        assert path.read_bytes() == whole.read_bytes()

    @pytest.mark.parametrize("format", FORMATS)
    def test_the_new_file_is_closed_before_it_is_renamed_because_windows_demands_it(
        self, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def replace(source: str, target: Path) -> None:
            inode = os.stat(source).st_ino
            held = [
                os.stat(each).st_ino for each in Path("/proc/self/fd").iterdir() if each.exists()
            ]
            assert inode not in held
            rename(source, target)

        rename = os.replace
        monkeypatch.setattr(os, "replace", replace)
        self.write_objects(tmp_path / "out", Cursor(), as_bytes(indicator(0)), format, append=False)
        assert (tmp_path / "out").exists()

    def test_a_follow_does_not_go_on_in_a_link_that_took_the_place_of_its_file(
        self, tmp_path: Path
    ) -> None:
        path, precious = tmp_path / "out", tmp_path / "precious"
        precious.write_text("kept")
        target = open_output("jsonl", path, io.BytesIO(), append=False)
        target.resume(Cursor())
        target.finish()
        path.unlink()
        path.symlink_to(precious)
        with pytest.raises(UnusableFile, match="symbolic link"):
            target.resume(Cursor())
        assert precious.read_text() == "kept"


class TestFormats:
    def format_objects(self, format: Any, *objects: Any) -> Any:
        stream = io.BytesIO()
        target = open_output(format, None, stream, append=False)
        target.resume(Cursor())
        target.write([each if isinstance(each, bytes) else as_bytes(each)[0] for each in objects])
        target.finish()
        return stream.getvalue().decode()

    def test_jsonl_has_one_line_per_object_as_received(self) -> None:
        odd = b'{"id":"a--1",  "big": 123456789012345678901234567890}'
        assert self.format_objects("jsonl", odd, b'{\n"a": 1}') == odd.decode() + '\n{"a": 1}\n'

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_a_bundle_is_one_json_document(self, count: int) -> None:
        objects = [indicator(n) for n in range(count)]
        bundle = json.loads(self.format_objects("bundle", *objects))
        assert (bundle["type"], bundle.get("objects", [])) == ("bundle", objects)

    def test_csv_says_in_a_column_which_objects_are_revoked(self) -> None:
        for revoked, cell in ((True, "true"), (False, ""), ("yes", "")):
            text = self.format_objects("csv", {**indicator(1), "revoked": revoked})
            (row,) = csv.DictReader(io.StringIO(text))
            assert row["revoked"] == cell

    def test_csv_has_the_name_of_an_object_in_its_last_column(self) -> None:
        text = self.format_objects("csv", {**indicator(1), "name": "Phishing kit"}, indicator(2))
        rows = csv.DictReader(io.StringIO(text))
        assert [each["name"] for each in rows] == ["Phishing kit", ""]
        assert text.splitlines()[0].endswith(",revoked,name")

    @pytest.mark.parametrize("name", ["=cmd()", " +1", "a;=1", "\x1b[2J-1", "\uff1d1"])
    def test_csv_makes_a_name_harmless_that_is_a_formula(self, name: str) -> None:
        text = self.format_objects("csv", {**indicator(1), "name": name})
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["name"].isprintable()
        for part in row["name"].split(";"):
            assert part.strip()[:1] not in ("=", "+", "-", "\uff1d")

    def test_csv_names_the_value_of_a_revoked_indicator(self) -> None:
        text = self.format_objects("csv", indicator(1), {**indicator(1), "revoked": True})
        rows = csv.DictReader(io.StringIO(text))
        found = [(row["value"], row["revoked"]) for row in rows]
        assert found == [("bad1.test", ""), ("bad1.test", "true")]

    def test_csv_has_one_row_per_object(self) -> None:
        full = {**indicator(1), "confidence": 80, "labels": ["a", "b"]}
        text = self.format_objects("csv", {**full, "object_marking_refs": [TLP_GREEN]})
        (row,) = csv.DictReader(io.StringIO(text))
        assert (row["value"], row["tlp"], row["confidence"]) == ("bad1.test", "green", "80")
        assert (row["labels"], row["pattern"]) == ("a, b", "[domain-name:value = 'bad1.test']")

    @pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "−"])
    @pytest.mark.parametrize(
        "before", ["", " ", "  ", "\u3000 ", '"', " '", '" "', "\n", "a;", "a; ", 'a;"', "a\n;"]
    )
    def test_csv_has_no_cell_that_is_a_formula_where_comma_or_semicolon_separates(
        self, sign: str, before: str
    ) -> None:
        name = f"{before}{sign}cmd|' /C calc'!A0\nx"
        text = self.format_objects("csv", {**indicator(1), "labels": [name]})
        for separator in ",;":
            for row in csv.reader(io.StringIO(text), delimiter=separator):
                cells = [unicodedata.normalize("NFKC", cell).lstrip(' \t"') for cell in row]
                assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "−")]
        assert len(text.splitlines()) == 2

    @pytest.mark.parametrize("start", ["\t", "\r", "\n"])
    def test_csv_has_no_cell_that_begins_with_a_tab_or_line_end(self, start: str) -> None:
        text = self.format_objects("csv", {**indicator(1), "labels": [f"{start}cmd"]})
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["labels"].startswith("'")

    def test_csv_holds_no_control_characters_or_marks_of_direction(self) -> None:
        name = "\x1b[2J\x9b\u202e\u2066\x7f\u2028\x00x"
        text = self.format_objects("csv", {**indicator(1), "labels": [name]})
        assert text.replace("\n", "").isprintable()

    def test_csv_has_no_cell_longer_than_a_spreadsheet_takes(self) -> None:
        text = self.format_objects("csv", {**indicator(1), "labels": ["a" * 100_000 + "=1"]})
        (row,) = csv.DictReader(io.StringIO(text))
        assert len(row["labels"]) == 32_767 and row["labels"].endswith("a…")

    def test_formulas_keep_their_text_and_ordinary_cells_are_unchanged(self) -> None:
        pattern = "[url:value = 'http://bad.test/?a=1;b=-2']"
        text = self.format_objects("csv", {**indicator(1), "pattern": pattern, "labels": ["=1"]})
        (row,) = csv.DictReader(io.StringIO(text))
        assert (row["pattern"], row["labels"]) == (pattern, "'=1")

    @pytest.mark.parametrize("value", [b"1" + b"0" * 5000, b'"\\ud800"', b"1e999"])
    @pytest.mark.parametrize("format", FORMATS)
    def test_a_value_that_cannot_be_represented_does_not_end_the_output(
        self, format: str, value: bytes
    ) -> None:
        odd = b'{"id":"a--1","confidence":\n' + value + b"}"
        assert "bad1.test" in self.format_objects(format, odd, indicator(1))

    def test_the_list_format_has_each_plain_value_once(self) -> None:
        several = {**indicator(2), "pattern": "[ipv4-addr:value IN ('198.51.100.1', '2.2.2.2')]"}
        unlike = {**indicator(3), "pattern": "[domain-name:value != 'good.test']"}
        gone = {**indicator(4), "revoked": True}
        note = {"type": "note", "id": "note--1"}
        text = self.format_objects("list", indicator(1), indicator(1), several, unlike, gone, note)
        assert text.split() == ["bad1.test", "198.51.100.1", "2.2.2.2"]
