"""After a restore every kind of act that ended a right is repeated."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from support.console import add_person
from support.hub import HUB_SECRETS, HubInProcess, indicator

from tocsin.config.settings import HubSettings
from tocsin.server.cli.person import invite
from tocsin.server.cli.repeat import Repeated, repeat_acts
from tocsin.server.model import Agreement, AgreementState
from tocsin.server.partners.administration import PartnerChange, Partners
from tocsin.server.person import Role
from tocsin.server.runtime import Runtime
from tocsin.server.store.journal import JournalEntry, JournalFilter

OTTO, ANN = "otto@hub.example", "ann@hub.example"


@dataclass
class Restored:
    """A hub that was restored, before anything is repeated."""

    hub: HubInProcess
    runtime: Runtime

    def repeat(self, *acts: tuple[str, dict[str, Any]]) -> Repeated:
        """Repeat acts that the journal of the lost hub has, numbered from 1."""
        entries = [
            JournalEntry(n, 0, act, "jane", what, "", "") for n, (act, what) in enumerate(acts, 1)
        ]
        return repeat_acts(self.runtime, entries)

    def person(self, login: str) -> Any:
        """A person as the database has it now."""
        return self.hub.store.people.find_by_login(login)

    def last(self, act: str) -> dict[str, Any]:
        """The details of the latest entry of an act."""
        return dict(next(iter(self.hub.store.journal.search(JournalFilter(action=act)))).details)


@pytest.fixture
def restored(hub: HubInProcess) -> Restored:
    """A hub with the operators Otto and Ann."""
    for login in (OTTO, ANN):
        add_person(hub, login, Role.OPERATOR, Role.REVIEWER)
    settings = HubSettings()
    return Restored(hub, Runtime(settings, HUB_SECRETS, hub.services))


def test_a_removed_person_is_removed_again(restored: Restored) -> None:
    done = restored.repeat(("person.remove", {"login": OTTO}))
    assert restored.person(OTTO) is None and restored.person(ANN) is not None
    assert done == Repeated(1, 0, (), ())
    assert restored.repeat(("person.remove", {"login": OTTO})) == Repeated(0, 1, (), ())


def test_a_person_who_was_locked_out_is_locked_out_again(restored: Restored) -> None:
    assert restored.repeat(("person.disable", {"login": OTTO})) == Repeated(1, 0, (), ())
    assert restored.person(OTTO).disabled


@pytest.mark.parametrize(
    "act", ["person.password", "person.second_factor_end", "person.passkey_end"]
)
def test_no_way_to_sign_in_of_before_a_change_is_valid(restored: Restored, act: str) -> None:
    people = restored.hub.store.people
    people.update(replace(restored.person(OTTO), totp="sealed"))
    assert restored.repeat((act, {"login": OTTO})) == Repeated(1, 0, (), (OTTO,))
    otto = restored.person(OTTO)
    assert (otto.password, otto.totp, otto.passkeys) == ("", "", ())
    assert restored.last("person.credentials_end") == {"login": OTTO}


def test_a_second_factor_that_was_added_is_listed(restored: Restored) -> None:
    assert restored.repeat(("person.second_factor", {"login": OTTO})) == Repeated(0, 0, (1,), ())


def test_who_was_removed_after_a_change_of_the_password_is_not_listed(restored: Restored) -> None:
    acts = [(act, {"login": OTTO}) for act in ("person.password", "person.remove")]
    assert restored.repeat(*acts) == Repeated(2, 0, (), ())


@pytest.mark.parametrize(
    ("after", "left", "listed"),
    [
        ({Role.REVIEWER}, {Role.REVIEWER}, False),
        ({Role.AUDITOR}, {Role.AUDITOR}, False),
        ({Role.REVIEWER, Role.AUDITOR}, {Role.REVIEWER}, True),
    ],
)
def test_roles_are_taken_away_and_none_is_given_beside_a_former_one(
    restored: Restored, after: set[Role], left: set[Role], listed: bool
) -> None:
    done = restored.repeat(("person.roles", {"login": OTTO, "roles": sorted(after), "before": []}))
    assert restored.person(OTTO).roles == left
    assert done == Repeated(1, 0, (1,) if listed else (), ())


@pytest.mark.parametrize(
    ("act", "more"),
    [("person.remove", {}), ("person.disable", {}), ("person.roles", {"roles": ["reviewer"]})],
)
def test_the_last_operator_of_the_backup_stays_without_a_password(
    restored: Restored, act: str, more: dict[str, Any]
) -> None:
    done = restored.repeat(("person.remove", {"login": ANN}), (act, {"login": OTTO} | more))
    assert restored.person(OTTO).password == ""
    assert done == Repeated(2, 0, (2,), (OTTO,))


def test_an_invitation_that_was_cancelled_is_cancelled_again(restored: Restored) -> None:
    invite(restored.runtime, "new@hub.example", "", ("auditor",))
    [invitation] = restored.hub.store.people.list_invitations()
    ended = ("person.invite_end", {"invitation": invitation.id[:16]})
    assert restored.repeat(ended, ended) == Repeated(1, 1, (), ())
    assert restored.hub.store.people.list_invitations() == []


def test_an_agreement_that_was_ended_is_ended_again(restored: Restored) -> None:
    agreements, green = restored.hub.services.agreements, restored.hub.collection("green").id
    terms = Agreement("", "acme", frozenset({green}), starts=agreements.now())
    added = agreements.add(terms, "jane")
    what = {"agreement": added.id, "partner": "acme", "reason": "not renewed"}
    assert restored.repeat(("agreement.end", what)) == Repeated(1, 0, (), ())
    [ended] = restored.hub.store.agreements.list_of("acme")
    assert ended.recorded is AgreementState.ENDED


def test_rights_that_a_partner_lost_are_taken_again(restored: Restored) -> None:
    partners = Partners(restored.hub.store)
    account = {"account": "acme", "marking": "tlp2", "disabled": True}
    account |= {"read": ["clear", "green"], "write": []}
    change = ("partner.change", {"partner": "acme", "fields": [], "accounts": [account]})
    assert restored.repeat(change) == Repeated(1, 0, (), ())
    acme = partners.require_account("acme")
    assert acme.disabled and len(acme.reads) == 2 and not acme.writes


def test_rights_that_a_partner_got_are_listed(restored: Restored) -> None:
    partners = Partners(restored.hub.store)
    partners.change("acme", PartnerChange(reads=["clear"], disabled=True), "jane")
    account = {"account": "acme", "marking": "tlp2", "disabled": False}
    account |= {"read": ["clear", "green"], "write": ["inbox", "scratch"]}
    change = ("partner.change", {"partner": "acme", "fields": [], "accounts": [account]})
    assert restored.repeat(change) == Repeated(1, 0, (1,), ())
    acme = partners.require_account("acme")
    assert acme.disabled and len(acme.reads) == 1


@pytest.mark.slow
def test_a_removed_partner_is_removed_again(restored: Restored) -> None:
    restored.hub.push(indicator("evil.top"))
    what = {"partner": "acme", "reason": "left"}
    assert restored.repeat(("partner.remove", what)) == Repeated(1, 0, (), ())
    assert restored.hub.store.accounts.find_partner("acme") is None
    assert [each["revoked"] for each in restored.hub.feed("green", who="north")] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("newer", [[], ["indicator--7f7e6d5c-0000-4000-8000-000000000000"]])
def test_a_withdrawal_is_repeated_and_listed_if_it_was_of_newer_objects_too(
    restored: Restored, newer: list[str]
) -> None:
    sent = indicator("evil.top")
    restored.hub.push(sent)
    [published] = restored.hub.feed("green")
    what = {"partner": "acme", "ids": [published["id"], *newer], "reason": "wrong"}
    done = restored.repeat(("partner.withdraw", what))
    assert done == Repeated(1, 0, (1,) if newer else (), ())
    assert restored.hub.feed("green")[0]["revoked"]
    assert restored.hub.verdicts(restored.hub.push(sent)) == ["refused"]


def test_an_entry_of_another_version_is_listed_and_the_others_are_repeated(
    restored: Restored,
) -> None:
    done = restored.repeat(
        ("person.roles", {"login": ANN, "roles": ["herald"]}),
        ("key.revoke", {}),
        ("person.remove", {"login": OTTO}),
    )
    assert restored.person(OTTO) is None
    assert done.left == (1, 2)
