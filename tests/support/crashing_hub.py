"""The hub as it is, but once a file is there its next transaction is its last: it kills itself.

python tests/support/crashing_hub.py --last FILE --data DIR --port N --ready-file F
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tocsin.config import load_hub
from tocsin.server.runtime import serve
from tocsin.server.store import Store


def main() -> int:
    """Serve until SIGTERM, or SIGKILL."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--last", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path)
    options = parser.parse_args()
    commit = Store.commit

    def last(store: Any, work: Any) -> Any:
        done = commit(store, work)
        if options.last.exists():
            options.last.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(Store, "commit", last)  # noqa: B010 (a method cannot be assigned)
    asked = {"data": options.data, "port": options.port}
    serve(load_hub(None, os.environ, asked), options.ready_file, _say)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
