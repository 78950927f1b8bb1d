"""Who shares, what waits for a reviewer, and what partners have contributed."""

from dataclasses import replace

import pytest
from support.presence import present
from support.stored_values import public, review

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.model import Consent, Tlp
from tocsin.server.model import Account, ArrivedIds, Partner
from tocsin.server.store import Store


class TestPeople:
    ACME = Partner(
        "acme", "ACME", "US", ("energy",), ("acme.com",), Consent.USG, Tlp.GREEN, Tlp.AMBER_STRICT
    )
    BOT = Account("acme-bot", "acme", frozenset({"a"}), frozenset({"b", "c"}))

    def test_partners_are_kept_by_slug(self, store: Store) -> None:
        other = Partner("aaa", "Triple A")
        store.accounts.add_partner(self.ACME)
        store.accounts.add_partner(other)
        assert store.accounts.find_partner("acme") == self.ACME
        assert store.accounts.find_partner("nobody") is None
        assert store.accounts.list_partners() == [other, self.ACME]

    def test_a_partner_is_changed_only_by_changing_it(self, store: Store) -> None:
        store.accounts.add_partner(self.ACME)
        with pytest.raises(Conflict, match="acme"):
            store.accounts.add_partner(replace(self.ACME, name="Other"))
        store.accounts.update_partner(replace(self.ACME, name="Other"))
        assert present(store.accounts.find_partner("acme")).name == "Other"
        with pytest.raises(NotFound, match="nobody"):
            store.accounts.update_partner(Partner("nobody", "Nobody"))

    def test_accounts_are_kept_by_name(self, store: Store) -> None:
        operator = Account("operator", "", operator=True)
        store.accounts.add_account(self.BOT)
        store.accounts.add_account(operator)
        assert store.accounts.find_account("acme-bot") == self.BOT
        assert store.accounts.find_account("nobody") is None
        assert store.accounts.list_accounts() == [self.BOT, operator]
        assert store.accounts.list_accounts("acme") == [self.BOT]

    def test_an_account_is_changed_only_by_changing_it(self, store: Store) -> None:
        store.accounts.add_account(self.BOT)
        with pytest.raises(Conflict, match="acme-bot"):
            store.accounts.add_account(self.BOT)
        store.accounts.update_account(replace(self.BOT, disabled=True))
        assert present(store.accounts.find_account("acme-bot")).disabled
        with pytest.raises(NotFound, match="nobody"):
            store.accounts.update_account(Account("nobody", ""))

    def test_a_key_opens_its_account_until_it_is_revoked(self, store: Store) -> None:
        store.accounts.add_account(self.BOT)
        for digest in ("2" * 64, "1" * 64):
            store.accounts.add_key("acme-bot", digest)
        assert store.accounts.find_account_by_credential("1" * 64) == self.BOT
        assert store.accounts.list_keys("acme-bot") == ["1" * 64, "2" * 64]
        store.accounts.revoke_key("1" * 64)
        assert store.accounts.find_account_by_credential("1" * 64) is None
        assert store.accounts.find_account_by_credential("2" * 64) == self.BOT

    def test_a_key_needs_an_account_of_its_own(self, store: Store) -> None:
        with pytest.raises(NotFound):
            store.accounts.add_key("acme-bot", "1" * 64)
        store.accounts.add_account(self.BOT)
        store.accounts.add_key("acme-bot", "1" * 64)
        with pytest.raises(Conflict):
            store.accounts.add_key("acme-bot", "1" * 64)
        with pytest.raises(NotFound):
            store.accounts.revoke_key("2" * 64)


class TestReviews:
    def test_wait_until_they_are_decided(self, store: Store) -> None:
        asked = [review(3), review(1, "other"), review(2)]
        store.commit(lambda txn: txn.reviews.add(asked))
        assert [found.id for found in store.reviews.list_waiting()] == [
            "review-1",
            "review-2",
            "review-3",
        ]
        assert store.reviews.list_waiting("other") == [review(1, "other")]
        assert [found.id for found in store.reviews.list_waiting(most=2)] == [
            "review-1",
            "review-2",
        ]
        decided = store.commit(lambda txn: txn.reviews.decide("review-3", "released"))
        at = decided.decided_at
        without_object = replace(review(3, state="released"), object=b"", decided_at=at)
        assert decided == without_object == store.reviews.find("review-3")
        assert store.reviews.list_waiting("acme") == [review(2)]

    def test_of_one_submission_have_one_order_whatever_their_ids(self, store: Store) -> None:
        indexes = []
        for names in ("abcdef", "fedcba"):
            for index, name in enumerate(names):
                asked = review(7, names, id=f"{names}-{name}", index=index)
                store.commit(lambda txn, one=asked: txn.reviews.add([one]))  # type: ignore[misc]
            indexes.append([each.index for each in store.reviews.list_waiting(names)])
        assert indexes[0] == indexes[1]
        assert sorted(indexes[0]) == list(range(6)) != indexes[0]

    def test_are_decided_once(self, store: Store) -> None:
        store.commit(lambda txn: txn.reviews.add([review()]))
        store.commit(lambda txn: txn.reviews.decide("review-1", "rejected"))
        with pytest.raises(Conflict, match="rejected already"):
            store.commit(lambda txn: txn.reviews.decide("review-1", "released"))
        with pytest.raises(NotFound):
            store.commit(lambda txn: txn.reviews.decide("review-9", "released"))
        assert store.reviews.find("review-9") is None

    def test_are_found_by_what_they_wait_for(self, store: Store) -> None:
        waiting = [
            review(1, waits_for=("a", "b")),
            review(2, waits_for=("b",)),
            review(3, waits_for=("b",), state="released"),
            review(4, "other", waits_for=("b",)),
        ]
        store.commit(lambda txn: txn.reviews.add(waiting))
        assert (
            store.reviews.list_waiting_for(ArrivedIds("acme", frozenset("bz")), lambda each: each)
            == waiting[:2]
        )
        assert (
            store.reviews.list_waiting_for(ArrivedIds("acme", frozenset("a")), lambda each: each)
            == waiting[:1]
        )
        assert store.reviews.list_waiting_for(ArrivedIds("acme"), lambda each: each) == []


class TestPublicObjects:
    @pytest.mark.slow
    def test_are_kept_with_their_contributions(self, store: Store) -> None:
        kept = {p.id: p for p in (public(i, "acme", "other") for i in range(250))}
        store.commit(lambda txn: txn.put_public_objects(kept.values()))
        found = store.commit(lambda txn: txn.public_objects([*kept, "public--none"]))
        assert found == kept

    def test_the_latest_takes_the_place_of_the_former(self, store: Store) -> None:
        store.commit(lambda txn: txn.put_public_objects([public(1, "acme"), public(2)]))
        changed = replace(public(1), revoked=True, modified=9)
        store.commit(lambda txn: txn.put_public_objects([changed, public(3)]))
        found = store.commit(lambda txn: txn.public_objects([f"public--{i}" for i in (1, 2, 3)]))
        assert list(found.values()) == [changed, public(2), public(3)]

    def test_the_newest_public_id_of_a_source_counts(self, store: Store) -> None:
        many = {f"source--{i}": f"public--{i}" for i in range(300)}
        store.commit(lambda txn: txn.add_public_ids("acme", "s1", many))
        store.commit(lambda txn: txn.add_public_ids("acme", "s2", {"source--7": "public--new"}))
        store.commit(lambda txn: txn.add_public_ids("other", "s3", {"source--7": "public--other"}))
        asked = ["source--7", "source--8", "source--none"]
        assert store.commit(lambda txn: txn.find_public_ids("acme", asked)) == {
            "source--7": "public--new",
            "source--8": "public--8",
        }
        assert store.commit(lambda txn: txn.find_public_ids("acme", many)) == many | {
            "source--7": "public--new"
        }
