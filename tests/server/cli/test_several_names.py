"""Commands with several names: where one is of no use, the others are acted on all the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.hub import HubInProcess, indicator
from support.processes import run_command

from tocsin.config.settings import HubSettings
from tocsin.server.secrets import load_secrets
from tocsin.server.store import Store

UNKNOWN = ("unknown-one", "unknown-two")


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub that examines submissions of several objects after its answer."""
    return HubInProcess(store, settings=HubSettings(inline_objects=1))


@pytest.fixture
def act(
    hub: HubInProcess, engine_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """A function that runs a command on the hub's database and returns its answer.

    The command is given unknown names too: its exit code is 1, and it names both.
    """
    monkeypatch.setenv("TOCSIN_DATABASE", hub.store._base.name)
    load_secrets(tmp_path)
    options = ("--mongo-uri", engine_uri, "--data", tmp_path, "--json")

    def run(command: str, names: tuple[str, ...], *more: str) -> Any:
        several = (UNKNOWN[0], *names, *names, UNKNOWN[1])
        code, out, err = run_command(*command.split(), *several, *more, *options)
        assert code == 1 and [each for each in UNKNOWN if each not in err] == []
        return json.loads(out)

    return run


def test_reviews_are_released(hub: HubInProcess, act: Callable[..., Any]) -> None:
    hub.push(*(indicator(f"vpn{n}.acme.example") for n in range(3)))
    ids = [each.id for each in hub.store.reviews.list_waiting()]
    answers = act("review release", tuple(ids[:2]))
    assert [each["review"] for each in answers] == ids[:2]
    assert [each.id for each in hub.store.reviews.list_waiting()] == ids[2:]


def test_objects_are_revoked(hub: HubInProcess, act: Callable[..., Any]) -> None:
    hub.push(indicator("a.top"), indicator("b.top"))
    ids = [each["id"] for each in hub.feed("green")]
    answers = act("object revoke", tuple(ids), "--reason", "cleaned")
    assert [each["public"] for each in answers] == ids and len(ids) == 2
    assert [each["revoked"] for each in hub.feed("green")] == [True, True]


def test_submissions_are_put_back_into_the_queue(
    hub: HubInProcess, act: Callable[..., Any]
) -> None:
    body = json.dumps({"objects": [indicator("a.top"), indicator("b.top")]})
    status = hub.ask("collections/inbox/objects/", method="POST", data=body).json
    [waiting] = hub.store.submissions.list_open(60)
    assert hub.services.intake.set_aside.add(waiting)
    assert act("submission retry", (status["id"],)) == [
        {"submission": status["id"], "state": "queued"}
    ]
