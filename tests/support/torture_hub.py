"""A hub with a clock that can be stepped, started by the torture test.

    python tests/support/torture_hub.py --clock FILE --data DIR --port N --ready-file F
    python tests/support/torture_hub.py --clock FILE --data DIR --work
    python tests/support/torture_hub.py --clock FILE --answer [console]

The second form is a worker, which does not serve requests; with the third one, the first starts
the processes that answer.  FILE holds the error of the clock in seconds; it may be replaced at
any time.
"""

import argparse
import logging
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from tocsin.config.loading import load_hub
from tocsin.server.answering.program import main as answer
from tocsin.server.cli.settings import print_notice
from tocsin.server.serving import run_worker, serve


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--work", action="store_true")
    parser.add_argument("--answer", action="store_true")
    parser.add_argument("role", nargs="?")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    arguments: dict[str, Any] = {
        "data": options.data,
        "port": options.port,
        "requests_per_minute": 0,
    }

    def clock() -> int:
        return time.time_ns() // 1_000 + int(float(options.clock.read_text()) * 1_000_000)

    if options.answer:
        return answer(clock, serves_console=options.role == "console")
    settings = load_hub(None, os.environ, arguments)
    if options.work:
        run_worker(settings, print_notice, clock)
    else:
        program = (sys.executable, __file__, "--clock", str(options.clock), "--answer")
        run = partial(answer, clock)
        serve(settings, options.ready_file, print_notice, clock, program, answer=run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
