"""A file that is read again and again gives the same octets, or an error."""

import io
import random

import pytest

from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction import verified_file
from tocsin.admission.extraction.verified_file import VerifiedFile


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_file, "_BLOCK", 64)


def test_any_part_is_read_as_it_was() -> None:
    chance = random.Random(1)
    content = chance.randbytes(1_000)
    file = VerifiedFile(io.BytesIO(content))
    for _ in range(200):
        start, size = chance.randrange(1_100), chance.randrange(300)
        file.seek(start)
        assert file.read(size) == content[start : start + size]
        assert file.read(10) == content[start + size :][:10]


@pytest.mark.parametrize("change", ["overwrite", "cut", "append"])
def test_a_part_that_has_changed_is_an_error(change: str) -> None:
    stream = io.BytesIO(b"x" * 1_000)
    file = VerifiedFile(stream)
    if change == "overwrite":
        stream.seek(999)
        stream.write(b"y")
    elif change == "cut":
        stream.truncate(990)
    else:
        stream.seek(1_000)
        stream.write(b"y")
    assert file.read(100) == b"x" * 100
    file.seek(970)
    with pytest.raises(Unprocessable, match="changed while it was read"):
        file.read(10)
