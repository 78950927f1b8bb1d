"""`tocsin-hub compact`: what was deleted is in no file of the embedded database any more."""

import errno
import fcntl
import importlib.util
import json
import os
import re
import resource
import shutil
import threading
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import zstandard
from pymongo import MongoClient
from support.hub import MT, indicator
from support.processes import HubProcess, make_data

from tocsin.admission.errors import Unavailable
from tocsin.server.cli.main import main
from tocsin.server.store import Store, embedded
from tocsin.server.store.embedded import Engine, database

if importlib.util.find_spec("secantus") is None:
    pytest.skip("the embedded engine is not installed", allow_module_level=True)

MARKER = "kestrel-over-lisbon"
LOG = "secantus_oplog.wt"


def inflations(octets: bytes) -> list[bytes]:
    """The octets as zstd and zlib unpack them, from each place where such data may begin."""
    found = []
    for start in (each.start() for each in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), octets)):
        try:
            part = octets[start : start + (1 << 22)]
            found.append(zstandard.ZstdDecompressor().decompressobj().decompress(part))
        except zstandard.ZstdError:
            continue
    for start in (each.start() for each in re.finditer(b"\x78[\x01\x9c\xda]", octets)):
        try:
            part = octets[start : start + (1 << 16)]
            found.append(zlib.decompressobj().decompress(part, 1 << 20))
        except zlib.error:
            continue
    return found


def read_if_there(file: Path) -> list[bytes]:
    """The octets of a file, unless a database that runs has deleted it meanwhile."""
    try:
        return [file.read_bytes()]
    except FileNotFoundError:
        return []


def files_with(text: str, folder: Path) -> list[str]:
    """The files below a folder that hold a text, compressed or not."""
    wanted = text.encode()
    return sorted(
        file.name
        for file in folder.rglob("*")
        if file.is_file()
        for octets in read_if_there(file)
        if wanted in octets or any(wanted in each for each in inflations(octets))
    )


def post(hub: HubProcess, *objects: Any) -> None:
    """Send objects into the inbox."""
    name, _, secret = hub.key.partition(":")
    url = hub.url.replace("/taxii2/", "/hub/collections/inbox/objects/")
    headers = {"Content-Type": MT, "Accept": MT}
    body = json.dumps({"objects": objects})
    answer = requests.post(url, data=body, auth=(name, secret), headers=headers, timeout=60)
    assert answer.status_code == 202, answer.text


def read(hub: HubProcess, **query: str) -> requests.Response:
    """Read the feed of TLP:GREEN."""
    name, _, secret = hub.key.partition(":")
    url = hub.url.replace("/taxii2/", "/hub/collections/green/objects/")
    accepted = {"Accept": MT}
    return requests.get(url, params=query, auth=(name, secret), headers=accepted, timeout=60)


@pytest.mark.slow
def test_after_a_purge_and_a_rewrite_no_file_holds_it_and_cursors_go_on(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "data").start()
    hub.join()
    post(hub, indicator(f"{MARKER}.top", name=MARKER), indicator("one.top"))
    stamp = read(hub).headers["X-TAXII-Date-Added-Last"]
    assert files_with(MARKER, hub.data)
    hub.command("object", "purge", f"{MARKER}[.]top", "--reason", "asked to")
    post(hub, indicator("two.top"))
    news = read(hub, added_after=stamp).json()["objects"]
    assert main(["compact", "--data", str(hub.data)]) == 3  # the hub is running
    assert hub.stop() == 0
    assert files_with(MARKER, hub.data), "the engine keeps what was deleted"
    assert main(["compact", "--data", str(hub.data), "--json"]) == 0
    assert files_with(MARKER, hub.data) == []
    assert not (hub.data / "db.old").exists() and not (hub.data / "rewrite").exists()
    hub.start()
    assert read(hub, added_after=stamp).json()["objects"] == news
    post(hub, indicator("three.top"))
    assert len(read(hub, added_after=stamp).json()["objects"]) == len(news) + 1
    assert hub.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("swapped", [False, True])
def test_a_swap_that_was_interrupted_is_undone_or_completed(tmp_path: Path, swapped: bool) -> None:
    data = tmp_path / "data"
    make_data(data)
    place = ("--data", str(data), "--json")
    assert main(["exclusion", "add", "ours.top", *place]) == 0
    if swapped:
        (data / "db.old").mkdir()
    else:
        (data / "db").rename(data / "db.old")
    assert main(["exclusion", "remove", "ours.top", *place]) == 0
    assert not (data / "db.old").exists()


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a hub whose database has 8 MB of documents."""
    data = tmp_path_factory.mktemp("filled") / "data"
    make_data(data)
    with database(data, print) as uri, MongoClient[dict[str, Any]](uri) as client:
        for number in range(8):
            client.tocsin.public_objects.insert_one({"_id": number, "x": os.urandom(1_000_000)})
    return data


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path) -> Path:
    """A copy of that directory."""
    return Path(shutil.copytree(filled_once, tmp_path / "data"))


class TestWithoutRoom:
    def test_a_copy_is_not_begun_and_the_room_is_named(
        self, filled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "measure_free_octets", lambda folder: 20 << 20)
        assert main(["compact", "--data", str(filled)]) == 3
        said = capsys.readouterr().err
        assert re.search(r"needs about 4\d MiB .* 20 MiB are free: nothing is changed", said), said
        assert not (filled / "rewrite").exists()

    @pytest.mark.slow
    def test_a_copy_that_fails_is_deleted_and_the_room_is_named(
        self, filled: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, limits[1]))  # like a full disk
        try:
            code = main(["compact", "--data", str(filled)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        said = capsys.readouterr().err
        assert code == 3
        assert re.search(r"not be copied \(.*nothing is changed; .* about 4\d MiB", said), said
        assert not (filled / "rewrite").exists()
        with database(filled, print) as uri, MongoClient[dict[str, Any]](uri) as client:
            assert client.tocsin.public_objects.count_documents({}) == 8

    @pytest.mark.slow
    def test_a_swap_that_fails_is_undone_and_the_room_is_named(
        self, filled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Path.rename

        def fail(path: Path, target: Path) -> Path:
            if path == filled / "rewrite" / "db":
                raise OSError(errno.ENOSPC, "No space left on device")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", fail)
        assert main(["compact", "--data", str(filled)]) == 3
        assert "not be copied ([Errno 28]" in capsys.readouterr().err
        with database(filled, print) as uri, MongoClient[dict[str, Any]](uri) as client:
            assert client.tocsin.public_objects.count_documents({}) == 8


@dataclass(frozen=True, slots=True)
class Compacted:
    """A data directory that was compacted."""

    data: Path
    log_before: int
    """Octets of the log of operations."""
    locked: list[bool]
    """True for each end of an engine meanwhile at which the database was locked."""


@pytest.fixture(scope="module")
def compacted(filled_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Compacted:
    data = Path(shutil.copytree(filled_once, tmp_path_factory.mktemp("compacted") / "data"))
    before = (data / "db" / LOG).stat().st_size
    stop_process = embedded._stop_process
    locked: list[bool] = []

    def stop(process: Any, uri: str) -> None:
        stop_process(process, uri)
        locked.append(embedded._is_locked(data / "engine.lock"))

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(embedded, "_stop_process", stop)
        assert main(["compact", "--data", str(data)]) == 0
    return Compacted(data, before, locked)


@pytest.mark.slow
def test_a_copy_has_no_log_of_operations(compacted: Compacted) -> None:
    after = (compacted.data / "db" / LOG).stat().st_size
    assert compacted.log_before > 8_000_000 > 200_000 > after
    with database(compacted.data, print) as uri, closing(Store.connect(uri)) as store:
        store.commit(lambda txn: txn.add_journal_entry("test", "operator", {}))


@pytest.mark.slow
def test_no_command_uses_the_database_between_the_copy_and_the_swap(compacted: Compacted) -> None:
    assert compacted.locked and all(compacted.locked), "it could write what the swap deletes"


@pytest.mark.slow
def test_what_an_interrupted_copy_has_left_is_deleted_by_the_next_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    make_data(data)
    (data / "rewrite" / "db").mkdir(parents=True)
    engine = Engine.start(data, print)
    try:
        assert not (data / "rewrite").exists()
        assert "interrupted `compact`, is deleted" in capsys.readouterr().out
    finally:
        engine.stop()


@pytest.mark.slow
def test_the_copy_of_one_that_works_is_not_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make_data(data)
    (data / "rewrite").mkdir()
    with (data / "hub.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Engine.private(data, print).stop()
    assert (data / "rewrite").exists()


class TestStartedWhileACopyIsThere:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        data = tmp_path / "data"
        make_data(data)
        (data / "rewrite").mkdir()
        return data

    @pytest.mark.slow
    def test_a_hub_waits_for_the_command_that_deletes_it(self, data: Path) -> None:
        with (data / "hub.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            release = threading.Timer(2, fcntl.flock, (lock, fcntl.LOCK_UN))
            release.start()
            Engine.start(data, print).stop()
            release.join()

    def test_the_refusal_names_what_is_at_work(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "_LOCK_SECONDS", 0.1)
        with (data / "hub.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(Unavailable, match="`compact` is rewriting"):
                Engine.start(data, print)


def test_a_folder_without_a_database_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "other").touch()
    assert main(["compact", "--data", str(tmp_path)]) == 1
    assert "has no hub" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["other"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_with_a_mongodb_it_says_where_to_read_on(
    engine_uri: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_MONGO_URI", engine_uri)
    assert main(["compact"]) == 1
    assert "docs/retention.md" in capsys.readouterr().err
