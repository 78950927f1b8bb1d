"""Who shares, what waits for an analyst, and what partners have contributed."""

from dataclasses import replace

import pytest

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.model import Consent, Contribution, Tlp
from tocsin.server.model import (
    Account,
    ArrivedIds,
    Partner,
    PublicObject,
    Review,
    ReviewKind,
)


def review(number: int = 1, partner: str = "acme", **changes: object) -> Review:
    kept = Review(
        f"review-{number}", ReviewKind.ASKED, "submission", 0, partner, f"report--{number}", number,
        object=b"{}", rules=("person_names",), findings=({"rule": "person_names"},),
    )  # fmt: skip
    return replace(kept, **changes)  # type: ignore[arg-type]


def public(number: int = 1, *partners: str) -> PublicObject:
    contributions = tuple(
        Contribution(p, f"indicator--{number}", "v", 5, Tlp.GREEN, "green", {"n": [number, None]})
        for p in partners
    )
    return PublicObject(
        f"public--{number}", 1, 2, b"d" * 16, Tlp.AMBER_STRICT, "amber+strict", contributions
    )


class TestPeople:
    ACME = Partner(
        "acme", "ACME", "US", ("energy",), ("acme.com",), Consent.USG, Tlp.GREEN, Tlp.AMBER_STRICT
    )
    BOT = Account("acme-bot", "acme", frozenset({"a"}), frozenset({"b", "c"}))

    def test_partners_are_kept_by_slug(self, store):
        other = Partner("aaa", "Triple A")
        store.people.add_partner(self.ACME)
        store.people.add_partner(other)
        assert store.people.partner("acme") == self.ACME
        assert store.people.partner("nobody") is None
        assert store.people.partners() == [other, self.ACME]

    def test_a_partner_is_changed_only_by_changing_it(self, store):
        store.people.add_partner(self.ACME)
        with pytest.raises(Conflict, match="acme"):
            store.people.add_partner(replace(self.ACME, name="Other"))
        store.people.update_partner(replace(self.ACME, name="Other"))
        assert store.people.partner("acme").name == "Other"
        with pytest.raises(NotFound, match="nobody"):
            store.people.update_partner(Partner("nobody", "Nobody"))

    def test_accounts_are_kept_by_name(self, store):
        operator = Account("operator", "", operator=True)
        store.people.add_account(self.BOT)
        store.people.add_account(operator)
        assert store.people.account("acme-bot") == self.BOT
        assert store.people.account("nobody") is None
        assert store.people.accounts() == [self.BOT, operator]
        assert store.people.accounts("acme") == [self.BOT]

    def test_an_account_is_changed_only_by_changing_it(self, store):
        store.people.add_account(self.BOT)
        with pytest.raises(Conflict, match="acme-bot"):
            store.people.add_account(self.BOT)
        store.people.update_account(replace(self.BOT, disabled=True))
        assert store.people.account("acme-bot").disabled
        with pytest.raises(NotFound, match="nobody"):
            store.people.update_account(Account("nobody", ""))

    def test_a_key_opens_its_account_until_it_is_revoked(self, store):
        store.people.add_account(self.BOT)
        for digest in ("2" * 64, "1" * 64):
            store.people.add_key("acme-bot", digest)
        assert store.people.account_of("1" * 64) == self.BOT
        assert store.people.keys_of("acme-bot") == ["1" * 64, "2" * 64]
        store.people.revoke_key("1" * 64)
        assert store.people.account_of("1" * 64) is None
        assert store.people.account_of("2" * 64) == self.BOT

    def test_a_key_needs_an_account_of_its_own(self, store):
        with pytest.raises(NotFound):
            store.people.add_key("acme-bot", "1" * 64)
        store.people.add_account(self.BOT)
        store.people.add_key("acme-bot", "1" * 64)
        with pytest.raises(Conflict):
            store.people.add_key("acme-bot", "1" * 64)
        with pytest.raises(NotFound):
            store.people.revoke_key("2" * 64)


class TestReviews:
    def test_wait_until_they_are_decided(self, store):
        asked = [review(3), review(1, "other"), review(2)]
        store.commit(lambda txn: txn.ask(asked))
        assert [found.id for found in store.reviews.waiting()] == [
            "review-1",
            "review-2",
            "review-3",
        ]
        assert store.reviews.waiting("other") == [review(1, "other")]
        decided = store.commit(lambda txn: txn.decide("review-3", "released"))
        assert decided == review(3, state="released") == store.reviews.find("review-3")
        assert store.reviews.waiting("acme") == [review(2)]

    def test_are_decided_once(self, store):
        store.commit(lambda txn: txn.ask([review()]))
        store.commit(lambda txn: txn.decide("review-1", "rejected"))
        with pytest.raises(Conflict, match="rejected already"):
            store.commit(lambda txn: txn.decide("review-1", "released"))
        with pytest.raises(NotFound):
            store.commit(lambda txn: txn.decide("review-9", "released"))
        assert store.reviews.find("review-9") is None

    def test_are_found_by_what_they_wait_for(self, store):
        waiting = [
            review(1, waits_for=("a", "b")),
            review(2, waits_for=("b",)),
            review(3, waits_for=("b",), state="released"),
            review(4, "other", waits_for=("b",)),
        ]
        store.commit(lambda txn: txn.ask(waiting))
        assert store.reviews.waiting_for(ArrivedIds("acme", frozenset("bz"))) == waiting[:2]
        assert store.reviews.waiting_for(ArrivedIds("acme", frozenset("a"))) == waiting[:1]
        assert store.reviews.waiting_for(ArrivedIds("acme")) == []


class TestPublicObjects:
    def test_are_kept_with_their_contributions(self, store):
        kept = {p.id: p for p in (public(i, "acme", "other") for i in range(250))}
        store.commit(lambda txn: txn.put(kept.values()))
        found = store.commit(lambda txn: txn.publics([*kept, "public--none"]))
        assert found == kept

    def test_the_latest_takes_the_place_of_the_former(self, store):
        store.commit(lambda txn: txn.put([public(1, "acme"), public(2)]))
        changed = replace(public(1), revoked=True, modified=9)
        store.commit(lambda txn: txn.put([changed, public(3)]))
        found = store.commit(lambda txn: txn.publics([f"public--{i}" for i in (1, 2, 3)]))
        assert list(found.values()) == [changed, public(2), public(3)]

    def test_the_newest_public_id_of_a_source_counts(self, store):
        many = {f"source--{i}": f"public--{i}" for i in range(300)}
        store.commit(lambda txn: txn.remember("acme", "s1", many))
        store.commit(lambda txn: txn.remember("acme", "s2", {"source--7": "public--new"}))
        store.commit(lambda txn: txn.remember("other", "s3", {"source--7": "public--other"}))
        asked = ["source--7", "source--8", "source--none"]
        assert store.commit(lambda txn: txn.sources("acme", asked)) == {
            "source--7": "public--new",
            "source--8": "public--8",
        }
        assert store.commit(lambda txn: txn.sources("acme", many)) == many | {
            "source--7": "public--new"
        }
