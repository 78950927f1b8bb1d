"""A report is shared in the console of a hub whose requests several processes answer."""

import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import requests
from support.console import PASSWORD
from support.processes import HubProcess

INVITE = ("person", "invite", "ann@acme.example", "--partner", "acme", "--role", "analyst")
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path / "data")
    hub.program = (*hub.program, "--workers", "2")
    yield hub.start()
    hub.stop()


def send(session: requests.Session, url: str, form: dict[str, str]) -> requests.Response:
    """Send a form as a page does, with the token of the session."""
    page = session.get(url.rpartition("/console/")[0] + "/console/me").text
    _, _, rest = page.partition('data-token="')
    return session.post(url, {"token": rest.partition('"')[0], **form}, headers=OWN, timeout=60)


def await_page(session: requests.Session, url: str, text: str) -> str:
    """Return a page once it has a text."""
    deadline = time.monotonic() + 60
    while text not in (page := unescape(session.get(url, timeout=60).text)):
        assert time.monotonic() < deadline, page
        time.sleep(0.2)
    return page


@pytest.mark.slow
def test_a_report_is_previewed_by_one_process_and_shown_by_all(hub: HubProcess) -> None:
    hub.join()
    invitation = hub.command(*INVITE)
    root = hub.url.replace("taxii2/", "console").replace("127.0.0.1", "localhost")
    session = requests.Session()
    link = f"{root}/invitation/{str(invitation['link']).rpartition('/')[2]}"
    entered = {"login": "ann@acme.example", "name": "Ann", "password": PASSWORD}
    assert send(session, link, entered).url == f"{root}/partner"
    text = "Sent to jane.doe@bank.example.net; the page was login[.]evil-portal[.]top"
    long = f"{text}\n" + "no indicator in this line\n" * 10_000  # more than one packet
    draft = send(session, f"{root}/share", {"text": long}).url
    page = await_page(session, draft, "1 can be shared now")
    for _ in range(6):  # whichever process answers
        assert "login[.]evil-portal[.]top" in session.get(draft, timeout=60).text
    run = re.search(r'name="run" value="(\d+)"', page)
    assert run is not None
    where = send(session, f"{draft}/submit", {"run": run[1]}).url
    await_page(session, where, "1 object: 1 published.")
    assert list(hub.walk("amber"))[-1]["pattern"] == "[domain-name:value = 'login.evil-portal.top']"
    assert "evil-portal" not in hub.read_log() and "jane" not in hub.read_log()
