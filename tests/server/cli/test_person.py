"""`tocsin-hub person list`: lists and empty texts for programs, a table for people."""

import pytest
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.config.settings import HubSettings
from tocsin.server.cli.command import print_table
from tocsin.server.cli.person import invite, list_people
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store


def test_a_person_has_roles_as_a_list_and_no_dash_for_what_is_missing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    services = HubInProcess(store).services
    hub = Runtime(HubSettings(), HUB_SECRETS, services)
    invite(hub, "otto@hub.example", "", ("reviewer", "operator"))
    [row] = list_people(hub)
    assert row == {
        "mailbox": "otto@hub.example",
        "name": "",
        "partner": "",
        "roles": ["operator", "reviewer"],
        "state": "invited",
        "second_factor": [],
    }
    print_table([row])
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == ["otto@hub.example", "-", "-", "operator,", "reviewer", "invited", "-"]
