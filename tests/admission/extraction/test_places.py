"""Where each value of a file came first."""

from tocsin.admission.extraction.places import Places


def test_the_first_place_of_each_value_is_kept() -> None:
    places = Places()
    values = [f"[domain-name:value = 'host{number}.top']" for number in range(5_000)]
    assert {places.find_or_add(each, number) for number, each in enumerate(values)} == {None}
    assert [places.find_or_add(each, 9_999) for each in values] == list(range(5_000))
    assert len(places) == 5_000


def test_every_text_is_a_value() -> None:
    places = Places()
    assert [places.find_or_add(each, 7) for each in ("", "ü", "\ud800", "")] == [
        None,
        None,
        None,
        7,
    ]


def test_only_values_that_were_added_are_in_it() -> None:
    places = Places()
    for number in range(300):
        places.find_or_add(f"h{number}.top", 0)
    assert all(f"h{number}.top" in places for number in range(300))
    assert not any(f"h{number}.top" in places for number in range(300, 600))
