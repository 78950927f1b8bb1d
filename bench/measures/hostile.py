"""Hostile files: how long each takes, how much memory, and that nothing crashes.

Each file is judged in a process of its own, forked from one that is warm, as a client or
a worker would be.  Time is the processor's, memory what the process needs beyond that.
"""

import gc
import gzip
import multiprocessing
import resource
import time
from collections import Counter
from pathlib import Path

from measures.court import content, judged, read
from tocsin.admission.errors import ShareError

_SLOW, _LARGE = 1.0, 200.0
_PATIENCE = 60


def measure(folder: Path, show: int) -> None:
    judged(read("warm.txt", b"198.51.100.7 evil.example a@evil.example http://evil.example/x"))
    gc.collect()
    gc.freeze()  # as a hub does once all is loaded
    files = [p for p in sorted((folder / "hostile").rglob("*")) if p.is_file()]
    outcomes: Counter[str] = Counter()
    worst: list[tuple[float, float, str]] = []
    for path in files:
        if path.suffix in (".md", ".py") or path.name == "index.jsonl":
            continue
        for name, raw in forms(path):
            outcome, seconds, mebibytes = tried(name, raw)
            outcomes[outcome] += 1
            worst.append((seconds, mebibytes, name))
            if outcome in ("crash", "hung") or seconds > _SLOW or mebibytes > _LARGE:
                print(f"   {name}: {outcome}, {seconds:.2f} s, {mebibytes:.0f} MiB")
    print(f"   {len(worst)} inputs: {dict(outcomes)}")
    print(
        f"   slowest {max(worst)[0]:.2f} s ({max(worst)[2]}), "
        f"largest {max(w[1] for w in worst):.0f} MiB"
    )
    for seconds, mebibytes, name in sorted(worst, reverse=True)[:show]:
        print(f"      {seconds:6.2f} s {mebibytes:6.0f} MiB  {name}")


def forms(path: Path) -> list[tuple[str, bytes]]:
    """The file as it is, and unpacked."""
    raw = content(path)
    name = path.name.removesuffix(".xz")
    if path.suffix != ".gz":
        return [(name, raw)]
    return [(name, raw), (name.removesuffix(".gz"), gzip.decompress(raw))]


def tried(name: str, raw: bytes) -> tuple[str, float, float]:
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(target=judge, args=(name, raw, theirs))
    child.start()
    theirs.close()
    if not ours.poll(_PATIENCE):
        child.kill()
        return "hung", _PATIENCE, 0.0
    try:
        told: tuple[str, float, float] = ours.recv()
    except EOFError:
        told = ("crash", 0.0, 0.0)
    child.join()
    return told


def judge(name: str, raw: bytes, pipe) -> None:
    started = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        told = Counter(c.verdict.value for c in judged(read(name, raw)))
        outcome = "judged" if told else "not claimed"
    except ShareError:
        outcome = "refused"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    pipe.send((outcome, time.process_time() - started, grown))
