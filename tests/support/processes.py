"""A hub as operators run it: processes, sockets, signals."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import requests

from tocsin.config.settings import HubSettings
from tocsin.server.cli.main import main as tocsin_hub
from tocsin.server.processes.forking import ANSWERING_NAME, CONSOLE_NAME
from tocsin.server.runtime import open_runtime

BIN = Path(sys.executable).parent
MT = "application/taxii+json;version=2.1"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"

_ESTABLISHED = "01"
"""The state of an open connection in /proc/net/tcp."""

# What reading under /proc raises where a process or descriptor went away meanwhile.
ENDED = (FileNotFoundError, ProcessLookupError)


@cache
def _new_data() -> tempfile.TemporaryDirectory[str]:
    """A data directory as the first command makes it, to be copied: most tests begin after that.

    Making one starts the engine twice, without a password and with one.
    """
    folder = tempfile.TemporaryDirectory()
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
            del os.environ[name]
        with open_runtime(HubSettings(data=Path(folder.name) / "data"), lambda text: None):
            pass
    return folder


def make_data(data: Path) -> None:
    """Make the data directory of a hub that has never run."""
    shutil.copytree(Path(_new_data().name) / "data", data)


def is_running(process: int) -> bool:
    """True unless the process has ended, even if nobody has waited for it."""
    with contextlib.suppress(*ENDED):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def list_open_files(process: int) -> list[str]:
    """The files behind the descriptors of a process: paths, ``socket:[…]``, ``pipe:[…]``."""
    found = []
    for each in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(*ENDED):
            found.append(os.readlink(each))
    return found


def _name(process: int) -> str:
    with contextlib.suppress(*ENDED):
        return Path(f"/proc/{process}/comm").read_text().strip()
    return ""


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this process among those that run tests."""
_FIRST_PORT = 20_000 + _WORKER % 8 * 1_500
_PORTS = itertools.cycle(random.sample(range(_FIRST_PORT, _FIRST_PORT + 1_500), 1_500))


def free_port() -> int:
    """Find a port that is not in use, below those that systems give to outgoing connections.

    One of those could be taken again by such a connection before it is listened at.  No port is
    found again soon, nor by another worker of the same run.
    """
    while True:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def run_command(*words: str | Path) -> tuple[int, str, str]:
    """Run a `tocsin-hub` command in this process; return exit code, standard output and error.

    The same as the program without the start of an interpreter, which is most of its time.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = tocsin_hub([str(word) for word in words])
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
    return code, out.getvalue(), err.getvalue()


STARTED: list[subprocess.Popen[bytes]] = []
"""The processes of hubs that were started."""


@dataclass
class HubProcess:
    """A data directory, and the process that serves it.

    A missing directory is made first: see `make_data`.
    """

    data: Path
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    port: int = field(default_factory=free_port)
    key: str = ""
    started: int = field(default=0)
    program: tuple[object, ...] = (BIN / "tocsin-hub", "serve")

    def __post_init__(self) -> None:
        if not self.data.exists():
            make_data(self.data)

    def start(self) -> HubProcess:
        """Start the hub on the same port as before, and wait until it answers."""
        ready = self.data.with_suffix(".ready")
        ready.unlink(missing_ok=True)
        command: list[str | Path] = [
            *map(str, self.program),
            "--data",
            self.data,
            "--port",
            str(self.port),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, "--ready-file", ready], stderr=log)
        STARTED.append(self.process)
        deadline = time.monotonic() + 150  # a killed hub may leave a transaction open for a minute
        while not ready.exists():
            is_starting = self.process.poll() is None and time.monotonic() < deadline
            assert is_starting, self._read_logs()  # the folder of a test may be gone after it
            time.sleep(0.05)
        status = json.loads(ready.read_text())
        assert status["pid"] == self.process.pid
        self.url, self.started = status["url"], self.started + 1
        return self

    @property
    def log(self) -> Path:
        """The file of the hub's standard error."""
        return self.data.with_suffix(".log")

    def read_log(self) -> str:
        """Return the log so far."""
        return self.log.read_text()

    def _read_logs(self) -> str:
        """The log so far, and the end of the engine's."""
        engine = self.data / "engine.log"
        return self.read_log() + (engine.read_text()[-3_000:] if engine.exists() else "")

    def command(self, *words: str) -> Any:
        """Run a `tocsin-hub` command and return its JSON output."""
        code, out, err = run_command(*words, "--data", self.data, "--json")
        if code:
            raise subprocess.CalledProcessError(code, words, out, err)
        return json.loads(out)

    def join(self, slug: str = "acme") -> str:
        """Add a partner that may read and write everything; return its `account:key`."""
        rights = ("--read", "clear,green,amber,scratch", "--write", "inbox,scratch")
        answer = self.command("partner", "add", slug, "--name", slug.upper(), *rights)
        self.key = f"{answer['account']}:{answer['key']}"
        return self.key

    def ask(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        """Send a request below the API root with the key."""
        headers = {"Accept": MT, "Content-Type": MT} | more.pop("headers", {})
        auth = tuple((more.pop("key", None) or self.key).split(":", 1))
        url = self.url.replace("taxii2/", f"hub/{path}")
        return requests.request(method, url, headers=headers, auth=auth, timeout=60, **more)

    def post(self, objects: list[dict[str, Any]], to: str = "inbox") -> requests.Response:
        """Post an envelope."""
        return self.ask(f"collections/{to}/objects/", "POST", json={"objects": objects})

    def wait_until_settled(self, status: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until every record has a verdict; return the status."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.ask(f"status/{status}/").json()
            if answer["x_tocsin_settled"]:
                return dict(answer)
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)

    def walk(self, feed: str = "green", limit: int = 500) -> Iterator[dict[str, Any]]:
        """Yield every object of a feed, following `next`."""
        query = {"limit": str(limit)}
        while True:
            answer = self.ask(f"collections/{feed}/objects/", params=query)
            answer.raise_for_status()
            page = answer.json()
            yield from page.get("objects", [])
            if not page.get("more"):
                return
            query["next"] = page["next"]

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 60) -> int:
        """Send SIGTERM; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def answering(self) -> list[int]:
        """Return the process ids of those that answer requests for the first one."""
        return [each for each in self._apart() if _name(each) == ANSWERING_NAME]

    def console(self) -> list[int]:
        """Return the process id of the one that serves the console, if there is one."""
        return [each for each in self._apart() if _name(each) == CONSOLE_NAME]

    def children(self) -> list[int]:
        """Return the process ids of all that the first one started, without theirs."""
        assert self.process is not None
        found = []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(*ENDED):
                found += [int(child) for child in path.read_text().split()]
        return sorted(found)

    def _apart(self) -> list[int]:
        return [each for each in self.children() if _name(each) in (ANSWERING_NAME, CONSOLE_NAME)]

    def unread(self) -> list[int]:
        """Return the octets that wait to be read, of each connection that was accepted.

        Linux and IPv4 only; a connection that was not accepted yet has no inode.
        """
        found = []
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            here, state, queues, inode = words[1], words[3], words[4], words[9]
            if here.endswith(f":{self.port:04X}") and state == _ESTABLISHED and inode != "0":
                found.append(int(queues.rpartition(":")[2], 16))
        return found

    def engine(self) -> int:
        """Return the process id of the embedded engine."""
        return int(json.loads((self.data / "engine.json").read_text())["pid"])

    def kill_engine(self) -> None:
        """Send SIGKILL to the embedded engine."""
        os.kill(self.engine(), signal.SIGKILL)


def indicators(count: int) -> list[dict[str, Any]]:
    """Build new indicators, each for its own domain."""
    built = []
    for _ in range(count):
        name = uuid.uuid4()
        built.append(
            {
                "type": "indicator",
                "spec_version": "2.1",
                "id": f"indicator--{name}",
                "created": "2026-01-01T00:00:00.000Z",
                "modified": "2026-01-01T00:00:00.000Z",
                "valid_from": "2026-01-01T00:00:00Z",
                "pattern": f"[domain-name:value = '{name.hex}.top']",
                "pattern_type": "stix",
                "object_marking_refs": [GREEN],
            }
        )
    return built


class Writers:
    """Several writers that post until stopped, and record what was acknowledged."""

    def __init__(self, hub: HubProcess, count: int = 3, size: int = 20, to: str = "inbox") -> None:
        self._hub, self._size, self._to = hub, size, to
        self._pool = ThreadPoolExecutor(count)
        self.statuses: list[str] = []
        self.patterns: set[str] = set()
        self.answers: list[int] = []
        self._going = True
        self._running = [self._pool.submit(self._write) for _ in range(count)]

    def _write(self) -> None:
        while self._going:
            objects = indicators(self._size)
            try:
                answer = self._hub.post(objects, self._to)
            except requests.ConnectionError:
                time.sleep(0.1)
                continue
            self.answers.append(answer.status_code)
            if answer.status_code == 202:
                self.statuses.append(answer.json()["id"])
                self.patterns |= {each["pattern"] for each in objects}

    def wait_for(self, more: int, seconds: float = 120) -> None:
        """Wait until `more` further submissions have been acknowledged."""
        enough, deadline = len(self.statuses) + more, time.monotonic() + seconds
        while len(self.statuses) < enough:
            assert time.monotonic() < deadline, self.answers
            time.sleep(0.01)

    def stop(self) -> None:
        """Let them finish their current requests; raise the first exception of any of them."""
        self._going = False
        for each in self._running:
            each.result(120)
        self._pool.shutdown()
