"""`tocsin-hub submission`: the operator decides about what was set aside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.hub import HubInProcess, Object, details, indicator
from support.presence import present
from support.processes import run_command

from tocsin.config.settings import HubSettings
from tocsin.server.secrets import load_secrets
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store, settings=HubSettings(inline_objects=1))


@pytest.fixture
def aside(hub: HubInProcess) -> Object:
    """A submission that was set aside."""
    body = json.dumps({"objects": [indicator("a.top"), indicator("b.top")]})
    posted = hub.ask("collections/inbox/objects/", method="POST", data=body).json
    [waiting] = hub.store.submissions.list_open(60)
    assert hub.services.intake.set_aside.add(waiting)
    return dict(posted)


@pytest.fixture
def command(
    hub: HubInProcess, engine_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """A function that runs a command on the hub's database: exit code, output, errors."""
    monkeypatch.setenv("TOCSIN_DATABASE", hub.store._base.name)
    load_secrets(tmp_path)
    options = ("--mongo-uri", engine_uri, "--data", tmp_path, "--json")
    return lambda *words: run_command("submission", *words, *options)


@pytest.mark.slow
def test_what_was_set_aside_is_listed_and_tried_again(
    hub: HubInProcess, aside: Object, command: Callable[..., Any]
) -> None:
    code, out, _ = command("list")
    [listed] = json.loads(out)
    assert (code, listed["submission"], listed["partner"]) == (0, aside["id"], "acme")
    assert (listed["objects"], listed["settled"]) == (2, 0)
    assert command("retry", aside["id"])[0] == 0
    while hub.services.intake.work():
        pass
    assert hub.ask(f"status/{aside['id']}/").json["success_count"] == 2
    assert json.loads(command("list")[1]) == []


@pytest.mark.slow
def test_what_is_dropped_is_refused_with_the_reason(
    hub: HubInProcess, aside: Object, command: Callable[..., Any]
) -> None:
    code, out, _ = command("drop", aside["id"], "--reason", "send less")
    assert (code, json.loads(out)) == (0, [{"submission": aside["id"], "refused": 2}])
    status = hub.ask(f"status/{aside['id']}/").json
    assert hub.verdicts(status) == ["refused", "refused"]
    assert "send less" in details(status)[0]["message"]
    assert [each.action for each in hub.store.journal.list_entries()][-2:] == [
        "submission.set_aside",
        "submission.drop",
    ]


@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_a_submission_that_was_not_set_aside_is_left_alone(
    hub: HubInProcess, command: Callable[..., Any], verb: str
) -> None:
    status = hub.push(indicator())
    code, _, err = command(verb, status["id"])
    assert (code, "is set aside" in err) == (1, True)
    assert hub.ask(f"status/{status['id']}/").json == status


def test_the_journal_names_who_decided(
    hub: HubInProcess, aside: Object, command: Callable[..., Any]
) -> None:
    assert command("retry", aside["id"], "--as", "jane")[0] == 0
    entry = present(hub.store.journal.last_entry())
    assert (entry.action, entry.actor) == ("submission.retry", "operator:jane")
