"""Commands with several names: where one is of no use, the others are acted on all the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from support.hub import HubInProcess, indicator, sdo
from support.processes import run_command

from tocsin.admission.errors import NotFound, Unavailable
from tocsin.config.settings import HubSettings
from tocsin.server.cli.command import Answer, act_on_each
from tocsin.server.cli.object import purge_objects
from tocsin.server.runtime import Runtime
from tocsin.server.secrets import load_secrets
from tocsin.server.store import Store

UNKNOWN = ("unknown-one", "unknown-two")


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub that examines submissions of several objects after its answer."""
    return HubInProcess(store, settings=HubSettings(inline_objects=1))


@pytest.fixture
def run(
    hub: HubInProcess, engine_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """A function that runs a command on the hub's database: its exit code, output and errors."""
    monkeypatch.setenv("TOCSIN_DATABASE", hub.store._base.name)
    load_secrets(tmp_path)
    options = ("--mongo-uri", engine_uri, "--data", tmp_path, "--json")
    return lambda command, *words: run_command(*command.split(), *words, *options)


@pytest.fixture
def act(run: Callable[..., tuple[int, str, str]]) -> Callable[..., Any]:
    """A function that runs a command with several names and returns its answer.

    The command is given unknown names too: its exit code is 1, and it names both.
    """

    def act(command: str, names: tuple[str, ...], *more: str) -> Any:
        code, out, err = run(command, UNKNOWN[0], *names, *names, UNKNOWN[1], *more)
        assert code == 1 and [err.count(each) for each in UNKNOWN] == [1, 1]
        return json.loads(out)

    return act


@pytest.mark.slow
def test_reviews_are_released(hub: HubInProcess, act: Callable[..., Any]) -> None:
    hub.push(*(indicator(f"vpn{n}.acme.example") for n in range(3)))
    ids = [each.id for each in hub.store.reviews.list_waiting()]
    answers = act("review release", tuple(ids[:2]))
    assert [each["review"] for each in answers] == ids[:2]
    assert [each.id for each in hub.store.reviews.list_waiting()] == ids[2:]


@pytest.mark.slow
def test_reviews_are_rejected_and_forgotten(hub: HubInProcess, act: Callable[..., Any]) -> None:
    hub.push(*(indicator(f"vpn{n}.acme.example") for n in range(3)))
    ids = [each.id for each in hub.store.reviews.list_waiting()]
    answers = act("review reject", tuple(ids[:2]), "--reason", "ours")
    assert [each["verdict"] for each in answers] == ["refused", "refused"]
    assert [each["review"] for each in act("review forget", tuple(ids[:2]))] == ids[:2]
    assert [each.id for each in hub.store.reviews.list_waiting()] == ids[2:]


@pytest.mark.slow
def test_a_name_is_said_with_a_failure_that_does_not_say_it(
    hub: HubInProcess, run: Callable[..., Any]
) -> None:
    hub.push(indicator("vpn.acme.example"))
    [review] = hub.store.reviews.list_waiting()
    code, out, err = run("review forget", review.id, "unknown\x1b[2J")
    assert (code, out, "\x1b" in err) == (1, "", False)
    assert f"tocsin-hub: {review.id}: this review waits" in err and "unknown" in err
    code, _, err = run("review forget", review.id)
    assert code == 1 and err.startswith("tocsin-hub: this review waits")


def test_failures_are_named_if_another_error_ends_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def act(name: str) -> list[Answer]:
        if name == "away":
            raise Unavailable("the database is away")
        raise NotFound(f"{name} is unknown")

    with pytest.raises(Unavailable):
        list(act_on_each(["one", "two", "away", "three"], act))
    assert capsys.readouterr().err == "tocsin-hub: one is unknown\ntocsin-hub: two is unknown\n"


@pytest.mark.slow
def test_objects_are_revoked(hub: HubInProcess, act: Callable[..., Any]) -> None:
    hub.push(indicator("a.top"), indicator("b.top"))
    ids = [each["id"] for each in hub.feed("green")]
    answers = act("object revoke", tuple(ids), "--reason", "cleaned")
    assert [each["public"] for each in answers] == ids and len(ids) == 2
    assert [each["revoked"] for each in hub.feed("green")] == [True, True]


def set_aside(hub: HubInProcess) -> str:
    """The id of a submission of two objects that was set aside."""
    body = json.dumps({"objects": [indicator("a.top"), indicator("b.top")]})
    hub.ask("collections/inbox/objects/", method="POST", data=body)
    [waiting] = hub.store.submissions.list_open(60)
    assert hub.services.intake.set_aside.add(waiting)
    return waiting.id


def test_submissions_are_put_back_into_the_queue(
    hub: HubInProcess, act: Callable[..., Any]
) -> None:
    id = set_aside(hub)
    assert act("submission retry", (id,)) == [{"submission": id, "state": "queued"}]


def test_submissions_are_dropped(hub: HubInProcess, act: Callable[..., Any]) -> None:
    id = set_aside(hub)
    assert act("submission drop", (id,)) == [{"submission": id, "refused": 2}]


class TestPurgedValues:
    """A legal deletion that a script runs must not seem done if nothing was found."""

    @pytest.fixture
    def purge(
        self, hub: HubInProcess, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, list[Answer], str]]:
        """A function that purges names: the exit code, the answers and the errors."""
        absent: Any = None
        opened = Runtime(HubSettings(), absent, hub.services)

        def purge(*names: str) -> tuple[int, list[Answer], str]:
            answers: list[Answer] = []
            code = 0
            try:
                answers.extend(purge_objects(opened, names, "asked to"))
            except click.exceptions.Exit as end:
                code = end.exit_code
            return code, answers, capsys.readouterr().err

        return purge

    def test_a_value_that_is_nowhere_ends_the_command_with_1(self, run: Callable[..., Any]) -> None:
        code, out, err = run("object purge", "unknown.top", "--reason", "asked to")
        assert code == 1 and "nothing was purged for 'unknown.top'" in err
        assert json.loads(out)[0]["purged"] == []

    @pytest.mark.slow
    def test_a_value_that_is_nowhere_is_named_and_the_others_are_purged(
        self, hub: HubInProcess, purge: Callable[..., Any]
    ) -> None:
        hub.push(indicator("one.top"))
        hub.push(indicator("two.top"))
        code, answers, err = purge("unknown.top", "two.top")
        assert code == 1 and err.count("'unknown.top'") == 1 and "two.top" not in err
        assert [len(each["purged"]) for each in answers] == [0, 1]
        assert [each.get("revoked", False) for each in hub.feed("green")] == [False, True]

    @pytest.mark.slow
    def test_to_repeat_the_purge_of_a_published_value_is_a_success(
        self, hub: HubInProcess, purge: Callable[..., Any]
    ) -> None:
        hub.push(indicator("one.top"))
        code, [answer], err = purge("one.top")
        assert (code, err) == (0, "")
        code, [again], err = purge("one.top")
        assert (code, again["purged"], err) == (0, answer["purged"], "")

    @pytest.mark.slow
    def test_a_value_that_only_waits_for_review_is_found(
        self, hub: HubInProcess, purge: Callable[..., Any]
    ) -> None:
        unknown = "marking-definition--00000000-0000-4000-8000-000000000009"
        hub.push(indicator("one.top", object_marking_refs=[unknown]))
        code, [answer], _ = purge("one.top")
        assert (code, answer["purged"], answer["reviews"]) == (0, [], 1)
        assert purge("one.top")[0] == 1  # nothing of it is left that says that it was purged

    @pytest.mark.slow
    def test_a_value_that_other_objects_still_name_ends_the_command_with_4(
        self, hub: HubInProcess, purge: Callable[..., Any]
    ) -> None:
        hub.push(indicator("one.top"))
        hub.push(sdo("malware", name="m", is_family=False, description="see one.top"))
        code, [answer], err = purge("one.top")
        (other,) = answer["also_in"]
        assert len(answer["purged"]) == 1
        assert code == 4 and f"'one.top' is still published in {other}: purge these ids" in err
        code, _, err = purge("one.top", other)
        assert (code, err) == (0, "")

    @pytest.mark.slow
    def test_the_error_about_a_value_that_another_object_names_says_where_to_look(
        self, hub: HubInProcess, purge: Callable[..., Any]
    ) -> None:
        hub.push(sdo("malware", name="m", is_family=False, description="see one.top"))
        assert purge("one.top")[0] == 4  # the body of the submission is deleted
        code, [answer], err = purge("one.top")
        assert code == 1 and len(answer["also_in"]) == 1 and "see also_in" in err
