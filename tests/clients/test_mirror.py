"""`tocsin poll --mirror`: files that are what collections say now."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.feed_states import damage_pages, listing
from support.taxii_servers import (
    COLLECTION,
    KEY,
    OTHER,
    Answer,
    ReceivedRequest,
    serve_medallion,
    serve_script,
)

from tocsin.admission.output_formats import output_formats

PATTERN = "[domain-name:value = '{}.test']"
KILLS = int(os.environ.get("TOCSIN_TEST_EXAMPLES", "20"))
LATER = "2026-02-01T00:00:00.000Z"
STAMP = "2026-03-01T00:00:00.{:06}Z"

pytestmark = pytest.mark.usefixtures("alone")


class Feed:
    """A server with one collection whose content a test changes."""

    def __init__(self, id: str = COLLECTION) -> None:
        self.id = id
        self.title = "feed"
        self.log: list[dict[str, Any]] = []
        self.broken = False
        self.status = 500
        """That of every answer while it is broken."""
        self.breaks_off = False
        """Only first pages are answered."""
        self.delay = 0.0
        self.is_open = threading.Event()
        """Answers with objects wait for it."""
        self.is_open.set()
        self.asked = 0

    def add(self, *objects: dict[str, Any]) -> None:
        self.log += objects

    def answer(self, request: ReceivedRequest) -> Answer | None:
        if self.broken or (self.breaks_off and "next" in request.query):
            return Answer({"title": "down"}, status=self.status)
        if request.path.endswith("/collections/"):
            listed = {"id": self.id, "title": self.title, "can_read": True, "can_write": False}
            return Answer({"collections": [listed]})
        if not request.path.endswith("/objects/"):
            return None
        self.asked += 1
        time.sleep(self.delay)
        self.is_open.wait(120)
        after = request.query.get("added_after", "")
        start = int(request.query.get("next", "0"))
        limit = int(request.query.get("limit", "1000"))
        found = [n for n in range(start, len(self.log)) if STAMP.format(n + 1) > after]
        page, more = found[:limit], len(found) > limit
        body = {"objects": [self.log[n] for n in page], "more": more}
        if more:
            body["next"] = str(page[-1] + 1)
        first, last = (page[0] + 1, page[-1] + 1) if page else (0, 0)
        headers = {
            "X-TAXII-Date-Added-First": STAMP.format(first),
            "X-TAXII-Date-Added-Last": STAMP.format(last),
        }
        return Answer(body, headers=headers if page else {})


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    served = Feed()
    with serve_script(served.answer) as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        yield served


Run = Callable[..., tuple[int, list[str], str]]


def mirror(tocsin: Run, *words: str) -> None:
    code, _, stderr = tocsin("poll", "feed", "--mirror", "m", *words)
    assert code == 0, stderr


def listed(kind: str = "domain") -> list[str]:
    return Path(f"m/edl/{kind}.txt").read_text().split()


def stats() -> dict[str, tuple[int, int, int]]:
    files = [
        path for path in Path("m").rglob("*") if path.is_file() and ".tocsin" not in path.parts
    ]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_ino, p.stat().st_size) for p in files}


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_revoked_indicators_leave_the_files_at_the_next_poll(tocsin: Run, feed: Feed) -> None:
    sent = listing(PATTERN.format("a"), 1)
    feed.add(sent, listing(PATTERN.format("b")))
    mirror(tocsin)
    assert listed() == ["a.test", "b.test"]
    feed.add({**sent, "revoked": True, "modified": LATER})
    mirror(tocsin)
    assert listed() == ["b.test"]


def test_expired_indicators_leave_the_files_though_the_server_cannot_be_reached(
    tocsin: Run, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.add(listing(PATTERN.format("a"), valid_until=soon(600)), listing(PATTERN.format("b")))
    mirror(tocsin)
    assert listed() == ["a.test", "b.test"]
    feed.broken = True
    later = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert tocsin("poll", "feed", "--mirror", "m")[0] != 0
    assert listed() == ["b.test"]


def test_nothing_is_written_when_nothing_has_changed(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    words = [word for name in output_formats() for word in ("--format", name)]
    mirror(tocsin, *words)
    before = stats()
    feed.add(listing(PATTERN.format("a")))  # the same object once more
    mirror(tocsin, *words)
    mirror(tocsin)
    assert stats() == before


def test_only_files_whose_content_differs_are_replaced(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin, "--format", "edl", "--format", "rpz")
    before = stats()
    feed.add(listing("[ipv4-addr:value = '198.51.100.7']"))
    mirror(tocsin)
    changed = {name for name, stat in stats().items() if stat != before[name]}
    assert changed == {"m/edl/ipv4.txt", "m/rpz/rpz.zone"}


def test_the_serial_number_of_a_zone_grows_with_each_change(tocsin: Run, feed: Feed) -> None:
    serials = []
    for name in "abc":
        feed.add(listing(PATTERN.format(name)))
        mirror(tocsin, "--format", "rpz")
        zone = Path("m/rpz/rpz.zone").read_text()
        serials.append(int(zone.partition("hostmaster.localhost. ")[2].split()[0]))
    assert serials[0] < serials[1] < serials[2]


def test_a_file_that_was_damaged_or_removed_is_written_again(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin)
    Path("m/edl/domain.txt").write_text("")
    Path("m/edl/ipv4.txt").unlink()
    mirror(tocsin)
    assert (listed(), listed("ipv4")) == (["a.test"], [])


def test_a_format_that_the_folder_has_stays_current_without_being_named(
    tocsin: Run, feed: Feed
) -> None:
    mirror(tocsin, "--format", "edl")
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin, "--format", "zeek")
    assert listed() == ["a.test"] and "a.test" in Path("m/zeek/tocsin.intel").read_text()


def test_all_formats_are_written_again_after_the_loss_of_the_state(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin, "--format", "zeek")
    for file in Path("m/.tocsin").iterdir():
        file.unlink()
    feed.add(listing(PATTERN.format("b")))
    mirror(tocsin)
    assert "b.test" in Path("m/zeek/tocsin.intel").read_text()


@pytest.mark.slow
def test_files_of_a_lost_state_stay_until_all_was_read_again(tocsin: Run, feed: Feed) -> None:
    feed.add(*(listing(PATTERN.format(name)) for name in "abc"))
    mirror(tocsin)
    for file in Path("m/.tocsin").iterdir():
        file.unlink()
    feed.breaks_off = True
    assert tocsin("poll", "feed", "--mirror", "m", "--limit", "1")[0] != 0
    assert listed() == ["a.test", "b.test", "c.test"]
    feed.breaks_off = False
    feed.log.pop()
    mirror(tocsin)
    assert listed() == ["a.test", "b.test"]


def test_a_damaged_state_is_refused_with_advice(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin)
    damage_pages(Path("m/.tocsin/state.sqlite"))
    code, _, stderr = tocsin("poll", "feed", "--mirror", "m")
    assert code == 1
    assert "it is damaged" in stderr and "remove the files in the folder .tocsin" in stderr


def test_a_folder_is_looked_through_once_for_all_its_files(
    tocsin: Run, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 29):
        feed.add(listing(PATTERN.format(f"d{day}"), created=f"2026-01-{day:02}T00:00:00.000Z"))
    mirror(tocsin, "--format", "misp")
    left = [Path("m/misp/.manifest.json-abcd1234.tmp"), Path("m/misp/.other-abcd1234.tmp")]
    for file in left:
        file.write_text("")
        os.utime(file, (0, 0))
    looked, iterdir = list[str](), Path.iterdir

    def look(folder: Path) -> Iterator[Path]:
        looked.append(folder.name)
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", look)
    feed.add(listing(PATTERN.format("new")))
    mirror(tocsin)
    assert looked.count("misp") == 1
    assert [file.exists() for file in left] == [False, True]


def test_a_file_that_a_format_no_longer_has_is_removed(tocsin: Run, feed: Feed) -> None:
    sent = listing(PATTERN.format("a"), 1)
    feed.add(sent)
    mirror(tocsin, "--format", "sigma")
    assert Path("m/sigma/sigma-domain.yml").exists()
    feed.add({**sent, "revoked": True, "modified": LATER})
    mirror(tocsin)
    assert not Path("m/sigma/sigma-domain.yml").exists()


def test_verify_finds_what_the_server_deleted_without_a_word(tocsin: Run, feed: Feed) -> None:
    feed.add(*(listing(PATTERN.format(name)) for name in "abc"))
    mirror(tocsin)
    del feed.log[1]
    mirror(tocsin)
    assert listed() == ["a.test", "b.test", "c.test"]
    mirror(tocsin, "--verify")
    assert listed() == ["a.test", "c.test"]
    feed.add(listing(PATTERN.format("d")))
    mirror(tocsin)
    assert listed() == ["a.test", "c.test", "d.test"]


def test_a_verification_that_breaks_off_ends_nothing(tocsin: Run, feed: Feed) -> None:
    feed.add(*(listing(PATTERN.format(name)) for name in "abc"))
    mirror(tocsin)
    answer = feed.answer

    def break_off(request: ReceivedRequest) -> Answer | None:
        return Answer({"title": "no"}, status=403) if "next" in request.query else answer(request)

    with serve_script(break_off) as server:
        words = ("--mirror", "other", "--verify", "--limit", "1", "--url", server.url)
        assert tocsin("poll", "feed", *words)[0] != 0
    assert Path("other/edl/domain.txt").read_text() == "a.test\n"
    assert listed() == ["a.test", "b.test", "c.test"]


def test_the_minimum_confidence_can_be_changed(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a"), confidence=30), listing(PATTERN.format("b")))
    mirror(tocsin, "--minimum-confidence", "31")
    assert listed() == []
    mirror(tocsin, "--minimum-confidence", "30")
    assert listed() == ["a.test"]


def test_the_minimum_confidence_is_kept_until_0_takes_it_back(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a"), confidence=30), listing(PATTERN.format("b")))
    mirror(tocsin, "--minimum-confidence", "30")
    mirror(tocsin)
    mirror(tocsin, "--verify")
    assert listed() == ["a.test"]
    mirror(tocsin, "--minimum-confidence", "0")
    mirror(tocsin)
    assert listed() == ["a.test", "b.test"]


def test_a_mirror_whose_kept_confidence_leaves_nothing_says_so(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin, "--minimum-confidence", "30")
    _, _, stderr = tocsin("poll", "feed", "--mirror", "m")
    assert "1 left out: confidence below 30, or not stated" in stderr


def test_a_folder_whose_collection_is_not_named_is_refused(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin)
    code, _, stderr = tocsin("poll", "feed", "--mirror", "m", "--type", "indicator")
    assert code != 0 and "also mirrors" in stderr


def test_a_folder_with_files_of_others_is_refused(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    own = Path("m/edl/domain.txt")
    own.parent.mkdir(parents=True)
    own.write_text("own.test\n")
    code, _, stderr = tocsin("poll", "feed", "--mirror", "m")
    assert code != 0 and "m has files but is not a mirror" in stderr
    assert own.read_text() == "own.test\n" and not Path("m/.tocsin").exists()


def test_a_new_file_system_is_an_empty_folder(tocsin: Run, feed: Feed) -> None:
    Path("m/lost+found").mkdir(parents=True)
    mirror(tocsin)


@pytest.mark.slow
def test_two_polls_do_not_work_in_one_folder(tocsin: Run, feed: Feed) -> None:
    mirror(tocsin)
    feed.add(listing(PATTERN.format("a")))
    feed.is_open.clear()
    asked = feed.asked
    command = [sys.executable, "-m", "tocsin.clients", "poll", "feed", "--mirror", "m"]
    first = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 60
        while feed.asked == asked:
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        code, _, stderr = tocsin("poll", "feed", "--mirror", "m")
        assert code != 0 and "another poll is at work" in stderr
    finally:
        feed.is_open.set()
        assert first.wait(60) == 0
    assert listed() == ["a.test"]


@pytest.mark.parametrize(
    "words",
    [
        ["--mirror", "m", "--output", "x"],
        ["--mirror", "m", "--state", "x"],
        ["--mirror", "m", "--added-after", "2026-01-01T00:00:00Z"],
        ["--mirror", "m", "--match", "labels=a"],
        ["--verify"],
        ["--mode", "644"],
        ["--drop", "https://hub.example"],
        ["--minimum-confidence", "50"],
        ["--minimum-confidence", "0"],
        ["--format", "edl"],
        ["--format", "jsonl", "--format", "csv"],
        ["--mirror", "m", "--minimum-confidence", "101"],
        ["--mirror", "m", "--mode", "777"],
        ["--mirror", "m", "--mode", "044"],
        ["--match", "version=all"],
        ["--match", "type=indicator"],
        ["--match", "confidence"],
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_made(
    tocsin: Run, feed: Feed, words: list[str]
) -> None:
    assert tocsin("poll", "feed", *words)[0] == 2
    assert not Path("m").exists()


def test_files_are_private_unless_a_mode_lets_others_read_them(tocsin: Run, feed: Feed) -> None:
    mirror(tocsin)
    assert Path("m/edl/domain.txt").stat().st_mode & 0o777 == 0o600
    mirror(tocsin, "--format", "zeek", "--mode", "644")
    assert Path("m/zeek/tocsin.intel").stat().st_mode & 0o777 == 0o644
    assert Path("m/zeek").stat().st_mode & 0o777 == 0o755
    assert Path("m/.tocsin").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("added", [(), ("a",)], ids=["unchanged", "changed"])
def test_a_mode_is_also_that_of_files_that_exist(
    tocsin: Run, feed: Feed, added: tuple[str, ...]
) -> None:
    mirror(tocsin)
    feed.add(*(listing(PATTERN.format(name)) for name in added))
    mirror(tocsin, "--mode", "644")
    assert {each.stat().st_mode & 0o777 for each in Path("m/edl").iterdir()} == {0o644}
    assert Path("m/edl").stat().st_mode & 0o777 == 0o755


def test_a_folder_behind_a_link_keeps_its_mode(tocsin: Run, feed: Feed) -> None:
    mirror(tocsin)
    Path("m/edl").rename("elsewhere")
    Path("m/edl").symlink_to(Path("elsewhere").resolve())
    mirror(tocsin, "--mode", "644")
    assert Path("elsewhere").stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in Path("m/edl").iterdir()} == {0o644}


def test_without_a_mode_files_keep_theirs(tocsin: Run, feed: Feed) -> None:
    mirror(tocsin, "--mode", "640")
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin)
    assert Path("m/edl/domain.txt").stat().st_mode & 0o777 == 0o640
    assert Path("m/edl").stat().st_mode & 0o777 == 0o750


def test_a_link_in_place_of_a_file_is_never_written_through(tocsin: Run, feed: Feed) -> None:
    precious = Path("precious")
    precious.write_text("kept")
    mirror(tocsin)
    Path("m/edl/domain.txt").unlink()
    Path("m/edl/domain.txt").symlink_to(precious.resolve())
    feed.add(listing(PATTERN.format("a")))
    code, _, stderr = tocsin("poll", "feed", "--mirror", "m")
    assert code != 0 and "symbolic link" in stderr
    assert precious.read_text() == "kept"


def test_several_collections_are_one_list(tocsin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: ReceivedRequest) -> Answer | None:
        if request.path.endswith("/objects/"):
            name = "a" if "collections/a/" in request.path else "b"
            return Answer({"objects": [listing(PATTERN.format(name))], "more": False})
        if request.path.endswith("/collections/"):
            shared = {"can_read": True, "can_write": False}
            return Answer({"collections": [{"id": n, "title": n, **shared} for n in "ab"]})
        return None

    with serve_script(answer) as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        assert tocsin("poll", "a", "b", "--mirror", "m")[0] == 0
        assert listed() == ["a.test", "b.test"]
        code, _, stderr = tocsin("poll", "a", "--mirror", "m")
        assert code != 0 and "also mirrors" in stderr and "collections/b/" in stderr
        code, lines, _ = tocsin("poll", "a", "b")
        assert code == 0 and len(lines) == 2


def test_match_is_sent_to_the_server(tocsin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []

    def answer(request: ReceivedRequest) -> Answer | None:
        if request.path.endswith("/objects/"):
            seen.append(request.query)
            return Answer({"objects": [], "more": False})
        return None

    with serve_script(answer) as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        words = ("--match", "labels=a", "--match", "labels=b", "--type", "indicator")
        assert tocsin("poll", "feed", *words)[0] == 0
    assert seen[0]["match[labels]"] == "a,b" and seen[0]["match[type]"] == "indicator"


@pytest.mark.slow
def test_a_poll_that_is_killed_at_any_time_loses_nothing_and_repeats_nothing(
    tocsin: Run, feed: Feed
) -> None:
    feed.add(*(listing(PATTERN.format(f"h{n}"), n + 1) for n in range(3000)))
    feed.delay = 0.02
    words = [word for name in ("edl", "jsonl", "rpz") for word in ("--format", name)]
    command = [sys.executable, "-m", "tocsin.clients", "poll", "feed", "--mirror", "m"]
    for n in range(KILLS):
        number = 3000 + n
        feed.add(listing(PATTERN.format(f"h{number}"), number + 1))
        gone = listing(PATTERN.format(f"h{n}"), n + 1)
        feed.add({**gone, "revoked": True, "modified": LATER})
        process = subprocess.Popen([*command, "--limit", "100", *words])
        time.sleep(0.25 + n % 20 * 0.07)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    mirror(tocsin, *words)
    expected = sorted(f"h{n}.test" for n in range(KILLS, 3000 + KILLS))
    assert listed() == expected
    lines = Path("m/jsonl/objects.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == len(expected)
    leftovers = [path.name for path in Path("m").rglob("*.tmp")]
    assert len(leftovers) <= KILLS


@pytest.mark.slow
def test_a_mirror_of_another_server_loses_nothing_and_verify_finds_its_deletions(
    tocsin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_medallion(page=7) as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        monkeypatch.setenv("TOCSIN_KEY", KEY)
        words = ("poll", COLLECTION, "--mirror", "m")
        sent = [listing(PATTERN.format(f"h{n}"), n + 1) for n in range(50)]
        server.add(*sent[:30])
        assert tocsin(*words)[0] == 0
        server.add(*sent[30:])
        server.add({**sent[0], "revoked": True, "modified": LATER})
        assert tocsin(*words)[0] == 0
        assert listed() == sorted(f"h{n}.test" for n in range(1, 50))
        server.backend.delete_object("partner", COLLECTION, sent[7]["id"], {}, ("id",))
        assert tocsin(*words)[0] == 0
        assert "h7.test" in listed()
        assert tocsin(*words, "--verify")[0] == 0
        assert listed() == sorted(f"h{n}.test" for n in range(1, 50) if n != 7)


def test_collections_of_several_servers_are_one_list(tocsin: Run) -> None:
    first, second = Feed(), Feed(OTHER)
    first.add(listing(PATTERN.format("a")), listing(PATTERN.format("both")))
    second.add(listing(PATTERN.format("b")), listing(PATTERN.format("both")))
    with serve_script(first.answer) as one, serve_script(second.answer) as two:
        mirror(tocsin, "--url", one.url, "--format", "edl", "--format", "zeek")
        mirror(tocsin, "--url", two.url)
        assert listed() == ["a.test", "b.test", "both.test"]
        before = stats()
        mirror(tocsin, "--url", one.url)
        mirror(tocsin, "--url", two.url)
        assert stats() == before


def test_a_server_on_another_host_replaces_nothing_of_the_first_one(tocsin: Run) -> None:
    first, second = Feed(), Feed(OTHER)
    good = listing(PATTERN.format("good"), 1)
    first.add(good)
    second.add({**good, "pattern": PATTERN.format("other"), "modified": LATER})
    formats = [word for name in ("csv", "misp", "sentinel") for word in ("--format", name)]
    with serve_script(first.answer) as one, serve_script(second.answer) as two:
        mirror(tocsin, "--url", one.url, *formats)
        mirror(tocsin, "--url", two.url.replace("127.0.0.1", "localhost"))
        second.add({**second.log[0], "revoked": True, "modified": "2026-03-01T00:00:00.000Z"})
        for other, size in ((True, 2), (False, 1)):
            rows = Path("m/csv/objects.csv").read_text().splitlines()[1:]
            assert (len(rows), "good.test" in str(rows)) == (size, True)
            assert "good.test" in Path("m/sentinel/sentinel.jsonl").read_text()
            events = "".join(path.read_text() for path in Path("m/misp").glob("*-*.json"))
            assert ('"value":"good.test"' in events, "other.test" in events) == (True, other)
            mirror(tocsin, "--url", two.url.replace("127.0.0.1", "localhost"))


@pytest.mark.slow
def test_a_server_that_is_added_renames_no_file_and_no_rule(
    tocsin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Feed(), Feed(OTHER)
    second.title = "other"
    first.add(listing(PATTERN.format("a")))
    second.add(listing(PATTERN.format("b"), created="2026-01-02T00:00:00Z"))
    formats = [word for name in output_formats() for word in ("--format", name)]
    with serve_script(first.answer) as one, serve_script(second.answer) as two:
        mirror(tocsin, "--url", one.url, *formats)
        files, rules = set(stats()), Path("m/suricata/tocsin-feed.rules").read_text()
        numbers = set(re.findall("sid:[0-9]+", rules))
        assert tocsin("poll", "other", "--mirror", "m", "--url", two.url)[0] == 0
        added = set(stats()) - files
        assert files <= set(stats()) and {Path(each).parent.name for each in added} == {"misp"}
        rules = Path("m/suricata/tocsin-feed.rules").read_text()
        assert numbers <= set(re.findall("sid:[0-9]+", rules))
        first.title = "renamed"
        assert tocsin("poll", "renamed", "--mirror", "m", "--url", one.url)[0] == 0
        assert set(stats()) == files | added
        events = Path("m/splunk/splunk.jsonl").read_text().splitlines()
        documents = Path("m/elastic/elastic.ndjson").read_text().splitlines()
        assert {json.loads(each)["source"] for each in events} == {"feed"}
        assert {json.loads(each)["threat"]["feed"]["name"] for each in documents} == {"feed"}
        request = json.loads(Path("m/sentinel/sentinel.jsonl").read_text())
        assert request["sourcesystem"] == "Tocsin feed"
        assert "\tfeed\t" in Path("m/zeek/tocsin.intel").read_text()


def test_a_collection_at_another_url_takes_the_place_of_what_it_gave_before(
    tocsin: Run, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = listing(PATTERN.format("a"), 1)
    feed.add(sent, listing(PATTERN.format("gone")), listing(PATTERN.format("b")))
    mirror(tocsin)
    feed.log[:2] = [{**sent, "revoked": True, "modified": LATER}]
    with serve_script(feed.answer) as moved:
        monkeypatch.setenv("TOCSIN_URL", moved.url)
        code, _, stderr = tocsin("poll", "feed", "--mirror", "m")
        assert code == 0 and "takes its place" in stderr
        assert listed() == ["b.test"]
        assert tocsin("poll", "feed", "--mirror", "m") == (0, [], "")


def test_a_collection_at_another_url_ends_nothing_before_it_was_read(
    tocsin: Run, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.add(*(listing(PATTERN.format(name)) for name in "abc"))
    mirror(tocsin)
    feed.breaks_off = True
    with serve_script(feed.answer) as moved:
        monkeypatch.setenv("TOCSIN_URL", moved.url)
        assert tocsin("poll", "feed", "--mirror", "m", "--limit", "1")[0] != 0
        assert listed() == ["a.test", "b.test", "c.test"]


def test_a_collection_with_the_same_id_on_another_host_takes_no_place(
    tocsin: Run, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone who knows the id could take out what the hub blocks."""
    feed.add(listing(PATTERN.format("a")))
    mirror(tocsin)
    strange = Feed()
    strange.add(listing(PATTERN.format("b")))
    with serve_script(strange.answer) as server:
        monkeypatch.setenv("TOCSIN_URL", server.url.replace("127.0.0.1", "localhost"))
        code, _, stderr = tocsin("poll", "feed", "--mirror", "m")
    assert code == 0 and "on another host" in stderr and "--drop http://127.0.0.1" in stderr
    assert listed() == ["a.test", "b.test"]


@pytest.mark.slow
def test_a_server_that_is_no_longer_read_is_named_and_can_be_dropped(
    tocsin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Feed(), Feed(OTHER)
    first.add(listing(PATTERN.format("a")), listing(PATTERN.format("both")))
    second.add(listing(PATTERN.format("b")), listing(PATTERN.format("both")))
    with serve_script(first.answer) as one, serve_script(second.answer) as two:
        mirror(tocsin, "--url", one.url, "--format", "edl", "--format", "misp")
        words = ("poll", "feed", "--mirror", "m", "--url", two.url)
        assert tocsin(*words) == (0, [], "")
        with monkeypatch.context() as later:
            stale = time.time_ns() + 25 * 3600 * 10**9
            later.setattr(time, "time_ns", lambda: stale)
            code, _, stderr = tocsin(*words)
        url = one.url.replace("/taxii2/", "/root")
        assert code == 0 and f"remove them with --drop {url}" in stderr
        assert tocsin(*words, "--drop", "https://other.example")[0] != 0
        assert tocsin(*words, "--drop", url) == (0, [], "")
        assert listed() == ["b.test", "both.test"]
        mirror(tocsin, "--url", one.url)
        assert listed() == ["a.test", "b.test", "both.test"]


def test_what_the_only_server_gave_is_dropped_though_the_next_one_cannot_be_reached(
    tocsin: Run,
) -> None:
    first, second = Feed(), Feed(OTHER)
    first.add(listing(PATTERN.format("a")))
    second.broken = True
    with serve_script(first.answer) as one, serve_script(second.answer) as two:
        mirror(tocsin, "--url", one.url)
        assert listed() == ["a.test"]
        words = ("poll", "feed", "--mirror", "m", "--url", two.url)
        assert tocsin(*words, "--drop", one.url.replace("/taxii2/", "/root"))[0] != 0
        assert listed() == []


@pytest.mark.slow
def test_the_advice_to_drop_a_filtered_source_works_as_it_is(
    tocsin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Feed(), Feed(OTHER)
    first.add(listing(PATTERN.format("a")))
    second.add(listing(PATTERN.format("b")))
    with serve_script(first.answer) as one, serve_script(second.answer) as two:
        mirror(tocsin, "--url", one.url, "--type", "indicator")
        mirror(tocsin, "--url", one.url.replace("127.0.0.1", "localhost"))
        words = ("poll", "feed", "--mirror", "m", "--url", two.url)
        with monkeypatch.context() as later:
            stale = time.time_ns() + 25 * 3600 * 10**9
            later.setattr(time, "time_ns", lambda: stale)
            _, _, stderr = tocsin(*words)
        advised = re.findall(r"remove them with (--drop .*)", stderr)
        (filtered,) = (each for each in advised if "match" in each)
        assert tocsin(*words, *shlex.split(filtered)) == (0, [], "")
        assert listed() == ["a.test", "b.test"]
        (other,) = (each for each in advised if each != filtered)
        assert tocsin(*words, *shlex.split(other)) == (0, [], "")
        assert listed() == ["b.test"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "file"),
    [
        (["--mirror", "m"], "m/edl/domain.txt"),
        pytest.param(["--output", "o", "--state", "s"], "o", marks=pytest.mark.slow),
    ],
)
def test_a_follow_waits_for_a_server_and_outlasts_what_it_answers(
    tocsin: Run, feed: Feed, options: list[str], file: str
) -> None:
    feed.broken = True
    command = [sys.executable, "-m", "tocsin.clients", "poll", "feed", "--follow", "0.2"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 90
        while not Path(file).exists() or text not in Path(file).read_text():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)

    try:
        assert "500: down" in process.stderr.readline()
        feed.broken = False
        feed.add(listing(PATTERN.format("a")))
        wait_for("a.test")
        for status in (404, 401, 403, 410, 400):
            feed.broken, feed.status = True, status
            while f"says {status}" not in (line := process.stderr.readline()):
                assert "the next poll is in 0.2 s" in line
        feed.broken = False
        feed.add(listing(PATTERN.format("b")))
        wait_for("b.test")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_follow_that_never_succeeded_ends_if_the_server_refuses_it(
    tocsin: Run, feed: Feed
) -> None:
    feed.broken, feed.status = True, 404
    assert tocsin("poll", "feed", "--follow", "0.2", "--mirror", "m")[0] == 3
    assert tocsin("poll", "feed", "--follow", "0.2", "--output", "o")[0] == 3


@pytest.mark.slow
def test_a_mirror_follows_until_it_is_interrupted(tocsin: Run, feed: Feed) -> None:
    feed.add(listing(PATTERN.format("a")))
    command = [sys.executable, "-m", "tocsin.clients", "poll", "feed", "--mirror", "m"]
    process = subprocess.Popen([*command, "--follow", "0.2"])

    def wait_for(*values: str) -> None:
        deadline = time.monotonic() + 90
        while not Path("m/edl/domain.txt").exists() or listed() != [*values]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    try:
        wait_for("a.test")
        feed.broken = True
        time.sleep(0.5)
        feed.broken = False
        feed.add(listing(PATTERN.format("b")))
        wait_for("a.test", "b.test")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_title_with_half_a_character_stops_nothing(
    tocsin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: ReceivedRequest) -> Answer | None:
        if request.path.endswith("/objects/"):
            return Answer({"objects": [listing(PATTERN.format("a"))], "more": False})
        if request.path.endswith("/collections/"):
            one = {"id": "a", "title": "\ud800/../x\n", "can_read": True, "can_write": False}
            return Answer({"collections": [one]})
        return None

    with serve_script(answer) as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        formats = [word for name in output_formats() for word in ("--format", name)]
        code, _, stderr = tocsin("poll", "a", "--mirror", "m", *formats)
    assert code == 0, stderr
    assert listed() == ["a.test"]
    assert {path.parent.parent.name for path in Path("m").rglob("*.*") if path.is_file()} == {"m"}
