"""Throughput: indicators that one process examines per second of CPU time."""

import cProfile
import gc
import io
import json
import pstats
import statistics
import time
from pathlib import Path

from measures.fixtures import as_candidates, examine_batch, policy, read_corpus, warning_lists
from tocsin.admission.model import StixObject


def measure(folder: Path, show: int) -> None:
    policy(), warning_lists()
    gc.collect()
    gc.freeze()  # as a hub does once all is loaded
    simple: list[StixObject] = []
    others: list[StixObject] = []
    for entry, raw in read_corpus(folder, "stix"):
        for subject in find_indicators(entry["path"], raw):
            plain = "." not in subject["pattern"].partition("=")[0].partition(":")[2]
            one = subject["pattern"].count("=") == 1 and len(subject["pattern"]) < 300
            (simple if one and (plain or "hashes" in subject["pattern"]) else others).append(
                subject
            )
    for name, those in (("one comparison", simple), ("all other", others)):
        examine_batch(as_candidates(those[:200]))
        rates = []
        for _ in range(3):
            started = time.process_time()
            for at in range(0, len(those), 500):
                examine_batch(as_candidates(those[at : at + 500]))
            rates.append(len(those) / (time.process_time() - started))
        print(
            f"   {name:16} {len(those):6} indicators, median of 3: "
            f"{statistics.median(rates):7.0f} a second"
        )
    if show:
        print_profile(simple, show)


def print_profile(those: list[StixObject], show: int) -> None:
    output = io.StringIO()
    with cProfile.Profile() as profiler:
        examine_batch(as_candidates(those))
    pstats.Stats(profiler, stream=output).sort_stats("tottime").print_stats(show)
    print(output.getvalue())


def find_indicators(name: str, raw: bytes) -> list[StixObject]:
    """The indicators of a STIX file; empty for any other file."""
    if not name.endswith((".json", ".stix2")):
        return []
    try:
        top = json.loads(raw)
    except ValueError:
        return []
    found = top.get("objects", []) if isinstance(top, dict) else top
    return [
        o
        for o in found
        if isinstance(o, dict)
        and o.get("type") == "indicator"
        and isinstance(o.get("pattern"), str)
    ]
