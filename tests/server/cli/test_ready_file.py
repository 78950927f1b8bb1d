"""The URL that `tocsin-hub serve` notes, in the ready file and for commands beside it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from support.certificates import make_authority
from support.processes import HubProcess, make_data

from tocsin.config.conversion import ConfigError
from tocsin.config.settings import HubSettings
from tocsin.server.intake.intake import Intake
from tocsin.server.model import Partner
from tocsin.server.serving import serve
from tocsin.server.urls import find_url

HUB = Path(sys.executable).with_name("tocsin-hub")


@pytest.mark.slow
class TestAReadyFileThatCannotBeWritten:
    def test_ends_the_start_with_its_name(self, tmp_path: Path) -> None:
        ready = tmp_path / "missing" / "ready.json"
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
        assert list(tmp_path.iterdir()) == []

    def test_lets_background_work_finish_before_the_database_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun: list[None] = []
        found: list[list[Partner]] = []

        def work(intake: Intake) -> bool:
            begun.append(None)
            time.sleep(0.5)
            found.append(intake._store.accounts.list_partners())
            return False

        monkeypatch.setattr(Intake, "work", work)
        make_data(tmp_path / "data")
        settings = HubSettings(data=tmp_path / "data", port=0, answering_processes=0)
        with pytest.raises(ConfigError, match="cannot write"):
            serve(settings, tmp_path / "missing" / "ready", list[str]().append, stop=Event())
        assert len(found) == len(begun) > 0


@pytest.mark.slow
def test_serve_says_at_its_first_start_only_that_it_made_a_new_hub(tmp_path: Path) -> None:
    settings = HubSettings(data=tmp_path / "mistyped", port=0, answering_processes=0)
    starts: list[list[str]] = [[], []]
    for lines in starts:
        with pytest.raises(ConfigError, match="cannot write"):
            serve(settings, tmp_path / "missing" / "ready", lines.append, stop=Event())
    said = [any("mistyped had no hub; a new one was created" in each for each in s) for s in starts]
    assert said == [True, False]


@pytest.mark.slow
class TestTheUrlForCommands:
    def test_a_key_comes_with_the_url_of_the_hub_that_serves_the_data(self, tmp_path: Path) -> None:
        hub = HubProcess(tmp_path / "data").start()
        try:
            answer = hub.command("partner", "add", "north", "--name", "North Hospital")
        finally:
            hub.stop()
        assert f"export TOCSIN_URL={hub.url} TOCSIN_KEY=north:" in answer["use"]


class TestTheHostOfTheUrl:
    @pytest.mark.parametrize(
        ("host", "hosts", "addresses", "expected"),
        [
            ("127.0.0.1", ("hub.example",), ("127.0.0.1",), "127.0.0.1"),
            ("127.0.0.1", ("hub.example", "localhost"), (), "localhost"),
            ("0.0.0.0", ("*.hub.example", "hub.example"), (), "hub.example"),  # noqa: S104
            ("192.0.2.1", ("localhost",), ("2001:db8::1",), "localhost"),
            ("192.0.2.1", (), ("2001:db8::1",), "[2001:db8::1]"),
            ("127.0.0.1", ("*.hub.example",), (), "127.0.0.1"),
        ],
    )
    def test_it_is_one_that_the_certificate_names(
        self,
        tmp_path: Path,
        host: str,
        hosts: tuple[str, ...],
        addresses: tuple[str, ...],
        expected: str,
    ) -> None:
        holder = make_authority().issue("hub", hosts=hosts, addresses=addresses)
        settings = HubSettings(
            data=tmp_path, host=host, port=8443, tls_certificate=holder.write_pem(tmp_path)
        )
        assert find_url(settings) == f"https://{expected}:8443/taxii2/"

    @pytest.mark.parametrize(
        "recorded", ["https://127.0.0.1:8443/taxii2/", "http://127.0.0.1:8420/taxii2/"]
    )
    def test_public_url_goes_before_the_address_where_the_hub_answered(
        self, tmp_path: Path, recorded: str
    ) -> None:
        (tmp_path / "url").write_text(recorded)
        assert find_url(HubSettings(data=tmp_path)) == recorded
        settings = HubSettings(data=tmp_path, public_url="https://hub.example/")
        assert find_url(settings) == "https://hub.example/taxii2/"
