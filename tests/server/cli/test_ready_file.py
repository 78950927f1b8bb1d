"""The URL that `tocsin-hub serve` notes, in the ready file and for commands beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import HubProcess, make_data

HUB = Path(sys.executable).with_name("tocsin-hub")


@pytest.mark.slow
class TestAReadyFileThatCannotBeWritten:
    def test_ends_the_start_with_its_name(self, tmp_path: Path) -> None:
        ready = tmp_path / "missing" / "ready.json"
        make_data(tmp_path / "data")
        line: list[str | Path] = [
            HUB,
            "serve",
            "--data",
            tmp_path / "data",
            "--port",
            "0",
            "--ready-file",
            ready,
        ]
        ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert f"--ready-file: cannot write {ready}" in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.slow
class TestTheUrlForCommands:
    def test_a_key_comes_with_the_url_of_the_hub_that_serves_the_data(self, tmp_path: Path) -> None:
        hub = HubProcess(tmp_path / "data").start()
        try:
            answer = hub.command("partner", "add", "north", "--name", "North Hospital")
        finally:
            hub.stop()
        assert f"export TOCSIN_URL={hub.url} TOCSIN_KEY=north:" in answer["use"]
