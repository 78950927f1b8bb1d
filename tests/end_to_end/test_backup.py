"""A hub is backed up under load, wiped and restored: what it had is there, and pollers go on."""

import importlib.util
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.processes import BIN, HubProcess, Writers, indicators

pytestmark = pytest.mark.slow
if importlib.util.find_spec("secantus") is None:
    pytest.skip("the embedded engine is not installed", allow_module_level=True)

FEEDS = ("green", "scratch")
Line = tuple[str, str, str, bytes]
"""An entry as readers see it: id, version, date_added, and the octets of the object."""


@pytest.fixture(autouse=True)
def _no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_REQUESTS_PER_MINUTE", "0")


def walk(hub: HubProcess, feed: str, **query: str) -> list[Line]:
    """All entries of a feed in order, read as pages of the manifest and of objects."""
    lines: list[Line] = []
    tokens: dict[str, str] = {}
    while True:
        pages: dict[str, Any] = {}
        for kind in ("manifest", "objects"):
            asked = {"limit": "241", "match[version]": "all", **query}
            asked |= {"next": tokens[kind]} if kind in tokens else {}
            pages[kind] = hub.ask(f"collections/{feed}/{kind}/", params=asked)
        entries = pages["manifest"].json().get("objects", [])
        bodies = split_bodies(pages["objects"].content)
        assert len(entries) <= len(bodies), "objects are read later, so they may be more"
        lines += [
            (each["id"], each["version"], each["date_added"], body)
            for each, body in zip(entries, bodies, strict=False)
        ]
        if not pages["manifest"].json().get("more"):
            return lines
        tokens = {kind: page.json()["next"] for kind, page in pages.items()}


def split_bodies(envelope: bytes) -> list[bytes]:
    """The octets of each object in an envelope."""
    text, found = envelope.decode(), []
    place = text.find('"objects":')
    if place < 0:
        return []
    place = text.index("[", place) + 1
    while text[place] != "]":
        place += text[place] == ","
        _, end = json.JSONDecoder().raw_decode(text, place)
        found.append(text[place:end].encode())
        place = end
    return found


def run(*words: str | Path) -> subprocess.Popen[str]:
    """Start a `tocsin-hub` command in a process of its own."""
    command = [BIN / "tocsin-hub", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Any:
    """Wait for a command that succeeds; its JSON."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


def kill_when(
    words: Sequence[str | Path], happens: Callable[[], bool], undo: Callable[[], object]
) -> None:
    """Run a command, and send SIGKILL as soon as something has happened.

    If it was faster, its work is undone, and it runs again.
    """
    for _ in range(5):
        process, deadline = run(*words), time.monotonic() + 60
        while process.poll() is None and not happens():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
        _, err = process.communicate()
        if process.returncode == -signal.SIGKILL:
            return
        assert process.returncode == 0, err
        undo()
    raise AssertionError("it was not killed in time")


@pytest.mark.long
def test_a_hub_backed_up_under_load_goes_on_after_a_wipe(tmp_path: Path) -> None:
    hub, file = HubProcess(tmp_path / "data"), tmp_path / "x.tar"
    hub.start()
    hub.join()
    inbox, scratch = Writers(hub, count=3), Writers(hub, count=1, size=7, to="scratch")
    inbox.wait_for(8)
    scratch.wait_for(5)
    earlier = list(inbox.statuses)
    settled = {each: hub.wait_until_settled(each) for each in earlier}
    waiting = indicators(1_000)
    queued = hub.post(waiting).json()
    assert queued["x_tocsin_settled"] is False
    made = finish(run("backup", file, "--data", hub.data, "--json"))
    inbox.wait_for(5)
    inbox.stop()
    scratch.stop()
    hub.wait_until_settled(queued["id"])
    first = {f: hub.ask(f"collections/{f}/objects/", params={"limit": "5"}) for f in FEEDS}
    before = {feed: walk(hub, feed) for feed in FEEDS}
    assert hub.stop() == 0

    shutil.rmtree(hub.data)
    restored = finish(run("restore", file, "--data", hub.data, "--json"))
    assert restored["sha256"] == made["sha256"]
    held = {feed: [line for line in before[feed] if line[2] <= made["stamp"]] for feed in FEEDS}
    assert 0 < len(held["green"]) < len(before["green"])
    assert 0 < len(held["scratch"]) < len(before["scratch"])
    hub.start()
    now = {feed: walk(hub, feed) for feed in FEEDS}
    # What was posted when the backup was made, and is settled now, comes behind.
    assert now["scratch"][: len(held["scratch"])] == held["scratch"]
    assert now["green"][: len(held["green"])] == held["green"]

    for each, status in settled.items():
        assert hub.ask(f"status/{each}/").json() == status
    hub.wait_until_settled(queued["id"])
    patterns = {json.loads(line[3]).get("pattern") for line in walk(hub, "green")}
    assert {each["pattern"] for each in waiting} <= patterns
    for feed, page in first.items():
        path = f"collections/{feed}/objects/"
        old = hub.ask(path, params={"limit": "5", "next": page.json()["next"]})
        assert old.status_code == 400 and "start again without it" in old.json()["description"]
        again = hub.ask(
            path, params={"limit": "5"}, headers={"If-None-Match": page.headers["ETag"]}
        )
        assert again.status_code == 200

    followed = {feed: before[feed][-1][2] for feed in FEEDS}
    late = {line[0] for line in walk(hub, "green", added_after=followed["green"])}
    assert late <= {line[0] for line in walk(hub, "green")} - {line[0] for line in held["green"]}
    for feed, to in (("green", "inbox"), ("scratch", "scratch")):
        known = {line[0] for line in walk(hub, feed, added_after=followed[feed])}
        new = indicators(30)
        hub.wait_until_settled(hub.post(new, to).json()["id"])
        got = walk(hub, feed, added_after=followed[feed])
        found = [json.loads(line[3])["pattern"] for line in got if line[0] not in known]
        assert sorted(found) == sorted(each["pattern"] for each in new)
    assert hub.command("journal", "verify")["valid"] is True
    assert hub.stop() == 0


@pytest.mark.long
def test_a_killed_restore_is_refused_by_the_hub_and_can_be_run_again(tmp_path: Path) -> None:
    hub, file, new = HubProcess(tmp_path / "data"), tmp_path / "x.tar", tmp_path / "new"
    hub.start()
    hub.join()
    hub.wait_until_settled(hub.post(indicators(1_000)).json()["id"])
    before = walk(hub, "green")
    finish(run("backup", file, "--data", hub.data, "--json"))
    assert hub.stop() == 0
    secrets = new / "secrets.json"

    def is_loading() -> bool:
        return secrets.exists() and time.time() - secrets.stat().st_mtime > 0.1

    kill_when(("restore", file, "--data", new), is_loading, lambda: shutil.rmtree(new))
    for words in (("serve", "--port", "0"), ("collection", "list")):
        process = run(*words, "--data", new)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 3 and "half restored" in err and "run it again" in err
    finish(run("restore", file, "--data", new, "--json"))
    again = HubProcess(new, key=hub.key).start()
    assert walk(again, "green") == before
    assert again.stop() == 0


@pytest.mark.long
def test_a_killed_backup_leaves_only_a_partial_file(tmp_path: Path) -> None:
    hub, folder = HubProcess(tmp_path / "data"), tmp_path / "backups"
    folder.mkdir()
    hub.start()
    hub.join()
    hub.wait_until_settled(hub.post(indicators(3_000)).json()["id"])
    file, partial = folder / "x.tar", folder / "x.tar.partial"

    def is_writing() -> bool:
        with suppress(FileNotFoundError):  # it has its name by now
            return partial.stat().st_size > 0
        return False

    kill_when(("backup", file, "--data", hub.data), is_writing, file.unlink)
    assert [each.name for each in folder.iterdir()] == [partial.name]
    process = run("backup", "--verify", partial)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "incomplete" in err
    hub.wait_until_settled(hub.post(indicators(10)).json()["id"])
    finish(run("backup", file, "--data", hub.data, "--json"))
    assert [each.name for each in folder.iterdir()] == [file.name]
    assert hub.stop() == 0
