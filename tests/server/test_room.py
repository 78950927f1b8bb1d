"""A hub whose disk is nearly full: it reads and deletes, and takes nothing in."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hub import HubInProcess, indicator

from tocsin.config.settings import HubSettings
from tocsin.server.services import HubServices
from tocsin.server.store import Store
from tocsin.server.worker import run_intake

MORE_THAN_ANY_DISK = 1 << 50


@pytest.fixture
def full(store: Store, tmp_path: Path) -> HubInProcess:
    """A hub with an object in `green` and one in `scratch`, whose disk has become full since."""
    hub = HubInProcess(store)
    hub.push(indicator("evil-portal.top"))
    hub.push(indicator("bad-portal.top"), to="scratch")
    settings = HubSettings(data=tmp_path, min_free_octets=MORE_THAN_ANY_DISK)
    return HubInProcess(store, settings=settings, founded=True)


@pytest.mark.parametrize("to", ["inbox", "scratch"])
def test_submissions_are_refused_and_nothing_of_them_is_kept(full: HubInProcess, to: str) -> None:
    before = full.store.submissions.list_of_partner("acme", 10)
    answer = full.ask(
        f"collections/{to}/objects/", method="POST", data=json.dumps({"objects": [indicator()]})
    )
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "no room for submissions" in answer.json["description"]
    assert full.store.submissions.list_of_partner("acme", 10) == before


@pytest.mark.parametrize(
    "path",
    ["", "collections/", "collections/green/objects/", "collections/green/manifest/"],
)
def test_reads_go_on(full: HubInProcess, path: str) -> None:
    assert full.ask(path).status_code == 200


def test_statuses_are_read(full: HubInProcess) -> None:
    [*_, first] = full.store.submissions.list_of_partner("acme", 10)
    assert full.ask(f"status/{first.id}/").json["status"] == "complete"


def test_objects_are_deleted(full: HubInProcess) -> None:
    [stored] = full.feed("scratch")
    path = f"collections/scratch/objects/{stored['id']}/"
    assert full.ask(path, method="DELETE").status_code == 200
    assert full.feed("scratch") == []


@pytest.mark.slow
def test_the_queue_rests_until_there_is_room(store: Store, tmp_path: Path) -> None:
    settings = HubSettings(data=tmp_path, min_free_octets=MORE_THAN_ANY_DISK, inline_objects=0)
    full = HubInProcess(store, settings=settings)
    roomy = HubInProcess(store, settings=HubSettings(inline_objects=0), founded=True)
    answer = roomy.ask(
        "collections/inbox/objects/",
        method="POST",
        data=json.dumps({"objects": [indicator("evil-portal.top")]}),
    )

    def is_settled() -> bool:
        return bool(full.ask(f"status/{answer.json['id']}/").json["x_tocsin_settled"])

    with_worker(full.services, lambda: time.sleep(1))
    assert not is_settled()
    with_worker(roomy.services, lambda: wait_for(is_settled))
    assert is_settled()


def with_worker(services: HubServices, during: Callable[[], None]) -> None:
    """Do something while submissions are admitted in the background."""
    stop = threading.Event()
    worker = threading.Thread(target=run_intake, args=(services, stop))
    worker.start()
    try:
        during()
    finally:
        stop.set()
        worker.join(60)


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
