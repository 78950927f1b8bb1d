"""`tocsin lookup`, at a real hub and at other servers."""

import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from flask import request
from support.clock import ManualClock
from support.hub import AMBER, GREEN, HubInProcess, indicator
from support.presence import present
from support.taxii_servers import (
    Answer,
    Medallion,
    ReceivedRequest,
    ScriptedServer,
    serve_script,
)
from support.taxii_servers import indicator as other_indicator
from support.terminal import CONTROL, lines_of, run_on_terminal

Run = Callable[..., Any]
MD5 = "d41d8cd98f00b204e9800998ecf8427a"


def report(hub: HubInProcess, pattern: str, **more: Any) -> None:
    """Let another partner report a pattern."""
    hub.push(indicator(pattern=pattern, **more), who="north")


def foreign_indicator(number: int) -> dict[str, Any]:
    """An indicator of another server, which spells patterns in its own way."""
    return other_indicator(number) | {"pattern": f"[domain-name:value='bad{number}.top']"}


def look_up(tocsin: Run, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the values of the JSON document."""
    code, lines, _ = tocsin("lookup", "--json", *words)
    (line,) = lines
    return code, json.loads(line)["values"]


def states(values: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["value"], each["state"]) for each in values]


def look_up_on_terminal(*words: str) -> tuple[int, str]:
    return run_on_terminal([sys.executable, "-m", "tocsin.clients", "lookup", *words], 80, 60)


class TestAtAHub:
    @pytest.mark.parametrize(
        ("given", "pattern"),
        [
            ("Evil-Portal[.]top", "[domain-name:value = 'evil-portal.top']"),
            ("hxxps://evil-portal[.]top/a", "[url:value = 'https://evil-portal.top/a']"),
            ("https://evil-portal.top/a,b", "[url:value = 'https://evil-portal.top/a,b']"),
            ("45[.]9[.]70[.]7", "[ipv4-addr:value = '45.9.70.7']"),
            (MD5.upper(), f"[file:hashes.MD5 = '{MD5}']"),
        ],
    )
    def test_a_value_in_any_spelling_is_known(
        self, tocsin: Run, served: HubInProcess, given: str, pattern: str
    ) -> None:
        report(served, pattern, name="Phishing kit", object_marking_refs=[GREEN])
        code, [value] = look_up(tocsin, given)
        assert (code, value["state"], value["known"], value["given"]) == (0, "known", True, given)
        [found] = value["objects"]
        [public] = [each for each in served.feed("green") if each["type"] == "indicator"]
        assert (found["id"], found["pattern"], found["name"]) == (
            public["id"],
            public["pattern"],
            "Phishing kit",
        )
        assert (found["tlp"], found["contributors"]) == ("green", 1)
        assert {each["alias"] for each in found["collections"]} == {"green", "amber"}

    def test_an_object_is_found_by_its_id_and_its_value_is_not_repeated_as_its_name(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        pattern = "[domain-name:value = 'evil-portal.top']"
        report(served, pattern, name="evil-portal.top", object_marking_refs=[GREEN])
        [public] = [each for each in served.feed("green") if each["type"] == "indicator"]
        code, lines, _ = tocsin("lookup", public["id"])
        assert (code, lines[0]) == (0, f"known     {public['id']} (indicator)")
        assert [line for line in lines if "evil-portal.top" in line] == [f"{' ' * 10}{pattern}"]

    def test_an_object_that_cannot_be_withdrawn_is_found_by_its_id_too(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        report(served, "[domain-name:value = 'evil-portal.top']", object_marking_refs=[GREEN])
        code, [marking] = look_up(tocsin, GREEN)
        unknown = f"ipv4-addr--{uuid5(NAMESPACE_URL, 'a')}"
        assert (code, marking["type"]) == (0, "marking-definition")
        assert look_up(tocsin, unknown)[0] == 4

    def test_the_exit_code_is_4_if_a_value_is_unknown(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        report(served, "[domain-name:value = 'evil-portal.top']")
        code, values = look_up(tocsin, "evil-portal.top", "other-portal.top")
        assert code == 4
        assert states(values) == [("evil-portal.top", "known"), ("other-portal.top", "unknown")]

    def test_nothing_is_shown_that_the_key_may_not_read(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        report(served, "[domain-name:value = 'evil-portal.top']", object_marking_refs=[AMBER])
        [public] = [each for each in served.feed("amber") if each["type"] == "indicator"]
        assert look_up(tocsin, "evil-portal.top", public["id"])[0] == 0
        accounts = served.store.accounts
        account = present(accounts.find_account("acme"))
        reads = account.reads - {served.collection("amber").id}
        accounts.update_account(replace(account, reads=reads))
        for options in ((), ("--thorough",)):
            code, values = look_up(tocsin, "evil-portal.top", public["id"], *options)
            assert (code, [each["state"] for each in values]) == (4, ["unknown", "unknown"])
            assert [each["objects"] for each in values] == [[], []]

    def test_a_withdrawn_value_is_found_as_revoked(self, tocsin: Run, served: HubInProcess) -> None:
        Path("a.txt").write_text("evil-portal.top")
        tocsin("push", "a.txt", "--to", "inbox", "--yes")
        assert tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")[0] == 0
        code, [value] = look_up(tocsin, "evil-portal.top")
        assert (code, value["state"], value["objects"][0]["contributors"]) == (0, "revoked", None)
        assert "revoked 20" in "\n".join(tocsin("lookup", "evil-portal.top")[1])

    def test_a_value_whose_time_is_over_has_ended(self, tocsin: Run, served: HubInProcess) -> None:
        sent = indicator("evil-portal.top", valid_until="2026-01-02T00:00:00Z")
        served.push(sent, who="north", to="scratch")
        code, [value] = look_up(tocsin, "evil-portal.top")
        assert (code, value["state"]) == (0, "ended")
        assert "ended 2026-01-02 00:00 UTC" in "\n".join(tocsin("lookup", "evil-portal.top")[1])

    def test_what_is_in_force_comes_before_what_was_revoked(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        served.push(indicator("evil-portal.top", revoked=True), who="north", to="scratch")
        report(served, "[domain-name:value = 'evil-portal.top']")
        _, [value] = look_up(tocsin, "evil-portal.top")
        assert value["state"] == "known"
        assert {each["state"] for each in value["objects"]} == {"known", "revoked"}

    def test_sightings_are_counted(self, tocsin: Run, served: HubInProcess) -> None:
        report(served, "[domain-name:value = 'evil-portal.top']")
        assert tocsin("sighting", "evil-portal.top", "--to", "inbox", "--yes")[0] == 0
        assert isinstance(served.clock, ManualClock)
        served.clock.advance(hours=2)
        served.sweep()
        assert look_up(tocsin, "evil-portal.top")[1][0]["objects"][0]["sightings"] == 1

    def test_a_longer_pattern_is_found_only_if_the_collections_are_read_as_wholes(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        report(served, f"[domain-name:value = 'one.top' OR file:hashes.MD5 = '{MD5}']")
        report(served, "[network-traffic:dst_ref.value = '45.9.70.7']")
        named = ("one.top", MD5, "45.9.70.7")
        assert {state for _, state in states(look_up(tocsin, *named)[1])} == {"unknown"}
        code, values = look_up(tocsin, "--thorough", *named)
        assert (code, {state for _, state in states(values)}) == (0, {"known"})
        assert "--thorough also looks" in tocsin("lookup", "one.top")[2]

    def test_values_of_standard_input_and_of_files_are_looked_up_once(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report(served, "[domain-name:value = 'evil-portal.top']")
        Path("iocs").write_text("# a list\n\nevil-portal[.]top\nnothing\n")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"evil-portal.top\n")))
        code, values = look_up(tocsin, "-", "--file", "iocs")
        assert (code, states(values)) == (
            4,
            [("evil-portal.top", "known"), (None, "invalid")],
        )
        assert "iocs, line 4: 'nothing' is neither" in values[1]["error"]

    def test_a_url_of_a_table_ends_with_its_cell(self, tocsin: Run, served: HubInProcess) -> None:
        report(served, "[url:value = 'https://evil-portal.top/gate.php']")
        report(served, "[url:value = 'https://evil-portal.top/a,b']")
        report(served, "[domain-name:value = 'evil-portal.top']")
        Path("iocs.csv").write_text(
            "https://evil-portal.top/gate.php,phishing\n"
            'seen,"https://evil-portal.top/a,b"\n'
            "1,evil-portal.top\n"
        )
        code, values = look_up(tocsin, "--file", "iocs.csv")
        assert (code, states(values)) == (
            0,
            [
                ("https://evil-portal.top/gate.php", "known"),
                ("https://evil-portal.top/a,b", "known"),
                ("evil-portal.top", "known"),
            ],
        )

    def test_a_file_that_is_no_text_is_named(self, tocsin: Run, served: HubInProcess) -> None:
        Path("iocs").write_bytes(b"\x7fELF\0\1\xfe")
        code, lines, message = tocsin("lookup", "--file", "iocs")
        assert (code, lines) == (2, [])
        assert "iocs is not a text; give a file with one value a line" in message

    def test_many_values_need_few_requests(self, tocsin: Run, served: HubInProcess) -> None:
        for number in (0, 199):
            report(served, f"[domain-name:value = 'evil-portal{number}.top']")
        Path("iocs").write_text("".join(f"evil-portal{number}.top\n" for number in range(200)))
        paths: list[str] = []
        app = served.client.application
        app.before_request_funcs.setdefault(None, []).append(_note_path(paths))
        code, values = look_up(tocsin, "--file", "iocs")
        known = [each["value"] for each in values if each["known"]]
        assert (code, known) == (4, ["evil-portal0.top", "evil-portal199.top"])
        asked = Counter(path for path in paths if path.endswith("/objects/"))
        assert len(asked) == 4 and max(asked.values()) < 12


def _note_path(paths: list[str]) -> Callable[[], None]:
    def note() -> None:
        paths.append(request.path)

    return note


class TestTerminal:
    def test_a_block_fits_80_columns_and_has_colours(self, served: HubInProcess) -> None:
        url = f"https://evil-portal.top/{'path/' * 30}"
        report(served, f"[url:value = '{url}']", name="A long name " * 20)
        code, written = look_up_on_terminal(url)
        lines = lines_of(written)
        assert (code, lines[0][:5], "\x1b[32m" in written) == (0, "known", True)
        assert max(map(len, lines)) <= 80
        assert "1 source, 0 sightings, 0 false alarms" in written

    def test_elsewhere_there_are_no_colours_and_each_fact_is_a_line(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        report(served, "[domain-name:value = 'evil-portal.top']")
        _, lines, _ = tocsin("lookup", "evil-portal.top")
        assert lines[0] == "known     evil-portal.top (domain-name)"
        assert lines[-1] == "1 value: 1 known" and not CONTROL.search("".join(lines))

    def test_texts_of_a_server_cannot_rewrite_the_terminal(
        self, alone: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        evil = "\x1b]0;x\x07\x1b[2J\x9b\u202e[red]"
        sent = foreign_indicator(1) | dict.fromkeys(("name", "valid_until", "confidence"), evil)
        sent |= {"labels": [evil], "indicator_types": [evil]}
        with serve_objects([sent]) as server:
            monkeypatch.setenv("TOCSIN_URL", server.url)
            for options in ((), ("--json",)):
                code, written = look_up_on_terminal("bad1.top", *options)
                assert code == 0 and "bad1.top" in written
                assert not set("\x07\x9b\u202e") & set(written) and "\x1b[2J" not in written


def serve_objects(objects: list[dict[str, Any]], headers: dict[str, str] | None = None) -> Any:
    """A server that ignores filters: every request is answered with all objects."""

    def script(request: ReceivedRequest) -> Answer | None:
        if not request.path.endswith("/objects/"):
            return None
        return Answer({"objects": objects}, headers=headers or {})

    return serve_script(script)


class TestOtherServers:
    def objects_requests(self, server: ScriptedServer) -> int:
        return sum(path.endswith("/objects/") for path in server.paths())

    def test_a_server_without_the_filter_is_read_once_for_all_values(
        self, tocsin: Run, alone: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serve_objects([foreign_indicator(number) for number in range(200)]) as server:
            monkeypatch.setenv("TOCSIN_URL", server.url)
            named = [f"bad{number}.top" for number in range(201)]
            code, values = look_up(tocsin, *named)
            assert self.objects_requests(server) == 1
        assert (code, [each["value"] for each in values if not each["known"]]) == (
            4,
            ["bad200.top"],
        )
        assert values[0]["objects"][0]["contributors"] is None

    def test_medallion_is_asked_too(self, tocsin: Run, partner: Medallion) -> None:
        partner.add(foreign_indicator(1), foreign_indicator(2))
        assert look_up(tocsin, "bad1.top", "bad2.top")[0] == 0
        assert look_up(tocsin, "bad3.top")[0] == 4

    def test_a_collection_without_end_is_refused_with_a_sentence(
        self, tocsin: Run, alone: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def script(request: ReceivedRequest) -> Answer | None:
            if not request.path.endswith("/objects/"):
                return None
            return Answer({"objects": [foreign_indicator(1)], "more": True, "next": "again"})

        monkeypatch.setattr("tocsin.clients.lookup._MAX_PAGES", 3)
        with serve_script(script) as server:
            monkeypatch.setenv("TOCSIN_URL", server.url)
            code, lines, stderr = tocsin("lookup", "evil-portal.top")
        assert (code, lines, "has no end after 3 pages; `tocsin poll`" in stderr) == (1, [], True)

    def test_a_key_that_may_read_nothing_is_told_so_and_not_that_a_value_is_unknown(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        accounts = served.store.accounts
        account = present(accounts.find_account("acme"))
        accounts.update_account(replace(account, reads=frozenset()))
        code, lines, stderr = tocsin("lookup", "evil-portal.top")
        assert (code, lines, "may read no collection" in stderr) == (3, [], True)

    def test_a_server_that_is_away_exits_with_3(
        self, tocsin: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOCSIN_URL", "http://127.0.0.1:1/taxii2/")
        assert tocsin("lookup", "evil-portal.top")[0] == 3


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("not a value",),
        ("--file", "missing"),
        ("-", "--file", "-"),
        ("--file", "empty"),
        ("--file", "many"),
    ],
)
def test_an_impossible_question_is_wrong_usage(tocsin: Run, words: tuple[str, ...]) -> None:
    Path("empty").write_text("# nothing\n")
    Path("many").write_text("evil-portal.top\n" * 10_001)
    assert tocsin("lookup", *words)[0] == 2


def test_without_a_hub_it_is_wrong_usage(tocsin: Run) -> None:
    code, _, stderr = tocsin("lookup", "evil-portal.top")
    assert (code, "no hub is named" in stderr) == (2, True)
