"""Take pictures of the console's pages, over a hub that three partners have filled."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from support.console import PASSWORD, open_browser
from support.processes import HubProcess, run_command

from tocsin.clients.cli.main import main as tocsin

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
DOCUMENTS = ROOT / "docs" / "images" / "console"
PARTNERS = {
    "acme-bank": ("ACME Savings Bank", "US", "acme-bank.stix.json"),
    "north-hospital": ("North Shore Hospital", "GB", "north-hospital.csv"),
    "city-cert": ("City CERT", "PT", "city-cert.txt"),
}
DOCUMENTED = ("overview", "share-preview", "review-item", "object", "partner", "search")
"""Pictures of the documentation, on a desktop in light colours; the first ones on a phone too."""
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


@dataclass(frozen=True)
class Shot:
    """A page to be shown."""

    name: str
    path: str
    person: str = "operator"


def main() -> int:
    """Fill a hub, and take the pictures."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as folder:
        hub = HubProcess(Path(folder) / "data")
        hub.start()
        try:
            fill(hub, Path(folder))
            people = invite(hub)
            with open_browser() as browser:
                take(browser, hub, people, target)
        finally:
            hub.kill()
    return 0


def fill(hub: HubProcess, folder: Path) -> None:
    """Let three partners share their example files, and one of them read."""
    keys = {}
    for slug, (name, country, _) in PARTNERS.items():
        options = ["--country", country, "--read", "clear,green,amber"]
        added = command(hub, "partner", "add", slug, "--name", name, *options)
        keys[slug] = added["credential"]
    inbox = ["--to", "inbox", "--yes", "--send-held"]
    for slug, (_, _, file) in PARTNERS.items():
        run_client(hub, keys[slug], "push", str(EXAMPLES / file), *inbox)
    more = folder / "more.txt"
    more.write_text("".join(f"c{n}.parcel-tracking.top\n" for n in range(80)))
    run_client(hub, keys["city-cert"], "push", str(more), *inbox, "--tlp", "green")
    run_client(hub, keys["acme-bank"], "poll", "green", "--output", str(folder / "green.jsonl"))
    agreement = ["--collection", "inbox,clear,green", "--until", "2999-12-31T12:00:00Z"]
    command(hub, "agreement", "add", "north-hospital", *agreement)


def command(hub: HubProcess, *words: str) -> dict[str, Any]:
    """Run a command of the hub; its answer."""
    code, out, err = run_command(*words, "--data", hub.data, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def run_client(hub: HubProcess, credential: str, *words: str) -> None:
    """Run a command of a partner."""
    tocsin([*words, "--url", f"http://127.0.0.1:{hub.port}/taxii2/", "--key", credential])


def invite(hub: HubProcess) -> dict[str, str]:
    """Invite a person of each kind; the links, by role."""
    people = {
        "operator": ["otto@hub.example", "--role", "operator", "--role", "reviewer"],
        "analyst": ["ana@city-cert.example", "--partner", "city-cert", "--role", "analyst"],
    }
    return {
        role: str(command(hub, "person", "invite", *words)["link"])
        for role, words in people.items()
    }


def take(browser: Browser, hub: HubProcess, links: dict[str, str], target: Path | None) -> None:
    """Take the pictures."""
    origin = f"http://localhost:{hub.port}/console"
    states = {role: sign_in(browser, link) for role, link in links.items()}
    with_page = browser.new_context(storage_state=states["analyst"])
    draft = share(with_page.new_page(), origin)
    with_page.close()
    shots = list(find_shots(browser, states, origin, draft))
    if target is None:
        folder = DOCUMENTS
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [shot for shot in shots if shot.name in DOCUMENTED]
        show(browser, states, origin, wanted, folder, "desktop", "light")
        phone = [shot for shot in wanted if shot.name in ("share-preview", "review-item")]
        show(browser, states, origin, phone, folder, "phone", "dark")
        return
    target.mkdir(parents=True, exist_ok=True)
    for size in SIZES:
        for scheme in ("light", "dark"):
            show(browser, states, origin, shots, target, size, scheme)


def sign_in(browser: Browser, link: str) -> Any:
    """Take an invitation; the state of the browser that is signed in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.fill("#name", "Ana Analyst" if "ana@" in page.inner_text("main") else "Otto Operator")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_load_state()
    state = context.storage_state()
    context.close()
    return state


def share(page: Page, origin: str) -> str:
    """Paste a report; the path of its preview."""
    page.goto(f"{origin}/share")
    page.fill("textarea", (EXAMPLES / "acme-bank.stix.json").read_text("utf-8"))
    page.click("button.main")
    page.wait_for_url(re.compile(r"/share/.+"))
    page.wait_for_selector("text=Submit")
    return page.url.removeprefix(origin)


def find_shots(browser: Browser, states: dict[str, Any], origin: str, draft: str) -> Iterator[Shot]:
    """The pages, with the ids that they have in this hub."""
    context = browser.new_context(storage_state=states["operator"])
    page = context.new_page()

    def first(path: str, pattern: str) -> str:
        page.goto(f"{origin}{path}")
        found = re.search(pattern, page.content())
        assert found is not None, f"{path} has no {pattern}"
        return found[1].removeprefix("/console")

    yield Shot("sign-in", "/sign-in", "")
    yield Shot("overview", "/overview")
    yield Shot("share", "/share", "analyst")
    yield Shot("share-preview", draft, "analyst")
    yield Shot("submissions", "/submissions", "analyst")
    yield Shot("submission", first("/partners/city-cert", r'href="(/console/submissions/[^"]+)"'))
    yield Shot("review", "/review")
    last = r'(?s).*href="(/console/review/[0-9a-z-]{8,}[^"]*)"'
    yield Shot("review-item", first("/review", last))  # a text with words in question
    yield Shot("search", "/search?q=parcel-tracking.top")
    yield Shot("search-none", "/search?q=nothing.example")
    found = first("/search?q=parcel-tracking.top", r'href="(/console/objects/[^"?]+)')
    yield Shot("object", found)
    yield Shot("object-of-a-partner", found, "analyst")
    yield Shot("partners", "/partners")
    yield Shot("partner", "/partner", "analyst")
    for name in ("partners", "partners/new", "agreements", "people", "feeds", "exclusions") + (
        "warning-lists",
        "policy",
        "journal",
    ):
        yield Shot(f"admin-{name.replace('/', '-')}", f"/admin/{name}")
    yield Shot("first-hour", "/help/first-hour", "analyst")
    yield Shot("not-found", "/no-such-page")
    context.close()


def show(  # noqa: PLR0913
    browser: Browser,
    states: dict[str, Any],
    origin: str,
    shots: list[Shot],
    folder: Path,
    size: str,
    scheme: str,
) -> None:
    """Take pictures in one size and one colour scheme."""
    contexts: dict[str, BrowserContext] = {}
    for person in ("", *states):
        contexts[person] = browser.new_context(
            storage_state=states.get(person),
            viewport=SIZES[size],  # type: ignore[arg-type]
            is_mobile=size == "phone",
            has_touch=size == "phone",
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
    for shot in shots:
        page = contexts[shot.person].new_page()
        page.goto(f"{origin}{shot.path}")
        name = f"{shot.name}-{size}-{scheme}.png"
        page.screenshot(path=folder / name, full_page=folder != DOCUMENTS)
        page.close()
    for context in contexts.values():
        context.close()


if __name__ == "__main__":
    sys.exit(main())
