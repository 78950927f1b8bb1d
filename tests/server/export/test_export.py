"""`/export/`: files of feeds for products that fetch a URL, with the rights of TAXII."""

import base64
import gzip
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.clock import ManualClock
from support.feed_states import damage_pages
from support.hub import GREEN, HubInProcess, indicator
from support.presence import present

from tocsin.admission.output_formats import output_formats
from tocsin.admission.timestamps import micros
from tocsin.config.settings import HubSettings
from tocsin.mirror.state import FileRecord, StateFile, StateMark
from tocsin.server.cli.object import purge_objects
from tocsin.server.export.files import FeedFiles
from tocsin.server.model import Account, Collection, CollectionKind, View
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store

AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
LATER = "2026-02-01T00:00:00.000Z"
Hub = Callable[..., HubInProcess]


@pytest.fixture
def hub(store: Store, tmp_path: Path) -> HubInProcess:
    return HubInProcess(store, settings=HubSettings(data=tmp_path))


def get(hub: HubInProcess, path: str, who: str = "acme", **more: Any) -> Any:
    token = base64.b64encode(f"{who}:{who}".encode()).decode()
    headers = {"Authorization": f"Basic {token}"} | more.pop("headers", {})
    method = more.pop("method", "GET")
    return hub.client.open(f"/export/{path}", method=method, headers=headers, **more)


def names(hub: HubInProcess, path: str = "green/edl/domain.txt", **more: Any) -> list[str]:
    answer = get(hub, path, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.text).split()


def listed(value: str, **more: Any) -> dict[str, Any]:
    return indicator(value, seed=value, **more)


@pytest.mark.parametrize("path", ["green", "green/"])
def test_the_url_of_a_collection_lists_the_formats(hub: HubInProcess, path: str) -> None:
    assert names(hub, path) == list(output_formats())


def test_the_root_lists_the_collections_that_the_account_may_read(hub: HubInProcess) -> None:
    listed = names(hub, "")
    assert "green/" in listed and "inbox/" not in listed
    hub.store.accounts.add_account(Account("blind", "north", frozenset(), frozenset()))
    hub.store.accounts.add_key("blind", hashlib.sha256(b"blind").hexdigest())
    assert names(hub, "", who="blind") == []
    assert hub.client.get("/export/").status_code == 401


def test_a_browser_gets_links_that_lead_to_a_file(hub: HubInProcess) -> None:
    hub.push(listed("a.bad-portal.top"))
    accept = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    root = get(hub, "", headers=accept)
    assert root.content_type == "text/html; charset=utf-8" and root.headers["Vary"]
    assert '<a href="/export/green/">green/</a>' in root.text
    formats = get(hub, "green?minimum_confidence=0", headers=accept).text
    assert '<a href="/export/green/edl?minimum_confidence=0">edl</a>' in formats
    files = get(hub, "green/edl/", headers=accept).text
    assert '<a href="/export/green/edl/domain.txt">domain.txt</a>' in files
    assert get(hub, "green/edl/domain.txt", headers=accept).text == "a.bad-portal.top\n"


@pytest.mark.parametrize("path", ["nowhere", "nowhere/"])
def test_an_unknown_collection_lists_no_formats(hub: HubInProcess, path: str) -> None:
    assert get(hub, path).status_code == 404


def test_a_list_has_what_the_feed_says_now(hub: HubInProcess) -> None:
    hub.push(listed("b.bad-portal.top"), listed("a.bad-portal.top"))
    assert names(hub) == ["a.bad-portal.top", "b.bad-portal.top"]
    gone = {**listed("a.bad-portal.top"), "revoked": True, "modified": LATER}
    hub.push(gone, listed("c.bad-portal.top"))
    assert names(hub) == ["b.bad-portal.top", "c.bad-portal.top"]


def test_an_answer_is_plain_text_with_a_strong_tag(hub: HubInProcess) -> None:
    hub.push(listed("a.bad-portal.top"))
    answer = get(hub, "green/edl/domain.txt")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = get(hub, "green/edl/domain.txt", method="HEAD")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]
    assert head.headers["ETag"] == answer.headers["ETag"]


def test_who_has_the_file_gets_304_until_its_content_changes(hub: HubInProcess) -> None:
    hub.push(listed("a.bad-portal.top"))
    tag = get(hub, "green/edl/domain.txt").headers["ETag"]
    if_changed: dict[str, Any] = {"headers": {"If-None-Match": tag}}
    assert get(hub, "green/edl/domain.txt", **if_changed).status_code == 304
    hub.push({**indicator(), "pattern": "[ipv4-addr:value = '31.13.195.7']"})
    unchanged = get(hub, "green/edl/domain.txt", **if_changed)
    assert (unchanged.status_code, unchanged.headers["ETag"]) == (304, tag)
    hub.push(listed("b.bad-portal.top"))
    changed = get(hub, "green/edl/domain.txt", **if_changed)
    assert changed.status_code == 200 and changed.headers["ETag"] != tag


@pytest.mark.slow
def test_each_format_is_served_below_its_name(hub: HubInProcess) -> None:
    hub.push(listed("a.bad-portal.top"))
    for format in output_formats():
        answer = get(hub, f"green/{format}")
        assert answer.status_code == 200, answer.text
        assert get(hub, f"green/{format}/").data == answer.data
    files = get(hub, "green/edl").text.split()
    assert "ipv4.txt" in files and "domain.txt" in files
    manifest = json.loads(get(hub, "green/misp/manifest.json").data)
    for uuid in manifest:
        event = json.loads(get(hub, f"green/misp/{uuid}.json").data)
        assert event["Event"]["uuid"] == uuid


def test_the_minimum_confidence_is_a_query_parameter(hub: HubInProcess) -> None:
    hub.push(listed("a.bad-portal.top", confidence=60), listed("b.bad-portal.top"), to="scratch")
    path = "scratch/edl/domain.txt?minimum_confidence={}"
    assert names(hub, path.format(0)) == ["a.bad-portal.top", "b.bad-portal.top"]
    assert names(hub, path.format(60)) == ["a.bad-portal.top"]
    assert names(hub, path.format(61)) == []


@pytest.mark.parametrize(
    "query",
    [
        "minimum_confidence=101",
        "minimum_confidence=-1",
        "minimum_confidence=many",
        "minimum_confidence=1&minimum_confidence=2",
        "confidence=50",
        "minimum_confidence=²",
    ],
)
def test_a_query_that_is_not_understood_is_refused(hub: HubInProcess, query: str) -> None:
    answer = get(hub, f"green/edl/domain.txt?{query}")
    assert answer.status_code == 400 and "minimum_confidence" in answer.text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["nosuch/edl/domain.txt", "green/nosuch", "green/edl/nosuch.txt"])
def test_a_path_that_does_not_exist_is_answered_404_in_plain_text(
    hub: HubInProcess, path: str
) -> None:
    answer = get(hub, path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["green/edl/domain.txt", "green/edl", "x", ""])
def test_nothing_is_served_without_a_credential(hub: HubInProcess, path: str) -> None:
    answer = get(hub, path, headers={"Authorization": "Basic eDp5"})
    assert answer.status_code == 401 and "WWW-Authenticate" in answer.headers


class TestRights:
    def test_a_collection_that_an_account_may_not_see_is_like_one_that_does_not_exist(
        self, hub: HubInProcess
    ) -> None:
        hub.push(listed("a.bad-portal.top"))
        hub.store.accounts.add_account(Account("blind", "north", frozenset(), frozenset()))
        hub.store.accounts.add_key("blind", hashlib.sha256(b"blind").hexdigest())
        green = hub.collection("green").id
        answers = [get(hub, f"{name}/edl/domain.txt", "blind") for name in ("green", green, "zzz")]
        assert [each.status_code for each in answers] == [404, 404, 404]
        assert len({each.data for each in answers}) == 1

    def test_an_inbox_cannot_be_exported(self, hub: HubInProcess) -> None:
        assert get(hub, "inbox/edl/domain.txt").status_code == 403

    @pytest.mark.slow
    def test_a_less_strict_collection_never_shows_what_is_stricter(self, hub: HubInProcess) -> None:
        hub.push(
            listed("amber.bad-portal.top", object_marking_refs=[AMBER]),
            listed("green.bad-portal.top", object_marking_refs=[GREEN]),
        )
        for format in output_formats():
            for file in get(hub, f"green/{format}").text.split()[:1]:
                assert "amber.bad" not in file
        assert names(hub) == ["green.bad-portal.top"]
        assert "amber.bad" not in get(hub, "green/jsonl").text
        assert names(hub, "amber/edl/domain.txt") == [
            "amber.bad-portal.top",
            "green.bad-portal.top",
        ]

    @pytest.mark.parametrize(
        ("rights", "status"), [({"reads": frozenset()}, 404), ({"disabled": True}, 401)]
    )
    def test_a_file_is_not_served_to_an_account_that_lost_the_right_while_it_was_made(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch, rights: Any, status: int
    ) -> None:
        find = type(hub.services.exports).find

        def find_slowly(files: Any, wanted: Any) -> Any:
            account = present(hub.store.accounts.find_account("north"))
            hub.store.accounts.update_account(replace(account, **rights))
            return find(files, wanted)

        monkeypatch.setattr(type(hub.services.exports), "find", find_slowly)
        assert get(hub, "green/edl/domain.txt", "north").status_code == status

    def test_requests_count_against_the_rate_limit(self, store: Store, tmp_path: Path) -> None:
        hub = HubInProcess(store, settings=HubSettings(data=tmp_path, requests_per_minute=3))
        codes = [get(hub, "green/edl/domain.txt").status_code for _ in range(5)]
        assert codes[0] == 200 and codes[-1] == 429

    def test_the_account_that_fetched_a_file_is_among_those_that_received_it(
        self, hub: HubInProcess
    ) -> None:
        hub.push(listed("a.bad-portal.top"))
        get(hub, "green/edl/domain.txt", "north")
        hub.store.deliveries.flush()
        found = hub.store.deliveries.of_collections([hub.collection("green").id], 0)
        assert [each.account for each in found] == ["north"]


class TestPurge:
    @pytest.mark.slow
    def test_a_purged_value_is_not_served_and_its_file_is_deleted(
        self, hub: HubInProcess, tmp_path: Path
    ) -> None:
        hub.push(listed("secret.bad-portal.top"), listed("a.bad-portal.top"))
        assert "secret.bad-portal.top" in names(hub)
        assert "secret" in get(hub, "green/jsonl").text
        hub.services.purger.purge_value("secret.bad-portal.top", "operator", "test")
        assert names(hub) == ["a.bad-portal.top"]
        assert "secret.bad" not in get(hub, "green/jsonl").text
        hub.services.exports.refresh()
        files = [path for path in (tmp_path / "exports").rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if b"secret.bad-portal" in path.read_bytes()]

    @pytest.mark.slow
    def test_when_the_command_reports_its_end_nothing_is_left_that_a_hub_wrote_meanwhile(
        self, hub: HubInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.push(listed("secret.bad-portal.top"))
        names(hub)
        (state,) = (tmp_path / "exports").rglob("state.sqlite")

        def write_from_memory(_: float) -> None:
            assert not state.parent.exists()
            state.parent.mkdir()
            state.write_text("secret.bad-portal.top")

        clock = SimpleNamespace(sleep=write_from_memory)
        monkeypatch.setattr("tocsin.server.cli.object.time", clock)
        absent: Any = None
        opened = Runtime(HubSettings(), absent, hub.services)
        list(purge_objects(opened, ["secret.bad-portal.top"], "test"))
        assert not state.parent.exists()

    def test_an_object_deleted_from_a_verbatim_collection_leaves_its_files(
        self, hub: HubInProcess
    ) -> None:
        first, second = listed("a.bad-portal.top"), listed("b.bad-portal.top")
        hub.push(first, second, to="scratch")
        path = "scratch/edl/domain.txt"
        assert names(hub, path) == ["a.bad-portal.top", "b.bad-portal.top"]
        gone = hub.ask(f"collections/scratch/objects/{first['id']}/", method="DELETE")
        assert gone.status_code == 200
        assert names(hub, path) == ["b.bad-portal.top"]

    def test_an_older_version_that_a_deletion_uncovers_is_served(self, hub: HubInProcess) -> None:
        old = listed("a.bad-portal.top")
        new = {**old, "pattern": "[domain-name:value = 'n.bad-portal.top']", "modified": LATER}
        hub.push(old, to="scratch")
        hub.push(new, to="scratch")
        path = "scratch/edl/domain.txt"
        assert names(hub, path) == ["n.bad-portal.top"]
        query = f"?match[version]={LATER}"
        hub.ask(f"collections/scratch/objects/{old['id']}/{query}", method="DELETE")
        assert names(hub, path) == ["a.bad-portal.top"]


class TestViews:
    def view(self, hub: HubInProcess, **more: Any) -> None:
        source = hub.collection("scratch").id
        collection = Collection(
            "99999999-9999-4999-8999-999999999999",
            "view",
            CollectionKind.AGGREGATE,
            "View",
            view=View(sources=(source,), **more),
        )
        hub.store.feeds.add(collection)
        found = hub.store.accounts.find_account_by_credential
        account = found(hashlib.sha256(b"acme").hexdigest())
        assert account is not None
        reads = account.reads | {collection.id}
        hub.store.accounts.add_account(Account("viewer", "acme", reads, account.writes))
        hub.store.accounts.add_key("viewer", hashlib.sha256(b"viewer").hexdigest())

    @pytest.mark.slow
    @pytest.mark.parametrize("active", [False, True])
    def test_an_object_revoked_in_a_source_leaves_the_files_of_a_view(
        self, hub: HubInProcess, active: bool
    ) -> None:
        self.view(hub, active=active)
        first, second = listed("a.bad-portal.top"), listed("b.bad-portal.top")
        hub.push(first, second, to="scratch")
        path = "view/edl/domain.txt"
        assert names(hub, path, who="viewer") == ["a.bad-portal.top", "b.bad-portal.top"]
        hub.push({**first, "revoked": True, "modified": LATER}, to="scratch")
        assert names(hub, path, who="viewer") == ["b.bad-portal.top"]
        hub.ask(f"collections/scratch/objects/{second['id']}/", method="DELETE")
        assert names(hub, path, who="viewer") == []


def test_an_expired_indicator_leaves_the_files_at_once(store: Store, tmp_path: Path) -> None:
    clock = ManualClock(micros("2026-06-30T23:59:00Z"))
    hub = HubInProcess(store, clock, settings=HubSettings(data=tmp_path))
    end = "2026-07-01T00:00:00Z"
    hub.push(listed("a.bad-portal.top", valid_until=end), listed("b.bad-portal.top"), to="scratch")
    path = "scratch/edl/domain.txt"
    assert names(hub, path) == ["a.bad-portal.top", "b.bad-portal.top"]
    clock.advance(hours=1)
    assert names(hub, path) == ["b.bad-portal.top"]


def test_a_damaged_state_is_made_again(hub: HubInProcess, tmp_path: Path) -> None:
    hub.push(listed("a.bad-portal.top"))
    names(hub)
    (state,) = (tmp_path / "exports").rglob("state.sqlite")
    for path in state.parent.iterdir():
        path.unlink()
    state.write_bytes(b"no database" * 1000)
    assert get(hub, "green/edl/domain.txt").status_code == 503
    assert names(hub) == ["a.bad-portal.top"]


def test_a_state_that_is_damaged_behind_its_beginning_is_made_again(
    hub: HubInProcess, tmp_path: Path
) -> None:
    hub.push(listed("a.bad-portal.top"))
    names(hub)
    hub.push(listed("b.bad-portal.top"))
    (state,) = (tmp_path / "exports").rglob("state.sqlite")
    damage_pages(state)
    assert get(hub, "green/edl/domain.txt").status_code == 503
    assert names(hub) == ["a.bad-portal.top", "b.bad-portal.top"]


def test_a_folder_that_is_deleted_at_any_time_is_made_again(
    hub: HubInProcess, tmp_path: Path
) -> None:
    hub.push(listed("a.bad-portal.top"))
    assert names(hub) == ["a.bad-portal.top"]
    shutil.rmtree(tmp_path / "exports")
    assert names(hub) == ["a.bad-portal.top"]


def test_a_request_without_news_reads_no_entry(hub: HubInProcess) -> None:
    hub.push(listed("a.bad-portal.top"))
    names(hub)
    followed: list[Any] = []
    files = hub.services.exports
    feeds = files._feeds

    class Counting:
        def follow(self, *words: Any) -> Any:
            followed.append(words)
            return feeds.follow(*words)

        def head(self, feed: str) -> Any:
            return feeds.head(feed)

    files._feeds = Counting()
    for _ in range(3):
        names(hub)
    assert followed == []
    hub.push(listed("b.bad-portal.top"))
    names(hub)
    ((_, query),) = followed
    assert query.position > 0


def test_a_new_file_looks_neither_for_the_version_nor_for_the_mark_again_for_each_format(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(listed("a.bad-portal.top"))
    looks: list[object] = []
    find_mark = StateFile.mark

    def look(state: StateFile, now: int) -> StateMark:
        looks.append("mark")
        return find_mark(state, now)

    monkeypatch.setattr("tocsin.server.export.files.version", looks.append)
    monkeypatch.setattr(StateFile, "mark", look)
    assert names(hub) == ["a.bad-portal.top"]
    assert looks == ["mark"] * 4  # is it known, also once it has its turn; made; what is outdated


@pytest.mark.slow
def test_a_long_list_is_compressed_if_the_reader_takes_it(hub: HubInProcess) -> None:
    values = [f"h{n}.bad-portal.top" for n in range(200)]
    hub.push(*(listed(each) for each in values), to="scratch")
    path = "scratch/edl/domain.txt"
    plain = get(hub, path)
    packed = get(hub, path, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] != plain.headers["ETag"]
    tag = packed.headers["ETag"]
    headers = {"If-None-Match": tag, "Accept-Encoding": "gzip"}
    again = get(hub, path, headers=headers)
    assert (again.status_code, again.headers["ETag"]) == (304, tag)
    assert plain.text.split() == sorted(values)


@pytest.mark.slow
def test_a_serial_number_stays_until_the_zone_changes(hub: HubInProcess) -> None:
    def zone() -> str:
        return str(get(hub, "scratch/rpz/rpz.zone").text)

    def serial(text: str) -> int:
        return int(text.partition("hostmaster.localhost. ")[2].split()[0])

    hub.push(listed("a.bad-portal.top"), to="scratch")
    first = zone()
    hub.push({**indicator(), "pattern": f"[file:hashes.MD5 = '{'0' * 32}']"}, to="scratch")
    assert zone() == first
    hub.push(listed("b.bad-portal.top"), to="scratch")
    assert serial(zone()) > serial(first) > 0


def test_an_unused_folder_is_deleted_after_a_week(hub: HubInProcess, tmp_path: Path) -> None:
    hub.push(listed("a.bad-portal.top"))
    names(hub)
    (state,) = (tmp_path / "exports").rglob("state.sqlite")
    hub.services.exports.refresh(at_once=True)
    assert state.exists()
    eight_days_ago = time.time() - 8 * 24 * 3600
    os.utime(state.parent, (eight_days_ago, eight_days_ago))
    hub.services.exports.refresh(at_once=True)
    assert not state.exists()
    assert names(hub) == ["a.bad-portal.top"]


def test_a_hub_without_room_prepares_no_files_but_serves_those_that_it_has(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(listed("a.bad-portal.top"))
    assert names(hub) == ["a.bad-portal.top"]
    monkeypatch.setattr(hub.services.exports, "_has_room", lambda octets: False)
    assert names(hub) == ["a.bad-portal.top"]
    answer = get(hub, "green/rpz/rpz.zone")
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    assert "free space on its disk" in answer.text


@pytest.mark.slow
def test_a_file_that_grows_beyond_the_room_is_given_up(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = ", ".join(f"'203.1.{n // 200}.{n % 200 + 1}'" for n in range(1800))
    for number in range(2):
        pattern = f"[ipv4-addr:value IN ({values}, '203.2.0.{number + 1}')]"
        hub.push(listed(f"{number}.top", pattern=pattern, description="word " * 400))
    assert get(hub, "green/list/values.txt").status_code == 200
    monkeypatch.setattr(hub.services.exports, "_has_room", lambda octets: octets < 1 << 20)
    assert get(hub, "green/elastic/elastic.ndjson").status_code == 503
    folder = hub.services.exports._folder
    assert sum(each.stat().st_size for each in folder.rglob("*.tmp")) == 0
    monkeypatch.setattr(hub.services.exports, "_has_room", lambda octets: True)
    assert len(get(hub, "green/elastic/elastic.ndjson").data) > 8_000_000


def test_a_few_new_objects_need_little_more_room_than_must_stay_free(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(listed("a.bad-portal.top"))
    assert names(hub) == ["a.bad-portal.top"]
    hub.push(listed("b.bad-portal.top"))
    monkeypatch.setattr(hub.services.exports, "_has_room", lambda octets: octets < 1 << 20)
    assert names(hub) == ["a.bad-portal.top", "b.bad-portal.top"]


def made_files(folder: Path) -> list[Path]:
    return list((folder / "exports").rglob("*.file"))


def test_what_was_revoked_leaves_the_files_that_nobody_asks_for_too(
    hub: HubInProcess, tmp_path: Path
) -> None:
    hub.push(listed("gone.bad-portal.top"), listed("b.bad-portal.top"))
    for path in ("green/jsonl", "green/bundle?minimum_confidence=7", "green/edl/domain.txt"):
        assert get(hub, path).status_code == 200
    assert len(made_files(tmp_path)) == 3
    hub.push({**listed("gone.bad-portal.top"), "revoked": True, "modified": LATER})
    assert names(hub) == ["b.bad-portal.top"]
    (left,) = made_files(tmp_path)
    assert left.read_text() == "b.bad-portal.top\n"


@pytest.mark.slow
def test_the_files_of_a_collection_have_a_bounded_size_for_every_request(
    hub: HubInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(listed("a.bad-portal.top", confidence=99))
    length = len(get(hub, "green/jsonl").data)
    monkeypatch.setattr("tocsin.server.export.files._MOST_OCTETS", 5 * length)
    monkeypatch.setattr("tocsin.server.export.files._TIMES_STATE", 0)
    for least in range(1, 20):
        assert get(hub, f"green/jsonl?minimum_confidence={least}").status_code == 200
        assert sum(path.stat().st_size for path in made_files(tmp_path)) <= 5 * length
    assert len(made_files(tmp_path)) > 1


def test_the_folders_are_closed_to_other_users(hub: HubInProcess, tmp_path: Path) -> None:
    hub.push(listed("a.bad-portal.top"))
    names(hub)
    found = [tmp_path / "exports", *(tmp_path / "exports").rglob("*")]
    assert len(found) > 3 and all(path.stat().st_mode & 0o077 == 0 for path in found)


def test_a_large_file_is_sent_from_the_disk(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(listed("a.bad-portal.top"))
    small = get(hub, "green/jsonl")
    monkeypatch.setattr("tocsin.server.export.files._MOST_OCTETS_IN_MEMORY", 10)
    for method, content in (("GET", small.data), ("HEAD", b"")):
        large = get(hub, "green/jsonl", method=method, headers={"Accept-Encoding": "gzip"})
        assert (large.data, large.headers["ETag"]) == (content, small.headers["ETag"])
        assert "Content-Encoding" not in large.headers


@pytest.mark.slow
def test_readers_at_the_same_time_get_whole_files_while_the_feed_grows(
    hub: HubInProcess,
) -> None:
    values = [f"h{n:03}.bad-portal.top" for n in range(60)]

    def read(_: int) -> list[str]:
        deadline = time.monotonic() + 60
        while (answer := get(hub, "scratch/edl/domain.txt")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.02)
        return str(answer.text).split()

    with ThreadPoolExecutor(4) as pool:
        found = []
        for n in range(0, 60, 20):
            hub.push(*map(listed, values[n : n + 20]), to="scratch")
            found.append([pool.submit(read, each) for each in range(8)])
            for each in found[-1]:
                assert each.result() == values[: n + 20]


def test_a_file_that_is_replaced_while_it_is_looked_up_is_not_served(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = ["a.bad-portal.top", "b.bad-portal.top"]
    hub.push(listed(values[0]), to="scratch")
    assert get(hub, "scratch/edl/domain.txt").text.split() == values[:1]
    hub.push(listed(values[1]), to="scratch")
    read_records, others = StateFile.file_records, list[str]()

    def read_while_another_request_is_answered(state: StateFile) -> dict[str, FileRecord]:
        records = read_records(state)
        if not others:
            others.append("begun")
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(get, hub, "scratch/edl/domain.txt").result()
            others[:] = answer.text.split()
        return records

    monkeypatch.setattr(StateFile, "file_records", read_while_another_request_is_answered)
    monkeypatch.setattr(
        FeedFiles, "_delete_outdated", lambda *_: None
    )  # so the old file is still there
    for _ in range(2):
        assert get(hub, "scratch/edl/domain.txt").text.split() == values
    assert others == values


def test_files_of_a_feed_that_an_earlier_copy_has_replaced_are_made_again(
    hub: HubInProcess, tmp_path: Path
) -> None:
    hub.push(listed("a.bad-portal.top"))
    names(hub)
    (path,) = (tmp_path / "exports").rglob("state.sqlite")
    with closing(StateFile(path, alone=False)) as state, state.changing():
        later = listed("later.bad-portal.top")
        state.apply("feed", [json.dumps(later).encode()], '{"position":9000,"stamp":1}')
    hub.push(listed("b.bad-portal.top"))
    assert get(hub, "green/edl/domain.txt").status_code == 503
    assert names(hub) == ["a.bad-portal.top", "b.bad-portal.top"]


@pytest.mark.slow
def test_files_that_were_made_first_are_deleted_when_there_are_too_many(
    hub: HubInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.server.export.files._MOST_FILES", 3)
    hub.push(listed("a.bad-portal.top", confidence=90), to="scratch")
    for least in range(10):
        path = f"scratch/edl/domain.txt?minimum_confidence={least}"
        assert names(hub, path) == ["a.bad-portal.top"]
    assert len([*(tmp_path / "exports").rglob("*.file")]) == 3
    assert names(hub, "scratch/edl/domain.txt") == ["a.bad-portal.top"]


def test_a_data_directory_that_cannot_be_written_to_is_answered_503(
    hub: HubInProcess, tmp_path: Path
) -> None:
    (tmp_path / "exports").write_text("not a folder")
    answer = get(hub, "green/edl/domain.txt")
    assert answer.status_code == 503 and str(tmp_path) not in answer.text
