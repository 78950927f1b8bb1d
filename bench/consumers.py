"""Poll a hub in the ways of the products that partners own, and count what reached them.

    python bench/consumers.py [--rounds N,N,N] [--json]

Prints the table of docs/connect/index.md.  The requests are those of the products' public
sources or documentation; none of the products runs.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.consumers import run_rounds  # noqa: E402  (found by the path above)
from support.processes import HubProcess  # noqa: E402


def main() -> int:
    """Run all consumers; 1 if one missed an object and pages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", default="2500,1,400", help="indicators before each poll")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hub = HubProcess(Path(folder) / "data")
        hub.start()
        try:
            hub.join()
            found, everything = run_rounds(hub, [int(n) for n in options.rounds.split(",")])
        finally:
            hub.kill()
    rows = [
        {
            "consumer": each.name,
            "received": len(each.received),
            "missed": len(everything.received.keys() - each.received.keys()),
            "again": each.duplicates,
            "requests": each.requests,
        }
        for each in found
    ]
    if options.json:
        print(json.dumps(rows))
    else:
        print("| consumer | received | missed | again | requests |\n|---|---|---|---|---|")
        for row in rows:
            print("| " + " | ".join(map(str, row.values())) + " |")
    return 1 if any(row["missed"] for row in rows if row["consumer"] != "IntelMQ") else 0


if __name__ == "__main__":
    sys.exit(main())
