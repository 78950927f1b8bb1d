"""Shipped with the console: scripts of others as published, templates that bar nothing."""

import base64
import hashlib
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
from pymongo.errors import ServerSelectionTimeoutError
from support.console import sign_in
from support.hub import HubInProcess
from support.paths import ROOT

_ACTING = re.compile(
    r"\sstyle=|<style|javascript:|\son(?:click|error|load|submit|change|input|key|mouse|focus|blur)"
)
STATIC = ROOT / "server" / "console" / "static"
TEMPLATES = sorted((ROOT / "server" / "console" / "templates").glob("*.html"))


def test_vendored_files_are_those_of_the_lock() -> None:
    lines = [line.split() for line in (STATIC / "vendor.lock").read_text().splitlines()]
    files = [(name, digest) for path, name, digest in filter(_is_file, lines)]
    assert {name for name, _ in files} == {"htmx.min.js", "htmx.LICENSE"}
    for name, digest in files:
        found = hashlib.sha384((STATIC / name).read_bytes()).digest()
        assert digest == f"sha384-{base64.b64encode(found).decode()}"


def test_the_style_sheet_comes_while_the_database_is_away(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in(hub, "viewer@hub.example")
    found = re.search('href="([^"]+/console.css)"', client.get("/console/me").text)
    assert found is not None
    outage = Mock(side_effect=ServerSelectionTimeoutError)
    monkeypatch.setattr(type(hub.store.people), "find_session", outage)
    assert client.get("/console/me").status_code == 503
    assert client.get(found[1]).status_code == 200


def _is_file(words: list[str]) -> bool:
    return len(words) == 3 and words[0].startswith("package/")


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_templates_escape_everything_and_act_only_by_our_script(file: Path) -> None:
    text = file.read_text("utf-8")
    assert "|safe" not in re.sub(r"\s", "", text)
    assert not _ACTING.search(text)
    assert not re.search(r"\s[a-z-]+=\{\{", text), "an attribute without quotes"
    for acting in re.findall(r'\s(?:id|class|hx-[a-z]+)="([^"]*)"', text):
        assert "| shown" not in acting and "| value" not in acting
    scripts = re.findall(r"<script[^>]*>", text)
    assert all("asset(" in each for each in scripts)


def test_our_script_writes_no_html() -> None:
    text = (STATIC / "console.js").read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_assets_are_kept_for_a_year_and_pages_are_light(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    page = client.get("/console/admin")
    paths = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text)
    assert len(paths) == 4
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200 and "immutable" in answer.headers["Cache-Control"]
        assert client.get(path.replace("/static/", "/static/0")).status_code == 404
    assert len(page.data) < 20_000


def test_what_is_not_to_be_copied_is_marked_so_for_safari_too() -> None:
    # It knows the name with a prefix only; without, chips and buttons would be in what people copy.
    styles = (STATIC / "console.css").read_text("utf-8")
    assert styles.count(" user-select: none") == styles.count("-webkit-user-select: none") > 0
