"""message_headers and payloads: contents of messages, files, connections and processes."""

import uuid
from json import dumps
from typing import Any

import pytest
from support.hub import GREEN, HubInProcess, sdo
from support.hub import indicator as hub_indicator
from support.rules import apply_rule, indicator
from support.stix_objects import TIME, make_object

from tocsin.admission.model import Action, Verdict
from tocsin.admission.rules import approve_settings
from tocsin.server.store import Store

SENDER = "email-addr--11111111-1111-5111-8111-111111111111"
VICTIM = "email-addr--22222222-2222-5222-8222-222222222222"
ARTIFACT = "artifact--33333333-3333-5333-8333-333333333333"

MESSAGE = {
    "type": "email-message",
    "is_multipart": False,
    "date": "2026-01-01T00:00:00Z",
    "from_ref": SENDER,
    "to_refs": [VICTIM],
    "cc_refs": [VICTIM],
    "bcc_refs": [VICTIM],
    "received_lines": ["from mail.acme.example by mx"],
    "additional_header_fields": {"Delivered-To": "jane@acme.example"},
    "raw_email_ref": ARTIFACT,
    "subject": "Invoice for Jane Doe",
    "body": "Dear Jane",
}


_KEY, _VALUE = "windows-registry-key:key", "windows-registry-key:values[0]"
_REQUEST_HEADER = "network-traffic:extensions.'http-request-ext'.request_header"


def actions(candidate: Any) -> Any:
    return {finding.path: finding.action for finding in candidate.findings}


class TestMessageHeaders:
    def test_sender_and_date_stay_and_recipients_are_removed(self) -> None:
        candidate = apply_rule("message_headers", MESSAGE, secrets=["jane", "Jane", "acme"])
        assert set(candidate.object) == {"type", "is_multipart", "date", "from_ref"}
        stripped = {path for path, action in actions(candidate).items() if action == "stripped"}
        assert stripped == {
            *("to_refs", "cc_refs", "bcc_refs", "received_lines"),
            *("additional_header_fields", "raw_email_ref"),
        }

    @pytest.mark.parametrize("name", ["subject", "body"])
    def test_an_analyst_is_asked_about_subject_and_body(self, name: str) -> None:
        assert actions(apply_rule("message_headers", MESSAGE))[name] is Action.ASKED

    def test_each_property_of_a_message_may_be_kept(self) -> None:
        settings = {"subject": "keep", "recipients": "keep"}
        kept = apply_rule("message_headers", MESSAGE, settings).object
        assert kept["subject"] == MESSAGE["subject"] and kept["to_refs"] == [VICTIM]

    def test_approving_the_subject_releases_no_recipient(self) -> None:
        released = apply_rule(
            "message_headers", MESSAGE, approve_settings("message_headers", {})
        ).object
        assert released["subject"] == MESSAGE["subject"]
        assert "to_refs" not in released and "received_lines" not in released

    @pytest.mark.parametrize(
        "pattern",
        [
            "[email-message:to_refs[*].value = 'jane@acme.example']",
            "[email-message:cc_refs[0].value = 'jane@acme.example']",
            "[email-message:additional_header_fields.'Delivered-To' = 'jane@acme.example']",
            "[email-message:additional_header_fields.' To ' = 'jane@acme.example']",
            *(
                f"[email-message:additional_header_fields.'{name}' = 'jane@acme.example']"
                for name in (
                    *("X-Original-Recipient", "Apparently-To", "X-RCPT-TO", "X-Delivered-To"),
                    *("Resent-Bcc", "x_received", "To", "X-Envelope-To", "X-Receiver"),
                )
            ),
            "[email-message:from_ref.value = 'a@evil.test' AND"
            " email-message:received_lines[*] LIKE '%acme%']",
        ],
    )
    def test_a_pattern_on_a_recipient_is_held(self, pattern: str) -> None:
        candidate = apply_rule("message_headers", indicator(pattern), secrets=["jane", "acme"])
        assert candidate.verdict is Verdict.HELD
        assert candidate.object["pattern"] == pattern

    @pytest.mark.parametrize(
        "pattern",
        [
            "[email-message:from_ref.value = 'a@evil.test']",
            "[email-message:subject = 'Invoice']",
            *(
                f"[email-message:additional_header_fields.'{name}' = 'Evil']"
                for name in ("X-Mailer", "Reply-To", "In-Reply-To", "Errors-To", "Subject")
            ),
        ],
    )
    def test_a_pattern_on_sender_or_subject_passes(self, pattern: str) -> None:
        assert apply_rule("message_headers", indicator(pattern)).findings == ()


class TestRecipients:
    """Objects about addresses that are there only because a message went to them."""

    def post(self, hub: HubInProcess, *more: Any) -> tuple[list[str], str]:
        address, account = make_object("email-addr"), make_object("user-account")
        victim = address | {
            "id": VICTIM,
            "value": "jane@bank.test",
            "belongs_to_ref": account["id"],
            "object_marking_refs": [GREEN],
        }
        sender = address | {"id": SENDER, "value": "phisher@evil.top", "belongs_to_ref": None}
        sender = {k: v for k, v in sender.items() if v} | {"object_marking_refs": [GREEN]}
        account |= {"user_id": "jdoe99", "object_marking_refs": [GREEN]}
        message = make_object("email-message", from_ref=SENDER, to_refs=[VICTIM], cc_refs=[VICTIM])
        message |= {"object_marking_refs": [GREEN]}
        everything = [each["id"] for each in (victim, sender, message, account)]
        report = sdo("report", name="r", published=TIME, object_refs=everything)
        status = hub.push(victim, sender, message, account, report, *more)
        return hub.verdicts(status), dumps(hub.feed("green", "north"))

    def test_the_addresses_of_recipients_are_not_published_nor_listed(
        self, hub: HubInProcess
    ) -> None:
        verdicts, shown = self.post(hub)
        assert verdicts == ["refused", "admitted", "admitted", "refused", "admitted"]
        assert "phisher@evil.top" in shown
        assert "jane" not in shown and "jdoe99" not in shown
        (report,) = [e for e in hub.feed("green", "north") if e["type"] == "report"]
        assert len(report["object_refs"]) == 2

    def test_an_address_of_a_recipient_is_not_published_under_another_id_either(
        self, hub: HubInProcess
    ) -> None:
        copy = make_object("email-addr", value="Jane@bank.test", belongs_to_ref=None)
        copy = {k: v for k, v in copy.items() if v} | {"object_marking_refs": [GREEN]}
        verdicts, shown = self.post(hub, copy | {"id": f"email-addr--{uuid.uuid4()}"})
        assert (verdicts[0], verdicts[-1]) == ("refused", "refused")
        assert "phisher@evil.top" in shown and "jane" not in shown.lower()

    def test_an_address_that_sent_a_message_under_another_id_is_published(
        self, hub: HubInProcess
    ) -> None:
        copy = make_object("email-addr", value="jane@bank.test", belongs_to_ref=None)
        copy = {k: v for k, v in copy.items() if v} | {"object_marking_refs": [GREEN]}
        copy |= {"id": f"email-addr--{uuid.uuid4()}"}
        message = make_object("email-message", from_ref=copy["id"])
        message |= {"id": f"email-message--{uuid.uuid4()}", "object_marking_refs": [GREEN]}
        verdicts, shown = self.post(hub, copy, message)
        assert verdicts[0] == "admitted" and "jane@bank.test" in shown

    def test_an_address_that_an_indicator_is_about_is_published(self, hub: HubInProcess) -> None:
        about = hub_indicator(pattern="[email-addr:value = 'Jane@bank.test']")
        verdicts, shown = self.post(hub, about)
        assert verdicts[0] == "admitted" and "jane@bank.test" in shown

    @pytest.mark.parametrize(
        ("mode", "verdict"),
        [("keep", "admitted"), ("ask", "held"), ("hold", "held"), ("refuse", "refused")],
    )
    def test_the_mode_of_recipients_decides_about_their_addresses(
        self, store: Store, mode: str, verdict: str
    ) -> None:
        hub = HubInProcess(store, more=f'[rules.message_headers]\nrecipients = "{mode}"\n')
        assert self.post(hub)[0][0] == verdict

    def test_a_malformed_message_does_not_spoil_the_rest(self, hub: HubInProcess) -> None:
        odd = make_object("email-message", to_refs=[["a"], 5, {}], cc_refs="x", bcc_refs=None)
        assert self.post(hub, odd | {"from_ref": ["b"]})[0][1] == "admitted"


class TestPayloads:
    def test_an_artifact_with_its_content_is_held(self) -> None:
        artifact = {"type": "artifact", "payload_bin": "AAAA", "hashes": {"MD5": "0" * 32}}
        assert apply_rule("payloads", artifact).verdict is Verdict.HELD

    def test_an_artifact_without_content_passes(self) -> None:
        artifact = {"type": "artifact", "url": "http://evil.test/a", "hashes": {"MD5": "0" * 32}}
        assert apply_rule("payloads", artifact).findings == ()

    def test_traffic_is_published_without_what_was_sent(self) -> None:
        traffic = {
            "type": "network-traffic",
            "protocols": ["http"],
            "src_payload_ref": ARTIFACT,
            "dst_payload_ref": ARTIFACT,
            "extensions": {
                "http-request-ext": {
                    "request_method": "post",
                    "request_value": "/gate.php",
                    "message_body_data_ref": ARTIFACT,
                    "request_header": {"Cookie": ["id=1"], "User-Agent": ["evil/1.0"]},
                }
            },
        }
        result = apply_rule("payloads", traffic, secrets=["id=1"]).object
        request = result["extensions"]["http-request-ext"]
        assert set(result) == {"type", "protocols", "extensions"}
        assert request == {
            "request_method": "post",
            "request_value": "/gate.php",
            "request_header": {"User-Agent": ["evil/1.0"]},
        }

    def test_an_analyst_is_asked_about_a_command_line(self) -> None:
        process = {"type": "process", "pid": 7, "command_line": "net use /user:jane hunter2"}
        candidate = apply_rule("payloads", process, secrets=["jane", "hunter2"])
        assert candidate.object == {"type": "process", "pid": 7}
        assert actions(candidate) == {"command_line": Action.ASKED}

    def test_a_process_that_is_only_its_command_line_is_held(self) -> None:
        process = {
            "type": "process",
            "id": "process--3bc740bc-763a-5f0a-8c7c-c85f319ae188",
            "command_line": "whoami",
        }
        assert apply_rule("payloads", process).verdict is Verdict.HELD

    def test_the_environment_of_a_process_is_removed(self) -> None:
        process = {"type": "process", "pid": 7, "environment_variables": {"USERNAME": "jane"}}
        assert apply_rule("payloads", process).object == {"type": "process", "pid": 7}

    def test_a_file_is_published_without_its_content(self) -> None:
        file = {"type": "file", "name": "a.exe", "content_ref": ARTIFACT}
        assert apply_rule("payloads", file).object == {"type": "file", "name": "a.exe"}

    def test_a_command_line_in_a_pattern_stays(self) -> None:
        subject = indicator("[process:command_line LIKE '%whoami%']")
        assert apply_rule("payloads", subject).object == subject

    @pytest.mark.parametrize(
        ("pattern", "setting"),
        [
            ("[artifact:payload_bin = h'6a616e65']", "artifact"),
            ("[artifact:payload_bin = b'amFuZQ==']", "artifact"),
            ("[file:content_ref.payload_bin = h'6a616e65']", "artifact"),
            (f"[{_REQUEST_HEADER}.Authorization = 'Basic amFuZTpzZWNyZXQ=']", "secrets"),
            (f"[{_REQUEST_HEADER}.'Set_Cookie'[0] LIKE 'jane%']", "secrets"),
            ("[process:environment_variables.USERNAME = 'jane']", "environment"),
            ("[process:parent_ref.environment_variables.'A' != 'jane']", "environment"),
            ("[file:extensions.'pdf-ext'.document_info_dict.Author = 'jane']", "metadata"),
            ("[file:extensions.'raster-image-ext'.exif_tags.Artist = 'jane']", "metadata"),
            (f"[{_VALUE}.name = 'DefaultPassword' AND {_VALUE}.data = 'jane']", "secrets"),
            (f"[{_VALUE}.name MATCHES 'DefaultPass' AND {_VALUE}.data = 'jane']", "secrets"),
            (f"[{_KEY} = 'HKLM\\\\x\\\\Password' AND {_VALUE}.data = 'jane']", "secrets"),
        ],
    )
    def test_a_pattern_on_what_an_observable_would_lose_is_held(
        self, pattern: str, setting: str
    ) -> None:
        subject = indicator(pattern)
        held = apply_rule("payloads", subject, secrets=["jane", "amFu", "6a61"])
        assert held.verdict is Verdict.HELD and held.object == subject
        for mode, verdict in (("refuse", Verdict.REFUSED), ("keep", Verdict.OPEN)):
            assert apply_rule("payloads", subject, {setting: mode}).verdict is verdict
        assert apply_rule("payloads", subject, approve_settings("payloads", {})).is_open

    @pytest.mark.parametrize(
        "pattern",
        [
            f"[{_REQUEST_HEADER}.'User-Agent' = 'evil/1.0']",
            "[artifact:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']",
            "[file:extensions.'pdf-ext'.document_info_dict.Producer = 'Word']",
            f"[{_VALUE}.name = 'DefaultPassword']",
            f"[{_VALUE}.name = 'DisablePasswordChange' AND {_VALUE}.data = '1']",
            f"[{_KEY} = 'HKLM\\\\x\\\\PasswordExpiry' AND {_VALUE}.data = '1']",
        ],
    )
    def test_a_pattern_on_what_an_observable_keeps_passes(self, pattern: str) -> None:
        assert apply_rule("payloads", indicator(pattern)).findings == ()

    @pytest.mark.parametrize(
        ("mode", "verdict"),
        [("hold", Verdict.HELD), ("refuse", Verdict.REFUSED), ("keep", Verdict.OPEN)],
    )
    def test_each_payload_setting_may_be_changed(self, mode: str, verdict: Any) -> None:
        process = {"type": "process", "pid": 7, "command_line": "whoami"}
        assert apply_rule("payloads", process, {"command_line": mode}).verdict is verdict


class TestSecretsAndMetadata:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("HKLM\\Software\\x", {"name": "DefaultPassword"}),
            ("HKLM\\Software\\x", {"name": "altdefaultpassword"}),
            ("HKCU\\Software\\x", {"name": "ControlPassword"}),
            ("HKLM\\Software\\x\\DefaultPassword", {"data_type": "REG_SZ"}),
        ],
    )
    def test_a_password_in_the_registry_is_removed(self, key: str, value: Any) -> None:
        bare = {"type": "windows-registry-key", "key": key, "values": [value, {"name": "Run"}]}
        full = bare | {"values": [value | {"data": "S3cret"}, {"name": "Run"}]}
        assert apply_rule("payloads", full, secrets=["S3cret"]).object == bare
        assert apply_rule("payloads", full, {"secrets": "hold"}).verdict is Verdict.HELD

    def test_another_value_in_the_registry_stays(self) -> None:
        value = {"name": "DisablePasswordChange", "data": "1"}
        key = {"type": "windows-registry-key", "key": "HKLM\\x", "values": [value]}
        assert apply_rule("payloads", key).object == key

    @pytest.mark.parametrize(
        "name",
        [
            *("X-Session-Token", "Cookie2", "X-Amz-Security-Token", "X-Vault-Token"),
            *("Private-Token", "X-CSRFToken", "X-Authorization", "Api-Key", "Authentication"),
            *("X-Remote-User", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP", "X_API_KEY"),
            *("X-Originating-IP", "X-Forward-For", "Via", "X-Remote-IP", "X-SSL-Client-S-DN"),
            *("X-Client-Cert", "X-MS-Client-Principal-Name", "X-MSISDN", "X-Source-IP"),
            *("Cookie", "Proxy-Authorization", "X-Forwarded-For", "Forwarded", "Referer", "From"),
        ],
    )
    def test_request_headers_with_secrets_or_senders_are_removed(self, name: str) -> None:
        headers = {"request_header": {name: ["secret"], "User-Agent": ["evil/1.0"]}}
        traffic = {"type": "network-traffic", "extensions": {"http-request-ext": headers}}
        result = apply_rule("payloads", traffic, secrets=["secret"]).object
        left = result["extensions"]["http-request-ext"]["request_header"]
        assert left == {"User-Agent": ["evil/1.0"]}

    @pytest.mark.parametrize(
        "name", ["Host", "User-Agent", "Accept", "Content-Type", "X-Powered-By"]
    )
    def test_headers_that_describe_the_program_stay(self, name: str) -> None:
        headers = {"request_header": {name: ["evil"]}}
        traffic = {"type": "network-traffic", "extensions": {"http-request-ext": headers}}
        assert apply_rule("payloads", traffic).object == traffic

    def test_the_password_of_an_account_is_removed(self) -> None:
        account = {"type": "user-account", "user_id": "1001", "credential": "hunter2"}
        result = apply_rule("payloads", account, secrets=["hunter2"])
        assert result.object == {"type": "user-account", "user_id": "1001"}

    @pytest.mark.parametrize(
        "tag", ["Artist", "OwnerName", "CameraOwnerName", "GPSLatitude", "BodySerialNumber"]
    )
    def test_tags_of_a_photograph_that_identify_somebody_are_removed(self, tag: str) -> None:
        tags = {"exif_tags": {tag: "secret", "Make": "Canon"}}
        file = {"type": "file", "name": "a.jpg", "extensions": {"raster-image-ext": tags}}
        result = apply_rule("payloads", file, secrets=["secret"]).object
        assert result["extensions"]["raster-image-ext"]["exif_tags"] == {"Make": "Canon"}

    @pytest.mark.parametrize("name", ["Author", "Company", "LastModifiedBy"])
    def test_authors_of_a_document_are_removed_and_its_program_stays(self, name: str) -> None:
        info = {"document_info_dict": {name: "Jane Roe", "Producer": "Word", "Title": "Invoice"}}
        file = {"type": "file", "name": "a.pdf", "extensions": {"pdf-ext": info}}
        result = apply_rule("payloads", file, secrets=["Jane"]).object
        assert set(result["extensions"]["pdf-ext"]["document_info_dict"]) == {"Producer", "Title"}


class TestHashesOfReferences:
    """The hashes in an external reference are those of the document at its URL."""

    @pytest.mark.parametrize("more", [{}, {"description": "a page"}, {"external_id": "1"}])
    def test_hashes_of_a_reference_are_removed_with_its_url(self, more: Any) -> None:
        link = {"source_name": "s", "url": "https://x.com/jane_doe/status/1"}
        other = {"source_name": "t", "url": "https://t.test/a", "hashes": {"MD5": "1" * 32}}
        subject = indicator(
            external_references=[{**link, "hashes": {"MD5": "0" * 32}, **more}, other]
        )
        left = apply_rule("anonymise_source", subject).object["external_references"]
        assert left == ([{"source_name": "s", **more}, other] if more else [other])
