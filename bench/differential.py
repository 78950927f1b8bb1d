"""The same requests to medallion 3.0.0 and to the hub: in what do the answers differ?

    python bench/differential.py [--questions N] [--seeds N] [--json]

Asks far more than the test, each seed with a new database.  Exit code 1 if an answer differs
in a way that `tests/support/medallion_differences.py` does not allow, or if something it
allows never came up.
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
    """Run it all; 0 if nothing unexpected was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, default=2_000, help="for each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.start(Path(folder) / "engine", lambda text: None)
        try:
            reports = [
                run(engine.uri, Path(folder) / str(seed), options.questions, seed)
                for seed in range(1, options.seeds + 1)
            ]
        finally:
            engine.stop()
    told = figures(reports) | {"seconds": round(time.monotonic() - began, 1)}
    print(json.dumps(told) if options.json else "\n".join(f"{k}: {v}" for k, v in told.items()))
    return 1 if told["unexpected"] or told["never seen"] else 0


def run(uri: str, folder: Path, count: int, seed: int) -> Report:
    """One seed's questions, to a medallion and a hub of their own."""
    folder.mkdir()
    with open_import_target(uri, folder / "hub") as home:
        return compare(Pair(home, folder), questions(count, seed), ALLOWED)


def figures(reports: list[Report]) -> dict[str, object]:
    """What all runs found together."""
    seen = sum((Counter(report.allowed) for report in reports), Counter())
    return {
        "questions": sum(report.asked for report in reports),
        "answers": sum(report.answers for report in reports),
        "differences that are meant": dict(sorted(seen.items())),
        "never seen": [rule.name for rule in ALLOWED if not seen[rule.name]],
        "unexpected": [str(each)[:600] for report in reports for each in report.unexpected],
    }


if __name__ == "__main__":
    sys.exit(main())
