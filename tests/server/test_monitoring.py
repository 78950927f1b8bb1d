"""A hub says if it can serve, and its metrics count what happened, for those who may read them."""

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from pymongo import MongoClient
from support.hub import HubInProcess, indicator, relationship
from support.metrics import find_value, read_samples
from support.paths import ROOT
from support.presence import present
from support.processes import free_port

from tocsin.admission.timestamps import DAY
from tocsin.config.settings import HubSettings
from tocsin.server import monitoring
from tocsin.server.app import create_monitoring_app
from tocsin.server.bootstrap import create_operator
from tocsin.server.monitoring import HubProcesses, Monitor
from tocsin.server.processes.counters import Counters
from tocsin.server.store import DiskSpace, Store

MORE_THAN_ANY_DISK = 1 << 50


@pytest.fixture
def hub(store: Store, engine_uri: str, tmp_path: Path) -> Iterator[HubInProcess]:
    """A hub whose background work has begun, and which counts the commands of its database."""
    counted = Store.connect(engine_uri, name=store._base.name, counters=Counters())
    hub = HubInProcess(counted, settings=HubSettings(data=tmp_path, min_free_octets=1))
    hub.services.monitor.note_turn()
    hub.services.monitor.look()
    yield hub
    counted.close()


def read_metrics(hub: HubInProcess) -> str:
    return hub.services.monitor.format_metrics().decode()


def count_commands(hub: HubInProcess) -> float:
    name = "tocsin_database_command_duration_seconds_count"
    samples = read_samples(generate_latest(hub.services.monitor.counters).decode())
    return sum(value for (each, _), value in samples.items() if each == name)


def credential(name: str, key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{key}'.encode()).decode()}"}


def take_away(hub: HubInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(hub.store.availability), "is_away", True)


class TestHealth:
    def test_the_process_answers_without_a_credential(self, hub: HubInProcess) -> None:
        answer = hub.client.get("/healthz")
        assert (answer.status_code, answer.data) == (200, b"ok\n")

    def test_the_process_answers_while_the_database_is_away(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take_away(hub, monkeypatch)
        assert hub.client.get("/healthz").status_code == 200


class TestReadiness:
    def test_of_a_hub_that_can_serve(self, hub: HubInProcess) -> None:
        answer = hub.client.get("/readyz")
        checks = dict.fromkeys(("database", "disk", "worker", "feeds"), True)
        assert (answer.status_code, answer.json) == (200, {"ready": True, "checks": checks})
        assert answer.headers["Cache-Control"] == "no-store"

    def test_ends_when_the_database_is_away(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take_away(hub, monkeypatch)
        assert failed_checks(hub) == ["database", "feeds"]

    def test_ends_when_the_disk_is_full(self, store: Store, tmp_path: Path) -> None:
        settings = HubSettings(data=tmp_path, min_free_octets=MORE_THAN_ANY_DISK)
        hub = HubInProcess(store, settings=settings)
        hub.services.monitor.note_turn()
        hub.services.monitor.look()
        assert failed_checks(hub) == ["disk"]

    def test_begins_with_the_background_work(self, store: Store) -> None:
        assert failed_checks(HubInProcess(store)) == ["feeds", "worker"]

    def test_ends_when_a_turn_of_the_worker_takes_too_long(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(monitoring, "_TURN_PATIENCE", 0.0)
        assert failed_checks(hub) == ["worker"]

    def test_ends_when_the_feeds_cannot_be_read(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(monitoring, "_LOOK_PATIENCE", 0.0)
        assert failed_checks(hub) == ["feeds"]

    def test_is_read_from_memory(self, hub: HubInProcess) -> None:
        assert hub.client.get("/healthz").status_code == 200  # the application is made now
        before = count_commands(hub)
        for path in ("/readyz", "/healthz"):
            assert hub.client.get(path).status_code == 200
        assert count_commands(hub) == before
        hub.services.store.feeds.collections()
        assert count_commands(hub) > before


def failed_checks(hub: HubInProcess) -> list[str]:
    answer = hub.client.get("/readyz")
    failed = sorted(name for name, passed in present_json(answer)["checks"].items() if not passed)
    assert answer.status_code == (503 if failed else 200)
    assert present_json(answer)["ready"] is (not failed)
    return failed


def present_json(answer: Any) -> dict[str, Any]:
    return dict(json.loads(answer.data))


class TestAccess:
    def test_to_metrics_needs_a_credential(self, hub: HubInProcess) -> None:
        answer = hub.client.get("/metrics")
        assert (answer.status_code, b"tocsin_" in answer.data) == (401, False)
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")

    def test_to_metrics_is_not_for_partners(self, hub: HubInProcess) -> None:
        answer = hub.client.get("/metrics", headers=credential("acme", "acme"))
        assert (answer.status_code, b"tocsin_" in answer.data) == (403, False)

    def test_from_loopback_is_nothing_special(self, hub: HubInProcess) -> None:
        answer = hub.client.get("/metrics", environ_base={"REMOTE_ADDR": "127.0.0.1"})
        assert answer.status_code == 401

    def test_to_metrics_is_for_operators(self, hub: HubInProcess) -> None:
        key = create_operator(hub.store)
        assert key is not None
        answer = hub.client.get("/metrics", headers=credential("operator", key))
        assert (answer.status_code, answer.content_type) == (200, monitoring.TEXT_FORMAT)
        assert find_value(answer.text, "tocsin_check_passed", check="database") == 1

    def test_at_an_address_of_their_own_is_for_everybody(self, hub: HubInProcess) -> None:
        client = create_monitoring_app(hub.services.monitor).test_client()
        statuses = [client.get(path).status_code for path in ("/metrics", "/readyz", "/healthz")]
        assert statuses == [200, 200, 200]
        assert client.get("/taxii2/").status_code == 404

    @pytest.mark.parametrize(
        ("method", "path", "status"), [("POST", "/metrics", 405), ("GET", "/x", 404)]
    )
    def test_at_an_address_of_their_own_errors_are_plain_text(
        self, hub: HubInProcess, method: str, path: str, status: int
    ) -> None:
        client = create_monitoring_app(hub.services.monitor).test_client()
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.mimetype) == (status, "text/plain")
        assert "<" not in answer.text
        assert (status == 405) is ("GET" in answer.headers.get("Allow", ""))


class TestCounts:
    def test_of_objects_by_verdict_and_of_submissions(self, hub: HubInProcess) -> None:
        hub.push(indicator("evil-portal.top"), indicator("one.acme.example"), {"type": "indicator"})
        text = read_metrics(hub)
        settled = {
            dict(labels)["verdict"]: value
            for (name, labels), value in read_samples(text).items()
            if name == "tocsin_objects_settled_total"
        }
        assert settled == {"admitted": 1, "held": 1, "refused": 1}
        assert find_value(text, "tocsin_submissions_received_total", handling="inline") == 1
        assert find_value(text, "tocsin_submission_settle_seconds_count") == 1
        assert find_value(text, "tocsin_reviews_waiting") == 1
        assert find_value(text, "tocsin_references_waiting") == 0

    @pytest.mark.slow
    def test_of_what_waits_for_others_apart_from_what_waits_for_reviewers(
        self, hub: HubInProcess
    ) -> None:
        hub.push(
            relationship(indicator("evil-portal.top"), "related-to", indicator("one-more.top"))
        )
        text = read_metrics(hub)
        assert find_value(text, "tocsin_reviews_waiting") == 0
        assert find_value(text, "tocsin_references_waiting") == 1

    @pytest.mark.slow
    def test_of_the_queue(self, hub: HubInProcess) -> None:
        path = "collections/inbox/objects/"
        body = json.dumps({"objects": [indicator(f"n{n}.top") for n in range(201)]})
        assert hub.ask(path, method="POST", data=body).status_code == 202
        text = read_metrics(hub)
        assert find_value(text, "tocsin_submissions_received_total", handling="queued") == 1
        assert find_value(text, "tocsin_queue_submissions") == 1
        assert (find_value(text, "tocsin_queue_oldest_seconds") or 0) > 0
        while hub.services.intake.work():
            pass
        text = read_metrics(hub)
        assert find_value(text, "tocsin_queue_submissions") == 0
        assert find_value(text, "tocsin_queue_oldest_seconds") == 0
        assert find_value(text, "tocsin_objects_settled_total", verdict="admitted") == 201

    def test_of_what_an_account_sent_before_it_was_disabled(self, hub: HubInProcess) -> None:
        body = json.dumps({"objects": [indicator(f"n{n}.top") for n in range(201)]})
        assert hub.ask("collections/inbox/objects/", method="POST", data=body).status_code == 202
        account = hub.store.accounts.find_account("acme")
        hub.store.accounts.update_account(replace(present(account), disabled=True))
        while hub.services.intake.work():
            pass
        assert (
            find_value(read_metrics(hub), "tocsin_objects_settled_total", verdict="refused") == 201
        )

    def test_of_pages_and_objects_by_collection(self, hub: HubInProcess) -> None:
        hub.push(indicator("one.top"), indicator("two.top"))
        served = len(hub.ask("collections/green/objects/").json["objects"])
        hub.ask("collections/green/manifest/")
        text = read_metrics(hub)
        assert find_value(text, "tocsin_pages_served_total", collection="green") == 2
        assert find_value(text, "tocsin_objects_served_total", collection="green") == 2 * served

    def test_of_requests_have_templates_for_routes(self, hub: HubInProcess) -> None:
        for number in range(3):
            hub.ask(f"collections/green/objects/indicator--{number}/")
            hub.ask(f"nothing/{number}/")
        routes = {
            (dict(labels)["route"], value)
            for (name, labels), value in read_samples(read_metrics(hub)).items()
            if name == "tocsin_http_requests_total"
        }
        assert routes == {("/hub/collections/<name>/objects/<object_id>", 3), ("other", 3)}

    def test_of_a_reader_that_waits_have_no_duration(self, hub: HubInProcess) -> None:
        hub.ask("collections/green/objects/", headers={"Prefer": "wait=1"})
        text, route = read_metrics(hub), "/hub/collections/<name>/objects"
        name = "tocsin_http_request_duration_seconds_count"
        assert find_value(text, name, route=route, method="GET") is None

    def test_name_no_partner(self, hub: HubInProcess) -> None:
        hub.push(indicator("evil-portal.top"))
        hub.feed("green")
        hub.feed("green", who="north")
        text = read_metrics(hub)
        assert find_value(text, "tocsin_pollers", collection="green") == 2
        assert not re.search("acme|north", text, re.IGNORECASE)


class TestPollers:
    def test_with_a_further_page_to_read_have_not_caught_up(self, hub: HubInProcess) -> None:
        hub.push(indicator("one.top"), indicator("two.top"))
        page = hub.ask("collections/green/objects/", query_string={"limit": 1}).json
        assert page["more"]
        assert find_value(read_metrics(hub), "tocsin_pollers", collection="green") is None
        hub.ask("collections/green/objects/", query_string={"next": page["next"]})
        assert find_value(read_metrics(hub), "tocsin_pollers", collection="green") == 1

    def test_that_have_the_page_already_have_caught_up(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.push(indicator("one.top"))
        tag = hub.ask("collections/green/objects/").headers["ETag"]
        before = hub.services.monitor.counters
        monkeypatch.setattr(before, "_by_poller", {})
        answer = hub.ask("collections/green/objects/", headers={"If-None-Match": tag})
        assert answer.status_code == 304
        assert before._by_poller.keys() == {("acme", "green")}

    def test_that_stopped_before_the_hub_started_again_are_behind(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.push(indicator("one.top"))
        hub.feed("green")
        hub.feed("green", who="north")
        hub.services.store.deliveries.flush()
        again = HubInProcess(hub.store, founded=True)
        again.services.monitor.counters = Counters()
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 2 * 86_400)
        text = read_metrics(again)
        assert find_value(text, "tocsin_pollers", collection="green") == 2
        behind = find_value(text, "tocsin_poller_behind_seconds", collection="green")
        assert 2 * 86_400 <= present(behind) <= 2 * 86_400 + 3_600
        monkeypatch.setattr(monitoring, "_POLLS_INTERVAL", 0.0)
        [account] = hub.store.accounts.list_accounts("north")
        hub.store.accounts.update_account(replace(account, disabled=True))
        assert find_value(read_metrics(again), "tocsin_pollers", collection="green") == 1


class TestTheDatabase:
    def test_counts_commands(self, hub: HubInProcess) -> None:
        name = "tocsin_database_command_duration_seconds_count"
        before = find_value(read_metrics(hub), name, command="find") or 0
        hub.store.accounts.find_account("acme")
        after = find_value(read_metrics(hub), name, command="find") or 0
        assert after - before == 1 + 4  # queue, what is set aside, reviews, clock

    def test_counts_none_if_nobody_watches(self, store: Store, engine_uri: str) -> None:
        counters = Counters(times_commands=False)
        unwatched = Store.connect(engine_uri, name=store._base.name, counters=counters)
        unwatched.accounts.find_account("acme")
        unwatched.close()
        name = "tocsin_database_command_duration_seconds_count"
        assert find_value(generate_latest(counters).decode(), name, command="find") is None

    def test_that_is_away_is_not_waited_for(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take_away(hub, monkeypatch)
        text = read_metrics(hub)
        assert find_value(text, "tocsin_check_passed", check="database") == 0
        assert find_value(text, "tocsin_queue_submissions") is None

    @pytest.mark.slow
    def test_that_fails_costs_only_what_is_read_from_it(self, tmp_path: Path) -> None:
        uri = f"mongodb://127.0.0.1:{free_port()}/"
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=100) as nobody:
            monitor = Monitor(Store(nobody, "none"), DiskSpace(tmp_path, 1))
            text = monitor.format_metrics().decode()
        assert find_value(text, "tocsin_queue_submissions") is None
        assert find_value(text, "tocsin_check_passed", check="disk") == 1


def test_processes_are_measured(hub: HubInProcess) -> None:
    text = read_metrics(hub)
    assert (find_value(text, "tocsin_process_resident_memory_bytes", process="hub") or 0) > 1e7
    assert (find_value(text, "tocsin_process_cpu_seconds_total", process="hub") or 0) > 0


def test_every_metric_is_documented_and_every_documented_one_is_there(hub: HubInProcess) -> None:
    hub.services.monitor.certificate = ServedCertificate()
    text = (ROOT / "docs" / "operate" / "watching.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(tocsin_\w+)` \|", text, re.MULTILINE))
    assert documented == set(re.findall(r"^# HELP (\w+) ", read_metrics(hub), re.MULTILINE))


class ServedCertificate:
    """A certificate that has expired an hour ago."""

    @property
    def certificate_end(self) -> float:
        return time.time() - 3_600

    def find_warning(self) -> str:
        return "tls_certificate: hub.pem expired"


class TestCertificate:
    def test_a_certificate_that_expired_is_seen_in_metrics_and_log(
        self, hub: HubInProcess, caplog: pytest.LogCaptureFixture
    ) -> None:
        hub.services.monitor.certificate = ServedCertificate()
        hub.services.monitor.warn()
        left = find_value(read_metrics(hub), "tocsin_certificate_expires_seconds")
        assert left is not None and -3_700 < left < -3_599
        assert "hub.pem expired" in caplog.text

    def test_the_process_of_the_console_knows_when_it_expires(self, hub: HubInProcess) -> None:
        processes = HubProcesses()
        disk = hub.services.disk
        front, console = (Monitor(hub.store, disk, processes=processes) for _ in range(2))
        assert console.find_certificate_end() is None
        front.certificate = ServedCertificate()
        front.warn()
        assert console.find_certificate_end() == pytest.approx(time.time() - 3_600, abs=60)

    def test_a_hub_without_tls_has_no_metric_of_a_certificate(self, hub: HubInProcess) -> None:
        hub.services.monitor.warn()
        assert "tocsin_certificate" not in read_metrics(hub)


class TestClock:
    def test_a_clock_that_is_ahead_is_seen_in_metrics_and_once_in_the_log(
        self, hub: HubInProcess, caplog: pytest.LogCaptureFixture
    ) -> None:
        ahead = hub.store.clock() + 10 * DAY
        hub.store._base.clock.update_one({"_id": "hub"}, {"$set": {"stamp": ahead}})
        for _ in range(3):
            hub.services.monitor.warn()
        lead = find_value(read_metrics(hub), "tocsin_clock_ahead_seconds")
        assert lead is not None and 863_000 < lead <= 864_000
        assert caplog.text.count("ahead of this machine's") == 1

    def test_a_clock_that_is_right_is_not_warned_of(
        self, hub: HubInProcess, caplog: pytest.LogCaptureFixture
    ) -> None:
        hub.push(indicator("one.top"))
        hub.services.monitor.warn()
        assert "ahead of" not in caplog.text
        assert (find_value(read_metrics(hub), "tocsin_clock_ahead_seconds") or 0) < 60
