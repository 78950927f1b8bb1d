"""`tocsin doctor`: each fault is named, with advice, and no secret is shown."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.certificates import make_authority, write_private_file
from support.processes import HubProcess
from support.socket_peers import serve_application
from support.taxii_servers import Medallion
from support.terminal import CONTROL, run_on_terminal

from tocsin.clients.doctor import check_clock
from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.http.tls import server_context

Run = Callable[..., Any]


def states(tocsin: Run, *words: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the state of each step, and all that was printed."""
    code, lines, stderr = tocsin("doctor", "--json", *words)
    found = [json.loads(line) for line in lines]
    return code, {each["step"]: each["state"] for each in found}, "\n".join(lines) + stderr


def test_everything_in_order_exits_with_0(tocsin: Run, partner: Medallion) -> None:
    code, found, _ = states(tocsin)
    assert (code, set(found.values())) == (0, {"ok"})
    assert [*found] == [
        *("settings", "record", "cache", "URL", "proxy", "DNS", "connection"),
        *("clock", "credential", "rights"),
    ]


def test_a_wrong_key_fails_with_advice_and_is_not_shown(tocsin: Run, partner: Medallion) -> None:
    code, found, text = states(tocsin, "--key", "partner:hunter2")
    assert (code, found["credential"], found["rights"]) == (1, "failed", "skipped")
    assert "hunter2" not in text and "`tocsin login` keeps it" in text


@pytest.mark.usefixtures("alone")
def test_without_a_url_everything_after_it_is_skipped(tocsin: Run) -> None:
    code, found, text = states(tocsin)
    assert (code, found["URL"], found["DNS"]) == (1, "failed", "skipped")
    assert "tocsin login" in text


def test_a_name_without_an_address_fails(tocsin: Run) -> None:
    code, found, _ = states(tocsin, "--url", "https://nosuch.invalid/taxii2/")
    assert (code, found["DNS"], found["connection"]) == (1, "failed", "skipped")


def test_a_closed_port_fails(tocsin: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code, found, _ = states(tocsin, "--url", f"http://127.0.0.1:{port}/taxii2/")
    assert (code, found["connection"], found["credential"]) == (1, "failed", "skipped")


def test_a_key_in_the_url_is_not_shown(tocsin: Run, partner: Medallion) -> None:
    for url in ("http://me:hunter2@127.0.0.1:1/taxii2/", "https://127.0.0.1:1/?key=hunter2"):
        _, _, text = states(tocsin, "--url", url)
        assert "hunter2" not in text and "127.0.0.1:1/" in text


def test_a_proxy_is_named_without_its_password(
    tocsin: Run, partner: Medallion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hunter2@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    code, found, text = states(tocsin)
    assert (code, found["connection"]) == (1, "failed")
    assert "through 127.0.0.1 port 9" in text and "hunter2" not in text
    assert "check the variables http_proxy" in text and "if the hub runs" not in text


@pytest.mark.parametrize(
    ("proxy", "name"),
    [
        ("http://user:hunter2@127.0.0.1:99999", "127.0.0.1:99999"),
        ("user:hunter2@127.0.0.1:9", "127.0.0.1:9"),
        ("http://user:hunter2", "that is set"),
    ],
)
def test_a_proxy_that_is_no_url_fails_without_its_password(
    tocsin: Run, partner: Medallion, monkeypatch: pytest.MonkeyPatch, proxy: str, name: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    code, found, text = states(tocsin)
    assert (code, found["proxy"], found["DNS"]) == (1, "failed", "skipped")
    assert f"the proxy {name}: its URL cannot be read" in text and "hunter2" not in text


def test_a_settings_file_that_others_can_read_is_a_warning(tocsin: Run, partner: Medallion) -> None:
    Path("client.toml").write_text('secret = "hunter2"\n')
    Path("client.toml").chmod(0o644)
    code, found, text = states(tocsin)
    assert (code, found["settings"]) == (0, "warning")
    assert "chmod 600" in text and "hunter2" not in text


def test_the_settings_file_is_the_one_that_config_names(tocsin: Run, partner: Medallion) -> None:
    Path("client.toml").write_text("")
    Path("other.toml").write_text('secret = "hunter2"\n')
    Path("other.toml").chmod(0o644)
    code, found, text = states(tocsin, "--config", "other.toml")
    assert (code, found["settings"]) == (0, "warning")
    assert "others can read other.toml" in text


def test_terms_of_a_file_that_is_not_read_are_a_warning(
    tocsin: Run, partner: Medallion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "tocsin" / "client.toml"
    own.parent.mkdir()
    own.write_text('terms = ["acme.example"]\n')
    assert "terms" not in states(tocsin)[1]
    Path("client.toml").write_text("")
    code, found, text = states(tocsin)
    assert (code, found["terms"]) == (0, "warning")
    assert "1 of its names and terms will not be removed" in text
    Path("client.toml").write_text(own.read_text())
    assert "terms" not in states(tocsin)[1]


@pytest.mark.parametrize("home", ["", "/dev/null/home"])
def test_without_a_home_folder_doctor_says_which_variables_to_set(
    tocsin: Run, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", home)
    _, found, text = states(tocsin, "--url", "https://nosuch.invalid/taxii2/")
    assert (found["record"], found["cache"]) == ("warning", "warning")
    assert text.count("set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME") == 2
    assert "let this user write" not in text


@pytest.mark.parametrize(("mode", "state"), [(0o640, "warning"), (0o600, "ok")])
def test_a_private_key_that_others_can_read_is_a_warning(
    tocsin: Run, tmp_path: Path, mode: int, state: str
) -> None:
    file = write_private_file(tmp_path / "client.pem", "")
    file.chmod(mode)
    _, found, text = states(tocsin, "--cert", str(file), "--url", "https://nosuch.invalid/taxii2/")
    assert (found["certificate"], "chmod 600" in text) == (state, state == "warning")


@pytest.mark.parametrize(
    ("days", "state", "message"),
    [(60, "ok", ""), (10, "warning", ", in 8 days"), (0.5, "failed", " expired at ")],
)
def test_the_clients_own_certificate_is_warned_of_before_it_ends(
    tocsin: Run, tmp_path: Path, days: float, state: str, message: str
) -> None:
    file = make_authority().issue("me", days=days).write_pem(tmp_path)
    _, found, text = states(tocsin, "--cert", str(file), "--url", "https://nosuch.invalid/taxii2/")
    assert found["certificate"] == state and message in text
    assert ("register a renewed one" in text) == (state != "ok")


def test_a_certificate_that_ends_soon_hides_no_mode_of_its_file(
    tocsin: Run, tmp_path: Path
) -> None:
    file = make_authority().issue("me", days=10).write_pem(tmp_path)
    file.chmod(0o640)
    _, _, text = states(tocsin, "--cert", str(file), "--url", "https://nosuch.invalid/taxii2/")
    assert "chmod 600" in text and ", in 8 days" in text


@pytest.mark.parametrize(
    ("date", "state"),
    [
        ("Fri, 01 Jan 2021 00:00:00 GMT", "warning"),
        ("Fri, 01 Jan 2099 00:00:00 GMT", "warning"),
        ("yesterday", "ok"),
        ("", "ok"),
    ],
)
def test_a_clock_that_differs_from_the_servers_is_a_warning(date: str, state: str) -> None:
    result = check_clock(date)
    assert (result.state, bool(result.advice)) == (state, state == "warning")


def test_for_people_each_failure_has_a_line_of_advice(tocsin: Run) -> None:
    _, lines, _ = tocsin("doctor", "--url", "https://nosuch.invalid/taxii2/")
    [place] = [n for n, line in enumerate(lines) if line.startswith("failed   DNS")]
    assert lines[place + 1].lstrip().startswith("→ check the spelling")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HubProcess, Path]]:
    """A hub with TLS, and the file of its authority."""
    folder, ca = tmp_path_factory.mktemp("tls"), make_authority()
    file = write_private_file(folder / "ca.pem", ca.certificate)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TOCSIN_TLS_CERTIFICATE", str(ca.server().write_pem(folder)))
        hub = HubProcess(folder / "data").start()
    hub.join("acme")
    yield hub, file
    hub.stop()


def check_tls(tocsin: Run, *words: str) -> str:
    """The result of the step TLS; `collections` must say the same."""
    _, lines, _ = tocsin("doctor", "--json", *words)
    [found] = [each for each in map(json.loads, lines) if each["step"] == "TLS"]
    text = f"{found['message']}; {found['advice']}"
    _, _, stderr = tocsin("collections", *words)
    assert stderr == f"tocsin: {text}\n"
    return text


@pytest.mark.slow
def test_a_private_authority_needs_its_certificate(
    tocsin: Run, served: tuple[HubProcess, Path]
) -> None:
    hub, ca = served
    words = ("--url", hub.url, "--key", hub.key)
    code, found, _ = states(tocsin, *words)
    assert (code, found["TLS"], found["credential"]) == (1, "failed", "skipped")
    assert "give that CA's certificate with --ca" in check_tls(tocsin, *words)
    code, found, text = states(tocsin, *words, "--ca", str(ca))
    assert (code, found["TLS"] in ("ok", "warning"), found["rights"]) == (0, True, "ok"), text


@pytest.mark.slow
def test_the_authorities_are_those_that_the_other_commands_trust(
    tocsin: Run, served: tuple[HubProcess, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, ca = served
    words = ("--url", hub.url, "--key", hub.key)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))  # requests does not look at it
    assert "give that CA's certificate with --ca" in check_tls(tocsin, *words)
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    code, found, text = states(tocsin, *words)
    assert (code, found["TLS"] in ("ok", "warning"), found["rights"]) == (0, True, "ok"), text
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    code, found, text = states(tocsin, *words)
    assert (code, found["TLS"], found["credential"]) == (1, "failed", "skipped")
    assert "there are no CA certificates in /nowhere" in text


def test_a_certificate_that_belongs_to_no_account_is_to_be_registered(
    tocsin: Run, served: tuple[HubProcess, Path], tmp_path: Path
) -> None:
    hub, ca = served
    own = make_authority().issue("acme").write_pem(tmp_path)
    words = ("--url", hub.url, "--ca", str(ca), "--cert", str(own))
    code, found, text = states(tocsin, *words)
    assert (code, found["TLS"], found["credential"]) == (1, "ok", "failed")
    assert "ask its operator to register it" in text and "no key was sent" not in text


@pytest.mark.slow
def test_without_rights_the_agreement_may_have_ended(
    tocsin: Run, served: tuple[HubProcess, Path]
) -> None:
    hub, ca = served
    key = hub.command("partner", "add", "west", "--name", "West")["credential"]
    made = hub.command("agreement", "add", "west", "--collection", "green")
    hub.command("agreement", "end", made["agreement"], "--reason", "not renewed")
    code, found, text = states(tocsin, "--url", hub.url, "--key", key, "--ca", str(ca))
    assert (code, found["credential"], found["rights"]) == (1, "ok", "failed")
    assert "your agreement may have ended" in text


def test_the_days_until_the_hubs_certificate_ends_are_named(tocsin: Run, tmp_path: Path) -> None:
    own = make_authority()
    ca = write_private_file(tmp_path / "ca.pem", own.certificate)
    tls = server_context(own.server(days=2.5).write_pem(tmp_path))
    with serve_application(lambda *_: [], ConnectionLimits(), tls) as port:
        url = f"https://localhost:{port}/taxii2/"
        _, found, text = states(tocsin, "--url", url, "--key", "a:b", "--ca", str(ca))
    assert found["TLS"] == "warning" and 'the certificate ends in 1 day"' in text


def test_a_certificate_for_another_name_needs_another_url(
    tocsin: Run, served: tuple[HubProcess, Path]
) -> None:
    hub, ca = served
    url = f"https://127.1:{urlsplit(hub.url).port}/taxii2/"  # an address as inet_aton reads it
    text = check_tls(tocsin, "--url", url, "--key", hub.key, "--ca", str(ca))
    assert "is for another name" in text and "--ca" not in text
    assert "; give a URL with a name that is in the certificate" in text


def test_a_folder_as_ca_is_named(
    tocsin: Run, served: tuple[HubProcess, Path], tmp_path: Path
) -> None:
    hub, _ = served
    text = check_tls(tocsin, "--url", hub.url, "--key", hub.key, "--ca", str(tmp_path))
    assert f"--ca: cannot read {tmp_path}: Is a directory; name a file" in text


def test_https_to_a_port_without_tls_is_no_question_of_certificates(
    tocsin: Run, partner: Medallion
) -> None:
    url = os.environ["TOCSIN_URL"].replace("http://", "https://")
    text = check_tls(tocsin, "--url", url)
    assert "does not speak TLS on this port; try a URL with http://" in text


@pytest.mark.slow
def test_an_expired_certificate_is_for_the_operator_to_renew(tocsin: Run, tmp_path: Path) -> None:
    own = make_authority()
    ca = write_private_file(tmp_path / "ca.pem", own.certificate)
    tls = server_context(own.server(days=0.5).write_pem(tmp_path))
    with serve_application(lambda *_: [], ConnectionLimits(), tls) as port:
        url = f"https://localhost:{port}/taxii2/"
        text = check_tls(tocsin, "--url", url, "--key", "a:b", "--ca", str(ca))
    assert "the operator of the hub must renew it" in text and "--ca" not in text


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_terminal_advice_is_in_lines_that_fit(tmp_path: Path, columns: int) -> None:
    url = f"http://127.0.0.1:1/{'long-' * 4}root/"
    command = [sys.executable, "-m", "tocsin.clients", "doctor", "--url", url]
    code, written = run_on_terminal(command, columns, 60)
    lines = CONTROL.sub("", written).splitlines()
    assert code == 1 and max(map(len, lines)) <= columns
    text = " ".join(" ".join(lines).split())
    assert "check the port and a firewall on the way, and ask the operator if the hub runs" in text
