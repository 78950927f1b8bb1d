"""The state of feeds in one file."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.disk import limited_files
from support.feed_states import (
    NOW,
    damage_pages,
    encode,
    files_of,
    filled_state,
    listing,
    opened_state,
)

from tocsin.mirror.state import DamagedState, StateFile, StateInUse

PATTERN = "[domain-name:value = '{}.test']"
HOME, AWAY = "https://home.example/c/", "https://away.example/c/"
LATER, LATEST = "2026-02-01T00:00:00.000Z", "2026-02-02T00:00:00.000Z"


def names(state: StateFile, now: int = NOW) -> list[str]:
    return files_of(state, "list", now)["values.txt"].split()


def opened(path: Path) -> StateFile:
    return opened_state(path, alone=True)


def put(state: StateFile, *objects: Any, source: str = "feed", cursor: str | None = "c") -> None:
    with state.changing():
        state.apply(source, encode(*objects), cursor)


def test_objects_and_cursor_are_there_after_opening_again(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    put(state, listing(PATTERN.format("a")), cursor="17")
    state.close()
    state = opened(tmp_path / "s")
    assert (names(state), state.cursor("feed"), state.cursor("other")) == (["a.test"], "17", "")


def test_objects_and_cursor_are_kept_both_or_neither(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    put(state, listing(PATTERN.format("a")), cursor="1")
    with pytest.raises(RuntimeError), state.changing():
        state.apply("feed", encode(listing(PATTERN.format("b"))), "2")
        raise RuntimeError
    assert (names(state), state.cursor("feed")) == (["a.test"], "1")


def deny_commits(action: int, argument: str | None, *_: object) -> int:
    is_commit = action == sqlite3.SQLITE_TRANSACTION and argument == "COMMIT"
    return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK


def test_after_a_commit_that_failed_nothing_of_it_is_there_and_the_next_one_succeeds(
    tmp_path: Path,
) -> None:
    state = opened(tmp_path / "s")
    put(state, listing(PATTERN.format("a")), cursor="1")
    state._base.set_authorizer(deny_commits)
    for _ in range(2):
        with pytest.raises(DamagedState):  # not that there is a transaction already
            put(state, listing(PATTERN.format("b")), cursor="2")
        assert (names(state), state.cursor("feed")) == (["a.test"], "1")
    state._base.set_authorizer(None)
    put(state, listing(PATTERN.format("c")), cursor="3")
    assert (names(state), state.cursor("feed")) == (["a.test", "c.test"], "3")


def test_a_disk_that_is_full_in_the_middle_of_a_change_is_the_error_and_leaves_it_undone(
    tmp_path: Path,
) -> None:
    state, path = opened(tmp_path / "s"), tmp_path / "s-wal"
    state._base.execute("PRAGMA cache_size = 5")  # pages: what is changed is written before its end
    put(state, listing(PATTERN.format("a")), cursor="1")
    changed = [listing(PATTERN.format(f"b{n}"), n) for n in range(2, 300)]
    with limited_files(path.stat().st_size + 50_000), pytest.raises(sqlite3.OperationalError) as e:
        put(state, *changed, cursor="2")
    assert "disk" in str(e.value)
    assert (names(state), state.cursor("feed")) == (["a.test"], "1")
    put(state, *changed, cursor="2")
    assert len(names(state)) == 299


def test_the_mark_stays_while_nothing_changes(tmp_path: Path) -> None:
    state = filled_state(tmp_path, [listing(PATTERN.format("a"), 1), {"type": "note", "id": "n"}])
    mark = state.mark(NOW)
    put(state, listing(PATTERN.format("a"), 1), {"type": "note", "id": "n"}, cursor="later")
    assert state.mark(NOW) == mark
    put(state, {"type": "note", "id": "n", "content": "new"})
    assert state.mark(NOW).indicators == mark.indicators
    assert state.mark(NOW).generation > mark.generation
    put(state, listing(PATTERN.format("b"), 1, modified="2026-02-01T00:00:00.000Z"))
    assert state.mark(NOW).indicators > mark.indicators


def test_the_mark_changes_when_something_expires_and_a_clock_that_was_wrong_does_no_harm(
    tmp_path: Path,
) -> None:
    state = filled_state(
        tmp_path, [listing(PATTERN.format("a"), valid_until="2027-01-01T00:00:00Z")]
    )
    year = 366 * 24 * 3600 * 1_000_000
    assert state.mark(NOW) != state.mark(NOW + year)
    assert (names(state, NOW + year), names(state, NOW)) == ([], ["a.test"])


def test_a_value_stays_while_another_feed_has_it(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    sent = listing(PATTERN.format("a"), 1)
    put(state, sent, source="one")
    put(state, sent, source="two")
    gone = {**sent, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"}
    put(state, gone, source="one")
    assert names(state) == ["a.test"]
    put(state, gone, source="two")
    assert names(state) == []


def test_an_object_in_several_feeds_is_shown_once_in_its_latest_version(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    put(state, listing(PATTERN.format("new"), 1, modified="2026-03-01T00:00:00Z"), source="one")
    put(state, listing(PATTERN.format("old"), 1), source="two")
    lines = files_of(state, "jsonl")["objects.jsonl"].splitlines()
    assert len(lines) == 1 and "new.test" in lines[0]


def attributes(state: StateFile) -> list[dict[str, Any]]:
    """All attributes of the MISP events."""
    events = [json.loads(text) for name, text in files_of(state, "misp").items() if "-" in name]
    return [each for event in events for each in event["Event"]["Attribute"]]


def test_an_object_of_another_host_replaces_nothing(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    good = listing(PATTERN.format("good"), 1)
    put(state, good, source=HOME)
    before = files_of(state, "misp")
    other = {**good, "pattern": PATTERN.format("other"), "modified": LATER}
    put(state, other, source=AWAY)
    lines = files_of(state, "jsonl")["objects.jsonl"]
    assert ("good.test" in lines, "other.test" in lines) == (True, True)
    for name in ("csv", "sentinel", "bundle", "opencti"):
        assert "good.test" in "".join(files_of(state, name).values()), name
    assert sorted(each["value"] for each in attributes(state)) == ["good.test", "other.test"]
    assert len({each["uuid"] for each in attributes(state)}) == 2
    put(state, {**other, "revoked": True, "modified": LATEST}, source=AWAY)
    assert "good.test" in files_of(state, "csv")["objects.csv"]
    (kept,) = [each for each in attributes(state) if not each["deleted"]]
    assert json.dumps(kept, separators=(",", ":")) in "".join(before.values())


def test_an_object_of_another_host_takes_no_attribute_in_the_event_of_another_day(
    tmp_path: Path,
) -> None:
    state = opened(tmp_path / "s")
    good = listing(PATTERN.format("good"), 1)
    put(state, good, source=HOME)
    put(state, {**good, "created": "2025-01-01T00:00:00.000Z", "modified": LATER}, source=AWAY)
    assert len({each["uuid"] for each in attributes(state)}) == 2


def test_an_object_with_the_same_content_on_two_hosts_is_shown_once(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    sent = listing(PATTERN.format("a"), 1)
    put(state, sent, source=HOME)
    put(state, dict(reversed(sent.items())), source=AWAY)
    assert files_of(state, "csv")["objects.csv"].count("a.test") == 2  # its value and its pattern
    assert len(files_of(state, "jsonl")["objects.jsonl"].splitlines()) == 1


def test_what_a_dropped_host_gave_is_deleted_and_nothing_of_others(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    good = listing(PATTERN.format("good"), 1)
    other = {**good, "pattern": PATTERN.format("other"), "modified": LATER}
    put(state, good, source=HOME)
    put(state, other, source=AWAY)
    before = {each["value"]: each["uuid"] for each in attributes(state)}
    with state.changing():
        state.drop(AWAY)
    after = {each["uuid"]: each["deleted"] for each in attributes(state)}
    assert after == {before["good.test"]: False, before["other.test"]: True}
    assert names(state) == ["good.test"]


def test_a_feed_that_has_moved_goes_on_with_its_attributes(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    put(state, listing(PATTERN.format("a"), 1), source=HOME)
    before = attributes(state)
    put(state, listing(PATTERN.format("a"), 1), source=AWAY)
    with state.changing():
        state.drop(HOME)
    assert attributes(state) == before


def test_a_feed_is_dropped_with_its_cursor_or_not_at_all(tmp_path: Path) -> None:
    """With its cursor and without its objects, it would stay empty for good."""
    state = opened(tmp_path / "s")
    put(state, listing(PATTERN.format("a"), 1), cursor="17")
    with pytest.raises(RuntimeError), state.changing():
        state.drop("feed")
        raise RuntimeError
    assert (names(state), state.cursor("feed")) == (["a.test"], "17")
    with state.changing():
        state.drop("feed")
    assert (names(state), state.cursor("feed"), state.sources()) == ([], "", [])


def test_an_object_that_no_longer_comes_ends_and_can_come_back(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    kept, lost = listing(PATTERN.format("kept")), listing(PATTERN.format("lost"))
    put(state, kept, lost)
    put(state, lost, source="other")
    state.begin_round()
    put(state, kept, cursor=None)
    assert state.end_absent("feed") == 1
    assert names(state) == ["kept.test", "lost.test"]  # the other feed has it
    state.begin_round()
    assert state.end_absent("other") == 1
    assert names(state) == ["kept.test"]
    put(state, lost)
    assert names(state) == ["kept.test", "lost.test"]


def test_a_value_of_an_earlier_version_is_gone(tmp_path: Path) -> None:
    state = filled_state(tmp_path, [listing("[domain-name:value IN ('a.test', 'b.test')]", 1)])
    put(state, listing(PATTERN.format("c"), 1, modified="2026-02-01T00:00:00.000Z"))
    assert names(state) == ["c.test"]


def test_a_state_that_another_process_has_open_for_itself_is_refused(tmp_path: Path) -> None:
    state = opened(tmp_path / "s")
    with pytest.raises(StateInUse, match="in use"):
        opened(tmp_path / "s")
    state.close()
    opened(tmp_path / "s").close()


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_state_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(DamagedState, match=str(tmp_path)):
        opened(tmp_path / "s")


READERS: dict[str, Callable[[StateFile], object]] = {
    "sources": lambda state: state.sources(),
    "cursor": lambda state: state.cursor("feed"),
    "fact": lambda state: state.fact("generation", 0),
    "mark": lambda state: state.mark(NOW),
    "next_end": lambda state: state.next_end(NOW),
    "count_indicators": lambda state: state.count_indicators(NOW),
    "file_records": lambda state: state.file_records(),
    "snapshot": lambda state: names(state),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_state_that_is_damaged_behind_its_beginning_is_refused_where_it_is_read(
    tmp_path: Path, read: Callable[[StateFile], object]
) -> None:
    state = opened(tmp_path / "s")
    put(state, *(listing(PATTERN.format(n), valid_until=LATEST) for n in range(9)))
    state.close()
    damage_pages(tmp_path / "s")
    with pytest.raises(DamagedState, match=str(tmp_path)):
        read(opened(tmp_path / "s"))


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "s").close()
    base = sqlite3.connect(tmp_path / "s")
    base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(DamagedState, match="another version"):
        opened(tmp_path / "s")
