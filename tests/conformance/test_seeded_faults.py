"""Every kind of check can fail: a rule is broken on purpose, and the check of it says so."""

from typing import Any

import pytest
from support.conformance_hub import ConformanceHub
from support.faulty_server import Fault, serve_with_fault
from support.seeded_faults import FAULTS
from support.taxii_hub import GREEN, HIDDEN, INBOX, SCRATCH, TaxiiHub

from tocsin.conformance.model import Outcome
from tocsin.conformance.registry import CHECKS


@pytest.fixture
def taxii() -> Any:
    taxii = TaxiiHub()
    taxii.account("north-robot", "north", {GREEN, SCRATCH, HIDDEN}, {INBOX})
    return taxii


def conformance_hub(url: str) -> ConformanceHub:
    return ConformanceHub(url, "acme-robot:acme-robot-key", "north-robot:north-robot-key")


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_broken_rule_is_found(fault: Fault, taxii: TaxiiHub) -> None:
    with serve_with_fault(taxii.app, fault) as url:
        results = conformance_hub(url).run_checks(*fault.found_by)
    wrong = {r.check.number for r in results if r.outcome in (Outcome.FAILED, Outcome.WARNED)}
    assert set(fault.found_by) - wrong == set()


@pytest.mark.slow
def test_a_server_that_breaks_none_is_not_blamed(taxii: TaxiiHub) -> None:
    with serve_with_fault(taxii.app, Fault("none", ())) as url:
        results = conformance_hub(url).run_checks(
            *{number for fault in FAULTS for number in fault.found_by}
        )
    blamed = {r.check.name for r in results if r.complaints}
    assert blamed <= {
        "2.15 Bodies that are not I-JSON are refused, and nothing is stored"
    }  # in memory


def test_most_checks_are_seen_to_fail() -> None:
    seen = {number for fault in FAULTS for number in fault.found_by}
    unseen = [check.name for check in CHECKS if check.number not in seen]
    assert len(unseen) < len(CHECKS) / 4, unseen
