"""Hostile files: CPU time, memory and crashes.

Each file is examined in a child process, forked from a warm one, as in a client or a
worker.  The memory is the child's growth beyond its parent.
"""

import gc
import gzip
import multiprocessing
import resource
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from measures.fixtures import examine_batch, read_candidates, read_content
from tocsin.admission.errors import ShareError

_SLOW, _LARGE = 1.0, 200.0
_TIMEOUT = 60


def measure(folder: Path, show: int) -> None:
    examine_batch(
        read_candidates(
            "warm.txt", b"198.51.100.7 evil.example a@evil.example http://evil.example/x"
        )
    )
    gc.collect()
    gc.freeze()  # as a hub does once all is loaded
    files = [p for p in sorted((folder / "hostile").rglob("*")) if p.is_file()]
    outcomes: Counter[str] = Counter()
    worst: list[tuple[float, float, str]] = []
    for path in files:
        if path.suffix in (".md", ".py") or path.name == "index.jsonl":
            continue
        for name, raw in packed_and_unpacked(path):
            outcome, seconds, mebibytes = run_in_child(name, raw)
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


def packed_and_unpacked(path: Path) -> list[tuple[str, bytes]]:
    """The file as it is, and unpacked."""
    raw = read_content(path)
    name = path.name.removesuffix(".xz")
    if path.suffix != ".gz":
        return [(name, raw)]
    return [(name, raw), (name.removesuffix(".gz"), gzip.decompress(raw))]


def run_in_child(name: str, raw: bytes) -> tuple[str, float, float]:
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=examine_and_report, args=(name, raw, theirs)
    )
    child.start()
    theirs.close()
    if not ours.poll(_TIMEOUT):
        child.kill()
        return "hung", _TIMEOUT, 0.0
    try:
        result: tuple[str, float, float] = ours.recv()
    except EOFError:
        result = ("crash", 0.0, 0.0)
    child.join()
    return result


def examine_and_report(name: str, raw: bytes, pipe: Connection) -> None:
    started = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        verdicts = Counter(c.verdict.value for c in examine_batch(read_candidates(name, raw)))
        outcome = "judged" if verdicts else "not claimed"
    except ShareError:
        outcome = "refused"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    pipe.send((outcome, time.process_time() - started, grown))
