"""The snippets of docs/connect/scripts.md run against a hub, as a partner would paste them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import ROOT
from support.processes import HubProcess, indicators
from support.programs import require_program

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "connect" / "scripts.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("connect") / "data")
    hub.start()
    hub.join()
    publish(hub, 1_100)
    yield hub
    hub.kill()


def publish(hub: HubProcess, count: int) -> None:
    new = indicators(count)
    for begin in range(0, count, 550):
        hub.wait_until_settled(hub.post(new[begin : begin + 550]).json()["id"])


def run(hub: HubProcess, folder: Path, *command: str, **variables: str) -> str:
    environment = dict(os.environ) | {"TOCSIN_URL": hub.url, "TOCSIN_KEY": hub.key} | variables
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def run_shell(hub: HubProcess, folder: Path, number: int) -> str:
    for program in ("curl", "jq"):
        require_program(program, program)
    return run(hub, folder, "sh", "-c", SHELL[number])


def test_the_page_has_the_snippets_that_are_run_here() -> None:
    assert (len(SHELL), len(PYTHON)) == (3, 2)


def test_curl_lists_the_collections(hub: HubProcess, tmp_path: Path) -> None:
    answer = json.loads(run_shell(hub, tmp_path, 0))
    assert "green" in [each["alias"] for each in answer["collections"]]


def test_curl_reads_every_page_and_then_only_what_is_new(hub: HubProcess, tmp_path: Path) -> None:
    run_shell(hub, tmp_path, 1)
    first = (tmp_path / "green.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in first} == {each["id"] for each in hub.walk()}
    run_shell(hub, tmp_path, 1)
    assert (tmp_path / "green.jsonl").read_text().splitlines() == first
    publish(hub, 3)
    run_shell(hub, tmp_path, 1)
    assert len((tmp_path / "green.jsonl").read_text().splitlines()) == len(first) + 3


def test_curl_sends_an_indicator(hub: HubProcess, tmp_path: Path) -> None:
    status = json.loads(run_shell(hub, tmp_path, 2))
    assert hub.wait_until_settled(status["id"])["success_count"] == 1


def test_taxii2_client_prints_every_id(hub: HubProcess, tmp_path: Path) -> None:
    printed = run(hub, tmp_path, sys.executable, "-c", PYTHON[0]).split()
    assert set(printed) == {each["id"] for each in hub.walk()}


def test_requests_prints_what_to_block(hub: HubProcess, tmp_path: Path) -> None:
    printed = run(hub, tmp_path, sys.executable, "-c", PYTHON[1], POLLS="1").splitlines()
    expected = {f"block {o['pattern']}" for o in hub.walk() if o["type"] == "indicator"}
    assert set(printed) == expected
