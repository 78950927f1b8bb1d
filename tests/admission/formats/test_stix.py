"""STIX as JSON in every container in which partners send it."""

import json
from typing import Any

import pytest
from support.presence import present

from tocsin.admission import formats
from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.admission.model import Verdict

READING = formats.ReadOptions(now=1_790_000_000_000_000)
ONE = {
    "type": "indicator",
    "spec_version": "2.1",
    "id": "indicator--0c1f0f9e-5b1a-4c43-9e0a-0b7f7b0f1a11",
    "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-01-02T00:00:00.000Z",
    "pattern": "[domain-name:value = 'evil.com']",
    "pattern_type": "stix",
    "valid_from": "2026-01-01T00:00:00Z",
}
TWO = {"type": "tool", "id": "tool--0c1f0f9e-5b1a-4c43-9e0a-0b7f7b0f1a12", "name": "Zange"}
BUNDLE_ID = "bundle--0c1f0f9e-5b1a-4c43-9e0a-0b7f7b0f1a13"


def read(content: Any, name: Any = "submission.json") -> Any:
    raw = content if isinstance(content, bytes) else content.encode()
    return list(formats.read(name, raw, READING))


def objects(content: Any, **how: Any) -> Any:
    return [each.object for each in read(content, **how)]


def messages(candidate: Any) -> Any:
    return " ".join(finding.message for finding in candidate.findings)


def bundle(*members: Any) -> Any:
    """A bundle of JSON texts."""
    inside = ",\n".join(members)
    return f'{{"type": "bundle", "id": "{BUNDLE_ID}", "objects": [{inside}]}}'


GOOD = json.dumps(ONE)


class TestContainers:
    @pytest.mark.parametrize(
        "whole",
        [
            {"type": "bundle", "id": BUNDLE_ID, "objects": [ONE, TWO]},
            {"type": "bundle", "id": BUNDLE_ID, "spec_version": "2.0", "objects": [ONE, TWO]},
            {"objects": [ONE, TWO]},
            {"more": True, "next": "42", "objects": [ONE, TWO]},
            [ONE, TWO],
        ],
    )
    @pytest.mark.parametrize("indent", [None, 2])
    def test_objects_are_passed_on_as_they_were_sent(self, whole: Any, indent: None | int) -> None:
        text = json.dumps(whole, indent=indent)
        assert present(formats.detect_format("anything", text.encode())).name == "stix"
        assert objects(text, name="anything") == [ONE, TWO]

    def test_a_single_object_is_read(self) -> None:
        assert objects(json.dumps(ONE, indent=2)) == [ONE]

    def test_json_lines_with_blank_lines_are_read(self) -> None:
        text = f"{GOOD}\n\n{json.dumps(TWO)}\r\n"
        assert objects(text, name="a.jsonl") == [ONE, TWO]

    def test_a_line_may_hold_a_bundle(self) -> None:
        assert objects(f"{bundle(GOOD)}\n{json.dumps(TWO)}\n") == [ONE, TWO]

    def test_an_empty_bundle_has_no_candidates(self) -> None:
        assert read(json.dumps({"type": "bundle", "id": BUNDLE_ID})) == []

    def test_id_and_version_are_the_submitters(self) -> None:
        first, second = read(json.dumps([ONE, TWO]))
        assert (first.index, first.source_id, first.source_version) == (
            0,
            ONE["id"],
            "2026-01-02T00:00:00.000Z",
        )
        assert (second.index, second.source_id, second.source_version) == (1, TWO["id"], None)

    @pytest.mark.parametrize("value", [{}, [], 7, None])
    def test_an_id_that_is_not_text_is_no_source_id(self, value: Any) -> None:
        (candidate,) = read(bundle(json.dumps({"type": "tool", "id": value, "modified": value})))
        assert (candidate.source_id, candidate.source_version) == (None, None)


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_a_byte_order_mark_is_removed_with_a_finding(self, encoding: str) -> None:
        first, second = read(json.dumps([ONE, TWO]).encode(encoding))
        assert (first.object, second.object) == (ONE, TWO)
        assert "byte order mark" in messages(first)
        assert second.findings == ()


class TestOneBadObject:
    @pytest.mark.parametrize(
        ("bad", "why"),
        [
            ('{"type": "tool", "type": "malware"}', "'type' occurs twice"),
            ('{"type": "tool", "x": 12345678901234567890}', "beyond 2^53"),
            ('{"type": "tool", "x": 1e999}', "too large for a double"),
            ('{"type": "tool", "x": "\\ud800"}', "half of a surrogate pair"),
            ('{"type": "tool", "x": ' + "[" * 100 + "]" * 100 + "}", "nested deeper"),
            ('{"type": "tool", "x": NaN}', "NaN is not a JSON number"),
            ('"just words"', "not a JSON object"),
            ("null", "not a JSON object"),
            ("[]", "not a JSON object"),
        ],
    )
    def test_a_bad_object_is_refused_with_its_place_and_its_neighbours_are_not(
        self, bad: str, why: str
    ) -> None:
        before, refused, after = read(bundle(GOOD, bad, GOOD))
        assert (before.object, after.object) == (ONE, ONE)
        assert (refused.index, refused.verdict, refused.object) == (1, Verdict.REFUSED, None)
        assert messages(refused).startswith("object 2: ")
        assert why in messages(refused)

    def test_bytes_that_are_not_utf_8_are_refused_with_their_place(self) -> None:
        bad = b'{"type": "tool", "name": "\xff"}'
        first, second = read(bundle(GOOD, "BAD").encode().replace(b"BAD", bad))
        assert first.object == ONE
        assert messages(second) == "object 2: not UTF-8 at byte 26: encode JSON as UTF-8"

    @pytest.mark.parametrize(
        "bad",
        ['{"type": "tool" "id"}', '{"type": "tool", "id": "tool--1", "x": NaN}', '{"type": "tool"'],
    )
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_broken_line_is_refused_wherever_it_stands(self, bad: str, place: int) -> None:
        lines = [GOOD, GOOD]
        lines.insert(place, bad)
        candidates = read("\n".join(lines), name="a.jsonl")
        assert [each.verdict is Verdict.REFUSED for each in candidates] == [
            number == place for number in range(3)
        ]
        assert messages(candidates[place]).startswith(f"line {place + 1}: ")


class TestBrokenFile:
    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (bundle(GOOD)[:-2], "not JSON: .* at column"),
            (bundle(GOOD, "{"), "not JSON: .* at line 2"),
            ('{"type": "bundle", "objects": [], "objects": []}', "'objects' occurs twice"),
            ("[" * 100_000 + "]" * 100_000, "nested deeper than 64"),
            ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested deeper than 64"),
            ("{", "not JSON"),
        ],
    )
    def test_a_broken_file_is_refused_with_the_reason(self, content: Any, why: str) -> None:
        with pytest.raises(Malformed, match=why):
            read(content)


class TestHostile:
    @pytest.mark.slow
    @pytest.mark.parametrize("unit", ["[", "{", '{"a":', '"', "[]", "{}\n", '{"id":"a--'])
    def test_a_megabyte_of_repeated_json_is_answered(self, unit: str) -> None:
        try:
            candidates = read(unit * (1_000_000 // len(unit)), name="a.json")
        except (Malformed, Unprocessable):
            return
        assert all(each.verdict is Verdict.REFUSED for each in candidates)

    @pytest.mark.slow
    def test_thirty_thousand_copies_are_thirty_thousand_candidates(self) -> None:
        assert len(read(bundle(*[GOOD] * 30_000))) == 30_000
