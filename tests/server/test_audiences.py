"""Where a partner's data may go: feeds for some countries and sectors, and agreements."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import ManualClock, hub_extension, sighting
from support.examples import examples
from support.hub import AMBER, CLEAR, GREEN, HubInProcess, Object, details, indicator, sdo
from support.presence import present
from support.random_histories import LEVELS, posts
from support.two_worlds import VALUES, WATCH, Act, Pair, World, open_pair

from tocsin.admission.markings.audience import EVERYBODY, Audience
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros
from tocsin.config.settings import HubSettings
from tocsin.server.agreements import narrow_account
from tocsin.server.model import Agreement, AgreementState, Collection, CollectionKind, Partner, View
from tocsin.server.partners.administration import PartnerChange, Partners
from tocsin.server.partners.agreement_lifecycle import AgreementChange, AgreementLifecycle
from tocsin.server.store import Store
from tocsin.server.store.journal import JournalFilter

NOON = micros("2027-01-01T12:00:00.000000Z")
GERMAN, EUROPEAN = Audience(frozenset({"DE"})), Audience(frozenset({"DE", "FR"}))
ENERGY = Audience(sectors=frozenset({"energy"}))
FEEDS = {"german": GERMAN, "european": EUROPEAN, "energetic": ENERGY}
EVERY_FEED = ("clear", "green", "amber", *FEEDS)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON - 3_600_000_000)


@pytest.fixture
def hub(store: Store, clock: ManualClock, tmp_path: Path) -> HubInProcess:
    hub = HubInProcess(store, clock, settings=HubSettings(data=tmp_path))
    for alias, audience in FEEDS.items():
        add_feed(hub, alias, audience)
    hub.join(Partner("berlin", "Berlin Limited", "DE", ("energy",)), EVERY_FEED)
    hub.join(Partner("paris", "Paris Limited", "FR"), EVERY_FEED)
    hub.join(Partner("boston", "Boston Limited", "US", ("Energy",)), EVERY_FEED)
    return hub


def add_feed(hub: HubInProcess, alias: str, audience: Audience, level: Tlp = Tlp.AMBER) -> None:
    id_ = f"{len(alias):08}-1111-4111-8111-111111111111"
    kind = CollectionKind.FEED
    hub.store.feeds.add(Collection(id_, alias, kind, alias, max_tlp=level, audience=audience))
    hub.store.commit(hub.services.publisher.publish_own_objects)


def agree(hub: HubInProcess, audience: Audience, partner: str = "acme", **more: Any) -> Agreement:
    """Add an agreement over everything, which ends at noon unless something else is said."""
    named = frozenset(each.id for each in hub.store.feeds.collections())
    terms = {"starts": present(hub.clock)(), "until": NOON, "max_tlp": Tlp.AMBER_STRICT} | more
    new = Agreement("", partner, named, audience=audience, **terms)
    return hub.services.agreements.add(new, "operator:jane")


def placed(hub: HubInProcess) -> set[str]:
    """The feeds in which an indicator in force is, as an operator's queries would see them."""
    return {alias for alias in EVERY_FEED if in_force(hub, alias)}


def in_force(hub: HubInProcess, alias: str) -> list[Object]:
    return [each for each in stored(hub, alias, "last") if not each.get("revoked")]


def stored(hub: HubInProcess, alias: str, versions: str = "all") -> list[Object]:
    """The versions of indicators in a feed, whoever may read it."""
    reader = {"german": "berlin", "energetic": "berlin", "european": "paris"}.get(alias, "boston")
    query = {"match[version]": versions, "match[type]": "indicator"}
    return [each for each in hub.feed(alias, reader, **query) if each["type"] == "indicator"]


def readable(hub: HubInProcess, who: str) -> set[str]:
    listed = hub.ask("collections/", who).json["collections"]
    return {each["alias"] for each in listed if each["can_read"]}


def seen_by_others(hub: HubInProcess, who: str) -> int:
    """The number of a partner's objects that others reported too, as its people are shown it."""
    account, store = hub.store.accounts.find_account(who), hub.store
    assert account is not None
    rights = narrow_account(account, store.feeds.look(), present(hub.clock)(), required=False)
    return hub.services.statistics.value_returned(rights, who).seen_by_others


class TestFeeds:
    """A feed for the partners of some countries or sectors."""

    def test_only_partners_of_its_countries_and_sectors_may_know_of_it(
        self, hub: HubInProcess
    ) -> None:
        common = {"clear", "green", "amber"}
        assert readable(hub, "berlin") == common | {"german", "european", "energetic"}
        assert readable(hub, "paris") == common | {"european"}
        assert readable(hub, "boston") == common | {"energetic"}
        hidden = hub.ask("collections/german/objects/", "boston")
        nothing = hub.ask("collections/nothing/objects/", "boston")
        assert (hidden.status_code, hidden.text) == (404, nothing.text)

    def test_a_partner_that_moves_reads_what_it_may_from_the_next_request_on(
        self, hub: HubInProcess
    ) -> None:
        assert "european" in readable(hub, "paris")
        partner = replace(hub.store.accounts.require_partner("paris"), country="US")
        hub.store.accounts.update_partner(partner)
        assert "european" not in readable(hub, "paris")

    def test_a_view_of_it_serves_no_others(self, hub: HubInProcess) -> None:
        sources = hub.collection("green").id, hub.collection("european").id
        id_ = "99999999-1111-4111-8111-111111111111"
        view = Collection(id_, "both", CollectionKind.AGGREGATE, "Both", view=View(sources))
        hub.store.feeds.add(view)
        for slug in ("paris", "boston"):
            account = present(hub.store.accounts.find_account(slug))
            reads = account.reads | {id_}
            hub.store.accounts.update_account(replace(account, reads=reads))
        assert "both" in readable(hub, "paris")
        assert "both" not in readable(hub, "boston")

    def test_it_has_what_may_go_to_everybody(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        assert placed(hub) == {"green", "amber", "german", "european", "energetic"}


class TestPlaces:
    """An agreement that bounds where data may go."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("audience", "places"),
        [
            (EUROPEAN, {"german", "european"}),
            (GERMAN, {"german"}),
            (ENERGY, {"energetic"}),
        ],
    )
    def test_what_is_sent_is_only_in_feeds_whose_readers_are_all_allowed(
        self, hub: HubInProcess, audience: Audience, places: set[str]
    ) -> None:
        agree(hub, audience)
        assert hub.verdicts(hub.push(indicator())) == ["admitted"]
        assert placed(hub) == places

    def test_agreements_that_exclude_each_other_let_it_go_nowhere(self, hub: HubInProcess) -> None:
        agree(hub, GERMAN)
        agree(hub, Audience(frozenset({"FR"})))
        status = hub.push(indicator())
        assert hub.verdicts(status) == ["refused"]
        assert "no feed of this hub takes" in str(details(status))
        assert placed(hub) == set()

    def test_what_no_feed_takes_is_refused_at_the_lowest_level_too(self, hub: HubInProcess) -> None:
        agree(hub, Audience(frozenset({"ES"})))
        status = hub.push(indicator(object_marking_refs=[CLEAR]))
        assert hub.verdicts(status) == ["refused"]
        assert "serves only the countries and sectors" in str(details(status))

    def test_what_no_feed_takes_at_its_level_is_refused(self, hub: HubInProcess) -> None:
        add_feed(hub, "spanish-green", Audience(frozenset({"ES"})), Tlp.GREEN)
        agree(hub, Audience(frozenset({"ES"})))
        sent = [indicator(object_marking_refs=[each]) for each in (AMBER, GREEN)]
        assert hub.verdicts(hub.push(*sent)) == ["refused", "admitted"]

    @pytest.mark.slow
    def test_it_is_never_merged_with_what_others_may_read(self, hub: HubInProcess) -> None:
        agree(hub, EUROPEAN)
        hub.push(indicator("evil.top", name="First text", confidence=90))
        status = hub.push(indicator("evil.top", name="Second text"), who="north")
        assert hub.verdicts(status) == ["admitted"]
        [public] = in_force(hub, "green")
        assert public["name"] == "Second text"
        assert hub_extension(public)["contributors"] == 1
        names = [each["name"] for each in in_force(hub, "european")]
        assert sorted(names) == ["First text", "Second text"]

    def test_two_partners_with_the_same_bound_are_merged(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub, EUROPEAN, until=None)
        agree(hub, EUROPEAN, "north", until=None)
        hub.push(indicator("evil.top"))
        hub.push(indicator("evil.top"), who="north")
        clock.advance(days=1)
        hub.sweep()
        [*_, public] = in_force(hub, "european")
        assert hub_extension(public)["contributors"] == 2
        assert stored(hub, "green") == []

    @pytest.mark.parametrize("level", [CLEAR, GREEN])
    def test_a_sender_that_may_not_read_these_feeds_learns_of_no_other(
        self, hub: HubInProcess, level: str
    ) -> None:
        agree(hub, EUROPEAN)
        agree(hub, EUROPEAN, "north")
        sent = indicator("evil.top", object_marking_refs=[level])
        hub.push(sent)
        [entry] = details(hub.push(sent, who="north"))
        assert entry["x_tocsin_verdict"] == "admitted"
        assert "x_tocsin_public_id" not in entry

    @pytest.mark.slow
    def test_who_may_not_read_them_any_more_learns_no_figures_of_them(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.join(Partner("lyon", "Lyon Limited", "FR"), EVERY_FEED)
        for partner in ("lyon", "paris"):
            agree(hub, EUROPEAN, partner, until=None)
            hub.push(indicator("evil.top"), who=partner)
        clock.advance(days=1)
        hub.sweep()
        assert seen_by_others(hub, "lyon") == 1
        Partners(hub.store).change("lyon", PartnerChange({"country": "US"}), "operator")
        assert readable(hub, "lyon").isdisjoint(FEEDS)
        assert seen_by_others(hub, "lyon") == 0

    def test_only_indicators_can_be_bounded(self, hub: HubInProcess) -> None:
        agree(hub, EUROPEAN)
        address = {"type": "ipv4-addr", "spec_version": "2.1", "value": "45.12.1.2"}
        address |= {"id": "ipv4-addr--11111111-1111-4111-8111-111111111111"}
        others = [sdo("malware", is_family=False, name="m"), address]
        status = hub.push(indicator(), *others)
        assert hub.verdicts(status) == ["admitted", "refused", "refused"]
        assert "only indicators can be shared" in str(details(status)[1])

    def test_what_waited_goes_only_where_the_agreement_of_its_receipt_allowed_too(
        self, store: Store, clock: ManualClock, hub: HubInProcess
    ) -> None:
        waiting = msgspec.structs.replace(hub.settings, inline_objects=0)
        slow = HubInProcess(store, clock, settings=waiting, founded=True)
        agree(hub, GERMAN)
        clock.now = NOON - 1
        body = json.dumps({"objects": [indicator()]})
        slow.ask("collections/inbox/objects/", "acme", "POST", data=body)
        clock.now = NOON
        agree(hub, EUROPEAN, until=None)
        while slow.services.intake.work():
            pass
        assert placed(hub) == {"german"}

    def test_what_was_sent_before_can_be_taken_back(self, hub: HubInProcess) -> None:
        sent = sdo("malware", is_family=False, name="m")
        hub.push(sent)
        agree(hub, EUROPEAN)
        hub.push(sent | {"revoked": True, "modified": "2026-03-01T00:00:00.000Z"})
        [*_, last] = (each for each in hub.feed("green", "boston") if each["type"] == "malware")
        assert last["revoked"]

    def test_a_verbatim_collection_takes_nothing_of_it(self, hub: HubInProcess) -> None:
        agree(hub, EUROPEAN)
        status = hub.push(indicator(), to="scratch")
        assert hub.verdicts(status) == ["refused"]
        assert "send it to an inbox" in str(details(status))

    def test_others_can_refer_to_it_as_little_as_to_what_does_not_exist(
        self, hub: HubInProcess
    ) -> None:
        agree(hub, EUROPEAN)
        hub.push(indicator())
        [public] = in_force(hub, "european")
        unknown = {"id": "indicator--11111111-1111-4111-8111-111111111111"}
        found = [details(hub.push(sighting(each), who="paris"))[0] for each in (public, unknown)]
        assert [each["x_tocsin_verdict"] for each in found] == ["held", "held"]
        assert not [each for each in hub.feed("green", "boston") if each["type"] == "sighting"]

    @pytest.mark.slow
    def test_its_sender_does_not_refer_to_it_where_it_may_not_go(self, hub: HubInProcess) -> None:
        sent = indicator()
        report = sdo("report", name="r", published="2026-01-01T00:00:00Z", object_refs=[sent["id"]])
        waiting = hub.push(report | {"object_refs": [sent["id"], indicator()["id"]]})
        agreement = agree(hub, EUROPEAN)
        hub.push(sent)
        assert placed(hub) == {"german", "european"}
        hub.services.agreements.change(agreement.id, AgreementChange(audience=EVERYBODY), "o:j")
        later = hub.push({**report, "id": sdo("report")["id"]})
        assert hub.verdicts(waiting) == hub.verdicts(later) == ["held"]
        [public] = in_force(hub, "european")
        everything = hub.ask("collections/amber/objects/", "boston", query_string={"limit": 1000})
        assert public["id"] not in everything.text

    def test_a_copy_of_it_is_not_published_elsewhere(self, hub: HubInProcess) -> None:
        agree(hub, EUROPEAN)
        hub.push(indicator())
        [public] = in_force(hub, "european")
        status = hub.push(public, who="paris")
        assert hub.verdicts(status) == ["refused"]
        assert placed(hub) == {"german", "european"}

    @pytest.mark.slow
    def test_an_excluded_value_is_revoked_there_too(self, hub: HubInProcess) -> None:
        agree(hub, EUROPEAN)
        hub.push(indicator("evil.top"))
        assert hub.services.lifecycle.exclude("evil.top", "operator:jane", "wrong")[1] == 1
        assert placed(hub) == set()


class TestEnds:
    """When the agreement ends or changes."""

    def versions(self, hub: HubInProcess) -> list[Object]:
        return stored(hub, "european")

    @pytest.mark.slow
    def test_at_its_end_feeds_no_longer_have_what_it_allowed(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agreement = agree(hub, EUROPEAN)
        sent = indicator(name="Secret of acme")
        hub.push(sent)
        hub.push(sent | {"name": "Another secret", "modified": "2026-03-01T00:00:00.000Z"})
        assert len(self.versions(hub)) == 2
        clock.now = NOON
        assert hub.services.agreements.work()
        assert placed(hub) == set()
        [left] = self.versions(hub)
        assert left["revoked"] and "ecret" not in str(left)
        [entry] = hub.store.journal.search(JournalFilter(action="agreement.withdraw"))
        assert (entry.details["agreement"], entry.details["count"]) == (agreement.id, 1)
        assert not hub.services.agreements.work()

    @pytest.mark.slow
    @pytest.mark.parametrize("with_others", [True, False])
    def test_under_the_next_agreement_it_is_taken_again_whoever_else_reports_it(
        self, hub: HubInProcess, clock: ManualClock, with_others: bool
    ) -> None:
        agree(hub, EUROPEAN)
        agree(hub, EUROPEAN, "north", until=None)
        sent = indicator()
        if with_others:
            hub.push(indicator(), who="north")
        first = hub.verdicts(hub.push(sent))
        clock.now = NOON
        while hub.services.agreements.work():
            pass
        assert placed(hub) == ({"german", "european"} if with_others else set())
        agree(hub, EUROPEAN, until=None)
        again = hub.verdicts(hub.push(sent))
        assert first == again == ["admitted"]
        assert placed(hub) == {"german", "european"}

    @pytest.mark.slow
    def test_what_others_may_read_stays(self, hub: HubInProcess, clock: ManualClock) -> None:
        hub.push(indicator("before.top"))
        agree(hub, EUROPEAN)
        hub.push(indicator("evil.top"))
        hub.push(indicator("evil.top"), who="north")
        clock.now = NOON
        hub.services.agreements.work()
        patterns = {each["pattern"] for each in in_force(hub, "european")}
        assert patterns == {f"[domain-name:value = '{n}.top']" for n in ("before", "evil")}

    @pytest.mark.slow
    def test_another_agreement_that_allows_the_same_keeps_it(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub, GERMAN)
        agree(hub, EUROPEAN, starts=NOON, until=None)
        hub.push(indicator())
        clock.now = NOON
        hub.services.agreements.work()
        assert placed(hub) == {"german"}
        assert not hub.services.agreements.work()

    @pytest.mark.slow
    def test_a_narrower_change_withdraws_what_it_does_not_allow(self, hub: HubInProcess) -> None:
        agreement = agree(hub, EUROPEAN)
        sent = indicator()
        hub.push(sent)
        hub.services.agreements.change(agreement.id, AgreementChange(audience=GERMAN), "o:j")
        hub.services.agreements.work()
        assert placed(hub) == set()
        hub.push({**sent, "id": indicator()["id"]})
        assert placed(hub) == {"german"}
        assert not in_force(hub, "european")

    def test_a_wider_change_keeps_it_where_it_is(self, hub: HubInProcess) -> None:
        agreement = agree(hub, GERMAN)
        hub.push(indicator())
        hub.services.agreements.change(agreement.id, AgreementChange(audience=EVERYBODY), "o:j")
        hub.services.agreements.work()
        assert placed(hub) == {"german"}
        [entry] = hub.store.journal.search(JournalFilter(action="agreement.change"))
        assert entry.details["raises"] == ["audience"]

    @pytest.mark.slow
    def test_what_another_partner_reported_for_the_same_readers_stays_without_it(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub, EUROPEAN)
        agree(hub, EUROPEAN, "north", until=None)
        hub.push(indicator("evil.top", name="First text"))
        hub.push(indicator("evil.top", name="Second text"), who="north")
        clock.now = NOON
        hub.services.agreements.work()
        [left] = self.versions(hub)
        assert left["name"] == "Second text" and "First" not in str(left)

    @pytest.mark.slow
    def test_a_withdrawal_that_was_interrupted_goes_on(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(hub, EUROPEAN)
        hub.push(indicator(name="Secret of acme"))

        def fail(*arguments: Any, **more: Any) -> int:
            raise OSError

        clock.now = NOON
        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(AgreementLifecycle, "_delete_versions", fail)
            hub.services.agreements.work()
        assert hub.services.agreements.work()
        [left] = self.versions(hub)
        assert "ecret" not in str(left)
        assert not hub.services.agreements.work()


@pytest.fixture(scope="module")
def pair(engine_uri: str) -> Iterator[Pair]:
    with open_pair(engine_uri) as pair:
        yield pair


def bound_north(world: World) -> None:
    agree(world.hub, EUROPEAN, "north", until=None)


def add_european_feed(world: World) -> None:
    add_feed(world.hub, "european", EUROPEAN)


def report(who: str, value: str, number: int, *, hidden: bool = False) -> Act:
    sent = indicator(value, seed=f"{who} {number}")
    return Act(lambda world: world.post(who, [sent], hidden=hidden), f"{who} reports", hidden)


def end_all(world: World) -> None:
    for each in world.hub.store.agreements.list_of("north"):
        world.hub.services.agreements.end(each.id, "operator:jane", "over")
    while world.hub.services.agreements.work():
        pass


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.slow
def test_who_may_not_read_these_feeds_is_answered_the_same_as_if_there_were_nothing(
    pair: Pair, first: bool
) -> None:
    hidden = [report("north", value, n, hidden=True) for n, value in enumerate(VALUES[:2])]
    seen = [report("watch", VALUES[0], 1), report("open", VALUES[1], 1)]
    history = [
        Act(add_european_feed, "a feed is added", hidden=True),
        Act(bound_north, "north is bounded", hidden=True),
        *(hidden + seen if first else seen + hidden),
        report("watch", VALUES[1], 2),
        Act(end_all, "north's agreement ends", hidden=True),
        report("open", VALUES[0], 2),
    ]
    assert pair.differences(history) == []


def join_fenced(world: World) -> None:
    """Add a partner whose data may go to some only, and a feed for them that it may read."""
    add_european_feed(world)
    reads = ("clear", "green", "amber", "european")
    world.hub.join(Partner("fenced", "Fenced Limited", "FR"), reads)
    agree(world.hub, EUROPEAN, "fenced", until=None)


def renew_fenced(world: World) -> None:
    """End its agreement, withdraw what that allowed, and make another one."""
    agreements = world.hub.services.agreements
    [current] = (
        each
        for each in world.hub.store.agreements.list_of("fenced")
        if each.recorded is AgreementState.IN_FORCE
    )
    agreements.end(current.id, "operator:jane", "over")
    while agreements.work():
        pass
    other = GERMAN if current.audience == EUROPEAN else EUROPEAN
    agree(world.hub, other, "fenced", until=None)


JOINS = Act(join_fenced, "a bounded partner joins", hidden=True)
RENEWS = Act(renew_fenced, "its agreement is replaced", hidden=True)


@pytest.mark.long
@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    history=st.lists(
        st.one_of(
            posts(WATCH, LEVELS, False),
            posts("open", (Tlp.GREEN,), False),
            posts("fenced", LEVELS, True),
            posts("fenced", LEVELS, True),
            st.just(RENEWS),
        ),
        min_size=5,
        max_size=10,
    )
)
@pytest.mark.slow
def test_bounds_change_no_answer_to_others(pair: Pair, history: list[Act]) -> None:
    assert pair.differences([JOINS, *history]) == []
