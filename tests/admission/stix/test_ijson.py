"""JSON that means the same to everyone."""

from typing import Any

import pytest

from tocsin.admission.errors import Malformed
from tocsin.admission.stix.ijson import MAX_DEPTH, parse_json, parse_object


def nested(levels: Any) -> Any:
    """An object that is `levels` deep, itself included."""
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


class TestTaken:
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
    def test_an_object_is_what_it_says(self, raw: Any, value: Any) -> None:
        assert parse_object(raw) == value

    def test_brackets_in_strings_are_no_nesting(self) -> None:
        assert parse_object(b'{"a": "' + b"[{" * 500 + b'"}') == {"a": "[{" * 500}

    def test_the_deepest_nesting_is_taken_and_one_level_more_is_not(self) -> None:
        assert parse_object(nested(MAX_DEPTH))
        with pytest.raises(Malformed, match=f"deeper than {MAX_DEPTH} levels"):
            parse_object(nested(MAX_DEPTH + 1))

    def test_breadth_is_not_depth(self) -> None:
        assert len(parse_object(b'{"a": [' + b"[]," * 5000 + b"[]]}")["a"]) == 5001


class TestRefused:
    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            (b"", "not JSON: expecting value at line 1 column 1"),
            (b'{"a": 1}\n{', "not JSON: extra data at line 2 column 1"),
            (b'{"a": 1,}', "not JSON"),
            (b"{'a': 1}", "not JSON"),
            (b'{"a": 1 /* x */}', "not JSON"),
            (b'{"a": "\n"}', "not JSON: invalid control character"),
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
    def test_what_parsers_disagree_about_is_refused_in_words(self, raw: Any, why: str) -> None:
        with pytest.raises(Malformed, match=why):
            parse_object(raw)

    @pytest.mark.parametrize("raw", [b"[]", b'"a"', b"1", b"null", b"true"])
    def test_anything_but_an_object_is(self, raw: bytes) -> None:
        with pytest.raises(Malformed, match="not a JSON object"):
            parse_object(raw)

    def test_the_words_never_grow_with_what_was_sent(self) -> None:
        name = b"n" * 10_000
        with pytest.raises(Malformed) as refusal:
            parse_object(b'{"' + name + b'": 1, "' + name + b'": 2}')
        assert len(str(refusal.value)) < 200


class TestParsed:
    @pytest.mark.parametrize(("raw", "value"), [(b"[1]", [1]), (b'"a"', "a"), (b"null", None)])
    def test_it_takes_any_value(self, raw: bytes, value: Any) -> None:
        assert parse_json(raw) == value

    def test_it_is_as_strict(self) -> None:
        with pytest.raises(Malformed):
            parse_json(b'[{"a": 1, "a": 2}]')
