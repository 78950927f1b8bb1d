"""Validation of STIX 2.1 objects (tocsin.admission.stix.validate)."""

from typing import Any

import pytest
from support.stix_objects import (
    DOMAIN_OBJECTS,
    LATER,
    OBSERVABLES,
    OTHER,
    SHA256,
    TIME,
    make_object,
    ref,
)

from tocsin.admission.model import Candidate, Verdict
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
MARKING = ref("marking-definition")
UNUSABLE_URLS = (
    *(
        "http://a@bad@evil-shop.ru/",
        "http:///a",
        "http://@/a",
        "http://:80/",
        "http://evil shop.ru/",
    ),
    *("http://evil-shop.ru:65536/", "http://evil-shop.ru:8a/", "http://evil-shop[.]ru/"),
    *("hxxp://evil-shop.ru/", "http://[evil-shop.ru]/", "wss://evil<shop.ru"),
)
"""URLs that no client opens as they are written."""
ALL_TYPES = sorted({**DOMAIN_OBJECTS, **OBSERVABLES})


def policy_for_custom_properties(mode: Any) -> Any:
    shipped = policy_text(None)
    return parse_policy(
        shipped.replace('custom_properties = "strip"', f'custom_properties = "{mode}"')
    )


def validate_object(subject: Any, policy: Any = POLICY) -> Any:
    return validate(Candidate(index=0, object=subject), policy, NOW)


def refusals(subject: Any, policy: Any = POLICY) -> Any:
    return {
        (f.rule, f.path) for f in validate_object(subject, policy).findings if f.action == "refused"
    }


def accepted_object(subject: Any) -> Any:
    candidate = validate_object(subject)
    assert candidate.is_open, candidate.findings
    return candidate.object


def repairs(subject: Any) -> Any:
    return {(f.rule, f.path) for f in validate_object(subject).findings if f.action != "refused"}


class TestEveryType:
    @pytest.mark.parametrize("kind", ALL_TYPES)
    def test_a_valid_object_is_accepted_unchanged(self, kind: Any) -> None:
        assert accepted_object(make_object(kind)) == make_object(kind)
        assert validate_object(make_object(kind)).findings == ()

    @pytest.mark.parametrize("kind", ALL_TYPES)
    def test_an_id_with_another_type_is_refused(self, kind: Any) -> None:
        assert refusals(make_object(kind, id=ref("zebra"))) == {("shape", "id")}

    @pytest.mark.parametrize("kind", ALL_TYPES)
    def test_a_custom_property_is_stripped_kept_or_refused_by_the_policy(self, kind: Any) -> None:
        subject = make_object(kind, x_own="1")
        assert accepted_object(subject) == make_object(kind)
        assert validate_object(subject, policy_for_custom_properties("keep")).object == subject
        refused = validate_object(subject, policy_for_custom_properties("refuse"))
        assert refused.verdict == "refused"
        assert refusals(subject, policy_for_custom_properties("refuse")) == {
            ("custom_properties", "x_own")
        }


class TestTimes:
    @pytest.mark.parametrize(
        ("kind", "end"),
        [
            ("indicator", "valid_until"),
            ("campaign", "last_seen"),
            ("malware-analysis", "analysis_ended"),
            ("observed-data", "last_observed"),
            ("relationship", "stop_time"),
            ("sighting", "last_seen"),
            ("network-traffic", "end"),
            ("user-account", "account_last_login"),
            ("x509-certificate", "validity_not_after"),
        ],
    )
    def test_an_end_before_its_beginning_is_refused(self, kind: str, end: str) -> None:
        assert refusals(make_object(kind, **{end: "2025-12-31T00:00:00Z"})) == {("times", end)}

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("email-message", "date"), ("process", "created_time"), ("report", "published")],
    )
    def test_a_date_that_does_not_exist_is_refused(self, kind: str, name: str) -> None:
        assert refusals(make_object(kind, **{name: "2026-02-30T00:00:00Z"})) == {("times", name)}

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("modified", "bogus", "not a timestamp: write it as 2026-01-31T23:59:59.000Z"),
            ("created_by_ref", "me", "does not have the form that STIX requires"),
        ],
    )
    def test_a_message_about_a_wrong_form_shows_no_regular_expression(
        self, name: str, value: str, message: str
    ) -> None:
        messages = [
            each.message for each in validate_object(make_object("tool", **{name: value})).findings
        ]
        assert message in messages and not any("$" in each for each in messages)

    def test_dates_inside_extensions_are_validated(self) -> None:
        dates = {
            "x509_v3_extensions": {"private_key_usage_period_not_before": "2026-02-30T00:00:00Z"}
        }
        found = refusals(make_object("x509-certificate", **dates))
        assert found == {("times", "private_key_usage_period_not_before")}

    def test_modified_is_reduced_to_three_decimals(self) -> None:
        subject = make_object("tool", modified="2026-01-01T00:00:00.123456Z")
        assert accepted_object(subject)["modified"] == "2026-01-01T00:00:00.123Z"

    def test_a_timestamp_with_an_offset_is_converted_to_utc_with_a_finding(self) -> None:
        subject = make_object("process", created_time="2026-01-01T01:00:00+01:00")
        assert accepted_object(subject)["created_time"] == "2026-01-01T00:00:00.000000Z"
        assert repairs(subject) == {("timestamps", "created_time")}


class TestReferences:
    @pytest.mark.parametrize(
        ("kind", "name", "target_type"),
        [
            ("domain-name", "resolves_to_refs", "file"),
            ("email-addr", "belongs_to_ref", "identity"),
            ("email-message", "from_ref", "identity"),
            ("email-message", "raw_email_ref", "file"),
            ("file", "parent_directory_ref", "file"),
            ("file", "contains_refs", "malware"),
            ("file", "content_ref", "file"),
            ("directory", "contains_refs", "url"),
            ("ipv4-addr", "resolves_to_refs", "domain-name"),
            ("ipv6-addr", "belongs_to_refs", "identity"),
            ("network-traffic", "src_ref", "url"),
            ("network-traffic", "encapsulated_by_ref", "process"),
            ("process", "opened_connection_refs", "ipv4-addr"),
            ("process", "image_ref", "artifact"),
            ("process", "parent_ref", "file"),
            ("windows-registry-key", "creator_user_ref", "identity"),
            ("malware", "sample_refs", "url"),
            ("malware-analysis", "analysis_sco_refs", "malware"),
            ("sighting", "sighting_of_ref", "url"),
            ("report", "object_refs", "bundle"),
        ],
    )
    def test_a_reference_to_a_type_that_is_not_allowed_is_refused(
        self, kind: str, name: str, target_type: str
    ) -> None:
        many = name.endswith("s")
        target = [ref(target_type)] if many else ref(target_type)
        place = f"{name}[0]" if many else name
        assert refusals(make_object(kind, **{name: target})) == {("references", place)}

    def test_references_inside_extensions_are_validated(self) -> None:
        archive = {"archive-ext": {"contains_refs": [ref("url")]}}
        place = "extensions.archive-ext.contains_refs[0]"
        assert refusals(make_object("file", extensions=archive)) == {("references", place)}

    def test_a_reference_that_is_not_an_id_is_refused(self) -> None:
        assert refusals(make_object("file", parent_directory_ref="0")) == {
            ("references", "parent_directory_ref")
        }

    def test_a_reference_to_a_custom_type_is_accepted(self) -> None:
        assert accepted_object(make_object("file", contains_refs=[ref("x-thing")]))
        assert accepted_object(make_object("sighting", sighting_of_ref=ref("x-thing")))

    def test_a_created_by_ref_that_is_not_an_identity_is_removed(self) -> None:
        subject = make_object("tool", created_by_ref=ref("source"))
        assert "created_by_ref" not in accepted_object(subject)
        assert repairs(subject) == {("references", "created_by_ref")}


class TestSelectors:
    def tool_with_marking(self, selector: Any, **more: Any) -> Any:
        marking = {"marking_ref": MARKING, "selectors": [selector]}
        return make_object("tool", labels=["a"], granular_markings=[marking], **more)

    @pytest.mark.parametrize("selector", ["id", "labels", "labels.[0]", "granular_markings.[0]"])
    def test_a_selector_of_an_existing_property_is_accepted(self, selector: str) -> None:
        assert accepted_object(self.tool_with_marking(selector))

    @pytest.mark.parametrize("selector", ["description", "labels.[1]", "labels.a", "name.[0]"])
    def test_a_selector_of_a_missing_property_is_refused(self, selector: str) -> None:
        found = refusals(self.tool_with_marking(selector))
        assert found == {("selectors", "granular_markings[0].selectors[0]")}

    def test_the_marking_of_a_stripped_property_is_removed(self) -> None:
        assert "granular_markings" not in accepted_object(
            self.tool_with_marking("x_own", x_own="a")
        )

    def test_a_list_with_a_marked_item_keeps_its_duplicates_and_order(self) -> None:
        marking = {"marking_ref": MARKING, "selectors": ["labels.[2]"]}
        subject = make_object("tool", labels=["a", "a", "b"], granular_markings=[marking])
        assert accepted_object(subject)["labels"] == ["a", "a", "b"]

    @pytest.mark.parametrize("contents", [{"klingonlanguage": {"name": "a"}}, {"de": {}}])
    def test_a_translation_without_valid_language_or_properties_is_refused(
        self, contents: Any
    ) -> None:
        (found,) = refusals(make_object("language-content", contents=contents))
        assert found[0] == "lang"


class TestHashes:
    LONG = "0" * 64

    def test_a_url_with_a_placeholder_is_refused_unless_the_pattern_has_other_values(self) -> None:
        alone = "[url:value = 'http://evil.com/<id>']"
        beside = "[url:value = 'http://evil.com/<id>' OR domain-name:value = 'evil.com']"
        like = "[url:value LIKE 'http://evil.com/[id]/%']"
        assert refusals(make_object("indicator", pattern=alone)) == {("pattern", "pattern")}
        for pattern in (beside, like):
            assert refusals(make_object("indicator", pattern=pattern)) == set()

    def test_a_hash_of_the_wrong_length_in_a_pattern_is_refused(self) -> None:
        header = "extensions.'windows-pebinary-ext'.file_header_hashes"
        for path in (
            "hashes.MD5",
            "hashes.'SHA-1'",
            "hashes.sha1",
            "'hashes'.md5",
            f"{header}.md5",
        ):
            pattern = f"[file:{path} = '{self.LONG}']"
            assert refusals(make_object("indicator", pattern=pattern)) == {("hashes", "pattern")}

    def test_a_hash_of_the_wrong_length_in_an_observable_is_refused_under_any_spelling(
        self,
    ) -> None:
        assert refusals(make_object("file", hashes={"md5": self.LONG})) == {
            ("hashes", "hashes.md5")
        }

    def test_a_hash_of_the_wrong_length_in_an_external_reference_is_refused(self) -> None:
        reference = {"source_name": "a", "url": "https://a.example/", "hashes": {"md5": self.LONG}}
        (found,) = refusals(make_object("tool", external_references=[reference]))
        assert found[1].startswith("external_references[0]")

    def test_a_hash_of_the_wrong_length_in_a_pe_section_is_refused(self) -> None:
        section = {"name": "a", "hashes": {"sha1": self.LONG}}
        program = {"windows-pebinary-ext": {"pe_type": "exe", "sections": [section]}}
        (found,) = refusals(make_object("file", extensions=program))
        assert found[1].startswith("extensions.windows-pebinary-ext.sections[0].hashes")

    @pytest.mark.parametrize("place", ["hashes", "external_references[0].hashes"])
    def test_two_values_for_one_algorithm_are_refused(self, place: str) -> None:
        hashes = {"sha256": SHA256, "SHA-256": "0" * 64}
        reference = {"source_name": "a", "url": "https://a.example/", "hashes": hashes}
        subject = (
            make_object("file", hashes=hashes)
            if place == "hashes"
            else make_object("tool", external_references=[reference])
        )
        message = "SHA-256 is given twice with different values: keep one"
        findings = validate_object(subject).findings
        assert (place, message) in {(f.path, f.message) for f in findings}

    def test_one_value_under_two_spellings_of_an_algorithm_is_kept_once(self) -> None:
        hashes = {"sha256": SHA256.upper(), "SHA-256": SHA256}
        reference = {"source_name": "a", "url": "https://a.example/", "hashes": hashes}
        subject = accepted_object(make_object("tool", external_references=[reference]))
        assert list(subject["external_references"][0]["hashes"]) == ["SHA-256"]

    @pytest.mark.parametrize("name", ["TLSH", "tlsh"])
    def test_a_tlsh_loses_the_version_that_the_schema_does_not_allow(self, name: str) -> None:
        hashes = {name: "t1" + "0A" * 35, "MD5": "a" * 32}
        section = {"name": "a", "hashes": {name: "T1" + "0A" * 35}}
        executable = {"pe_type": "exe", "sections": [section]}
        extensions = {"windows-pebinary-ext": executable}
        subject = accepted_object(make_object("file", hashes=hashes, extensions=extensions))
        [found] = subject["extensions"]["windows-pebinary-ext"]["sections"]
        assert subject["hashes"]["TLSH"] == found["hashes"]["TLSH"] == "0A" * 35

    def test_hash_names_are_repaired_to_the_spelling_of_the_standard(self) -> None:
        hashes = {"sha256": SHA256}
        reference = {"source_name": "a", "url": "https://a.example/", "hashes": hashes}
        subject = accepted_object(make_object("tool", external_references=[reference]))
        assert subject["external_references"][0]["hashes"] == {"SHA-256": SHA256}


class TestValues:
    @pytest.mark.parametrize(
        ("kind", "name", "value"),
        [
            ("domain-name", "value", "not a name"),
            ("domain-name", "value", "a" * 64 + ".ru"),
            ("url", "value", "evil-shop.ru/a"),
            ("url", "value", "https:///a"),
            ("url", "value", "https://evil\n.ru"),
            *(("url", "value", url) for url in UNUSABLE_URLS),
            ("email-addr", "value", "evil-shop.ru"),
            ("email-addr", "value", "Evil <a@evil-shop.ru>"),
            ("email-addr", "value", "a@b@evil-shop.ru"),
            ("windows-registry-key", "key", "Software\\a"),
            ("autonomous-system", "number", 2**32),
            ("autonomous-system", "number", -1),
            ("file", "name_enc", "bla.bla.bla"),
            ("directory", "path_enc", "zlib"),
        ],
    )
    def test_a_value_that_is_invalid_for_its_type_is_refused(
        self, kind: str, name: str, value: int | str
    ) -> None:
        assert refusals(make_object(kind, **{name: value})) == {("value", name)}

    @pytest.mark.parametrize(
        ("kind", "name", "value"),
        [
            ("ipv4-addr", "value", "45.12.0.0/16"),
            ("domain-name", "value", "bücher.de"),
            ("domain-name", "value", "_dmarc.evil-shop.ru"),
            ("url", "value", "mailto:a@evil-shop.ru"),
            ("url", "value", "http://[2a00:1::1]:8080/a b"),
            ("email-addr", "value", '"a b"@evil-shop.ru'),
            ("windows-registry-key", "key", "HKEY_USERS\\S-1-5\\HKUST"),
            ("file", "name_enc", "ISO-8859-1"),
            ("directory", "path_enc", "EBCDIC-US"),
        ],
    )
    def test_an_unusual_valid_value_is_accepted_unchanged(
        self, kind: str, name: str, value: str
    ) -> None:
        assert accepted_object(make_object(kind, **{name: value}))[name] == value

    @pytest.mark.parametrize(
        "comparison",
        [
            "domain-name:value = 'evil[.]top'",
            "domain-name:value = '*.evil-shop.ru'",
            "domain-name:value = 'evil-shop.ru;x'",
            "domain-name:value = 'evil\nshop.ru'",
            "ipv4-addr:value = '45[.]12.0.1'",
            "ipv6-addr:value = '45.12.0.1'",
            "email-addr:value = 'Evil <a@evil-shop.ru>'",
            *(f"url:value = '{url}'" for url in UNUSABLE_URLS),
        ],
    )
    def test_a_pattern_that_compares_with_an_impossible_value_is_refused(
        self, comparison: str
    ) -> None:
        for pattern in (f"[{comparison}]", f"[file:name = 'a'] AND [{comparison}]"):
            assert refusals(make_object("indicator", pattern=pattern)) == {("pattern", "pattern")}

    @pytest.mark.parametrize(
        "comparison",
        [
            "domain-name:value LIKE '%.evil-shop.ru'",
            "domain-name:value = 'EVIL-shop.ru.'",
            "domain-name:value = 'bücher.de'",
            "domain-name:value MATCHES '^evil[0-9]+'",
            "ipv4-addr:value ISSUBSET '45.12.0.0/16'",
            "ipv4-addr:value = '45.12.0.0/16'",
            "email-addr:value = '\"a b\"@evil-shop.ru'",
            "url:value = 'evil-shop.ru/a'",
            "url:value = 'http://bank.com%40x@evil-shop.ru:8080/a b@c'",
            "url:value = 'http://[2a00:1::1]:8080/'",
            "url:value LIKE 'http://%@evil-shop.ru@%'",
        ],
    )
    def test_a_pattern_that_compares_with_an_unusual_value_is_accepted(
        self, comparison: str
    ) -> None:
        assert accepted_object(make_object("indicator", pattern=f"[{comparison}]"))

    def test_mac_addresses_and_registry_keys_are_repaired_to_their_canonical_form(self) -> None:
        assert (
            accepted_object(make_object("mac-addr", value="D2-FB-49-24-37-18"))["value"]
            == "d2:fb:49:24:37:18"
        )
        assert (
            accepted_object(make_object("windows-registry-key", key="hklm\\a"))["key"]
            == "HKEY_LOCAL_MACHINE\\a"
        )

    def test_duplicate_items_of_a_list_are_removed(self) -> None:
        subject = make_object("report", object_refs=[ref("malware")] * 2, labels=["a", "a"])
        assert accepted_object(subject)["object_refs"] == [ref("malware")]
        assert repairs(subject) == {("duplicates", "object_refs"), ("duplicates", "labels")}


class TestExtensionDefinitions:
    def definition(self, **more: Any) -> Any:
        known = {
            "type": "extension-definition",
            "spec_version": "2.1",
            "id": ref("extension-definition"),
            "created_by_ref": ref("identity"),
            "created": TIME,
            "modified": LATER,
            "name": "a",
            "schema": "https://a.example/schema.json",
            "version": "1.0.0",
            "extension_types": ["property-extension"],
        }
        return known | more

    def test_a_valid_extension_definition_is_accepted(self) -> None:
        assert accepted_object(self.definition())

    @pytest.mark.parametrize(
        "fault",
        [
            {"extension_types": ["new-planet"]},
            {"extension_types": []},
            {"version": "one"},
            {"extension_properties": ["x_own"]},
        ],
    )
    def test_an_invalid_extension_definition_is_refused(self, fault: Any) -> None:
        assert refusals(self.definition(**fault))

    @pytest.mark.parametrize("author", [{}, {"created_by_ref": ref("source", OTHER)}])
    def test_an_extension_definition_without_a_valid_author_gets_the_hub_as_author(
        self, author: Any
    ) -> None:
        definition = self.definition()
        del definition["created_by_ref"]
        assert ("extension", "created_by_ref") in repairs(definition | author)


@pytest.mark.parametrize(
    "subject",
    [
        make_object("mutex", name="a\x00b"),
        make_object("file", name="a\x1b[31m.exe"),
        make_object("user-account", account_login="j\x9broe"),
        make_object("indicator", pattern="[mutex:name = 'a\x07b']", pattern_type="stix"),
    ],
)
def test_a_value_with_control_characters_is_refused(subject: Any) -> None:
    judged = validate(Candidate.from_object(0, subject), POLICY, NOW)
    assert judged.verdict is Verdict.REFUSED
    assert "control characters" in judged.findings[-1].message


class TestOpenCti:
    OWN = "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba"

    @pytest.mark.parametrize(
        "more",
        [
            {"x_opencti_score": 80},
            {"x_opencti_score": 80, "confidence": 100},
            {"extensions": {OWN: {"extension_type": "property-extension", "score": 80}}},
        ],
    )
    def test_the_score_of_an_indicator_becomes_its_confidence(self, more: Any) -> None:
        checked = validate_object(make_object("indicator", **more))
        assert checked.is_open
        assert checked.object["confidence"] == 80
        assert "x_opencti_score" not in checked.object
        assert "OpenCTI's score is read as the confidence" in [f.message for f in checked.findings]

    @pytest.mark.parametrize("score", [101, -1, "80", True, 80.5, None])
    def test_a_score_that_is_none_changes_nothing(self, score: Any) -> None:
        subject = make_object("indicator", x_opencti_score=score, confidence=30)
        assert accepted_object(subject)["confidence"] == 30
