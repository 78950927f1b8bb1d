"""Debian's Prometheus watches a hub as docs/operate/watching.md says."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support.metrics import find_value
from support.paths import ROOT
from support.processes import HubProcess, free_port, indicators
from support.programs import require_program

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prometheus() -> str:
    return require_program("prometheus", "prometheus")


@pytest.fixture(scope="module")
def promtool() -> str:
    return require_program("promtool", "prometheus")


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@contextmanager
def running_hub(data: Path, metrics_port: int) -> Iterator[HubProcess]:
    """A hub with an object in its feed that a partner has read."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TOCSIN_METRICS_ADDRESS", f"127.0.0.1:{metrics_port}")
        hub = HubProcess(data).start()
        try:
            hub.join()
            hub.wait_until_settled(hub.post(indicators(2)).json()["id"])
            assert len([each for each in hub.walk() if each["type"] == "indicator"]) == 2
            yield hub
        finally:
            hub.kill()


@pytest.fixture(scope="module")
def hub(metrics_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A running hub that no test changes."""
    with running_hub(tmp_path_factory.mktemp("hub") / "data", metrics_port) as hub:
        yield hub


@pytest.fixture
def fragile_port() -> int:
    return free_port()


@pytest.fixture
def fragile(fragile_port: int, tmp_path: Path) -> Iterator[HubProcess]:
    """A running hub for one test."""
    with running_hub(tmp_path / "data", fragile_port) as hub:
        yield hub


def wait_for(answer: Callable[[], Any], seconds: float = 90) -> Any:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def read_block(title: str) -> str:
    """A file that docs/operate/watching.md shows."""
    text = (ROOT / "docs" / "operate" / "watching.md").read_text(encoding="utf-8")
    [block] = re.findall(rf'```yaml title="{re.escape(title)}"\n(.*?)```', text, re.DOTALL)
    return str(block)


@contextmanager
def running_prometheus(program: str, folder: Path, config: str) -> Iterator[str]:
    """A Prometheus with this configuration; its URL."""
    (folder / "prometheus.yml").write_text(f"global: {{scrape_interval: 1s}}\n{config}")
    port = free_port()
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stderr=log) as it:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            it.kill()


def ask(url: str, query: str) -> list[dict[str, Any]]:
    """The series that a query finds; none while Prometheus starts."""
    try:
        answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=10)
    except requests.ConnectionError:
        return []
    return list(answer.json()["data"]["result"]) if answer.ok else []


def read_admitted(url: str) -> list[tuple[str, str]]:
    """The jobs of Prometheus, each with the number of objects that were admitted."""
    found = ask(url, 'tocsin_objects_settled_total{verdict="admitted"}')
    return sorted((each["metric"]["job"], each["value"][1]) for each in found)


@pytest.mark.slow
def test_prometheus_scrapes_both_addresses(
    hub: HubProcess, prometheus: str, metrics_port: int, tmp_path: Path
) -> None:
    key = hub.command("key", "issue", "operator")
    (tmp_path / "key").write_text(key["key"])
    config = read_block("prometheus.yml")
    config = config.replace("/etc/prometheus/tocsin.key", str(tmp_path / "key"))
    config = config.replace("127.0.0.1:9464", f"127.0.0.1:{metrics_port}")
    config = config.replace("hub.example:443", f"127.0.0.1:{hub.port}")
    config = config.replace("scheme: https", "scheme: http")
    (tmp_path / "tocsin.rules.yml").write_text(read_block("tocsin.rules.yml"))
    with running_prometheus(prometheus, tmp_path, config) as url:
        wait_for(lambda: len(ask(url, "up == 1")) == 2)
        # After a scrape that took a second, and so failed, there is nothing until the next one.
        expected = [("tocsin", "2"), ("tocsin-with-a-key", "2")]
        wait_for(lambda: read_admitted(url) == expected)
        wait_for(
            lambda: ask(url, 'tocsin_database_command_duration_seconds_count{command="find"} > 0')
        )
        [alerts] = requests.get(f"{url}/api/v1/rules", timeout=10).json()["data"]["groups"]
        assert len(alerts["rules"]) == 9
        assert [each for each in alerts["rules"] if each.get("lastError")] == []


def test_promtool_finds_no_fault(
    hub: HubProcess, promtool: str, metrics_port: int, tmp_path: Path
) -> None:
    text = requests.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10).text
    result = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    for title in ("tocsin.rules.yml", "prometheus.yml"):
        (tmp_path / title).write_text(read_block(title))
    for words in (("rules", "tocsin.rules.yml"), ("config", "--syntax-only", "prometheus.yml")):
        result = subprocess.run(
            [promtool, "check", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr


def test_every_metric_of_an_alert_is_served(hub: HubProcess, metrics_port: int) -> None:
    text = requests.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10).text
    named = set(re.findall(r"\btocsin_\w+", read_block("tocsin.rules.yml")))
    assert len(named) == 8
    named.remove("tocsin_certificate_expires_seconds")  # this hub has no TLS
    assert [each for each in named if f"# HELP {each} " not in text] == []


def find_check(url: str, check: str) -> float | None:
    text = requests.get(f"{url}/metrics", timeout=10).text
    return find_value(text, "tocsin_check_passed", check=check)


@pytest.mark.slow
def test_a_hub_is_not_ready_while_its_database_is_away(
    fragile: HubProcess, fragile_port: int
) -> None:
    hub, url = fragile, f"http://127.0.0.1:{fragile_port}"

    def read_checks() -> dict[str, bool]:
        answer = requests.get(hub.url.replace("taxii2/", "readyz"), timeout=10)
        result = json.loads(answer.text)
        assert (answer.status_code == 200) is result["ready"]
        return dict(result["checks"])

    wait_for(lambda: all(read_checks().values()))
    stop = subprocess.run(["kill", "-STOP", str(hub.engine())])
    assert stop.returncode == 0
    try:
        wait_for(lambda: not read_checks()["database"])
        assert requests.get(f"{url}/healthz", timeout=10).text == "ok\n"
        wait_for(lambda: find_check(url, "database") == 0)  # of another process
        text = requests.get(f"{url}/metrics", timeout=10).text
        assert find_value(text, "tocsin_queue_submissions") is None
    finally:
        subprocess.run(["kill", "-CONT", str(hub.engine())])
    wait_for(lambda: all(read_checks().values()))


@pytest.mark.slow
def test_a_hub_that_was_killed_counts_from_0_again(fragile: HubProcess, fragile_port: int) -> None:
    hub = fragile

    def count_admitted() -> float | None:
        text = requests.get(f"http://127.0.0.1:{fragile_port}/metrics", timeout=10).text
        return find_value(text, "tocsin_objects_settled_total", verdict="admitted")

    assert count_admitted() == 2
    hub.kill()
    hub.start()
    assert count_admitted() is None
    hub.wait_until_settled(hub.post(indicators(3)).json()["id"])
    assert count_admitted() == 3
