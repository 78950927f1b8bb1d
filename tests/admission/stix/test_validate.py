"""Is it a STIX 2.1 object that we take (tocsin.admission.stix.validate)?"""

from typing import Any

import pytest
from support.stix_objects import (
    DOMAIN_OBJECTS,
    LATER,
    OBSERVABLES,
    OTHER,
    SHA256,
    TIME,
    made,
    ref,
)

from tocsin.admission.model import Candidate
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
MARKING = ref("marking-definition")
EVERY = sorted({**DOMAIN_OBJECTS, **OBSERVABLES})


def custom(mode: Any) -> Any:
    shipped = policy_text(None)
    return parse_policy(
        shipped.replace('custom_properties = "strip"', f'custom_properties = "{mode}"')
    )


def validated(subject: Any, policy: Any = POLICY) -> Any:
    return validate(Candidate(index=0, object=subject), policy, NOW)


def refusals(subject: Any, policy: Any = POLICY) -> Any:
    return {(f.rule, f.path) for f in validated(subject, policy).findings if f.action == "refused"}


def kept(subject: Any) -> Any:
    told = validated(subject)
    assert told.is_open, told.findings
    return told.object


def repairs(subject: Any) -> Any:
    return {(f.rule, f.path) for f in validated(subject).findings if f.action != "refused"}


class TestEveryType:
    @pytest.mark.parametrize("kind", EVERY)
    def test_a_good_object_is_taken_as_it_is(self, kind: Any) -> None:
        assert kept(made(kind)) == made(kind)
        assert validated(made(kind)).findings == ()

    @pytest.mark.parametrize("kind", EVERY)
    def test_an_id_of_another_type_is_refused(self, kind: Any) -> None:
        assert refusals(made(kind, id=ref("zebra"))) == {("shape", "id")}

    @pytest.mark.parametrize("kind", EVERY)
    def test_a_property_of_somebody_s_own_goes_stays_or_is_refused_by_the_policy(
        self, kind: Any
    ) -> None:
        subject = made(kind, x_own="1")
        assert kept(subject) == made(kind)
        assert validated(subject, custom("keep")).object == subject
        refused = validated(subject, custom("refuse"))
        assert refused.verdict == "refused"
        assert refusals(subject, custom("refuse")) == {("custom_properties", "x_own")}


class TestTimes:
    @pytest.mark.parametrize(
        ("kind", "late"),
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
    def test_the_end_is_not_before_the_beginning(self, kind: str, late: str) -> None:
        assert refusals(made(kind, **{late: "2025-12-31T00:00:00Z"})) == {("times", late)}

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("email-message", "date"), ("process", "created_time"), ("report", "published")],
    )
    def test_a_date_must_be_in_the_calendar(self, kind: str, name: str) -> None:
        assert refusals(made(kind, **{name: "2026-02-30T00:00:00Z"})) == {("times", name)}

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("modified", "bogus", "not a timestamp: write it as 2026-01-31T23:59:59.000Z"),
            ("created_by_ref", "me", '"me" does not have the form that STIX requires'),
        ],
    )
    def test_nobody_is_shown_a_regular_expression(self, name: str, value: str, said: str) -> None:
        told = [each.message for each in validated(made("tool", **{name: value})).findings]
        assert said in told and not any("$" in each for each in told)

    def test_dates_inside_extensions_are_looked_at_too(self) -> None:
        dates = {
            "x509_v3_extensions": {"private_key_usage_period_not_before": "2026-02-30T00:00:00Z"}
        }
        found = refusals(made("x509-certificate", **dates))
        assert found == {("times", "private_key_usage_period_not_before")}

    def test_a_version_has_three_decimals(self) -> None:
        finer = made("tool", modified="2026-01-01T00:00:00.123456Z")
        assert kept(finer)["modified"] == "2026-01-01T00:00:00.123Z"

    def test_another_offset_is_written_in_utc_and_told(self) -> None:
        local = made("process", created_time="2026-01-01T01:00:00+01:00")
        assert kept(local)["created_time"] == "2026-01-01T00:00:00.000000Z"
        assert repairs(local) == {("timestamps", "created_time")}


class TestReferences:
    @pytest.mark.parametrize(
        ("kind", "name", "wrong"),
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
    def test_a_target_of_another_type_is_refused(self, kind: str, name: str, wrong: str) -> None:
        many = name.endswith("s")
        target = [ref(wrong)] if many else ref(wrong)
        place = f"{name}[0]" if many else name
        assert refusals(made(kind, **{name: target})) == {("references", place)}

    def test_references_inside_extensions_are_looked_at_too(self) -> None:
        archive = {"archive-ext": {"contains_refs": [ref("url")]}}
        place = "extensions.archive-ext.contains_refs[0]"
        assert refusals(made("file", extensions=archive)) == {("references", place)}

    def test_what_is_no_id_is_refused(self) -> None:
        assert refusals(made("file", parent_directory_ref="0")) == {
            ("references", "parent_directory_ref")
        }

    def test_a_type_of_somebodys_own_may_be_any_kind_of_object(self) -> None:
        assert kept(made("file", contains_refs=[ref("x-thing")]))
        assert kept(made("sighting", sighting_of_ref=ref("x-thing")))

    def test_an_author_that_is_no_identity_is_left_out(self) -> None:
        strange = made("tool", created_by_ref=ref("source"))
        assert "created_by_ref" not in kept(strange)
        assert repairs(strange) == {("references", "created_by_ref")}


class TestSelectors:
    def marked(self, selector: Any, **more: Any) -> Any:
        marking = {"marking_ref": MARKING, "selectors": [selector]}
        return made("tool", labels=["a"], granular_markings=[marking], **more)

    @pytest.mark.parametrize("selector", ["id", "labels", "labels.[0]", "granular_markings.[0]"])
    def test_what_is_there_may_be_marked(self, selector: str) -> None:
        assert kept(self.marked(selector))

    @pytest.mark.parametrize("selector", ["description", "labels.[1]", "labels.a", "name.[0]"])
    def test_what_is_not_there_may_not(self, selector: str) -> None:
        found = refusals(self.marked(selector))
        assert found == {("selectors", "granular_markings[0].selectors[0]")}

    def test_the_marking_of_what_was_taken_out_goes_with_it(self) -> None:
        assert "granular_markings" not in kept(self.marked("x_own", x_own="a"))

    def test_a_list_of_which_one_item_is_marked_keeps_its_order(self) -> None:
        marking = {"marking_ref": MARKING, "selectors": ["labels.[2]"]}
        subject = made("tool", labels=["a", "a", "b"], granular_markings=[marking])
        assert kept(subject)["labels"] == ["a", "a", "b"]

    @pytest.mark.parametrize("contents", [{"klingonlanguage": {"name": "a"}}, {"de": {}}])
    def test_translations_have_a_language_and_properties(self, contents: Any) -> None:
        (found,) = refusals(made("language-content", contents=contents))
        assert found[0] == "lang"


class TestHashes:
    LONG = "0" * 64

    def test_in_a_pattern(self) -> None:
        for name in ("MD5", "'SHA-1'", "sha1"):
            pattern = f"[file:hashes.{name} = '{self.LONG}']"
            assert refusals(made("indicator", pattern=pattern)) == {("hashes", "pattern")}

    def test_in_an_observable_under_any_spelling_of_the_name(self) -> None:
        assert refusals(made("file", hashes={"md5": self.LONG})) == {("hashes", "hashes.md5")}

    def test_in_an_external_reference_under_any_spelling_of_the_name(self) -> None:
        reference = {"source_name": "a", "url": "https://a.example/", "hashes": {"md5": self.LONG}}
        (found,) = refusals(made("tool", external_references=[reference]))
        assert found[1].startswith("external_references[0]")

    def test_in_the_sections_of_a_program(self) -> None:
        section = {"name": "a", "hashes": {"sha1": self.LONG}}
        program = {"windows-pebinary-ext": {"pe_type": "exe", "sections": [section]}}
        (found,) = refusals(made("file", extensions=program))
        assert found[1].startswith("extensions.windows-pebinary-ext.sections[0].hashes")

    def test_names_take_the_spelling_of_the_standard(self) -> None:
        hashes = {"sha256": SHA256}
        reference = {"source_name": "a", "url": "https://a.example/", "hashes": hashes}
        subject = kept(made("tool", external_references=[reference]))
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
    def test_what_is_no_value_of_its_type_is_refused(
        self, kind: str, name: str, value: int | str
    ) -> None:
        assert refusals(made(kind, **{name: value})) == {("value", name)}

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
    def test_what_is_one_is_taken(self, kind: str, name: str, value: str) -> None:
        assert kept(made(kind, **{name: value}))[name] == value

    def test_spellings_of_one_value_are_put_right(self) -> None:
        assert kept(made("mac-addr", value="D2-FB-49-24-37-18"))["value"] == "d2:fb:49:24:37:18"
        assert kept(made("windows-registry-key", key="hklm\\a"))["key"] == "HKEY_LOCAL_MACHINE\\a"

    def test_a_word_said_twice_is_said_once(self) -> None:
        subject = made("report", object_refs=[ref("malware")] * 2, labels=["a", "a"])
        assert kept(subject)["object_refs"] == [ref("malware")]
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

    def test_a_good_one_is_taken(self) -> None:
        assert kept(self.definition())

    @pytest.mark.parametrize(
        "fault",
        [
            {"extension_types": ["new-planet"]},
            {"extension_types": []},
            {"version": "one"},
            {"extension_properties": ["x_own"]},
        ],
    )
    def test_a_wrong_one_is_refused(self, fault: Any) -> None:
        assert refusals(self.definition(**fault))

    @pytest.mark.parametrize("author", [{}, {"created_by_ref": ref("source", OTHER)}])
    def test_without_an_author_the_hub_stands_there(self, author: Any) -> None:
        definition = self.definition()
        del definition["created_by_ref"]
        assert ("extension", "created_by_ref") in repairs(definition | author)
