"""`tocsin collect` against a running hub: what is submitted, when, and what a bad source costs."""

import json
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from support.feed_states import damage_pages
from support.hub import HubInProcess
from support.paths import ROOT
from support.processes import BIN, HubProcess
from support.source_servers import FileServer, serve
from support.taxii_servers import Answer, serve_script

from tocsin.admission.bounded_process import BoundedTask
from tocsin.admission.errors import Malformed, Unavailable
from tocsin.clients import collect_schedule
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.collect import Run, run_source
from tocsin.clients.collect_schedule import (
    Collector,
    SourceStatus,
    format_metrics,
    read_statuses,
)
from tocsin.clients.files import UnusableFile
from tocsin.clients.source_memory import SourceMemory
from tocsin.clients.sources.directory import DirectorySource
from tocsin.config.settings import ClientSettings

FEED = "/iocs.csv"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("collect") / "data")
    hub.start()
    hub.join()
    yield hub
    hub.kill()


@pytest.fixture
def web() -> Iterator[FileServer]:
    with serve(FileServer()) as server:
        yield server


Tocsin = Callable[..., tuple[int, list[str], str]]


@pytest.fixture(scope="module")
def copies() -> BaseContext:
    """Processes that begin as copies of one that is ready to collect."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.ready_to_collect"])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(ROOT / "tests"))
        forkserver.ensure_running()
    return context


@pytest.fixture
def collect(
    hub: HubProcess, copies: BaseContext, tocsin: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> Tocsin:
    """A function that runs `tocsin collect` in a folder of its own, with the hub's address."""
    monkeypatch.setattr(collect_schedule, "_SPAWN", copies)
    monkeypatch.setenv("TOCSIN_URL", hub.url)
    monkeypatch.setenv("TOCSIN_KEY", hub.key)

    def run(*words: str) -> tuple[int, list[str], str]:
        return tocsin("collect", *words)

    return run


def write_sources(*sources: dict[str, Any]) -> None:
    """Write `sources.toml` into the working folder."""
    common = {"kind": "http", "allow_private": True, "tlp": "green"}
    tables = []
    for source in sources:
        settings = (common if source.get("kind", "http") == "http" else {"tlp": "green"}) | source
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        tables.append("\n".join(["[[source]]", *lines]))
    Path("sources.toml").write_text("\n".join(tables) + "\n")


def table(name: str, count: int) -> bytes:
    """A table of so many domains that no other test has."""
    return "\n".join(["domain", *(f"{name}-{n}.top" for n in range(count))]).encode()


def published(hub: HubProcess, name: str, count: int) -> list[dict[str, Any]]:
    """The indicators on domains of `table`, once there are so many."""
    deadline = time.monotonic() + 60
    while True:
        objects = [each for each in hub.walk() if f"'{name}-" in each.get("pattern", "")]
        latest = list({each["id"]: each for each in objects}.values())
        if len(latest) >= count:
            return latest
        assert time.monotonic() < deadline, len(latest)
        time.sleep(0.2)


def age_memory(name: str, seconds: int) -> None:
    """Let a source have been read, and its objects submitted, earlier than it was, in seconds."""
    with closing(sqlite3.connect(f"collect-state/{name}.sqlite")) as memory, memory:
        memory.execute("UPDATE submitted SET time = time - ?", (seconds,))
        memory.execute("UPDATE memory SET value = value - ? WHERE name = 'read'", (seconds,))


def counts(lines: list[str]) -> list[dict[str, int]]:
    return [json.loads(line)["counts"] for line in lines]


class TestSubmitting:
    @pytest.mark.slow
    def test_only_new_objects_of_a_file_are_submitted(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        write_sources({"name": "iocs", "url": web.url + FEED, "labels": ["ours"]})
        for number, expected in ((3, (3, 0)), (3, ()), (5, (2, 3))):
            web.files[FEED] = table("new", number)
            code, lines, _ = collect("--once", "--json")
            (found,) = counts(lines)
            assert code == 0
            wanted = dict(zip(("submitted", "unchanged"), expected, strict=False))
            assert {n: found.get(n, 0) for n in wanted} == wanted
        assert {each["labels"][0] for each in published(hub, "new", 5)} == {"ours"}

    @pytest.mark.slow
    def test_all_is_submitted_again_without_the_files_of_the_memory(
        self, collect: Tocsin, web: FileServer
    ) -> None:
        write_sources({"name": "iocs", "url": web.url + FEED})
        web.files[FEED] = table("restored", 2)
        collect("--once")
        Path("collect-state/iocs.sqlite").unlink()
        _, lines, _ = collect("--once", "--json")
        assert counts(lines)[0]["submitted"] == 2

    @pytest.mark.slow
    def test_all_is_submitted_again_after_the_url_of_the_hub_changed(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        web.files[FEED] = table("elsewhere", 2)
        write_sources({"name": "iocs", "url": web.url + FEED})
        other = hub.url.replace("127.0.0.1", "localhost")
        for url, expected, notes in ((hub.url, 2, 0), (other, 2, 1), (other, 0, 0)):
            code, lines, _ = collect("--once", "--json", "--url", url)
            assert (code, counts(lines)[0].get("submitted", 0)) == (0, expected)
            found = [each for each in json.loads(lines[0])["notes"] if "it went to" in each]
            assert len(found) == notes

    @pytest.mark.slow
    def test_what_is_known_of_another_url_keeps_no_list_from_being_read(
        self, collect: Tocsin, web: FileServer
    ) -> None:
        web.files[FEED] = web.files["/new.csv"] = table("moved", 2)
        expected = (("submitted", 0), ("unchanged", 1), ("documents", 0))
        for path, (word, notes) in zip((FEED, "/new.csv", "/new.csv"), expected, strict=True):
            write_sources({"name": "iocs", "url": web.url + path})
            code, lines, _ = collect("--once", "--json")
            assert (code, counts(lines)[0].get(word, 0)) == (0, 0 if word == "documents" else 2)
            found = [each for each in json.loads(lines[0])["notes"] if "it came from" in each]
            assert len(found) == notes

    @pytest.mark.slow
    def test_indicators_that_expire_are_renewed_when_half_the_time_is_over(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        write_sources({"name": "iocs", "url": web.url + FEED, "valid_for": "1h"})
        web.files[FEED] = table("short", 1)
        collect("--once")
        (first,) = published(hub, "short", 1)
        age_memory("iocs", 31 * 60)
        _, lines, _ = collect("--once", "--json")
        assert counts(lines)[0]["submitted"] == 1
        assert first["valid_until"]

    @pytest.mark.slow
    def test_every_kind_of_document_is_read_and_one_that_cannot_be_is_named(
        self, collect: Tocsin, hub: HubProcess
    ) -> None:
        folder = Path("in")
        folder.mkdir()
        (folder / "a.csv").write_bytes(table("good", 2))
        (folder / "b.bin").write_bytes(b"\x00\xff" * 50)
        for each in folder.iterdir():
            os.utime(each, (time.time() - 60,) * 2)
        write_sources({"kind": "directory", "name": "folder", "path": "in"})
        code, lines, err = collect("--once")
        assert code == 0
        assert "1 unreadable" in lines[0] and "2 submitted" in lines[0]
        assert "b.bin" in err
        published(hub, "good", 2)
        (folder / "b.bin").write_bytes(b"\x00\xff" * 51)
        os.utime(folder / "b.bin", (time.time() - 50,) * 2)
        code, lines, _ = collect("--once")
        assert code == 0 and "1 unreadable" in lines[0]

    @pytest.mark.slow
    def test_a_source_that_never_gave_a_document_that_can_be_read_has_failed(
        self, collect: Tocsin, hub: HubProcess
    ) -> None:
        Path("in").mkdir()
        Path("in", "b.bin").write_bytes(b"\x00\xff" * 50)
        os.utime(Path("in", "b.bin"), (time.time() - 60,) * 2)
        write_sources({"kind": "directory", "name": "folder", "path": "in"})
        code, lines, _ = collect("--once")
        assert code == 1 and "no document could be read; b.bin" in lines[0]

    @pytest.mark.slow
    def test_a_taxii_collection_of_another_hub_is_passed_on(
        self, collect: Tocsin, hub: HubProcess, tmp_path: Path
    ) -> None:
        (tmp_path / "key").write_text(hub.key)
        stix = {"type": "indicator", "spec_version": "2.1", "pattern_type": "stix"}
        stix |= dict.fromkeys(("created", "modified", "valid_from"), "2026-01-01T00:00:00.000Z")
        stix |= {"id": "indicator--00000000-0000-4000-8000-0000000000aa"}
        sent = hub.post([{**stix, "pattern": "[domain-name:value = 'relay-0.top']"}], to="scratch")
        hub.wait_until_settled(sent.json()["id"])
        source = {"kind": "taxii", "name": "peer", "url": hub.url, "collection": "scratch"}
        write_sources({**source, "credential_file": "key", "allow_private": True})
        for expected in (1, 0):
            code, lines, _ = collect("--once", "--json")
            assert (code, counts(lines)[0].get("submitted", 0)) == (0, expected)
        published(hub, "relay", 1)


PAGE = b"<!doctype html><body>Your address is blocked; mail help@lists-vendor.top</body>"
ERROR = b'{"status": "error", "message": "blocked; mail help@lists-vendor.top"}'


@pytest.mark.slow
def test_a_document_for_which_this_computer_was_too_busy_is_read_again(
    served: HubInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise Unavailable("the system is too busy")

    rule = tmp_path / "in" / "a.yar"
    rule.parent.mkdir()
    rule.write_text('rule bad { strings: $a = "evil-portal" condition: $a }')
    os.utime(rule, (time.time() - 60,) * 2)
    source = DirectorySource(name="rules", path=rule.parent, tlp="green")
    settings = ClientSettings(url=os.environ["TOCSIN_URL"], key=os.environ["TOCSIN_KEY"])
    with open_hub(settings) as hub:
        with monkeypatch.context() as busy:
            busy.setattr(BoundedTask, "run", refuse)
            first = run_source(source, settings, hub, tmp_path)
        second = run_source(source, settings, hub, tmp_path)
    assert (first.error, first.counts) == ("a.yar: the system is too busy", {"documents": 1})
    assert (second.error, second.counts["submitted"]) == ("", 1)


@pytest.mark.slow
class TestErrorPages:
    @pytest.mark.parametrize(
        ("more", "page"),
        [
            ({}, PAGE),
            ({}, ERROR),
            ({"as": "list.txt"}, PAGE),
            ({}, b"\x1f\x8b\x08\x00" + b"a" * 40),
        ],
    )
    def test_an_error_page_in_place_of_a_list_is_an_error_and_is_tried_again(
        self, collect: Tocsin, web: FileServer, more: dict[str, str], page: bytes
    ) -> None:
        path = "/download" if more else FEED
        write_sources({"name": "iocs", "url": web.url + path, **more})
        web.files[path] = page
        for _ in range(2):
            code, lines, _err = collect("--once", "--json")
            (run,) = map(json.loads, lines)
            assert code == 1 and "no document could be read" in run["error"]
            assert not run["counts"].get("submitted")
        assert collect("--status")[0] == 1
        web.files[path] = table("returned", 1)
        _, lines, _err = collect("--once", "--json")
        assert counts(lines)[0].get("objects") == 1

    def test_a_page_after_a_list_is_an_error_where_the_url_shows_no_format(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        write_sources({"name": "iocs", "url": f"{web.url}/download"})
        web.files["/download"] = table("unnamed", 1)
        assert collect("--once")[0] == 0
        web.files["/download"] = PAGE
        code, lines, _ = collect("--once")
        assert code == 1 and "is expected, but it is a web page" in lines[0]

    def test_a_page_after_a_page_and_a_list_is_an_error(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        write_sources({"name": "iocs", "url": f"{web.url}/download"})
        page = b"<html>lists-began.top</html>"
        for content, expected in ((page, 0), (table("began", 1), 0), (page, 1)):
            web.files["/download"] = content
            assert collect("--once")[0] == expected

    @pytest.mark.parametrize(
        ("path", "empty"),
        [("/list.txt", b"\n"), ("/list.json", b"[]\n"), ("/list.json", b"[\n]\n")],
    )
    def test_a_list_without_entries_is_no_error(
        self, collect: Tocsin, web: FileServer, path: str, empty: bytes
    ) -> None:
        write_sources({"name": "iocs", "url": web.url + path})
        web.files[path] = empty
        code, lines, err = collect("--once", "--json")
        assert (code, counts(lines), err) == (0, [{"documents": 1}], "")

    def test_a_source_that_is_a_page_is_read_again_and_again(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        write_sources({"name": "page", "url": f"{web.url}/report"})
        for number in (1, 2):
            web.files["/report"] = b"<html><body>paged-%d.top is evil</body></html>" % number
            code, lines, _ = collect("--once", "--json")
            assert code == 0 and counts(lines)[0]["submitted"] == 1

    def test_a_source_that_gives_nothing_any_more_is_named_at_each_run(
        self, collect: Tocsin, web: FileServer
    ) -> None:
        write_sources({"name": "iocs", "url": f"{web.url}/list.txt"})
        web.files["/list.txt"] = b"emptied-0.top\n"
        assert collect("--once")[2] == ""
        web.files["/list.txt"] = b"Closed for maintenance.\n"
        for _ in range(2):
            code, _lines, err = collect("--once")
            assert code == 0 and "this source gave objects before, and none now" in err


@pytest.mark.slow
def test_a_source_that_narrows_the_values_of_another_one_is_named(
    collect: Tocsin, web: FileServer, hub: HubProcess
) -> None:
    web.files["/list.txt"] = b"shared-0.top\nshared-1.top\n"
    sources = [
        {"name": name, "url": f"{web.url}/list.txt", "tlp": level}
        for name, level in (("green-list", "green"), ("other-list", "amber"))
    ]
    write_sources(*sources)
    assert "narrowed" not in collect("--once", "--only", "green-list")[1][0]
    code, lines, err = collect("--once", "--only", "other-list")
    assert code == 0 and "2 narrowed" in lines[0]
    assert "TLP:GREEN by one at TLP:AMBER" in err and "the same tlp" in err
    status = json.loads(collect("--status", "--json")[1][1])
    assert status["counts"]["narrowed"] == 2 and status["notes"][0].startswith("2 now at a")
    # After the levels are equal and the memory is removed, both are shared as before.
    write_sources(*(each | {"tlp": "green"} for each in sources))
    for path in Path("collect-state").glob("*.sqlite"):
        path.unlink()
    collect("--once")
    found = published(hub, "shared", 4)  # the revoked ones too
    assert len([each for each in found if not each.get("revoked")]) == 2


@pytest.mark.slow
def test_the_reasons_of_held_and_refused_objects_are_counted_and_quote_no_value(
    collect: Tocsin, web: FileServer
) -> None:
    write_sources({"name": "iocs", "url": f"{web.url}/list.txt"})
    web.files["/list.txt"] = b"10.0.4.12\n10.0.4.13\ngoogle.com\nreasoned-0.top\n"
    _, _, err = collect("--once", "--verbose")
    assert "iocs: 2 refused: a private, reserved" in err and "iocs: 1 refused: known to be" in err
    assert "10.0.4.1" not in err
    web.files["/list.txt"] += b"10.0.4.14\n"
    _, lines, err = collect("--once", "--json")
    private, benign = json.loads(lines[0])["reasons"]
    assert (private["verdict"], private["rule"], private["count"]) == (
        "refused",
        "private_addresses",
        3,
    )
    assert benign["count"] == 1 and err == ""
    assert json.loads(collect("--status", "--json")[1][0])["reasons"] == [private, benign]


@contextmanager
def most_octets(number: int) -> Iterator[None]:
    """No file can become longer meanwhile, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestFullDisk:
    def test_a_memory_that_cannot_be_written_is_not_called_damaged(self, tmp_path: Path) -> None:
        with most_octets(4096), pytest.raises(UnusableFile, match="memory cannot be written"):
            SourceMemory(tmp_path / "memory")
        with SourceMemory(tmp_path / "memory") as memory:
            assert memory.begin("https://hub.example") == ""

    def test_a_full_disk_is_named_and_what_was_written_stays(self, tmp_path: Path) -> None:
        with SourceMemory(tmp_path / "memory") as memory:
            memory.keep({"page": "1"})
            memory._database.execute("PRAGMA max_page_count = 1")  # it becomes the present number
            for write in (
                lambda: memory.keep({"page": "2" * 100_000}),
                lambda: memory.note_submitted([(f"id-{n}", b"digest") for n in range(9_999)], 0),
                lambda: memory.begin("https://hub.example/" + "x" * 100_000),
            ):
                with pytest.raises(UnusableFile, match="the disk is full"):
                    write()
            assert memory.entries() == {"page": "1"}

    def test_a_file_that_is_no_database_is_damaged(self, tmp_path: Path) -> None:
        (tmp_path / "memory").write_text("x" * 9_999)
        with pytest.raises(Malformed, match="is damaged .*; remove it"):
            SourceMemory(tmp_path / "memory")

    def test_a_file_that_is_damaged_behind_its_beginning_is_damaged(self, tmp_path: Path) -> None:
        path = tmp_path / "memory"
        with SourceMemory(path) as memory:
            memory.begin("hub")
            memory.keep({"last": "1"})
            memory.note_submitted([("indicator--1", b"digest")], 1)
        damage_pages(path)
        uses: list[Callable[[SourceMemory], object]] = [
            lambda memory: memory.entries(),
            lambda memory: memory.keep({"last": "2"}),
            lambda memory: memory.begin("hub"),
            lambda memory: memory.begin_at("place"),
            lambda memory: memory.has_submitted(),
            lambda memory: memory.is_submitted("indicator--1", b"digest", 0),
            lambda memory: memory.note_submitted([("indicator--2", b"digest")], 1),
            lambda memory: memory.forget(0),
        ]
        for use in uses:
            with (
                pytest.raises(Malformed, match="memory is damaged .*; remove it"),
                SourceMemory(path) as memory,
            ):
                use(memory)

    @pytest.mark.slow
    def test_a_status_file_that_cannot_be_written_ends_no_schedule_and_leaves_nothing_behind(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = DirectorySource(name="reports", path=tmp_path, to="inbox")
        stopped, runs = Event(), []

        def report(run: Run) -> None:
            runs.append(run)
            stopped.set()

        folder = tmp_path / "state"
        folder.mkdir()
        settings = ClientSettings(url="http://127.0.0.1:9/taxii2/", key="acme:key")
        collector = Collector([source], settings, open_hub, folder, report)
        with most_octets(0):
            collector.run(stopped)
        assert len(runs) == 1 and "status.json cannot be written: File too large" in caplog.text
        assert [file.name for file in folder.iterdir()] == ["reports.sqlite"]
        collector.run_once()
        assert read_statuses(folder)["reports"].failures == 2

    def test_half_a_character_in_the_message_of_a_server_hides_no_status(
        self, tmp_path: Path
    ) -> None:
        source = DirectorySource(name="reports", path=tmp_path)
        with serve_script(lambda request: Answer({"title": "Down \ud83d"}, 400)) as server:
            settings = ClientSettings(url=server.url, key="acme:key")
            collector = Collector([source], settings, open_hub, tmp_path, lambda run: None)
            with open_hub(settings) as hub:
                collector.statuses["reports"].note(run_source(source, settings, hub, tmp_path))
            collector._write()
        error = read_statuses(tmp_path)["reports"].error
        assert r"Down \ud83d" in ascii(error)  # so that a report of this test is text


class TestFailing:
    @pytest.mark.slow
    def test_a_source_that_fails_is_named_and_the_others_go_on(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        web.statuses["/broken"] = 503
        web.files[FEED] = table("beside", 1)
        broken = {"name": "broken", "url": f"{web.url}/broken"}
        write_sources(broken, {"name": "iocs", "url": web.url + FEED})
        code, lines, _ = collect("--once", "--json")
        runs = {each["source"]: each for each in map(json.loads, lines)}
        assert code == 1
        assert "503" in runs["broken"]["error"] and not runs["iocs"]["error"]
        published(hub, "beside", 1)
        code, lines, _ = collect("--status", "--json")
        failures = {each["source"]: each["failures"] for each in map(json.loads, lines)}
        assert (code, failures) == (1, {"broken": 1, "iocs": 0})

    @pytest.mark.slow
    def test_a_source_that_hangs_is_stopped_and_delays_no_other(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        web.hanging.add("/silent")
        web.files[FEED] = table("prompt", 1)
        silent = {"name": "silent", "url": f"{web.url}/silent", "longest_run": "25s"}
        write_sources(silent, {"name": "iocs", "url": web.url + FEED})
        _, lines, _ = collect("--once", "--json")
        runs = [json.loads(line) for line in lines]
        assert [each["source"] for each in runs] == ["iocs", "silent"]
        assert "stopped after 25s" in runs[1]["error"]

    @pytest.mark.slow
    def test_a_hub_that_cannot_be_reached_loses_nothing(
        self, collect: Tocsin, web: FileServer, hub: HubProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web.files[FEED] = table("late", 2)
        write_sources({"name": "iocs", "url": web.url + FEED})
        with monkeypatch.context() as changed:
            changed.setenv("TOCSIN_URL", "http://127.0.0.1:9/taxii2/")
            assert collect("--once")[0] == 1
        _, lines, _ = collect("--once", "--json")
        assert counts(lines)[0]["submitted"] == 2

    def test_pauses_grow_and_honour_what_the_server_asks_for(self) -> None:
        status = SourceStatus("one")
        assert status.pause(900) == 900
        pauses = []
        for status.failures in (1, 2, 3, 30):
            pauses.append(status.pause(900))
        assert pauses == [60, 120, 240, 6 * 3600]
        status.note(Run("one", 0.0, error="429", wait=86_400))
        assert status.pause(900) == 86_400

    def test_a_run_that_a_clock_that_was_ahead_put_off_comes_after_the_usual_pause(self) -> None:
        now, year = 1_800_000_000.0, 365 * 86_400
        status = SourceStatus("one", next_run=now + year)
        assert status.limit_next_run(900, now) == pytest.approx(now + 990)
        assert status.limit_next_run(900, now + 500) == pytest.approx(now + 990)
        waiting = SourceStatus("one", next_run=now + 80_000, failures=1, wait=86_400)
        assert waiting.limit_next_run(900, now) == now + 80_000
        assert SourceStatus("new").limit_next_run(900, now) == 0

    def test_a_last_run_in_the_future_is_shown_as_such(
        self, collect: Tocsin, web: FileServer
    ) -> None:
        write_sources({"name": "iocs", "url": web.url})
        status = {"source": "iocs", "last_run": time.time() + 7_260}
        Path("collect-state").mkdir()
        Path("collect-state/status.json").write_text(json.dumps({"sources": [status]}))
        _, lines, _ = collect("--status")
        assert "in the future: 2 h" in "".join(lines)

    @pytest.mark.parametrize(
        "text", ["{}", "[]", "", '{"sources": [{"failures": "many"}]}', "\xe4"]
    )
    def test_a_damaged_status_file_counts_as_missing_and_is_named(
        self, collect: Tocsin, web: FileServer, text: str
    ) -> None:
        write_sources({"name": "iocs", "url": web.url})
        Path("collect-state").mkdir()
        Path("collect-state/status.json").write_text(text, encoding="latin-1")
        code, lines, err = collect("--status")
        assert (code, err.count("\n")) == (0, 1) and "waits for its first run" in "".join(lines)
        assert "status.json is damaged and counts as missing" in err

    def test_a_status_file_of_a_later_version_is_read(
        self, collect: Tocsin, web: FileServer
    ) -> None:
        write_sources({"name": "iocs", "url": web.url})
        status = {"source": "iocs", "last_run": time.time() - 7_260, "new_field": 1}
        Path("collect-state").mkdir()
        Path("collect-state/status.json").write_text(json.dumps({"sources": [status]}))
        code, lines, err = collect("--status")
        assert (code, err) == (0, "") and "2 h 1 min ago" in "".join(lines)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--sources", "none.toml"), "docs/collect.md"),
            (("--only", "nobody"), "unknown source nobody; known are iocs"),
            (("--check", "--once"), "give one of --once, --check and --status"),
            (("--status", "--once"), "give one of --once, --check and --status"),
            (("--once", "--metrics", "127.0.0.1:0"), "until collect is stopped; leave out --once"),
        ],
    )
    def test_a_wrong_command_says_what_to_do(
        self, collect: Tocsin, web: FileServer, words: tuple[str, ...], message: str
    ) -> None:
        write_sources({"name": "iocs", "url": web.url})
        code, _, err = collect(*words)
        assert (code, message in err) == (2, True)

    @pytest.mark.slow
    def test_a_run_of_one_source_leaves_what_is_known_of_the_others(
        self, collect: Tocsin, tmp_path: Path
    ) -> None:
        Path("sources.toml").write_text(
            "".join(
                f"[[source]]\nkind = 'directory'\nname = '{name}'\npath = '{tmp_path}'\n"
                "pattern = '*.none'\n"
                for name in ("one", "two")
            )
        )
        collect("--once")
        before = read_statuses(Path("collect-state"))
        collect("--once", "--only", "one")
        after = read_statuses(Path("collect-state"))
        assert list(after) == ["one", "two"] and after["two"] == before["two"]
        assert after["one"].last_run != before["one"].last_run

    def test_a_check_names_a_folder_that_is_missing(self, collect: Tocsin) -> None:
        Path("sources.toml").write_text(
            "[[source]]\nkind = 'directory'\nname = 'reports'\npath = 'none'\n"
        )
        code, _, err = collect("--check")
        assert (code, "source reports: path: none is not a folder" in err) == (2, True)
        Path("none").mkdir()
        assert collect("--check")[0] == 0


class Service:
    """`tocsin collect` as a process."""

    def __init__(self, hub: HubProcess, *words: str) -> None:
        environment = dict(os.environ) | {"TOCSIN_URL": hub.url, "TOCSIN_KEY": hub.key}
        command = [str(BIN / "tocsin"), "collect", "--json", *words]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.runs: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.runs.append(json.loads(line))

    def count_submitted(self) -> int:
        """The objects that the runs so far have submitted."""
        return sum(each["counts"].get("submitted", 0) for each in self.runs)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code


class TestService:
    @pytest.mark.slow
    def test_collect_runs_by_its_schedule_serves_metrics_and_stops_at_a_signal(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        web.files[FEED] = table("service", 1)
        write_sources({"name": "iocs", "url": web.url + FEED, "every": "1s"})
        service = Service(hub, "--metrics", "127.0.0.1:0")
        assert service.process.stderr is not None
        address = service.process.stderr.readline().split()[-1]
        published(hub, "service", 1)
        web.files[FEED] = table("service", 2)
        deadline = time.monotonic() + 60
        while service.count_submitted() < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        text = requests.get(address, timeout=10).text
        assert collect("--once")[0] != 0  # one at a time works with a folder
        assert service.stop() == 0
        assert 'tocsin_collect_total{source="iocs",outcome="submitted"}' in text
        assert service.count_submitted() == 2
        published(hub, "service", 2)

    @pytest.mark.slow
    def test_it_runs_after_the_clock_was_ahead_and_was_set_back(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        web.files[FEED] = table("set-back", 1)
        write_sources({"name": "iocs", "url": web.url + FEED, "every": "1s"})
        then = time.time() + 365 * 86_400
        status = {"source": "iocs", "last_run": then, "next_run": then + 1}
        Path("collect-state").mkdir()
        Path("collect-state/status.json").write_text(json.dumps({"sources": [status]}))
        service = Service(hub)
        try:
            published(hub, "set-back", 1)
        finally:
            assert service.stop() == 0

    @pytest.mark.slow
    @pytest.mark.long
    def test_killed_again_and_again_it_submits_everything_and_nothing_twice(
        self, collect: Tocsin, web: FileServer, hub: HubProcess
    ) -> None:
        web.files[FEED] = table("killed", 2_000)
        write_sources({"name": "iocs", "url": web.url + FEED, "every": "1s"})
        for number in range(5):
            read, service = len(web.requests), Service(hub)
            deadline = time.monotonic() + 60
            while len(web.requests) == read:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            time.sleep(number * 0.4)
            service.stop(signal.SIGKILL)
        assert collect("--once")[0] == 0
        found = [each for each in hub.walk() if "'killed-" in each.get("pattern", "")]
        deadline = time.monotonic() + 60
        while len({each["id"] for each in found}) < 2_000 and time.monotonic() < deadline:
            time.sleep(1)
            found = [each for each in hub.walk() if "'killed-" in each.get("pattern", "")]
        assert len({each["pattern"] for each in found}) == 2_000
        assert len(found) == 2_000


def children_of(process: int) -> list[Path]:
    """The processes that a process has started and that are at work, in /proc."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [Path(f"/proc/{number}") for number in text.split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
@pytest.mark.slow
def test_no_run_outlives_the_program_that_was_killed(
    collect: Tocsin, web: FileServer, hub: HubProcess
) -> None:
    web.hanging.add("/never.txt")
    write_sources({"name": "slow", "url": f"{web.url}/never.txt"})
    service = Service(hub)
    deadline = time.monotonic() + 60
    while not web.requests and time.monotonic() < deadline:
        time.sleep(0.1)
    children = children_of(service.process.pid)
    assert children
    service.process.kill()
    deadline = time.monotonic() + 60
    while any(each.exists() for each in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [each for each in children if each.exists()]
    service.stop(signal.SIGKILL)


def test_metrics_are_in_the_format_of_prometheus() -> None:
    status = SourceStatus("iocs", failures=2, totals={"objects": 5})
    lines = format_metrics({"iocs": status}).splitlines()
    assert 'tocsin_collect_failures{source="iocs"} 2' in lines
    assert 'tocsin_collect_total{source="iocs",outcome="objects"} 5' in lines
    assert "# TYPE tocsin_collect_total counter" in lines


def test_what_a_server_says_is_shown_as_it_is(
    collect: Tocsin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sources({"name": "one", "url": "https://lists.example/"})
    Path("collect-state").mkdir()
    error = "500 [/x] [link=http://evil.example]\x1b[2J"
    status = {"source": "one", "last_run": 1.0, "failures": 1, "error": error}
    Path("collect-state", "status.json").write_text(json.dumps({"sources": [status]}))
    code, lines, _ = collect("--status")
    assert code == 1 and "[/x]" in "".join(lines)
    assert "[link=http://evil.example]" in "".join(lines)
    assert "\x1b" not in "".join(lines)
