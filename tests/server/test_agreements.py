"""Rights to read and write under agreements."""

from dataclasses import replace

import pytest
from support.taxii_hub import GREEN, HIDDEN, INBOX, SCRATCH

from tocsin.admission.markings.audience import Audience
from tocsin.admission.model import Tlp
from tocsin.server import auth
from tocsin.server.agreements import PartnerAgreements, strictest_content
from tocsin.server.model import (
    Account,
    Agreement,
    AgreementState,
    Collection,
    CollectionKind,
    Partner,
    Submission,
    View,
)

EVERYTHING = frozenset(c.id for c in (GREEN, SCRATCH, INBOX))
ROBOT = Account("robot", "acme", reads=EVERYTHING, writes=EVERYTHING)
OPERATOR = Account("operator", "", operator=True)
SHELVES = [GREEN, SCRATCH, INBOX, HIDDEN]

NOON = 1_798_801_200_000_000
"""µs since 1970 UTC."""
AGREEMENT = Agreement("a", "acme", EVERYTHING, starts=NOON - 10, until=NOON, max_tlp=Tlp.AMBER)


def rights_at(
    now: int, *agreements: Agreement, account: Account = ROBOT, required: bool = False
) -> Account:
    """The rights that an account has at a time."""
    return PartnerAgreements(agreements, now, required=required).narrow(account, SHELVES)


@pytest.mark.parametrize(
    ("now", "reads"), [(NOON - 11, False), (NOON - 10, True), (NOON - 1, True), (NOON, False)]
)
def test_an_agreement_holds_from_its_begin_to_the_microsecond_before_its_end(
    now: int, reads: bool
) -> None:
    narrowed = rights_at(now, AGREEMENT)
    assert auth.may_read(narrowed, GREEN) is reads
    assert auth.may_write(narrowed, INBOX) is reads
    assert auth.may_list_submissions(narrowed) is reads


def test_without_an_agreement_in_force_no_collection_exists() -> None:
    ended = rights_at(NOON, AGREEMENT)
    assert auth.visible_collections(ended, SHELVES) == []
    own = Submission("s", "robot", "acme", INBOX.id, 0, 1)
    assert auth.may_read_status(rights_at(NOON - 1, AGREEMENT), own)
    assert not auth.may_read_status(ended, own)


def test_a_partner_without_agreements_keeps_its_rights_unless_one_is_required() -> None:
    assert rights_at(NOON) == ROBOT
    assert auth.visible_collections(rights_at(NOON, required=True), SHELVES) == []


def test_an_agreement_gives_no_right_that_the_account_lacks() -> None:
    poor = replace(ROBOT, reads=frozenset({GREEN.id}), writes=frozenset())
    narrowed = rights_at(NOON - 1, AGREEMENT, account=poor)
    assert (narrowed.reads, narrowed.writes) == (poor.reads, poor.writes)


def test_a_collection_that_no_agreement_in_force_names_does_not_exist() -> None:
    inbox = replace(AGREEMENT, collections=frozenset({INBOX.id}))
    later = replace(AGREEMENT, starts=NOON + 5, until=None)
    assert auth.visible_collections(rights_at(NOON - 1, inbox, later), SHELVES) == [INBOX]


def test_an_account_of_an_operator_is_not_bound() -> None:
    assert rights_at(NOON, AGREEMENT, account=OPERATOR, required=True) == OPERATOR


def test_an_agreement_whose_end_is_in_the_journal_stays_ended_if_the_clock_is_set_back() -> None:
    ended = replace(AGREEMENT, recorded=AgreementState.ENDED)
    assert auth.visible_collections(rights_at(NOON - 1, ended), SHELVES) == []


def test_several_agreements_give_together_what_each_of_them_gives() -> None:
    inbox = replace(AGREEMENT, collections=frozenset({INBOX.id}), max_tlp=Tlp.CLEAR)
    agreements = PartnerAgreements([AGREEMENT, replace(inbox, until=NOON + 5)], NOON - 1)
    assert agreements.highest_tlp(INBOX.id) is Tlp.AMBER
    assert agreements.until == NOON
    after = replace(agreements, now=NOON)
    assert after.highest_tlp(INBOX.id) is Tlp.CLEAR
    assert after.highest_tlp(GREEN.id) is None


FEED = Collection("f", "f", CollectionKind.FEED, "F", max_tlp=Tlp.GREEN)
AGGREGATE = Collection("g", "g", CollectionKind.AGGREGATE, "G", view=View((FEED.id, SCRATCH.id)))
CAPPED = replace(AGGREGATE, id="c", view=View((SCRATCH.id,), max_tlp=Tlp.GREEN))
KNOWN = {each.id: each for each in (FEED, AGGREGATE, CAPPED, SCRATCH, INBOX)}


@pytest.mark.parametrize(
    ("level", "readable"),
    [
        (Tlp.CLEAR, set()),
        (Tlp.GREEN, {"f", "c"}),
        (Tlp.AMBER, {"f", "c"}),
        (Tlp.AMBER_STRICT, {"f", "c", "g", SCRATCH.id}),
    ],
)
def test_what_may_hold_more_than_the_highest_level_is_not_read(
    level: Tlp, readable: set[str]
) -> None:
    every = frozenset(KNOWN)
    agreements = PartnerAgreements([replace(AGREEMENT, collections=every, max_tlp=level)], NOON - 1)
    account = agreements.narrow(replace(ROBOT, reads=every, writes=every), KNOWN.values())
    assert {id_ for id_, each in KNOWN.items() if auth.may_read(account, each)} == readable
    seen = {each.id for each in auth.visible_collections(account, KNOWN.values())}
    assert seen == readable | {INBOX.id, SCRATCH.id}


@pytest.mark.parametrize(
    ("partner", "seen"),
    [(Partner("acme", "Acme", "FR"), {"i"}), (Partner("acme", "Acme", "DE"), {"f", "g", "i"})],
)
def test_for_partners_that_a_feed_does_not_serve_it_and_its_views_do_not_exist(
    partner: Partner, seen: set[str]
) -> None:
    known = [replace(FEED, audience=Audience(frozenset({"DE"}))), AGGREGATE, replace(INBOX, id="i")]
    ids = frozenset(each.id for each in known)
    agreements = PartnerAgreements([], NOON, partner=partner)
    for reads, writes in ((ids, ids), (ids, frozenset[str]()), (frozenset[str](), ids)):
        account = agreements.narrow(replace(ROBOT, reads=reads, writes=writes), known)
        assert {each.id for each in auth.visible_collections(account, known)} == seen


def test_a_view_of_a_collection_that_is_gone_counts_as_the_strictest() -> None:
    assert strictest_content(AGGREGATE, {FEED.id: FEED}) is Tlp.RED
