"""Revoked and expired indicators leave the files of every format within one poll.

The files of a mirror (`tocsin poll --mirror`), and those that the hub serves under `/export/`.
"""

import base64
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from support.processes import BIN, HubProcess, indicators

from tocsin.admission.output_formats import output_formats

pytestmark = pytest.mark.slow

FORMATS = tuple(output_formats())
KEPT, REVOKED, EXPIRED = "kept-portal", "revoked-portal", "expired-portal"
Texts = dict[tuple[str, str], str]
"""All files of a format together, by where they were read and by format."""


def fetch(hub: HubProcess, path: str) -> requests.Response:
    account, _, key = hub.key.partition(":")
    url = hub.url.replace("taxii2/", f"export/green/{path}")
    return requests.get(url, auth=(account, key), timeout=60)


def export(hub: HubProcess, format: str) -> str:
    answer = fetch(hub, f"{format}/")
    assert answer.status_code == 200, answer.text
    if output_formats()[format].has_one_file:
        return answer.text
    return "\n".join(fetch(hub, f"{format}/{name}").text for name in answer.text.split())


def read_all(hub: HubProcess, folder: Path) -> Texts:
    words = [word for format in FORMATS for word in ("--format", format)]
    place = ("--url", hub.url, "--key", hub.key)
    command: list[str | Path] = [
        BIN / "tocsin",
        "poll",
        "green",
        "--mirror",
        folder,
        *words,
        *place,
    ]
    subprocess.run(command, check=True)
    texts: Texts = {}
    for format in FORMATS:
        files = sorted((folder / format).iterdir())
        texts["mirror", format] = "\n".join(file.read_text() for file in files)
        texts["export", format] = export(hub, format)
    return texts


def holds(text: str, name: str) -> bool:
    """True if a name is in a text, plainly or as Suricata's lists have it."""
    return name in text or base64.b64encode(f"{name}.top".encode()).decode() in text


@dataclass
class Readings:
    """The files before and after the end of two indicators."""

    before: Texts
    after: Texts
    hub: HubProcess


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readings]:
    folder = tmp_path_factory.mktemp("lists")
    hub = HubProcess(folder / "data")
    hub.program = (*hub.program, "--workers", "2")
    hub.join()
    hub.start()
    try:
        sent = indicators(3)
        for each, name in zip(sent, (KEPT, REVOKED, EXPIRED), strict=True):
            each["pattern"] = f"[domain-name:value = '{name}.top']"
        hub.wait_until_settled(hub.post(sent[:2]).json()["id"])
        began = time.monotonic()
        read_all(hub, folder / "mirror")
        seconds = 5 + 3 * (time.monotonic() - began)  # enough to read everything once more
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        sent[2]["valid_until"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        hub.wait_until_settled(hub.post(sent[2:]).json()["id"])
        before = read_all(hub, folder / "mirror")
        gone = {**sent[1], "revoked": True, "modified": "2026-02-01T00:00:00.000Z"}
        hub.wait_until_settled(hub.post([gone]).json()["id"])
        time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 0.1)
        yield Readings(before, read_all(hub, folder / "mirror"), hub)
    finally:
        hub.kill()


@pytest.mark.parametrize("place", ["mirror", "export"])
@pytest.mark.parametrize("format", FORMATS)
def test_ended_indicators_are_gone_within_one_poll(
    readings: Readings, place: str, format: str
) -> None:
    before, after = readings.before[place, format], readings.after[place, format]
    assert [holds(before, name) for name in (KEPT, REVOKED, EXPIRED)] == [True, True, True]
    assert [holds(after, name) for name in (KEPT, REVOKED, EXPIRED)] == [True, False, False]


@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"rpz"}))
def test_mirror_and_hub_write_the_same_files(readings: Readings, format: str) -> None:
    mirrored, exported = (
        sorted(readings.after[place, format].split()) for place in ("mirror", "export")
    )
    assert mirrored == exported


def test_all_processes_of_a_hub_serve_the_same_file(readings: Readings) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: fetch(readings.hub, "edl/domain.txt"), range(40)))
    assert {each.status_code for each in answers} == {200}
    assert len({(each.headers["ETag"], each.text) for each in answers}) == 1
