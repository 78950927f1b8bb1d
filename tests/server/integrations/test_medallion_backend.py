"""A stock medallion over the hub's store: its views, our feeds, our dates."""

import json
import re
import subprocess
import uuid
from dataclasses import replace

import pytest
import requests
from medallion.exceptions import ProcessingError
from support.medallion_files import (
    collection,
    day,
    opened_home,
    threat,
    written,
)
from support.processes import BIN, indicators
from support.taxii_servers import MEDIA_TYPE, medallion_app
from taxii2client.v21 import Collection, Server, as_pages

from tocsin.admission.errors import NotFound
from tocsin.config import ConfigError
from tocsin.server.app import create_app
from tocsin.server.cli import operations
from tocsin.server.integrations.medallion.backend import TocsinBackend
from tocsin.server.model import Partner

USER, PASSWORD = "partner", "let-me-in"
COUNT = 23


@pytest.fixture(scope="module")
def home(engine_uri, tmp_path_factory):
    """A hub with a collection of malware, and an account for medallion to act as."""
    folder = tmp_path_factory.mktemp("home")
    with opened_home(engine_uri, folder) as home:
        home.feed = str(uuid.uuid4())
        many = [(day(1), threat(number)) for number in range(COUNT)]
        home.take(written(folder, collection(*many, id=home.feed, alias="malware")))
        reads, writes = ["malware", "scratch", "green"], ["scratch", "inbox"]
        home.key = operations.add_partner(home.hub, Partner("acme", "ACME"), reads, writes)["key"]
        yield home


@pytest.fixture(scope="module")
def chosen(home):
    """The backend's part of medallion's configuration."""
    settings = home.hub.settings
    return {
        "module": "tocsin.server.integrations.medallion.backend",
        "module_class": "TocsinBackend",
        "account": "acme",
        "data": str(settings.data),
        "mongo_uri": settings.mongo_uri,
        "database": settings.database,
    }


@pytest.fixture(scope="module")
def stock(chosen, tmp_path_factory):
    """medallion as it is installed, by its own command; its origin."""
    file = tmp_path_factory.mktemp("medallion") / "config.json"
    users = {USER: PASSWORD}
    told = {"backend": chosen, "users": users, "taxii": {"max_page_size": 100}}
    file.write_text(json.dumps(told))
    command = [BIN / "medallion", "--host", "127.0.0.1", "--port", "0", "--log-level", "INFO", file]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = ""
        while not (found := re.search(r"Running on (http://\S+)", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        yield found[1]
        process.kill()


@pytest.fixture(scope="module")
def backend(chosen):
    backend = TocsinBackend(**chosen)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def both(backend, home):
    """(medallion over our store, our own door), each as a function that asks as acme."""
    ours = create_app(home.hub.services, home.hub.seal, home.hub.settings)

    def asker(app, user, password):
        def ask(path, method="GET", **more):
            headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
            with app.test_client() as client:
                return client.open(
                    f"/hub/{path}", method=method, headers=headers, auth=(user, password), **more
                )

        return ask

    return asker(medallion_app(backend), USER, PASSWORD), asker(ours, "acme", home.key)


class TestAStockMedallion:
    @pytest.mark.parametrize("limit", [1, 7, 100])
    def test_is_walked_by_the_official_client_meeting_each_object_once(self, stock, home, limit):
        feed = f"{stock}/hub/collections/{home.feed}/"
        server = Collection(feed, user=USER, password=PASSWORD)
        names = [
            each["name"]
            for page in as_pages(server.get_objects, per_request=limit)
            for each in page["objects"]
        ]
        assert names == [f"No. {number}" for number in range(COUNT)]
        manifests = as_pages(server.get_manifest, per_request=limit)
        assert sum(len(page["objects"]) for page in manifests) == COUNT

    def test_shows_what_the_account_may_see_from_discovery_on(self, stock, home):
        server = Server(f"{stock}/taxii2/", user=USER, password=PASSWORD)
        (root,) = server.api_roots
        flags = {each.title: (each.can_read, each.can_write) for each in root.collections}
        assert flags == {
            "High value": (True, False),
            "Scratch": (True, True),
            "Inbox": (False, True),
            "TLP:GREEN": (True, False),
        }

    @pytest.mark.parametrize("limit", [1, 5])
    def test_loses_nothing_by_added_after_alone(self, stock, home, limit):
        place = f"{stock}/hub/collections/{home.feed}/objects/"
        query, names = {"limit": limit}, []
        while True:
            answer = requests.get(
                place,
                query,
                headers={"Accept": MEDIA_TYPE},
                auth=(USER, PASSWORD),
                timeout=10,
            )
            objects = answer.json().get("objects", [])
            names += [each["name"] for each in objects]
            if not objects:
                break
            query["added_after"] = answer.headers["X-TAXII-Date-Added-Last"]
        assert names == [f"No. {number}" for number in range(COUNT)]


def same(answers):
    """The one body and pair of dates that both answers have."""
    seen = [
        (
            answer.status_code,
            answer.json,
            answer.headers.get("X-TAXII-Date-Added-First"),
            answer.headers.get("X-TAXII-Date-Added-Last"),
        )
        for answer in answers
    ]
    assert seen[0] == seen[1]
    return seen[0]


class TestItsAnswers:
    @pytest.mark.parametrize("endpoint", ["objects", "manifest"])
    @pytest.mark.parametrize("query", ["", "limit=3", "match[type]=tool", "match[version]=all"])
    def test_are_those_of_our_own_door_to_the_last_digit(self, both, home, endpoint, query):
        path = f"collections/{home.feed}/{endpoint}/?limit=100&{query}"
        path = path.replace("limit=100&limit=3", "limit=3")
        status, _, _, _ = same(ask(path) for ask in both)
        assert status == 200

    def test_about_one_object_likewise(self, both, home):
        for path in ("", "versions/"):
            one = f"collections/{home.feed}/objects/{threat(3)['id']}/{path}"
            assert same(ask(one) for ask in both)[0] == 200

    def test_can_be_gone_on_with_at_our_own_door(self, both, home):
        theirs, ours = both
        objects = f"collections/{home.feed}/objects/"
        page = theirs(objects, query_string={"limit": 10}).json
        rest = ours(objects, query_string={"limit": 100, "next": page["next"]}).json
        names = [each["name"] for each in page["objects"] + rest["objects"]]
        assert names == [f"No. {number}" for number in range(COUNT)]

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("collections/nosuch/objects/", 404),
            ("collections/{amber}/objects/", 404),
            ("collections/{inbox}/objects/", 403),
            ("collections/{feed}/objects/malware--0/", 404),
            ("collections/{feed}/objects/?added_after=junk", 400),
            ("collections/{feed}/objects/?match[version]=junk", 400),
            ("collections/{feed}/objects/?next=forged", 400),
            ("status/nosuch/", 404),
        ],
    )
    def test_no_is_said_as_taxii_says_it(self, both, home, path, status):
        names = {each.alias: each.id for each in home.feeds.collections()}
        answer = both[0](path.format(feed=home.feed, **names))
        assert (answer.status_code, answer.json["http_status"]) == (status, str(status))

    def test_another_api_root_is_not_there(self, backend):
        assert backend.get_api_root_information("other") is None


class TestWriting:
    def test_goes_through_admission_and_its_status_can_be_asked_for(self, both):
        theirs, ours = both
        good, bad = *indicators(1), {"type": "indicator"}
        sent = theirs("collections/inbox/objects/", "POST", json={"objects": [good, bad]})
        assert (sent.status_code, sent.json["success_count"]) == (202, 1)
        assert sent.json["failure_count"] == 1
        later = [ask(f"status/{sent.json['id']}/").json for ask in both]
        assert later == [sent.json, sent.json]
        published = sent.json["successes"][0]["x_tocsin_public_id"]
        assert published != good["id"]
        assert ours(f"collections/green/objects/{published}/").status_code == 200

    @pytest.mark.parametrize("body", [[], {}, {"objects": []}, {"objects": 3}, "text"])
    def test_what_is_no_envelope_is_refused(self, both, body):
        answer = both[0]("collections/scratch/objects/", "POST", json=body)
        assert answer.status_code == 422

    def test_a_feed_is_not_written(self, both):
        posted = both[0]("collections/green/objects/", "POST", json={"objects": indicators(1)})
        assert posted.status_code == 403

    def test_the_account_decides_though_medallion_should_forget_to_ask(self, backend, home):
        feed, one = home.feed, threat(3)["id"]
        with pytest.raises(ProcessingError) as refused:
            backend.delete_object("hub", feed, one, {}, ())
        with pytest.raises(ProcessingError) as unread:
            backend.get_objects("hub", inbox(home), {}, (), 10)
        assert (refused.value.status, unread.value.status) == (403, 403)
        assert one in [entry.id for entry in home.entries()]

    def test_deleting_takes_all_versions_away(self, both):
        theirs, _ = both
        first, second = threat(900), threat(900, 2)
        theirs("collections/scratch/objects/", "POST", json={"objects": [first, second]})
        one = f"collections/scratch/objects/{first['id']}/"
        assert theirs(one, "DELETE").status_code == 200
        assert [theirs(one).status_code, theirs(one, "DELETE").status_code] == [404, 404]


def inbox(home):
    """The id of the inbox, which nobody reads."""
    return next(each.id for each in home.feeds.collections() if each.alias == "inbox")


class TestStarting:
    def test_with_an_account_that_is_not_there_is_refused(self, chosen):
        with pytest.raises(NotFound, match="nobody"):
            TocsinBackend(**chosen | {"account": "nobody"})

    def test_with_a_setting_that_is_not_one_is_refused_by_its_name(self, chosen):
        with pytest.raises(ConfigError, match="mongouri"):
            TocsinBackend(**chosen, mongouri="mongodb://elsewhere/")

    def test_without_medallion_it_says_what_to_install(self):
        module = "tocsin.server.integrations.medallion.backend"
        code = f"import sys; sys.modules['medallion'] = None; import {module}"
        said = subprocess.run(
            [BIN / "python", "-c", code], capture_output=True, text=True, timeout=60
        )
        assert said.returncode == 1
        assert "pip install 'tocsin[server,medallion]'" in said.stderr

    def test_an_account_that_is_disabled_afterwards_sees_nothing_more(self, chosen, home):
        operations.add_partner(home.hub, Partner("gone", "Gone"), ["scratch"], [])
        backend = TocsinBackend(**chosen | {"account": "gone"})
        try:
            assert backend.get_collections("hub")["collections"]
            people = home.hub.services.store.accounts
            people.update_account(replace(people.find_account("gone"), disabled=True))
            with pytest.raises(ProcessingError):
                backend.get_collections("hub")
        finally:
            backend.close()
