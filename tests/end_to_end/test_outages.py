"""A full disk, and a database that ends, hangs or goes away: the hub reads on and recovers itself.

The disk is a small file system of its own, which only root can make, and not in every container.
"""

import errno
import importlib.util
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from support.processes import HubProcess, indicators

from tocsin.server import worker
from tocsin.server.store import availability
from tocsin.server.store.embedded import Engine

pytestmark = pytest.mark.slow
if importlib.util.find_spec("secantus") is None:
    pytest.skip("the embedded engine is not installed", allow_module_level=True)

DISK = 200 << 20
MIN_FREE = 48 << 20
CHECKPOINT_SECONDS = 5
READS = ("", "collections/", "collections/green/objects/", "collections/green/manifest/")


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system with little room; the engine writes to its files often."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    try:
        tried = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if tried.returncode:
        pytest.skip(f"this process may not mount a file system: {tried.stderr.strip()}")
    monkeypatch.setenv("TOCSIN_MIN_FREE_OCTETS", str(MIN_FREE))
    monkeypatch.setenv("SECANTUS_CHECKPOINT_SECONDS", str(CHECKPOINT_SECONDS))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_REQUESTS_PER_MINUTE", "0")


@contextmanager
def running(data: Path, log: Path) -> Iterator[HubProcess]:
    """A hub whose log and ready file are elsewhere than its data."""
    hub = Hub(data, log_file=log)
    try:
        hub.start()
        hub.join()
        yield hub
    finally:
        hub.kill()


@dataclass
class Hub(HubProcess):
    log_file: Path = Path()

    @property
    def log(self) -> Path:
        return self.log_file


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def fill(folder: Path, leave: int = 0) -> Path:
    """Take all room but `leave` octets, as another program would."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        for _ in range(100):
            try:
                os.posix_fallocate(file.fileno(), 0, free(folder) - leave)
                return ballast
            except OSError as error:  # the engine has taken some of it meanwhile
                if error.errno != errno.ENOSPC:
                    raise
    raise AssertionError("the room changes all the time")


def eventually(answer: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not answer():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def is_well(hub: HubProcess) -> bool:
    return hub.post(indicators(1)).status_code == 202


@dataclass
class Poller:
    """Follows `green` by the last date, through all outages."""

    hub: HubProcess
    patterns: list[str] = field(default_factory=list)
    answers: list[tuple[float, int, float]] = field(default_factory=list)
    """When each was asked for, its status, and the seconds that it took."""
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        query = {"limit": "100"}
        while not self.stop.wait(0.2):
            began = time.monotonic()
            answer = self.hub.ask("collections/green/objects/", params=query)
            self.answers.append((began, answer.status_code, time.monotonic() - began))
            if answer.status_code == 200:
                found = answer.json().get("objects", [])
                self.patterns += [each["pattern"] for each in found if "pattern" in each]
                last = answer.headers.get("X-TAXII-Date-Added-Last")
                if last:
                    query["added_after"] = last


@contextmanager
def polling(hub: HubProcess, count: int = 1) -> Iterator[list[Poller]]:
    pollers = [Poller(hub) for _ in range(count)]
    threads = [threading.Thread(target=each.run) for each in pollers]
    for thread in threads:
        thread.start()
    try:
        yield pollers
    finally:
        for each in pollers:
            each.stop.set()
        for thread in threads:
            thread.join()


def push(hub: HubProcess, acknowledged: list[str], patterns: set[str]) -> int:
    """Post 50 large objects; the answer's status."""
    objects = indicators(50)
    for each in objects:
        each["description"] = os.urandom(2_000).hex()
    answer = hub.post(objects)
    if answer.status_code == 202:
        acknowledged.append(answer.json()["id"])
        patterns |= {each["pattern"] for each in objects}
    else:
        assert (answer.status_code, answer.json()["http_status"]) == (503, "503")
        assert answer.headers["Retry-After"] in ("5", "30")
    return answer.status_code


class TestAFullDisk:
    def test_is_not_filled_by_the_hub_and_nothing_acknowledged_is_lost(
        self, small_disk: Path, tmp_path: Path
    ) -> None:
        acknowledged: list[str] = []
        patterns: set[str] = set()
        with running(small_disk / "data", tmp_path / "hub.log") as hub:
            ballast = fill(small_disk, leave=DISK * 3 // 5)
            with polling(hub) as [poller]:
                while push(hub, acknowledged, patterns) == 202:
                    pass
                engine = hub.engine()
                for path in (*READS, f"status/{acknowledged[0]}/"):
                    assert hub.ask(path).status_code == 200
                ballast.unlink()
                assert push(hub, acknowledged, patterns) == 202
                for each in acknowledged:
                    assert hub.wait_until_settled(each)["success_count"] == 50
                eventually(lambda: len(poller.patterns) >= len(patterns), 60)
            assert hub.engine() == engine
            assert sorted(poller.patterns) == sorted(patterns)
            assert {status for _, status, _ in poller.answers} == {200}
            full, again = "is nearly full", "has room again"
            # A checkpoint of the engine can fill the disk for a moment as well.
            eventually(lambda: hub.read_log().count(full) == hub.read_log().count(again), 20)
            log = hub.read_log()
            assert 1 <= log.count(full) <= 3
            assert "Traceback" not in log

    def test_that_another_program_fills_leaves_the_reserve(
        self, small_disk: Path, tmp_path: Path
    ) -> None:
        acknowledged: list[str] = []
        patterns: set[str] = set()
        with running(small_disk / "data", tmp_path / "hub.log") as hub:
            for _ in range(10):
                push(hub, acknowledged, patterns)
            kept = indicators(1_000)
            hub.wait_until_settled(hub.post(kept, "scratch").json()["id"])
            engine = hub.engine()
            reserve = small_disk / "data" / "reserve"
            eventually(reserve.exists, 20)
            # So small a reserve has room to recover in only if little changed since a checkpoint.
            time.sleep(2 * CHECKPOINT_SECONDS)
            with polling(hub) as [poller]:
                ballast = fill(small_disk)

                def failed() -> bool:
                    """Have something deleted, which goes on, until the engine fails for it."""
                    path = f"collections/scratch/objects/{kept.pop()['id']}/"
                    assert hub.ask(path, "DELETE").status_code in (200, 503)
                    return hub.engine() != engine

                eventually(failed, 100)
                eventually(lambda: hub.ask("collections/green/objects/").status_code == 200, 60)
                assert push(hub, acknowledged, patterns) == 503
                assert not reserve.exists()
                ballast.unlink()
                assert push(hub, acknowledged, patterns) == 202
                eventually(lambda: len(poller.patterns) >= len(patterns), 60)
            assert sorted(poller.patterns) == sorted(patterns)
            assert {status for _, status, _ in poller.answers} <= {200, 503}
            eventually(reserve.exists, 20)

    def test_does_not_keep_a_hub_from_starting(self, small_disk: Path, tmp_path: Path) -> None:
        acknowledged: list[str] = []
        patterns: set[str] = set()
        with running(small_disk / "data", tmp_path / "hub.log") as hub:
            push(hub, acknowledged, patterns)
            eventually((small_disk / "data" / "reserve").exists, 20)
            hub.kill()
            fill(small_disk)
            # Its ready file is on this disk too: it is written from the reserve's room.
            hub.start()
            assert hub.ask(f"status/{acknowledged[0]}/").json()["success_count"] == 50
            assert push(hub, acknowledged, patterns) == 503


class TestADatabaseThatHangs:
    @pytest.mark.long
    def test_is_replaced_and_holds_no_thread_for_long(self, tmp_path: Path) -> None:
        with running(tmp_path / "data", tmp_path / "hub.log") as hub:
            assert is_well(hub)
            engine = hub.engine()
            with polling(hub, 24) as pollers:
                time.sleep(2)
                stopped = time.monotonic()
                os.kill(engine, signal.SIGSTOP)
                time.sleep(26)
                assert requests.get(hub.url, timeout=8).status_code == 401
                eventually(lambda: hub.engine() != engine, 60)
                eventually(lambda: is_well(hub), 60)
            answers = [each for poller in pollers for each in poller.answers]
        assert max(seconds for _, _, seconds in answers) < 30
        refused = [each for each in answers if each[1] != 200]
        assert {status for _, status, _ in refused} == {503}
        assert max(seconds for began, _, seconds in refused if began > stopped + 22) < 8
        assert "has not answered for" in hub.read_log()

    def test_that_was_killed_is_not_noticed_by_pollers(self, tmp_path: Path) -> None:
        patience = availability._PATIENCE_SECONDS - availability._PROBE_SECONDS
        with running(tmp_path / "data", tmp_path / "hub.log") as hub:
            assert is_well(hub)
            outages = []
            with polling(hub, 8) as pollers:
                for _ in range(3):
                    engine, killed = hub.engine(), time.monotonic()
                    hub.kill_engine()
                    eventually(lambda engine=engine: hub.engine() != engine, 60)  # type: ignore[misc]
                    eventually(lambda: is_well(hub), 60)
                    outages.append((killed + patience, time.monotonic()))
                    # Without a look in between, the next outage counts from the begin of this one.
                    time.sleep(availability._PROBE_SECONDS + worker._LOOK)
        refused = [each for p in pollers for each in p.answers if each[1] != 200]
        assert {status for _, status, _ in refused} <= {503}
        for began, _, seconds in refused:  # where a busy machine took longer to start the engine
            assert any(since <= began + seconds and began <= back for since, back in outages)


class TestADatabaseOfItsOwn:
    @pytest.fixture
    def engine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
        """Run by somebody else, who does not restart it."""
        (tmp_path / "engine").mkdir()
        engine = Engine.private(tmp_path / "engine", print)
        monkeypatch.setenv("TOCSIN_MONGO_URI", engine.uri)
        yield engine
        engine.stop()

    @pytest.mark.long
    def test_that_goes_away_and_comes_back_is_used_again(self, engine: Any, tmp_path: Path) -> None:
        acknowledged: list[str] = []
        patterns: set[str] = set()
        with running(tmp_path / "data", tmp_path / "hub.log") as hub:
            push(hub, acknowledged, patterns)
            with polling(hub, 24) as pollers:
                time.sleep(2)
                engine._end_process()
                time.sleep(25)
                began = time.monotonic()
                answer = hub.post(indicators(1))
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
                assert time.monotonic() - began < 8
                assert requests.get(hub.url, timeout=10).status_code == 401
                engine._start_process()
                eventually(lambda: push(hub, acknowledged, patterns) == 202, 60)
                for each in pollers:
                    eventually(lambda each=each: len(each.patterns) >= 100, 60)  # type: ignore[misc]
            for each in pollers:
                assert sorted(each.patterns) == sorted(patterns)
