"""Files of the user's own that `tocsin` cannot read or write: never the hub's fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.taxii_servers import COLLECTION, Medallion, indicator

from tocsin.admission.formats import formats


class TestPoll:
    @pytest.mark.parametrize("option", ["--output", "--state"])
    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("nosuch/file", "make it, or name another file"),
            ("afile/file", "make it, or name another file"),
            ("afolder", "name "),
        ],
    )
    @pytest.mark.parametrize("format", ["jsonl", "bundle"])
    def test_a_file_that_cannot_be_written_is_1_with_advice(
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
        code, lines, said = tocsin("poll", COLLECTION, "--format", format, option, name)
        assert (code, lines, said.count("\n")) == (1, [], 1)
        assert option in said and name in said and advice in said

    def test_a_state_that_cannot_be_written_is_told_before_the_hub_is_asked(
        self, tocsin: Callable[..., Any]
    ) -> None:
        away = ("--url", "http://127.0.0.1:9/taxii2/")
        code, _, said = tocsin("poll", "x", "--state", "nosuch/s", "--output", "o", *away)
        assert (code, "there is no folder" in said, Path("o").exists()) == (1, True, False)

    def test_a_device_is_no_output_file(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        code, _, said = tocsin("poll", COLLECTION, "--output", "/dev/null")
        assert (code, "write > /dev/null" in said) == (1, True)

    def test_a_dash_is_standard_output(
        self, tocsin: Callable[..., Any], partner: Medallion
    ) -> None:
        partner.add(indicator(0))
        code, (line,), _ = tocsin("poll", COLLECTION, "--output", "-")
        assert (code, json.loads(line)) == (0, indicator(0))


class TestOffering:
    @pytest.mark.parametrize("command", [["check"], ["push", "--to", COLLECTION]])
    def test_a_file_with_nothing_in_it_is_told(
        self, tocsin: Callable[..., Any], partner: Medallion, command: Any
    ) -> None:
        Path("letter.txt").write_text("All is well.\n")
        code, _, said = tocsin(*command, "letter.txt")
        assert (code, said) == (0, "tocsin: letter.txt: nothing to share was found in it\n")

    @pytest.mark.parametrize("command", [["check"], ["push", "--to", COLLECTION]])
    @pytest.mark.parametrize("name", ["nosuch.json", "afolder", "afile/x"])
    def test_a_file_that_cannot_be_read_is_1(
        self, tocsin: Callable[..., Any], partner: Medallion, command: Any, name: str
    ) -> None:
        Path("afolder").mkdir()
        Path("afile").touch()
        code, _, said = tocsin(*command, name)
        assert (code, f"{name}: cannot be read: " in said) == (1, True)

    @pytest.mark.parametrize("options", [["check"], ["push", "--raw", "--to", COLLECTION]])
    def test_a_file_that_no_format_takes_is_told_of_every_format_there_is(
        self, tocsin: Callable[..., Any], partner: Medallion, options: Any
    ) -> None:
        Path("image").write_bytes(b"\x00\x01\x02\xff" * 50)
        code, _, said = tocsin(*options, "image")
        assert (code, "--as" in said) == (1, True)
        assert [each.name for each in formats() if each.description not in said] == []
        assert len(formats()) > 5
