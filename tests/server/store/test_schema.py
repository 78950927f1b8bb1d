"""The database's schema version: stamped, checked at start, raised by migrations."""

from typing import Any

import pytest
from support.presence import present

from tocsin.admission.errors import Unavailable
from tocsin.server.store import Store, schema
from tocsin.server.store.schema import SCHEMA_VERSION, check, find_version, migrate


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
