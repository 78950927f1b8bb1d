"""The versions of a public object: one for each level at which it says something else."""

from typing import Any

from tocsin.admission.model import Tlp
from tocsin.server.model import PublicObject
from tocsin.server.publishing.versions_by_tlp import (
    MILLISECOND,
    NextVersion,
    next_versions,
    renew_versions,
    replace_pending,
    version_for,
)

NOW = 1_790_000_000_000_000
GREEN_ONE = (Tlp.GREEN, {"name": "one"})
AMBER_ONE = (Tlp.AMBER, {"name": "one", "description": "more"})
AMBER_TWO = (Tlp.AMBER, {"name": "one", "description": "other"})


def published(*layers: Any) -> PublicObject:
    """The object as it is after these layers were published now."""
    first, *more = next_versions(None, layers, "identity--a", NOW)
    known = (first.of.modified, first.of.digest, first.of.level)
    return PublicObject("i", NOW, *known, "", (), tlp_versions=tuple(each.of for each in more))


def after(before: PublicObject, *layers: Any, now: int = NOW) -> list[tuple[Tlp, int, bool]]:
    """The level of each next version, its time in µs after NOW, and if it is changed."""
    versions = next_versions(before, layers, "identity--a", now)
    return [(each.of.level, each.of.modified - NOW, each.changed) for each in versions]


def test_a_fuller_version_is_later_than_a_less_strict_one() -> None:
    versions = next_versions(None, (GREEN_ONE, AMBER_ONE), "identity--a", NOW)
    assert [each.of.modified - NOW for each in versions] == [0, MILLISECOND]
    assert all(each.changed for each in versions)


def test_what_says_nothing_new_keeps_its_version() -> None:
    both = published(GREEN_ONE, AMBER_ONE)
    same = [(Tlp.GREEN, 0, False), (Tlp.AMBER, MILLISECOND, False)]
    assert after(both, GREEN_ONE, AMBER_ONE, now=NOW + 5 * MILLISECOND) == same


def test_readers_of_the_less_strict_level_do_not_learn_of_a_change_above_it() -> None:
    changed = after(published(GREEN_ONE, AMBER_ONE), GREEN_ONE, AMBER_TWO)
    assert changed == [(Tlp.GREEN, 0, False), (Tlp.AMBER, 2 * MILLISECOND, True)]


def test_a_change_below_gives_every_fuller_level_a_later_version() -> None:
    two = (Tlp.GREEN, {"name": "two"})
    changed = after(published(GREEN_ONE, AMBER_ONE), two, AMBER_ONE)
    assert changed == [(Tlp.GREEN, MILLISECOND, True), (Tlp.AMBER, 2 * MILLISECOND, True)]


def test_a_version_is_later_than_the_one_before_it_on_a_clock_that_was_set_back() -> None:
    two = (Tlp.GREEN, {"name": "two"})
    changed = after(published(GREEN_ONE), two, now=NOW - 60 * MILLISECOND)
    assert changed == [(Tlp.GREEN, MILLISECOND, True)]


def test_a_level_that_was_published_gets_a_version_without_what_it_had_more() -> None:
    both = published(GREEN_ONE, AMBER_ONE)
    levels = after(both, GREEN_ONE, now=NOW + 5 * MILLISECOND)
    assert levels == [(Tlp.GREEN, 0, False), (Tlp.AMBER, 5 * MILLISECOND, True)]


def test_an_object_that_becomes_stricter_has_no_versions_below_its_new_level() -> None:
    stricter = after(published(GREEN_ONE, AMBER_ONE), (Tlp.RED, {"name": "one"}))
    assert stricter == [(Tlp.RED, 2 * MILLISECOND, True)]


def test_the_author_is_part_of_what_a_version_says_and_the_confidence_is_not() -> None:
    before = published(GREEN_ONE)
    surer = (Tlp.GREEN, {"name": "one", "confidence": 80})
    assert after(before, surer) == [(Tlp.GREEN, 0, False)]
    [renamed] = next_versions(before, [GREEN_ONE], "identity--b", NOW)
    assert renamed.changed


def test_renewed_versions_are_later_than_before_and_in_the_order_of_their_levels() -> None:
    versions = next_versions(None, (GREEN_ONE, AMBER_ONE), "identity--a", NOW)
    for now, expected in ((NOW, [1, 2]), (NOW + 9 * MILLISECOND, [9, 10])):
        renewed = renew_versions(versions, now)
        assert [(e.of.modified - NOW) // MILLISECOND for e in renewed] == expected
        assert all(each.changed for each in renewed)


def test_a_feed_has_the_fullest_version_that_its_level_may_see() -> None:
    versions = next_versions(None, (GREEN_ONE, AMBER_ONE), "identity--a", NOW)
    levels = {tlp: version_for(versions, tlp) for tlp in Tlp}
    assert levels[Tlp.CLEAR] is None
    assert levels[Tlp.GREEN] is versions[0]
    assert levels[Tlp.AMBER] is levels[Tlp.RED] is versions[1]


def test_a_version_that_takes_the_place_of_an_unwritten_change_is_a_change_too() -> None:
    [changed] = next_versions(None, [GREEN_ONE], "identity--a", NOW)
    [same] = next_versions(published(GREEN_ONE), [GREEN_ONE], "identity--a", NOW)

    def is_changed(version: NextVersion, *pending: NextVersion) -> bool:
        return replace_pending(version, pending).changed

    assert is_changed(same, changed) and is_changed(changed) and is_changed(changed, same)
    assert not is_changed(same) and not is_changed(same, same)
