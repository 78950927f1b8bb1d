"""Accuracy of admission, measured on labelled and real data.

    bench/quality FOLDER [MEASURE …] [--show N]

The measures are extraction, distinct, pii, names, leaks, misp, benign, validity, patterns,
hostile and speed.
FOLDER holds `text-gt/`, `pii/`, `benign/`, `stix/`, `hostile/` and so on, files possibly
compressed with xz.  Each measure prints its figures and, with --show, the cases whose verdict
differs from their label.  Nothing here is tuned to single cases.
"""

import argparse
import sys
import time
from pathlib import Path

from measures import benign, distinct, extraction, hostile, leaks, misp, names, pii, speed, validity

MEASURES = {
    "extraction": extraction.measure,
    "distinct": distinct.measure,
    "pii": pii.measure,
    "names": names.measure,
    "leaks": leaks.measure,
    "misp": misp.measure,
    "benign": benign.measure,
    "validity": validity.measure,
    "patterns": validity.patterns,
    "hostile": hostile.measure,
    "speed": speed.measure,
}


def main() -> int:
    """Run the chosen measures, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("measure", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="list N cases of each kind"
    )
    chosen = parser.parse_args()
    unknown = set(chosen.measure) - set(MEASURES)
    if unknown:
        parser.error(f"unknown measure: {', '.join(sorted(unknown))}")
    for name in chosen.measure or MEASURES:
        print(f"== {name}", flush=True)
        started = time.perf_counter()
        MEASURES[name](chosen.folder, chosen.show)
        print(f"   ({time.perf_counter() - started:.0f} s)\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
