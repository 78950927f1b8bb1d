"""Moving in from medallions that run: their databases, their pollers, an import that is killed."""

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId
from medallion.backends.mongodb_backend import MongoBackend
from pymongo import MongoClient
from support.medallion_files import (
    ImportTarget,
    collection,
    day,
    open_import_target,
    threat,
    write_data_file,
)
from support.processes import BIN
from support.processes import HubProcess as HubProcess
from support.taxii_servers import (
    COLLECTION,
    KEY,
    MEDIA_TYPE,
    serve_app,
    serve_medallion,
    serve_over,
)
from taxii2client.v21 import Collection as PeerCollection
from taxii2client.v21 import as_pages

from tocsin.admission.errors import Malformed, Unavailable
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.poll import PollQuery, poll
from tocsin.clients.state import Cursor
from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app
from tocsin.server.cli.partner import add_partner
from tocsin.server.model import Partner
from tocsin.server.runtime import open_runtime

pytestmark = pytest.mark.slow

ADDRESS = {
    "type": "ipv4-addr",
    "id": "ipv4-addr--efcd5e80-570d-4131-b213-62cb18eaa6a8",
    "value": "198.51.100.3",
}


def post(url: Any, feed: Any, *objects: Any) -> None:
    """A step of a partner of medallion's."""
    place = f"{url.replace('/taxii2/', '/' + feed)}/objects/"
    headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
    auth: Any = tuple(KEY.split(":"))
    answer = requests.post(place, json={"objects": objects}, headers=headers, auth=auth, timeout=10)
    assert answer.json()["success_count"] == len(objects), answer.text


class Peer:
    """A medallion with its MongoDB backend."""

    def __init__(self, client: Any, uri: Any) -> None:
        self.uri = uri
        self.root = f"root_{uuid.uuid4().hex}"
        self.feed = str(uuid.uuid4())
        self.base = client[self.root]
        self.client = client
        info = {"title": "Root", "versions": [MEDIA_TYPE], "max_content_length": 1_000_000}
        roots = client["discovery_database"]["api_root_info"]
        roots.insert_one({**info, "_name": self.root, "_url": f"http://here/{self.root}/"})
        described = {"id": self.feed, "title": "Kept in MongoDB", "alias": self.root[-8:]}
        flags = {"can_read": True, "can_write": True, "media_types": []}
        self.base["collections"].insert_one({**described, **flags})

    def add(self, url: Any, *objects: Any) -> None:
        post(url, f"{self.root}/collections/{self.feed}", *objects)

    def put(self, *documents: Any) -> None:
        """Straight into its database, past medallion."""
        self.base["objects"].insert_many({"_collection_id": self.feed, **d} for d in documents)

    def drop(self) -> None:
        self.client.drop_database(self.root)
        self.client["discovery_database"]["api_root_info"].delete_one({"_name": self.root})


@pytest.fixture
def peer(engine_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](engine_uri) as client:
        peer = Peer(client, engine_uri)
        yield peer
        peer.drop()


@pytest.fixture(scope="module")
def hub(engine_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_import_target(engine_uri, tmp_path_factory.mktemp("home")) as home:
        yield home.hub


@pytest.fixture
def home(hub: Any, peer: Any) -> Any:
    return ImportTarget(hub, peer.feed)


class TestItsDatabase:
    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp")  # medallion's own
    def test_a_mongodb_is_imported_as_medallion_serves_it(self, home: Any, peer: Any) -> None:
        backend = MongoBackend(uri=peer.uri, check_interval=3600)
        finer = threat(3, modified="2019-01-01T00:00:00.123456Z")
        with serve_over(backend) as url, backend.client:
            for each in (threat(1), threat(2, 2), ADDRESS, threat(2, 1), finer):
                peer.add(url, each)
            place = f"{url.replace('taxii2', peer.root)}collections/{peer.feed}/"
            query = {"match[version]": "all"}
            auth: Any = tuple(KEY.split(":"))
            asked = requests.get(
                f"{place}objects/", query, headers={"Accept": MEDIA_TYPE}, auth=auth, timeout=10
            )
        (answer,) = home.run_import(peer.uri, roots={peer.root})
        assert home.bodies() == asked.json()["objects"]
        assert [each["id"] for each in home.bodies()] == [
            each["id"] for each in (threat(1), threat(2), ADDRESS, threat(2), finer)
        ]
        assert (answer["added"], answer["left_out"]) == (5, [])
        assert (home.collection().title, home.collection().alias) == (
            "Kept in MongoDB",
            peer.root[-8:],
        )

    def test_a_repeated_import_from_mongodb_adds_nothing(self, home: Any, peer: Any) -> None:
        manifest = {"date_added": 1.5e9}
        peer.put({**threat(1), "_manifest": manifest}, {**ADDRESS, "_manifest": manifest})
        home.run_import(peer.uri, roots={peer.root})
        (answer,) = home.run_import(peer.uri, roots={peer.root})
        assert (answer["added"], answer["known"]) == (0, 2)

    def test_dates_keep_their_microseconds(self, home: Any, peer: Any) -> None:
        peer.put({**threat(1), "_manifest": {"date_added": 1591005600.123456}})
        (answer,) = home.run_import(peer.uri, roots={peer.root})
        assert answer["date_added"][0] == "2020-06-01T10:00:00.123456Z"

    @pytest.mark.parametrize(
        ("poison", "reason"),
        [
            ({"modified": float("nan")}, "not a date"),
            ({"modified": 1e300}, "years 1 to 9999"),
            ({"x_number": float("inf")}, "JSON"),
            ({"x_key": ObjectId()}, "JSON"),
            ({"modified": "bogus"}, "`modified`"),
            ({"_manifest": {}}, "date_added"),
            ({"_manifest": 7}, "date_added"),
            ({"_manifest": {"date_added": "yesterday"}}, "date_added"),
        ],
        ids=range(8),
    )
    def test_an_object_that_cannot_be_written_as_json_is_reported_and_skipped_alone(
        self, home: Any, peer: Any, poison: Any, reason: str
    ) -> None:
        good = {"_manifest": {"date_added": 1.5e9}}
        peer.put({**threat(1), **good, **poison}, {**threat(2), **good})
        (answer,) = home.run_import(peer.uri, roots={peer.root})
        (left,) = answer["left_out"]
        assert left["id"] == threat(1)["id"] and reason in left["reason"]
        assert [each["name"] for each in home.bodies()] == ["No. 2"]

    @pytest.mark.parametrize("place", ["127.0.0.1:9/?serverSelectionTimeoutMS=50", "", "h:port"])
    def test_the_error_for_an_unreachable_database_has_no_password(
        self, home: Any, place: str
    ) -> None:
        with pytest.raises(Unavailable, match="medallion") as raised:
            home.run_import(f"mongodb://user:let-me-in@{place}")
        assert "let-me-in" not in str(raised.value)

    def test_a_database_without_medallion_is_reported(self, home: Any, engine_uri: str) -> None:
        with MongoClient[dict[str, Any]](engine_uri) as client:
            client["discovery_database"]["api_root_info"].delete_many({})
        with pytest.raises(Malformed, match="no collections of medallion"):
            home.run_import(engine_uri)


@pytest.fixture
def moved(hub: Any, tmp_path: Path) -> Iterator[Any]:
    """(URL, key, collection) of a hub that took over what was posted to a real medallion."""
    with serve_medallion() as partner:
        for start in range(0, 20, 5):  # each POST has one date
            partner.add(*(threat(number) for number in range(start, start + 5)))
        file = tmp_path / "data.json"
        partner.backend.save_data_to_file(str(file), indent=2)
    home = ImportTarget(hub, COLLECTION)
    home.run_import(file, collections={COLLECTION})
    slug = f"acme-{uuid.uuid4().hex[:6]}"
    added = add_partner(hub, Partner(slug, "ACME"), [COLLECTION], [])
    with serve_app(create_app(hub.services, hub.secrets, hub.settings)) as origin:
        yield origin, f"{slug}:{added['key']}"


class TestPollers:
    @pytest.mark.parametrize("limit", [1, 7, 100])
    def test_the_official_client_gets_everything_once_and_in_order(
        self, moved: Any, limit: int
    ) -> None:
        origin, key = moved
        user, password = key.split(":", 1)
        url = f"{origin}/hub/collections/{COLLECTION}/"
        feed = PeerCollection(url, user=user, password=password)
        pages = list(as_pages(feed.get_objects, per_request=limit))
        names = [each["name"] for page in pages for each in page["objects"]]
        assert names == [f"No. {number}" for number in range(20)]

    def test_our_client_gets_everything_once_and_in_order(self, moved: Any) -> None:
        origin, key = moved
        kept = Kept()
        with Hub(f"{origin}/taxii2/", key, RetrySettings(2, 5, 1, 0.01)) as hub:
            assert list(poll(hub, hub.find_collection(COLLECTION), PollQuery(limit=7), kept)) == [
                7,
                7,
                6,
            ]
        assert [json.loads(each)["name"] for each in kept.objects] == [
            f"No. {number}" for number in range(20)
        ]


class Kept:
    """An output that remembers."""

    incremental = True

    def __init__(self) -> None:
        self.objects: list[Any] = []

    def resume(self, cursor: Cursor) -> None:
        pass

    def write(self, objects: Any) -> None:
        self.objects += objects

    def sync(self) -> Any:
        return "", 0

    finish = sync


RESTING = """
import sys, time
from tocsin.server.cli.main import main
from tocsin.server.integrations.medallion import importer

store_batch = importer._store_batch

def store_and_rest(*arguments):
    result = store_batch(*arguments)
    time.sleep(100)
    return result

importer._store_batch = store_and_rest
sys.exit(main())
"""
"""An import that rests after its first batch, so that it can be killed before its end."""


class TestTheCommand:
    def test_the_command_works_with_and_without_a_running_hub(self, tmp_path: Path) -> None:
        file = write_data_file(tmp_path, collection((day(1), threat(1)), (day(2), threat(2))))
        hub = HubProcess(tmp_path / "data")
        command = ("import", "medallion", str(file))
        (before,) = hub.command(*command)
        hub.start()
        try:
            (meanwhile,) = hub.command(*command)
        finally:
            hub.stop()
        assert (before["added"], meanwhile["added"], meanwhile["known"]) == (2, 0, 2)

    def test_the_command_says_that_users_and_statuses_are_not_imported(
        self, tmp_path: Path
    ) -> None:
        file = write_data_file(tmp_path, collection())
        command: list[str | Path] = [
            BIN / "tocsin-hub",
            "import",
            "medallion",
            file,
            "--data",
            tmp_path / "data",
        ]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "users and passwords are not imported" in said.stderr
        assert "statuses are not imported" in said.stderr

    @pytest.mark.slow
    def test_a_killed_import_continues_when_repeated(self, tmp_path: Path) -> None:
        many = [(day(1 + number // 250), threat(number)) for number in range(1_000)]
        file = write_data_file(tmp_path, collection(*many))
        hub = HubProcess(tmp_path / "data").start()
        words = ["import", "medallion", str(file)]
        try:
            with open_runtime(HubSettings(data=hub.data), print) as beside:
                home = ImportTarget(beside)
                command: list[str | Path] = [sys.executable, "-c", RESTING, *words]
                command += ["--data", hub.data]
                with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
                    while not some(home):
                        assert running.poll() is None
                        time.sleep(0.005)
                    running.send_signal(signal.SIGKILL)
                arrived = len(home.entries())
                (answer,) = hub.command(*words)
                names = [each["name"] for each in home.bodies()]
        finally:
            hub.stop()
        assert 0 < arrived < 1_000
        assert (answer["known"], answer["added"]) == (arrived, 1_000 - arrived)
        assert names == [f"No. {number}" for number in range(1_000)]


def some(home: Any) -> Any:
    """True if the import has got anywhere."""
    there = any(each.id == home.feed for each in home.feeds.collections())
    return there and home.feeds.head(home.feed).position > 0
