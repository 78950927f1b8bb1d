"""The recogniser reads sentences that may hold a name, and nothing else."""

import time

import pytest
from support.slowness import measure_slowness

from tocsin.admission.recogniser.passages import LONGEST, find_passages


def passages(text: str) -> list[str]:
    return [passage for _, passage in find_passages(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Yesterday Jane Miller called.",
        "JANE MILLER CALLED",
        "Il a écrit à Élodie Ménard.",
        "Rosenweg 12, 28195 Bremen",
    ],
)
def test_a_sentence_with_a_word_that_may_be_a_name_is_read(text: str) -> None:
    assert passages(text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "drops a file and calls home",
        "Malware downloads Emotet.",
        "Jane",
        "The C2 of Cobalt was 10.0.0.1",
        "evil.test other.test third.test",
        "d41d8cd98f00b204e9800998ecf8427e d41d8cd98f00b204e9800998ecf8427e",
        "It was sent to [removed: person's name] today",
        "(Citation: Jane Miller 2024)",
    ],
)
def test_lists_masks_citations_and_known_words_are_passed_over(text: str) -> None:
    assert passages(text) == []


def test_a_technical_value_ends_a_passage() -> None:
    text = "Jane Miller saw hxxps://evil[.]test/a/b when Paul Weber called"
    assert passages(text) == ["Jane Miller saw ", " when Paul Weber called"]


def test_a_long_text_is_cut_behind_sentences() -> None:
    found = passages("Jane Miller wrote to us about it. " * 100)
    assert all(len(each) <= LONGEST and each.rstrip().endswith("it.") for each in found)
    assert sum(map(len, found)) == 3400


def test_each_passage_is_where_it_says() -> None:
    text = "Jane Miller called.\n\nThen evil.test came, and Paul Weber left." * 20
    assert all(text.startswith(each, start) for start, each in find_passages(text))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["(", " ", "[removed:", "(Citation: ", "\n \t", "a'a'", "x" * 39])
def test_a_hostile_text_takes_time_in_proportion_to_its_length(part: str) -> None:
    began = time.process_time()
    passages(part * (200_000 // len(part)))
    assert time.process_time() - began < 5 * measure_slowness()
