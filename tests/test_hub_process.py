"""A hub in the hands of its operator, and of the power company."""

import json
import subprocess
import time
from collections import Counter

import pytest
from processes import BIN, MT, Hub, Writers, indicators


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub") / "data").start()
    hub.join()
    yield hub
    hub.kill()


@pytest.fixture
def fragile(tmp_path):
    hub = Hub(tmp_path / "data").start()
    hub.join()
    yield hub
    hub.kill()


class TestServe:
    def test_the_first_start_says_once_how_to_use_it(self, fragile):
        assert "operator account: operator  key: " in fragile.told()
        before = {c["alias"]: c["id"] for c in fragile.command("collection", "list")}
        assert set(before) == {"inbox", "clear", "green", "amber", "scratch"}
        assert fragile.stop() == 0
        said = len(fragile.told())
        fragile.start()
        assert "key: " not in fragile.told()[said:]
        assert {c["alias"]: c["id"] for c in fragile.command("collection", "list")} == before

    def test_secrets_are_for_nobody_elses_eyes(self, hub):
        modes = {path.name: path.stat().st_mode & 0o777 for path in hub.data.iterdir()}
        assert hub.data.stat().st_mode & 0o777 == 0o700
        assert modes["secrets.json"] == modes["engine.secret"] == 0o600
        assert hub.key.split(":")[1] not in hub.told()

    def test_commands_work_before_a_hub_runs(self, tmp_path):
        hub = Hub(tmp_path / "data")
        key = hub.join("early")
        hub.start()
        assert hub.ask("collections/", key=key).status_code == 200
        assert hub.stop() == 0

    def test_commands_work_while_it_runs(self, hub):
        secret = hub.command("key", "issue", "acme")["key"]
        assert hub.ask("collections/", key=f"acme:{secret}").status_code == 200
        hub.command("collection", "add", "ics", "--kind", "feed", "--max-tlp", "green")
        hub.command("partner", "add", "ics-reader", "--name", "R", "--read", "ics")
        assert hub.command("review", "list") == []

    def test_a_second_hub_on_the_same_data_stops_with_a_sentence(self, hub):
        command = [BIN / "tocsin-hub", "serve", "--data", hub.data, "--port", "0"]
        second = subprocess.run(command, capture_output=True, timeout=120)
        assert second.returncode == 3
        assert b"another" in second.stderr and b"Traceback" not in second.stderr

    def test_a_standalone_mongod_is_sent_home_with_advice(self, tmp_path):
        command = ["serve", "--mongo-uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500"]
        away = subprocess.run(
            [BIN / "tocsin-hub", *command, "--data", tmp_path / "d"], capture_output=True
        )
        assert (away.returncode, b"cannot reach MongoDB" in away.stderr) == (3, True)


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "code"),
        [(b'{"objects": [', 400), (b"[" * 20_000, 400), (b'{"objects": 1}', 422)],
    )
    def test_what_is_no_envelope(self, hub, body, code):
        answer = hub.ask("collections/inbox/objects/", "POST", data=body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (code, MT)
        assert answer.json()["title"]

    def test_a_wrong_key_and_an_unknown_collection(self, hub):
        assert hub.ask("collections/", key="acme:wrong").status_code == 401
        assert hub.ask("collections/nowhere/objects/").status_code == 404

    def test_an_overlong_body_announced_or_in_pieces(self, hub):
        long = b" " * (10 * 1024 * 1024 + 1)
        assert hub.ask("collections/inbox/objects/", "POST", data=long).status_code == 413
        pieces = (long[:65536] for _ in range(200))
        assert hub.ask("collections/inbox/objects/", "POST", data=pieces).status_code == 413

    def test_a_bogus_version_is_a_failure_of_that_object_only(self, hub):
        good, bad = indicators(2)
        status = hub.settled(hub.post([{**bad, "modified": "bogus"}, good]).json()["id"])
        assert (status["failure_count"], status["success_count"]) == (1, 1)
        assert good["pattern"] in {o.get("pattern") for o in hub.walk()}


class TestFollowing:
    def test_two_pollers_follow_four_writers_without_loss(self, hub):
        feed = "green"
        writers = Writers(hub, count=4, size=15)
        ends = time.monotonic() + 4
        by_next, by_date = [], []
        tokens = {"limit": "40"}
        after = {"limit": "40"}
        finishing = False
        while True:
            page = hub.ask(f"collections/{feed}/objects/", params=tokens)
            by_next += [o["id"] for o in page.json().get("objects", [])]
            if page.json().get("more"):
                tokens["next"] = page.json()["next"]
            elif page.json().get("objects"):
                tokens = {"limit": "40", "added_after": page.headers["X-TAXII-Date-Added-Last"]}
            dated = hub.ask(f"collections/{feed}/objects/", params=after)
            by_date += [o["id"] for o in dated.json().get("objects", [])]
            if dated.json().get("objects"):
                after["added_after"] = dated.headers["X-TAXII-Date-Added-Last"]
            idle = not page.json().get("objects") and not dated.json().get("objects")
            if finishing and idle:
                break
            if time.monotonic() > ends and not finishing:
                writers.stop()
                finishing = True
        assert by_next == by_date
        assert max(Counter(by_next).values()) == 1
        assert len(writers.patterns) > 50
        assert writers.patterns <= {o.get("pattern") for o in hub.walk()}


class TestKills:
    def test_everything_acknowledged_survives_kill_9_of_the_hub(self, fragile):
        writers = Writers(fragile)
        for _ in range(2):
            time.sleep(1.5)
            fragile.kill()
            fragile.start()
        time.sleep(1)
        writers.stop()
        _all_there(fragile, writers)

    def test_everything_acknowledged_survives_kill_9_of_the_database(self, fragile):
        writers = Writers(fragile)
        for _ in range(2):
            time.sleep(1.5)
            fragile.kill_engine()
        time.sleep(2)
        writers.stop()
        assert set(writers.answers) <= {202, 503}
        assert "starting it again" in fragile.told()
        _all_there(fragile, writers)

    def test_a_large_submission_goes_on_where_a_crash_left_it(self, fragile):
        many = indicators(2_500)
        status = fragile.post(many).json()
        assert status["status"] == "pending"
        fragile.kill()
        fragile.start()
        settled = fragile.settled(status["id"], 200)
        assert settled["success_count"] == 2_500
        counted = Counter(o.get("pattern") for o in fragile.walk())
        assert {each["pattern"] for each in many} <= set(counted)
        assert all(count == 1 for pattern, count in counted.items() if pattern)


def _all_there(hub, writers):
    """Every acknowledged submission is settled, and each of its objects is in the feed once."""
    for status in writers.statuses:
        assert json.dumps(hub.settled(status, 150)["x_tocsin_counts"])
    counted = Counter(o["pattern"] for o in hub.walk() if "pattern" in o)
    assert len(writers.patterns) > 100
    assert writers.patterns <= set(counted)
    assert max(counted.values()) == 1
