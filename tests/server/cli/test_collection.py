"""Aggregates and snapshots as an operator makes them."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.presence import present

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.model import Tlp
from tocsin.config.settings import HubSettings
from tocsin.server.cli.collection import CollectionSpec, define_collection
from tocsin.server.cli.main import main
from tocsin.server.model import Collection, CollectionKind, View
from tocsin.server.runtime import open_runtime
from tocsin.server.store import Store

Kind, Spec = CollectionKind, CollectionSpec
FUTURE = 32_000_000_000_000_000


@pytest.fixture(scope="module")
def collections_store(common_store: Store) -> Any:
    """A store with one collection of each kind, named as its kind."""
    for kind in CollectionKind:
        view = (
            View(("feed",)) if kind in (CollectionKind.AGGREGATE, CollectionKind.SNAPSHOT) else None
        )
        common_store.feeds.add(Collection(kind.value, "", kind, kind.value, view=view))
    return common_store


def new(kind: Any) -> Any:
    return Collection(str(uuid.uuid4()), "new", kind, "New")


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        (Kind.AGGREGATE, Spec(), "--source is missing"),
        (Kind.AGGREGATE, Spec(("feed", "inbox")), "the kind is inbox"),
        (Kind.AGGREGATE, Spec(("aggregate",)), "the kind is aggregate"),
        (Kind.AGGREGATE, Spec(("snapshot",)), "the kind is snapshot"),
        (
            Kind.AGGREGATE,
            Spec(("feed",), types=frozenset({"In dicator"})),
            "not a STIX type",
        ),
        (Kind.AGGREGATE, Spec(("feed",), at=1), "--at cannot be used"),
        (Kind.AGGREGATE, Spec(("feed", "verbatim")), "--max-tlp is missing"),
        (Kind.SNAPSHOT, Spec(), "must name exactly one collection"),
        (
            Kind.SNAPSHOT,
            Spec(("feed", "verbatim")),
            "must name exactly one collection",
        ),
        (Kind.SNAPSHOT, Spec(("inbox",)), "the kind is inbox"),
        (
            Kind.SNAPSHOT,
            Spec(("feed",), active=True),
            "--active-only cannot be used",
        ),
        (
            Kind.SNAPSHOT,
            Spec(("feed",), max_tlp=Tlp.RED),
            "--max-tlp cannot be used",
        ),
        (Kind.SNAPSHOT, Spec(("feed",), at=FUTURE), "snapshot of the future"),
        (Kind.FEED, Spec(("feed",)), "--source cannot be used"),
        (Kind.VERBATIM, Spec(active=True), "--active-only cannot be used"),
        (Kind.VERBATIM, Spec(max_tlp=Tlp.GREEN), "--max-tlp cannot be used"),
        (Kind.INBOX, Spec(max_tlp=Tlp.GREEN), "--max-tlp cannot be used"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_reason(
    collections_store: Any, kind: Any, spec: Any, message: str
) -> None:
    with pytest.raises(Malformed, match=message):
        define_collection(collections_store, new(kind), spec)


def test_a_source_that_is_not_there_is_named(collections_store: Any) -> None:
    with pytest.raises(NotFound, match="no collection 'nowhere'"):
        define_collection(
            collections_store, new(CollectionKind.AGGREGATE), CollectionSpec(("feed", "nowhere"))
        )


def test_a_source_counts_once_by_whatever_name(collections_store: Any) -> None:
    collections_store.feeds.add(Collection("green-id", "green", CollectionKind.FEED, "Green"))
    view = define_collection(
        collections_store,
        new(CollectionKind.AGGREGATE),
        CollectionSpec(("green", "green-id", "feed")),
    ).view
    assert present(view).sources == ("green-id", "feed")


def test_an_aggregate_shows_all_of_a_verbatim_collection_only_if_asked_to(
    collections_store: Any,
) -> None:
    spec = CollectionSpec(("verbatim",), max_tlp=Tlp.RED)
    made = define_collection(collections_store, new(CollectionKind.AGGREGATE), spec)
    assert present(made.view).max_tlp is None


def test_a_feed_without_a_limit_takes_up_to_amber(collections_store: Any) -> None:
    assert (
        define_collection(collections_store, new(CollectionKind.FEED), CollectionSpec()).max_tlp
        == Tlp.AMBER
    )
    assert (
        define_collection(
            collections_store, new(CollectionKind.FEED), CollectionSpec(max_tlp=Tlp.GREEN)
        ).max_tlp
        == Tlp.GREEN
    )


class TestCommands:
    """The same in words, against the database of this session."""

    @pytest.fixture
    def run(
        self,
        engine_uri: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> Any:
        data, name = tmp_path / "data", f"test_{uuid.uuid4().hex}"
        monkeypatch.setenv("TOCSIN_DATABASE", name)
        with open_runtime(HubSettings(data=data, mongo_uri=engine_uri, database=name), print):
            capsys.readouterr()
        place = ("--mongo-uri", engine_uri, "--data", str(tmp_path / "data"), "--json")

        def run(*words: Any) -> Any:
            code = main([*words, *place])
            answer = capsys.readouterr()
            return json.loads(answer.out) if code == 0 else (code, answer.err)

        return run

    @pytest.mark.slow
    def test_an_aggregate_and_a_snapshot_of_it_are_made_and_listed(self, run: Any) -> None:
        words = ("collection", "add", "iocs", "--kind", "aggregate", "--source", "clear,scratch")
        more = ("--source", "green", "--type", "indicator,malware", "--max-tlp", "green")
        answer = run(*words, *more, "--active-only", "--title", "All indicators")
        definition = {
            "sources": ["clear", "scratch", "green"],
            "types": ["indicator", "malware"],
            "max_tlp": "green",
            "active_only": True,
            "at": None,
        }
        assert definition.items() <= answer.items()
        words = ("collection", "add", "then", "--kind", "snapshot", "--source", "iocs")
        at = "2026-11-25T00:00:00.000000Z"
        pinned = run(*words, "--at", "2026-11-25T00:00:00Z")
        assert (definition | {"at": at}).items() <= pinned.items()
        listed = {each["alias"]: each for each in run("collection", "list")}
        assert (listed["iocs"], listed["then"]) == (answer, pinned)
        assert "sources" not in listed["clear"]

    @pytest.mark.slow
    def test_a_refusal_has_an_exit_code(self, run: Any, capsys: pytest.CaptureFixture[str]) -> None:
        words = ("collection", "add", "x", "--kind", "aggregate", "--source")
        assert run(*words, "inbox") == (
            1,
            "tocsin-hub: --source inbox: the kind is inbox, but it must be feed or verbatim\n",
        )
        code, message = run(*words, "clear", "--at", "yesterday")
        assert code == 2 and "write it like 2026-01-31 or 2026-01-31T00:00:00Z" in message
