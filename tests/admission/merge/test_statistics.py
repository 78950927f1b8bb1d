"""The hub's statistics about a public object: counts, days of report, and a valid extension."""

from support.contributions import HUB_IDENTITY, NOW, SCALE, assessment, contribution

from tocsin.admission.merge.content import merge_contributions
from tocsin.admission.merge.statistics import add_statistics, compute_statistics
from tocsin.admission.stix.history_extension import (
    EXTENSION_ID,
    extension_author,
    extension_definition,
)
from tocsin.admission.stix.schemas import schemas
from tocsin.admission.timestamps import DAY


def test_a_sighting_by_a_contributor_does_not_raise_the_confidence() -> None:
    own = compute_statistics([contribution("a", 60)], [assessment("a")], SCALE, NOW)
    assert (own.confidence, own.sightings) == (60, 1)


def test_a_published_indicator_with_statistics_is_valid_by_the_schema() -> None:
    contributions = [contribution(confidence=60)]
    public = add_statistics(
        merge_contributions(contributions),
        compute_statistics(contributions, (), SCALE, NOW),
        HUB_IDENTITY,
    )
    stamps = dict.fromkeys(("created", "modified"), "2026-11-25T00:00:00.000Z")
    whole = {**public, **stamps, "id": "indicator--00000000-0000-4000-8000-000000000001"}
    for body in (whole, extension_author(), extension_definition()):
        assert list(schemas()[body["type"]].validator.iter_errors(body)) == []
    assert public["extensions"][EXTENSION_ID]["first_reported"].endswith("T00:00:00.000Z")


def test_statistics_give_the_days_of_the_reports_and_no_time_of_day() -> None:
    reported = contribution(received=NOW - 3 * DAY, last_reported=NOW)
    found = compute_statistics([reported], (), SCALE, NOW)
    assert (found.last_day - found.first_day, found.last_day) == (3, NOW // DAY)
