"""Compare the hub's responses with medallion 3.0.0's, request by request.

    python bench/differential.py [--questions N] [--seeds N] [--json]

Sends far more requests than the test does, each seed with a new database.  Exit code 1 if a
response differs in a way that `tests/support/medallion_differences.py` does not allow, or if a
difference that it allows never occurred.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tocsin.server.store.embedded import Engine

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.differential import Pair, Report, compare  # noqa: E402  (found by the path above)
from support.differential_questions import questions  # noqa: E402
from support.medallion_differences import ALLOWED  # noqa: E402
from support.medallion_files import open_import_target  # noqa: E402


def main() -> int:
    """Run every seed; return 0 if only allowed differences were found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, default=2_000, help="requests per seed")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.start(Path(folder) / "engine", lambda text: None)
        try:
            reports = [
                compare_seed(engine.uri, Path(folder) / str(seed), options.questions, seed)
                for seed in range(1, options.seeds + 1)
            ]
        finally:
            engine.stop()
    results = summarise(reports) | {"seconds": round(time.monotonic() - started, 1)}
    lines = "\n".join(f"{name}: {value}" for name, value in results.items())
    print(json.dumps(results) if options.json else lines)
    return 1 if results["unexpected"] or results["never seen"] else 0


def compare_seed(uri: str, folder: Path, count: int, seed: int) -> Report:
    """Send one seed's requests to a new medallion and a new hub, and compare the responses."""
    folder.mkdir()
    with open_import_target(uri, folder / "hub") as target:
        return compare(Pair(target, folder), questions(count, seed), ALLOWED)


def summarise(reports: list[Report]) -> dict[str, object]:
    """Return the totals over all seeds."""
    seen = sum((Counter(report.allowed) for report in reports), Counter())
    return {
        "requests": sum(report.asked for report in reports),
        "responses": sum(report.answers for report in reports),
        "allowed differences": dict(sorted(seen.items())),
        "never seen": [rule.name for rule in ALLOWED if not seen[rule.name]],
        "unexpected": [str(found)[:600] for report in reports for found in report.unexpected],
    }


if __name__ == "__main__":
    sys.exit(main())
