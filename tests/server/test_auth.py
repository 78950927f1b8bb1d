"""Who is asking, and what may they do (TAXII 2.1 sections 1.6.9, 5 and 8.2.2)."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from support.taxii_hub import GREEN, HIDDEN, INBOX, SCRATCH, People, basic

from tocsin.admission.errors import NotAllowed, NotAuthenticated, NotFound
from tocsin.server import auth
from tocsin.server.model import (
    Account,
    MarkingScheme,
    Submission,
)
from tocsin.server.person import Person, Role

EVERYTHING = frozenset(c.id for c in (GREEN, SCRATCH, INBOX))
ROBOT = Account("robot", "acme", reads=EVERYTHING, writes=EVERYTHING)
OPERATOR = Account("operator", "", operator=True)
KEY = "robot-key"
SHELVES = [GREEN, SCRATCH, INBOX, HIDDEN]


@pytest.fixture
def people() -> Any:
    people = People()
    people.add(ROBOT)
    people.add(OPERATOR)
    return people


@pytest.mark.parametrize(
    "header",
    [
        basic("robot", KEY),
        basic("acme", KEY),
        basic("acme", f"acme:{KEY}"),
        basic("robot", f"acme:{KEY}"),
        basic("robot", KEY).replace("Basic", "bAsIc"),
        f"Bearer {KEY}",
        f"Bearer robot:{KEY}",
        f"bearer  acme:{KEY} ",
        f"Token {KEY}",
    ],
)
def test_3_1_a_key_is_accepted_in_every_form(people: Any, header: Any) -> None:
    assert auth.authenticate(header, people) == ROBOT


@pytest.mark.parametrize("secret", ["with:colon:inside", "pässwörter-✓", ":", "a:"])
def test_3_1_secrets_may_contain_colons_and_any_letters(people: Any, secret: str) -> None:
    people.by_digest[auth.hash_secret(secret)] = ROBOT
    assert auth.authenticate(basic("acme", secret), people) == ROBOT


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(KEY.encode()).decode(),
        basic("robot", "wrong"),
        basic("nobody", "wrong"),
        basic("other", KEY),
        basic("", KEY),
        basic("", "operator-key"),
        basic("robot", ""),
        basic("robot", f"other:{KEY}"),
        basic("other", f"robot:{KEY}"),
        "Bearer",
        "Bearer wrong",
        f"Bearer other:{KEY}",
        f"Bearer :{KEY}",
        f"Digest {KEY}",
        KEY,
    ],
)
def test_3_3_every_wrong_credential_gets_the_same_error(people: Any, header: Any) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        auth.authenticate(header, people)
    with pytest.raises(NotAuthenticated) as usual:
        auth.authenticate(basic("nobody", "wrong"), people)
    assert str(refusal.value) == str(usual.value)


@pytest.mark.parametrize("secret", ["wrong", "acme:wrong"])
def test_3_10_an_unknown_account_costs_the_same_look_ups_as_a_wrong_secret(
    people: Any, secret: str
) -> None:
    asked = []
    for name in ("robot", "nobody"):
        before = people.asked
        with pytest.raises(NotAuthenticated):
            auth.authenticate(basic(name, secret), people)
        asked.append(people.asked - before)
    assert asked[0] == asked[1] > 0


def test_3_3_a_disabled_account_is_refused(people: Any) -> None:
    people.add(replace(ROBOT, disabled=True))
    with pytest.raises(NotAuthenticated):
        auth.authenticate(basic("robot", KEY), people)


PRINT = auth.certificate_fingerprint(b"a certificate")


@pytest.fixture
def certified(people: Any) -> Any:
    people.by_digest[PRINT] = ROBOT
    return people


def test_3_2_a_registered_certificate_authenticates_without_a_header(certified: Any) -> None:
    assert auth.authenticate(None, certified, PRINT) == ROBOT
    assert auth.authenticate("Bearer operator-key", certified, PRINT) == OPERATOR
    for header in ("", "Bearer wrong"):
        with pytest.raises(NotAuthenticated):
            auth.authenticate(header, certified, PRINT)


def test_1_8_a_certificate_without_an_enabled_account_is_refused(certified: Any) -> None:
    with pytest.raises(NotAuthenticated):
        auth.authenticate(None, certified, auth.certificate_fingerprint(b"another"))
    certified.by_digest[PRINT] = replace(ROBOT, disabled=True)
    with pytest.raises(NotAuthenticated):
        auth.authenticate(None, certified, PRINT)


def test_a_certificate_fingerprint_is_not_accepted_as_a_secret(certified: Any) -> None:
    for secret in (PRINT, "a certificate"):
        with pytest.raises(NotAuthenticated):
            auth.authenticate(f"Bearer {secret}", certified)


@pytest.mark.parametrize("scheme", auth.AuthScheme)
def test_3_2_a_disabled_scheme_is_neither_accepted_nor_advised(certified: Any, scheme: Any) -> None:
    shown = {
        "basic": (basic("robot", KEY), ""),
        "bearer": (f"Bearer {KEY}", ""),
        "certificate": (None, PRINT),
    }[scheme]
    assert auth.authenticate(shown[0], certified, shown[1], {scheme}) == ROBOT
    others = set(auth.AuthScheme) - {scheme}
    with pytest.raises(NotAuthenticated) as refusal:
        auth.authenticate(shown[0], certified, shown[1], others)
    advice = {
        "basic": "HTTP Basic",
        "bearer": "as Bearer",
        "certificate": "use a registered client certificate",
    }
    assert [name for name, words in advice.items() if words not in str(refusal.value)] == [scheme]


def rights(account: Any, collection: Any) -> Any:
    asked = (auth.may_see, auth.may_read, auth.may_write, auth.may_delete)
    return "".join(
        letter if may(account, collection) else "-"
        for letter, may in zip("srwd", asked, strict=True)
    )


@pytest.mark.parametrize(
    ("collection", "expected"), [(GREEN, "sr--"), (INBOX, "s-w-"), (SCRATCH, "srwd")]
)
def test_no_grant_overrides_what_a_collection_kind_forbids(collection: Any, expected: str) -> None:
    assert rights(ROBOT, collection) == expected


@pytest.mark.parametrize(
    ("collection", "expected"), [(GREEN, "sr--"), (INBOX, "s---"), (SCRATCH, "srwd")]
)
def test_the_operator_reads_feeds_and_writes_verbatim_collections(
    collection: Any, expected: str
) -> None:
    assert rights(OPERATOR, collection) == expected


def test_an_operator_may_be_given_an_inbox() -> None:
    assert rights(replace(OPERATOR, writes=frozenset({INBOX.id})), INBOX) == "s-w-"


def test_9_9_a_grant_without_effect_makes_a_collection_visible_only() -> None:
    listed = Account("listed", "acme", reads=frozenset({INBOX.id}))
    assert rights(listed, INBOX) == "s---"


def test_without_a_grant_no_collection_is_visible() -> None:
    assert rights(Account("blind", "acme"), SCRATCH) == "----"


@pytest.mark.parametrize(
    ("reads", "writes", "refusal"),
    [(False, False, NotFound), (True, False, NotAllowed), (False, True, NotAllowed)],
)
def test_3_8_deleting_needs_both_rights(reads: bool, writes: bool, refusal: Any) -> None:
    none: frozenset[str] = frozenset()
    grant = frozenset({SCRATCH.id})
    account = Account("x", "acme", grant if reads else none, grant if writes else none)
    with pytest.raises(refusal):
        auth.find_deletable(account, SHELVES, "scratch")


def test_3_8_with_both_rights_deleting_is_allowed() -> None:
    assert auth.find_deletable(ROBOT, SHELVES, "scratch") == SCRATCH


def test_3_8_deleting_without_either_right_is_not_found() -> None:
    with pytest.raises(NotFound):
        auth.find_deletable(OPERATOR, SHELVES, "inbox")


@pytest.mark.parametrize("choose", [auth.find_readable, auth.find_writable, auth.find_deletable])
def test_3_10_hidden_and_unknown_collections_get_the_same_error(choose: Any) -> None:
    texts = set()
    for name in ("hidden", HIDDEN.id, "never-was", ""):
        with pytest.raises(NotFound) as refusal:
            choose(ROBOT, SHELVES, name)
        texts.add(str(refusal.value))
    assert len(texts) == 1


@pytest.mark.parametrize("name", ["green", "scratch", "inbox"])
def test_a_collection_that_may_be_seen_is_read_and_written_only_with_that_right(name: str) -> None:
    nothing: frozenset[str] = frozenset()
    reader, writer = replace(ROBOT, writes=nothing), replace(ROBOT, reads=nothing)
    for account, choose in ((writer, auth.find_readable), (reader, auth.find_writable)):
        with pytest.raises(NotAllowed):
            choose(account, SHELVES, name)
    for choose, taken in ((auth.find_readable, "inbox"), (auth.find_writable, "green")):
        if name == taken:  # nobody reads an inbox or writes to a feed
            with pytest.raises(NotAllowed):
                choose(ROBOT, SHELVES, name)
        else:
            assert choose(ROBOT, SHELVES, name).alias == name


def test_tlp_1_is_shown_to_who_asked_for_it_and_never_in_a_verbatim_collection() -> None:
    old = replace(ROBOT, marking=MarkingScheme.TLP1)
    shown = [each.alias for each in SHELVES if auth.sees_tlp1(old, each)]
    assert shown == ["green", "inbox"]
    assert not any(auth.sees_tlp1(ROBOT, each) for each in SHELVES)


def test_9_2_collections_are_listed_by_id() -> None:
    assert auth.visible_collections(OPERATOR, SHELVES) == [GREEN, SCRATCH, INBOX, HIDDEN]
    assert auth.visible_collections(ROBOT, reversed(SHELVES)) == [GREEN, SCRATCH, INBOX]


def test_an_id_takes_precedence_over_an_equal_alias() -> None:
    impostor = replace(SCRATCH, alias=GREEN.id)
    assert auth.find_collection(ROBOT, [impostor, GREEN], GREEN.id) == GREEN


def test_3_13_a_status_is_readable_by_its_partner_and_the_operator() -> None:
    sent = Submission("id", "robot", "acme", INBOX.id, 0, 1)
    assert auth.may_read_status(replace(ROBOT, name="colleague"), sent)
    assert auth.may_read_status(OPERATOR, sent)
    assert not auth.may_read_status(replace(ROBOT, partner="rival"), sent)


def test_3_13_submissions_of_the_operator_are_readable_by_nobody_else() -> None:
    sent = Submission("id", "operator", "", SCRATCH.id, 0, 1)
    assert not auth.may_read_status(Account("stray", ""), sent)


class Known:
    """The account `robot` of acme, and people by login."""

    def __init__(self, robot: Account, *people: Person) -> None:
        self.accounts = self.people = self
        self._robot, self._people = robot, {each.login: each for each in people}

    def find_account(self, name: str) -> Account | None:
        return self._robot if name == self._robot.name else None

    def list_accounts(self, partner: str) -> list[Account]:
        return [self._robot] if partner == self._robot.partner else []

    def find_by_login(self, login: str) -> Person | None:
        return self._people.get(login)


JANE = Person("1", "jane@acme.example", "Jane", "acme", frozenset({Role.ANALYST}))


def test_the_sender_of_a_submission_is_an_account_or_a_person_with_the_accounts_rights() -> None:
    known = Known(ROBOT, JANE)
    assert auth.find_sender(known, "robot") == ROBOT
    found = auth.find_sender(known, JANE.login)
    assert found == Account(JANE.login, "acme", reads=EVERYTHING, writes=EVERYTHING)
    assert auth.find_sender(known, "nobody") is None


def test_a_person_who_is_locked_out_or_whose_accounts_are_is_a_disabled_sender() -> None:
    locked_out = Known(ROBOT, replace(JANE, disabled=True))
    for known in (locked_out, Known(replace(ROBOT, disabled=True), JANE)):
        found = auth.find_sender(known, JANE.login)
        assert found is not None and found.disabled


def test_a_sender_writes_only_as_long_as_the_right_is_there() -> None:
    [inbox, *_] = EVERYTHING
    for robot in (ROBOT, replace(ROBOT, writes=EVERYTHING - {inbox})):
        for sender in (robot, auth.find_sender(Known(robot, JANE), JANE.login)):
            assert sender is not None
            assert auth.may_still_write(sender, inbox) is (robot is ROBOT)
    viewer = replace(JANE, roles=frozenset({Role.VIEWER}))
    found = auth.find_sender(Known(ROBOT, viewer), JANE.login)
    assert found is not None and not auth.may_still_write(found, inbox)
    assert auth.may_still_write(replace(ROBOT, operator=True, writes=frozenset()), inbox)
