"""Real submissions through a hub: losses, leaks and throughput.

    python bench/real.py DATA [--json]

DATA holds `stix/`, `iocs/` and `reports/` with one folder for each publisher
(files may be compressed with xz).  The publishers are distributed over three
partners, each of which pushes its files with `tocsin push`; then the collections
are polled and searched for data that must not be published.  Exit code 1 if
anything was lost or leaked.
"""

import argparse
import collections
import ipaddress
import json
import lzma
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.processes import BIN, HubProcess  # noqa: E402  (found by the path above)

PARTNERS = {
    "acme": ("Acme Savings Bank", ["acme-savings.example"]),
    "north": ("North Shore Hospital", ["northshore-hospital.example"]),
    "metro": ("Metro City CERT", ["metro-cert.example"]),
}
MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}(?![\w-])", re.I)
QUAD = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
Command = list[str | Path]
FEEDS = ("clear", "green", "amber")
FREE_TEXT = ("name", "description", "abstract", "content", "explanation", "opinion")


def main() -> int:
    """Push, poll and search; return 0 if nothing was lost and nothing leaked."""
    options = _parse_arguments()
    with tempfile.TemporaryDirectory() as work:
        hub = HubProcess(Path(work) / "hub").start()
        try:
            keys = {slug: _add_partner(hub, slug) for slug in PARTNERS}
            figures = _push_all(options.data, Path(work), hub.url, keys)
            feeds = {alias: _poll_feed(alias, hub.url, keys["acme"]) for alias in FEEDS}
        finally:
            hub.stop()
    figures["feeds"] = feeds
    _print_figures(figures, as_json=options.json)
    leaked = any(feed["leaks"] for feed in feeds.values())
    return 1 if figures["lost"] or figures["crashes"] or leaked else 0


def _parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def _add_partner(hub: HubProcess, slug: str) -> str:
    """Add a partner that reads and writes; return its `account:key`."""
    name, terms = PARTNERS[slug]
    words = ("partner", "add", slug, "--name", name, "--term", *terms)
    answer = hub.command(*words, "--read", "clear,green,amber", "--write", "inbox")
    return f"{answer['account']}:{answer['key']}"


def _push_all(data: Path, work: Path, url: str, keys: dict[str, str]) -> dict[str, object]:
    """Push each partner's files in batches of 40; return counts, losses and speed."""
    counts: collections.Counter[str] = collections.Counter()
    unclaimed = crashes = 0
    by_partner = {slug: list(files) for slug, files in _assign(data, work / "files").items()}
    files = sum(map(len, by_partner.values()))
    started = time.monotonic()
    for slug, paths in by_partner.items():
        environment = {**os.environ, "TOCSIN_URL": url, "TOCSIN_KEY": keys[slug]}
        for at in range(0, len(paths), 40):
            command: Command = [BIN / "tocsin", "push", *paths[at : at + 40], "--to", "inbox"]
            options = ["--tlp", "green", "--yes", "--json", "--timeout", "900"]
            pushed = subprocess.run([*command, *options], capture_output=True, env=environment)
            lines = [json.loads(line) for line in pushed.stdout.splitlines()]
            crashed = pushed.returncode not in (0, 1, 4) or b"Traceback" in pushed.stderr
            crashes += crashed
            if crashed or not lines:
                print(pushed.stderr.decode()[-2000:], file=sys.stderr)
                continue
            unclaimed += sum("error" in line for line in lines)
            counts.update(lines[-1]["counts"])
            print(f"{slug} {at + 40}/{len(paths)} {dict(counts)}", file=sys.stderr)
    seconds = time.monotonic() - started
    ends = ("admitted", "merged", "duplicate", "held", "refused")
    settled = sum(counts[each] for each in (*ends, "withheld"))  # the check held what was not sent
    return {
        "files": files,
        "unclaimed": unclaimed,
        "crashes": crashes,
        "counts": dict(counts),
        "lost": counts["received"] - settled,
        "seconds": round(seconds, 1),
        "objects_per_second": round(counts["received"] / seconds),
    }


def _assign(data: Path, target: Path) -> dict[str, Iterator[Path]]:
    """Assign every third publisher's files to each partner, and decompress them."""
    folders = sorted(
        each
        for kind in ("stix", "iocs", "reports")
        for each in (data / kind).iterdir()
        if each.is_dir()
    )
    assigned = {slug: folders[at :: len(PARTNERS)] for at, slug in enumerate(PARTNERS)}
    return {slug: _decompress(data, own, target / slug) for slug, own in assigned.items()}


def _decompress(data: Path, folders: list[Path], target: Path) -> Iterator[Path]:
    """Copy the folders' files below `target`, decompressed; yield the copies."""
    for file in sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()):
        copy = target / file.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True)
        packed = file.suffix == ".xz"
        copy = copy.with_suffix("") if packed else copy
        copy.write_bytes(lzma.decompress(file.read_bytes()) if packed else file.read_bytes())
        yield copy


def _poll_feed(alias: str, url: str, key: str) -> dict[str, object]:
    """Poll a collection; return its size, the speed and the leaks found."""
    environment = {**os.environ, "TOCSIN_URL": url, "TOCSIN_KEY": key}
    started = time.monotonic()
    command: Command = [BIN / "tocsin", "poll", alias, "--limit", "1000"]
    lines = subprocess.check_output(command, env=environment).splitlines()
    seconds = time.monotonic() - started
    return {
        "objects": len(lines),
        "objects_per_second": round(len(lines) / seconds),
        **_find_leaks([json.loads(line) for line in lines]),
    }


def _find_leaks(objects: list[dict[str, object]]) -> dict[str, object]:
    """Count names and terms of partners, and addresses that are not the object's own value."""
    forbidden = [word.lower() for name, terms in PARTNERS.values() for word in (name, *terms)]
    leaks: collections.Counter[str] = collections.Counter()
    examples: list[str] = []
    for each in objects:
        text = json.dumps(each, ensure_ascii=False)
        own_value = str(each.get("pattern", "")) + str(each.get("value", ""))
        found = [("names", word) for word in forbidden if word in text.lower()]
        found += [
            ("private addresses", quad)
            for quad in QUAD.findall(text)
            if _is_private(quad) and quad not in own_value
        ]
        found += [
            ("mail addresses", mail)
            for name in FREE_TEXT
            for mail in MAIL.findall(str(each.get(name, "")))
            if mail.lower() not in own_value.lower()
        ]
        for kind, what in found:
            leaks[kind] += 1
            if len(examples) < 10:
                examples.append(f"{kind}: {what} in {each['id']}")
    types = collections.Counter(str(each["type"]) for each in objects)
    return {"types": dict(types), "leaks": dict(leaks), "examples": examples}


def _is_private(quad: str) -> bool:
    try:
        address = ipaddress.ip_address(quad)
    except ValueError:
        return False
    return not address.is_global and not address.is_multicast


def _print_figures(figures: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name}: {json.dumps(value)}")


if __name__ == "__main__":
    sys.exit(main())
