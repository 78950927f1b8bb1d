"""No reader sees senders, removed content or content of a stricter level.

Generated submissions of several partners pass through TAXII, admission, merging and
publication, and every TAXII endpoint is read.  TOCSIN_TEST_EXAMPLES=1000 tries more examples.
"""

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.clock import hub_and_clock
from support.databases import open_empty_store
from support.examples import examples
from support.hub import AMBER as AMBER_TLP
from support.hub import (
    CLEAR,
    GREEN,
    HUB_SECRETS,
    MT,
    HubInProcess,
    default_admission,
    indicator,
    relationship,
    sdo,
)
from support.planted_secrets import (
    AMBER,
    NAMES,
    PARTNERS,
    QUUX,
    SECRETS,
    SENT,
    VEXIL,
    decoded_texts,
    encodings_of,
    submissions,
)
from support.stix_objects import make_object

from tocsin.admission.merge.identity import observable_id
from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app
from tocsin.server.model import Collection, CollectionKind, Partner, View
from tocsin.server.services import build_services
from tocsin.server.store import Store

EXAMPLES = examples(5)
FIXED_TIME = 1_830_000_000_000_000
"""Later than the stamps that a new hub has given out."""
FIRST = "2026-01-01T00:00:00Z"
QUUX_NAMES = {"name": "Quux Motors", "slug": QUUX.slug}
VIEW = "11111111-2222-4333-8444-555555555555"
end_to_end = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking an example takes minutes
    suppress_health_check=list(HealthCheck),
)


def hub_with_readers(store: Any) -> Any:
    """A hub with two senders, a reader up to GREEN (`reader`) and one up to AMBER (`closer`)."""
    hub = HubInProcess(store)
    hub.join(QUUX)
    hub.join(VEXIL)
    sources = tuple(hub.collection(alias).id for alias in ("clear", "green"))
    store.feeds.add(Collection(VIEW, "both", CollectionKind.AGGREGATE, "All", view=View(sources)))
    hub.join(Partner("reader", "Reader Limited"), reads=("clear", "green", "both"))
    hub.join(Partner("closer", "Closer Limited"))
    return hub


class Responses:
    """Every answer that a reader can get, headers included."""

    def __init__(self, hub: Any, who: Any, feeds: Any) -> None:
        self.hub, self.who, self.feeds = hub, who, feeds
        self.answers: list[Any] = []

    def ask(self, path: Any, method: Any = "GET", **query: Any) -> Any:
        answer = self.hub.ask(path, self.who, method, query_string=query)
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers)
        self.answers.append((path, headers.encode() + b"\n" + answer.data))
        return answer

    def collect(self, foreign: Any) -> Any:
        """Request every resource; `foreign` are ids of statuses of other accounts."""
        self.answers.append(
            ("discovery", self.hub.client.get("/taxii2/", headers={"Accept": MT}).data)
        )
        for path in ("", "collections/", *(f"status/{id}/" for id in foreign)):
            self.ask(path)
        for alias in ("clear", "green", "amber", "inbox", "scratch", "both"):
            self.ask(f"collections/{alias}/")
            self.ask(f"collections/{alias}/objects/", limit="no number")
        for alias in self.feeds:
            self.read_feed(f"collections/{alias}/")
        return self.answers

    def read_feed(self, path: Any) -> None:
        every = {"match[version]": "all"}
        objects = self.ask(f"{path}objects/", **every).json.get("objects", [])
        self.ask(f"{path}manifest/", **every)
        self.ask(f"{path}objects/", "HEAD")
        page = self.ask(f"{path}objects/", limit=12).json
        while page.get("more"):
            page = self.ask(f"{path}objects/", limit=12, next=page["next"]).json
        for id in sorted({each["id"] for each in objects})[:2]:
            self.ask(f"{path}objects/{id}/")
            self.ask(f"{path}objects/{id}/versions/")

    def ids(self, alias: Any) -> Any:
        answer = self.ask(f"collections/{alias}/objects/", limit=1000)
        return {each["id"] for each in answer.json.get("objects", [])}


def check_answers(answers: Any, secrets: Any) -> None:
    """Fail if an answer contains a secret in any of its forms."""
    for path, answer in answers:
        for text in decoded_texts(answer):
            leaked = [each for secret in secrets for each in encodings_of(secret) if each in text]
            at = max(0, text.find(leaked[0]) - 150) if leaked else 0
            assert not leaked, f"{leaked} in {path}: {text[at : at + 300]}"


def identities() -> Any:
    """Texts that identify a sender: names, ids and creation times of its objects."""
    stamp = SENT.partition("T")[2].lower()
    return {*(name.lower() for name in NAMES.values()), *PARTNERS, *PARTNERS.values(), stamp}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    caplog.set_level(logging.INFO)
    yield caplog
    caplog.clear()  # thousands of lines would hide what went wrong


class TestSecrets:
    @end_to_end
    @given(st.lists(st.sampled_from(sorted(PARTNERS)), min_size=1, max_size=3), st.data())
    @pytest.mark.slow
    def test_no_secret_of_a_submission_reaches_a_reader_the_journal_or_the_log(
        self, engine_uri: str, log: Any, slugs: Any, data: Any
    ) -> None:
        sent = [data.draw(submissions(slug)) for slug in slugs]
        secrets = set().union(*(each.secrets for each in sent))
        log.clear()
        with open_empty_store(engine_uri) as store:
            hub = hub_with_readers(store)
            foreign = [
                hub.push_raw(each.body(escaped=data.draw(st.booleans())), each.slug)["id"]
                for each in sent
            ]
            closer = Responses(hub, "closer", ("amber",))
            hidden = closer.ids("amber") - closer.ids("green") - closer.ids("clear")
            removed = {*secrets, *identities()}
            check_answers(closer.collect(foreign), removed)
            reader = Responses(hub, "reader", ("green", "both"))
            check_answers(reader.collect(foreign), {*removed, *hidden, AMBER})
            journal = "\n".join(repr(act) for act in store.journal.list_entries())
        senders = {*PARTNERS, *identities()}
        check_answers([("journal", journal.encode())], {*(secrets - senders), AMBER})
        check_answers([("log", log.text.encode())], {*(secrets - senders), AMBER})


DAY = "2026-01-0{}T00:00:00Z"


@st.composite
def any_draft(draw: Any, slug: Any, version: Any) -> Any:
    """One or two of: an indicator that others report too, a malware, their relationship."""
    number, level = draw(st.integers(0, 1)), draw(st.sampled_from((CLEAR, GREEN, AMBER_TLP)))
    seed = f"{slug}{number}{level}"
    more = {
        "modified": f"2026-02-0{version + 1}T00:00:00.000Z",
        "name": draw(st.sampled_from(("one", "two", "a longer one"))),
        "description": draw(st.sampled_from(("first", "second", "at some length"))),
        "labels": draw(st.lists(st.sampled_from(("a", "b", "c")), unique=True, min_size=1)),
        "confidence": draw(st.integers(0, 100)),
        "valid_from": DAY.format(draw(st.integers(1, 4))),
        "object_marking_refs": [level],
        "external_references": [
            {"source_name": draw(st.sampled_from("pq")), "description": "said so"}
        ],
    }
    if draw(st.booleans()):
        more["granular_markings"] = [
            {"marking_ref": AMBER_TLP, "selectors": [draw(st.sampled_from(("name", "labels.[0]")))]}
        ]
    if draw(st.booleans()):
        more["valid_until"] = f"2030-01-0{draw(st.integers(1, 3))}T00:00:00Z"
    found = indicator(f"evil{number}.top", seed=f"{seed}{draw(st.integers(0, 1))}", **more)
    own = uuid.uuid5(uuid.NAMESPACE_DNS, seed)
    bad = sdo("malware", id=f"malware--{own}", is_family=False, name="m")
    joined = relationship(found, "indicates", bad, id=f"relationship--{found['id'][11:]}")
    return draw(st.sampled_from(([found], [bad], [joined], [found, joined], [joined, bad])))


def publish_submissions(uri: Any, sent: Any) -> Any:
    """Submit in the given order; returns the objects of each feed without the stamps of the hub."""
    with open_empty_store(uri) as store:
        hub, clock = hub_and_clock(store)
        clock.now = FIXED_TIME
        store.clock = clock
        for slug, draft in sent:
            hub.push(*draft, who=slug)
        clock.advance(hours=2)
        hub.sweep()
        return {
            alias: sorted(
                json.dumps(without_stamps(each), sort_keys=True) for each in hub.feed(alias)
            )
            for alias in ("clear", "green", "amber")
        }


def without_stamps(public: Any) -> Any:
    return {name: value for name, value in public.items() if name not in ("created", "modified")}


def use_only_rules(hub: Any, *rules: Any) -> Any:
    """Replace the rules of the hub; without them, the checks above must fail."""
    shipped = default_admission()
    admission = replace(shipped, policy=replace(shipped.policy, rules=rules))
    hub.services = build_services(hub.store, HUB_SECRETS, HubSettings(), admission)
    hub.client = create_app(hub.services, HUB_SECRETS, HubSettings()).test_client()
    return hub


@pytest.fixture(scope="module")
def texts_without_rules(common_store: Store) -> Any:
    hub = use_only_rules(hub_with_readers(common_store), "marking")
    for kind in SECRETS:
        hub.push(sdo("tool", name=SECRETS[kind][0].format(**QUUX_NAMES)), who=QUUX.slug)
    answers = Responses(hub, "reader", ("green",)).collect([])
    return [text for _, answer in answers for text in decoded_texts(answer)]


class TestWithoutRules:
    @pytest.mark.parametrize("kind", sorted(SECRETS))
    def test_without_rules_every_secret_reaches_a_reader(
        self, texts_without_rules: Any, kind: Any
    ) -> None:
        assert any(
            SECRETS[kind][1].format(**QUUX_NAMES).lower() in each for each in texts_without_rules
        )


@pytest.mark.slow
def test_a_public_id_does_not_reveal_removed_content(store: Store) -> None:
    """An id derived from a removed subject would confirm guesses."""
    hub = HubInProcess(store)
    message = make_object("email-message", is_multipart=False, from_ref=None, subject="Hello Jane")
    derived = observable_id(message)
    hub.push({**message, "id": derived, "date": FIRST, "object_marking_refs": [GREEN]})
    (public,) = hub.feed("green")
    assert "subject" not in public and public["id"] != derived


class TestOrder:
    @end_to_end
    @given(st.data())
    @pytest.mark.slow
    def test_the_order_of_submissions_changes_only_the_stamps_of_the_hub(
        self, engine_uri: str, data: Any
    ) -> None:
        sent = [
            (slug, data.draw(any_draft(slug, version)))
            for slug in ("acme", "north", "east", "sister", "brother")
            for version in range(data.draw(st.integers(0, 3)))
        ]
        other = data.draw(st.permutations(sent))
        assert publish_submissions(engine_uri, sent) == publish_submissions(engine_uri, other)
