"""A decision outlives the hub that took it: the whole program, killed and started again."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from support.console import PASSWORD
from support.hub import indicator
from support.processes import HubProcess

from tocsin.server.intake.review import LEASE

pytestmark = pytest.mark.slow

PERSON = "Reported by Jane Doe, who saw it"
SECONDS = LEASE - 5.0
"""Until a decision takes effect: before what the killed hub had leased is free by itself."""


class Browserless:
    """Someone who is signed in, without a browser."""

    def __init__(self, hub: HubProcess, link: str) -> None:
        self.session = requests.Session()
        self.origin = f"http://localhost:{hub.port}"
        path = re.sub(r"^https?://[^/]+", "", link)
        form = {"login": "jane@hub.example", "name": "Jane", "password": PASSWORD}
        self.token = ""
        self.send(path, form)
        page = self.session.get(f"{self.origin}/console/me", timeout=60).text
        [self.token] = re.findall('data-token="([^"]+)"', page)

    def read(self, path: str) -> str:
        return self.session.get(f"{self.origin}{path}", timeout=60).text

    def send(self, path: str, form: dict[str, Any]) -> requests.Response:
        headers = {"Sec-Fetch-Site": "same-origin"}
        form = form | {"token": self.token}
        answer = self.session.post(
            f"{self.origin}{path}", data=form, headers=headers, timeout=60, allow_redirects=False
        )
        assert answer.status_code == 303, answer.text
        return answer


def descriptions(hub: HubProcess) -> list[str]:
    return [each["description"] for each in hub.walk() if "description" in each]


@pytest.mark.slow
def test_a_decision_takes_effect_though_the_hub_is_killed_at_once(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "data").start()
    try:
        hub.join()
        link = hub.command("person", "invite", "jane@hub.example", "--role", "reviewer")["link"]
        jane = Browserless(hub, link)
        hub.wait_until_settled(hub.post([indicator(description=PERSON)]).json()["id"])
        queue = jane.read("/console/review")
        [path] = re.findall(r'href="(/console/review/[0-9a-f-]{36})"', queue)
        [version] = set(re.findall('name="version" value="([0-9]+)"', jane.read(path)))
        jane.send(path, {"decision": "release", "version": version})
        hub.kill()
        hub.start()
        deadline = time.monotonic() + SECONDS
        while PERSON not in descriptions(hub):
            assert time.monotonic() < deadline, hub.read_log()
            time.sleep(0.5)
        assert "took effect" in jane.read("/console/review")
    finally:
        hub.stop()
