"""`tocsin-hub conformance`: arguments, reports, exit codes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from xml.etree import ElementTree

import pytest
from support.conformance_hub import ConformanceHub
from support.faulty_server import Fault, serve_with_fault
from support.presence import present
from support.processes import free_port
from support.seeded_faults import FAULTS, answer_with
from support.taxii_hub import GREEN, HIDDEN, INBOX, SCRATCH, TaxiiHub, indicator

from tocsin.conformance.registry import CHECKS
from tocsin.server.cli.main import main

BREAKS = Fault("broken", (), answer_with(500, when=lambda x: x.is_at("/collections/")))
BY_NAME = {fault.name: fault for fault in FAULTS}


@dataclass
class CommandOutput:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, in this process."""
    monkeypatch.delenv("TOCSIN_KEY", raising=False)

    def command(*words: Any) -> Any:
        capsys.readouterr()
        try:
            code: Any = main(["conformance", *map(str, words)])
        except SystemExit as end:
            code = end.code
        return CommandOutput(code, *capsys.readouterr())

    return command


@pytest.fixture
def serving() -> Iterator[Any]:
    """The words for a hub in memory, behind a fault if one is named."""
    taxii = TaxiiHub()
    taxii.account("north-robot", "north", {GREEN, SCRATCH, HIDDEN}, {INBOX})
    taxii.feeds.add(GREEN.id, *(indicator(n) for n in range(1, 8)))
    with serve_with_fault(taxii.app, Fault("none", ())) as url:
        yield ConformanceHub(url, "acme-robot:acme-robot-key", "north-robot:north-robot-key")


@pytest.fixture
def wrong() -> Iterator[Any]:
    with serve_with_fault(TaxiiHub().app, BY_NAME["malformed is ignored"]) as url:
        yield [url, "--key", "acme-robot:acme-robot-key", "--collection", "scratch"]


class TestHowItEnds:
    @pytest.mark.slow
    def test_with_0_where_nothing_fails(self, run: Any, serving: Any) -> None:
        output = run(*serving.arguments(), "--only", "16.1", "--only", "17")
        assert output.returncode == 0, output.stdout
        assert "0 failed" in output.stdout

    def test_with_1_where_a_must_is_not_kept(self, run: Any, wrong: Any) -> None:
        output = run(*wrong, "--only", "16.1")
        assert output.returncode == 1
        assert "FAIL 16.1" in output.stdout

    def test_with_0_where_only_a_decision_is_not_kept_unless_that_is_asked_for(
        self, run: Any
    ) -> None:
        with serve_with_fault(TaxiiHub().app, BY_NAME["next works once"]) as url:
            words = [url, "--key", "acme-robot:acme-robot-key", "--collection", "scratch"]
            assert run(*words, "--only", "17.10").returncode == 0
            assert run(*words, "--only", "17.10", "--strict").returncode == 1

    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["ftp://host/"],
            ["http://user:secret@host/"],
            ["http://host:port/"],
            ["http://host/", "--key", "secret"],
            ["http://host/", "--key", "a:b", "--token", "c"],
            ["http://host/", "--only", "99"],
            ["http://host/", "--skip", "16.99"],
            ["http://host/", "--timeout", "0"],
            ["https://host/", "--cert", "no-such-file.pem"],
            ["http://host/", "--cert", "no-such-file.pem"],
            ["http://host/", "--ca", "no-such-file.pem"],
            ["http://host/", "--root", "http://other/root/"],
            ["http://host/", "--root", "https://host/root/"],
            ["http://host/", "--root", "http://host:port/root/"],
            ["http://host/", "--no-such-option"],
        ],
    )
    def test_with_2_where_it_is_used_wrongly(self, run: Any, words: Any) -> None:
        output = run(*words)
        assert (output.returncode, output.stdout) == (2, "")
        assert "secret" not in output.stderr.replace("account:secret", "").replace(
            "user:secret", ""
        )

    def test_with_2_where_the_collection_is_not_there_naming_those_that_are(
        self, run: Any, serving: Any
    ) -> None:
        output = run(serving.url, "--key", serving.key, "--collection", "scrach")
        assert output.returncode == 2
        assert "scratch" in output.stderr

    def test_with_3_where_nobody_answers(self, run: Any) -> None:
        output = run(f"http://127.0.0.1:{free_port()}/taxii2/")
        assert output.returncode == 3
        assert "cannot be reached" in output.stderr

    def test_with_3_where_the_account_is_not_let_in(self, run: Any, serving: Any) -> None:
        output = run(serving.url, "--key", "acme-robot:wrong")
        assert output.returncode == 3
        assert "access denied" in output.stderr

    def test_with_3_where_there_are_no_collections(self, run: Any) -> None:
        with serve_with_fault(TaxiiHub().app, BREAKS) as url:
            output = run(url, "--key", "acme-robot:acme-robot-key", "--collection", "scratch")
        assert output.returncode == 3
        assert "answers 500" in output.stderr


class TestWhatItTells:
    def test_to_people_by_section_with_request_answer_and_expectation(
        self, run: Any, wrong: Any
    ) -> None:
        output = run(*wrong, "--only", "16.1").stdout
        assert "16 Filters" in output
        assert "expected  400 for limit=0" in output
        assert "asked     GET /hub/collections/" in output
        assert "answer    200; " in output
        assert "\x1b" not in output

    def test_as_json(self, run: Any, wrong: Any) -> None:
        output = json.loads(run(*wrong, "--only", "16.2", "--only", "6.3", "--json").stdout)
        assert output["counts"] == {"failed": 1, "passed": 1}
        assert output["left_behind"] == []
        last = output["results"][-1]
        assert (last["number"], last["taxii_section"], last["level"]) == ("16.2", "3.4", "MUST")

    def test_as_junit(self, run: Any, wrong: Any, tmp_path: Path) -> None:
        run(*wrong, "--only", "16.2", "--only", "1.1", "--junit", tmp_path / "report.xml")
        suite = ElementTree.parse(tmp_path / "report.xml").getroot()
        assert suite.attrib["failures"] == "1"
        assert suite.attrib["skipped"] == "1"
        assert present(suite.find("testcase/failure")).attrib["message"] == "400"

    def test_the_list_of_checks_without_asking_anybody(self, run: Any) -> None:
        output = json.loads(run("--list", "--json").stdout)
        assert len(output) == len(CHECKS)
        assert run("--list", "--only", "17.10").stdout.startswith("17.10")

    @pytest.mark.slow
    def test_no_secret(self, run: Any, serving: Any, wrong: Any) -> None:
        for words in (serving.arguments(), wrong):
            output = run(*words, "--only", "3", "--only", "16.1", "--json")
            assert "robot-key" not in output.stdout + output.stderr


class TestWhatItDoes:
    @pytest.mark.slow
    def test_without_a_collection_it_only_reads(self, run: Any, serving: Any) -> None:
        output = json.loads(run(serving.url, "--key", serving.key, "--json").stdout)
        asked = [line for r in output["results"] for c in r.get("complaints", ()) for line in c]
        assert asked == [] and output["left_behind"] == []
        reasons = {r["number"]: r.get("reason") for r in output["results"]}
        assert reasons["12.1"] == "needs a collection to write: --collection"
        assert reasons["17.10"] is None and reasons["16.3"] is None

    @pytest.mark.parametrize("prefix", ["/", "", "url"])
    def test_the_api_root_is_named_by_its_path_or_url(
        self, run: Any, serving: Any, prefix: str
    ) -> None:
        root = urljoin(serving.url, "/hub/") if prefix == "url" else f"{prefix}hub"
        words = (serving.url, "--key", serving.key, "--root", root, "--only", "7", "--only", "9.1")
        output = run(*words)
        assert output.returncode == 0, output.stdout + output.stderr
        assert " 0 failed" in output.stdout

    @pytest.mark.slow
    def test_what_it_adds_it_deletes(self, run: Any, serving: Any) -> None:
        output = json.loads(run(*serving.arguments(), "--json").stdout)
        assert output["left_behind"] == []

    def test_a_check_that_is_left_out_is_not_made(self, run: Any, serving: Any) -> None:
        output = json.loads(
            run(serving.url, "--key", serving.key, "--only", "6", "--skip", "6.4", "--json").stdout
        )
        assert "6.4" not in {r["number"] for r in output["results"]}

    def test_the_key_may_come_from_the_environment(
        self, run: Any, serving: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOCSIN_KEY", serving.key)
        assert run(serving.url, "--only", "6.3").returncode == 0

    def test_a_bearer_token_will_do(self, run: Any, serving: Any) -> None:
        assert run(serving.url, "--token", "acme-robot-key", "--only", "6.3").returncode == 0
        assert run(serving.url, "--token", "wrong", "--only", "6.3").returncode == 3
