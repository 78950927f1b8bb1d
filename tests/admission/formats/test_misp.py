"""Events of MISP: which attributes are shared, and as what."""

import json
import os
from pathlib import Path

import pytest
from support.misp_events import (
    EVENT,
    MD5,
    NOW,
    SHA1,
    SHA256,
    attribute,
    event,
    made,
    object_,
    patterns,
    read,
    said,
    shared,
    uuid,
)
from support.paths import ROOT

from tocsin.admission import formats
from tocsin.admission.errors import Malformed
from tocsin.admission.model import Verdict


class TestShapes:
    BARE = event(attribute())["Event"]

    @pytest.mark.parametrize(
        "told",
        [
            {"Event": BARE},
            [{"Event": BARE}],
            {"response": [{"Event": BARE}]},
            {"response": {"Event": BARE}},
            BARE,
            [BARE],
        ],
    )
    def test_an_event_is_read_however_it_is_wrapped(self, told):
        assert [each["pattern"] for each in made(told)] == ["[domain-name:value = 'evil.com']"]

    def test_stix_is_left_to_stix(self):
        bundle = {"type": "bundle", "id": f"bundle--{EVENT}", "objects": []}
        assert formats.detect_format("a.json", json.dumps(bundle).encode()).name == "stix"

    def test_a_search_of_attributes_is_refused_since_it_lacks_the_tags_of_events(self):
        with pytest.raises(Malformed, match="search for events"):
            read({"response": {"Attribute": [attribute()]}})

    def test_one_event_that_is_none_costs_no_other(self):
        told = read([{"Event": "gone"}, event(attribute())])
        assert [each.verdict for each in told] == [Verdict.REFUSED, Verdict.OPEN, Verdict.OPEN]
        assert "event 1" in said(told)[0]


class TestWhatBecomesOfAnAttribute:
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
    def test_it_becomes_an_indicator_on_its_value(self, kind, value, pattern):
        assert patterns(attribute(kind, value)) == [pattern]

    @pytest.mark.parametrize("kind", ["sha224", "tlsh", "vhash", "jarm-fingerprint", "mutex"])
    def test_its_pattern_is_in_the_one_spelling_already(self, kind):
        (indicator, _) = shared(event(attribute(kind, "d" * 56)))
        assert indicator.is_open and indicator.findings == ()

    def test_domain_and_address_are_two_indicators(self):
        assert patterns(attribute("domain|ip", "evil.com|45.12.3.4")) == [
            "[domain-name:value = 'evil.com']",
            "[ipv4-addr:value = '45.12.3.4']",
        ]

    @pytest.mark.parametrize("kind", ["yara", "sigma", "snort", "suricata"])
    def test_a_rule_keeps_its_language(self, kind):
        (rule,) = made(event(attribute(kind, "rule x { condition: true }")))
        assert (rule["pattern_type"], rule["name"]) == (kind, f"{kind} rule")

    @pytest.mark.parametrize("to_ids", [True, False])
    def test_a_vulnerability_is_one_whether_or_not_it_is_to_be_looked_for(self, to_ids):
        told = event(attribute("vulnerability", "cve-2021-44228", to_ids=to_ids))
        (found,) = made(told, "vulnerability")
        assert found["name"] == "CVE-2021-44228"

    def test_a_value_of_another_kind_is_read_as_what_it_is_and_that_is_said(self):
        told = read(event(attribute("md5", SHA256)))
        assert told[0].object["pattern"] == f"[file:hashes.'SHA-256' = '{SHA256}']"
        assert "attribute 1: is a sha256" in said(told)[0]

    def test_without_to_ids_it_is_counted_and_not_shared(self):
        told = read(event(attribute(), attribute("domain", "good.com", 2, to_ids=False)))
        assert [each.object["type"] for each in told] == ["indicator", "report"]
        assert said(told) == ["the event: not shared: 1 domain without to_ids"]

    def test_what_its_words_say_is_kept(self):
        tags = [{"name": n} for n in ("Emotet", "phishing", 'misp-galaxy:threat-actor="Bad Bear"')]
        more = {"comment": "Seen twice", "Tag": tags, "first_seen": "2026-01-01T01:00:00+01:00"}
        (found,) = made(event(attribute(**more)))
        assert found["description"] == "Seen twice"
        assert found["labels"] == ["emotet", "phishing", 'misp-galaxy:threat-actor="bad bear"']
        assert found["indicator_types"] == ["malicious-activity"]
        assert found["valid_from"] == "2026-01-01T00:00:00.000Z"
        assert found["created"] == found["modified"] == "2026-02-02T02:40:00.000Z"

    @pytest.mark.parametrize(("stamp", "day"), [(0, "01"), ("junk", "01"), ("9999999999", "01")])
    def test_a_time_that_cannot_be_is_not_taken(self, stamp, day):
        told = event(attribute(timestamp=stamp), timestamp=stamp)
        assert made(told)[0]["modified"] == f"2026-02-{day}T00:00:00.000Z"


class TestObjects:
    def test_each_hash_of_a_file_is_an_indicator_and_its_name_alone_is_none(self):
        parts = [attribute("filename", "setup.exe", 1), attribute("md5", MD5, 2)]
        told = event(Object=[object_("file", *parts, attribute("sha1", SHA1, 3))])
        assert [each["pattern"] for each in made(told)] == [
            f"[file:hashes.'MD5' = '{MD5}']",
            f"[file:hashes.'SHA-1' = '{SHA1}']",
        ]

    def test_a_registry_key_is_matched_with_what_stands_under_it(self):
        key = attribute("regkey", "HKEY_CURRENT_USER\\Run", 1, object_relation="key")
        data = attribute("text", "x.exe", 2, object_relation="data", to_ids=False)
        assert patterns(Object=[object_("registry-key", key, data)]) == [
            "[windows-registry-key:key = 'HKEY_CURRENT_USER\\\\Run'"
            " AND windows-registry-key:values[*].data = 'x.exe']"
        ]

    def test_the_hash_of_a_certificate_is_none_of_a_file(self):
        part = attribute("sha1", SHA1, object_relation="certificate")
        told = event(Object=[object_("android-app", part)])
        assert made(told)[0]["pattern"] == f"[x509-certificate:hashes.'SHA-1' = '{SHA1}']"

    def test_the_hash_of_a_section_is_not_taken_for_that_of_the_file(self):
        told = read(event(Object=[object_("pe-section", attribute("md5", MD5))]))
        assert "1 md5 of a part of a file" in said(told)[0]


class TestIds:
    def test_an_indicator_has_the_uuid_of_its_attribute_as_in_the_stix_of_misp(self):
        assert made(event(attribute()))[0]["id"] == f"indicator--{uuid(1)}"

    def test_reading_twice_gives_the_same(self):
        told = event(attribute("domain|ip", "evil.com|45.12.3.4"), attribute(uuid="junk"))
        assert [each.object for each in read(told)] == [each.object for each in read(told)]

    def test_the_same_event_twice_is_known_already(self):
        told = read([event(attribute()), event(attribute())])
        verdicts = [each.verdict for each in told]
        assert verdicts == [Verdict.OPEN, Verdict.OPEN, Verdict.DUPLICATE, Verdict.DUPLICATE]

    def test_two_attributes_under_one_uuid_are_told(self):
        told = read(event(attribute(), attribute(value="evil.org")))
        assert told[1].verdict is Verdict.REFUSED and "the same uuid" in said(told)[0]

    def test_one_value_is_one_indicator_whether_in_a_table_or_in_misp(self):
        values = ["evil.com", "45.12.3.4:80", "http://evil.com/a", "Joe@evil.com", SHA256]
        kinds = ["domain", "ip-dst|port", "url", "email-src", "sha256"]
        told = event(
            *(attribute(k, v, n) for n, (k, v) in enumerate(zip(kinds, values, strict=True)))
        )
        table = "\n".join(["value", *values])
        listed = read(table.encode(), name="a.csv")
        assert [e["pattern"] for e in made(told)] == [c.object["pattern"] for c in listed]


class TestReport:
    def test_it_lists_what_the_event_tells_under_its_words(self):
        told = event(attribute(), attribute("vulnerability", "CVE-2021-44228", 2))
        (report,) = made(told, "report")
        listed = [c.object["id"] for c in read(told)[:-1]]
        assert (report["id"], report["name"]) == (f"report--{EVENT}", "Invoices")
        assert report["object_refs"] == listed and len(listed) == 2

    def test_links_to_analyses_are_references_unless_they_tell_who_sent_them(self):
        links = ["https://reports.example/1", "https://blog.acmecorp.example/2"]
        parts = [
            attribute("link", url, n, to_ids=False, category="External analysis")
            for n, url in enumerate(links, 2)
        ]
        (found,) = made(event(attribute(), *parts, Orgc={"name": "ACME Corp"}))
        assert [each["url"] for each in found["external_references"]] == links[:1]

    def test_there_is_none_of_an_event_with_very_many_indicators_and_that_is_said(self):
        many = [attribute("domain", f"a{n}.evil.com", n) for n in range(1001)]
        told = read(event(*many))
        assert {each.object["type"] for each in told} == {"indicator"}
        assert "no report" in said(told)[0]

    def test_an_event_without_indicators_says_so(self):
        (candidate,) = read(event(attribute("text", "a", to_ids=False)))
        assert candidate.verdict is Verdict.REFUSED
        assert "nothing in it is shared as an indicator; not shared: 1 text" in said([candidate])[0]


class TestSightings:
    @staticmethod
    def sighted(*kinds):
        return [{"type": k, "date_sighting": str(1771000000 + n)} for n, k in enumerate(kinds)]

    def test_they_become_one_that_counts(self):
        (found,) = made(event(attribute(Sighting=self.sighted("0", "0"))), "sighting")
        assert (found["count"], found["sighting_of_ref"]) == (2, f"indicator--{uuid(1)}")
        assert found["first_seen"] < found["last_seen"]

    def test_a_false_alarm_is_a_sighting_of_none(self):
        (found,) = made(event(attribute(Sighting=self.sighted("1"))), "sighting")
        assert found["count"] == 0

    def test_an_expiration_ends_the_indicator_unless_it_was_seen_since(self):
        (over,) = made(event(attribute(Sighting=self.sighted("0", "2"))))
        (alive,) = made(event(attribute(Sighting=self.sighted("2", "0"))))
        assert over["valid_until"] == "2026-02-13T16:26:41.000Z" and "valid_until" not in alive

    def test_nobody_who_saw_it_is_named(self):
        who = {"source": "sensor-7", "Organisation": {"name": "Blue Team"}}
        told = read(event(attribute(Sighting=[self.sighted("0")[0] | who])))
        assert "sensor-7" not in json.dumps([c.object for c in told])
        assert "Blue" not in json.dumps([c.object for c in told])

    def test_those_without_a_date_are_counted(self):
        told = read(event(attribute(Sighting=[{"type": "0"}, None])))
        assert "2 sightings without a date" in said(told)[0]


EXAMPLE = ROOT / "docs" / "examples" / "harbour-isac.misp.json"


def test_the_example_of_the_documents_is_judged_as_they_say():
    told = shared(json.loads(EXAMPLE.read_text("utf-8")))
    assert [(each.object["type"], each.verdict.value) for each in told] == [
        ("indicator", "open"),
        ("sighting", "open"),
        ("indicator", "open"),
        ("indicator", "held"),
        ("indicator", "open"),
        ("report", "open"),
    ]
    text = json.dumps([each.object for each in told if each.is_open])
    assert "Northmole" not in text and "Harbour" not in text and "ines" not in text


REAL = Path(os.environ.get("TOCSIN_REAL", "none")) / "misp"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data ($TOCSIN_REAL)")
def test_no_real_event_is_lost_or_raises():
    for path in sorted(REAL.rglob("*.json")):
        content = path.read_bytes()
        if formats.detect_format(path.name, content) is not None:
            assert list(formats.read(path.name, content, formats.ReadOptions(now=NOW)))
