"""Starts other TAXII servers as their documentation describes, for bench/peers_conformance.

Each runs on loopback in its own folder, with one collection that can be read and
written, one that can only be read, and two accounts.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEDIA_TYPE = "application/taxii+json;version=2.1"
KEY, OTHER_KEY = "first:let-me-in", "second:let-me-in-too"
SCRATCH, READ_ONLY = str(uuid.UUID(int=1, version=4)), str(uuid.UUID(int=2, version=4))
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Peer:
    """A running server: its discovery URL, a writable collection, and two accounts' keys."""

    url: str
    collection: str = SCRATCH
    key: str = KEY
    other_key: str = OTHER_KEY

    def arguments(self) -> list[str]:
        """Return the arguments of `tocsin-hub conformance` for this server."""
        keys = ["--key", self.key, "--other-key", self.other_key]
        return [self.url, *keys, "--collection", self.collection]


def free_port() -> int:
    """Find a port that is not in use, below those that systems give to other sockets."""
    while True:
        port = random.randrange(10_000, 20_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def serve_with_gunicorn(python: str, app: str, folder: Path, env: dict[str, str]) -> Iterator[int]:
    """Serve a WSGI application in one process with several threads; yield its port."""
    port = free_port()
    options = ["--bind", f"127.0.0.1:{port}", "--threads", "4", "--workers", "1"]
    command = [python, "-m", "gunicorn", *options, "--chdir", str(folder), app]
    with (folder / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | env)
    try:
        _wait_for_port(process, port, folder / "gunicorn.log")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the port accepts connections; exit with the log's end if the process ended."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)


@contextmanager
def medallion(python: str, folder: Path) -> Iterator[Peer]:
    """Start medallion with its memory backend."""
    collections = [
        {
            "id": id,
            "title": title,
            "can_read": True,
            "can_write": id == SCRATCH,
            "media_types": [f"application/stix+json;version={v}" for v in ("2.0", "2.1")],
            "objects": [],
            "manifest": [],
        }
        for id, title in ((SCRATCH, "Scratch"), (READ_ONLY, "Read only"))
    ]
    information = {
        "title": "Peer",
        "versions": [MEDIA_TYPE],
        "max_content_length": 1_048_576,
    }
    root = {"information": information, "status": [], "collections": collections}
    discovery = {"title": "Peer", "default": "/peer/", "api_roots": ["/peer/"]}
    (folder / "contents.json").write_text(json.dumps({"/discovery": discovery, "peer": root}))
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(folder / "contents.json"),
    }
    users = dict(key.split(":") for key in (KEY, OTHER_KEY))
    config = {"backend": backend, "users": users, "taxii": {"max_page_size": 100}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "peer.py").write_text(
        "import medallion\napplication = medallion.load_app('config.json')\n"
    )
    with serve_with_gunicorn(python, "peer:application", folder, {}) as port:
        yield Peer(f"http://127.0.0.1:{port}/taxii2/")


@contextmanager
def opentaxii(python: str, folder: Path) -> Iterator[Peer]:
    """Start OpenTAXII on SQLite, with two administrators."""
    database = {"create_tables": True, "db_connection": f"sqlite:///{folder}/data.db"}
    accounts = {
        "create_tables": True,
        "db_connection": f"sqlite:///{folder}/auth.db",
        "secret": uuid.uuid4().hex,
    }
    config = {
        "auth_api": {"class": "opentaxii.auth.sqldb.SQLDatabaseAPI", "parameters": accounts},
        "taxii1": None,
        "taxii2": {
            "persistence_api": {
                "class": "opentaxii.persistence.sqldb.Taxii2SQLDatabaseAPI",
                "parameters": database,
            },
            "title": "Peer",
            "public_discovery": False,
            "max_content_length": 1_048_576,
        },
    }
    (folder / "opentaxii.yml").write_text(json.dumps(config))  # JSON is YAML
    env = {"OPENTAXII_CONFIG": str(folder / "opentaxii.yml")}
    add_accounts = (
        ["opentaxii-create-account", "--admin", "-u", *key.replace(":", " -p ").split()]
        for key in (KEY, OTHER_KEY)
    )
    _run_setup(python, folder, env, ["opentaxii-add-api-root", "--title", "Peer", "--default"])
    with contextlib.closing(sqlite3.connect(folder / "data.db")) as connection:
        (root,) = connection.execute("SELECT id FROM opentaxii_api_root").fetchone()
    root = str(uuid.UUID(str(root)))
    scratch = ["--rootid", root, "--title", "Scratch", "--alias", "scratch"]
    for command in (["opentaxii-add-collection", *scratch], *add_accounts):
        _run_setup(python, folder, env, command)
    with serve_with_gunicorn(python, "opentaxii.http:app", folder, env) as port:
        yield Peer(f"http://127.0.0.1:{port}/taxii2/", "scratch")


def _run_setup(python: str, folder: Path, env: dict[str, str], command: list[str]) -> None:
    """Run a command of the server's package, from the environment of `python`."""
    line = [str(Path(python).with_name(command[0])), *command[1:]]
    with (folder / "setup.log").open("ab") as log:
        subprocess.run(line, env=os.environ | env, check=True, stdout=log, stderr=log)
