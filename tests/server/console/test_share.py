"""Sharing in the console: paste, look at the preview, submit."""

import json
import logging
import re
import threading
from contextlib import suppress
from dataclasses import replace
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, FilePayload, Page, expect
from support.clock import ManualClock
from support.console import (
    Visitor,
    add_person,
    end_sessions,
    enter_password,
    post,
    serve_console,
    sign_in,
    visit,
)
from support.documents import docx, paragraph, pdf, rows, xlsx
from support.hub import AMBER, HubInProcess, Object, indicator, sdo
from support.misp_events import attribute, event
from support.statement_marking import STATEMENT
from werkzeug.test import EnvironBuilder

from tocsin.admission.errors import Conflict
from tocsin.admission.model import Consent
from tocsin.config.settings import HubSettings
from tocsin.server.console.drafts import MOST, SECONDS, Draft
from tocsin.server.console.pages import share
from tocsin.server.model import Partner
from tocsin.server.partners.administration import PartnerChange, Partners
from tocsin.server.person import Invitation, Role
from tocsin.server.store import Store

ANALYST, VIEWER = "analyst@hub.example", "viewer@hub.example"
SECOND = 1_000_000
DESCRIPTION = "Sent to jane.doe@bank.example.net on 3 March. Dear Jane Doe, pay at once."
MAIL = """Received: from mail.evil-portal.top (203.0.113.77) by mx.bank.example.net; Thu, 1 Jan 2026
Message-ID: <1@evil-portal.top>
MIME-Version: 1.0
From: "Billing" <billing@evil-portal.top>
To: Jane Doe <jane.doe@bank.example.net>
Subject: Invoice for Jane Doe
Date: Thu, 1 Jan 2026 10:00:00 +0000
Content-Type: text/plain

Dear Jane Doe, pay at https://login.evil-portal.top/in?m=jane.doe@bank.example.net today.
"""
SCRIPT = '"><img src=x onerror="window.hurt=1"><script>window.hurt=1</script>{{7*7}}\u202e\u200b'


def open_hub(
    store: Store, data: Path, clock: ManualClock | None = None, **more: Any
) -> HubInProcess:
    """A hub whose drafts are in a folder of the test, with an analyst and others."""
    hub = HubInProcess(store, clock, settings=HubSettings(data=data, **more))
    for role in Role:
        partner = "acme" if role in (Role.VIEWER, Role.ANALYST) else ""
        add_person(hub, f"{role}@hub.example", role, partner=partner)
    return hub


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer with the preview, not with the progress of an examination that takes a second."""
    monkeypatch.setattr(share, "_WAIT", 60.0)


@pytest.fixture
def hub(store: Store, tmp_path: Path) -> HubInProcess:
    return open_hub(store, tmp_path)


@pytest.fixture
def client(hub: HubInProcess) -> FlaskClient:
    return sign_in(hub, ANALYST)


def bundle(*objects: Object) -> str:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects})


def typed_texts(page: Page) -> object:
    """The texts that the browser keeps."""
    return page.evaluate("sessionStorage.getItem('typed')")


def paste(client: FlaskClient, text: str, **more: Any) -> str:
    """Paste a report; the path of its preview."""
    answer = post(client, "/console/share", {"text": text, **more})
    assert answer.status_code == 303, answer.text
    path = str(answer.headers["Location"])
    assert re.fullmatch(r"/console/share/[0-9a-f]{24}", path)
    await_end(client, path)
    return path


def await_end(client: FlaskClient, path: str) -> str:
    """Return the text of a preview, once it has ended."""
    for _ in range(300):
        page = client.get(path).text
        if 'id="progress"' not in page:
            return words(page)
        threading.Event().wait(0.1)
    raise AssertionError("the examination did not end")


def submit(client: FlaskClient, path: str) -> Any:
    """Submit a preview as its page does."""
    run = re.search(r'name="run" value="(\d+)"', client.get(path).text)
    return post(client, f"{path}/submit", {"run": run[1] if run else "1"})


def words(html: str) -> str:
    """The text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def files(data: Path) -> list[str]:
    """The names of the files of drafts."""
    return sorted(each.name for each in (data / "drafts").rglob("*") if each.is_file())


class TestTheWholePath:
    def test_a_mail_is_pasted_previewed_submitted_and_followed_by_keyboard(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        page = visitor.sign_in(ANALYST)
        page.keyboard.press("g")
        page.keyboard.press("s")
        page.wait_for_url("**/share")
        visitor.check()
        expect(page.locator("#text")).to_be_focused()
        page.keyboard.insert_text(MAIL)
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**/share/*")
        text = page.inner_text("main")
        assert "2 objects found. 2 can be shared now." in text
        assert "jane.doe" not in text and "Jane" not in text
        visitor.check()
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**/submissions/*")
        assert "2 objects: 2 published." in page.inner_text("main")
        visitor.check()
        assert len(hub.feed("amber")) == 2

    def test_a_report_with_a_recipient_and_a_name_is_masked_and_shared_without_javascript(
        self, browser: Browser, hub: HubInProcess
    ) -> None:
        with serve_console(hub) as origin, visit(browser, origin, java_script_enabled=False) as v:
            page = v.sign_in(ANALYST, "/share")
            page.fill("#text", bundle(indicator("a.evil-portal.top", description=DESCRIPTION)))
            page.click("button.main")
            assert "jane.doe@bank.example.net" in page.inner_text("del >> nth=0")
            assert "[removed: e-mail address]" in page.inner_text("ins >> nth=0")
            page.click("button.main")
            page.wait_for_url("**/submissions/*")
            assert "1 object:" in page.inner_text("main")
        (published,) = hub.feed("amber")
        assert "jane" not in json.dumps(published).lower()

    def test_a_long_word_does_not_make_the_preview_wider_than_a_phone(
        self, browser: Browser, hub: HubInProcess
    ) -> None:
        with (
            serve_console(hub) as origin,
            visit(browser, origin, viewport={"width": 360, "height": 740}) as phone,
        ):
            page = phone.sign_in(ANALYST, "/share")
            page.fill("#text", bundle(indicator("a.evil-portal.top", description="w" * 3_000)))
            page.click("button.main")
            page.wait_for_url("**/share/*")
            page.wait_for_selector("details.kept")
            phone.check()

    def test_typed_text_outlives_a_session_that_ends(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        page.select_option("#tlp", "clear")
        page.fill("#labels", "phishing")
        end_sessions(hub, ANALYST)
        page.click("button.main")
        page.wait_for_selector("text=Your session has ended")
        visitor.faults.clear()  # the browser notes the status 401
        visitor.check()
        page.click("a.main")
        enter_password(page, ANALYST)
        page.wait_for_url(f"{visitor.origin}/console/share")
        assert page.input_value("#text") == DESCRIPTION
        assert (page.input_value("#tlp"), page.input_value("#labels")) == ("clear", "phishing")
        page.click("button.main")
        page.wait_for_url("**/share/*")
        assert typed_texts(page) is None, "it is kept no longer than needed"
        visitor.go("/share")
        assert (page.input_value("#text"), page.input_value("#tlp")) == ("", "amber")
        visitor.check()

    def test_typed_text_is_not_shown_to_the_next_person(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        add_person(hub, "other@hub.example", Role.ANALYST, partner="acme")
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        end_sessions(hub, ANALYST)
        page.click("button.main")
        page.click("a.main")
        enter_password(page, "other@hub.example")
        page.wait_for_url(f"{visitor.origin}/console/share")
        assert (page.input_value("#text"), typed_texts(page)) == ("", None)

    @pytest.mark.parametrize("is_signed_in", [False, True])
    def test_typed_text_is_dropped_an_hour_after_the_session_ended(
        self, visitor: Visitor, hub: HubInProcess, is_signed_in: bool
    ) -> None:
        visitor.page.clock.install()
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        end_sessions(hub, ANALYST)
        page.click("button.main")
        page.click("a.main")
        assert typed_texts(page) is not None
        if is_signed_in:
            visitor.sign_in(ANALYST)
            assert typed_texts(page) is not None, "a page without the form keeps it"
        page.clock.fast_forward("59:00")
        assert typed_texts(page) is not None
        page.clock.fast_forward("01:01")
        assert typed_texts(page) is None

    def test_typed_text_does_not_outlive_signing_out(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        end_sessions(hub, ANALYST)
        page.click("button.main")
        visitor.sign_in(ANALYST)
        assert typed_texts(page) is not None
        page.click("text=Sign out")
        page.wait_for_url("**/sign-in*")
        assert typed_texts(page) is None

    def test_typed_text_is_kept_when_the_person_has_signed_in_beside_it(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        end_sessions(hub, ANALYST)
        beside = replace(visitor, page=visitor.context.new_page())
        beside.sign_in(ANALYST)
        page.click("button.main")
        expect(page.locator("main")).to_contain_text("belongs to another session")
        visitor.go("/share")
        assert page.input_value("#text") == DESCRIPTION

    def test_typed_text_is_there_again_with_back_and_when_the_page_is_loaded_again(
        self, visitor: Visitor
    ) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        page.click("nav a[data-go=h]")
        page.wait_for_url("**/help")
        page.go_back()
        assert page.input_value("#text") == DESCRIPTION
        page.reload()
        assert page.input_value("#text") == DESCRIPTION
        page.click("nav a[data-go=h]")
        page.wait_for_url("**/help")
        visitor.go("/share")
        assert (page.input_value("#text"), typed_texts(page)) == ("", None), "a new visit"

    def test_a_page_that_waits_for_a_draft_ends_when_the_draft_is_gone(
        self, visitor: Visitor
    ) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", "seen-evil.top")
        page.click("button.main")
        page.wait_for_url("**/share/*")
        part = page.url.replace("/share/", "/part/share/")
        beside = replace(visitor, page=visitor.context.new_page()).go(
            page.url.rpartition("console")[2]
        )
        beside.click("text=Discard draft")
        page.locator("main").evaluate(
            "(main, part) => { main.setAttribute('hx-get', part);"
            " main.setAttribute('hx-trigger', 'every 300ms'); htmx.process(main); }",
            part,
        )
        expect(page.locator("main")).to_contain_text("This draft is gone")

    @pytest.mark.parametrize("status", [502, 503])
    def test_typed_text_is_there_again_with_back_after_an_answer_that_is_no_page(
        self, visitor: Visitor, status: int
    ) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        page.route(
            "**/console/share",
            lambda route: (
                route.fulfill(status=status, content_type="text/plain", body="busy")
                if route.request.method == "POST"
                else route.continue_()
            ),
        )
        page.click("button.main")
        page.wait_for_selector("text=busy")
        page.go_back()
        expect(page.locator("#text")).to_have_value(DESCRIPTION)
        page.unroute_all()
        page.click("button.main")
        page.wait_for_url("**/share/*")
        page.go_back()
        expect(page.locator("#text")).to_have_value("")

    def test_typed_text_that_was_sent_is_not_there_again_with_back(self, visitor: Visitor) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", DESCRIPTION)
        page.click("button.main")
        page.wait_for_url("**/share/*")
        assert typed_texts(page) is None
        page.go_back()
        assert page.input_value("#text") == ""

    def test_a_file_is_dropped_on_the_form(self, visitor: Visitor) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        page.evaluate(
            """() => {
              const data = new DataTransfer();
              data.items.add(new File(["dropped-evil.top"], "list.txt"));
              document.querySelector("#text").dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
            }"""
        )
        page.click("button.main")
        page.wait_for_url("**/share/*")
        assert "dropped-evil[.]top" in page.inner_text("main")
        assert "list.txt" in page.inner_text("main")

    def test_hostile_texts_in_every_field_do_nothing(
        self, visitor: Visitor, tmp_path: Path
    ) -> None:
        page = visitor.sign_in(ANALYST, "/share")
        objects = [
            indicator("a.evil-portal.top", name=SCRIPT, description=SCRIPT, labels=[SCRIPT]),
            {**indicator(), "pattern": f"[file:name = '{SCRIPT}']"},
            {"type": SCRIPT, "id": SCRIPT, SCRIPT: SCRIPT},
            sdo("malware", name=SCRIPT, is_family=False, malware_types=[SCRIPT]),
            sdo("note", content="w" * 50_000, object_refs=[SCRIPT], abstract=DESCRIPTION + SCRIPT),
        ]
        content = bundle(*objects).encode()
        upload = FilePayload(name=f"{SCRIPT}.json", mimeType="x/y", buffer=content)
        page.set_input_files("#file", upload)
        page.fill("#labels", '"><script>window.hurt=1</script>')
        page.click("button.main")
        page.wait_for_url("**/share/*")
        visitor.check()
        assert "RLO" in page.inner_text("main") and "49" not in page.inner_text("h1")
        page.click("button.main")
        page.wait_for_url("**/submissions/*")
        visitor.check()
        assert page.evaluate("window.hurt") is None


def test_the_list_of_drafts_counts_their_objects(client: FlaskClient) -> None:
    paste(client, "a.evil-portal.top")
    assert "1 object, kept until" in client.get("/console/share").text


_FORMATS: list[tuple[str, bytes]] = [
    ("a.csv", b"type,value\ndomain,the-evil.top\n"),
    ("a.txt", b"We saw the-evil[.]top today."),
    ("a.json", bundle(indicator("the-evil.top")).encode()),
    ("b.json", b'["the-evil.top", "other-evil.top"]'),
    ("event.json", json.dumps(event(attribute(value="the-evil.top"))).encode()),
    ("a.eml", MAIL.replace("evil-portal", "the-evil").encode()),
    ("a.html", b"<html><body><p>We saw the-evil[.]top today.</p></body></html>"),
    ("a.docx", docx(paragraph("We saw the-evil[.]top today."))),
    ("a.pdf", pdf(["We saw the-evil[.]top today."])),
    ("a.xlsx", xlsx({"Sheet": rows(["the-evil.top"], ["other-evil.top"])})),
    (
        "a.rules",
        b'alert dns any any -> any any (msg:"x"; dns.query; content:"the-evil.top"; sid:1;)\n',
    ),
    ("a.yar", b'rule a { strings: $a = "the-evil.top" condition: $a }\n'),
    (
        "a.yml",
        b"title: a\nstatus: test\nlogsource: {category: dns}\n"
        b"detection: {s: {query: the-evil.top}, condition: s}\n",
    ),
]


@pytest.mark.parametrize(("name", "content"), _FORMATS, ids=[name for name, _ in _FORMATS])
def test_each_format_is_read_and_previewed(client: FlaskClient, name: str, content: bytes) -> None:
    answer = post(client, "/console/share", {"file": (BytesIO(content), name)})
    page = await_end(client, answer.headers["Location"])
    assert "can be shared now" in page and "the-evil" in page


class TestPreview:
    def test_objects_are_counted_in_a_sentence_with_a_reason_for_each_that_is_kept_back(
        self, client: FlaskClient
    ) -> None:
        held = {**indicator(), "pattern": "[email-message:to_refs[*].value = 'a@bank.example']"}
        private = {**indicator(), "pattern": "[ipv4-addr:value = '192.168.0.7']"}
        page = words(client.get(paste(client, bundle(indicator(), held, private))).text)
        assert "3 objects found. 1 can be shared now, 1 waits for a reviewer, 1 is refused." in page
        assert "matches on who received a message" in page
        assert "a private, reserved or documentation address" in page
        assert "Submit 2 objects" in page

    @pytest.mark.slow
    def test_the_preview_shows_what_readers_get(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        sent = indicator("a.evil-portal.top", description=DESCRIPTION, name="Seen at acme.example")
        path = paste(client, bundle(sent))
        page = words(client.get(path).text)
        submit(client, path)
        (published,) = hub.feed("green")
        assert published["description"] in page and published["name"] in page

    @pytest.mark.slow
    def test_a_marking_definition_of_another_partner_is_known_as_far_as_the_person_reads_it(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        hub.push(STATEMENT, indicator(object_marking_refs=[AMBER, STATEMENT["id"]]), who="north")
        [theirs] = hub.feed("amber")
        marked = indicator("a.evil.top", object_marking_refs=theirs["object_marking_refs"])
        page = client.get(paste(client, bundle(marked))).text
        assert "1 object found. 1 can be shared now." in words(page)
        [account] = hub.store.accounts.list_accounts("acme")
        amber = hub.collection("amber").id
        hub.store.accounts.update_account(replace(account, reads=account.reads - {amber}))
        page = client.get(paste(client, bundle({**marked, "name": "Other"}))).text
        assert "waits for" in words(page)

    def test_a_description_that_no_rule_changed_is_shown_even_in_a_long_table(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        rows = [f"a{n}-evil.top," for n in range(60)]
        rows[55] += "seen by zelda miller and her brother"
        path = paste(client, "\n".join(["indicator,description", *rows]))
        page = words(client.get(path).text.partition("All that is shared")[0])
        assert "description seen by zelda miller and her brother" in page
        assert "a1-evil" not in page

    def test_readers_of_a_level_see_only_what_it_takes(self, client: FlaskClient) -> None:
        path = paste(client, "seen-evil.top", tlp="amber")
        assert "Not for readers at TLP:CLEAR" in words(client.get(f"{path}?level=clear").text)
        assert "All that is shared of it" in client.get(f"{path}?level=amber").text

    def test_other_options_are_examined_again_and_an_older_preview_cannot_be_submitted(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top", tlp="amber")
        changed = {"tlp": "green", "labels": "one, two", "days": "30"}
        assert post(client, path, changed).status_code == 303
        late = post(client, f"{path}/submit", {"run": "1"})
        assert late.status_code == 409 and "Look at it again" in late.text
        assert hub.feed("amber") == []
        assert submit(client, path).status_code == 303
        (published,) = hub.feed("green")
        assert set(published["labels"]) >= {"one", "two"} and "valid_until" in published

    @pytest.mark.slow
    def test_only_changed_objects_are_shown_on_request_and_fifty_on_a_page(
        self, client: FlaskClient
    ) -> None:
        many = [indicator(f"evil{n}.top", seed=str(n)) for n in range(60)]
        path = paste(client, bundle(*many, indicator("a.top", description=DESCRIPTION)))
        first = client.get(f"{path}?show=all").text
        assert "evil49[.]top" in first and "evil50[.]top" not in first
        assert "evil50[.]top" in client.get(f"{path}?show=all&page=2").text
        changed = client.get(f"{path}?show=changed").text
        assert "evil1[.]top" not in changed and "jane.doe@" in changed

    @pytest.mark.slow
    def test_a_text_that_asks_for_a_reviewer_goes_in_as_it_was_read_and_others_masked(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        asked = indicator("a.evil-portal.top", seed="a", description="Dear Jane Doe, pay.")
        masked = indicator("b.evil-portal.top", seed="b", description="To jane@bank.example.net")
        path = paste(client, bundle(asked, masked))
        page = words(client.get(path).text)
        assert "2 can be shared now. Of 1, a part waits for a reviewer." in page
        assert "A reviewer decides about that part" in page
        (submission,) = [submit(client, path).headers["Location"].rpartition("/")[2]]
        found = hub.store.submissions.find(submission)
        assert found is not None
        assert b"Jane Doe" in found.raw and b"jane@" not in found.raw
        assert len(hub.store.reviews.list_waiting()) == 1

    @pytest.mark.slow
    def test_what_waits_because_of_a_report_that_cannot_be_read_is_not_sent_without_it(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        unmarked = indicator("a.evil-portal.top")
        del unmarked["object_marking_refs"]
        held = {**indicator(), "pattern": "[email-message:to_refs[*].value = 'a@bank.example']"}
        broken = json.dumps(sdo("report", object_refs=[unmarked["id"]]))[:-20]
        lines = [json.dumps(unmarked), json.dumps(held), broken]
        path = paste(client, "\n".join(lines), format="stix")
        page = words(client.get(path).text)
        assert "1 waits for a reviewer, 2 are refused." in page
        assert "a report or grouping that may hold it could not be read" in page
        submit(client, path)
        assert [hub.feed(alias) for alias in ("clear", "green", "amber")] == [[], [], []]
        assert len(hub.store.reviews.list_waiting()) == 1

    @pytest.mark.slow
    def test_a_collection_that_keeps_what_is_sent_says_so(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        scratch = hub.collection("scratch").id
        path = paste(client, bundle(indicator("a.top", name=DESCRIPTION)), collection=scratch)
        assert "nothing is masked" in client.get(path).text
        submit(client, path)
        assert [each["name"] for each in hub.feed("scratch")] == [DESCRIPTION]

    def test_a_report_that_no_format_reads_says_so_and_stays_for_another_try(
        self, client: FlaskClient
    ) -> None:
        path = paste(client, "\x00\x01\x02 nothing")
        page = words(client.get(path).text)
        assert "cannot be shared as it is" in page and "Discard draft" in page

    @pytest.mark.slow
    def test_a_partner_that_agreed_is_named_unless_its_person_says_otherwise(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("bank", "Nordic Bank", consent=Consent.EVERYONE))
        add_person(hub, "ann@bank.example", Role.ANALYST, partner="bank")
        client = sign_in(hub, "ann@bank.example")
        submissions = hub.store.submissions
        seen = {}
        for chosen in ("named", "anonymous"):
            path = paste(client, f"{chosen}-evil.top", named=chosen)
            id_ = submit(client, path).headers["Location"].rpartition("/")[2]
            seen[chosen] = submissions.require(id_).anonymous
        assert seen == {"named": False, "anonymous": True}

    @pytest.mark.slow
    def test_a_partner_that_did_not_agree_is_never_named(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top", named="named")
        id_ = submit(client, path).headers["Location"].rpartition("/")[2]
        assert hub.store.submissions.require(id_).anonymous


class TestNeverShared:
    def test_the_parts_of_a_mail_that_are_not_shared_are_named_and_its_stations_counted(
        self, client: FlaskClient
    ) -> None:
        mail = MAIL.replace("Message-ID", "Received: from a by b; Thu, 1 Jan 2026\nMessage-ID")
        page = words(client.get(paste(client, mail)).text)
        assert "Read, and not shared: recipients, subject, text, 2 Received lines, other" in page

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("We saw the-evil[.]top today.", "Read, and not shared: the words around the values."),
            ("type,value\ndomain,the-evil.top\n", "columns that the notes call ignored."),
        ],
    )
    def test_other_formats_say_in_a_sentence_what_they_never_take(
        self, client: FlaskClient, text: str, expected: str
    ) -> None:
        assert expected in words(client.get(paste(client, text)).text)

    def test_stix_may_be_shared_as_a_whole(self, client: FlaskClient) -> None:
        page = client.get(paste(client, bundle(indicator("a.evil-portal.top")))).text
        assert "not shared:" not in page


class TestWords:
    def test_each_format_is_offered_once(self, client: FlaskClient) -> None:
        page = client.get("/console/share").text
        offered = re.findall(r'<option value="(\w+)">\1</option>', page)
        assert "stix" in offered and len(offered) == len(set(offered))
        assert "stix, stix," not in words(page) and "TLP of objects that state none" in page

    def test_options_of_a_command_line_are_not_offered(self, client: FlaskClient) -> None:
        page = words(client.get(paste(client, "indicator,note\na-evil.top,x\nb-evil.top,y\n")).text)
        assert "columns read as:" in page and "--map" not in page

    @pytest.mark.slow
    def test_a_reviewer_of_the_hub_decides_and_the_property_of_the_value_is_not_named(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("bank", "Nordic Bank", terms=("acme.example",)))
        add_person(hub, "ann@bank.example", Role.ANALYST, partner="bank")
        client = sign_in(hub, "ann@bank.example")
        path = paste(client, bundle(indicator("acme.example.login-check.test")))
        page = words(client.get(path).text)
        assert "a reviewer of the hub decides whether it may be shared" in page
        assert "an analyst" not in page and "pattern:" not in page.partition("All that is")[0]


def leave_out(client: FlaskClient, path: str, *rows: int, act: str = "out", run: str = "") -> Any:
    """Leave rows of a preview out, or share them again."""
    found = re.search(r'name="run" value="(\d+)"', client.get(path).text)
    form = {"row": [str(each) for each in rows], "act": act, "run": run or (found or "0")[1]}
    answer = post(client, f"{path}/rows", form)
    await_end(client, path)
    return answer


class TestLeavingOut:
    @pytest.mark.slow
    def test_rows_are_left_out_and_exactly_the_others_are_submitted(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "a-evil.top\nb-evil.top\nc-evil.top\nd-evil.top")
        assert leave_out(client, path, 2, 3).status_code == 303
        page = words(client.get(path).text)
        assert "4 objects found. 2 can be shared now, 2 are left out by you." in page
        assert page.count("Left out by you and not sent") == 2 and "Submit 2 objects" in page
        leave_out(client, path, 3, act="back")
        assert submit(client, path).status_code == 303
        shared = sorted(each["name"] for each in hub.feed("amber"))
        assert shared == ["a-evil.top", "c-evil.top", "d-evil.top"]

    @pytest.mark.slow
    def test_a_preview_from_before_cannot_be_submitted_nor_be_chosen_from(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "a-evil.top\nb-evil.top")
        leave_out(client, path, 1)
        assert post(client, f"{path}/submit", {"run": "1"}).status_code == 409
        assert leave_out(client, path, 2, run="1").status_code == 409
        assert hub.feed("amber") == []
        assert "1 is left out by you" in words(client.get(path).text)

    @pytest.mark.slow
    def test_what_is_left_out_stays_so_under_other_options_but_not_in_another_format(
        self, client: FlaskClient
    ) -> None:
        path = paste(client, "a-evil.top\nb-evil.top")
        leave_out(client, path, 1)
        post(client, path, {"tlp": "green"})
        assert "1 is left out by you" in await_end(client, path)
        post(client, path, {"tlp": "green", "format": "csv"})
        page = await_end(client, path)
        assert "2 can be shared now." in page and "none of them is left out now" in page

    @pytest.mark.slow
    def test_without_a_report_its_objects_are_not_shared_more_widely(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        unmarked = indicator("a.evil-portal.top")
        del unmarked["object_marking_refs"]
        amber = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
        about = {"name": "Report", "published": "2026-01-01T00:00:00Z"}
        report = sdo("report", object_refs=[unmarked["id"]], object_marking_refs=[amber], **about)
        path = paste(client, bundle(report, unmarked), tlp="green")
        leave_out(client, path, 1)
        assert "1 can be shared now, 1 is left out by you." in words(client.get(path).text)
        submit(client, path)
        assert hub.feed("green") == []
        assert [each["type"] for each in hub.feed("amber")] == ["indicator"]

    def test_a_refused_row_shows_its_value_and_a_broken_one_that_it_is_not_read(
        self, client: FlaskClient
    ) -> None:
        rows = ['{"type": "domain", "value": "evil.top"}', '{"type": "domain"', '{"type": "ip",']
        rows[2] += ' "value": "198.51.100.7", "status": "benign"}'
        page = words(client.get(paste(client, "\n".join(rows))).text)
        assert "198[.]51[.]100[.]7 Refused and not sent. record 2: not an indicator" in page
        assert "a part that is not read Refused and not sent. line 2: not JSON" in page

    def test_a_refused_table_names_its_column_and_no_option_of_a_command(
        self, client: FlaskClient
    ) -> None:
        page = words(client.get(paste(client, "ip,DeviceName\n198.51.100.7,PC-7\n")).text)
        assert "the column 'DeviceName' says that this may be about people" in page
        assert "--map" not in page and "PC-7" not in page

    def test_what_may_be_the_writers_own_needs_the_confirmation_of_a_person(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        text = "Our server 81.2.3.4 was down.\nIt talked to the C2 a-evil.top, and saw b-evil.top\n"
        page = words(client.get(path := paste(client, text, tlp="green")).text)
        assert "1 can be shared now, 1 needs your confirmation." in page
        assert "Needs your confirmation. It is not sent without it." in page
        assert "names what is yours or a victim's" in page
        assert "Share what needs my confirmation too" in page
        submit(client, path)
        assert len(hub.feed("green")) == 1
        page = words(client.get(paste(client, text, confirmed="yes")).text)
        assert "your confirmation" not in page and "not sent" not in page

    @pytest.mark.slow
    def test_a_refused_row_cannot_be_chosen_since_others_may_depend_on_it(
        self, client: FlaskClient
    ) -> None:
        private = {**indicator(), "pattern": "[ipv4-addr:value = '192.168.0.7']"}
        path = paste(client, bundle(indicator("a.evil-portal.top"), private))
        assert re.findall(r'name="row" value="(\d)"', client.get(path).text) == ["1"]
        leave_out(client, path, 2)
        assert "1 can be shared now, 1 is refused." in words(client.get(path).text)

    @pytest.mark.slow
    def test_when_all_rows_are_left_out_there_is_nothing_to_submit(
        self, client: FlaskClient
    ) -> None:
        path = paste(client, "a-evil.top")
        leave_out(client, path, 1)
        assert "Nothing to submit" in client.get(path).text
        assert submit(client, path).status_code == 409
        empty = leave_out(client, path)
        assert empty.status_code == 422 and "Choose at least one object" in empty.text

    def test_rows_are_left_out_in_a_browser_without_javascript(
        self, browser: Browser, hub: HubInProcess
    ) -> None:
        with serve_console(hub) as origin, visit(browser, origin, java_script_enabled=False) as v:
            page = v.sign_in(ANALYST, "/share")
            page.fill("#text", "a-evil.top\nb-evil.top")
            page.click("button.main")
            page.check('input[name="row"] >> nth=0')
            page.click("text=Leave out selected")
            expect(page.locator("main")).to_contain_text("Left out by you")
            expect(page.locator("main")).to_contain_text("Submit 1 object")


class TestChangingTheText:
    @pytest.mark.slow
    def test_the_text_and_the_options_of_a_draft_are_offered_again_and_replace_it(
        self, client: FlaskClient
    ) -> None:
        path = paste(client, "a-evil.top\nb-evil.top", tlp="green", labels="one")
        link = f"/console/share?instead={path.rpartition('/')[2]}"
        assert link in client.get(path).text
        form = client.get(link).text
        assert "a-evil.top\nb-evil.top</textarea>" in form
        assert 'value="green" selected' in form and 'value="one"' in form
        later = paste(client, "a-evil.top", instead=path.rpartition("/")[2])
        assert client.get(path).status_code == 404
        assert "1 object found" in words(client.get(later).text)

    @pytest.mark.slow
    def test_a_person_with_the_most_drafts_can_change_one(self, client: FlaskClient) -> None:
        paths = [paste(client, f"seen-evil{n}.top") for n in range(MOST)]
        id_ = paths[0].rpartition("/")[2]
        assert paste(client, "other-evil.top", instead=id_) not in paths
        assert client.get(paths[0]).status_code == 404

    def test_a_form_with_an_error_still_replaces_the_draft(self, client: FlaskClient) -> None:
        id_ = paste(client, "seen-evil.top").rpartition("/")[2]
        answer = post(client, "/console/share", {"text": "", "instead": id_})
        assert answer.status_code == 422 and f'name="instead" value="{id_}"' in answer.text

    def test_the_text_of_a_file_is_offered_and_read_in_the_same_format(
        self, client: FlaskClient
    ) -> None:
        table = b"\xef\xbb\xbfvalue;comment\nseen-evil.top;ask Jane Doe\n"
        upload = {"file": (BytesIO(table), "list.csv")}
        path = str(post(client, "/console/share", upload).headers["Location"])
        await_end(client, path)
        link = f"/console/share?instead={path.rpartition('/')[2]}"
        assert link in client.get(path).text
        form = client.get(link).text
        assert "value;comment\nseen-evil.top;ask Jane Doe\n</textarea>" in unescape(form)
        assert '<option value="csv" selected>' in form

    @pytest.mark.slow
    def test_a_file_without_text_and_the_draft_of_another_person_are_not_offered(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        upload = {"file": (BytesIO(docx(paragraph("seen-evil.top"))), "list.docx")}
        path = str(post(client, "/console/share", upload).headers["Location"])
        await_end(client, path)
        own = f"/console/share?instead={path.rpartition('/')[2]}"
        assert own not in client.get(path).text and client.get(own).status_code == 404
        pasted = paste(client, "seen-evil.top").rpartition("/")[2]
        add_person(hub, "bob@acme.example", Role.ANALYST, partner="acme")
        other = sign_in(hub, "bob@acme.example")
        assert other.get(f"/console/share?instead={pasted}").status_code == 404
        paste(other, "b-evil.top", instead=pasted)
        assert client.get(f"/console/share/{pasted}").status_code == 200


class TestWhatWasWithdrawn:
    def withdraw(self, client: FlaskClient, path: str) -> None:
        """Submit a draft of one object, and withdraw it."""
        sent = str(submit(client, path).headers["Location"])
        assert "1 object: 1 published" in words(client.get(sent).text)
        assert post(client, f"{sent}/withdraw", {"row": "0"}).status_code == 303
        assert "1 object on this page is no longer in force" in words(client.get(sent).text)

    @pytest.mark.slow
    def test_a_value_is_shared_again_under_a_new_id_by_choice(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        self.withdraw(client, paste(client, "again-evil.top"))
        path = paste(client, "again-evil.top\nnew-evil.top")
        page = words(client.get(path).text)
        assert "1 can be shared now, 1 is refused" in page
        assert "tick “Share withdrawn values again, under new ids”" in page
        form = {"tlp": "amber", "days": "0", "new_ids": "yes"}
        assert post(client, path, form).status_code == 303
        await_end(client, path)
        assert "2 can be shared now" in words(client.get(path).text)
        sent = str(submit(client, path).headers["Location"])
        assert "2 objects: 2 published" in words(client.get(sent).text)
        force = [each for each in hub.feed("amber") if not each.get("revoked")]
        assert len({each["pattern"] for each in force}) == len(force) == 2

    @pytest.mark.slow
    def test_a_withdrawn_object_with_its_own_id_stays_refused(self, client: FlaskClient) -> None:
        report = bundle(indicator("again-evil.top"))
        self.withdraw(client, paste(client, report))
        page = client.get(paste(client, report)).text
        assert "send it under a new id" in words(page) and 'name="new_ids"' not in page

    @pytest.mark.slow
    @pytest.mark.parametrize("purges", [False, True])
    def test_the_preview_is_the_same_whether_others_reported_it_too(
        self,
        client: FlaskClient,
        hub: HubInProcess,
        purges: bool,  # noqa: FBT001
    ) -> None:
        """The hub's people remove what others kept in force after the partner's withdrawal."""
        pages = []
        for value, others in (("one-evil.top", False), ("two-evil.top", True)):
            if others:
                hub.push(indicator(value), who="north")
            sent = str(submit(client, paste(client, value)).headers["Location"])
            assert post(client, f"{sent}/withdraw", {"row": "0"}).status_code == 303
            public = next(e["id"] for e in hub.feed("amber") if value in e["pattern"])
            if others and purges:
                hub.services.purger.begin(public, "operator", "it names a victim")
                while hub.services.purger.work():
                    pass
            elif others:
                hub.services.lifecycle.revoke(public, "operator", "a mistake")
            page = words(client.get(paste(client, value)).text)
            pages.append(page[page.index("1 object found") : page.index("Discard draft")])
        assert "has ended" in pages[0] and pages[0].replace("one-", "two-") == pages[1].replace(
            "one-", "two-"
        ), pages

    @pytest.mark.slow
    def test_the_preview_reveals_nothing_of_what_another_partner_withdrew(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        self.withdraw(client, paste(client, "again-evil.top"))
        add_person(hub, "ann@north.example", Role.ANALYST, partner="north")
        other = sign_in(hub, "ann@north.example")
        assert "1 can be shared now." in words(other.get(paste(other, "again-evil.top")).text)


def test_the_preview_opens_at_the_level_of_what_is_shared(client: FlaskClient) -> None:
    page = client.get(paste(client, "seen-evil.top", tlp="green")).text
    assert "Others would read at TLP:GREEN" in words(page)


class TestOthers:
    @pytest.mark.slow
    def test_the_preview_says_nothing_of_what_others_sent(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        text = bundle(indicator("a.evil-portal.top", seed="mine", name="Of Secret Holding"))

        def seen() -> str:
            path = paste(client, text)
            page = client.get(path).text
            post(client, f"{path}/discard", {})
            return re.sub(r"[0-9a-f]{24}|<time.*?</time>", "", page)

        alone = seen()
        hub.join(Partner("holding", "Secret Holding", terms=("Of Secret",), mask_everywhere=True))
        hub.push(indicator("a.evil-portal.top", seed="theirs"), who="north")
        assert seen() == alone

    @pytest.mark.slow
    def test_a_draft_of_another_person_does_not_exist(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top")
        add_person(hub, "bob@acme.example", Role.ANALYST, partner="acme")
        other = sign_in(hub, "bob@acme.example")
        part = path.replace("/share/", "/part/share/")
        assert [other.get(each).status_code for each in (path, part)] == [404, 404]
        acts = ("", "/submit", "/discard")
        assert [post(other, path + act, {"run": "1"}).status_code for act in acts] == [404] * 3
        assert other.get(path).data.count(b"seen-evil") == 0
        never = other.get(f"/console/share/{'0' * 24}").text
        assert other.get(path).text == never and "its 30 minutes are over." in never
        assert "pasted text" not in other.get("/console/share").text
        assert submit(client, path).status_code == 303

    @pytest.mark.parametrize("role", sorted(set(Role) - {Role.ANALYST}))
    def test_only_analysts_share(self, hub: HubInProcess, role: Role) -> None:
        client = sign_in(hub, f"{role}@hub.example")
        assert client.get("/console/share").status_code == 404
        assert post(client, "/console/share", {"text": "a.top"}).status_code == 404
        assert ">Share<" not in client.get("/console/me").text


class TestOnce:
    @pytest.mark.slow
    def test_a_form_that_is_sent_twice_makes_one_draft(self, client: FlaskClient) -> None:
        first = paste(client, "seen-evil1.top")
        assert paste(client, "seen-evil1.top") == first
        assert paste(client, "seen-evil2.top") != first
        assert paste(client, "seen-evil1.top", tlp="green") != first

    @pytest.mark.slow
    def test_a_form_that_is_sent_twice_at_the_same_time_makes_one_draft(
        self, client: FlaskClient, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clients = [client, sign_in(hub, ANALYST)]
        found: list[str] = []
        begin, both = hub.services.drafts.begin, threading.Barrier(2)

        def begin_late(*given: Any) -> Draft:
            with suppress(threading.BrokenBarrierError):
                both.wait(1)  # for another request that has found no draft
            return begin(*given)

        monkeypatch.setattr(hub.services.drafts, "begin", begin_late)
        threads = [
            threading.Thread(target=lambda each=each: found.append(paste(each, "seen-evil.top")))
            for each in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 2 and len(set(found)) == 1

    def test_a_draft_from_which_objects_are_left_out_is_another_one(
        self, client: FlaskClient
    ) -> None:
        path = paste(client, "a-evil.top\nb-evil.top")
        leave_out(client, path, 1)
        assert paste(client, "a-evil.top\nb-evil.top") != path

    def test_what_is_submitted_twice_goes_in_once(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top")
        first, second = submit(client, path), post(client, f"{path}/submit", {"run": "1"})
        assert first.headers["Location"] == second.headers["Location"]
        assert client.get(path).headers["Location"] == first.headers["Location"]
        assert post(client, path, {"tlp": "green"}).headers["Location"] == first.headers["Location"]
        assert len(hub.store.submissions.list_of_partner("acme", 10)) == 1

    @pytest.mark.slow
    def test_a_double_click_goes_in_once(self, client: FlaskClient, hub: HubInProcess) -> None:
        path = paste(client, "seen-evil.top")
        clients = [sign_in(hub, ANALYST) for _ in range(3)]
        found: list[str] = []

        def click(each: FlaskClient) -> None:
            found.append(post(each, f"{path}/submit", {"run": "1"}).headers["Location"])

        threads = [threading.Thread(target=click, args=(each,)) for each in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3 and len(set(found)) == 1
        assert len(hub.store.submissions.list_of_partner("acme", 10)) == 1

    @pytest.mark.slow
    def test_a_second_click_waits_until_the_first_has_ended(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top")
        person = hub.store.people.find_by_login(ANALYST)
        assert person is not None
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(submit(client, path).status_code))
        with hub.services.drafts.lock(person.id, path.rpartition("/")[2]):
            thread.start()
            thread.join(0.5)
            assert found == []
        thread.join()
        assert found == [303]

    def test_a_hub_that_died_after_it_received_a_submission_does_not_receive_it_again(
        self, client: FlaskClient, hub: HubInProcess, tmp_path: Path
    ) -> None:
        path = paste(client, "seen-evil.top")
        (head,) = (tmp_path / "drafts").glob(f"*/{path.rpartition('/')[2]}")
        saved = {each.name: each.read_bytes() for each in head.iterdir()}
        first = submit(client, path)
        for name, content in saved.items():  # as if it had not been closed
            (head / name).write_bytes(content)
        again = submit(client, path)
        assert again.headers["Location"] == first.headers["Location"]
        assert len(hub.store.submissions.list_of_partner("acme", 10)) == 1


class TestKeeping:
    def test_a_draft_is_a_file_for_the_hub_alone_and_gone_when_it_is_submitted(
        self, client: FlaskClient, tmp_path: Path
    ) -> None:
        path = paste(client, "seen-evil.top")
        kept = list((tmp_path / "drafts").rglob("*"))
        assert {oct(each.stat().st_mode & 0o777) for each in kept if each.is_file()} == {"0o600"}
        assert {oct(each.stat().st_mode & 0o777) for each in kept if each.is_dir()} == {"0o700"}
        submit(client, path)
        assert files(tmp_path) == ["draft.json"]
        assert b"seen-evil" not in next((tmp_path / "drafts").rglob("draft.json")).read_bytes()

    def test_a_discarded_draft_leaves_nothing(self, client: FlaskClient, tmp_path: Path) -> None:
        path = paste(client, "seen-evil.top")
        assert post(client, f"{path}/discard", {}).headers["Location"] == "/console/share"
        assert files(tmp_path) == [] and client.get(path).status_code == 404

    @pytest.mark.slow
    def test_a_draft_ends_after_thirty_minutes(self, store: Store, tmp_path: Path) -> None:
        clock = ManualClock(1_800_000_000 * SECOND)
        hub = open_hub(store, tmp_path, clock)
        client = sign_in(hub, ANALYST)
        paths = [paste(client, f"seen-evil{n}.top") for n in range(2)]
        clock.now += (SECONDS - 1) * SECOND
        assert client.get(paths[0]).status_code == 200
        clock.now += SECOND
        client = sign_in(hub, ANALYST)
        assert client.get(paths[0]).status_code == 404
        assert "its 30 minutes are over." in client.get(paths[0]).text
        assert "its 30 minutes are over." in submit(client, paths[0]).text
        assert submit(client, paths[0]).status_code == 404
        assert files(tmp_path) != []
        hub.services.drafts.sweep()
        assert list((tmp_path / "drafts").rglob("*")) == []

    @pytest.mark.slow
    def test_a_person_has_a_few_drafts_at_most_and_finds_them_again(
        self, client: FlaskClient
    ) -> None:
        paths = [paste(client, f"seen-evil{n}.top") for n in range(MOST)]
        answer = post(client, "/console/share", {"text": "one-more.top"})
        assert answer.status_code == 429 and "submit or discard one" in answer.text
        assert "one-more.top" in answer.text, "what was typed is kept"
        assert all(path in answer.text for path in paths)

    @pytest.mark.slow
    def test_nothing_of_a_report_is_logged_journaled_or_in_a_url_or_title(
        self, client: FlaskClient, hub: HubInProcess, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        marked = indicator("zq-marker.top", description="zq-marker zq-person@bank.example.net")
        upload = {"file": (BytesIO(bundle(marked).encode()), "zq-marker.json")}
        path = post(client, "/console/share", {**upload, "labels": "zq-marker"}).headers["Location"]
        page = client.get(path)
        answer = submit(client, path)
        followed = client.get(answer.headers["Location"])
        assert "zq-marker" not in path + answer.headers["Location"]
        for each in (page, followed):
            assert "zq-marker" not in each.text.partition("</title>")[0]
            assert each.headers["Cache-Control"] == "no-store"
        logged = [each.getMessage() for each in caplog.records if "tocsin" in each.name]
        assert logged and not any("zq-marker" in each for each in logged)
        person = hub.store.people.find_by_login(ANALYST)
        assert person is not None and any(f" account={person.id} " in each for each in logged)
        assert not any(ANALYST in each for each in logged)
        assert not any("zq-" in str(each) for each in hub.store.journal.entries())
        assert [e.actor for e in hub.store.journal.entries() if e.action == "admit"] == [ANALYST]

    @pytest.mark.slow
    def test_nothing_but_the_journal_names_who_shared_once_they_are_removed(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        client.get(submit(client, paste(client, "seen-evil.top")).headers["Location"])
        while hub.store.statistics.count_next():
            pass
        invited = Invitation(
            "", "new@hub.example", "", "acme", frozenset({Role.VIEWER}), 0, ANALYST
        )
        hub.services.people.invite(invited)
        [shared] = hub.store.submissions.list_of_partner("acme", 9)
        assert shared.account == ANALYST
        hub.services.people.remove(ANALYST, "operator")
        base = hub.store._base
        names = [name for name in base.list_collection_names() if name != "journal"]
        assert [n for n in names for d in base[n].find({}) if ANALYST in str(d)] == []


class TestLimits:
    def test_a_report_that_is_too_long_is_not_read(self, store: Store, tmp_path: Path) -> None:
        client = sign_in(open_hub(store, tmp_path, max_content_length=100_000), ANALYST)
        answer = post(client, "/console/share", {"text": "a.top " * 20_000})
        assert answer.status_code == 413 and "Send it in parts" in answer.text
        upload = {"file": (BytesIO(b"a.top " * 20_000), "a.txt")}
        assert post(client, "/console/share", upload).status_code == 413
        assert not (tmp_path / "drafts").exists()

    def test_objects_that_take_more_than_a_submission_may_are_refused_with_advice(
        self, store: Store, tmp_path: Path
    ) -> None:
        client = sign_in(open_hub(store, tmp_path, max_content_length=20_000), ANALYST)
        path = paste(client, "\n".join(f"a{n}-evil.top" for n in range(200)))
        assert "tocsin push" in await_end(client, path)

    def test_more_objects_than_a_preview_has_are_refused_with_advice(
        self, client: FlaskClient
    ) -> None:
        path = paste(client, "\n".join(f"a{n}-evil.top" for n in range(10_001)))
        assert "more than 10,000 objects" in await_end(client, path)

    @pytest.mark.parametrize(
        ("fields", "place"),
        [
            ({}, "text"),
            ({"text": "a.top", "tlp": "red"}, "tlp"),
            ({"text": "a.top", "tlp": SCRIPT}, "tlp"),
            ({"text": "a.top", "collection": "green"}, "collection"),
            ({"text": "a.top", "days": "-1"}, "days"),
            ({"text": "a.top", "labels": "x" * 101}, "labels"),
            ({"text": "a.top", "labels": ",".join(map(str, range(21)))}, "labels"),
            ({"text": "a.top", "labels": "\u202ea"}, "labels"),
        ],
    )
    def test_a_wrong_field_is_named_and_what_was_pasted_stays(
        self, client: FlaskClient, fields: dict[str, str], place: str
    ) -> None:
        answer = post(client, "/console/share", fields)
        assert answer.status_code == 422 and f'href="#{place}"' in answer.text
        assert fields.get("text", "") in answer.text.partition("<textarea")[2]

    def test_a_text_and_a_file_at_once_are_refused(self, client: FlaskClient) -> None:
        both = {"text": "a.top", "file": (BytesIO(b"b.top"), "b.txt")}
        assert post(client, "/console/share", both).status_code == 422

    @pytest.mark.slow
    def test_a_quota_that_is_used_up_keeps_the_draft(self, store: Store, tmp_path: Path) -> None:
        client = sign_in(open_hub(store, tmp_path, objects_per_day=1), ANALYST)
        submit(client, paste(client, "one-evil.top"))
        path = paste(client, "two-evil.top")
        answer = submit(client, path)
        assert answer.status_code == 429 and "Submit 1 object" in answer.text
        assert client.get(path).status_code == 200

    def test_a_form_of_another_site_submits_nothing(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top")
        form = {"run": "1", "token": "x"}
        assert client.post(f"{path}/submit", data=form).status_code == 403
        assert post(client, f"{path}/submit", form).status_code == 403
        assert hub.store.submissions.list_of_partner("acme", 1) == []


def test_a_form_whose_body_comes_after_its_head_is_answered_by_the_console(
    hub: HubInProcess,
) -> None:
    environ = EnvironBuilder(path="/console/sign-in", method="POST", data={}).get_environ()
    statuses: list[str] = []

    def start(status: str, *more: Any) -> Any:
        statuses.append(status)

    for _ in range(2):  # as the server asks: once with the head, once more with the body
        list(hub.client.application.wsgi_app(environ, start))
    assert statuses == ["403 FORBIDDEN"] * 2


class TestSender:
    @pytest.mark.slow
    def test_a_queued_submission_of_a_person_is_published(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        many = bundle(*(indicator(f"evil{n}.top") for n in range(300)))
        path = paste(client, many)
        where = submit(client, path).headers["Location"]
        assert "300 in progress" in words(client.get(where).text)
        while hub.services.intake.work():
            pass
        assert "300 objects: 300 published." in words(client.get(where).text)

    @pytest.mark.slow
    def test_nothing_of_a_person_who_was_disabled_meanwhile_is_published(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, bundle(*(indicator(f"evil{n}.top") for n in range(300))))
        submit(client, path)
        hub.services.people.set_disabled(ANALYST, "t", disabled=True)
        while hub.services.intake.work():
            pass
        assert hub.feed("green") == []

    @pytest.mark.slow
    def test_nothing_of_an_analyst_who_has_become_a_viewer_is_published(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, bundle(*(indicator(f"evil{n}.top") for n in range(300))))
        where = submit(client, path).headers["Location"]
        hub.services.people.set_roles(ANALYST, [Role.VIEWER], "t")
        while hub.services.intake.work():
            pass
        assert hub.feed("green") == []
        assert "300 objects: 300 refused." in words(client.get(where).text)

    def test_an_object_of_an_analyst_who_has_become_a_viewer_is_not_released(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        submit(client, paste(client, bundle(indicator("vpn.acme.example"))))
        hub.services.people.set_roles(ANALYST, [Role.VIEWER], "t")
        [review] = hub.store.reviews.list_waiting()
        with pytest.raises(Conflict, match="may not write to the collection any more"):
            hub.services.intake.reviewer.release(review, "operator")

    def test_a_draft_of_an_analyst_who_has_become_a_viewer_is_not_submitted(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top")
        client.get(path)
        hub.services.people.set_roles(ANALYST, [Role.VIEWER], "t")
        assert post(client, f"{path}/submit", {"run": "1"}).status_code == 404
        assert hub.store.submissions.list_of_partner("acme", 1) == []

    def test_a_draft_is_not_submitted_once_the_right_to_write_is_taken_away(
        self, client: FlaskClient, hub: HubInProcess
    ) -> None:
        path = paste(client, "seen-evil.top")
        client.get(path)
        Partners(hub.store).change("acme", PartnerChange(writes=[]), "t")
        assert post(client, f"{path}/submit", {"run": "1"}).status_code == 404
        assert hub.store.submissions.list_of_partner("acme", 1) == []
