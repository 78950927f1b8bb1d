"""STIX 2.0 as STIX 2.1 (tocsin.admission.stix.upgrade)."""

import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest
from support.presence import present
from support.stix_objects import (
    LATER,
    TIME,
    made,
    ref,
)

from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.merge.identity import observable_id
from tocsin.admission.model import Candidate
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
REAL = Path(os.environ.get("TOCSIN_REAL", "none")) / "stix"


def old(kind: Any, **more: Any) -> Any:
    subject = made(kind, spec_version=None, **more)
    return {name: value for name, value in subject.items() if name != "is_family"}


def validated(subject: Any) -> Any:
    return validate(Candidate(index=0, object=subject), POLICY, NOW)


def upgraded(subject: Any) -> Any:
    told = validated(subject)
    assert told.is_open, told.findings
    assert [f.rule for f in told.findings if f.rule == "upgrade"] == ["upgrade"]
    return told.object


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
    def test_labels_that_said_the_kind_move(self, kind: str, name: str) -> None:
        newer = upgraded(old(kind, labels=["a"], **({"roles": None} if kind == "identity" else {})))
        assert newer[name] == ["a"] and "labels" not in newer

    def test_other_labels_stay(self) -> None:
        assert upgraded(old("campaign", labels=["a"]))["labels"] == ["a"]

    def test_a_consent_stays_a_label(self) -> None:
        newer = upgraded(old("identity", labels=["ais-consent-usg", "buyer"], roles=None))
        assert (newer["labels"], newer["roles"]) == (["ais-consent-usg"], ["buyer"])

    def test_an_indicator_gets_the_language_of_its_pattern(self) -> None:
        newer = upgraded(old("indicator", pattern_type=None, valid_from=None, valid_until=None))
        assert (newer["pattern_type"], newer["valid_from"]) == ("stix", TIME)

    def test_a_malware_is_one_and_no_family(self) -> None:
        assert upgraded(old("malware"))["is_family"] is False

    def test_properties_of_somebodys_own_go_as_the_policy_says(self) -> None:
        assert "x_own" not in upgraded(old("tool", x_own="a"))

    def test_what_is_of_2_1_is_not_touched(self) -> None:
        subject = made("campaign", labels=["a"])
        assert validated(subject).object == subject and validated(subject).findings == ()


INSIDE: dict[str, dict[str, Any]] = {
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


def observed() -> Any:
    return old("observed-data", object_refs=None, objects=INSIDE)


def parted() -> Any:
    sent = json.dumps({"type": "bundle", "id": ref("bundle"), "objects": [observed()]}).encode()
    return list(read("a.json", sent, ReadOptions(NOW)))


class TestObservedData:
    def test_in_a_file_what_stands_inside_becomes_objects_of_its_own(self) -> None:
        first, *others = parted()
        assert [c.index for c in (first, *others)] == [0, 1, 2, 3, 4, 5]
        assert [c.object["type"] for c in others] == [part["type"] for part in INSIDE.values()]
        assert first.object["object_refs"] == [c.object["id"] for c in others]
        assert "objects" not in first.object and first.findings[0].rule == "observed"

    def test_each_of_them_is_valid_in_2_1_and_has_the_properties_of_2_1(self) -> None:
        told: list[Any] = [validate(c, POLICY, NOW) for c in parted()]
        assert [t.findings for t in told if not t.is_open] == []
        _, file, directory, process, account, key = [t.object for t in told]
        assert present(file)["ctime"] == TIME and "created" not in file
        assert present(directory)["contains_refs"] == [file["id"]]
        assert present(file)["parent_directory_ref"] == directory["id"]
        assert present(process)["image_ref"] == file["id"] and process["command_line"] == "a -b c"
        assert present(account)["credential_last_changed"] == TIME and key["modified_time"] == LATER

    def test_their_ids_are_those_that_their_values_give_them(self) -> None:
        _, file, directory, process, *_ = [c.object for c in parted()]
        assert directory["id"] == observable_id(directory)
        assert file["id"] == observable_id(file)
        assert process["id"][len("process--") :][14] == "4"

    def test_the_same_file_gives_the_same_objects_again(self) -> None:
        assert [c.object for c in parted()] == [c.object for c in parted()]

    def test_objects_that_refer_to_each_other_in_a_circle_come_to_an_end(self) -> None:
        circle = {
            "0": {"type": "file", "name": "a", "parent_directory_ref": "1"},
            "1": {"type": "file", "name": "b", "parent_directory_ref": "0"},
        }
        sent = json.dumps(observed() | {"objects": circle}).encode()
        assert len(list(read("a.json", sent, ReadOptions(NOW)))) == 3

    def test_a_chain_of_any_length_comes_to_an_end(self) -> None:
        chain = {
            str(n): {"type": "file", "name": "a", "parent_directory_ref": str(n + 1)}
            for n in range(999)
        }
        sent = json.dumps(observed() | {"objects": chain}).encode()
        assert len(list(read("a.json", sent, ReadOptions(NOW)))) == 1_000

    def test_sent_to_a_hub_as_it_is_it_is_refused_with_the_remedy(self) -> None:
        (told,) = [f for f in validated(observed()).findings if f.action == "refused"]
        assert told.rule == "observed" and "object_refs" in told.message


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data ($TOCSIN_REAL)")
def test_real_bundles_of_2_0_are_taken() -> None:
    refused = taken = 0
    for path in sorted(REAL.glob("unit42-playbooks/**/*.json.xz"))[:10]:
        for candidate in read("a.json", lzma.decompress(path.read_bytes()), ReadOptions(NOW)):
            if candidate.object and candidate.object.get("type") == "indicator":
                told = validate(candidate, POLICY, NOW)
                taken, refused = taken + told.is_open, refused + (not told.is_open)
    assert taken > 100 and refused == 0
