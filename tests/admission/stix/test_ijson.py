"""I-JSON: JSON that every parser reads the same way (RFC 7493)."""

from typing import Any

import pytest

from tocsin.admission.errors import Malformed
from tocsin.admission.stix.ijson import (
    MAX_DEPTH,
    check_syntax,
    parse_json,
    parse_object,
    salvage_object,
)


def nested_object(levels: Any) -> Any:
    """An object with `levels` levels of nesting, its own included."""
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


class TestAccepted:
    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            (b"{}", {}),
            (b' {"a": [1, -2.5, true, null]} \n', {"a": [1, -2.5, True, None]}),
            (b'{"a": 9007199254740991}', {"a": 2**53 - 1}),
            (b'{"a": -9007199254740991}', {"a": 1 - 2**53}),
            (b'{"a": 123456789.25, "b": -0, "c": ""}', {"a": 123456789.25, "b": 0, "c": ""}),
            ('{"a": "ü€\U0001f600"}'.encode(), {"a": "ü€\U0001f600"}),
            (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
            (b'{"a": "\\u0000"}', {"a": "\0"}),
            (b'{"a": {"x": 1}, "b": {"x": 2}}', {"a": {"x": 1}, "b": {"x": 2}}),
            (b'{"__proto__": {"a": 1}}', {"__proto__": {"a": 1}}),
        ],
    )
    def test_a_valid_object_is_parsed_to_its_value(self, raw: Any, value: Any) -> None:
        assert parse_object(raw) == value

    def test_brackets_in_strings_do_not_count_as_nesting(self) -> None:
        assert parse_object(b'{"a": "' + b"[{" * 500 + b'"}') == {"a": "[{" * 500}

    def test_nesting_is_accepted_up_to_the_maximum_depth_only(self) -> None:
        assert parse_object(nested_object(MAX_DEPTH))
        with pytest.raises(Malformed, match=f"deeper than {MAX_DEPTH} levels"):
            parse_object(nested_object(MAX_DEPTH + 1))

    def test_many_siblings_do_not_count_as_nesting(self) -> None:
        assert len(parse_object(b'{"a": [' + b"[]," * 5000 + b"[]]}")["a"]) == 5001


class TestRefused:
    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            (b"", "not JSON: expecting value at column 1"),
            (b'{"a": 1}\n{', "not JSON: extra data at line 2 column 1"),
            (b'{"a": 1,}', "not JSON"),
            (b"{'a': 1}", "not JSON"),
            (b'{"a": 1 /* x */}', "not JSON"),
            (b'{"a": "\n"}', "not JSON: invalid control character at line 1 column 8"),
            (b'{"a": "x', "not JSON: unterminated string starting at column 7"),
            (b'{"a": 01}', "not JSON"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
            (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
            (b'{"a": "\xc0\xaf"}', "not UTF-8 at byte 7"),
            (b'{"a": "\xed\xa0\x80"}', "not UTF-8 at byte 7"),
            ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
            (b'{"a": NaN}', "NaN is not a JSON number"),
            (b'{"a": Infinity}', "Infinity is not a JSON number"),
            (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
            (b'{"a": 1e999}', "too large for a double"),
            (b'{"a": 9007199254740992}', "beyond 2\\^53 - 1"),
            (b'{"a": ' + b"9" * 100_000 + b"}", "beyond 2\\^53 - 1"),
            (b'{"a": 1, "a": 1}', "the name 'a' occurs twice"),
            (b'{"a": 1, "\\u0061": 2}', "the name 'a' occurs twice"),
            (b'{"x": [{"b": 1, "b": 2}]}', "the name 'b' occurs twice"),
            (b'{"a" : "x", "a": {"b": "y"}}', "the name 'a' occurs twice"),
            (b'{"": "", "":\n["\xc3\xa9"]}', "the name '' occurs twice"),
            (b'{"a": "\\ud800"}', "half of a surrogate pair"),
            (b'{"\\udc00": 1}', "half of a surrogate pair"),
            (b'{"a": "\\uFFFF"}', "or U.FFFF"),
            (b'{"a": "\\ude00\\ud83d"}', "half of a surrogate pair"),
            (b'{"a":' * 100_000, "nested deeper"),
            (b"[" * 100_000 + b"]" * 100_000, "nested deeper"),
        ],
    )
    def test_json_that_parsers_read_differently_is_refused_with_the_reason(
        self, raw: Any, why: str
    ) -> None:
        with pytest.raises(Malformed, match=why):
            parse_object(raw)

    @pytest.mark.parametrize("raw", [b"[]", b'"a"', b"1", b"null", b"true"])
    def test_a_json_value_that_is_not_an_object_is_refused(self, raw: bytes) -> None:
        with pytest.raises(Malformed, match="not a JSON object"):
            parse_object(raw)

    def test_the_length_of_an_error_message_is_bounded(self) -> None:
        name = b"n" * 10_000
        with pytest.raises(Malformed) as refusal:
            parse_object(b'{"' + name + b'": 1, "' + name + b'": 2}')
        assert len(str(refusal.value)) < 200


class TestParseJson:
    @pytest.mark.parametrize(("raw", "value"), [(b"[1]", [1]), (b'"a"', "a"), (b"null", None)])
    def test_parse_json_accepts_any_json_value(self, raw: bytes, value: Any) -> None:
        assert parse_json(raw) == value

    def test_parse_json_refuses_duplicate_names(self) -> None:
        with pytest.raises(Malformed):
            parse_json(b'[{"a": 1, "a": 2}]')


class TestSalvaged:
    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            (b'{"type": "report", "x": 1e999, "object_refs": ["a"]}', "a"),
            (b'{"type": "report", "object_refs": ["a\\ud800"], "name": "b"}', "a\ud800"),
            (b'\xef\xbb\xbf{"object_refs": ["a"], "n": NaN}', "a"),
            (b'{"object_refs": ["a"], "name": "\xff\x00"}', "a"),
            (b'{"n": ' + b"9" * 10_000 + b', "object_refs": ["a"]}', "a"),
            (b'{"n": ' + b"[" * 150 + b"]" * 150 + b', "object_refs": ["a"]}', "a"),
        ],
    )
    def test_references_of_a_refused_record_are_kept_and_its_texts_are_not(
        self, raw: Any, value: Any
    ) -> None:
        found = salvage_object(raw)
        assert found is not None and found["object_refs"] == [value] and "name" not in found

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"object_refs": ["a"',
            b'{"\\u006fbject_refs": ["a"]]',
            b'{"object_refs": ' + b"[" * 9000 + b"]" * 9000 + b"}",
        ],
    )
    def test_an_illegible_record_that_may_be_a_container_is_empty(self, raw: Any) -> None:
        assert salvage_object(raw) == {}

    @pytest.mark.parametrize("raw", [b"7", b'"object_refs"', b'{"name": }', b"null", b"[" * 9000])
    def test_what_cannot_be_a_container_is_none(self, raw: Any) -> None:
        assert salvage_object(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": [1, 2}',
        b'{"a": "x',
        b'{"a": {"b": 1, "b": 2}, "c": ',
        b'{"a": NaN, "c": ',
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b'{"a":' * 2_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_broken_syntax_is_found_without_keeping_objects_and_explained_alike(raw: bytes) -> None:
    with pytest.raises(Malformed) as parsed:
        parse_object(raw)
    with pytest.raises(Malformed) as checked:
        check_syntax(raw)
    assert str(checked.value) == str(parsed.value)
