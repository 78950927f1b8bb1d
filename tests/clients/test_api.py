"""The Python interface: its documentation runs, and its promises hold."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.hub import HubInProcess, indicator
from support.paths import ROOT

from tocsin.clients.api import Client, ClientSettings, ConfigError, PushOptions, ShareError

HELD = b"[email-message:to_refs[*].value = 'jo@northmole.example']"


@pytest.mark.slow
def test_the_examples_of_the_documentation_run_in_order(
    served: HubInProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    served.push(indicator("bad-portal.top"), who="north")
    Path("report.txt").write_text("evil-portal.top and 10.0.4.12\n")
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(example, "docs/python-api.md", "exec"), names)
    names["client"].close()
    printed = capsys.readouterr().out
    assert "inbox False True" in printed
    assert "refused [ipv4-addr:value = '10.0.4.12']" in printed
    assert "('admitted', 'indicator--" in printed
    assert "[domain-name:value = 'bad-portal.top']" in printed
    assert "this key sees no collection 'nosuch'" in printed


@pytest.mark.slow
def test_push_sends_what_is_ready_and_on_request_what_is_held(served: HubInProcess) -> None:
    bundle = '{"type": "bundle", "objects": [%s, %s]}'
    held = indicator(pattern=HELD.decode())
    content = (bundle % (json.dumps(indicator("evil-portal.top")), json.dumps(held))).encode()
    with Client() as client:
        results = client.check_content(content, "a.json")
        assert [each.verdict for each in results] == ["ready", "held"]
        outcome = client.push(results, to="inbox")
        assert sorted(each.verdict for each in outcome.results) == ["admitted", "withheld"]
        again = client.push(results, to="inbox", options=PushOptions(send_held=True))
        assert [each.verdict for each in again.results] == ["duplicate", "held"]
        assert len(outcome.statuses) == len(again.statuses) == 1


@pytest.mark.slow
def test_poll_with_a_state_gives_each_object_once_over_several_runs(served: HubInProcess) -> None:
    seen: list[str] = []
    for number in range(3):
        served.push(indicator(f"evil{number}.top"))
        with Client() as client:
            found = client.poll("green", state="green.state", types=["indicator"])
            seen += [each["pattern"] for each in found]
    assert seen == [f"[domain-name:value = 'evil{n}.top']" for n in range(3)]


def test_a_program_that_ends_within_a_page_gets_that_page_again(served: HubInProcess) -> None:
    served.push(*(indicator(f"evil{n}.top") for n in range(3)))
    with Client() as client:
        first = next(iter(client.poll("green", state="s", types=["indicator"])))
        again = list(client.poll("green", state="s", types=["indicator"]))
    assert first in again and len(again) == 3


def test_a_single_string_is_one_value_of_several(served: HubInProcess) -> None:
    served.push(indicator("evil-portal.top"))
    with Client() as client:
        assert [each["type"] for each in client.poll("green", types="indicator")] == ["indicator"]
    settings = ClientSettings(names="Acme Ltd", terms="acme.example")  # type: ignore[arg-type]
    found = Client(settings=settings).settings
    assert (found.names, found.terms) == (("Acme Ltd",), ("acme.example",))


@pytest.mark.parametrize("call", ["collections", "push", "poll"])
def test_errors_are_share_errors(alone: None, call: str) -> None:
    client = Client("http://127.0.0.1:9/taxii2/", "acme:acme", settings=ClientSettings())
    with pytest.raises(ShareError):
        if call == "collections":
            client.collections()
        elif call == "push":
            client.push([], to="inbox")
        else:
            next(client.poll("green"))


def test_a_url_that_cannot_be_used_is_an_error_of_the_first_call_that_needs_it(
    alone: None,
) -> None:
    client = Client("http://hub.example:99999/", "acme:acme")
    with pytest.raises(ShareError, match="cannot be the URL"):
        client.collections()


def test_text_that_is_no_url_of_a_hub_is_an_error_of_the_client(alone: None) -> None:
    with pytest.raises(ConfigError, match="url: must be an http:// or https:// URL"):
        Client("ftp://hub.example/", "acme:acme")


def test_a_single_term_masks_as_several_do(alone: None) -> None:
    client = Client(settings=ClientSettings(terms="acme.example"))  # type: ignore[arg-type]
    (result,) = client.check_content(b"url\nhttp://evil.top/?to=acme.example\n", "iocs.csv")
    assert "acme.example" not in str(result.object)


def test_a_wrong_variable_is_an_error_of_the_client(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match="timeout"):
        Client()


def test_a_file_that_no_format_reads_is_a_share_error(alone: None) -> None:
    with pytest.raises(ShareError, match="a.bin"):
        Client(settings=ClientSettings()).check_content(b"\x00\x01\xff" * 50, "a.bin")


def test_without_a_hub_the_error_names_login(alone: None) -> None:
    with pytest.raises(ShareError, match="tocsin login"):
        Client().collections()
