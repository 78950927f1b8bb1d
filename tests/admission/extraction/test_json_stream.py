"""Long arrays are split at the same places wherever the octets that are read at once end."""

import io
import json

import pytest

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction import json_stream
from tocsin.admission.extraction.json_stream import (
    ArrayStream,
    find_document,
    find_elements,
    measure_depth,
    read_elements,
    read_members,
)

ELEMENTS = [
    {"a": 'braces } ] { [ and \\" quotes \\\\', "b": [1, [2, {"c": "\\"}]]},
    'a string, with ] and "quotes" and a backslash \\',
    [],
    {},
    -1.5e3,
    None,
    [[["deep"]]],
    {"umlaut": "ä\u2028", "escaped": "\u00e4\n"},
]


@pytest.fixture(params=[1, 2, 3, 7, 64, 1 << 20])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reader take this number of octets at once."""
    monkeypatch.setattr(json_stream, "_PIECE", request.param)


def split(text: str | bytes, longest: int = 1_000_000) -> list[bytes | None]:
    raw = text.encode() if isinstance(text, str) else text
    return [each.raw for each in ArrayStream(io.BytesIO(raw), longest).read()]


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "frame", ["[%s]", '{"type": "bundle", "objects": [%s], "id": "x"}', " [%s]\n"]
)
def test_each_element_comes_as_it_is_written(frame: str, indent: int | None) -> None:
    texts = [json.dumps(each, indent=indent, ensure_ascii=False) for each in ELEMENTS]
    text = frame % " ,\n ".join(texts)
    found = list(ArrayStream(io.BytesIO(text.encode())).read())
    assert [each.raw for each in found] == [each.encode() for each in texts]
    assert [text.encode()[each.start : each.end] for each in found] == [each.raw for each in found]
    part = text.encode()[found[1].start : found[-1].end]
    assert list(find_elements(part)) == [each.raw for each in found[1:]]


def test_other_members_are_kept_in_their_order() -> None:
    stream = ArrayStream(io.BytesIO(b'{"a":{"objects":[1]},"obj\\u0065cts":[2],"b":"c"}'))
    assert [each.raw for each in stream.read()] == [b"2"]
    assert stream.members == [
        (b'"a"', b'{"objects":[1]}'),
        (b'"obj\\u0065cts"', b"null"),
        (b'"b"', b'"c"'),
    ]


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1]]",
            "[1]x",
            '["a',
            '[{"a":1]',
            "[}",
        ),
        *(
            '{"objects"}',
            '{"objects":[1]',
            '{"objects":[1],}',
            '{"objects":[1]} {}',
            "{1:[2]}",
            "{,}",
        ),
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        split(text)


@pytest.mark.usefixtures("piece")
def test_an_element_that_is_too_long_is_left_out_and_the_rest_is_not() -> None:
    long = json.dumps({"a": [["x" * 20]] * 10})
    assert split(f"[1,{long},2,{long}]", longest=100) == [b"1", None, b"2", None]


@pytest.mark.slow
def test_a_long_value_without_brackets_inside_is_passed_over() -> None:
    long = ", ".join(['"value"'] * 600_000)
    assert split(f'[[{long}], 2, {{"a": [{long}], "b": []}}, []]', 100) == [None, b"2", None, b"[]"]


@pytest.mark.usefixtures("piece")
def test_members_and_elements_are_found_from_any_place() -> None:
    text = b' {"a": [1, [2]], "b\\"": {"c": "]"}, "long": ["xxxxxxxxxx", {}]} '
    stream = io.BytesIO(text)
    document = find_document(stream)
    assert (document.start, document.end) == (1, len(text) - 1)
    members = list(read_members(stream, document.start, 8))
    assert [name for name, _ in members] == [b'"a"', b'"b\\""', b'"long"']
    assert [value.raw for _, value in members] == [b"[1, [2]]", None, None]
    assert [text[each.start : each.end] for _, each in members][1:] == [
        b'{"c": "]"}',
        b'["xxxxxxxxxx", {}]',
    ]
    long = members[2][1].start
    assert [each.raw for each in read_elements(stream, long, 5)] == [None, b"{}"]


@pytest.mark.parametrize("text", ["", "5", "[1", "[1] 2", '{"a": 1}]', "[[1, 2]"])
def test_a_file_with_anything_but_one_value_is_not_a_document(text: str) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        find_document(io.BytesIO(text.encode()))


def test_the_depth_counts_brackets_outside_of_strings() -> None:
    assert measure_depth(b'{"a[[[": [[], {"b": 1}], "c": [[[1]]]}') == 4


def test_an_endless_string_ends_the_reading_in_bounded_memory() -> None:
    class Endless(io.RawIOBase):
        octets = 0

        def read(self, size: int = -1) -> bytes:
            self.octets += size
            return b'["' + b"a" * (size - 2) if self.octets == size else b"a" * size

    endless = Endless()
    with pytest.raises(Malformed, match="longer than"):
        list(ArrayStream(endless, longest=1_000_000).read())
    assert endless.octets < 20_000_000


@pytest.mark.slow
def test_many_escapes_and_deep_nesting_are_passed_over_quickly() -> None:
    text = '["' + '\\"' * 2_000_000 + '",' + "[" * 1_000_000 + "]" * 1_000_000 + "]"
    assert [len(each or b"") for each in split(text, 10_000_000)] == [4_000_002, 2_000_000]
