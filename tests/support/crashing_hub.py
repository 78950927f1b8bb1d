"""A hub that kills itself after its next transaction once a file exists.

python tests/support/crashing_hub.py --last FILE --data DIR --port N --ready-file F
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tocsin.config.loading import load_hub
from tocsin.server.cli.settings import print_notice
from tocsin.server.serving import serve
from tocsin.server.store import Store


def main() -> int:
    """Serve until SIGTERM or SIGKILL."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--last", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path)
    options = parser.parse_args()
    commit = Store.commit

    def commit_and_crash(store: Any, work: Any) -> Any:
        result = commit(store, work)
        if options.last.exists():
            options.last.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(Store, "commit", commit_and_crash)  # noqa: B010 (a method cannot be assigned)
    arguments = {"data": options.data, "port": options.port, "answering_processes": 0}
    serve(load_hub(None, os.environ, arguments), options.ready_file, print_notice)
    return 0


if __name__ == "__main__":
    sys.exit(main())
