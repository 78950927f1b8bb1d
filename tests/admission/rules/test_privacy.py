"""The privacy rules: personal data, victims, submitters and private addresses are removed.

Every finding is checked for what it must never do: repeat what was removed.
"""

from dataclasses import replace
from json import dumps
from typing import Any

import pytest
from support.rules import apply_rule

from tocsin.admission.model import Action, Candidate, Consent, RuleContext, Submitter, Verdict
from tocsin.admission.rules import approve_settings, build_rule
from tocsin.admission.rules.anonymise_source import apply_consent_labels
from tocsin.admission.warninglists.index import WarningLists

ID = "indicator--3bc740bc-763a-5f0a-8c7c-c85f319ae188"
AUTHOR = "identity--96b9f522-7592-502b-a5f7-8fa59a268afd"
ACME = Submitter(
    partner="acme",
    names=("ACME Corp", "BTX"),
    terms=("acme.example", "Widget Pro", "45.12.0.0/16", "2a00:bad::/32"),
)


def around(settings: Any = None, submitter: Any = ACME, authors: Any = ()) -> Any:
    return RuleContext(submitter, WarningLists([]), frozenset(authors), settings or {})


def indicator(pattern: Any = "[domain-name:value = 'evil.test']", **more: Any) -> Any:
    return {"type": "indicator", "id": ID, "pattern": pattern, "pattern_type": "stix", **more}


def after(name: Any, subject: Any, secrets: Any = (), **context: Any) -> Any:
    """The object as the rule leaves it; the rule must not change its argument or tell a secret."""
    before = dumps(subject)
    candidate = build_rule(name, around(**context))(Candidate(0, subject))
    assert dumps(subject) == before
    for finding in candidate.findings:
        assert finding.stage == "sanitise" and finding.rule == name
        assert not any(secret in finding.message for secret in secrets)
    if candidate.is_open:
        assert build_rule(name, around(**context))(candidate).object == candidate.object
    return candidate


def text_after(name: Any, text: Any, **context: Any) -> Any:
    return after(name, indicator(description=text), **context).object["description"]


ALL = ("anonymise_source", "personal_data", "victim_terms", "private_addresses")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "text",
    [
        "Beacons to 45.13.3.9:8443 every 86400 s since 2026-07-27T00:52:00.123Z, 1048576 bytes.",
        "CVE-2024-1234567, build 10.0.19041.1288, KB5005565, T1566.001, RFC 3339.",
        "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d d41d8cd98f00b204e9800998ecf8427e",
        "https://evil.test/4111111111111111/541-714-1388?u=1 and 541-714-1388.evil.test",
        "27/07/2026 00:52:00, pid 4242424242, offset 0x00401000, status 2081543335966347395",
        "std::vector<int> a::b, @echo off, npm i @scope/name, 12:34:56 and 00:1b:44",
    ],
)
def test_indicators_times_and_counts_in_text_stay(name: Any, text: str) -> None:
    candidate = Candidate(0, indicator(description=text))
    assert build_rule(name, around())(candidate) is candidate


class TestAnonymiseSource:
    def test_the_reference_to_the_author_is_removed(self) -> None:
        candidate = after("anonymise_source", indicator(created_by_ref=AUTHOR))
        assert "created_by_ref" not in candidate.object
        assert [(f.action, f.path) for f in candidate.findings] == [
            (Action.STRIPPED, "created_by_ref")
        ]

    @pytest.mark.parametrize("consent", [Consent.NONE, Consent.USG])
    @pytest.mark.parametrize("spelling", ["ACME Corp", "acme  corp", "acme-corp", "AcmeCorp"])
    def test_the_submitters_names_are_masked_in_every_spelling(
        self, consent: Any, spelling: str
    ) -> None:
        seen = text_after(
            "anonymise_source",
            f"Seen by {spelling}.",
            submitter=replace(ACME, consent=consent),
            secrets=[spelling],
        )
        assert seen == "Seen by [removed: submitter's name]."

    def test_short_names_are_masked_only_as_whole_words_in_their_own_case(self) -> None:
        text = "acmecorporation, a btx terminal"
        assert text_after("anonymise_source", text) == text
        assert "BTX" not in text_after("anonymise_source", "from BTX")

    @pytest.mark.parametrize("consent", [Consent.EVERYONE, Consent.EVERYONE_PROPRIETARY])
    def test_with_consent_to_everyone_author_and_name_stay(self, consent: Any) -> None:
        subject = indicator(created_by_ref=AUTHOR, description="Seen by ACME Corp.")
        candidate = after("anonymise_source", subject, submitter=replace(ACME, consent=consent))
        assert candidate.object == subject

    def test_references_to_the_submitters_own_source_are_removed(self) -> None:
        other = {"source_name": "mitre-attack", "external_id": "T1566"}
        own = {"source_name": "Acme Corp blog", "url": "https://blog.test/1"}
        subject = indicator(external_references=[own, other])
        assert after("anonymise_source", subject).object["external_references"] == [other]

    def test_the_identity_of_an_author_is_left_to_publishing(self) -> None:
        subject = {"type": "identity", "id": AUTHOR, "name": "ACME Corp"}
        assert after("anonymise_source", subject, authors=[AUTHOR]).object == subject

    @pytest.mark.parametrize(
        ("identity", "reduced"),
        [
            ({"id": AUTHOR, "name": "Some team"}, True),
            ({"id": "identity--other", "name": "acme corp"}, True),
            ({"id": "identity--other", "name": "Victim Limited"}, False),
            ({"id": AUTHOR, "type": "campaign"}, False),
            ({"id": AUTHOR, "labels": ["ais-consent-everyone"]}, False),
            ({"id": AUTHOR, "labels": "ais-consent-none"}, False),
        ],
    )
    def test_only_labels_of_the_submitters_own_identities_reduce_its_consent(
        self, identity: Any, reduced: bool
    ) -> None:
        everyone = replace(ACME, consent=Consent.EVERYONE)
        labelled = {"type": "identity", "labels": ["x", " AIS-Consent-None"], **identity}
        sent = [indicator(created_by_ref=AUTHOR), labelled]
        expected = replace(ACME, consent=Consent.NONE) if reduced else everyone
        assert apply_consent_labels(everyone, sent) == expected

    def test_a_label_never_widens_a_consent(self) -> None:
        nobody = replace(ACME, consent=Consent.NONE)
        label = {"type": "identity", "id": AUTHOR, "labels": ["ais-consent-usg"]}
        assert apply_consent_labels(nobody, [label, indicator(created_by_ref=AUTHOR)]) is nobody

    @pytest.mark.parametrize(
        ("kind", "is_refused"),
        [("x-acme-corp-case", True), ("x-case-of-acmecorp", True), ("x-btx", False)],
    )
    def test_a_custom_type_with_the_submitters_name_is_refused(
        self, kind: str, is_refused: bool
    ) -> None:
        candidate = after("anonymise_source", {"type": kind, "id": f"{kind}--1"})
        assert (candidate.verdict is Verdict.REFUSED) is is_refused

    def test_a_validity_to_the_end_of_the_last_year_is_rounded_down(self) -> None:
        candidate = after("anonymise_source", indicator(valid_until="9999-12-31T23:59:59.5Z"))
        assert candidate.object["valid_until"] == "9999-12-31T23:59:59.000Z"

    @pytest.mark.parametrize(
        "handle",
        [
            "@jane_doe",
            "@jane.doe@infosec.example",
            "@jane.doe",
            "https://x.com/jane_doe/status/2081543335966347395",
            "hxxps://twitter[.]com/jane_doe",
            "https://infosec.example/@jane_doe/1234",
            "https://bsky.app/profile/jane-doe.test/post/3kabc",
        ],
    )
    def test_handles_and_posts_of_reporters_are_masked_whatever_the_consent(
        self, handle: str
    ) -> None:
        everyone = replace(ACME, consent=Consent.EVERYONE)
        text = text_after(
            "anonymise_source", f"Reported by {handle}.", submitter=everyone, secrets=["jane"]
        )
        assert text == "Reported by [removed: reporter's handle]."

    @pytest.mark.parametrize(
        "text",
        [
            "the threat actor @darkleaks sells access",
            "Operator's Telegram channel: @darkleaks",
            "mail it to @evil.top",
            "@app.route('/gate.php')",
        ],
    )
    def test_handles_of_attackers_domains_and_code_stay(self, text: str) -> None:
        assert text_after("anonymise_source", text) == text

    def test_a_handle_of_ones_own_operator_is_masked(self) -> None:
        text = text_after("anonymise_source", "our SOC operator @jane_doe saw it")
        assert text == "our SOC operator [removed: reporter's handle] saw it"

    def test_a_reference_to_a_post_loses_its_url_and_a_label_its_place(self) -> None:
        reference = {"source_name": "twitter", "url": "https://x.com/jane/status/1"}
        subject = indicator(external_references=[reference], labels=["@jane", "phishing"])
        result = after("anonymise_source", subject).object
        assert "external_references" not in result
        assert result["labels"] == ["phishing"]

    def test_a_profile_that_is_itself_the_indicator_stays(self) -> None:
        subject = indicator("[url:value = 'https://x.com/evil']", name="https://x.com/evil")
        assert after("anonymise_source", subject).object == subject


class TestPersonalData:
    @pytest.mark.parametrize(
        ("secret", "what"),
        [
            ("jane.doe@bank.test", "e-mail address"),
            ("jane[.]doe[@]bank[.]test", "e-mail address"),
            ("jane(at)bank(dot)test", "e-mail address"),
            ("+49 (0)30 901820", "telephone number"),
            ("+1.2025550143", "telephone number"),
            ("4111 1111 1111 1111", "payment card number"),
            ("378282246310005", "payment card number"),
            ("GB29 NWBK 6016 1331 9268 19", "IBAN"),
            ("de89370400440532013000", "IBAN"),
            ("078-05-1121", "US social security number"),
        ],
    )
    def test_personal_data_in_a_text_is_masked(self, secret: str, what: str) -> None:
        text = text_after("personal_data", f"Belongs to {secret}, it seems.", secrets=[secret])
        assert text == f"Belongs to [removed: {what}], it seems."

    @pytest.mark.parametrize(
        "text",
        ["Phone: 467 3395", "call me on 01.84.17.61.18", "5403926876 mobile", "Tel. 030/1234567"],
    )
    def test_a_number_beside_a_word_for_it_is_a_telephone_number(self, text: str) -> None:
        assert "[removed: telephone number]" in text_after("personal_data", text)

    @pytest.mark.parametrize("text", ["id 4111 1111 1111 1112", "ref GB30 NWBK 6016 1331 9268 19"])
    def test_wrong_check_digits_without_a_word_beside_are_not_masked(self, text: str) -> None:
        assert text_after("personal_data", text) == text

    def test_personal_data_in_every_text_of_an_object_is_masked(self) -> None:
        subject = indicator(
            name="a@b.test",
            labels=["by a@b.test", "phishing"],
            external_references=[{"source_name": "s", "description": "a@b.test"}],
            x_custom={"deep": ["a@b.test"]},
        )
        result = after("personal_data", subject, secrets=["a@b.test"]).object
        assert "a@b.test" not in dumps(result)
        assert result["labels"] == ["phishing"]

    def test_a_display_name_is_a_text_and_an_address_is_a_value(self) -> None:
        subject = {"type": "email-addr", "value": "a@evil.test", "display_name": "x@bank.test"}
        result = after("personal_data", subject).object
        assert result["value"] == "a@evil.test" and "bank" not in result["display_name"]

    def test_the_address_that_the_indicator_is_about_stays_wherever_it_is_named(self) -> None:
        subject = indicator(
            "[email-addr:value = 'Phisher@evil.test']",
            name="phisher@evil.test",
            description="phisher[@]evil[.]test wrote to victim@bank.test",
        )
        result = after("personal_data", subject).object
        assert result["name"] == "phisher@evil.test"
        assert result["description"] == "phisher[@]evil[.]test wrote to [removed: e-mail address]"
        assert result["pattern"] == subject["pattern"]

    def test_an_address_in_the_query_of_an_own_url_is_masked_in_text(self) -> None:
        url = "https://evil.test/?to=victim@bank.test"
        result = after("personal_data", indicator(f"[url:value = '{url}']", name=url)).object
        assert result["name"] == "https://evil.test/?to=[removed: e-mail address]"

    def test_a_kind_of_personal_data_may_be_kept(self) -> None:
        text = "a@b.test"
        assert text_after("personal_data", text, settings={"email": "keep"}) == text

    @pytest.mark.parametrize(
        ("mode", "verdict"), [("hold", Verdict.HELD), ("refuse", Verdict.REFUSED)]
    )
    def test_a_kind_of_personal_data_may_hold_or_refuse_the_object(
        self, mode: str, verdict: Any
    ) -> None:
        subject = indicator(description="card 4111111111111111")
        candidate = after("personal_data", subject, ["4111"], settings={"card": mode})
        assert candidate.verdict is verdict

    def test_a_held_object_is_masked_and_its_original_kept(self) -> None:
        subject = indicator(description="card 4111111111111111")
        candidate = after("personal_data", subject, settings={"card": "hold"})
        assert candidate.original == subject
        assert "4111" not in candidate.object["description"]

    @pytest.mark.parametrize(
        "kind", ["Individual", "INDIVIDUAL", " individual ", "person", "human", "Natural person"]
    )
    def test_a_person_is_held_however_the_class_is_spelled(self, kind: str) -> None:
        person = {"type": "identity", "id": AUTHOR, "name": "Roe Inc.", "identity_class": kind}
        assert apply_rule("personal_data", person).verdict is Verdict.HELD

    @pytest.mark.parametrize("kind", ["unknown", "", "other", None])
    @pytest.mark.parametrize("name", ["Jane Roe", "Roe, Jane", "jroe1980", "李小明", "April May"])
    def test_an_identity_of_no_class_whose_name_may_be_a_persons_is_held(
        self, name: str, kind: str | None
    ) -> None:
        person = {"type": "identity", "id": AUTHOR, "name": name}
        person |= {} if kind is None else {"identity_class": kind}
        held = apply_rule("personal_data", person, secrets=[name])
        assert held.verdict is Verdict.HELD and "identity_class" in held.findings[-1].message

    @pytest.mark.parametrize(
        "name",
        [
            *("Roe Industries GmbH", "PLA", "APT28", "Lazarus Group", "Stadtwerke Kleinstadt"),
            *("Financial sector", "Harbin Institute of Technology", "Comment Crew"),
            *("Victim Targeting: Electricity Sector", "Identity (Campaign 1 - Conti)"),
        ],
    )
    def test_an_identity_of_no_class_with_the_name_of_an_organisation_passes(
        self, name: str
    ) -> None:
        organisation = {"type": "identity", "id": AUTHOR, "name": name}
        assert apply_rule("personal_data", organisation).is_open

    @pytest.mark.parametrize("kind", ["organization", "Organisation ", "group", "CLASS", "system"])
    def test_other_classes_pass_whatever_the_name_is(self, kind: str) -> None:
        organisation = {"type": "identity", "id": AUTHOR, "name": "Levi Strauss"}
        assert apply_rule("personal_data", organisation | {"identity_class": kind}).is_open

    def test_the_address_of_a_location_is_removed_and_its_coordinates_are_rounded(self) -> None:
        place = {"type": "location", "id": AUTHOR, "country": "DE", "city": "Berlin"}
        exact = {"latitude": 52.5321234, "longitude": 13.3841234, "precision": 5.0}
        address = {"street_address": "Musterstr. 1", "postal_code": "10115"}
        secrets = ["Musterstr", "10115", "321234"]
        found = apply_rule("personal_data", place | exact | address, secrets=secrets)
        rounded = {"latitude": 52.5, "longitude": 13.4, "precision": 10_000.0}
        assert found.object == place | rounded
        asked = [each.path for each in found.findings if each.action is Action.ASKED]
        assert asked == ["street_address", "postal_code"]

    @pytest.mark.parametrize("more", [{"latitude": 52.5, "longitude": 13}, {"region": "europe"}])
    def test_a_location_of_a_region_stays(self, more: Any) -> None:
        place = {"type": "location", "id": AUTHOR, "country": "DE", **more}
        assert apply_rule("personal_data", place).object == place

    @pytest.mark.parametrize("mode", ["hold", "refuse"])
    def test_exact_coordinates_are_held_or_refused_as_postal_addresses_are(self, mode: str) -> None:
        place = {"type": "location", "id": AUTHOR, "latitude": 52.5321, "longitude": 13.3841}
        judged = apply_rule("personal_data", place, {"postal_address": mode})
        assert judged.verdict.value == {"hold": "held", "refuse": "refused"}[mode]

    @pytest.mark.parametrize(
        "pattern",
        [
            "[windows-registry-key:values[*].name = 'RegisteredOwner' AND"
            " windows-registry-key:values[*].data = 'Jane Roe']",
            "[windows-registry-key:values[0].name LIKE 'registered%' AND"
            " windows-registry-key:values[0].data MATCHES '^Jane']",
            "[windows-registry-key:values[0].name = 'DefaultUserName' AND"
            " windows-registry-key:values[0].data = 'Jane']",
            "[windows-registry-key:values[0].name LIKE 'LastLoggedOn%' AND"
            " windows-registry-key:values[0].data = 'CORP\\\\Jane']",
            "[windows-registry-key:key = 'HKLM\\\\x\\\\RegisteredOwner' AND"
            " windows-registry-key:values[0].data = 'Jane']",
        ],
    )
    def test_a_pattern_on_the_owner_of_a_machine_is_held(self, pattern: str) -> None:
        subject = indicator(pattern)
        assert apply_rule("personal_data", subject, secrets=["Jane"]).verdict is Verdict.HELD
        for settings, verdict in (
            ({"person": "refuse"}, Verdict.REFUSED),
            ({"person": "keep"}, Verdict.OPEN),
            (approve_settings("personal_data", {}), Verdict.OPEN),
        ):
            assert apply_rule("personal_data", subject, settings).verdict is verdict

    @pytest.mark.parametrize(
        "pattern",
        [
            "[windows-registry-key:values[*].name = 'RegisteredOwner']",
            "[windows-registry-key:values[*].name = 'LastLoggedOnProvider' AND"
            " windows-registry-key:values[*].data = '{60B78E88}']",
            "[windows-registry-key:values[*].name = 'Run' AND"
            " windows-registry-key:values[*].data = 'evil.exe']",
        ],
    )
    def test_a_pattern_on_another_value_of_the_registry_passes(self, pattern: str) -> None:
        assert apply_rule("personal_data", indicator(pattern)).findings == ()

    @pytest.mark.parametrize(
        "pattern",
        [
            "[email-message:subject = 'for jane@bank.com']",
            f"[email-message:subject = h'{b'for jane@bank.com'.hex()}']",
            "[email-message:body LIKE '%write to jane@bank.com%']",
            "[email-message:subject = 'IBAN DE89370400440532013000']",
            "[email-message:body LIKE '%card 4111 1111 1111 1111%']",
            "[file:name = 'Invoice_4111111111111111.pdf']",
            "[file:name = 'SSN 078-05-1121.xlsx']",
            "[process:command_line = 'a.exe DE89370400440532013000']",
            "[windows-registry-key:values[0].data = '4111 1111 1111 1111']",
        ],
    )
    def test_a_pattern_on_a_text_with_personal_data_is_held(self, pattern: str) -> None:
        secrets = ["jane", "DE89", "4111", "078-05"]
        held = apply_rule("personal_data", indicator(pattern), secrets=secrets)
        assert held.verdict is Verdict.HELD and held.object["pattern"] == pattern
        keep = dict.fromkeys(("email", "card", "iban", "us_ssn", "national_id"), "keep")
        assert apply_rule("personal_data", indicator(pattern), keep).is_open

    @pytest.mark.parametrize(
        "pattern",
        [
            "[email-message:subject = 'Invoice 4111111111111112']",
            "[file:name = 'readme[evil@evil-update.top].txt']",
            "[process:command_line = 'a.exe -to evil@evil-update.top']",
            "[file:hashes.MD5 = '41111111111111111111111111111111']",
        ],
    )
    def test_a_pattern_on_another_text_passes(self, pattern: str) -> None:
        assert apply_rule("personal_data", indicator(pattern)).findings == ()

    REGISTERED = "registered to jane.doe@bank.test, +49 30 901820"

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            *(("software", name) for name in ("version", "vendor", "swid", "name")),
            *(("user-account", "account_type"), ("x509-certificate", "serial_number")),
        ],
    )
    def test_personal_data_in_a_value_that_is_part_of_an_id_is_held(
        self, kind: str, name: str
    ) -> None:
        for text in (self.REGISTERED, "user: jdoe99", "for Mrs. Jane Roe"):
            subject = {"type": kind, name: text}
            held = apply_rule("personal_data", subject, secrets=["jane", "Jane", "901820", "jdoe"])
            assert held.verdict is Verdict.HELD and held.object == subject
            assert {finding.path for finding in held.findings} == {name}
            approved = approve_settings("personal_data", {})
            assert apply_rule("personal_data", subject, approved).is_open
        pattern = indicator(f"[{kind}:{name} = '{self.REGISTERED}']")
        assert apply_rule("personal_data", pattern).verdict is Verdict.HELD

    @pytest.mark.parametrize(
        ("mode", "verdict"), [("refuse", Verdict.REFUSED), ("keep", Verdict.OPEN)]
    )
    def test_the_mode_of_the_kind_decides_about_a_value_that_is_part_of_an_id(
        self, mode: str, verdict: Verdict
    ) -> None:
        subject = {"type": "software", "name": "a", "vendor": "jane.doe@bank.test"}
        assert apply_rule("personal_data", subject, {"email": mode}).verdict is verdict

    @pytest.mark.parametrize(
        "subject",
        [
            *(
                {"type": "software", "name": name, "vendor": vendor, "version": version}
                for name, vendor, version in (
                    ("Word", "Microsoft Corporation", "10.0.19045.3693"),
                    ("Dr.Web CureIt!", "Doctor Web, Ltd.", "1.800.555.0199"),
                    ("7-Zip 19.00 (x64)", "Igor Pavlov", "v1.2.3-rc1+build.5"),
                    ("Visual C++ 2010 x64 - 10.0.40219", "", "2024-01-15"),
                )
            ),
            {"type": "software", "name": "a", "cpe": "cpe:2.3:a:microsoft:word:2000:*:*:*:*:*:*:*"},
            {"type": "software", "name": "a", "swid": "regid.1995-08.com.techsmith Snagit 14.3"},
            *(
                {"type": "user-account", "account_type": each}
                for each in ("unix", "windows-domain", "tacacs", "x-own")
            ),
            *(
                {"type": "x509-certificate", "serial_number": each}
                for each in (
                    *("36:f7:d4:32:f4:ab:70:ea:d3:ce:98:6e:ea:99:93:49:32:0a:b7:06", "0x7B"),
                    *("4111111111111111", "122050148", "02 12 34 56 78 9a", "-4711"),
                )
            ),
        ],
    )
    def test_a_value_that_says_what_it_is_for_passes(self, subject: Any) -> None:
        assert apply_rule("personal_data", subject).findings == ()

    def test_the_display_name_of_an_account_is_asked_about(self) -> None:
        account = {"type": "user-account", "user_id": "1001", "display_name": "Jane Roe"}
        found = apply_rule("personal_data", account, secrets=["Jane"])
        assert found.object == {"type": "user-account", "user_id": "1001"}
        assert [each.action for each in found.findings] == [Action.ASKED]

    @pytest.mark.parametrize(
        "name",
        [
            *("RegisteredOwner", "registeredorganization", "DefaultUserName", "AltDefaultUserName"),
            *("LastLoggedOnUser", "LastLoggedOnSAMUser", "LastLoggedOnDisplayName"),
        ],
    )
    def test_the_owner_of_a_machine_in_the_registry_is_asked_about(self, name: str) -> None:
        value = {"name": name, "data_type": "REG_SZ"}
        key = {"type": "windows-registry-key", "key": "HKLM\\x", "values": [value]}
        owned = key | {"values": [value | {"data": "Jane Roe"}]}
        found = apply_rule("personal_data", owned, secrets=["Jane"])
        assert found.object == key and found.findings[0].action is Action.ASKED

    def test_an_individuals_identity_is_held(self) -> None:
        person = {"type": "identity", "id": AUTHOR, "name": "J", "identity_class": "individual"}
        assert after("personal_data", person).verdict is Verdict.HELD
        group = {**person, "identity_class": "organization"}
        assert after("personal_data", group).is_open

    @pytest.mark.parametrize("piece", ["a", "1", "1-", "a.", "(1", "+1", "@a", "1[.]", "GB29 "])
    @pytest.mark.slow
    def test_searching_hostile_text_takes_linear_time(self, piece: str) -> None:
        text = (piece * 50_000)[:50_000]
        after("personal_data", indicator(description=f"a@b 12345678 {text}"))


class TestVictimTerms:
    MASK = "[removed: victim's name, domain or network]"

    @pytest.mark.parametrize(
        "secret",
        [
            "acme.example",
            "ACME[.]Example",
            "vpn.eu.acme.example",
            "vpn[.]acme(.)example",
            "widget-pro",
            "Acme Corp",
            "45.12.7.8",
            "45[.]12[.]7[.]8",
            "45.12.7.8:8443",
            "45.12.7.0/24",
            "2a00:bad::17",
        ],
    )
    def test_victim_terms_are_masked_in_every_spelling(self, secret: str) -> None:
        text = text_after("victim_terms", f"Against {secret} only", secrets=[secret])
        assert text == f"Against {self.MASK} only"

    def test_victim_terms_are_found_in_paths_urls_and_file_names(self) -> None:
        text = r"\\srv01.acme.example\share, https://acme.example/x, acmecorp_pw.txt"
        assert text_after("victim_terms", text) == (
            rf"\\{self.MASK}\share, https://{self.MASK}/x, {self.MASK}_pw.txt"
        )

    def test_longer_words_and_other_networks_are_no_victim_terms(self) -> None:
        text = "notacme.example, acmecorporation, 45.13.7.8, 2a00:bae::17"
        assert text_after("victim_terms", text) == text

    def test_labels_and_reference_urls_with_victim_terms_are_removed(self) -> None:
        reference = {"source_name": "s", "url": "https://acme.example/", "external_id": "1"}
        subject = indicator(labels=["acme corp", "apt"], external_references=[reference])
        result = after("victim_terms", subject).object
        assert result["labels"] == ["apt"]
        assert result["external_references"] == [{"source_name": "s", "external_id": "1"}]

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'acme.example']",
            "[domain-name:value = 'vpn.acme.example']",
            "[domain-name:value = 'acme.example.evil.test']",
            "[domain-name:value = 'myacme.example']",
            "[url:value = 'https://evil.test/?next=acme.example']",
            "[ipv4-addr:value = '45.12.7.8']",
            "[ipv4-addr:value = '45.12.0.0/24']",
            r"[file:name MATCHES 'acme\\.example']",
            "[file:name = 'ACME Corp invoice.exe']",
            "[file:name LIKE 'ACME%Corp%']",
            r"[file:name MATCHES 'ACME\\s+Corp']",
            "[file:name MATCHES '[Aa]cme[ _-]?Corp']",
            "[ipv4-addr:value LIKE '45.12.7.%']",
            "[ipv4-addr:value LIKE '45.12.7._']",
            r"[ipv4-addr:value MATCHES '^45\\.12\\.']",
            r"[network-traffic:dst_ref.value MATCHES '^45[.]12[.]\\d{1,3}[.][0-9]+$']",
            "[url:value LIKE 'http://45.12.%']",
            f"[file:name = h'{'ACME Corp'.encode('utf-16-le').hex()}']",
        ],
    )
    def test_an_indicator_on_a_victim_term_is_held_unchanged(self, pattern: str) -> None:
        candidate = after("victim_terms", indicator(pattern), ["acme", "45.12"])
        assert candidate.verdict is Verdict.HELD
        assert candidate.object["pattern"] == pattern

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'acrne-bank.test']",
            "[domain-name:value = 'login.acm3bank.test']",
            "[domain-name:value = 'xn--cmebank-1fg.test']",
            "[domain-name:value = 'acmeban\u043a.test']",
            "[domain-name:value = 'acme\u0180ank.test']",
            "[domain-name:value MATCHES 'mail.acmebanc|mail.other']",  # `c|` is no `d`
            "[url:value = 'https://secure-acme-bank.test/login']",
            r"[file:name = 'C:\\MyAcmeCorpVpn.exe']",
            r"[directory:path = 'D:\\acme\\corp\\share']",
        ],
    )
    def test_an_indicator_on_a_lookalike_host_or_path_is_held(self, pattern: str) -> None:
        bank = replace(ACME, terms=("acmebank.example", "acmebanc.example"))
        candidate = after("victim_terms", indicator(pattern), submitter=bank)
        assert candidate.verdict is Verdict.HELD
        assert candidate.object["pattern"] == pattern

    def test_the_finding_does_not_say_whose_term_it_is(self) -> None:
        # A hub that masks a partner's terms everywhere must not name it to the others.
        bank = replace(ACME, terms=("acmebank.example",))
        for host in ("mail.acmebank.example", "acrnebank.test"):
            subject = indicator(f"[domain-name:value = '{host}']")
            [finding] = after("victim_terms", subject, submitter=bank).findings
            assert "about a victim's name, domain or network, or looks like one" in finding.message

    @pytest.mark.parametrize("host", ["acmeban.test", "macbank.test", "bank.acne.test"])
    def test_indicators_on_other_hosts_pass(self, host: str) -> None:
        bank = replace(ACME, terms=("acmebank.example",))
        subject = indicator(f"[domain-name:value = '{host}']")
        assert after("victim_terms", subject, submitter=bank).is_open

    def test_other_pattern_languages_and_observables_with_victim_terms_are_held(self) -> None:
        yara = {**indicator('rule x { strings: $a = "acme.example" condition: $a }')}
        assert after("victim_terms", {**yara, "pattern_type": "yara"}).verdict is Verdict.HELD
        host = {"type": "domain-name", "value": "mail.acme.example"}
        assert after("victim_terms", host).verdict is Verdict.HELD

    @pytest.mark.parametrize(
        "pattern",
        [
            "[ipv4-addr:value LIKE '45.13.%']",
            r"[ipv4-addr:value MATCHES '^145\\.12\\.']",
            "[file:name LIKE 'v45.12%']",
            r"[file:name MATCHES 'acm\\s+corp']",
        ],
    )
    def test_another_expression_passes(self, pattern: str) -> None:
        assert after("victim_terms", indicator(pattern)).is_open

    @pytest.mark.parametrize(
        ("language", "pattern"),
        [
            ("yara", f"rule x {{ strings: $a = {{ {b'ACME Corp'.hex(' ')} }} condition: $a }}"),
            ("yara", f"rule x {{ strings: $a = {{ {'ACME Corp'.encode('utf-16').hex(' ')} }} }}"),
            ("yara", "rule x { strings: $a = { 41 43 4d 45 [1-2] 43 ( 6f | 4f ) 72 70 } }"),
            ("yara", r"rule x { strings: $a = /ACME[ _-]Corp/ condition: $a }"),
            ("snort", 'alert tcp any any -> any any (content:"ACME|20|Corp"; sid:1;)'),
            ("suricata", 'alert tcp any any -> any any (content:"|41 43|ME|20|Corp"; sid:1;)'),
            ("pcre", r"acme\s+corp"),
            ("pcre", r"\x{41}cme(?:\s|_)Corp"),
            ("pcre", r"45\.12\.\d+\.\d+"),
            ("sigma", "detection:\n  a:\n    Name: ACME\n      Corp\n  condition: a\n"),
        ],
    )
    def test_a_victim_term_in_the_notation_of_a_language_is_held(
        self, language: str, pattern: str
    ) -> None:
        subject = indicator(pattern, pattern_type=language)
        assert after("victim_terms", subject).verdict is Verdict.HELD

    def test_an_indicator_on_a_victim_term_may_be_refused(self) -> None:
        subject = indicator("[domain-name:value = 'acme.example']")
        refused = after("victim_terms", subject, settings={"values": "refuse"})
        assert refused.verdict is Verdict.REFUSED

    def test_a_submitter_without_names_has_nothing_masked(self) -> None:
        candidate = Candidate(0, indicator(description="acme.example"))
        assert build_rule("victim_terms", around(submitter=Submitter()))(candidate) is candidate

    def test_a_network_may_be_written_as_an_address_in_it_with_a_prefix(self) -> None:
        submitter = Submitter(terms=(" 45.12.3.4/16 ",))
        text = text_after("victim_terms", "seen at 45.12.77.8 and 45.13.0.1", submitter=submitter)
        assert text == f"seen at {self.MASK} and 45.13.0.1"

    @pytest.mark.parametrize(
        "network",
        [
            *("45.12.*.*", "45.12.x.x", "45.12.XXX.XXX", "45.12.*", "45.12/16", "45[.]12[.]7[.]*"),
            *("45.12.7.x", "45.12.7/24", "45.12.0.0"),
        ],
    )
    def test_an_own_network_is_masked_without_its_last_numbers(self, network: str) -> None:
        assert text_after("victim_terms", f"scans {network} daily") == f"scans {self.MASK} daily"

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "45.13.*.*",
                "145.12.x.x",
                "1.45.12.x",
                "45.12.x",
                "v45.12.*",
                "45.12/17",
                "45.12.xy",
            ),
            *("45.12.7", "45.12/160", "10.1.x.x"),
        ],
    )
    def test_other_numbers_with_wildcards_stay(self, text: str) -> None:
        assert text_after("victim_terms", f"scans {text} daily") == f"scans {text} daily"

    def test_consent_to_everyone_frees_the_name_but_not_the_domains(self) -> None:
        everyone = replace(ACME, consent=Consent.EVERYONE)
        text = text_after("victim_terms", "ACME Corp, acme.example", submitter=everyone)
        assert text == f"ACME Corp, {self.MASK}"


class TestPrivateAddresses:
    @pytest.mark.parametrize(
        ("address", "verdict"), [("10.1.2.3", Verdict.HELD), ("127.0.0.1", Verdict.OPEN)]
    )
    def test_a_private_address_in_a_command_line_holds_unless_loopback(
        self, address: str, verdict: Any
    ) -> None:
        subject = indicator(f"[process:command_line = 'cmd /c ping {address} -n 9']")
        assert after("private_addresses", subject).verdict is verdict

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = '10.0.0.1.dyn.evil.net']",
            "[domain-name:value = '192.168.1.1.evil.com']",
            "[url:value = 'http://10.0.0.1.dyn.evil.net/a']",
        ],
    )
    def test_a_public_host_that_begins_with_four_numbers_is_not_an_address(
        self, pattern: str
    ) -> None:
        assert after("private_addresses", indicator(pattern)).is_open

    @pytest.mark.parametrize(
        "pattern",
        [
            "[url:value = 'http://10.0.0.1.evil.com/a?b=10.0.0.9']",
            "[domain-name:value = 'ip-10-1-2-5.compute.amazonaws.com']",
        ],
    )
    def test_an_address_elsewhere_in_a_value_still_holds_it(self, pattern: str) -> None:
        assert after("private_addresses", indicator(pattern)).verdict is Verdict.HELD

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'dc01.corp.local']",
            "[domain-name:value = 'WS-FIN-0231']",
            "[domain-name:value = '10.0.0.1.corp.internal']",
            "[url:value = 'https://jira.corp.lan/browse/1']",
            "[url:value = 'http://user@intranet:8080/wiki']",
        ],
    )
    def test_a_name_that_only_its_own_network_resolves_is_refused(self, pattern: str) -> None:
        found = after("private_addresses", indicator(pattern))
        assert found.verdict is Verdict.REFUSED
        assert "a name that only its own network resolves" in found.findings[-1].message

    def test_such_a_name_among_others_holds_the_indicator(self) -> None:
        pattern = "[domain-name:value = 'dc01.corp.local' OR domain-name:value = 'evil.top']"
        assert after("private_addresses", indicator(pattern)).verdict is Verdict.HELD

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value LIKE '%evil%']",
            "[url:value = 'http://evil.top/intranet']",
            "[url:value = '/gate.php']",
            "[domain-name:value = 'abcdefghijklmnop.onion']",
            "[domain-name:value = 'top']",
        ],
    )
    def test_parts_of_names_and_public_names_pass(self, pattern: str) -> None:
        assert after("private_addresses", indicator(pattern)).is_open

    @pytest.mark.parametrize("network", ["10.20.x.x", "192.168.10.*", "172.16/16"])
    def test_a_network_with_wildcards_is_masked_in_a_text(self, network: str) -> None:
        subject = indicator("[domain-name:value = 'evil.top']", description=f"seen in {network}")
        found = after("private_addresses", subject).object
        assert found["description"] == "seen in [removed: private address]"

    @pytest.mark.parametrize(
        "secret",
        [
            "10.0.0.1",
            "10[.]0[.]0[.]1",
            "192.168.1.0/24",
            "172.31.9.9:8080",
            "100.64.3.2",
            "169.254.1.1",
            "203.0.113.9",
            "fe80::1",
            "fd12:3456::7",
            "2001:db8::1",
        ],
    )
    def test_private_addresses_in_a_text_are_masked(self, secret: str) -> None:
        text = text_after("private_addresses", f"Moved to {secret}.", secrets=[secret])
        assert text == "Moved to [removed: private address]."

    def test_only_the_private_address_of_a_url_is_masked(self) -> None:
        text = text_after("private_addresses", "see http://192.168.1.1:8080/admin")
        assert text == "see http://[removed: private address]/admin"

    def test_public_addresses_stay(self) -> None:
        text = "8.8.8.8, 45.12.3.4:80, 2a00:1450::1, 172.32.0.1, 11.0.0.1"
        assert text_after("private_addresses", text) == text

    @pytest.mark.parametrize(
        "pattern",
        [
            "[ipv4-addr:value = '10.0.0.1']",
            "[ipv4-addr:value ISSUBSET '192.168.0.0/16']",
            "[ipv4-addr:value = '127.0.0.1' OR url:value = 'http://10.1.1.1/x']",
            "[ipv6-addr:value = '::ffff:10.0.0.1']",
            "[url:value = 'http://localhost:8000/']",
            "[url:value = 'http://[fe80::1]/']",
        ],
    )
    def test_an_indicator_on_private_addresses_only_is_refused(self, pattern: str) -> None:
        assert after("private_addresses", indicator(pattern)).verdict is Verdict.REFUSED

    def test_an_indicator_on_private_and_public_addresses_is_held(self) -> None:
        subject = indicator("[ipv4-addr:value IN ('10.0.0.1', '45.12.3.4')]")
        assert after("private_addresses", subject).verdict is Verdict.HELD

    def test_one_on_the_name_of_a_private_address_read_backwards_is_held(self) -> None:
        subject = indicator("[domain-name:value = '4.3.2.10.in-addr.arpa']")
        assert after("private_addresses", subject).verdict is Verdict.HELD
        subject = indicator("[domain-name:value = '10.0.0.1.evil.com']")
        assert after("private_addresses", subject).verdict is Verdict.OPEN

    def test_one_that_excludes_them_waits_too_for_readers_would_learn_of_them(self) -> None:
        pattern = "[ipv4-addr:value = '45.12.3.4' AND ipv4-addr:value != '10.0.0.1']"
        assert after("private_addresses", indicator(pattern)).verdict is Verdict.HELD

    def test_one_that_only_excludes_a_private_address_is_not_refused(self) -> None:
        subject = indicator("[ipv4-addr:value NOT = '10.0.0.1']")
        assert after("private_addresses", subject).verdict is Verdict.HELD

    @pytest.mark.parametrize(
        ("kind", "value"),
        [("ipv4-addr", "10.0.0.0/8"), ("ipv6-addr", "::1"), ("url", "http://192.168.1.1/")],
    )
    def test_observables_of_private_addresses_are_refused(self, kind: str, value: str) -> None:
        subject = {"type": kind, "value": value}
        assert after("private_addresses", subject).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("language", "verdict"), [("stix", Verdict.OPEN), ("snort", Verdict.REFUSED)]
)
def test_an_address_is_looked_for_in_patterns_of_other_languages_only(
    language: str, verdict: Any
) -> None:
    subject = indicator("[email-addr:value = 'a@evil.test']", pattern_type=language)
    settings = {"other_languages": "refuse"}
    assert after("personal_data", subject, settings=settings).verdict is verdict
    report = {"type": "report", "name": "x", "pattern": "a@evil.test", "pattern_type": "snort"}
    assert after("personal_data", report, settings=settings).verdict is Verdict.OPEN


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        (r"jane\.doe@bank\.test", Verdict.HELD),
        (r"/jane@bank\.test/i", Verdict.HELD),
        (r"jane\x40bank\x2etest", Verdict.HELD),
        ('content:"jane|40|bank|2e|test"', Verdict.HELD),
        (r"\w+@evil\.test", Verdict.OPEN),
        (r"[a-z0-9]+@evil\.test", Verdict.OPEN),
        (r".{1,9}@evil\.test", Verdict.OPEN),
    ],
)
def test_an_address_is_found_as_rules_and_regular_expressions_write_it(
    pattern: str, verdict: Any
) -> None:
    subject = indicator(pattern, pattern_type="pcre")
    assert after("personal_data", subject).verdict is verdict


@pytest.mark.parametrize("kind", ["note", "opinion"])
def test_a_reviewer_is_asked_about_authors_of_a_statement_who_may_be_people(kind: str) -> None:
    statement = {"type": kind, "id": f"{kind}--1", "authors": ["ACME CERT", "Jane Doe"]}
    candidate = after("personal_data", statement)
    assert "authors" not in candidate.object
    assert [(f.path, f.action) for f in candidate.findings] == [("authors", Action.ASKED)]
    team = statement | {"authors": ["ACME CERT"]}
    assert after("personal_data", team).object == team
    assert after("personal_data", statement, settings={"person": "keep"}).object == statement
