"""`tocsin sent`, `receipts` and `sighting`, at a real hub and at another server."""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.clock import ManualClock
from support.hub import AMBER, GREEN, HubInProcess, indicator
from support.presence import present
from support.taxii_servers import (
    COLLECTION,
    Answer,
    Medallion,
    ReceivedRequest,
    serve_script,
)
from support.terminal import lines_of, run_on_terminal

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp
from tocsin.server.model import (
    Account,
    Agreement,
    Collection,
    CollectionKind,
    MarkingScheme,
    Partner,
)

Run = Callable[..., Any]
STRICT = TLP_2_IDS[Tlp.AMBER_STRICT]
COUNTS = ["others", "seen", "false", "conf.", "said"]


def push(tocsin: Run, text: str, *options: str, to: str = "inbox") -> str:
    """Push a text; returns the id of its status."""
    Path("a.txt").write_text(text)
    _, lines, _ = tocsin("push", "a.txt", "--to", to, "--json", *options)
    return str(json.loads(lines[-1])["status"]["id"])


def tick(hub: HubInProcess) -> None:
    """Let a second pass at the hub, whose clock stands still otherwise."""
    assert isinstance(hub.clock, ManualClock)
    hub.clock.advance(hours=1 / 3600)


def sweep(hub: HubInProcess) -> None:
    """Let the quiet period pass after which counts that only rise are published."""
    assert isinstance(hub.clock, ManualClock)
    hub.clock.advance(hours=2)
    hub.sweep()


def on_terminal(command: str, columns: int) -> list[str]:
    """Run a command on a terminal; returns the lines that it shows."""
    code, written = run_on_terminal([sys.executable, "-m", "tocsin.clients", command], columns, 60)
    assert code == 0, written
    return lines_of(written)[:-1]


def rows(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


class TestSent:
    @pytest.mark.slow
    def test_sent_lists_submissions_the_newest_first_with_verdicts_and_files(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        first = push(tocsin, "evil-portal.top and bad-portal.top")
        tick(served)
        second = push(tocsin, "worse-portal.top")
        code, lines, _ = tocsin("sent", "--json")
        assert (code, [each["id"] for each in rows(lines)]) == (0, [second, first])
        assert rows(lines)[1] | {"received": ""} == {
            **{"id": first, "received": "", "collection": "inbox", "account": "acme"},
            **{"objects": 2, "counts": {"admitted": 2}, "files": ["a.txt"]},
        }

    def test_sent_lists_what_another_computer_of_the_partner_sent(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        status = served.push(indicator("evil-portal.top"))
        served.push(indicator("other.top"), who="north")
        _, lines, _ = tocsin("sent", "--json")
        assert [(each["id"], each["files"]) for each in rows(lines)] == [(status["id"], [])]

    @pytest.mark.slow
    def test_sent_reads_page_after_page_up_to_its_limit(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        ids: list[str] = []
        for number in range(130):
            tick(served)
            ids.insert(0, served.push(indicator(f"evil{number}.top"))["id"])
        _, lines, _ = tocsin("sent", "--json", "--limit", "120")
        assert [each["id"] for each in rows(lines)] == ids[:120]

    def test_sent_with_an_id_shows_each_object_with_its_verdict_and_public_id(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        id = push(tocsin, "evil-portal.top")
        [public] = served.feed("amber")
        code, lines, _ = tocsin("sent", id, "--json")
        [shown] = rows(lines)
        assert (code, shown["verdict"], shown["public_id"]) == (0, "admitted", public["id"])
        assert shown["value"] == "[domain-name:value = 'evil-portal.top']"
        assert public["id"] in tocsin("sent", id)[1][0]

    def test_sent_shows_the_record_of_this_computer_for_a_server_that_lists_no_submissions(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        id = push(tocsin, "evil-portal.top", to=COLLECTION)
        code, lines, stderr = tocsin("sent", "--json")
        assert (code, [each["id"] for each in rows(lines)]) == (0, [id])
        assert "does not list submissions" in stderr
        assert id in "\n".join(tocsin("sent")[1])

    @pytest.mark.slow
    def test_the_list_fits_80_columns_with_whole_file_names(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        name = "indicators-of-the-campaign-2026.txt"
        Path(name).write_text("evil-portal.top")
        tocsin("push", name, "--to", "inbox")
        lines = on_terminal("sent", 80)
        assert max(map(len, lines)) <= 80
        assert "1 object; 1 admitted" in lines[1] and name in lines[2]

    @pytest.mark.slow
    def test_sent_marks_withdrawals_from_this_computer(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        push(tocsin, "evil-portal.top")
        tick(served)
        tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        _, lines, _ = tocsin("sent", "--json")
        assert [each.get("withdrawal") for each in rows(lines)] == [True, None]
        _, lines, _ = tocsin("sent")
        assert "1 withdrawn" in lines[1] and "admitted" not in lines[1]
        assert tocsin("sent", rows(tocsin("sent", "--json")[1])[0]["id"])[1][0].startswith("withdr")

    @pytest.mark.slow
    def test_withdrawals_are_known_after_the_url_of_the_hub_changed(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        push(tocsin, "evil-portal.top")
        tick(served)
        tocsin("withdraw", "bad-portal.top", "--to", "inbox", "--yes")
        monkeypatch.setenv("TOCSIN_URL", os.environ["TOCSIN_URL"].replace("127.0.0.1", "localhost"))
        listed = rows(tocsin("sent", "--json")[1])
        assert [each.get("withdrawal") for each in listed] == [True, None]
        assert tocsin("sent", listed[0]["id"])[1][0].startswith("absent")
        [receipt] = rows(tocsin("receipts", "--json")[1])
        assert (receipt["verdict"], receipt["state"]) == ("admitted", "published")

    def test_the_last_push_is_known_after_the_path_or_port_of_the_hub_changed(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id = push(tocsin, "evil-portal.top")
        monkeypatch.setenv("TOCSIN_URL", os.environ["TOCSIN_URL"].replace("/taxii2/", "/hub/"))
        assert tocsin("status")[1][0].startswith(id)
        moved = os.environ["TOCSIN_URL"].replace("127.0.0.1", "localhost")
        assert tocsin("status", "--url", moved)[0] == 2


class TestReceipts:
    @pytest.mark.slow
    def test_a_withdrawal_leaves_the_receipt_of_what_it_withdrew(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        id = push(tocsin, "evil-portal.top")
        tick(served)
        tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        [receipt] = rows(tocsin("receipts", "--json")[1])
        assert (receipt["submission"], receipt["verdict"]) == (id, "admitted")
        assert receipt["state"] == "revoked"

    @pytest.mark.slow
    def test_receipts_tell_how_many_others_reported_and_saw_it(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        push(tocsin, "evil-portal.top", "--tlp", "green")
        served.push(indicator("evil-portal.top"), who="north")
        [public] = served.feed("green", "north")
        seen = {
            **{"type": "sighting", "spec_version": "2.1", "sighting_of_ref": public["id"]},
            **{"id": "sighting--5f1c9f0a-6d3b-4c0e-8a53-1d2f4b9a7c10", "count": 1},
            **dict.fromkeys(("created", "modified"), "2026-01-01T00:00:00.000Z"),
            "object_marking_refs": public["object_marking_refs"],
        }
        served.push(seen, who="north")
        sweep(served)
        code, lines, _ = tocsin("receipts", "--json")
        [receipt] = rows(lines)
        assert (code, receipt["state"], receipt["sightings"]) == (0, "published", 1)
        assert receipt["others"] == 1 and receipt["statements"] == {"sighting": 1}
        assert receipt["value"] == "[domain-name:value = 'evil-portal.top']"

    @pytest.mark.slow
    def test_receipts_show_what_was_revoked_held_and_refused(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        held = indicator(pattern="[email-message:to_refs[*].value = 'jo@acme-mail.top']")
        served.push(held, indicator("10.0.4.12", pattern="[ipv4-addr:value = '10.0.4.12']"))
        push(tocsin, "evil-portal.top")
        tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        _, lines, _ = tocsin("receipts", "--json")
        assert sorted(each["state"] for each in rows(lines)) == ["held", "refused", "revoked"]

    @pytest.mark.slow
    def test_a_repeat_of_what_waits_shows_what_becomes_of_it(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        held = indicator(pattern="[email-message:to_refs[*].value = 'jo@acme-mail.top']")
        for _ in range(3):
            served.push(held)
            tick(served)
        [receipt] = rows(tocsin("receipts", "--json")[1])
        assert receipt["state"] == "held"
        [review] = served.store.reviews.list_waiting()
        served.services.intake.reviewer.release(review, "rita")
        served.push(held)
        [receipt] = rows(tocsin("receipts", "--json")[1])
        assert receipt["state"] == "published"

    @pytest.mark.slow
    @pytest.mark.parametrize(("revoked", "state"), [(False, "published"), (True, "revoked")])
    def test_a_refused_version_leaves_the_state_of_the_one_before(
        self, tocsin: Run, served: HubInProcess, revoked: bool, state: str
    ) -> None:
        sent = indicator()
        served.push(sent)
        tick(served)
        if revoked:
            served.push({**sent, "revoked": True, "modified": "2026-01-02T00:00:00.000Z"})
            tick(served)
        later = {"modified": "2026-01-03T00:00:00.000Z", "object_marking_refs": [STRICT]}
        served.push({**sent, **later})
        [receipt] = rows(tocsin("receipts", "--json")[1])
        assert (receipt["verdict"], receipt["state"]) == ("refused", state)
        assert receipt["public_id"]

    def test_a_status_that_is_too_long_is_named_and_hides_no_other(
        self, tocsin: Run, alone: None
    ) -> None:
        entries = {"long": [{"message": "x" * 300_000}], "short": [{"id": "indicator--1"}]}

        def script(request: ReceivedRequest) -> Answer | None:
            if request.path.endswith("/submissions/"):
                return Answer({"submissions": [{"id": each} for each in entries]})
            if "/status/" not in request.path:
                return None
            id = request.path.split("/")[-2]
            return Answer({"id": id, "status": "complete", "failures": entries[id]})

        Path("client.toml").write_text("max_response_length = 65536\n")
        with serve_script(script) as server:
            code, lines, stderr = tocsin("receipts", "--json", "--url", server.url)
        assert (code, [each["id"] for each in rows(lines)]) == (0, ["indicator--1"])
        assert "the status long is left out: the response of 127.0.0.1:" in stderr
        assert "than 262144 octets; raise max_response_length in client.toml" in stderr

    def test_statuses_that_the_hub_has_forgotten_or_that_are_too_long_take_a_line_each(
        self, tocsin: Run, alone: None
    ) -> None:
        long = {"id": "c", "status": "complete", "failures": [{"message": "x" * 300_000}]}

        def script(request: ReceivedRequest) -> Answer | None:
            if request.path.endswith("/submissions/"):
                return Answer({"submissions": [{"id": each} for each in "abcd"]})
            if "/status/" not in request.path:
                return None
            is_long = request.path.split("/")[-2] in "cd"
            return Answer(long) if is_long else Answer({"title": "Gone"}, 404)

        Path("client.toml").write_text("max_response_length = 65536\n")
        with serve_script(script) as server:
            _, _, stderr = tocsin("receipts", "--json", "--url", server.url)
        gone, left_out = stderr.splitlines()
        assert gone == "tocsin: the hub no longer keeps 2 statuses (a, b)"
        assert left_out.startswith("tocsin: 2 statuses (c, d) are left out: the response of ")

    @pytest.mark.slow
    def test_a_reader_learns_nothing_that_its_feeds_do_not_show(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served.join(Partner("low", "Low Limited"), reads=("clear",))
        monkeypatch.setenv("TOCSIN_KEY", "low:low")
        push(tocsin, "evil-portal.top", "--tlp", "amber")
        before = rows(tocsin("receipts", "--json")[1])
        served.push(indicator("evil-portal.top", object_marking_refs=[AMBER]), who="north")
        after = rows(tocsin("receipts", "--json")[1])
        assert before == after
        assert (before[0]["state"], before[0]["others"]) == ("not visible", 0)

    @pytest.mark.slow
    def test_the_table_fits_80_columns_and_ends_with_a_summary(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        push(tocsin, "https://evil-portal.top/" + "x" * 300)
        lines = on_terminal("receipts", 80)
        assert max(map(len, lines)) <= 80
        assert any(line.startswith("others: organisations that") for line in lines)
        assert any("at most once an hour" in line for line in lines)
        assert lines[-1] == "1 object: 1 published; 0 reported by others too, 0 seen"

    def test_without_objects_it_says_so_and_names_the_time(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        code, lines, stderr = tocsin("receipts", "--since", "2026-01-31")
        assert (code, lines) == (0, [])
        assert "no object was found that was sent since 2026-01-31T00:00:00Z; give an" in stderr
        assert tocsin("receipts", "--json") == (0, [], "")

    @pytest.mark.slow
    def test_after_the_end_of_an_agreement_they_say_so(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        push(tocsin, "evil-portal.top")
        assert isinstance(served.clock, ManualClock)
        now = served.clock.now
        usable = frozenset({served.collection("inbox").id})
        terms = Agreement(str(uuid4()), "acme", usable, starts=now, until=now + 1)
        served.services.agreements.add(terms, "t")
        tick(served)
        for command in ("receipts", "sent", "collections"):
            code, _, stderr = tocsin(command)
            assert code == 3 and "your agreement may have ended" in stderr
            assert "--since" not in stderr

    @pytest.mark.parametrize("is_same", [True, False])
    @pytest.mark.slow
    def test_a_list_of_submissions_without_end_ends(
        self, tocsin: Run, alone: None, is_same: bool
    ) -> None:
        numbers = count()

        def script(request: ReceivedRequest) -> Answer | None:
            if "/status/" in request.path:
                return Answer({"title": "Gone"}, 404)
            if not request.path.endswith("/submissions/"):
                return None
            numbered = [0 if is_same else next(numbers) for _ in range(100)]
            listed = [
                {"id": f"{n}", "status": "complete", "request_timestamp": "2030-01-01T00:00:00Z"}
                for n in numbered
            ]
            return Answer({"more": True, "next": "more", "submissions": listed})

        with serve_script(script) as server:
            code, lines, stderr = tocsin("receipts", "--url", server.url)
            asked = len([each for each in server.requests if "/status/" in each.path])
        assert (code, lines) == (0, [])
        assert asked == (1 if is_same else 1000)
        assert is_same or "the hub returned no objects for 1000 submissions in a row" in stderr
        assert stderr.count("the hub no longer keeps ") == 1
        time = "of 2030-01-01T00:00:00Z,"
        named = "the status 0\n" if is_same else f"1,000 statuses ({time} 999, to {time[3:]} 0)\n"
        assert f"the hub no longer keeps {named}" in stderr

    @pytest.mark.slow
    def test_a_terminal_shows_the_columns_that_say_something(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        push(tocsin, "https://evil-portal.top/")
        lines = on_terminal("receipts", 60)
        assert lines[0].split() == ["value", "verdict", "now"]
        assert lines[1].startswith("https://evil-portal.top/ ")
        assert " admitted  published" in lines[1]
        _, (heading, *_), _ = tocsin("receipts")
        assert heading.split() == ["value", "verdict", "now", *COUNTS]

    @pytest.mark.slow
    @pytest.mark.parametrize("columns", ["80", "0"])
    def test_off_a_terminal_each_object_is_a_line_with_its_whole_value(
        self, tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch, columns: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        url = "https://evil-portal.top/" + "x" * 300
        push(tocsin, f"{url}\nevil-portal.top")
        _, lines, _ = tocsin("receipts")
        assert sorted(line.split()[0] for line in lines[:3]) == ["evil-portal.top", url, "value"]
        assert len(min(lines[:3], key=len)) < 120, "a long value does not make every line long"

    def test_another_server_is_asked_for_the_objects_that_were_sent(
        self, tocsin: Run, partner: Medallion
    ) -> None:
        partner.backend.data["partner"]["collections"][0]["can_read"] = True
        push(tocsin, "evil-portal.top", to=COLLECTION)
        code, lines, _ = tocsin("receipts", "--json")
        assert (code, [each["state"] for each in rows(lines)]) == (0, ["published"])


class TestSighting:
    def counts(self, hub: HubInProcess) -> tuple[Any, Any]:
        sweep(hub)
        [public] = [each for each in hub.feed("amber") if each["type"] == "indicator"]
        [history] = [each for each in public["extensions"].values() if "contributors" in each]
        return history.get("sightings", 0), history.get("false_positives", 0)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("options", "expected"),
        [((), (1, 0)), (("--count", "12"), (1, 0)), (("--false-alarm",), (0, 1))],
    )
    def test_a_sighting_of_a_value_in_any_spelling_counts_at_the_hub(
        self, tocsin: Run, served: HubInProcess, options: tuple[str, ...], expected: Any
    ) -> None:
        served.push(indicator("evil-portal.top", object_marking_refs=[AMBER]), who="north")
        code, lines, stderr = tocsin(
            "sighting", "Evil-Portal[.]top", "--to", "inbox", *options, "--json"
        )
        assert (code, stderr, rows(lines)[0]["verdict"]) == (0, "", "admitted")
        assert self.counts(served) == expected

    def test_receipts_name_a_sighting_by_what_it_is_about(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        served.push(indicator("evil-portal.top", object_marking_refs=[AMBER]), who="north")
        for option in ((), ("--false-alarm",)):
            assert tocsin("sighting", "evil-portal.top", "--to", "inbox", *option)[0] == 0
        words = ("receipts", "--since", "2020-01-01", "--json")
        names = {row["value"] for row in rows(tocsin(*words)[1])}
        assert names == {"sighting: evil-portal.top", "opinion: evil-portal.top"}

    @pytest.mark.slow
    def test_a_sighting_by_public_id_counts_too_and_can_be_withdrawn(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        served.push(indicator("evil-portal.top", object_marking_refs=[AMBER]), who="north")
        [public] = served.feed("amber")
        seen = ("--seen", "12h")
        _, lines, _ = tocsin("sighting", public["id"], "--to", "inbox", "--json", *seen)
        assert rows(lines)[0]["file"] is None
        assert self.counts(served) == (1, 0)
        sent = rows(lines)[0]["source_id"]
        assert tocsin("withdraw", sent, "--to", "inbox", "--yes")[0] == 0
        assert self.counts(served) == (0, 0)

    @pytest.mark.slow
    def test_a_sighting_is_marked_as_strictly_as_its_indicator(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        served.push(indicator("evil-portal.top", object_marking_refs=[AMBER]), who="north")
        served.push(indicator("bad-portal.top", object_marking_refs=[GREEN]), who="north")
        for value, in_green in (("evil-portal.top", 0), ("bad-portal.top", 1)):
            assert tocsin("sighting", value, "--to", "inbox")[0] == 0
            assert [each["type"] for each in served.feed("green")].count("sighting") == in_green
        assert [each["type"] for each in served.feed("amber")].count("sighting") == 2

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("options", "typed", "code", "question", "expected"),
        [
            ((), "n\n", 1, "Send 1 sighting to inbox? [y/N]", (0, 0)),
            (("--false-alarm",), "y\n", 0, "Send 1 false alarm to inbox? [y/N]", (0, 1)),
            (
                ("--count", "7", "--seen", "2026-01-31T10:00:00Z"),
                "n\n",
                1,
                "Send 1 sighting, of 7 times, last at 2026-01-31T10:00Z to inbox? [y/N]",
                (0, 0),
            ),
            (("--yes",), "", 0, "", (1, 0)),
        ],
    )
    def test_on_a_terminal_it_asks_before_it_sends(  # noqa: PLR0913
        self,
        served: HubInProcess,
        options: tuple[str, ...],
        typed: str,
        code: int,
        question: str,
        expected: Any,
    ) -> None:
        served.push(indicator("evil-portal.top", object_marking_refs=[AMBER]), who="north")
        command = (sys.executable, "-m", "tocsin.clients", "sighting", "evil-portal.top")
        ended, written = run_on_terminal([*command, "--to", "inbox", *options], 100, 60, typed)
        assert (ended, question in written, "[y/N]" in written) == (code, True, bool(question))
        assert self.counts(served) == expected

    @pytest.mark.parametrize("option", ["--count=2", "--false-alarm"])
    def test_what_is_shown_as_red_of_tlp_1_is_sighted_as_amber_strict(
        self, tocsin: Run, served: HubInProcess, option: str
    ) -> None:
        feed = Collection("f" * 8, "strict", CollectionKind.FEED, "Strict", "", Tlp.AMBER_STRICT)
        served.store.feeds.add(feed)
        accounts = served.store.accounts
        for slug in ("acme", "north"):
            partner = accounts.require_partner(slug)
            accounts.update_partner(replace(partner, max_tlp=Tlp.AMBER_STRICT))
        account = present(accounts.find_account("acme"))
        reads = account.reads | {feed.id}
        accounts.update_account(replace(account, reads=reads, marking=MarkingScheme.TLP1))
        strict = [TLP_2_IDS[Tlp.AMBER_STRICT]]
        served.push(indicator("evil-portal.top", object_marking_refs=strict), who="north")
        _, lines, stderr = tocsin("sighting", "evil-portal.top", "--to", "inbox", option, "--json")
        assert (rows(lines)[0]["verdict"], stderr) == ("admitted", "")

    @pytest.mark.slow
    def test_what_only_a_verbatim_collection_has_is_sighted_there(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        sent = indicator("evil-portal.top", object_marking_refs=[GREEN])
        served.push(sent, who="north", to="scratch")
        for name in ("evil-portal.top", sent["id"]):
            code, _, stderr = tocsin("sighting", name, "--to", "inbox")
            assert (code, "only a verbatim collection has" in stderr) == (1, True)
        assert tocsin("sighting", "evil-portal.top", "--to", "scratch")[0] == 0

    @pytest.mark.slow
    def test_only_the_published_one_is_sighted_of_a_value_that_is_verbatim_too(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        for place in ("scratch", "inbox"):
            served.push(indicator("evil-portal.top"), who="north", to=place)
        code, lines, _ = tocsin("sighting", "evil-portal.top", "--to", "inbox", "--json")
        assert (code, [each.get("verdict") for each in rows(lines)][:-1]) == (0, ["admitted"])

    @pytest.mark.slow
    def test_an_indicator_that_is_revoked_cannot_be_sighted(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        push(tocsin, "evil-portal.top")
        tocsin("withdraw", "evil-portal.top", "--to", "inbox", "--yes")
        assert tocsin("sighting", "evil-portal.top", "--to", "inbox")[0] == 1

    def test_a_value_that_no_collection_has_exits_with_1(
        self, tocsin: Run, served: HubInProcess
    ) -> None:
        code, _, stderr = tocsin("sighting", "unknown-portal.top", "--to", "inbox")
        assert (code, "has an indicator for 'unknown-portal.top'" in stderr) == (1, True)

    @pytest.mark.parametrize(
        "words",
        [
            ("not a value",),
            ("evil.top", "--false-alarm", "--count", "2"),
            ("evil.top", "--count", "0"),
            ("evil.top", "--seen", "2099-01-31"),
        ],
    )
    def test_an_impossible_sighting_is_wrong_usage(
        self, tocsin: Run, served: HubInProcess, words: tuple[str, ...]
    ) -> None:
        assert tocsin("sighting", *words, "--to", "inbox")[0] == 2


def test_a_second_account_of_the_partner_sees_the_same_list(
    tocsin: Run, served: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = push(tocsin, "evil-portal.top")
    ids = frozenset(each.id for each in served.store.feeds.collections())
    served.store.accounts.add_account(Account("acme-2", "acme", ids, frozenset()))
    served.store.accounts.add_key("acme-2", hashlib.sha256(b"acme-2").hexdigest())
    monkeypatch.setenv("TOCSIN_KEY", "acme-2:acme-2")
    monkeypatch.setenv("XDG_STATE_HOME", "/nowhere")
    assert [each["id"] for each in rows(tocsin("sent", "--json")[1])] == [id]
