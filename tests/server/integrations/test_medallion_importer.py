"""Moving in from a medallion data file: what comes along, in which order, what is left out."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.medallion_files import (
    FEED,
    ImportTarget,
    day,
    open_import_target,
    record,
    threat,
    write_data_file,
)

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.model import CollectionKind, Partner

ADDRESS = {
    "type": "ipv4-addr",
    "id": "ipv4-addr--efcd5e80-570d-4131-b213-62cb18eaa6a8",
    "value": "198.51.100.3",
    "_date_added": day(2),
}


@pytest.fixture(scope="module")
def hub(engine_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_import_target(engine_uri, tmp_path_factory.mktemp("home")) as home:
        yield home.hub


@pytest.fixture
def home(hub: Any) -> Any:
    """The hub of this file, and the id of a collection of this test's own."""
    return ImportTarget(hub, str(uuid.uuid4()))


@pytest.fixture
def take(home: Any, tmp_path: Path) -> Any:
    """Imports the one collection that is described; the answer."""

    def take(*added: Any, **more: Any) -> Any:
        (answer,) = home.run_import(write_data_file(tmp_path, home.own_collection(*added, **more)))
        return answer

    return take


def reasons(answer: Any) -> Any:
    return {each["id"]: each["reason"] for each in answer["left_out"]}


class TestACollection:
    def test_keeps_its_id_title_description_and_alias(self, take: Any, home: Any) -> None:
        take(alias="high-value", description="Of high value.")
        here = home.collection()
        assert (here.title, here.description, here.alias) == (
            "High value",
            "Of high value.",
            "high-value",
        )
        assert here.kind is CollectionKind.VERBATIM

    def test_a_collection_whose_alias_is_taken_gets_none_and_the_report_says_so(
        self, take: Any, home: Any
    ) -> None:
        answer = take(alias="green")
        assert home.collection().alias == ""
        assert (answer["alias"], answer["former_alias"]) == ("", "green")

    def test_a_collection_gets_an_alias_with_the_requested_prefix(
        self, home: Any, tmp_path: Path
    ) -> None:
        home.run_import(
            write_data_file(tmp_path, home.own_collection(title="Über Threats, 2020")), prefix="old"
        )
        assert home.collection().alias == "old-ber-threats-2020"

    @pytest.mark.parametrize(
        "id", ["high-value", FEED.upper(), "91a7b528-80eb-12ed-a74d-c6fbd5a26116"]
    )
    def test_an_id_that_is_not_a_uuid_4_is_replaced_by_a_stable_one(
        self, take: Any, home: Any, id: Any
    ) -> None:
        first, second = take((day(1), threat(1)), id=id), take((day(1), threat(1)), id=id)
        assert first["formerly"] == id
        assert first["collection"] == second["collection"] != id
        assert (first["added"], second["known"]) == (1, 1)

    def test_a_second_collection_of_one_id_gets_its_own(self, home: Any, tmp_path: Path) -> None:
        theirs = home.own_collection((day(1), threat(2)), title="Theirs")
        file = write_data_file(tmp_path, home.own_collection((day(1), threat(1))), other=[theirs])
        first, second = home.run_import(file)
        assert first["collection"] == home.feed != second["collection"]
        assert [each["name"] for each in home.bodies()] == ["No. 1"]
        (again,) = home.run_import(file, roots={"other"})
        assert (again["collection"], again["known"]) == (second["collection"], 1)

    def test_a_collection_with_the_id_of_a_feed_is_refused(self, home: Any, take: Any) -> None:
        green = next(c for c in home.feeds.collections() if c.alias == "green")
        with pytest.raises(Conflict, match="feed 'green'"):
            take((day(1), threat(1)), id=green.id)

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            ((True, True), "partner change SLUG --read {0} --write {0}` alone would replace"),
            ((True, False), "partner change SLUG --read {0}` alone would replace"),
            ((False, False), "nobody could"),
        ],
    )
    def test_the_report_says_what_medallions_users_could_do(
        self, home: Any, take: Any, flags: Any, said: str
    ) -> None:
        assert said.format(home.feed) in take(can_read=flags[0], can_write=flags[1])["rights"]

    def test_collections_are_selected_by_root_title_or_id(self, home: Any, tmp_path: Path) -> None:
        second = home.own_collection(id="0d1bf9a4-0e54-4d5e-9b4e-3f1ec87ff5f4", title="Second")
        file = write_data_file(
            tmp_path, home.own_collection(), second, other=[home.own_collection(title="Third")]
        )
        titles = [
            [each["title"] for each in home.run_import(file, dry_run=True, **wish)]
            for wish in ({"roots": {"trust"}}, {"collections": {"Third", home.feed}}, {})
        ]
        assert titles == [
            ["High value", "Second"],
            ["High value", "Third"],
            ["High value", "Second", "Third"],
        ]

    def test_an_unknown_collection_is_refused_with_the_known_ones(
        self, home: Any, tmp_path: Path
    ) -> None:
        with pytest.raises(NotFound, match="trust: High value"):
            home.run_import(
                write_data_file(tmp_path, home.own_collection()), collections={"nosuch"}
            )


class TestObjects:
    def test_objects_are_imported_once_in_the_order_of_date_added(
        self, take: Any, home: Any
    ) -> None:
        added = [(day(3), threat(1)), (day(1), threat(2)), (day(2), threat(3)), (day(1), threat(4))]
        assert take(*added)["added"] == 4
        assert [each["name"] for each in home.bodies()] == ["No. 2", "No. 4", "No. 3", "No. 1"]
        stamps = [entry.stamp for entry in home.entries()]
        assert stamps == sorted(set(stamps))

    def test_objects_are_imported_in_all_versions(self, take: Any, home: Any) -> None:
        take((day(1), threat(1, 2)), (day(2), threat(1, 1)), (day(3), threat(1, 3)))
        assert [entry.version[8:10] for entry in home.entries()] == ["02", "01", "03"]

    def test_objects_keep_their_octets(self, home: Any, tmp_path: Path) -> None:
        file = write_data_file(tmp_path, home.own_collection((day(1), threat(1))))
        spelt = ' { "x_odd":[1.10,1e3 ,"\\u00e4ä"],\n' + json.dumps(threat(1))[1:-1] + ' ,"a":0}'
        file.write_text(file.read_text("utf-8").replace(json.dumps(threat(1)), spelt), "utf-8")
        home.run_import(file)
        assert [entry.body.decode() for entry in home.entries()] == [spelt.strip()]

    def test_medallions_hidden_date_is_removed(self, take: Any, home: Any) -> None:
        take((day(2), ADDRESS))
        assert home.bodies() == [{k: v for k, v in ADDRESS.items() if k != "_date_added"}]

    def test_objects_get_new_dates_and_the_report_has_a_cursor(
        self, home: Any, tmp_path: Path
    ) -> None:
        added = [(day(1), threat(1)), (day(2), threat(2)), (day(2), threat(3)), (day(3), ADDRESS)]
        file = write_data_file(tmp_path, home.own_collection(*added))
        (answer,) = home.run_import(file, cursor=micros(day(2)))
        stamps = [timestamp(entry.stamp) for entry in home.entries()]
        assert answer["date_added"] == [day(1), day(3)]
        assert answer["cursor"] == stamps[-1]
        assert answer["cursor_for"] == stamps[0]  # of equal dates, medallion may have lost some

    def test_a_cursor_before_the_first_object_has_no_counterpart(
        self, home: Any, tmp_path: Path
    ) -> None:
        file = write_data_file(tmp_path, home.own_collection((day(2), threat(1))))
        (answer,) = home.run_import(file, cursor=micros(day(1)))
        assert "cursor_for" not in answer


class TestSkippedObjects:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("poison", "reason"),
        [
            ({"modified": "bogus"}, "`modified`"),
            ({"modified": 7}, "`modified`"),
            ({"type": "zzz"}, "`id` of the type"),
            ({"spec_version": "9"}, "spec_version"),
            ({"x_number": float("nan")}, "NaN"),
            ({"x_text": "\ud800"}, "surrogate"),
            ({"x_text": "a" * 15_000_001}, "longer than 15,000,000 octets"),
        ],
        ids=["modified", "number", "type", "spec", "nan", "surrogate", "large"],
    )
    def test_an_invalid_object_is_reported_and_skipped_alone(
        self, take: Any, home: Any, poison: Any, reason: str
    ) -> None:
        bad = {**threat(1), **poison}
        answer = take((day(1), bad), (day(2), threat(2)))
        assert reason in reasons(answer)[bad["id"]]
        assert [each["name"] for each in home.bodies()] == ["No. 2"]
        assert (answer["found"], answer["added"]) == (2, 1)

    def test_an_object_without_an_id_is_reported(self, take: Any) -> None:
        nameless = {k: v for k, v in threat(1).items() if k != "id"}
        assert "`id`" in reasons(take((day(1), nameless)))[""]

    @pytest.mark.parametrize("value", [None, 7, "text", ["list"]])
    def test_a_value_that_is_not_an_object_is_reported(self, take: Any, value: Any) -> None:
        answer = take(objects=[value, threat(1)], manifest=[value, record(threat(1), day(1))])
        assert (answer["added"], reasons(answer).keys()) == (1, {""})

    def test_an_object_missing_in_the_manifest_is_reported(self, take: Any) -> None:
        answer = take((day(1), threat(1)), objects=[threat(1), threat(2)])
        assert "medallion never served it" in reasons(answer)[threat(2)["id"]]
        assert answer["added"] == 1

    def test_a_manifest_record_without_an_object_is_reported(self, take: Any) -> None:
        answer = take(manifest=[record(threat(1), day(1))])
        assert reasons(answer) == {threat(1)["id"]: "a manifest record without an object"}

    def test_a_manifest_record_without_a_date_is_reported(self, take: Any) -> None:
        assert "date_added" in take(("yesterday", threat(1)))["left_out"][0]["reason"]

    def test_a_second_content_of_one_version_is_reported_and_the_first_stays(
        self, take: Any, home: Any
    ) -> None:
        answer = take((day(1), threat(1)), (day(2), threat(1, name="Another")))
        assert "other content" in reasons(answer)[threat(1)["id"]]
        assert [each["name"] for each in home.bodies()] == ["No. 1"]


class TestRepeatedImport:
    def test_a_repeated_import_adds_nothing(self, home: Any, tmp_path: Path) -> None:
        file = write_data_file(
            tmp_path, home.own_collection((day(1), threat(1)), (day(2), ADDRESS))
        )
        home.run_import(file)
        before = home.feeds.head(home.feed), home.journal_length()
        (answer,) = home.run_import(file)
        assert (answer["added"], answer["known"]) == (0, 2)
        assert (home.feeds.head(home.feed), home.journal_length()) == before

    def test_a_repeated_import_adds_new_objects(self, take: Any, home: Any) -> None:
        take((day(1), threat(1)))
        take((day(1), threat(1)), (day(2), threat(2)))
        assert [each["name"] for each in home.bodies()] == ["No. 1", "No. 2"]

    def test_a_dry_run_writes_nothing_and_reports_the_same(self, home: Any, tmp_path: Path) -> None:
        bad = threat(3, modified="bogus")
        file = write_data_file(tmp_path, home.own_collection((day(1), threat(1)), (day(2), bad)))
        before = home.feeds.collections(), home.journal_length()
        (foretold,) = home.run_import(file, dry_run=True)
        assert (home.feeds.collections(), home.journal_length()) == before
        (answer,) = home.run_import(file)
        assert foretold == {k: v for k, v in answer.items() if k != "cursor"}

    def test_a_dry_run_counts_a_version_that_is_there_twice_once(
        self, home: Any, tmp_path: Path
    ) -> None:
        domain = {"type": "domain-name", "value": "a.top", "spec_version": "2.1"}
        domain["id"] = "domain-name--11111111-1111-4111-8111-111111111111"
        twice = [(day(1), threat(1)), (day(1), threat(1)), (day(1), threat(1, name="Other"))]
        twice += [(day(2), domain), (day(2), {**domain, "value": "b.top"})]
        file = write_data_file(tmp_path, home.own_collection(*twice))
        (foretold,) = home.run_import(file, dry_run=True)
        (answer,) = home.run_import(file)
        assert (answer["added"], answer["known"], len(answer["left_out"])) == (2, 1, 2)
        assert foretold == {k: v for k, v in answer.items() if k != "cursor"}

    def test_a_dry_run_knows_what_is_here_already(self, home: Any, tmp_path: Path) -> None:
        home.run_import(write_data_file(tmp_path, home.own_collection((day(1), threat(1)))))
        changed = (day(1), threat(1, name="Other"))
        file = write_data_file(
            tmp_path, home.own_collection((day(1), threat(1)), (day(2), threat(2)), changed)
        )
        before = home.feeds.head(home.feed), home.journal_length()
        (foretold,) = home.run_import(file, dry_run=True)
        assert (home.feeds.head(home.feed), home.journal_length()) == before
        (answer,) = home.run_import(file)
        assert (foretold["added"], foretold["known"]) == (1, 1)
        assert foretold == {k: v for k, v in answer.items() if k != "cursor"}

    def test_a_dry_run_gives_no_alias_twice(self, home: Any, tmp_path: Path) -> None:
        twins = [home.own_collection(id=str(uuid.uuid4()), alias="twin") for _ in range(2)]
        answers = home.run_import(write_data_file(tmp_path, *twins), dry_run=True)
        assert [each["alias"] for each in answers] == ["twin", ""]


class TestTheFile:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "incomplete"),
            ('{"trust": {"collections": [', "incomplete"),
            ("nonsense", "is not JSON"),
            ('{"trust" 1}', "is missing"),
            ("[]", "has no collections"),
            ('{"trust": 1, "/discovery": {"collections": 2}}', "has no collections"),
            ("{} {}", "text after its end"),
            ('{"trust": ' + "[" * 100_000, "nested too deeply"),
        ],
        ids=range(8),
    )
    def test_a_file_that_is_not_medallions_is_refused_with_a_message(
        self, home: Any, tmp_path: Path, text: str, said: str
    ) -> None:
        file = tmp_path / "data.json"
        file.write_text(text, "utf-8")
        with pytest.raises(Malformed, match=said):
            home.run_import(file)


class TestTheOwner:
    def test_is_the_partner_that_is_named(self, home: Any, tmp_path: Path) -> None:
        home.hub.services.store.accounts.add_partner(Partner("mover", "Mover"))
        data = write_data_file(tmp_path, home.own_collection((day(1), threat(1))))
        (answer,) = home.run_import(data, partner="mover")
        (owner,) = home.hub.services.store.commit(
            lambda txn: txn.find_owners(answer["collection"], threat(1)["id"])
        )
        assert owner == "mover"

    def test_must_exist(self, home: Any, tmp_path: Path) -> None:
        data = write_data_file(tmp_path, home.own_collection((day(1), threat(1))))
        with pytest.raises(NotFound, match="no partner nobody"):
            home.run_import(data, partner="nobody")
