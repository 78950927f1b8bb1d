"""Lines of a file that is larger than memory."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction import file_lines, verified_file
from tocsin.admission.extraction.file_lines import FileLines
from tocsin.admission.extraction.text_encoding import decode_text

_PIECES = (b"evil.com", b"\n", b"\r\n", b"\n\n", b" ", "ü".encode(), b"\xfc", b"x" * 9)


def open_lines(content: bytes) -> FileLines:
    found = FileLines.open(io.BytesIO(content))
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lines, "_BLOCK", 16)
    monkeypatch.setattr(verified_file, "_BLOCK", 24)


@pytest.mark.slow
@given(st.lists(st.sampled_from(_PIECES), min_size=1), st.booleans())
def test_are_those_of_the_whole_text(pieces: list[bytes], marked: bool) -> None:
    content = (b"\xef\xbb\xbf" if marked else b"") + b"".join(pieces)
    lines, expected = open_lines(content), decode_text(content).split("\n")
    assert list(lines) == expected
    assert len(lines) == len(expected)
    assert [lines[number] for number in range(len(expected))] == expected
    assert lines[-1] == expected[-1]
    assert lines[::3] == expected[::3]
    assert "\n".join(text for _, text in lines.blocks()) == "\n".join(expected)
    for first, text in lines.blocks():
        assert expected[first : first + text.count("\n") + 1] == text.split("\n")


@pytest.mark.parametrize(
    "content",
    [b"", "evil.com\n".encode("utf-16"), b"evil\0.com\n", b"one\rtwo\n", b"one\r", b"one\r\r\ntwo"],
    ids=["empty", "UTF-16", "NUL", "line feed of old Macs", "at the end", "two"],
)
def test_are_not_read_in_blocks_if_they_cannot_be(content: bytes) -> None:
    assert FileLines.open(io.BytesIO(content)) is None


def test_a_line_without_end_is_not_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lines, "_LONGEST_LINE", 100)
    assert FileLines.open(io.BytesIO(b"a.com\n" + b"x" * 150)) is None
    assert FileLines.open(io.BytesIO(b"a.com\n" * 50)) is not None


@pytest.mark.parametrize("number", [4, -5])
def test_a_line_that_is_not_there_is_an_error(number: int) -> None:
    with pytest.raises(IndexError):
        open_lines(b"a\nb\nc\n")[number]


def test_a_file_that_changes_is_an_error() -> None:
    stream = io.BytesIO(b"one.com\n" * 20)
    lines = FileLines.open(stream)
    assert lines is not None
    stream.seek(50)
    stream.write(b"t")
    with pytest.raises(Unprocessable, match="changed while it was read"):
        list(lines)
