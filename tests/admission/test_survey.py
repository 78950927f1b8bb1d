"""A submission that is examined in parts gets the verdicts of one that is examined as a whole."""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import pytest
from support.examples import examples
from support.hub import sdo
from support.statement_marking import STATEMENT
from support.warning_lists import warning_lists

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission import survey as surveys
from tocsin.admission.errors import TooLarge
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.markings.tlp import TLP_1_IDS, TLP_2_IDS
from tocsin.admission.model import Candidate, Consent, Submitter, Tlp
from tocsin.admission.stix.ijson import salvage_object
from tocsin.config.loading import policy_text

NOW = 1_780_000_000_000_000
LEVELS = [*TLP_2_IDS.values(), TLP_1_IDS[Tlp.AMBER]]
Object = dict[str, Any]


def pipeline(**submitter: Any) -> Pipeline:
    policy = parse_policy(policy_text()).for_preview()
    return Pipeline(policy, Submitter(names=("ACME Corp",), **submitter), warning_lists())


def examine_in_parts(
    examiner: Pipeline, submission: Sequence[Candidate], sizes: Callable[[], int]
) -> list[Candidate]:
    context = examiner.build_context(examiner.survey(lambda: iter(submission)), NOW)
    rest = iter(submission)
    found: list[Candidate] = []
    while part := list(islice(rest, sizes())):
        found += examiner.examine_part(part, context)
    return found


def assert_alike(objects: Iterable[Object | Candidate], **submitter: Any) -> list[Candidate]:
    """Examine as a whole and one by one; the results, which are the same."""
    submission = [
        each if isinstance(each, Candidate) else Candidate.from_object(n, each)
        for n, each in enumerate(objects)
    ]
    whole = pipeline(**submitter).examine(submission, NOW)
    assert examine_in_parts(pipeline(**submitter), submission, lambda: 1) == whole
    return whole


def statement_marking(text: str) -> Object:
    fresh = sdo("marking-definition")["id"]
    return STATEMENT | {"id": fresh, "definition": {"statement": text}}


def indicator(value: str = "evil-portal.top", **more: Any) -> Object:
    pattern = f"[domain-name:value = '{value}']"
    day = "2026-01-01T00:00:00.000Z"
    made = sdo("indicator", pattern=pattern, pattern_type="stix", valid_from=day)
    del made["object_marking_refs"]
    return made | more


def test_a_report_at_the_end_marks_its_members() -> None:
    member = indicator()
    report = sdo(
        "report",
        name="r",
        published="2026-01-01T00:00:00Z",
        object_refs=[member["id"]],
        object_marking_refs=[TLP_2_IDS[Tlp.AMBER_STRICT]],
    )
    marked, _ = assert_alike([member, report])
    assert marked.tlp is Tlp.AMBER_STRICT


def test_a_label_of_a_report_marks_its_members() -> None:
    member = indicator()
    report = sdo("report", name="r", published="2026-01-01T00:00:00Z", labels=["tlp:amber"])
    del report["object_marking_refs"]
    marked, _ = assert_alike(
        [member, report | {"object_refs": [member["id"]]}], default_tlp=Tlp.CLEAR
    )
    assert marked.tlp is Tlp.AMBER


def test_a_definition_may_stand_behind_what_it_marks() -> None:
    definition = statement_marking("Copyright 2026 ACME Corp")
    carrier = indicator(object_marking_refs=[definition["id"], TLP_2_IDS[Tlp.GREEN]])
    marked, judged = assert_alike([carrier, definition])
    assert marked.is_open and marked.scope.startswith("green|")
    assert judged.tlp is Tlp.GREEN  # that of the object that carries it


def test_copies_far_apart_take_the_strictest_level() -> None:
    copy = indicator(object_marking_refs=[TLP_2_IDS[Tlp.GREEN]])
    stricter = copy | {"object_marking_refs": [TLP_2_IDS[Tlp.AMBER]]}
    results = assert_alike([copy, *(indicator(f"h{n}.top") for n in range(30)), stricter])
    assert results[0].tlp is results[-1].tlp is Tlp.AMBER


def test_an_identity_at_the_end_names_the_author() -> None:
    author = sdo("identity", name="ACME Corp", identity_class="organization")
    tool = sdo("tool", name="x")
    link = sdo(
        "relationship",
        relationship_type="related-to",
        source_ref=tool["id"],
        target_ref=author["id"],
    )
    results = assert_alike([tool, link, author])
    assert [each.verdict.value for each in results] == ["open", "refused", "duplicate"]


def test_a_consent_label_at_the_end_hides_the_author() -> None:
    author = sdo("identity", name="ACME Corp", identity_class="organization")
    author["labels"] = ["ais-consent-none"]
    tool = sdo("tool", name="x", created_by_ref=author["id"])
    first, _ = assert_alike([tool, author], consent=Consent.EVERYONE)
    assert first.object is not None and "created_by_ref" not in first.object


def test_addresses_that_received_a_message_are_recognised_before_it() -> None:
    ids = {
        name: f"email-addr--00000000-0000-4000-8000-00000000000{n}" for n, name in enumerate("ab")
    }
    addresses = [
        {"type": "email-addr", "spec_version": "2.1", "id": ids[name], "value": f"{name}@evil.top"}
        for name in "ab"
    ]
    message = {
        "type": "email-message",
        "spec_version": "2.1",
        "id": "email-message--00000000-0000-4000-8000-000000000009",
        "is_multipart": False,
        "from_ref": ids["a"],
        "to_refs": [ids["b"]],
    }
    about = indicator() | {"pattern": "[email-addr:value = 'b@evil.top']"}
    copy = addresses[1] | {"id": ids["b"][:-1] + "2"}
    alone = [each.verdict for each in assert_alike([*addresses, message, copy])]
    assert alone[1] == alone[3]
    matched = [each.verdict for each in assert_alike([*addresses, message, copy, about])]
    assert alone[1] != matched[1]


def test_a_record_that_cannot_be_read_holds_unmarked_objects_before_it() -> None:
    broken = Candidate(2, None, salvaged={}, verdict=refused_candidate(2, "").verdict)
    marked = indicator("b.top", object_marking_refs=[TLP_2_IDS[Tlp.GREEN]])
    results = assert_alike([indicator(), marked, broken])
    assert [each.verdict.value for each in results] == ["held", "open", "refused"]


@pytest.mark.parametrize("seed", range(examples(40, 15)))
def test_any_mixture_of_objects_has_the_same_verdicts_in_any_parts(seed: int) -> None:
    chance = random.Random(seed)
    objects = list(mixture(chance))
    chance.shuffle(objects)
    submission = []
    for n, each in enumerate(objects):
        raw = json.dumps(each).encode()
        if chance.random() < 0.02:
            refused = refused_candidate(n, "broken")
            submission.append(
                Candidate(n, None, verdict=refused.verdict, salvaged=salvage_object(raw))
            )
        else:
            submission.append(Candidate.from_object(n, each))
    consent = chance.choice(list(Consent))
    whole = pipeline(consent=consent).examine(submission, NOW)
    parts = examine_in_parts(pipeline(consent=consent), submission, lambda: chance.randint(1, 9))
    assert parts == whole


def mixture(chance: random.Random) -> Iterable[Object]:
    """Objects of all kinds that say something about each other."""
    identities = [
        sdo(
            "identity",
            name=name,
            identity_class=kind,
            labels=chance.choice([[], ["ais-consent-usg"]]),
        )
        for name, kind in (("ACME Corp", "organization"), ("Energy", "class"), ("Victim", "system"))
    ]
    definitions = [statement_marking(text) for text in ("Copyright", "TLP:RED and more", "Licence")]
    marks = [*LEVELS, *(each["id"] for each in definitions)]

    def marked(made: Object) -> Object:
        made.pop("object_marking_refs", None)
        if chance.random() < 0.6:
            made["object_marking_refs"] = chance.sample(marks, chance.randint(1, 3))
        if chance.random() < 0.3:
            made["created_by_ref"] = chance.choice(identities)["id"]
        if chance.random() < 0.1:
            made["labels"] = [chance.choice(["tlp:red", "tlp:green", "x"])]
        return made

    members = [marked(indicator(f"h{n}.top")) for n in range(15)]
    yield from members
    yield from (marked(dict(each)) for each in chance.sample(members, 4))
    yield from (marked(each) for each in identities)
    yield from definitions
    for _ in range(3):
        ids = [each["id"] for each in chance.sample(members, 3)]
        report = marked(sdo("report", name="r", published="2026-01-01T00:00:00Z"))
        report["object_refs"] = ids
        if chance.random() < 0.5:
            report["granular_markings"] = [
                {"marking_ref": chance.choice(LEVELS), "selectors": ["object_refs.[1]"]}
            ]
        yield report
        seen = marked(sdo("sighting", sighting_of_ref=ids[0]))
        yield seen | {"where_sighted_refs": [chance.choice(identities)["id"]]}
        link = sdo("relationship", relationship_type="related-to", source_ref=ids[0])
        yield marked(link | {"target_ref": chance.choice([*identities, *members])["id"]})


def test_facts_beyond_a_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys, "_MOST_KEPT", 100)
    ids = [indicator()["id"] for _ in range(200)]
    report = sdo("report", name="r", published="2026-01-01T00:00:00Z", object_refs=ids)
    del report["object_marking_refs"]
    with pytest.raises(TooLarge, match="split the file"):
        pipeline().survey(lambda: [Candidate.from_object(0, report)])


def test_containers_are_not_kept_while_every_object_has_a_level_of_its_own() -> None:
    member = indicator(object_marking_refs=[TLP_2_IDS[Tlp.GREEN]])
    report = sdo("report", name="r", published="2026-01-01T00:00:00Z", object_refs=[member["id"]])
    survey = surveys.Survey(omits_containers=True)
    for n, each in enumerate([member, report]):
        survey.add(Candidate.from_object(n, each))
    assert survey.relevant == [] and not survey.is_incomplete
    survey.add(Candidate.from_object(2, indicator()))
    assert survey.is_incomplete


@pytest.mark.parametrize("seed", range(examples(20, 8)))
def test_a_mixture_of_marked_objects_has_the_same_verdicts_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    unmarked = chance.choice([0, 0.03])
    objects = []
    for each in mixture(chance):
        if each["type"] == "marking-definition" and chance.random() >= unmarked:
            continue
        if chance.random() >= unmarked:
            each = each | {"object_marking_refs": [chance.choice(LEVELS)]}
            each.pop("granular_markings", None)
        objects.append(each)
    chance.shuffle(objects)
    assert_alike(objects)


def test_a_survey_keeps_nothing_of_objects_that_say_nothing_about_others() -> None:
    survey = surveys.Survey()
    for n in range(50):
        survey.add(Candidate.from_object(n, indicator(f"h{n}.top", description="x" * 1000)))
    assert survey.relevant == [] and survey.count == 50
