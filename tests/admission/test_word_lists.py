"""Word lists: one entry per line, after a first line that states the purpose."""

import re
from typing import Any

import pytest
from support.paths import ROOT

LISTS = sorted((ROOT / "admission").rglob("words/*.txt"))


@pytest.mark.parametrize("path", LISTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_word_list_states_its_purpose_and_repeats_no_entry(path: Any) -> None:
    first, *entries = path.read_text(encoding="utf-8").splitlines()
    assert re.match(r"# \S", first)
    words = [line for line in entries if line and not line.startswith("#")]
    assert len(words) == len(set(words)) > 0


@pytest.mark.parametrize("path", LISTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_entry_of_a_word_list_is_a_valid_pattern(path: Any) -> None:
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        re.compile(line)
