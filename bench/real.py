"""Real submissions through a real hub: nothing lost, nothing leaked, how fast.

    python bench/real.py DATA [--json]

DATA holds `stix/`, `iocs/` and `reports/` with one folder for each publisher
(files may be compressed with xz).  The publishers are dealt to three partners,
each of which pushes its files with `tocsin push`; then the feeds are polled and
searched for what must never be in them.  Exit code 1 if anything was lost or
leaked.
"""

import argparse
import collections
import ipaddress
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent
PARTNERS = {
    "acme": ("Acme Savings Bank", ["acme-savings.example"]),
    "north": ("North Shore Hospital", ["northshore-hospital.example"]),
    "metro": ("Metro City CERT", ["metro-cert.example"]),
}
MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}(?![\w-])", re.I)
QUAD = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
FREE_TEXT = ("name", "description", "abstract", "content", "explanation", "opinion")


def main() -> int:
    """Run it all; 0 if nothing was lost and nothing leaked."""
    options = _options()
    with tempfile.TemporaryDirectory() as work:
        hub, url = _hub(Path(work))
        try:
            keys = {slug: _partner(Path(work), slug) for slug in PARTNERS}
            figures = _pushed(options.data, Path(work), url, keys)
            figures["feeds"] = _feeds(url, keys["acme"])
        finally:
            hub.send_signal(signal.SIGTERM)
            hub.wait(60)
    _report(figures, as_json=options.json)
    return 1 if figures["lost"] or figures["crashes"] or any(_leaks(figures)) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_RAW)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser.parse_args()


_RAW = argparse.RawDescriptionHelpFormatter


def _hub(work: Path) -> tuple[subprocess.Popen[bytes], str]:
    ready = work / "ready"
    command = [BIN / "tocsin-hub", "serve", "--data", work / "hub", "--port", "0"]
    log = (work / "hub.log").open("wb")
    hub = subprocess.Popen([*command, "--ready-file", ready], stderr=log)
    while not ready.exists():
        if hub.poll() is not None:
            raise SystemExit((work / "hub.log").read_text())
        time.sleep(0.1)
    return hub, json.loads(ready.read_text())["url"]


def _partner(work: Path, slug: str) -> str:
    name, terms = PARTNERS[slug]
    command = [BIN / "tocsin-hub", "partner", "add", slug, "--name", name, "--term", *terms]
    rights = ["--read", "clear,green,amber", "--write", "inbox", "--data", work / "hub", "--json"]
    answer = json.loads(subprocess.check_output([*command, *rights]))
    return f"{answer['account']}:{answer['key']}"


def _pushed(data: Path, work: Path, url: str, keys: dict[str, str]) -> dict[str, object]:
    counts: collections.Counter[str] = collections.Counter()
    unclaimed = crashes = 0
    waiting = {slug: list(files) for slug, files in _dealt(data, work / "files").items()}
    files = sum(map(len, waiting.values()))
    started = time.monotonic()
    for slug, paths in waiting.items():
        environment = {**os.environ, "TOCSIN_URL": url, "TOCSIN_KEY": keys[slug]}
        for at in range(0, len(paths), 40):
            command = [BIN / "tocsin", "push", *paths[at : at + 40], "--to", "inbox"]
            options = ["--tlp", "green", "--yes", "--json", "--timeout", "900"]
            pushed = subprocess.run([*command, *options], capture_output=True, env=environment)
            lines = [json.loads(line) for line in pushed.stdout.splitlines()]
            crashed = pushed.returncode not in (0, 1) or b"Traceback" in pushed.stderr
            crashes += crashed
            if crashed or not lines:
                print(pushed.stderr.decode()[-2000:], file=sys.stderr)
                continue
            unclaimed += sum("error" in line for line in lines)
            counts.update(lines[-1]["counts"])
            print(f"{slug} {at + 40}/{len(paths)} {dict(counts)}", file=sys.stderr)
    seconds = time.monotonic() - started
    settled = sum(counts[v] for v in ("admitted", "merged", "duplicate", "held", "refused"))
    return {
        "files": files,
        "unclaimed": unclaimed,
        "crashes": crashes,
        "counts": dict(counts),
        "lost": counts["received"] - settled,
        "seconds": round(seconds, 1),
        "objects_per_second": round(counts["received"] / seconds),
    }


def _dealt(data: Path, target: Path) -> dict[str, Iterator[Path]]:
    """The files of every third publisher for each partner, decompressed."""
    folders = sorted(
        each
        for kind in ("stix", "iocs", "reports")
        for each in (data / kind).iterdir()
        if each.is_dir()
    )
    hands = {slug: folders[at :: len(PARTNERS)] for at, slug in enumerate(PARTNERS)}
    return {slug: _unpacked(data, own, target / slug) for slug, own in hands.items()}


def _unpacked(data: Path, folders: list[Path], target: Path) -> Iterator[Path]:
    for file in sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()):
        place = target / file.relative_to(data)
        place.parent.mkdir(parents=True, exist_ok=True)
        packed = file.suffix == ".xz"
        place = place.with_suffix("") if packed else place
        place.write_bytes(lzma.decompress(file.read_bytes()) if packed else file.read_bytes())
        yield place


def _feeds(url: str, key: str) -> dict[str, dict[str, object]]:
    environment = {**os.environ, "TOCSIN_URL": url, "TOCSIN_KEY": key}
    found = {}
    for feed in ("clear", "green", "amber"):
        started = time.monotonic()
        command = [BIN / "tocsin", "poll", feed, "--limit", "1000"]
        lines = subprocess.check_output(command, env=environment).splitlines()
        seconds = time.monotonic() - started
        found[feed] = {
            "objects": len(lines),
            "objects_per_second": round(len(lines) / seconds),
            **_searched([json.loads(line) for line in lines]),
        }
    return found


def _searched(objects: list[dict[str, object]]) -> dict[str, object]:
    """What a feed must not have: names and terms; addresses that the indicator is not about."""
    named = [word.lower() for name, terms in PARTNERS.values() for word in (name, *terms)]
    leaks: collections.Counter[str] = collections.Counter()
    examples: list[str] = []
    for each in objects:
        text = json.dumps(each, ensure_ascii=False)
        about = str(each.get("pattern", "")) + str(each.get("value", ""))
        wrong = [("names", word) for word in named if word in text.lower()]
        wrong += [
            ("private addresses", quad)
            for quad in QUAD.findall(text)
            if _private(quad) and quad not in about
        ]
        wrong += [
            ("mail addresses", mail)
            for name in FREE_TEXT
            for mail in MAIL.findall(str(each.get(name, "")))
            if mail.lower() not in about.lower()
        ]
        for kind, what in wrong:
            leaks[kind] += 1
            if len(examples) < 10:
                examples.append(f"{kind}: {what} in {each['id']}")
    types = collections.Counter(str(each["type"]) for each in objects)
    return {"types": dict(types), "leaks": dict(leaks), "examples": examples}


def _private(quad: str) -> bool:
    try:
        address = ipaddress.ip_address(quad)
    except ValueError:
        return False
    return not address.is_global and not address.is_multicast


def _leaks(figures: dict[str, object]) -> Iterator[dict[str, int]]:
    yield from (feed["leaks"] for feed in figures["feeds"].values())


def _report(figures: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name}: {json.dumps(value)}")


if __name__ == "__main__":
    sys.exit(main())
