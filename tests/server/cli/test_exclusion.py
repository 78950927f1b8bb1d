"""`tocsin-hub exclusion`: values that nobody may submit."""

import pytest
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.admission.errors import NotFound
from tocsin.config.settings import HubSettings
from tocsin.server.cli.exclusion import add_exclusions, list_exclusions, remove_exclusions
from tocsin.server.runtime import Runtime


def test_nothing_is_removed_if_one_of_several_values_is_not_on_the_list(hub: HubInProcess) -> None:
    runtime = Runtime(HubSettings(), HUB_SECRETS, hub.services, "operator:jane")
    add_exclusions(runtime, ["ours.top", "192.0.2.7"], "")
    with pytest.raises(NotFound, match="other.top is not on the exclusion list"):
        remove_exclusions(runtime, ["ours.top", "other.top"])
    assert len(list_exclusions(runtime)) == 2
    assert len(remove_exclusions(runtime, ["OURS.top", "ours.top", "192.0.2.7"])) == 2
    assert list_exclusions(runtime) == []
