"""MISP events: which attributes become indicators, and with which pattern."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.misp_events import (
    EVENT,
    MD5,
    NOW,
    SHA1,
    SHA256,
    attribute,
    built_objects,
    event,
    examine_event,
    object_,
    patterns,
    read,
    uuid,
)
from support.paths import ROOT
from support.presence import present
from support.reading import messages

from tocsin.admission import formats
from tocsin.admission.errors import Malformed
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp, Verdict


class TestWrappers:
    BARE = event(attribute())["Event"]

    @pytest.mark.parametrize(
        "content",
        [
            {"Event": BARE},
            [{"Event": BARE}],
            {"response": [{"Event": BARE}]},
            {"response": {"Event": BARE}},
            BARE,
            [BARE],
        ],
    )
    def test_an_event_is_read_however_it_is_wrapped(self, content: Any) -> None:
        assert [each["pattern"] for each in built_objects(content)] == [
            "[domain-name:value = 'evil.com']"
        ]

    def test_a_stix_bundle_is_not_read_as_misp(self) -> None:
        bundle = {"type": "bundle", "id": f"bundle--{EVENT}", "objects": []}
        assert present(formats.detect_format("a.json", json.dumps(bundle).encode())).name == "stix"

    def test_a_search_of_attributes_is_refused_since_it_lacks_the_tags_of_events(self) -> None:
        with pytest.raises(Malformed, match="search for events"):
            read({"response": {"Attribute": [attribute()]}})

    def test_a_list_with_the_octets_of_the_tags_does_not_hide_them(self) -> None:
        tags = [{"name": "tlp:amber"}]
        body = {"Tag": tags, "Object": tags, **event(attribute())["Event"]}
        (indicator,) = built_objects({"Event": body})
        assert indicator["object_marking_refs"] == [TLP_2_IDS[Tlp.AMBER]]

    def test_a_broken_event_does_not_spoil_the_others(self) -> None:
        candidates = read([{"Event": "gone"}, event(attribute())])
        assert [each.verdict for each in candidates] == [
            Verdict.REFUSED,
            Verdict.OPEN,
            Verdict.OPEN,
        ]
        assert "event 1" in messages(candidates)[0]


class TestAttributes:
    @pytest.mark.parametrize(
        ("kind", "value", "pattern"),
        [
            ("domain", "EVIL.com", "[domain-name:value = 'evil.com']"),
            ("hostname", "a.evil.internal-tld", "[domain-name:value = 'a.evil.internal-tld']"),
            ("hostname|port", "evil.com|8080", "[domain-name:value = 'evil.com']"),
            ("ip-dst", "45.12.3.4", "[ipv4-addr:value = '45.12.3.4']"),
            ("ip-src", "45.12.3.0/24", "[ipv4-addr:value = '45.12.3.0/24']"),
            ("ip-dst|port", "45.12.3.4|443", "[ipv4-addr:value = '45.12.3.4']"),
            ("ip-src|port", "2a00:1::1|443", "[ipv6-addr:value = '2a00:1::1']"),
            ("url", "hxxp://evil[.]com/A?b", "[url:value = 'http://evil.com/A?b']"),
            ("email-src", "Joe@evil.com", "[email-addr:value = 'joe@evil.com']"),
            ("email-dst", "joe@evil.com", "[email-message:to_refs[*].value = 'joe@evil.com']"),
            ("email-subject", "It's due", "[email-message:subject = 'It\\'s due']"),
            ("md5", MD5.upper(), f"[file:hashes.'MD5' = '{MD5}']"),
            ("sha256", SHA256, f"[file:hashes.'SHA-256' = '{SHA256}']"),
            ("filename|sha1", f"x.exe|{SHA1}", f"[file:hashes.'SHA-1' = '{SHA1}']"),
            ("malware-sample", f"x.exe|{MD5}", f"[file:hashes.'MD5' = '{MD5}']"),
            ("ssdeep", "3:a+b:c", "[file:hashes.'SSDEEP' = '3:a+b:c']"),
            ("imphash", MD5, f"[file:extensions.'windows-pebinary-ext'.imphash = '{MD5}']"),
            ("filename", "x.exe", "[file:name = 'x.exe']"),
            (
                "filename",
                "%TEMP%\\x.exe",
                "[file:name = 'x.exe' AND file:parent_directory_ref.path = '%TEMP%']",
            ),
            ("mutex", "Global\\x", "[mutex:name = 'Global\\\\x']"),
            ("named pipe", r"\\.\pipe\x", r"[file:name = '\\\\.\\pipe\\x']"),
            ("named pipe", r"\pipe\x", r"[file:name = '\\\\.\\pipe\\x']"),
            ("named pipe", "x", r"[file:name = '\\\\.\\pipe\\x']"),
            ("AS", "AS64496", "[autonomous-system:number = 64496]"),
            (
                "regkey|value",
                "HKEY_CURRENT_USER\\a|b",
                "[windows-registry-key:key = 'HKEY_CURRENT_USER\\\\a'"
                " AND windows-registry-key:values[*].data = 'b']",
            ),
            (
                "user-agent",
                "Bot 1",
                "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'"
                " = 'Bot 1']",
            ),
            ("x509-fingerprint-sha1", SHA1, f"[x509-certificate:hashes.'SHA-1' = '{SHA1}']"),
            ("ja3-fingerprint-md5", MD5, f"[network-traffic:extensions.'tls-ext'.ja3 = '{MD5}']"),
        ],
    )
    def test_an_attribute_becomes_an_indicator_on_its_value(
        self, kind: str, value: Any, pattern: str
    ) -> None:
        assert patterns(attribute(kind, value)) == [pattern]

    @pytest.mark.parametrize("kind", ["sha224", "tlsh", "vhash", "jarm-fingerprint", "mutex"])
    def test_the_pattern_of_an_attribute_is_canonical(self, kind: str) -> None:
        (indicator, _) = examine_event(event(attribute(kind, "d" * 56)))
        assert indicator.is_open and indicator.findings == ()

    def test_domain_and_address_are_two_indicators(self) -> None:
        assert patterns(attribute("domain|ip", "evil.com|45.12.3.4")) == [
            "[domain-name:value = 'evil.com']",
            "[ipv4-addr:value = '45.12.3.4']",
        ]

    @pytest.mark.parametrize("kind", ["yara", "sigma", "snort", "suricata"])
    def test_a_rule_keeps_its_language(self, kind: str) -> None:
        (rule,) = built_objects(event(attribute(kind, "rule x { condition: true }")))
        assert (rule["pattern_type"], rule["name"]) == (kind, f"{kind} rule")

    @pytest.mark.parametrize("to_ids", [True, False])
    def test_a_vulnerability_is_shared_with_and_without_to_ids(self, to_ids: bool) -> None:
        content = event(attribute("vulnerability", "cve-2021-44228", to_ids=to_ids))
        (found,) = built_objects(content, "vulnerability")
        assert found["name"] == "CVE-2021-44228"

    def test_a_mislabelled_value_is_read_as_its_kind_with_a_finding(self) -> None:
        candidates = read(event(attribute("md5", SHA256)))
        assert candidates[0].object["pattern"] == f"[file:hashes.'SHA-256' = '{SHA256}']"
        assert "attribute 1: is a sha256" in messages(candidates)[0]

    def test_an_attribute_without_to_ids_is_counted_and_not_shared(self) -> None:
        candidates = read(event(attribute(), attribute("domain", "good.com", 2, to_ids=False)))
        assert [each.object["type"] for each in candidates] == ["indicator", "report"]
        assert messages(candidates) == ["the event: not shared: 1 domain without to_ids"]

    def test_comment_tags_and_dates_of_an_attribute_are_kept(self) -> None:
        tags = [{"name": n} for n in ("Emotet", "phishing", 'misp-galaxy:threat-actor="Bad Bear"')]
        more = {"comment": "Seen twice", "Tag": tags, "first_seen": "2026-01-01T01:00:00+01:00"}
        (found,) = built_objects(event(attribute(**more)))
        assert found["description"] == "Seen twice"
        assert found["labels"] == ["emotet", "phishing", 'misp-galaxy:threat-actor="bad bear"']
        assert found["indicator_types"] == ["malicious-activity"]
        assert found["valid_from"] == "2026-01-01T00:00:00.000Z"
        assert found["created"] == found["modified"] == "2026-02-02T02:40:00.000Z"

    @pytest.mark.parametrize(("stamp", "day"), [(0, "01"), ("junk", "01"), ("9999999999", "01")])
    def test_an_impossible_timestamp_is_ignored(self, stamp: int | str, day: str) -> None:
        content = event(attribute(timestamp=stamp), timestamp=stamp)
        assert built_objects(content)[0]["modified"] == f"2026-02-{day}T00:00:00.000Z"


class TestObjects:
    def test_each_hash_of_a_file_object_is_an_indicator_with_the_name_of_the_file(self) -> None:
        parts = [attribute("filename", "setup.exe", 1), attribute("md5", MD5, 2)]
        content = event(Object=[object_("file", *parts, attribute("sha1", SHA1, 3))])
        assert [each["pattern"] for each in built_objects(content)] == [
            f"[file:hashes.'MD5' = '{MD5}']",
            f"[file:hashes.'SHA-1' = '{SHA1}']",
        ]
        assert [each["name"] for each in built_objects(content)] == ["setup.exe"] * 2

    def test_a_file_of_several_names_keeps_none(self) -> None:
        names = [attribute("filename", "a.exe", 1), attribute("filename", "b.exe", 2)]
        candidates = read(event(Object=[object_("file", *names, attribute("md5", MD5, 3))]))
        assert candidates[0].object["name"] == MD5
        assert "2 filename of a file that has hashes" in messages(candidates)[0]

    def test_a_registry_key_is_matched_with_its_value(self) -> None:
        key = attribute("regkey", "HKEY_CURRENT_USER\\Run", 1, object_relation="key")
        data = attribute("text", "x.exe", 2, object_relation="data", to_ids=False)
        assert patterns(Object=[object_("registry-key", key, data)]) == [
            "[windows-registry-key:key = 'HKEY_CURRENT_USER\\\\Run'"
            " AND windows-registry-key:values[*].data = 'x.exe']"
        ]

    def test_the_certificate_hash_of_an_app_is_not_a_file_hash(self) -> None:
        part = attribute("sha1", SHA1, object_relation="certificate")
        content = event(Object=[object_("android-app", part)])
        assert (
            built_objects(content)[0]["pattern"] == f"[x509-certificate:hashes.'SHA-1' = '{SHA1}']"
        )

    @pytest.mark.parametrize(
        ("kind", "name", "digest"), [("md5", "MD5", MD5), ("sha256", "SHA-256", SHA256)]
    )
    def test_the_hash_of_a_pe_section_matches_a_section(
        self, kind: str, name: str, digest: str
    ) -> None:
        assert patterns(Object=[object_("pe-section", attribute(kind, digest))]) == [
            f"[file:extensions.'windows-pebinary-ext'.sections[*].hashes.'{name}' = '{digest}']"
        ]

    def test_the_hash_of_an_elf_section_is_not_a_file_hash(self) -> None:
        candidates = read(event(Object=[object_("elf-section", attribute("md5", MD5))]))
        assert "1 md5 of a part of a file" in messages(candidates)[0]


class TestExternalIds:
    def test_ids_in_a_comment_or_a_galaxy_become_references(self) -> None:
        tag = {"name": 'misp-galaxy:mitre-attack-pattern="Phishing - T1566"'}
        content = event(attribute(comment="uses CVE-2021-44228", Tag=[tag]))
        (subject,) = built_objects(content)
        ids = [each["external_id"] for each in subject["external_references"]]
        assert ids == ["CVE-2021-44228", "T1566"]


class TestIds:
    def test_an_indicator_has_the_uuid_of_its_attribute(self) -> None:
        assert built_objects(event(attribute()))[0]["id"] == f"indicator--{uuid(1)}"

    def test_reading_an_event_twice_gives_the_same_objects(self) -> None:
        content = event(attribute("domain|ip", "evil.com|45.12.3.4"), attribute(uuid="junk"))
        assert [each.object for each in read(content)] == [each.object for each in read(content)]

    def test_a_repeated_event_is_a_duplicate(self) -> None:
        candidates = read([event(attribute()), event(attribute())])
        verdicts = [each.verdict for each in candidates]
        assert verdicts == [Verdict.OPEN, Verdict.OPEN, Verdict.DUPLICATE, Verdict.DUPLICATE]

    def test_a_second_attribute_with_the_same_uuid_is_refused(self) -> None:
        candidates = read(event(attribute(), attribute(value="evil.org")))
        assert (
            candidates[1].verdict is Verdict.REFUSED and "the same uuid" in messages(candidates)[0]
        )

    def test_a_value_has_the_same_pattern_in_a_table_and_in_misp(self) -> None:
        values = ["evil.com", "45.12.3.4:80", "http://evil.com/a", "Joe@evil.com", SHA256]
        kinds = ["domain", "ip-dst|port", "url", "email-src", "sha256"]
        content = event(
            *(attribute(k, v, n) for n, (k, v) in enumerate(zip(kinds, values, strict=True)))
        )
        table = "\n".join(["value", *values])
        listed = read(table.encode(), name="a.csv")
        assert [e["pattern"] for e in built_objects(content)] == [
            c.object["pattern"] for c in listed
        ]


class TestReport:
    def test_the_report_lists_the_objects_of_the_event(self) -> None:
        content = event(attribute(), attribute("vulnerability", "CVE-2021-44228", 2))
        (report,) = built_objects(content, "report")
        listed = [c.object["id"] for c in read(content)[:-1]]
        assert (report["id"], report["name"]) == (f"report--{EVENT}", "Invoices")
        assert report["object_refs"] == listed and len(listed) == 2

    def test_links_to_analyses_are_references_unless_they_name_the_sender(self) -> None:
        links = ["https://reports.example/1", "https://blog.acmecorp.example/2"]
        parts = [
            attribute("link", url, n, to_ids=False, category="External analysis")
            for n, url in enumerate(links, 2)
        ]
        (found,) = built_objects(event(attribute(), *parts, Orgc={"name": "ACME Corp"}))
        assert [each["url"] for each in found["external_references"]] == links[:1]

    @pytest.mark.slow
    def test_an_event_with_too_many_objects_has_no_report_but_a_finding(self) -> None:
        many = [attribute("domain", f"a{n}.evil.com", n) for n in range(1001)]
        candidates = read(event(*many))
        assert {each.object["type"] for each in candidates} == {"indicator"}
        assert "no report" in messages(candidates)[0]

    def test_an_event_without_indicators_is_refused_with_the_reason(self) -> None:
        (candidate,) = read(event(attribute("text", "a", to_ids=False)))
        assert candidate.verdict is Verdict.REFUSED
        assert "it has no indicators to share; not shared: 1 text" in messages([candidate])[0]


class TestSightings:
    @staticmethod
    def sighted(*kinds: Any) -> Any:
        return [{"type": k, "date_sighting": str(1771000000 + n)} for n, k in enumerate(kinds)]

    def test_sightings_become_one_with_a_count(self) -> None:
        (found,) = built_objects(event(attribute(Sighting=self.sighted("0", "0"))), "sighting")
        assert (found["count"], found["sighting_of_ref"]) == (2, f"indicator--{uuid(1)}")
        assert found["first_seen"] < found["last_seen"]

    def test_a_false_alarm_is_a_sighting_with_count_zero(self) -> None:
        (found,) = built_objects(event(attribute(Sighting=self.sighted("1"))), "sighting")
        assert found["count"] == 0

    def test_an_expiration_ends_an_indicator_that_was_not_seen_since(self) -> None:
        (over,) = built_objects(event(attribute(Sighting=self.sighted("0", "2"))))
        (alive,) = built_objects(event(attribute(Sighting=self.sighted("2", "0"))))
        assert over["valid_until"] == "2026-02-13T16:26:41.000Z" and "valid_until" not in alive

    def test_sightings_do_not_name_organisations(self) -> None:
        who = {"source": "sensor-7", "Organisation": {"name": "Blue Team"}}
        candidates = read(event(attribute(Sighting=[self.sighted("0")[0] | who])))
        assert "sensor-7" not in json.dumps([c.object for c in candidates])
        assert "Blue" not in json.dumps([c.object for c in candidates])

    def test_sightings_without_a_date_are_counted(self) -> None:
        candidates = read(event(attribute(Sighting=[{"type": "0"}, None])))
        assert "2 sightings without a date" in messages(candidates)[0]


EXAMPLE = ROOT / "docs" / "examples" / "harbour-isac.misp.json"


def test_the_documented_example_gets_the_documented_verdicts() -> None:
    candidates = examine_event(json.loads(EXAMPLE.read_text("utf-8")))
    assert [(each.object["type"], each.verdict.value) for each in candidates] == [
        ("indicator", "open"),
        ("sighting", "open"),
        ("indicator", "open"),
        ("indicator", "held"),
        ("indicator", "open"),
        ("report", "open"),
    ]
    text = json.dumps([each.object for each in candidates if each.is_open])
    assert "Northmole" not in text and "Harbour" not in text and "ines" not in text


REAL = Path(os.environ.get("TOCSIN_REAL", "none")) / "misp"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data ($TOCSIN_REAL)")
def test_every_real_event_is_read_without_an_error() -> None:
    for path in sorted(REAL.rglob("*.json")):
        content = path.read_bytes()
        if formats.detect_format(path.name, content) is not None:
            assert list(formats.read(path.name, content, formats.ReadOptions(now=NOW)))
