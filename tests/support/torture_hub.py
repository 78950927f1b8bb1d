"""The hub as it is but for its clock, which can be stepped: so the torture test starts it.

    python tests/support/torture_hub.py --clock FILE --data DIR --port N --ready-file F
    python tests/support/torture_hub.py --clock FILE --data DIR --work

The second is a worker, which answers nobody.  FILE holds the seconds by which the
clock is wrong; it may be replaced at any time.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from tocsin.config import load_hub
from tocsin.server.runtime import run_worker, serve


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--work", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asked = {"data": options.data, "port": options.port, "requests_per_minute": 0}

    def clock() -> int:
        return time.time_ns() // 1_000 + int(float(options.clock.read_text()) * 1_000_000)

    settings = load_hub(None, os.environ, asked)
    if options.work:
        run_worker(settings, _say, clock)
    else:
        serve(settings, options.ready_file, _say, clock)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
