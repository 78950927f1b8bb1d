"""The database's schema version: stamped, checked at start, raised by migrations."""

import io
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.database import Database
from support.databases import drop
from support.hub import HubInProcess, indicator, sdo
from support.presence import present
from support.stix_objects import TIME

from tocsin.admission.errors import Unavailable
from tocsin.server.intake.review_decisions import Chosen, ReviewDecision
from tocsin.server.model import Account, DecisionKind
from tocsin.server.person import Person, Role
from tocsin.server.reports.search import SearchFilters
from tocsin.server.store import Store, schema
from tocsin.server.store.archive import ArchiveReader, ArchiveWriter
from tocsin.server.store.schema import (
    CURRENT_NAMES,
    FORMER_NAMES,
    SCHEMA_VERSION,
    check,
    find_version,
    migrate,
)


def set_version(base: Any, version: Any) -> None:
    base.schema.replace_one({"_id": "version"}, {"version": version}, upsert=True)


def test_a_new_database_has_the_program_s_version(store: Store) -> None:
    assert find_version(store._base) == SCHEMA_VERSION


def test_a_database_without_a_version_is_stamped_as_the_first(store: Store) -> None:
    store._base.schema.delete_many({})
    with pytest.raises(Unavailable, match="run `tocsin-hub migrate`"):
        store.prepare()
    assert present(store._base.schema.find_one({}))["version"] == 1


def test_a_newer_database_is_refused_with_what_to_do(store: Store) -> None:
    set_version(store._base, SCHEMA_VERSION + 1)
    with pytest.raises(Unavailable, match="newer than this program.*run the newer tocsin-hub"):
        store.prepare()
    with pytest.raises(Unavailable, match="newer"):
        migrate(store._base)


def test_an_older_database_is_refused_with_the_command_that_migrates_it(store: Store) -> None:
    with pytest.raises(Unavailable, match="run `tocsin-hub migrate`"):
        check(store._base, SCHEMA_VERSION + 1)


class TestMigrating:
    def test_a_current_database_is_left_alone(self, store: Store) -> None:
        assert store.migrate() == (SCHEMA_VERSION, SCHEMA_VERSION)

    def test_every_step_after_the_database_s_version_is_run_in_order(self, store: Store) -> None:
        set_version(store._base, 2)
        ran: list[int] = []
        steps = [lambda base, step=step: ran.append(step) for step in (2, 3, 4)]
        assert migrate(store._base, steps) == (2, 4)
        assert ran == [3, 4]
        assert find_version(store._base) == 4

    def test_an_interrupted_run_is_continued_where_it_stopped(self, store: Store) -> None:
        set_version(store._base, 1)
        ran: list[int] = []

        def fails(base: object) -> None:
            raise RuntimeError

        steps = [lambda base: ran.append(2), fails]
        with pytest.raises(RuntimeError):
            migrate(store._base, steps)
        assert find_version(store._base) == 2
        assert migrate(store._base, [steps[0], lambda base: ran.append(3)]) == (2, 3)
        assert ran == [2, 3]


def test_every_collection_is_made_beforehand(store: Store) -> None:
    assert set(schema.INDEXES) <= set(store._base.list_collection_names())


def name_as_before(base: Any, names: Iterable[str] = FORMER_NAMES) -> None:
    """Give collections the names that they had up to version 4, with documents and indexes."""
    for name in names:
        documents = list(base[name].find())
        base[name].delete_many({})
        base[name].rename(FORMER_NAMES[name])
        if documents:
            base[FORMER_NAMES[name]].insert_many(documents)
    set_version(base, 4)


def dump(base: Any) -> dict[str, dict[str, Any]]:
    """All documents by their ids, and the names of the indexes, for each collection."""
    return {
        name: {str(each["_id"]): each for each in base[name].find()}
        | {"indexes": sorted(base[name].index_information())}
        for name in base.list_collection_names()
    }


@pytest.fixture(params=["embedded", "MongoDB"])
def old(
    store: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> HubInProcess:
    """A hub that has published, holds a review, has a task and awaits an object; not migrated.

    With "MongoDB" the migration takes the engine for one, which can rename, too.
    """
    if request.param == "MongoDB":
        monkeypatch.setattr(schema, "is_embedded", lambda client: False)
    monkeypatch.setattr(schema, "_MOVED", MOVED)
    hub = HubInProcess(store)
    hub.push(*(indicator(f"portal-{number}.top") for number in range(MOVED + 5)))
    hub.push(ONE, LISTING)
    hub.services.lifecycle.exclude("excluded.top", "analyst", "ours")
    for name in ("one", "two"):
        hub.push(indicator(f"{name}.acme.example"))
    [review, _] = store.reviews.list_waiting("acme")
    chosen = [Chosen(review.id, review.revision)]
    store.people.add(JANE)
    hub.services.intake.decisions.decide_all(JANE, chosen, ReviewDecision(DecisionKind.REJECT))
    name_as_before(store._base)
    return hub


MOVED = 40
"""Documents that are copied at once: fewer than there are of some kinds, more than of most."""
JANE = Person("p", "jane@hub.example", "Jane", "", frozenset({Role.REVIEWER}), undo_seconds=0)
ONE, OTHER = indicator("listed.top"), sdo("malware", name="m", is_family=False)
LISTING = sdo("report", name="r", published=TIME, object_refs=[ONE["id"], OTHER["id"]])


class TestRenaming:
    @pytest.mark.slow
    def test_a_hub_goes_on_with_all_that_it_had(self, old: HubInProcess, engine_uri: str) -> None:
        name = old.store._base.name
        with pytest.raises(Unavailable, match="run `tocsin-hub migrate`"):
            old.store.prepare()
        assert old.store.migrate() == (4, SCHEMA_VERSION)
        with closing(Store.connect(engine_uri, name=name)) as store:
            store.prepare()
            hub = HubInProcess(store, founded=True)
            assert len(hub.feed("green", limit="1000")) == MOVED + 7
            self.check_search(hub, "portal-7.top")
            assert len(store.reviews.list_waiting("acme")) == 2
            while hub.services.intake.work():
                pass  # the task of the decision, which was in the outbox
            assert len(store.reviews.list_waiting("acme")) == 1
            assert hub.verdicts(hub.push(indicator("excluded.top"))) == ["refused"]
            assert self.count_references(hub) == 1
            hub.push(OTHER)
            assert self.count_references(hub) == 2
            assert store.journal.first_invalid_sequence() is None

    def count_references(self, hub: HubInProcess) -> int:
        [report] = hub.feed("green", **{"match[type]": "report"})
        return len(report["object_refs"])

    def check_search(self, hub: HubInProcess, value: str) -> None:
        while hub.store.values.index_next(fewest=1):
            pass
        operator = Account("operator", "", operator=True)
        assert len(hub.services.search.search(operator, value, SearchFilters()).hits) == 1

    @pytest.mark.slow
    def test_every_document_and_index_is_kept(self, old: HubInProcess) -> None:
        base = old.store._base
        before = dump(base)
        old.store.migrate()
        after = dump(base)
        assert not after.keys() & CURRENT_NAMES.keys()
        del before["schema"], after["schema"]
        assert after == {CURRENT_NAMES.get(name, name): each for name, each in before.items()}

    @pytest.mark.parametrize(
        "after",
        [16, *(pytest.param(each, marks=pytest.mark.slow) for each in (0, 4, 8, 12, 20, 24, 28))],
    )
    def test_an_interrupted_run_is_finished_by_the_next(
        self, old: HubInProcess, after: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base, left = old.store._base, after
        before = dump(base)

        def interrupted(act: Callable[..., Any]) -> Callable[..., Any]:
            def either(*args: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
                return act(*args, **more)

            return either

        with monkeypatch.context() as patch:
            for owner, name in (
                (Collection, "rename"),
                (Collection, "insert_many"),
                (Collection, "delete_many"),
                (Database, "drop_collection"),
            ):
                patch.setattr(owner, name, interrupted(getattr(owner, name)))
            with suppress(KeyboardInterrupt):
                old.store.migrate()
        old.store.migrate()
        after_all = dump(base)
        del before["schema"], after_all["schema"]
        assert after_all == {CURRENT_NAMES.get(name, name): each for name, each in before.items()}

    @pytest.mark.slow
    def test_a_database_of_the_first_version_is_renamed_before_its_other_changes(
        self, old: HubInProcess
    ) -> None:
        base = old.store._base
        set_version(base, 1)
        before = present(base.tails.find_one({"_id": "reviews"}))["revision"]
        assert old.store.migrate() == (1, SCHEMA_VERSION)
        assert present(base.hub_state.find_one({"_id": "reviews"}))["revision"] == before + 1
        assert "tails" not in base.list_collection_names()

    @pytest.mark.slow
    def test_an_empty_collection_of_the_new_name_is_in_nobodys_way(self, old: HubInProcess) -> None:
        base = old.store._base
        count = base.runs.count_documents({})
        base.entry_batches.create_index([("feed", 1), ("block", 1), ("first", 1)])
        old.store.migrate()
        assert base.entry_batches.count_documents({}) == count > 0

    def test_what_an_older_hub_wrote_between_two_attempts_is_noticed(
        self, old: HubInProcess
    ) -> None:
        base = old.store._base
        schema._rename(base, "tails", "hub_state")
        base.tails.insert_one({"_id": "journal", "sequence": 0})
        with pytest.raises(Unavailable, match="an older tocsin-hub wrote after a migration was"):
            old.store.migrate()
        assert find_version(base) == 4


class TestBackupsOfOlderDatabases:
    @pytest.mark.slow
    def test_have_the_names_in_the_database_and_are_restored_with_those_of_today(
        self, old: HubInProcess, engine_uri: str
    ) -> None:
        file, base = io.BytesIO(), old.store._base
        archive = ArchiveWriter(file)
        manifest = old.store.backups.write(archive, b"{}", "0", lambda *_: None)
        archive.finish(manifest)
        assert manifest.documents["runs"] == base.runs.count_documents({}) > 0
        assert manifest.journal == present(base.tails.find_one({"_id": "journal"}))["sequence"] > 0
        with closing(Store.connect(engine_uri, name=f"test_{uuid.uuid4().hex}")) as new:
            mark = new.backups.begin_restore()
            new.backups.load(ArchiveReader(file, "x"), lambda *_: None)
            new.backups.finish_schema()
            new.backups.end_restore(mark)
            old.store.migrate()
            old.store.prepare()
            restored, migrated = dump(new._base), dump(base)
            drop(engine_uri, new._base.name)
        del restored["schema"], migrated["schema"]
        assert restored == migrated

    def test_are_refused_while_half_of_the_collections_are_renamed(self, old: HubInProcess) -> None:
        schema._rename(old.store._base, "tails", "hub_state")
        with pytest.raises(Unavailable, match="interrupted: run it again before you make a backup"):
            old.store.backups.write(ArchiveWriter(io.BytesIO()), b"{}", "0", lambda *_: None)
