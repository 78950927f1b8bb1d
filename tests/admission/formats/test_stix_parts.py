"""Large STIX files, read part by part, have the candidates of files that are read at once."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from support.taxii_servers import indicator

from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.formats.stix_parts import LargeStix, Part, detect_large
from tocsin.admission.model import Candidate

OBSERVED = {
    "type": "observed-data",
    "id": "observed-data--00000000-0000-4000-8000-000000000001",
    "objects": {"0": {"type": "domain-name", "value": "evil.top"}},
}
OBJECTS: list[Any] = [indicator(0), OBSERVED, *(indicator(n) for n in range(1, 30))]
BAD = [
    b'{"type":"indicator","id":"indicator--1","n":NaN}',
    b'{"type":"report","type":"report","id":"report--1","object_refs":["x--1"]}',
    b'{"type":"report","id":"report--1","name":"\\ud800"}',
    b"[1]",
    b"3",
    b'{"a":' * 90 + b"1" + b"}" * 90,
]


def lines(*raws: bytes) -> list[bytes]:
    return [*(json.dumps(each).encode() for each in OBJECTS), *raws]


def bundle(*raws: bytes, frame: bytes = b'{"type":"bundle","id":"b","objects":[%s]}') -> bytes:
    return frame % b",\n".join(lines(*raws))


def read_in_parts(name: str, content: bytes, octets: int = 2_000) -> list[Candidate]:
    """Read a file twice, and compare; the candidates."""
    stream = io.BytesIO(content)
    layout = detect_large(name, stream)
    assert layout is not None
    layout = replace(layout, part_octets=octets)
    cut: list[tuple[Part, list[Candidate]]] = list(layout.cut(stream))
    for part, candidates in reversed(cut):
        assert layout.read_part(part, stream) == candidates
    assert len(cut) > 3
    return [each for _, candidates in cut for each in candidates]


@pytest.mark.parametrize(
    "content",
    [
        bundle(),
        b"\xef\xbb\xbf" + bundle(),
        bundle(*BAD),
        bundle(b'{"type":"report","id":"report--1","name":"\xff"}'),
        bundle(frame=b'{"objects":[%s],"more":false}'),
        bundle(frame=b'{"objects":[%s],"type":"bundle"}'),
        bundle(*BAD, frame=b"  [%s] \n"),
        b"\n".join(lines(*BAD)) + b"\n\n",
        b"\xef\xbb\xbf" + b"\r\n".join(lines(b"{", b'{"type":', bundle())),
    ],
    ids=[
        "bundle",
        "marked",
        "bad",
        "not UTF-8",
        "envelope",
        "type last",
        "array",
        "lines",
        "bundles on lines",
    ],
)
def test_the_candidates_are_those_of_a_file_that_is_read_at_once(content: bytes) -> None:
    assert read_in_parts("a.json", content) == list(read("a.json", content, ReadOptions(now=0)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (bundle(b'{"type":"indicator","id":}'), "expecting value at character 26 of object 32"),
        (bundle(b'{"a":"\n"}'), "invalid control character"),
        (bundle() + b"x", "extra data"),
        (bundle()[:-1], "not JSON"),
        (bundle()[:-30], "unterminated"),
        (bundle(frame=b'{"type":"bundle","objects":[],"objects":[%s]}'), "'objects' occurs twice"),
        (bundle(frame=b'{"type":"bundle","objects":[%s],"type":"x"}'), "'type' occurs twice"),
        (bundle(frame=b'{"objects":[%s],"type":"list"}'), "not STIX"),
        (bundle(frame=b'{"type":"bundle","objects":[%s],"n":1e999}'), "too large for a double"),
    ],
)
def test_a_file_that_is_broken_as_a_whole_is_refused_at_the_first_reading(
    content: bytes, problem: str
) -> None:
    with pytest.raises(Malformed, match=problem):
        list(LargeStix(is_lines=False, is_marked=False).cut(io.BytesIO(content)))


def test_a_file_that_changes_after_the_first_reading_is_refused() -> None:
    stream = io.BytesIO(bundle())
    layout = LargeStix(is_lines=False, is_marked=False, part_octets=1_000)
    parts = [part for part, _ in layout.cut(stream)]
    changed = io.BytesIO(bundle().replace(b"bad17.test", b"bad99.test"))
    with pytest.raises(Unprocessable, match="changed"):
        [layout.read_part(part, changed) for part in parts]


@pytest.mark.parametrize("is_lines", [False, True])
def test_an_object_that_is_too_long_may_restrict_all_others(is_lines: bool) -> None:
    long = json.dumps(indicator(1) | {"description": "x" * 5_000}).encode()
    content = b"\n".join([*lines(), long, *lines()]) if is_lines else bundle(long, *lines())
    layout = LargeStix(is_lines, is_marked=False, longest=4_000)
    cut = list(layout.cut(io.BytesIO(content)))
    found = [each for _, candidates in cut for each in candidates]
    refused = [each for each in found if each.object is None]
    assert len(found) == 2 * len(OBJECTS) + 3 and len(refused) == 1
    assert refused[0].salvaged == {} and "longer than 4000 octets" in refused[0].findings[0].message
    again = [layout.read_part(part, io.BytesIO(content)) for part, _ in cut]
    assert [each for candidates in again for each in candidates] == found


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"evil.top\n",
        bundle().decode().encode("utf-16"),
        b'{"Event":{"Attribute":[]}}',
        b'["evil.top","evil.org"]',
        json.dumps(OBJECTS[0]).encode(),
        b"[" + bundle()[:300],
    ],
)
def test_everything_else_is_read_as_a_whole(content: bytes) -> None:
    assert detect_large("a.json", io.BytesIO(content)) is None
