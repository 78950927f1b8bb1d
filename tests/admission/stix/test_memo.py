"""Results about lists and dictionaries of objects are cached, and share what was read for them."""

from collections.abc import Iterable

from tocsin.admission.model import StixObject
from tocsin.admission.stix.memo import memoize_nested


def labelled(*labels: str) -> StixObject:
    return {"type": "indicator", "name": labels[0], "labels": list(labels)}


@memoize_nested
def find_labels(subject: StixObject) -> Iterable[str]:
    labels: list[str] = subject["labels"]
    return labels


@memoize_nested
def find_labels_of_labels(subject: StixObject) -> Iterable[str]:
    """A cached function that asks another one about what it was given."""
    return find_labels(subject)


def test_functions_share_what_was_decoded_of_an_object() -> None:
    seen: list[StixObject] = []

    def look(subject: StixObject) -> tuple[str, ...]:
        seen.append(subject)
        return ()

    first, second = memoize_nested(look), memoize_nested(look)
    subject = labelled("one")
    first(subject)
    second(subject)
    assert seen[0] is seen[1]
    assert seen[0] == {"type": "indicator", "labels": ["one"]}


def test_objects_that_are_asked_about_in_turns_are_not_confused() -> None:
    subjects = [labelled("one"), labelled("two", "three"), labelled("four")]
    for subject in (*subjects, *reversed(subjects), *subjects):
        expected = tuple(subject["labels"])
        assert find_labels_of_labels(subject) == find_labels(subject) == expected
