"""A worker beside the hubs of a MongoDB."""

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo.errors import AutoReconnect
from support.hub import HubInProcess, indicator
from support.metrics import find_value
from support.presence import present
from support.processes import BIN, free_port, indicators

from tocsin.admission.errors import Unavailable
from tocsin.config.settings import HubSettings
from tocsin.server import worker
from tocsin.server.bootstrap import create_operator
from tocsin.server.runtime import open_runtime
from tocsin.server.store import database


@pytest.fixture
def settings(engine_uri: str, tmp_path: Path) -> Any:
    """Of a hub on a database of its own that somebody else runs."""
    return HubSettings(
        data=tmp_path / "data", mongo_uri=engine_uri, database=f"w{uuid.uuid4().hex}"
    )


def working(settings: Any, log: Any, metrics: int) -> Any:
    """A worker that serves its metrics at a port."""
    environment = {
        **os.environ,
        "TOCSIN_MONGO_URI": settings.mongo_uri,
        "TOCSIN_DATABASE": settings.database,
        "TOCSIN_METRICS_ADDRESS": f"127.0.0.1:{metrics}",
    }
    command = [BIN / "tocsin-hub", "work", "--data", settings.data]
    return subprocess.Popen(command, env=environment, stderr=log)


def until(true: Any, seconds: Any = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_worker_evaluates_packs_and_ends_at_sigterm(settings: Any, tmp_path: Path) -> None:
    with open_runtime(settings, print) as hub, (tmp_path / "log").open("wb") as log:
        store = hub.services.store
        create_operator(store)
        scratch = next(c for c in store.feeds.collections() if c.alias == "scratch")
        operator = store.accounts.find_account("operator")
        for many in (1,) * 70 + (settings.inline_objects + 1,):
            objects = [json.dumps(each).encode() for each in indicators(many)]
            raw = b'{"objects": [' + b",".join(objects) + b"]}"
            last = hub.services.intake.receive(present(operator), scratch, objects, raw).submission
        assert not last.settled
        port = free_port()
        process = working(settings, log, port)
        try:
            until(lambda: present(store.submissions.find(last.id)).complete)
            until(lambda: store.packing.progress()[0] > 0)
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
            name = "tocsin_objects_settled_total"
            assert find_value(text, name, verdict="admitted") == settings.inline_objects + 1
            commands = "tocsin_database_command_duration_seconds_count"
            assert find_value(text, commands, command="commitTransaction")
        finally:
            process.send_signal(signal.SIGTERM)
            ended = process.wait(60)
    assert ended == 0


def test_a_task_that_fails_stops_no_other() -> None:
    stop, done = threading.Event(), list[str]()

    def failing() -> bool:
        raise ValueError

    def working() -> bool:
        done.append("done")
        if len(done) == 3:
            stop.set()
        return True

    worker.run_forgetting((failing, working), stop)
    assert done == ["done"] * 3


@pytest.mark.slow
def test_work_is_refused_with_the_embedded_engine(tmp_path: Path) -> None:
    command: list[str | Path] = [BIN / "tocsin-hub", "work", "--data", tmp_path]
    refused = subprocess.run(command, capture_output=True, timeout=60)
    assert refused.returncode == 2
    assert b"the hub itself works" in refused.stderr and b"Traceback" not in refused.stderr


def test_a_process_that_only_answers_announces_what_waits_in_the_queue(hub: HubInProcess) -> None:
    stop, announced = threading.Event(), threading.Semaphore(0)
    started = worker.start_answering_workers(hub.services, stop, announced.release)
    try:
        for _ in range(3):
            hub.services.intake.waiting.set()
            assert announced.acquire(timeout=10)
        assert not announced.acquire(timeout=0.05)
    finally:
        stop.set()
        worker.join_workers(started, hub.services, 10)
    assert not any(each.is_alive() for each in started)


def test_what_a_request_failed_on_is_given_back_when_the_database_answers_again(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_IDLE", 0.05)
    stop, tried = threading.Event(), threading.Semaphore(0)

    def fail() -> None:
        tried.release()
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(hub.services.intake, "release_failed", fail)
    started = worker.start_answering_workers(hub.services, stop)
    try:
        hub.services.intake.waiting.set()
        assert all(tried.acquire(timeout=10) for _ in range(3))
    finally:
        stop.set()
        worker.join_workers(started, hub.services, 10)


def test_what_an_ended_process_had_is_released_when_the_database_answers_again(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_IDLE", 0.05)
    store, release, names = hub.store, hub.store.submissions.release_owner, list[str]()

    def fail_twice(owner: str) -> None:
        names.append(owner)
        if len(names) <= 2:
            raise AutoReconnect("the database does not answer")
        release(owner)

    monkeypatch.setattr(database, "_FORGET_PAUSE", 0.1)
    monkeypatch.setattr(store.submissions, "release_owner", fail_twice)
    with pytest.raises(AutoReconnect):
        store.forget_process("killed")
    stop, worked = threading.Event(), list[bool]()
    monkeypatch.setattr(hub.services.intake, "work", lambda: worked.append(True))
    thread = threading.Thread(target=worker.run_intake, args=(hub.services, stop))
    thread.start()
    try:
        until(lambda: not store._ended, 10)
        assert worked
    finally:
        stop.set()
        hub.services.intake.waiting.set()
        thread.join(10)
    assert names == ["killed"] * 3


@pytest.mark.slow
def test_nothing_waits_for_a_database_that_has_just_not_answered(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_LOOK", 0.01)
    answers = iter([True, False, False, False])
    probed, looked = list[bool](), list[int]()
    stop = threading.Event()

    def probe() -> bool:
        probed.append(next(answers, False))
        if len(probed) == 4:
            stop.set()
        return probed[-1]

    monkeypatch.setattr(hub.store.availability, "probe", probe)
    for work in (hub.store.feeds, hub.services.exports, hub.store.review_queue):
        monkeypatch.setattr(work, "refresh", lambda: looked.append(len(probed)))
    monkeypatch.setattr(hub.services.monitor, "look", lambda: looked.append(len(probed)))
    worker.join_workers(worker.start_answering_workers(hub.services, stop), hub.services, 60)
    assert looked == [1, 1, 1, 1]


def test_the_background_work_indexes_values_and_counts(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INDEX_PAUSE_SECONDS", "INDEX_WAIT_SECONDS", "COUNT_PAUSE_SECONDS"):
        monkeypatch.setattr(worker, name, 0.02)
    hub.push(indicator())
    store, feed, stop = hub.store, hub.collection("green").id, threading.Event()
    notices = worker.build_notices(hub.services, hub.settings)
    threads = worker.start_workers(hub.services, notices, stop)
    try:
        until(lambda: store.values.indexed([feed])[feed] == store.feeds.head(feed).position)
        until(lambda: store._base.stats.count_documents({"_id": {"$regex": "^acme"}}) > 0)
    finally:
        stop.set()
        worker.join_workers(threads, hub.services, 10)
