"""The embedded database as a process of its own: `python -m tocsin.server.store.engine`.

`embedded.py` starts it.  It holds the lock of its directory while it lives,
listens on the loopback interface with a password, and ends by itself when its
parent is gone, so that a hub that was killed leaves nothing behind that keeps
the database locked.

Every commit is written to disk before it is answered: the engine honours the
journal flag of single writes but not that of a transaction.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from secantus.auth import SCRAM_SHA_256, derive_credentials
from secantus.server import SecantusDBServer

LOCK = "engine.lock"
SECRET = "engine.secret"  # noqa: S105 - the file's name
ADDRESS = "engine.json"
_WATCH_SECONDS = 0.5
_IDLE_SECONDS = 86_400.0
_ORPHANED_SECONDS = 15.0
"""How long a transaction that a killed hub left open stands in the way of others."""
_BIND_ATTEMPTS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the directory until SIGTERM comes or the parent is gone."""
    options = _options(arguments)
    told = _take_over_output()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    os.umask(0o077)
    with (options.data / LOCK).open("a") as lock:
        if not _locked(lock, options.patience, options.parent):
            print("busy", file=told, flush=True)
            return 1
        (options.data / ADDRESS).unlink(missing_ok=True)
        server = _server(options.data, options.port)
        _listen(server)
        print(f"ready {server.port}", file=told, flush=True)
        told.close()
        while not stop.wait(_WATCH_SECONDS) and os.getppid() == options.parent:
            pass
        _stop(server)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tocsin.server.store.engine")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parent", type=int, default=os.getppid())
    parser.add_argument("--patience", type=float, default=10.0, help="seconds to wait for the lock")
    return parser.parse_args(arguments)


def _take_over_output() -> TextIO:
    """The standard output, kept for one word to the parent; what else is printed goes to stderr."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return told


def _locked(lock: TextIO, patience: float, parent: int) -> bool:
    """Whether the directory became ours in time; a former engine may take a moment to end."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline or os.getppid() != parent:
                return False
            time.sleep(0.1)


def _server(data: Path, port: int) -> SecantusDBServer:
    """The engine with its one user, not yet listening."""
    server = SecantusDBServer(
        host="127.0.0.1",
        port=port,
        storage_path=str(data / "db"),
        require_auth=True,
        enable_test_commands=False,
        sync_on_commit=True,
        durable=True,
        client_idle_timeout_s=_IDLE_SECONDS,
        oplog_retention_seconds=60.0,
        oplog_max_entries=1_000,
        transaction_lifetime_seconds=_ORPHANED_SECONDS,
    )
    secret = json.loads((data / SECRET).read_text())
    credentials = derive_credentials(secret["password"], mechanism=SCRAM_SHA_256)
    user = {
        "_id": f"admin.{secret['user']}",
        "user": secret["user"],
        "db": "admin",
        "credentials": credentials.to_doc(),
        "roles": [{"role": "root", "db": "admin"}],
        "mechanisms": [SCRAM_SHA_256],
    }
    server.storage.add_user("admin", secret["user"], user, replace=True)
    return server


def _listen(server: SecantusDBServer) -> None:
    for _ in range(_BIND_ATTEMPTS):
        try:
            server.start()
            return
        except OSError:
            time.sleep(0.1)
    server.start()


def _stop(server: SecantusDBServer) -> None:
    """Stop at once: the engine only closes its listening socket, which wakes nobody who waits."""
    server._socket.shutdown(socket.SHUT_RDWR)
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
