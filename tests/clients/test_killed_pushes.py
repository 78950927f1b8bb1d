"""A push that is killed and repeated: nothing is lost, and nothing is published twice."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.hub import HubInProcess

pytestmark = pytest.mark.slow

Run = Callable[..., Any]
VALUES = 1_000
KILLS = int(os.environ.get("TOCSIN_TEST_EXAMPLES", "8"))


def published(hub: HubInProcess) -> Counter[str]:
    """Count how often each pattern is published."""
    found: Counter[str] = Counter()
    query: dict[str, str] = {}
    while True:
        page = hub.ask("collections/amber/objects/", query_string={"limit": 1000} | query).json
        objects = page.get("objects", [])
        found.update(each["pattern"] for each in objects if each["type"] == "indicator")
        if not page.get("more"):
            return found
        query = {"next": page["next"]}


@pytest.mark.slow
@pytest.mark.long
def test_a_push_that_is_killed_again_and_again_loses_nothing_and_publishes_nothing_twice(
    tocsin: Run, served: HubInProcess
) -> None:
    values = [f"h{n}.evil-portal.top" for n in range(VALUES)]
    others = [f"g{n}.evil-portal.top" for n in range(VALUES)]
    Path("a.txt").write_text("\n".join(values))
    Path("b.txt").write_text("\n".join(others))
    command = [sys.executable, "-m", "tocsin.clients", "push", "--to", "inbox", "--yes"]
    begin = time.monotonic()
    subprocess.run([*command, "--no-wait", "b.txt"], stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - begin
    dice, killed = random.Random(13), 0
    for _ in range(KILLS):
        with subprocess.Popen([*command, "--no-wait", "a.txt"], stdout=subprocess.DEVNULL) as push:
            begin, end = time.monotonic(), seconds * dice.uniform(0.2, 0.9)
            while push.poll() is None and time.monotonic() - begin < end:
                time.sleep(0.01)
            if push.poll() is None:
                killed += 1
            else:  # one that sends again what is known already is faster
                seconds = min(seconds, time.monotonic() - begin)
            push.kill()
    assert killed > KILLS // 3
    code, lines, _ = tocsin("push", "a.txt", "--to", "inbox", "--json", "--yes", "--no-wait")
    assert code == 0 and len(lines) == VALUES + 1
    while served.services.intake.work():
        pass
    counts = published(served)
    assert counts == {f"[domain-name:value = '{value}']": 1 for value in values + others}


def has_status(folder: Path) -> bool:
    """True if a whole line of a record names a status; files come and go meanwhile."""
    for file in folder.glob("*"):
        with suppress(FileNotFoundError):
            whole = file.read_bytes().split(b"\n")[:-1]
            if any(b'"status"' in line for line in whole):
                return True
    return False


@pytest.mark.slow
def test_the_record_of_a_killed_push_names_what_the_hub_has_taken(
    tocsin: Run, served: HubInProcess
) -> None:
    Path("a.txt").write_text("\n".join(f"h{n}.evil-portal.top" for n in range(2_500)))
    command = [sys.executable, "-m", "tocsin.clients", "push", "a.txt", "--to", "inbox", "--yes"]
    folder = Path(os.environ["XDG_STATE_HOME"], "tocsin", "pushes")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as program:
        deadline = time.monotonic() + 60
        while not has_status(folder):
            assert time.monotonic() < deadline and program.poll() is None
            time.sleep(0.01)
        program.kill()
    _, lines, error = tocsin("status", "--json")
    ids = [json.loads(line)["id"] for line in lines]
    assert ids, error
    assert all(served.store.submissions.find(each, raw=False) for each in ids)
