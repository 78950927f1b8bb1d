"""The object page: what is published, how it came about, who received it; and what people do."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect
from support.console import Visitor, add_person, post, sign_in
from support.hub import AMBER, GREEN, HubInProcess, indicator, relationship, sdo
from support.statement_marking import STATEMENT

from tocsin.config.settings import HubSettings
from tocsin.server.console.pages.objects import read_references
from tocsin.server.console.texts import label
from tocsin.server.model import Partner
from tocsin.server.person import Role
from tocsin.server.store import Store

HOSTILE = '"><img src=x onerror=alert(1)>{{7*7}} \U000e0041\u0338\u0338\u0338\u0338\u0338'
UNKNOWN = "indicator--00000000-0000-4000-8000-000000000000"
ACTS = ("statement", "withdraw", "lead", "revoke", "purge", "purge/confirm", "purge/decline")


def publish(hub: HubInProcess, sent: Any, who: str = "acme") -> str:
    """Push an object; its public id."""
    return str(hub.push(sent, who=who)["successes"][0]["x_tocsin_public_id"])


def path(name: str, rest: str = "") -> str:
    return f"/console/objects/{name}{rest}"


def text_of(page: str) -> str:
    """The text of a page, without tags."""
    return " ".join(re.sub(r"<[^>]+>", "", page).split())


def journal(hub: HubInProcess) -> list[tuple[str, str]]:
    """Action and actor of the journal's entries about objects."""
    entries = hub.store.journal.list_entries()
    return [(e.action, e.actor) for e in entries if e.action.startswith(("object.", "partner."))]


@pytest.fixture
def operator(hub: HubInProcess) -> FlaskClient:
    """A client that is signed in as the operator."""
    return sign_in(hub, "operator@hub.example")


@pytest.fixture
def analyst(hub: HubInProcess) -> FlaskClient:
    """A client that is signed in as an analyst of `acme`."""
    return sign_in(hub, "analyst@hub.example")


class TestWhatIsShown:
    @pytest.mark.slow
    def test_the_hub_sees_reports_receivers_and_how_the_confidence_came_about(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        name = publish(hub, indicator(confidence=60, valid_until="2090-01-01T00:00:00Z"))
        publish(hub, indicator(confidence=40), who="north")
        hub.feed("green", who="north")
        hub.store.deliveries.flush()
        text = text_of(operator.get(path(name)).text)
        assert "evil-portal[.]top" in text and "In force until 1 Jan 2090" in text
        assert "2 reports" in text and "let it lead" in text
        assert "64 now: 60 stated, 60 by reliability, 64 with 2 independent sources" in text
        assert "Readers see 60 until the quiet period ends" in text
        assert "1 account" in text and "Not yet: 1 account" in text

    def test_a_partner_sees_its_own_report_and_nothing_of_others(
        self, hub: HubInProcess, analyst: FlaskClient
    ) -> None:
        sent = indicator(confidence=60)
        name = publish(hub, sent)
        publish(hub, indicator(confidence=40), who="north")
        hub.services.lifecycle.lead(name, "north", "operator@hub.example")
        page = analyst.get(path(name)).text
        assert "What you reported" in page and sent["id"] in page
        for hidden in ("north", "Received by", "Reliability", ">History<", "leads", "now:"):
            assert hidden not in page
        viewer = sign_in(hub, "viewer@hub.example").get(path(name)).text
        assert "Seen it" not in viewer and "Withdraw" not in viewer and "Revoke" not in viewer

    @pytest.mark.slow
    def test_each_readable_level_is_a_link_with_its_own_versions(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        sent = indicator(description="Seen in three campaigns.", labels=["kit"])
        name = publish(hub, sent)
        hub.push(
            sent
            | {"modified": "2026-02-01T00:00:00.000Z", "description": "Seen in four campaigns."}
        )
        page = operator.get(path(name)).text
        assert "level=green" in page and "level=amber" in page
        assert "Version 2 of 2" in page and "four campaigns" in page
        old = operator.get(path(name, "?level=green&version=1")).text
        assert "three campaigns" in old and "not the current one" in old
        changed = operator.get(path(name, "?version=2&compare=1")).text
        assert re.search(r"<del><span class=.off.>removed: </span>.* three.*</del>", changed)
        assert re.search(r"<ins><span class=.off.>added: </span>.* four.*</ins>", changed)
        for wrong in (
            "?version=9",
            "?version=x",
            "?compare=-1",
            "?level=none",
            "?version=" + "9" * 99,
        ):
            assert "Version 2 of 2" in operator.get(path(name, wrong)).text

    def test_relations_are_a_table_and_a_graph_whose_nodes_are_links(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        name = publish(hub, indicator())
        malware = sdo("malware", name="QuietLoader", is_family=False)
        hub.push(malware, relationship({"id": name}, "indicates", malware))
        table = operator.get(path(name)).text
        assert "1 relation<" in table and "QuietLoader" in table
        assert "hub_ref" not in table and "created_by_ref" not in table
        graph = operator.get(path(name, "?relations=graph")).text
        [node] = re.findall(r'<a href="(/console/objects/malware--[^"]+)" class="node"', graph)
        assert '<tspan class="type">malware · </tspan>QuietLoader' in graph
        centre = operator.get(node.replace("#relations", "")).text
        assert "evil-portal[.]top" in centre and "data-graph" in centre

    @pytest.mark.slow
    def test_the_journal_about_the_object_is_its_history(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        name = publish(hub, indicator())
        hub.services.lifecycle.revoke(name, "jane@hub.example", "the host was cleaned")
        text = text_of(operator.get(path(name)).text)
        assert "object.revoke the host was cleaned" in text and "jane@hub.example" in text
        assert "Revoked (decided)" in text
        auditor = sign_in(hub, "auditor@hub.example").get(path(name)).text
        assert f"/console/admin/journal?about={name}" in auditor
        assert "/admin/journal" not in sign_in(hub, "reviewer@hub.example").get(path(name)).text

    @pytest.mark.slow
    def test_an_object_of_any_type_has_a_page(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        malware = sdo("malware", name="QuietLoader", is_family=False)
        tool = sdo("tool", name="Wrench")
        hub.push(malware, tool, relationship(malware, "uses", tool), sdo("campaign", name="C"))
        for each in hub.feed("amber"):
            answer = operator.get(path(each["id"], "?relations=graph"))
            assert answer.status_code == 200 and each["id"] in answer.text

    def test_only_links_that_the_hub_builds_can_be_followed(self) -> None:
        def link(name: str, id: str) -> str:
            given = {"source_name": name, "external_id": id, "url": "javascript:alert(1)"}
            [found] = read_references({"external_references": [given]})
            return found.link

        assert link("cve", "CVE-2024-3400") == "https://www.cve.org/CVERecord?id=CVE-2024-3400"
        assert link("mitre-attack", "T1566.002").endswith("mitre.org/techniques/T1566/002/")
        for name, id in (
            ("cve", "CVE-2024-3400&x"),
            ("mitre-attack", "javascript:T1"),
            ("x", "T1566"),
        ):
            assert link(name, id) == ""


class TestHostileTexts:
    @pytest.mark.slow
    def test_they_are_visible_and_inert_on_every_page_of_an_object(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        sent = indicator(
            name=HOSTILE,
            description=f"{HOSTILE}\n{'w' * 50_000}",
            labels=["kit", "kit" * 3_000],
            external_references=[
                {"source_name": HOSTILE, "url": "javascript:alert(1)", "external_id": HOSTILE}
            ],
        )
        name = publish(hub, sent)
        actor = sdo("malware", name=HOSTILE, is_family=False)
        hub.push(actor, relationship({"id": name}, "indicates", actor))
        hub.push(sent | {"modified": "2026-02-01T00:00:00.000Z", "name": f"New {HOSTILE}"})
        for rest in ("", "?compare=1", "?relations=graph", "?whole=1", "/revoke", "/purge"):
            page = operator.get(path(name, rest)).text
            assert "<img" not in page and 'href="javascript' not in page, rest
            assert "\U000e0041" not in re.sub(r'="[^"]*"', "", page), rest
            assert rest in ("/revoke", "/purge") or "{{7*7}}" in page
        assert len(operator.get(path(name)).text) < 100_000
        assert "w" * 10_000 in operator.get(path(name, "?whole=1")).text

    def test_labels_of_pictures_name_hidden_characters_and_are_cut(self) -> None:
        assert label("evil.test\u202egpj\u200b") == "evil[.]test[RLO]gpj[ZWSP]"
        assert label("e" + "\u0338" * 5) == "e" + "\u0338" * 3 + "[U+0338]" * 2
        assert label("w" * 50_000, 10) == "w" * 10 + "…"

    def test_the_page_has_no_fault_in_a_browser_on_a_phone_too(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        sent = indicator(name=HOSTILE, description="w" * 5_000, confidence=60)
        name = publish(hub, sent)
        publish(hub, indicator(), who="north")
        actor = sdo("malware", name=HOSTILE, is_family=False)
        hub.push(actor, relationship({"id": name}, "indicates", actor))
        hub.push(sent | {"modified": "2026-02-01T00:00:00.000Z", "name": "New"})
        visitor.sign_in("operator@hub.example")
        for width in (1280, 390):
            visitor.page.set_viewport_size({"width": width, "height": 844})
            for rest in ("?compare=1", "?relations=graph", "/revoke", "/purge"):
                visitor.go(f"/objects/{name}{rest}")
                visitor.check()

    def test_the_names_in_a_graph_can_be_read_on_a_tablet(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        name = publish(hub, indicator())
        titles = [f"Family {n} of loaders with long names" for n in range(6)]
        titles += [
            "W" * 50,
            "Ж" * 50,
            "M@" * 25,
            "loader.of.a.b.c.d.e.f.g.h.i.j.k.l.m.n",
            "恶意" * 25,
        ]
        for title in titles:
            malware = sdo("malware", name=title, is_family=False)
            hub.push(malware, relationship({"id": name}, "indicates", malware))
        tactic = sdo("attack-pattern", name="W" * 50)
        hub.push(tactic, relationship({"id": name}, "indicates", tactic))
        page = visitor.sign_in("viewer@hub.example", f"/objects/{name}?relations=graph")
        for width in (768, 1280):
            page.set_viewport_size({"width": width, "height": 1024})
            texts = page.locator(".graph text").evaluate_all(
                "(all) => all.map((each) => { const box = each.getBoundingClientRect();"
                " const frame = each.ownerSVGElement.getBoundingClientRect();"
                " const size = parseFloat(getComputedStyle(each).fontSize);"
                " return [size * each.getScreenCTM().a,"
                " box.left - frame.left, frame.right - box.right]; })"
            )
            assert len(texts) >= 14
            assert all(size > 10 and min(left, right) >= 0 for size, left, right in texts), texts
            visitor.check()

    def test_a_node_is_moved_by_keys_and_the_view_by_buttons(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        name = publish(hub, indicator())
        malware = sdo("malware", name="QuietLoader", is_family=False)
        hub.push(malware, relationship({"id": name}, "indicates", malware))
        page = visitor.sign_in("viewer@hub.example", f"/objects/{name}?relations=graph")
        before = page.get_attribute("a.node circle", "cx"), page.get_attribute(".edge", "x2")
        page.focus("a.node")
        page.keyboard.press("ArrowRight")
        after = page.get_attribute("a.node circle", "cx"), page.get_attribute(".edge", "x2")
        assert [int(x or 0) + 10 for x in before] == [int(x or 0) for x in after]
        page.click("text=Zoom in")
        assert page.get_attribute(".graph svg", "viewBox") != "0 0 1160 260"
        page.click("text=Reset")
        page.locator("a.node circle").hover()
        page.mouse.down()
        page.mouse.move(700, 780, steps=9)
        page.mouse.up()
        page.wait_for_timeout(300)
        assert name in page.url, "a dragged node is not followed"
        visitor.check()
        page.press("a.node", "Enter")
        page.wait_for_url("**/objects/malware--*")


class TestTwoWorlds:
    @pytest.mark.slow
    def test_what_a_person_may_not_read_changes_no_byte_of_an_objects_page(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("small", "Small"), reads=("clear", "green"))
        for role in (Role.ANALYST, Role.VIEWER):
            add_person(hub, f"{role}@small.example", role, partner="small")
        sent = indicator(confidence=60)
        name = publish(hub, sent, who="small")
        malware = sdo("malware", name="QuietLoader", is_family=False)
        hub.push(malware, relationship({"id": name}, "indicates", malware), who="small")
        clients = [sign_in(hub, f"{role}@small.example") for role in (Role.ANALYST, Role.VIEWER)]
        paths = [
            path(name, rest) for rest in ("", "?relations=graph", "?level=amber", "?compare=1")
        ]
        before = [client.get(each).data for client in clients for each in paths]
        strict: dict[str, Any] = {"object_marking_refs": [AMBER]}
        actor = sdo("threat-actor", name="Bronze Fox", **strict)
        hub.push(indicator(**strict), who="north")
        hub.push(actor, relationship({"id": name}, "indicates", actor, **strict), who="north")
        hub.push(sdo("note", content="hidden", object_refs=[name], **strict))
        operator = sign_in(hub, "operator@hub.example")
        assert "Bronze Fox" in operator.get(path(name)).text
        assert [client.get(each).data for client in clients for each in paths] == before

    @pytest.mark.slow
    def test_an_object_that_exists_only_higher_up_has_the_answer_of_an_unknown_one(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("small", "Small"), reads=("clear", "green"))
        add_person(hub, "ana@small.example", Role.ANALYST, partner="small")
        name = publish(hub, indicator(object_marking_refs=[AMBER]))
        client = sign_in(hub, "ana@small.example")
        for rest in ("", *(f"/{act}" for act in ACTS)):
            answers = [client.get(path(each, rest)) for each in (name, UNKNOWN)]
            answers += [post(client, path(each, rest), {}) for each in (name, UNKNOWN)]
            assert {each.status_code for each in answers} == {404}
            assert len({each.data for each in answers}) == 1

    @pytest.mark.parametrize("id", ["x", "indicator--1", "a" * 9_000, "%00", "{{7*7}}", "..%2f.."])
    def test_any_id_is_answered(self, operator: FlaskClient, id: str) -> None:
        assert operator.get(path(id)).status_code == 404


class TestStatements:
    @pytest.mark.slow
    def test_an_analyst_says_that_it_was_seen_and_the_page_says_so(
        self, hub: HubInProcess, analyst: FlaskClient
    ) -> None:
        name = publish(hub, indicator(), who="north")
        answer = post(analyst, path(name, "/statement"), {"statement": "seen"})
        assert answer.status_code == 303
        page = analyst.get(answer.location).text
        assert "Your sighting was taken" in page and "/console/submissions/" in page
        assert "Sightings and false alarms" in page and "<td>sighting</td>" in page
        [public] = hub.store.read(lambda known: known.public_objects([name])).values()
        assert [each.partner for each in public.assessments] == ["acme"]
        entries = hub.store.journal.list_entries()
        assert "admit" in {e.action for e in entries if e.actor == "analyst@hub.example"}

    @pytest.mark.slow
    def test_the_same_said_twice_within_an_hour_is_counted_once(
        self, hub: HubInProcess, analyst: FlaskClient
    ) -> None:
        name = publish(hub, indicator(), who="north")
        answers = [post(analyst, path(name, "/statement"), {"statement": "seen"}) for _ in range(2)]
        assert "not counted again" in analyst.get(answers[1].location).text
        [public] = hub.store.read(lambda known: known.public_objects([name])).values()
        assert len(public.assessments) == 1

    @pytest.mark.slow
    def test_a_false_alarm_counts_at_once_and_the_page_says_so(
        self, hub: HubInProcess, analyst: FlaskClient
    ) -> None:
        name = publish(hub, indicator(confidence=80), who="north")
        answer = post(analyst, path(name, "/statement"), {"statement": "false-alarm"})
        page = analyst.get(answer.location).text
        assert "Your false alarm was taken. False alarms count at once." in page
        before, *_, after = hub.feed("green", **{"match[version]": "all", "match[id]": name})
        assert after["modified"] > before["modified"]
        assert after["confidence"] < before["confidence"]

    @pytest.mark.slow
    def test_a_false_alarm_replaces_a_sighting(
        self, hub: HubInProcess, analyst: FlaskClient, operator: FlaskClient
    ) -> None:
        name = publish(hub, indicator(), who="north")
        for statement in ("seen", "false-alarm"):
            post(analyst, path(name, "/statement"), {"statement": statement})
        post(operator, path(name, "/statement"), {"statement": "seen"})
        page = operator.get(path(name)).text
        assert page.count("<td>false alarm</td>") == 1
        assert "acme" in page and "operator" in page

    @pytest.mark.slow
    def test_nothing_is_said_about_what_is_revoked_or_not_an_indicator(
        self, hub: HubInProcess, analyst: FlaskClient
    ) -> None:
        name = publish(hub, indicator())
        hub.services.lifecycle.revoke(name, "operator", "a false alarm")
        malware = publish(hub, sdo("malware", name="QuietLoader", is_family=False))
        for each in (name, malware):
            assert "Seen it" not in analyst.get(path(each)).text
            answer = post(analyst, path(each, "/statement"), {"statement": "seen"})
            assert answer.status_code == 404


class TestWithdrawal:
    @pytest.mark.slow
    def test_a_partner_withdraws_what_it_reported_and_nothing_of_others(
        self, hub: HubInProcess, analyst: FlaskClient
    ) -> None:
        name = publish(hub, indicator())
        publish(hub, indicator(), who="north")
        answer = post(analyst, path(name, "/withdraw"), {})
        assert "was withdrawn" in analyst.get(answer.location).text
        [public] = hub.store.read(lambda known: known.public_objects([name])).values()
        assert [each.partner for each in public.contributions] == ["north"]
        assert ("partner.withdraw", "analyst@hub.example") in journal(hub)
        assert post(analyst, path(name, "/withdraw"), {}).status_code == 404

    def test_what_nobody_else_reported_is_revoked(
        self, hub: HubInProcess, analyst: FlaskClient
    ) -> None:
        name = publish(hub, indicator())
        post(analyst, path(name, "/withdraw"), {})
        assert "Revoked" in analyst.get(path(name)).text


class TestDecisions:
    @pytest.mark.slow
    def test_another_report_leads_and_the_journal_says_who_chose_it(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        name = publish(hub, indicator(name="First"))
        publish(hub, indicator(name="Second"), who="north")
        assert post(operator, path(name, "/lead"), {"partner": "north"}).status_code == 303
        assert "Second" in operator.get(path(name)).text
        assert ("object.lead", "operator@hub.example") in journal(hub)
        assert post(operator, path(name, "/lead"), {"partner": "east"}).status_code == 422
        assert post(operator, path(name, "/lead"), {"partner": ""}).status_code == 303
        assert "First" in operator.get(path(name)).text

    @pytest.mark.slow
    def test_a_purge_names_those_that_possibly_received_it_apart(self, hub: HubInProcess) -> None:
        operator = sign_in(hub, "operator@hub.example")
        hub.push(indicator("before.top"))
        name = publish(hub, indicator())
        hub.push(indicator("after.top"))
        hub.feed("green", who="north", **{"match[type]": "indicator"})
        hub.store.deliveries.flush()
        text = text_of(operator.get(path(name, "/purge")).text)
        assert "No account is known to have received it; 1 account possibly did." in text

    @pytest.mark.slow
    def test_a_revocation_shows_its_consequence_and_asks_for_a_reason(
        self, hub: HubInProcess
    ) -> None:
        reviewer = sign_in(hub, "reviewer@hub.example")
        name = publish(hub, indicator())
        hub.feed("green", who="north")
        hub.store.deliveries.flush()
        text = text_of(reviewer.get(path(name, "/revoke")).text)
        assert "withdraws 2 versions, in green, amber. 1 account received it" in text
        again = post(reviewer, path(name, "/revoke"), {"reason": " "})
        assert again.status_code == 422 and '<a href="#reason">' in again.text
        answer = post(reviewer, path(name, "/revoke"), {"reason": "cleaned"})
        assert "The object was revoked" in reviewer.get(answer.location).text
        assert hub.feed("green")[0]["revoked"] is True
        assert journal(hub)[-1] == ("object.revoke", "reviewer@hub.example")
        assert post(reviewer, path(name, "/revoke"), {"reason": "x"}).status_code == 422
        assert reviewer.get(path(name, "/revoke")).location == path(name)

    @pytest.mark.slow
    def test_a_revoked_marking_definition_is_not_offered_for_revocation_again(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        name = publish(hub, STATEMENT | {"object_marking_refs": [GREEN]})
        assert "Revoke…" in operator.get(path(name)).text
        post(operator, path(name, "/revoke"), {"reason": "a mistake"})
        text = text_of(operator.get(path(name)).text)
        assert "Revoked (decided)" in text and "Revoke…" not in text

    @pytest.mark.parametrize("act", ["revoke", "purge"])
    def test_ends_an_object_by_keyboard_alone(
        self, visitor: Visitor, hub: HubInProcess, act: str
    ) -> None:
        name = publish(hub, indicator("evil-portal.top"))
        page = visitor.sign_in("operator@hub.example", f"/objects/{name}/{act}")
        expect(page.locator("#reason")).to_be_focused()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(300)
        assert page.url.endswith(act), "it needs a reason"
        page.keyboard.type("cleaned")
        if act == "purge":
            page.keyboard.press("Tab")
            page.keyboard.type("al.top")
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**done=*")
        visitor.check()

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("role", "allowed"),
        [
            (Role.VIEWER, set()),
            (Role.ANALYST, {"statement", "withdraw"}),
            (Role.AUDITOR, set()),
            (Role.REVIEWER, {"lead", "revoke"}),
        ],
    )
    def test_each_role_may_do_its_own_acts_only(
        self, hub: HubInProcess, role: Role, allowed: set[str]
    ) -> None:
        client, name = sign_in(hub, f"{role}@hub.example"), publish(hub, indicator())
        before = hub.store.journal.last_entry()
        for act in ACTS:
            if act not in allowed:
                form = {"partner": "acme", "reason": "x", "typed": "al.top"}
                assert post(client, path(name, f"/{act}"), form).status_code == 404
                assert client.get(path(name, f"/{act}")).status_code == 404
        assert hub.store.journal.last_entry() == before


class TestPurge:
    @pytest.mark.slow
    def test_a_purge_asks_for_the_end_of_the_value_and_a_worker_deletes_the_content(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        name = publish(hub, indicator(description="names a victim"))
        form = {"reason": "request 17", "typed": "l.topp"}
        wrong = post(operator, path(name, "/purge"), form)
        assert wrong.status_code == 422 and '<a href="#typed">' in wrong.text
        assert 'value="request 17"' in wrong.text
        answer = post(operator, path(name, "/purge"), form | {"typed": "al.top"})
        page = operator.get(answer.location).text
        assert "Its content is deleted within a minute" in page and "is being deleted" in page
        assert hub.services.purger.work()
        page = operator.get(path(name)).text
        assert "victim" not in page and "evil-portal" not in page and "is being" not in page
        assert "Revoked (purged)" in text_of(page)
        assert journal(hub)[-1] == ("object.purge", "operator@hub.example")
        assert "Purge…" not in page
        assert operator.get(path(name, "/purge")).location == path(name)

    def test_the_end_may_be_typed_as_it_is_shown(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        name = publish(hub, indicator())
        form = {"reason": "x", "typed": "[.]top"}
        assert post(operator, path(name, "/purge"), form).status_code == 303

    def test_the_hubs_own_objects_cannot_be_purged(
        self, hub: HubInProcess, operator: FlaskClient
    ) -> None:
        form = {"reason": "x", "typed": "Tocsin"}
        answer = post(operator, path(hub.identity, "/purge"), form)
        assert answer.status_code == 422 and "own object" in answer.text


class TestFourEyes:
    @pytest.fixture
    def hub(self, store: Store) -> Iterator[HubInProcess]:
        """A hub where a second operator confirms a purge."""
        hub = HubInProcess(store, settings=HubSettings(four_eyes=True))
        for login in ("ana@hub.example", "ben@hub.example"):
            add_person(hub, login, Role.OPERATOR)
        add_person(hub, "auditor@hub.example", Role.AUDITOR)
        yield hub

    @pytest.mark.slow
    def test_a_purge_waits_for_a_second_operator(self, hub: HubInProcess) -> None:
        ana, ben = sign_in(hub, "ana@hub.example"), sign_in(hub, "ben@hub.example")
        name = publish(hub, indicator())
        assert "A second operator has to confirm it" in ana.get(path(name, "/purge")).text
        form = {"reason": "request 17", "typed": "al.top"}
        answer = post(ana, path(name, "/purge"), form)
        page = ana.get(answer.location).text
        assert "ana@hub.example" in page and "request 17" in page
        assert "Confirm the purge" not in page and "Take the request back" in page
        assert post(ana, path(name, "/purge/confirm"), {}).status_code == 403
        assert not hub.feed("green")[0].get("revoked")
        auditor = sign_in(hub, "auditor@hub.example").get(path(name)).text
        assert "asks to purge" in auditor and "Confirm" not in auditor
        assert "Confirm the purge" in ben.get(path(name)).text
        assert post(ben, path(name, "/purge/confirm"), {}).status_code == 303
        assert hub.services.purger.work()
        assert "evil-portal" not in ben.get(path(name)).text
        assert journal(hub) == [
            ("object.purge_request", "ana@hub.example"),
            ("object.purge", "ben@hub.example"),
        ]
        last = hub.store.journal.list_entries()[-1]
        assert (last.details["asked_by"], last.details["reason"]) == (
            "ana@hub.example",
            "request 17",
        )
        assert hub.store.purges.find_request(name) is None

    @pytest.mark.slow
    def test_a_request_to_purge_is_among_those_that_wait(self, hub: HubInProcess) -> None:
        ana, ben = sign_in(hub, "ana@hub.example"), sign_in(hub, "ben@hub.example")
        assert "Nothing waits" in ben.get("/console/admin/requests").text
        name = publish(hub, indicator())
        post(ana, path(name, "/purge"), {"reason": "request 17", "typed": "al.top"})
        page = ben.get("/console/admin/requests").text
        assert f'href="{path(name)}"' in page and "request 17" in page and "1 request" in page
        assert "second operator: 1" in ben.get("/console/admin").text
        assert "1 request waits for a second operator" in ben.get("/console/overview").text
        post(ben, path(name, "/purge/confirm"), {})
        assert "Nothing waits" in ben.get("/console/admin/requests").text

    @pytest.mark.slow
    @pytest.mark.parametrize("way", ["locked out", "removed", "without the role"])
    def test_a_request_of_who_is_no_operator_any_more_is_not_confirmed(
        self, hub: HubInProcess, way: str
    ) -> None:
        ana, ben = sign_in(hub, "ana@hub.example"), sign_in(hub, "ben@hub.example")
        name = publish(hub, indicator())
        post(ana, path(name, "/purge"), {"reason": "request 17", "typed": "al.top"})
        people = hub.services.people
        if way == "locked out":
            people.set_disabled("ana@hub.example", "t", disabled=True)
        elif way == "removed":
            people.remove("ana@hub.example", "t")
        else:
            people.set_roles("ana@hub.example", [Role.AUDITOR], "t")
        answer = post(ben, path(name, "/purge/confirm"), {})
        assert answer.status_code == 409 and "not an operator any more" in answer.text
        assert not hub.feed("green")[0].get("revoked")
        assert post(ben, path(name, "/purge/decline"), {}).status_code == 303

    @pytest.mark.slow
    def test_a_request_is_declined_and_then_cannot_be_confirmed(self, hub: HubInProcess) -> None:
        ana, ben = sign_in(hub, "ana@hub.example"), sign_in(hub, "ben@hub.example")
        name = publish(hub, indicator())
        post(ana, path(name, "/purge"), {"reason": "x", "typed": "al.top"})
        assert post(ben, path(name, "/purge/decline"), {}).status_code == 303
        assert post(ben, path(name, "/purge/confirm"), {}).status_code == 404
        assert journal(hub)[-1] == ("object.purge_decline", "ben@hub.example")
        assert "asks to purge" not in ben.get(path(name)).text
