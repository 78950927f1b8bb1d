"""Four eyes: what raises rights waits for a second operator."""

import re
from typing import Any

import pytest
from support.console import Visitor, add_person, post, serve_console, sign_in, visit
from support.hub import HubInProcess
from support.presence import present

from tocsin.admission.model import Tlp
from tocsin.config.settings import HubSettings
from tocsin.server.console.pages.requests import list_changes
from tocsin.server.model import Agreement, Partner
from tocsin.server.person import Role
from tocsin.server.store import Store
from tocsin.server.store.admin_requests import AdminRequest

PARTNER = {
    "slug": "lisbon",
    "partner_name": "Lisbon Water",
    "country": "PT",
    "sectors": "",
    "terms": "",
    "max_tlp": "amber",
    "consent": "none",
    "reliability": "50",
    "group": "",
    "mailbox": "",
    "reads": ["clear"],
    "writes": ["inbox"],
}
ACME = PARTNER | {"slug": "acme", "partner_name": "Acme", "reads": ["clear", "green", "amber"]}
ACME |= {"writes": ["inbox", "scratch"], "reads": ["clear", "green", "amber", "scratch"]}
TERMS = {"partner": "acme", "max_tlp": "amber", "collections": ["green"]}


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    hub = HubInProcess(store, settings=HubSettings(four_eyes=True))
    for login in ("otto@hub.example", "rita@hub.example"):
        add_person(hub, login, Role.OPERATOR)
    add_person(hub, "ana@acme.example", Role.VIEWER, partner="acme")
    return hub


def plain(page: str) -> str:
    """The text of a page, without tags."""
    return " ".join(re.sub("<[^>]*>", " ", page).split())


def requests_of(hub: HubInProcess) -> list[str]:
    return [each.text for each in hub.store.admin_requests.list()]


def decide(hub: HubInProcess, login: str, act: str) -> Any:
    """Decide about the only request, as a person."""
    (found,) = hub.store.admin_requests.list()
    return post(sign_in(hub, login), f"/console/admin/requests/{found.id}", {"act": act})


@pytest.mark.slow
def test_a_partner_is_added_when_a_second_operator_confirms(hub: HubInProcess) -> None:
    client = sign_in(hub, "otto@hub.example")
    answer = post(client, "/console/admin/partners/new", PARTNER)
    assert answer.headers["Location"] == "/console/admin/requests"
    assert hub.store.accounts.find_partner("lisbon") is None
    assert decide(hub, "otto@hub.example", "confirm").status_code == 403
    page = decide(hub, "rita@hub.example", "confirm").text
    assert "has a new key" in page
    assert hub.store.accounts.find_partner("lisbon") is not None and not requests_of(hub)
    acts = [(e.action, e.actor) for e in hub.store.journal.entries()]
    for expected in (
        ("request.add", "otto@hub.example"),
        ("request.confirm", "rita@hub.example"),
        ("partner.add", "otto@hub.example"),
    ):
        assert expected in acts


@pytest.mark.slow
def test_a_request_is_declined_or_withdrawn(hub: HubInProcess) -> None:
    for login in ("otto@hub.example", "rita@hub.example"):
        post(sign_in(hub, "otto@hub.example"), "/console/admin/partners/new", PARTNER)
        assert decide(hub, login, "decline").status_code == 303
        assert not requests_of(hub) and hub.store.accounts.find_partner("lisbon") is None


@pytest.mark.parametrize("act", ["decline", "confirm"])
def test_a_request_to_invite_leaves_no_mailbox_in_the_journal(hub: HubInProcess, act: str) -> None:
    form = {"mailbox": "private@mail.example", "partner": "acme", "roles": ["viewer"]}
    post(sign_in(hub, "otto@hub.example"), "/console/admin/people", form)
    assert requests_of(hub) == ["Invite private@mail.example as viewer."]
    decide(hub, "rita@hub.example", act)
    entries = hub.store.journal.entries()
    texts = [each.details["text"] for each in entries if each.action.startswith("request.")]
    assert texts == ["Invite a person as viewer."] * 2


@pytest.mark.parametrize(
    ("path", "form", "waits"),
    [
        ("partners/acme", ACME | {"marking": "tlp2"}, False),
        ("partners/acme", ACME | {"marking": "tlp2", "reads": ["clear"]}, False),
        ("partners/acme", ACME | {"marking": "tlp2", "max_tlp": "amber+strict"}, True),
        ("partners/north", ACME | {"marking": "tlp2", "writes": ["inbox"]}, False),
        ("agreements/new", TERMS, True),
        ("people", {"mailbox": "x@acme.example", "partner": "acme", "roles": ["viewer"]}, True),
    ],
)
def test_only_what_raises_rights_waits(
    hub: HubInProcess, path: str, form: dict[str, Any], waits: bool
) -> None:
    answer = post(sign_in(hub, "otto@hub.example"), f"/console/admin/{path}", form)
    assert answer.status_code in (200, 303), answer.text
    assert bool(requests_of(hub)) is waits


def test_roles_that_are_added_wait_and_those_that_are_taken_do_not(hub: HubInProcess) -> None:
    client = sign_in(hub, "otto@hub.example")
    ana = hub.store.people.find_by_login("ana@acme.example")
    assert ana is not None
    path = f"/console/admin/people/{ana.id}"
    post(client, path, {"act": "roles", "roles": ["viewer", "analyst"]})
    assert requests_of(hub) == ["Give ana@acme.example the roles analyst, viewer."]
    decide(hub, "rita@hub.example", "confirm")
    found = hub.store.people.find(ana.id)
    assert found is not None and found.has(Role.ANALYST)
    post(client, path, {"act": "roles", "roles": ["viewer"]})
    found = hub.store.people.find(ana.id)
    assert found is not None and not found.has(Role.ANALYST) and not requests_of(hub)


def test_what_an_operator_asked_who_is_none_any_more_is_not_done(hub: HubInProcess) -> None:
    post(sign_in(hub, "otto@hub.example"), "/console/admin/partners/new", PARTNER)
    hub.services.people.set_disabled("otto@hub.example", "t", disabled=True)
    assert decide(hub, "rita@hub.example", "confirm").status_code == 409
    assert hub.store.accounts.find_partner("lisbon") is None and requests_of(hub)


def test_what_cannot_be_carried_out_waits_again(hub: HubInProcess) -> None:
    post(sign_in(hub, "otto@hub.example"), "/console/admin/partners/new", PARTNER)
    hub.join(Partner("lisbon", "Another one"))
    assert decide(hub, "rita@hub.example", "confirm").status_code == 409
    assert requests_of(hub) == ["Add the partner lisbon."]
    acts = [each.action for each in hub.store.journal.entries()]
    assert acts[-2:] == ["request.confirm", "request.return"]


ABOUT_ACME: list[tuple[str, dict[str, Any]]] = [
    ("partners/acme", ACME | {"marking": "tlp2", "max_tlp": "amber+strict"}),
    ("agreements/new", TERMS),
    ("agreements/{agreement}", TERMS | {"max_tlp": "amber"}),
    ("people", {"mailbox": "x@acme.example", "partner": "acme", "roles": ["viewer"]}),
    ("people/{person}", {"act": "roles", "roles": ["viewer", "analyst"]}),
    ("people/{person}", {"act": "enable"}),
]


def ask_about_acme(hub: HubInProcess, path: str, form: dict[str, Any]) -> None:
    """Let a request about the partner wait, which has an agreement and a person."""
    begin, green = hub.services.agreements.now(), frozenset({hub.collection("green").id})
    terms = Agreement("", "acme", green, begin, max_tlp=Tlp.GREEN)
    agreement = hub.services.agreements.add(terms, "otto")
    person = present(hub.store.people.find_by_login("ana@acme.example"))
    path = path.format(agreement=agreement.id, person=person.id)
    post(sign_in(hub, "otto@hub.example"), f"/console/admin/{path}", form)
    assert len(requests_of(hub)) == 1


@pytest.mark.parametrize(("path", "form"), ABOUT_ACME)
def test_a_request_ends_with_the_partner_that_it_is_about(
    hub: HubInProcess, path: str, form: dict[str, Any]
) -> None:
    ask_about_acme(hub, path, form)
    hub.services.partner_data.remove("north", "operator", "left")
    assert len(requests_of(hub)) == 1
    hub.services.partner_data.remove("acme", "operator", "left")
    assert not requests_of(hub)
    assert "request.decline" in [each.action for each in hub.store.journal.entries()]


def test_a_request_about_what_was_removed_says_so_and_can_be_declined(hub: HubInProcess) -> None:
    ask_about_acme(hub, *ABOUT_ACME[-1])
    hub.services.people.remove("ana@acme.example", "operator")
    answer = decide(hub, "rita@hub.example", "confirm")
    assert answer.status_code == 409 and "was removed since it was asked for" in answer.text
    assert decide(hub, "rita@hub.example", "decline").status_code == 303 and not requests_of(hub)


def test_the_page_of_requests_looks_right(browser: Any, hub: HubInProcess) -> None:
    form = PARTNER | {"partner_name": '"><img src=x>'}
    post(sign_in(hub, "otto@hub.example"), "/console/admin/partners/new", form)
    with serve_console(hub) as origin, visit(browser, origin) as visitor:
        look(visitor)


def look(visitor: Visitor) -> None:
    page = visitor.sign_in("rita@hub.example", "/admin/requests")
    assert "<img src=x>" in page.inner_text("main")
    visitor.check()
    page.click("button.main:has-text('Confirm')")
    page.wait_for_selector("text=has a new key")


def test_without_the_setting_nothing_waits(store: Store) -> None:
    hub = HubInProcess(store)
    add_person(hub, "otto@hub.example", Role.OPERATOR)
    client = sign_in(hub, "otto@hub.example")
    assert post(client, "/console/admin/partners/new", PARTNER).status_code == 200
    assert client.get("/console/admin/requests").status_code == 404


class TestAnOldRequest:
    """A request that is confirmed after its object was changed."""

    @pytest.mark.slow
    def test_does_not_undo_what_was_locked_down_meanwhile(self, hub: HubInProcess) -> None:
        raised = ACME | {"marking": "tlp2", "max_tlp": "amber+strict"}
        post(sign_in(hub, "otto@hub.example"), "/console/admin/partners/acme", raised)
        locked = ACME | {"max_tlp": "green", "reads": ["clear"], "terms": "gizmo"}
        locked |= {"disabled": "yes"}
        answer = post(sign_in(hub, "rita@hub.example"), "/console/admin/partners/acme", locked)
        assert answer.status_code == 303
        answer = decide(hub, "rita@hub.example", "confirm")
        assert answer.status_code == 409 and "ask again" in answer.text
        account = hub.store.accounts.find_account("acme")
        assert account is not None and account.disabled
        assert hub.store.accounts.require_partner("acme").terms == ("gizmo",)
        assert requests_of(hub) == ["Give the partner acme more rights."]

    def test_about_roles_does_not_give_back_those_that_were_taken(self, hub: HubInProcess) -> None:
        ana = hub.store.people.find_by_login("ana@acme.example")
        assert ana is not None
        hub.services.people.set_roles(ana.login, [Role.VIEWER, Role.ANALYST], "t")
        hub.services.people.set_roles(ana.login, [Role.VIEWER], "t")
        path = f"/console/admin/people/{ana.id}"
        both = {"act": "roles", "roles": ["viewer", "analyst"]}
        post(sign_in(hub, "otto@hub.example"), path, both)
        hub.services.people.set_roles(ana.login, [Role.ANALYST], "t")
        assert decide(hub, "rita@hub.example", "confirm").status_code == 409
        found = hub.store.people.find(ana.id)
        assert found is not None and found.roles == {Role.ANALYST}

    def test_about_an_agreement_does_not_undo_a_later_bound(self, hub: HubInProcess) -> None:
        client, other = sign_in(hub, "otto@hub.example"), sign_in(hub, "rita@hub.example")
        post(client, "/console/admin/agreements/new", TERMS)
        assert decide(hub, "rita@hub.example", "confirm").status_code == 303
        (made,) = hub.store.agreements.list_all()
        path = f"/console/admin/agreements/{made.id}"
        post(client, path, TERMS | {"max_tlp": "amber+strict"})
        assert len(requests_of(hub)) == 1
        assert post(other, path, TERMS | {"max_tlp": "green"}).status_code == 303
        assert decide(hub, "rita@hub.example", "confirm").status_code == 409
        (kept,) = hub.store.agreements.list_all()
        assert kept.max_tlp is Tlp.GREEN


def test_the_page_of_requests_shows_each_change_with_what_was_before(hub: HubInProcess) -> None:
    client = sign_in(hub, "otto@hub.example")
    locked = ACME | {"marking": "tlp2", "terms": "gizmo", "disabled": "yes"}
    assert post(client, "/console/admin/partners/acme", locked).status_code == 303
    post(client, "/console/admin/partners/acme", ACME | {"marking": "tlp2"})
    page = plain(client.get("/console/admin/requests").text)
    assert "disabled yes → –" in page and "terms gizmo → –" in page
    assert "max_tlp" not in page


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (["threat intel"], ["threat\r\nintel"], ("threat intel", "threat ⏎ intel")),
        (["a  b"], ["a b"], ("a ␠b", "a b")),
        (["a "], ["a"], ("“a ”", "a")),
        (["a, b"], ["a", "b"], ("“a, b”", "a, b")),
    ],
)
def test_a_change_of_white_space_or_commas_is_shown(
    before: list[str], after: list[str], shown: tuple[str, str]
) -> None:
    asked = AdminRequest("id", "/", {"x": after}, "text", "by", "login", 0, before={"x": before})
    assert list_changes(asked) == [("x", *shown)]


def test_values_in_another_order_or_with_other_line_breaks_are_no_change() -> None:
    before, form = {"x": ["a", "b\nc"]}, {"x": ["b\r\nc", "a", ""], "y": [""]}
    asked = AdminRequest("id", "/", form, "text", "by", "login", 0, before=before)
    assert list_changes(asked) == []


def test_a_confirmed_request_is_answered_with_a_page_for_who_confirmed(hub: HubInProcess) -> None:
    post(sign_in(hub, "otto@hub.example"), "/console/admin/partners/new", PARTNER)
    page = decide(hub, "rita@hub.example", "confirm").text
    bar = page.partition("<main")[0]
    assert "Rita" in bar and "Otto" not in bar


def test_letting_a_person_in_again_waits_and_locking_out_does_not(hub: HubInProcess) -> None:
    client = sign_in(hub, "otto@hub.example")
    ana = hub.store.people.find_by_login("ana@acme.example")
    assert ana is not None
    path = f"/console/admin/people/{ana.id}"
    post(client, path, {"act": "disable"})
    assert not requests_of(hub)
    post(client, path, {"act": "enable"})
    assert requests_of(hub) == ["Let ana@acme.example in again."]
    found = hub.store.people.find(ana.id)
    assert found is not None and found.disabled
    assert decide(hub, "rita@hub.example", "confirm").status_code == 303
    found = hub.store.people.find(ana.id)
    assert found is not None and not found.disabled


def test_an_invitation_of_somebody_who_signs_in_says_its_effect(hub: HubInProcess) -> None:
    form = {"mailbox": "rita@hub.example", "partner": "", "roles": ["auditor"]}
    post(sign_in(hub, "otto@hub.example"), "/console/admin/people", form)
    (text,) = requests_of(hub)
    assert "rita@hub.example set a new password" in text
    assert "removes the second factors" in text and "the roles stay: operator" in text


def test_a_request_about_an_agreement_names_and_links_it(hub: HubInProcess) -> None:
    client = sign_in(hub, "otto@hub.example")
    post(client, "/console/admin/agreements/new", TERMS)
    decide(hub, "rita@hub.example", "confirm")
    (made,) = hub.store.agreements.list_all()
    path = f"/console/admin/agreements/{made.id}"
    post(client, path, TERMS | {"max_tlp": "amber+strict"})
    (text,) = requests_of(hub)
    assert made.id in text and "acme" in text
    assert f'href="{path}"' in client.get("/console/admin/requests").text
