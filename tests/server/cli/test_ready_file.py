"""The ready file of `tocsin-hub serve`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.processes import make_data

HUB = Path(sys.executable).with_name("tocsin-hub")


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
