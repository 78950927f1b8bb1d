"""Upgrade of STIX 2.0 objects to STIX 2.1 (tocsin.admission.stix.upgrade)."""

import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest
from support.presence import present
from support.stix_objects import LATER, TIME, make_object, ref

from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.merge.identity import observable_id
from tocsin.admission.model import Candidate
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
REAL = Path(os.environ.get("TOCSIN_REAL", "none")) / "stix"


def stix_2_0_object(kind: Any, **more: Any) -> Any:
    subject = make_object(kind, spec_version=None, **more)
    return {name: value for name, value in subject.items() if name != "is_family"}


def validate_object(subject: Any) -> Any:
    return validate(Candidate(index=0, object=subject), POLICY, NOW)


def upgrade_object(subject: Any) -> Any:
    candidate = validate_object(subject)
    assert candidate.is_open, candidate.findings
    assert [f.rule for f in candidate.findings if f.rule == "upgrade"] == ["upgrade"]
    return candidate.object


class TestObjects:
    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("indicator", "indicator_types"),
            ("malware", "malware_types"),
            ("report", "report_types"),
            ("threat-actor", "threat_actor_types"),
            ("tool", "tool_types"),
            ("identity", "roles"),
        ],
    )
    def test_labels_of_a_type_with_a_vocabulary_move_to_its_types_property(
        self, kind: str, name: str
    ) -> None:
        upgraded = upgrade_object(
            stix_2_0_object(kind, labels=["a"], **({"roles": None} if kind == "identity" else {}))
        )
        assert upgraded[name] == ["a"] and "labels" not in upgraded

    def test_labels_of_other_types_are_kept(self) -> None:
        assert upgrade_object(stix_2_0_object("campaign", labels=["a"]))["labels"] == ["a"]

    def test_an_ais_consent_remains_a_label_of_an_identity(self) -> None:
        upgraded = upgrade_object(
            stix_2_0_object("identity", labels=["ais-consent-usg", "buyer"], roles=None)
        )
        assert (upgraded["labels"], upgraded["roles"]) == (["ais-consent-usg"], ["buyer"])

    def test_an_upgraded_indicator_gets_pattern_type_stix(self) -> None:
        upgraded = upgrade_object(
            stix_2_0_object("indicator", pattern_type=None, valid_from=None, valid_until=None)
        )
        assert (upgraded["pattern_type"], upgraded["valid_from"]) == ("stix", TIME)

    def test_an_upgraded_malware_is_not_a_family(self) -> None:
        assert upgrade_object(stix_2_0_object("malware"))["is_family"] is False

    def test_custom_properties_of_stix_2_0_follow_the_policy(self) -> None:
        assert "x_own" not in upgrade_object(stix_2_0_object("tool", x_own="a"))

    def test_an_object_of_stix_2_1_is_not_changed(self) -> None:
        subject = make_object("campaign", labels=["a"])
        assert (
            validate_object(subject).object == subject and validate_object(subject).findings == ()
        )


CYBER_OBSERVABLES: dict[str, dict[str, Any]] = {
    "0": {
        "type": "file",
        "name": "a.exe",
        "hashes": {"md5": "d41d8cd98f00b204e9800998ecf8427e"},
        "parent_directory_ref": "1",
        "created": TIME,
    },
    "1": {"type": "directory", "path": "/tmp", "contains_refs": ["0"]},
    "2": {"type": "process", "pid": 1, "name": "a", "arguments": ["-b", "c"], "binary_ref": "0"},
    "3": {"type": "user-account", "user_id": "a", "password_last_changed": TIME},
    "4": {"type": "windows-registry-key", "key": "hklm\\a", "modified": LATER},
}


def observed_data_2_0() -> Any:
    return stix_2_0_object("observed-data", object_refs=None, objects=CYBER_OBSERVABLES)


def split_observed_data() -> Any:
    sent = json.dumps(
        {"type": "bundle", "id": ref("bundle"), "objects": [observed_data_2_0()]}
    ).encode()
    return list(read("a.json", sent, ReadOptions(NOW)))


class TestObservedData:
    def test_observed_data_in_a_file_is_split_into_observables(self) -> None:
        first, *others = split_observed_data()
        assert [c.index for c in (first, *others)] == [0, 1, 2, 3, 4, 5]
        assert [c.object["type"] for c in others] == [
            part["type"] for part in CYBER_OBSERVABLES.values()
        ]
        assert first.object["object_refs"] == [c.object["id"] for c in others]
        assert "objects" not in first.object and first.findings[0].rule == "observed"

    def test_split_observables_are_valid_and_have_the_property_names_of_stix_2_1(self) -> None:
        validated: list[Any] = [validate(c, POLICY, NOW) for c in split_observed_data()]
        assert [t.findings for t in validated if not t.is_open] == []
        _, file, directory, process, account, key = [t.object for t in validated]
        assert present(file)["ctime"] == TIME and "created" not in file
        assert present(directory)["contains_refs"] == [file["id"]]
        assert present(file)["parent_directory_ref"] == directory["id"]
        assert present(process)["image_ref"] == file["id"] and process["command_line"] == "a -b c"
        assert present(account)["credential_last_changed"] == TIME and key["modified_time"] == LATER

    def test_split_observables_have_deterministic_ids(self) -> None:
        _, file, directory, process, *_ = [c.object for c in split_observed_data()]
        assert directory["id"] == observable_id(directory)
        assert file["id"] == observable_id(file)
        assert process["id"][len("process--") :][14] == "4"

    def test_splitting_the_same_file_twice_gives_the_same_objects(self) -> None:
        assert [c.object for c in split_observed_data()] == [
            c.object for c in split_observed_data()
        ]

    def test_a_cycle_of_references_between_observables_is_split(self) -> None:
        circle = {
            "0": {"type": "file", "name": "a", "parent_directory_ref": "1"},
            "1": {"type": "file", "name": "b", "parent_directory_ref": "0"},
        }
        sent = json.dumps(observed_data_2_0() | {"objects": circle}).encode()
        assert len(list(read("a.json", sent, ReadOptions(NOW)))) == 3

    def test_a_chain_of_999_references_between_observables_is_split(self) -> None:
        chain = {
            str(n): {"type": "file", "name": "a", "parent_directory_ref": str(n + 1)}
            for n in range(999)
        }
        sent = json.dumps(observed_data_2_0() | {"objects": chain}).encode()
        assert len(list(read("a.json", sent, ReadOptions(NOW)))) == 1_000

    def test_observed_data_of_2_0_sent_to_a_hub_is_refused_with_a_remedy(self) -> None:
        (finding,) = [
            f for f in validate_object(observed_data_2_0()).findings if f.action == "refused"
        ]
        assert finding.rule == "observed" and "object_refs" in finding.message


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data ($TOCSIN_REAL)")
def test_real_bundles_of_stix_2_0_are_accepted() -> None:
    refused = accepted = 0
    for path in sorted(REAL.glob("unit42-playbooks/**/*.json.xz"))[:10]:
        for candidate in read("a.json", lzma.decompress(path.read_bytes()), ReadOptions(NOW)):
            if candidate.object and candidate.object.get("type") == "indicator":
                is_open = validate(candidate, POLICY, NOW).is_open
                accepted, refused = accepted + is_open, refused + (not is_open)
    assert accepted > 100 and refused == 0
