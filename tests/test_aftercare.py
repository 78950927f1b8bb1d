"""Life after publication (docs/merging.md): sightings, age, expiry, revocation, never again."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hub import AMBER, GREEN, TestHub, details, indicator, sdo

from tocsin.admission.confidence import DAY
from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.extension import AUTHOR, EXTENSION
from tocsin.admission.timestamps import stix_time
from tocsin.server.aftercare import Aftercare
from tocsin.server.ledger import HOUR
from tocsin.server.model import Partner
from tocsin.server.store import Store, wall_clock

LATER = "2026-02-01T00:00:00.000Z"
STATEMENT = "marking-definition--22222222-2222-4222-8222-222222222222"


@dataclass
class Clock:
    """The time of day, which a test may move."""

    now: int

    def __call__(self) -> int:
        return self.now

    def pass_by(self, **spans: float) -> None:
        units = {"days": DAY, "hours": HOUR}
        self.now += round(sum(units[name] * span for name, span in spans.items()))


@pytest.fixture
def clock() -> Clock:
    return Clock(wall_clock())


@pytest.fixture
def hub(store: Store, clock: Clock) -> TestHub:
    hub = TestHub(store, clock)
    hub.join(Partner("east", "East Limited"))
    hub.join(Partner("sister", "Sister Limited", group="family"))
    hub.join(Partner("brother", "Brother Limited", group="family"))
    return hub


@pytest.fixture
def second(store: Store, engine_uri: str):
    """Another worker's store on the same database."""
    other = Store.connect(engine_uri, name=store._base.name)
    yield other
    other.close()


def history(public):
    return public["extensions"][EXTENSION]


def figures(public):
    kept = ("contributors", "sightings", "false_positives")
    return tuple(history(public)[name] for name in kept)


def sighting(target, **more):
    return sdo("sighting", sighting_of_ref=target["id"], **more)


def opinion(target, word="strongly-disagree", **more):
    return sdo("opinion", opinion=word, object_refs=[target["id"]], **more)


def indicators(hub, feed="green"):
    return [each for each in hub.feed(feed) if each["type"] == "indicator"]


def until(clock, **span):
    then = Clock(clock.now)
    then.pass_by(**span)
    return stix_time(then.now)


class TestTheExtension:
    def test_an_indicator_tells_how_many_and_since_when(self, hub, clock):
        hub.push(indicator())
        [public] = hub.feed("green")
        today = stix_time(clock.now // DAY * DAY)
        assert figures(public) == (1, 0, 0)
        assert history(public)["first_reported"] == history(public)["last_reported"] == today
        assert history(public)["hub_ref"] == hub.identity

    def test_its_definition_is_in_every_feed(self, hub):
        for feed in ("clear", "green", "amber"):
            found = hub.ask(f"collections/{feed}/objects/").json["objects"]
            assert {AUTHOR, EXTENSION} <= {each["id"] for each in found}

    def test_what_only_rises_waits_for_the_quiet_period_and_then_is_told_once(self, hub, clock):
        hub.push(indicator(confidence=60), who="acme")
        before = hub.feed("green")
        for partner in ("north", "east"):
            hub.push(indicator(), who=partner)
        assert hub.feed("green") == before
        clock.pass_by(hours=2)
        hub.parts.aftercare.sweep()
        [public] = hub.feed("green")
        assert (figures(public), public["confidence"]) == ((3, 0, 0), 68)
        hub.parts.aftercare.sweep()
        assert hub.feed("green") == [public]

    def test_the_first_day_stays_when_a_partner_sends_a_new_version(self, hub, clock):
        sent = indicator(confidence=50)
        hub.push(sent)
        clock.pass_by(days=3)
        hub.push({**sent, "modified": LATER, "description": "more"})
        [public] = hub.feed("green")
        days = (history(public)["first_reported"], history(public)["last_reported"])
        assert [day[:10] for day in days] == [until(clock, days=-3)[:10], until(clock)[:10]]

    def test_a_group_of_partners_is_one_source(self, hub, clock):
        for partner in ("sister", "brother"):
            hub.push(indicator(confidence=60), who=partner)
        clock.pass_by(hours=2)
        hub.parts.aftercare.sweep()
        [public] = hub.feed("green")
        assert (figures(public), public["confidence"]) == ((1, 0, 0), 60)

    def test_a_partners_reliability_weighs_its_word(self, hub):
        hub.join(Partner("sure", "Sure Limited", reliability=100))
        hub.push(indicator(confidence=60), who="sure")
        assert hub.feed("green")[0]["confidence"] == 68


class TestEcho:
    def copy(self, hub, **more):
        [public] = hub.feed("green")
        return {**public, "id": f"indicator--{uuid.uuid4()}", **more}

    @pytest.mark.parametrize("lost", ["created_by_ref", "extensions"])
    def test_a_copy_under_a_new_id_corroborates_nothing(self, hub, clock, lost):
        hub.push(indicator(confidence=60), who="acme")
        [public] = hub.feed("green")
        copy = {name: value for name, value in self.copy(hub).items() if name != lost}
        status = hub.push(copy, sighting(copy), who="north")
        assert hub.verdicts(status) == ["duplicate", "admitted"]
        assert details(status)[0]["x_tocsin_public_id"] == public["id"]
        clock.pass_by(hours=2)
        hub.parts.aftercare.sweep()
        assert figures(indicators(hub)[0]) == (1, 1, 0)

    def test_what_the_hub_never_made_is_refused_in_its_name(self, hub):
        status = hub.push(indicator(created_by_ref=hub.identity))
        assert hub.verdicts(status) == ["refused"]
        assert "send it as your own" in details(status)[0]["message"]

    def test_nobody_learns_so_of_what_it_may_not_see(self, hub):
        hub.join(Partner("low", "Low Limited"), reads=("clear",))
        hub.push(indicator(object_marking_refs=[AMBER]), who="acme")
        forged = indicator(object_marking_refs=[AMBER], created_by_ref=hub.identity)
        assert hub.verdicts(hub.push(forged, who="low")) == ["refused"]

    def test_the_object_of_another_hub_is_a_report_like_any(self, hub):
        hub.push(indicator(), who="acme")
        [public] = hub.feed("green")
        other = f"identity--{uuid.uuid4()}"
        extension = {EXTENSION: {**history(public), "hub_ref": other, "contributors": 99}}
        sent = self.copy(hub, created_by_ref=other, extensions=extension)
        assert hub.verdicts(hub.push(sent, who="north")) == ["merged"]

    def test_the_definitions_coming_back_are_known(self, hub):
        found = hub.ask("collections/green/objects/").json["objects"]
        assert set(hub.verdicts(hub.push(*found))) == {"duplicate"}


class TestSightings:
    def public(self, hub, **more):
        hub.push(indicator(confidence=60, **more), who="acme")
        return indicators(hub, "amber")[0]

    def later(self, hub, clock, feed="green"):
        clock.pass_by(hours=2)
        hub.parts.aftercare.sweep()
        return indicators(hub, feed)[0]

    def test_a_sighting_adds_to_history_and_confidence(self, hub, clock):
        hub.push(sighting(self.public(hub), count=7), who="north")
        public = self.later(hub, clock)
        assert (figures(public), public["confidence"]) == ((1, 1, 0), 64)

    @pytest.mark.parametrize(
        "denial",
        [
            lambda target: sighting(target, count=0),
            lambda target: opinion(target),
            lambda target: opinion(target, "disagree"),
        ],
    )
    def test_a_false_alarm_lowers_confidence_at_once(self, hub, denial):
        hub.push(denial(self.public(hub)), who="north")
        [public] = indicators(hub)
        assert (figures(public), public["confidence"]) == ((1, 0, 1), 48)

    def test_each_partner_has_one_voice(self, hub, clock):
        target = self.public(hub)
        hub.push(*(sighting(target, count=n) for n in range(1, 9)), who="north")
        hub.push(opinion(target), who="east")
        hub.push(opinion(target, "disagree"), who="east")
        assert figures(self.later(hub, clock)) == (1, 1, 1)

    def test_one_that_is_withdrawn_is_taken_back(self, hub, clock):
        target = self.public(hub)
        said = opinion(target)
        hub.push(said, who="north")
        hub.push({**said, "modified": LATER, "revoked": True}, who="north")
        public = self.later(hub, clock)
        assert (figures(public), public["confidence"]) == ((1, 0, 0), 60)

    def test_a_new_version_replaces_what_it_said(self, hub, clock):
        said = sighting(self.public(hub), count=0)
        hub.push(said, who="north")
        hub.push({**said, "modified": LATER, "count": 3}, who="north")
        assert figures(self.later(hub, clock)) == (1, 1, 0)

    def test_one_at_a_stricter_level_shows_nothing_in_a_less_strict_indicator(self, hub, clock):
        target = self.public(hub)
        before = hub.feed("green")
        strict = {"object_marking_refs": [AMBER]}
        hub.push(sighting(target, count=5, **strict), opinion(target, **strict), who="north")
        self.later(hub, clock)
        assert hub.feed("green") == before

    def test_nobody_speaks_of_what_it_may_not_see(self, hub, clock):
        hub.join(Partner("low", "Low Limited"), reads=("green",))
        target = self.public(hub, object_marking_refs=[AMBER])
        status = hub.push(opinion(target, object_marking_refs=[AMBER]), who="low")
        assert hub.verdicts(status) == ["held"]
        assert figures(self.later(hub, clock, "amber")) == (1, 0, 0)

    def test_it_may_come_before_its_indicator_in_one_submission(self, hub):
        sent = indicator(confidence=60)
        hub.push(sighting(sent), sent)
        assert figures(indicators(hub)[0]) == (1, 1, 0)

    def test_it_may_come_in_an_earlier_batch_of_a_large_submission(self, hub):
        sent = indicator(confidence=60)
        filling = [{"type": "x"}] * 600
        hub.push(sighting(sent), *filling, sent)
        assert figures(indicators(hub)[0]) == (1, 1, 0)

    @pytest.mark.parametrize("order", [("acme", "north", "east"), ("east", "north", "acme")])
    def test_the_order_of_partners_does_not_matter(self, hub, clock, order):
        sent = {
            "acme": indicator(confidence=60, labels=["a"], seed="acme"),
            "north": indicator(confidence=30, labels=["b"], seed="north"),
            "east": indicator(labels=["c"], seed="east"),
        }
        said = {"acme": sighting(sent["acme"]), "north": opinion(sent["north"])}
        for partner in order:
            hub.push(sent[partner], *(said[partner] for _ in [0] if partner in said), who=partner)
        public = self.later(hub, clock)
        assert (figures(public), public["labels"]) == ((3, 1, 1), ["a", "b", "c"])
        assert public["confidence"] == 54  # (95 - 35 x 7/8 x 7/8) x 4/5


class TestAge:
    def test_confidence_falls_by_steps_and_pollers_are_told(self, hub, clock):
        hub.push(indicator(pattern="[ipv4-addr:value = '45.12.1.2']", confidence=80))
        told = []
        for _ in range(61):
            clock.pass_by(days=1)
            hub.parts.aftercare.sweep()
            [public] = hub.feed("green")
            told.append(public["confidence"])
        versions = hub.ask(f"collections/green/objects/{public['id']}/versions/").json["versions"]
        assert told[0] == 80 and told[29] == 50 and told[30] == 40
        assert (told[-1], len(versions)) == (20, 7)

    def test_a_day_on_which_nothing_falls_costs_nothing(self, hub, clock):
        hub.push(indicator(confidence=80))
        clock.pass_by(days=2)
        assert hub.store.dues.due(range(clock.now // HOUR - 100, clock.now // HOUR + 1), 10) == []

    def test_a_later_report_of_the_same_makes_it_young_again(self, hub, clock):
        sent = indicator(pattern="[ipv4-addr:value = '45.12.1.2']", confidence=80)
        hub.push(sent)
        clock.pass_by(days=31)
        hub.parts.aftercare.sweep()
        assert hub.feed("green")[0]["confidence"] == 40
        clock.pass_by(days=1)
        assert hub.verdicts(hub.push(sent)) == ["duplicate"]
        [public] = hub.feed("green")
        assert public["confidence"] == 80
        assert history(public)["last_reported"] > history(public)["first_reported"]

    def test_the_same_sent_daily_makes_a_version_a_week(self, hub, clock):
        sent = indicator()
        for _ in range(15):
            hub.push(sent)
            clock.pass_by(days=1)
        [public] = hub.feed("green")
        versions = hub.ask(f"collections/green/objects/{public['id']}/versions/").json["versions"]
        assert len(versions) == 3


class TestExpiry:
    def test_pollers_learn_that_it_has_expired(self, hub, clock):
        hub.push(indicator(valid_until=until(clock, days=1)))
        clock.pass_by(hours=23)
        hub.parts.aftercare.sweep()
        assert "revoked" not in hub.feed("green")[0]
        clock.pass_by(hours=2)
        hub.parts.aftercare.sweep()
        [public] = hub.feed("green")
        assert public["revoked"] is True
        assert hub.store.journal.last().act == "expire"

    def test_a_sweep_that_is_repeated_does_nothing(self, hub, clock):
        hub.push(indicator(valid_until=until(clock, days=1)))
        clock.pass_by(days=2)
        hub.parts.aftercare.sweep()
        before = hub.ask("collections/green/manifest/").json
        hub.parts.aftercare.sweep()
        assert hub.ask("collections/green/manifest/").json == before

    def test_a_hub_that_was_down_for_long_catches_up(self, hub, clock):
        hub.parts.aftercare.sweep()
        hub.push(indicator(valid_until=until(clock, days=1)))
        clock.pass_by(days=400)
        hub.parts.aftercare.sweep()
        assert hub.feed("green")[0]["revoked"] is True

    def test_several_workers_may_sweep_at_once(self, hub, clock, second):
        names = [f"evil{n}.top" for n in range(250)]
        hub.push(*(indicator(name, valid_until=until(clock, days=1)) for name in names))
        clock.pass_by(days=2)
        one, two = (Aftercare(s, hub.parts.publisher, clock) for s in (hub.store, second))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Aftercare.sweep, (one, two)))
        everything = {"limit": 1000, "match[version]": "all", "match[type]": "indicator"}
        versions = hub.ask("collections/green/manifest/", query_string=everything).json["objects"]
        expired = [o for o in hub.feed("green") if o.get("revoked")]
        assert (len(expired), len(versions)) == (250, 500)

    def test_a_worker_that_dies_in_between_leaves_the_rest_due(self, hub, clock):
        names = [f"evil{n}.top" for n in range(250)]
        hub.push(*(indicator(name, valid_until=until(clock, days=1)) for name in names))
        clock.pass_by(days=2)
        assert hub.parts.aftercare.sweep_once(clock.now)  # and no further
        assert 0 < sum(o.get("revoked", False) for o in hub.feed("green")) < 250
        Aftercare(hub.store, hub.parts.publisher, clock).sweep()
        assert sum(o.get("revoked", False) for o in hub.feed("green")) == 250

    def test_reported_with_a_later_end_it_comes_back_under_a_new_id(self, hub, clock):
        sent = indicator(valid_until=until(clock, days=1))
        hub.push(sent)
        clock.pass_by(days=2)
        hub.parts.aftercare.sweep()
        assert hub.verdicts(hub.push(sent)) == ["duplicate"]
        assert hub.verdicts(hub.push(sent, who="north")) == ["duplicate"]
        longer = {**sent, "modified": LATER, "valid_until": until(clock, days=9)}
        assert hub.verdicts(hub.push(longer)) == ["admitted"]
        old, new = hub.feed("green")
        assert (old["revoked"], new.get("revoked"), old["id"] == new["id"]) == (True, None, False)

    def test_a_later_end_in_time_keeps_it_alive(self, hub, clock):
        hub.push(indicator(valid_until=until(clock, days=1)), who="acme")
        hub.push(indicator(valid_until=until(clock, days=9)), who="north")
        clock.pass_by(days=2)
        hub.parts.aftercare.sweep()
        assert "revoked" not in hub.feed("green")[0]

    def test_what_had_expired_before_it_came_is_published_as_it_is(self, hub, clock):
        hub.push(indicator(valid_until="2026-03-01T00:00:00Z"))
        clock.pass_by(days=2)
        hub.parts.aftercare.sweep()
        assert "revoked" not in hub.feed("green")[0]


class TestAnalysts:
    def test_an_analyst_revokes_for_all(self, hub):
        hub.push(indicator(), who="acme")
        hub.push(indicator(), who="north")
        [public] = hub.feed("green")
        hub.parts.aftercare.revoke(public["id"], "operator", "cleaned")
        assert hub.feed("green")[0]["revoked"] is True
        act = hub.store.journal.last()
        assert (act.act, act.what["reason"]) == ("public.revoke", "cleaned")

    def test_reported_again_it_is_a_new_object(self, hub):
        hub.push(indicator())
        hub.parts.aftercare.revoke(hub.feed("green")[0]["id"], "operator", "cleaned")
        hub.push(indicator(), who="north")
        assert [o.get("revoked") for o in hub.feed("green")] == [True, None]

    def test_what_is_not_there_cannot_be_revoked(self, hub):
        with pytest.raises(NotFound):
            hub.parts.aftercare.revoke("indicator--x", "operator", "why")
        hub.push(indicator())
        name = hub.feed("green")[0]["id"]
        hub.parts.aftercare.revoke(name, "operator", "why")
        with pytest.raises(Malformed):
            hub.parts.aftercare.revoke(name, "operator", "why")

    def test_a_sighting_that_is_revoked_is_taken_back(self, hub, clock):
        hub.push(indicator(confidence=60))
        hub.push(opinion(hub.feed("green")[0]), who="north")
        [said] = [o for o in hub.feed("green") if o["type"] == "opinion"]
        hub.parts.aftercare.revoke(said["id"], "operator", "spite")
        clock.pass_by(hours=2)
        hub.parts.aftercare.sweep()
        assert indicators(hub)[0]["confidence"] == 60


class TestNeverAgain:
    def test_the_value_is_refused_for_everybody_with_the_reason(self, hub):
        hub.parts.aftercare.forbid("Our-CDN[.]top.", "operator", "our own CDN")
        for partner in ("acme", "north"):
            status = hub.push(indicator("our-cdn.top"), who=partner)
            assert hub.verdicts(status) == ["refused"]
            assert "our own CDN" in details(status)[0]["message"]

    def test_only_the_very_value_is_refused(self, hub):
        hub.parts.aftercare.forbid("our-cdn.top", "operator", "")
        others = indicator("www.our-cdn.top"), indicator("our-cdn.com")
        assert hub.verdicts(hub.push(*others)) == ["admitted", "admitted"]

    def test_what_is_published_on_it_is_revoked_in_every_scope(self, hub):
        statement = {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": STATEMENT,
            "created": "2026-01-01T00:00:00.000Z",
            "definition_type": "statement",
            "definition": {"statement": "ours"},
        }
        marked = [[GREEN], [AMBER], [GREEN, STATEMENT]]
        sent = [indicator(object_marking_refs=marks) for marks in marked]
        hub.push(statement, *sent, indicator("other.top"))
        _, revoked = hub.parts.aftercare.forbid("evil-portal.top", "operator", "ours")
        assert revoked == 3
        left = [o for o in indicators(hub, "amber") if not o.get("revoked")]
        assert [o["pattern"] for o in left] == ["[domain-name:value = 'other.top']"]
        act = hub.store.journal.last()
        assert (act.act, act.what["revoked"]) == ("benign.add", 3)

    @pytest.mark.parametrize(
        ("value", "pattern"),
        [
            ("45.12.1.2", "[ipv4-addr:value = '45.12.1.2']"),
            ("2001:0DB9::1", "[ipv6-addr:value = '2001:db9::1']"),
            ("hxxp://Evil.top/A", "[url:value = 'http://evil.top/A']"),
            ("A.Person@evil.top", "[email-addr:value = 'A.Person@EVIL.top']"),
            ("A" * 64, f"[file:hashes.'SHA-256' = '{'a' * 64}']"),
        ],
    )
    def test_values_of_every_kind(self, hub, value, pattern):
        hub.push(indicator(pattern=pattern))
        assert hub.parts.aftercare.forbid(value, "operator", "")[1] == 1
        assert hub.verdicts(hub.push(indicator(pattern=pattern))) == ["refused"]

    def test_what_comes_back_later_is_revoked_too(self, hub):
        hub.push(indicator())
        hub.parts.aftercare.revoke(hub.feed("green")[0]["id"], "operator", "once")
        hub.push(indicator())
        assert hub.parts.aftercare.forbid("evil-portal.top", "operator", "")[1] == 1

    def test_it_may_be_allowed_again(self, hub):
        hub.parts.aftercare.forbid("evil-portal.top", "operator", "")
        hub.parts.aftercare.allow("EVIL-portal.top", "operator")
        assert hub.verdicts(hub.push(indicator())) == ["admitted"]
        with pytest.raises(NotFound):
            hub.parts.aftercare.allow("evil-portal.top", "operator")

    @pytest.mark.parametrize("value", ["", "two words", "just-a-name", "1.2.3", "abcdef"])
    def test_what_is_no_value_is_refused(self, hub, value):
        with pytest.raises(Malformed):
            hub.parts.aftercare.forbid(value, "operator", "")
