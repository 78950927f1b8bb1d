"""Objects on which each mode of each rule setting is tried (test_rule_settings_exhaustive.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from json import dumps
from typing import Any, NamedTuple

from support.hub import AMBER, GREEN
from support.stix_objects import TIME, UUID, make_object, ref

from tocsin.admission.rules import setting_modes

Object = dict[str, Any]

TEXTS = {
    ("victim_terms", "text"): ("vpn.acme.example", "acme.example"),
    ("personal_data", "email"): ("jane.doe@bank.test", "jane.doe"),
    ("personal_data", "telephone"): ("+49 30 901820", "901820"),
    ("personal_data", "card"): ("4111 1111 1111 1111", "4111 1111"),
    ("personal_data", "iban"): ("DE89 3704 0044 0532 0130 00", "3704 0044"),
    ("personal_data", "us_ssn"): ("078-05-1121", "078-05"),
    ("personal_data", "national_id"): ("PESEL 44051401359", "44051401359"),
    ("personal_data", "postal_address"): ("Musterstraße 12a, 10115 Berlin", "Musterstraße"),
    ("personal_data", "person"): ("Reported by Joan Roe-Smith", "Joan"),
    ("user_paths", "users"): ("/home/jroe/.ssh", "jroe"),
    ("user_paths", "credentials"): ("https://jroe:hunter2@evil.test/x", "hunter2"),
    ("user_paths", "tokens"): ("https://evil.test/?sid=0123abcd", "0123abcd"),
    ("user_paths", "emails"): ("https://evil.test/?to=joan%40bank.com", "joan"),
}
"""For each text mode a text, and the part of it that must be masked."""

LATE = {"marking_ref": AMBER}
STATEMENT = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": ref("marking-definition"),
    "created": TIME,
    "definition_type": "statement",
}
CASE = make_object("malware", is_family=None) | {"type": "x-case", "id": ref("x-case")}
PLACES: dict[str, Callable[[str], Object]] = {
    "text": lambda text: make_object("malware", description=text),
    "label": lambda text: make_object("malware", labels=[text]),
    "reference": lambda text: make_object(
        "malware", external_references=[{"source_name": "a", "external_id": "1", "url": text}]
    ),
    "source of a reference": lambda text: make_object(
        "malware", external_references=[{"source_name": text, "external_id": "1"}]
    ),
    "phase": lambda text: make_object(
        "malware", kill_chain_phases=[{"kill_chain_name": "a", "phase_name": text}]
    ),
    "custom property": lambda text: make_object("malware", x_note={"a": [{"id": text}]}),
    "name of a property": lambda text: make_object("malware", x_note={text: "a", "b": "c"}),
    "part marked more strictly": lambda text: make_object(
        "malware", description=text, granular_markings=[LATE | {"selectors": ["description"]}]
    ),
    "item marked more strictly": lambda text: make_object(
        "malware", labels=["a", text], granular_markings=[LATE | {"selectors": ["labels.[1]"]}]
    ),
    "custom type": lambda text: CASE | {"x_note": text},
    "observable's display name": lambda text: make_object("email-addr", display_name=text),
    "translation": lambda text: make_object(
        "language-content", contents={"de": {"description": text}}
    ),
    "statement of a marking": lambda text: STATEMENT | {"definition": {"statement": text}},
}

URL, PATH = "https://jroe:hunter2@evil.test/", r"C:\Users\jroe\x.exe"
POST = "https://x.com/joan_roe/status/2081543335966347395"
SNORT = 'alert tcp any any -> any any (msg:"x"; content:"joan@bank.test"; sid:1;)'


def indicator_with(text: str, language: str = "stix") -> Object:
    """Build an indicator with this pattern."""
    return make_object("indicator", pattern=text, pattern_type=language)


def comparison_indicator(kind: str, value: str) -> Object:
    """Build an indicator with one comparison."""
    value = value.replace("\\", "\\\\")
    return indicator_with(f"[{kind} = '{value}']")


VALUES = {
    ("anonymise_source", "posts"): [(comparison_indicator("url:value", POST), "joan_roe")],
    ("user_paths", "value_users"): [
        (comparison_indicator("file:name", PATH), "jroe"),
        (indicator_with(r"[file:name MATCHES 'C:\\Users\\jroe\\x.exe']"), "jroe"),
        (make_object("directory", path=PATH), "jroe"),
    ],
    ("user_paths", "value_credentials"): [
        (comparison_indicator("url:value", URL), "hunter2"),
        (make_object("url", value=URL), "hunter2"),
    ],
    ("user_paths", "value_tokens"): [
        (comparison_indicator("url:value", "https://evil.test/?sid=0123abcd"), "0123abcd"),
        (make_object("url", value="https://evil.test/?sid=0123abcd"), "0123abcd"),
    ],
    ("user_paths", "value_emails"): [
        (comparison_indicator("url:value", "https://evil.test/?to=joan%40bank.com"), "joan"),
        (make_object("url", value="https://evil.test/?to=joan%40bank.com"), "joan"),
    ],
    ("personal_data", "individuals"): [
        (make_object("identity", name="Joan R", identity_class="individual"), "Joan")
    ],
    ("personal_data", "other_languages"): [
        (indicator_with(SNORT, "snort"), "joan"),
        (indicator_with("joan@bank.test", "made-up"), "joan"),
    ],
    ("victim_terms", "values"): [
        (comparison_indicator("domain-name:value", "acme.example.login.test"), "acme.example"),
        (comparison_indicator("ipv4-addr:value", "45.12.3.4"), "45.12.3.4"),
        (make_object("domain-name", value="vpn.acme.example"), "acme.example"),
        (indicator_with("vpn.acme.example", "pcre"), "acme.example"),
    ],
    ("victim_terms", "lookalikes"): [
        (comparison_indicator("domain-name:value", "acrnewidget.test"), "acrnewidget"),
        (make_object("domain-name", value="acrnewidget.test"), "acrnewidget"),
    ],
    ("message_headers", "values"): [
        (comparison_indicator("email-message:to_refs[*].value", "joan@bank.test"), "joan"),
        (comparison_indicator("email-message:received_lines[*]", "from joan"), "joan"),
    ],
    ("private_addresses", "mixed"): [
        (
            indicator_with("[ipv4-addr:value = '10.1.2.3' OR ipv4-addr:value = '45.13.1.1']"),
            "10.1.2.3",
        ),
        (indicator_with("10.1.2.3", "pcre"), "10.1.2.3"),
    ],
    ("benign", "wide"): [
        (indicator_with("[ipv4-addr:value = '52.0.0.0/8']"), "52.0.0.0"),
        (indicator_with("[ipv6-addr:value ISSUBSET '2600::/19']"), "2600::"),
    ],
}
"""For each value mode patterns and observables, with the part that must not be published."""

ARTIFACT = ref("artifact", UUID.replace("1", "3"))
VICTIM = ref("email-addr", UUID.replace("1", "4"))
REQUEST = {"request_method": "get", "request_value": "/"}
MIME = {"content_type": "text/plain", "body": "secret"}


def message(**more: Any) -> Object:
    """Build an e-mail message."""
    return make_object("email-message", is_multipart="body_multipart" in more, **more)


def traffic(**more: Any) -> Object:
    """Build network traffic with an HTTP request."""
    request = {"http-request-ext": REQUEST | more}
    return make_object("network-traffic", extensions=request)


def windows_process(**more: Any) -> Object:
    """Build a process of Windows."""
    return make_object("process", extensions={"windows-process-ext": {"aslr_enabled": True} | more})


def file_with(extension: str, name: str, **entries: str) -> Object:
    """Build a file whose extension has a dictionary."""
    return make_object("file", extensions={extension: {name: {"Other": "x"} | entries}})


PROPERTIES = {
    ("victim_terms", "sighters"): [
        (make_object("sighting", where_sighted_refs=[ref("identity")]), ref("identity"))
    ],
    ("message_headers", "recipients"): [
        (message(**{name: [VICTIM]}), VICTIM) for name in ("to_refs", "cc_refs", "bcc_refs")
    ],
    ("message_headers", "received"): [(message(received_lines=["from secret"]), "secret")],
    ("message_headers", "headers"): [
        (message(additional_header_fields={"X-Mailer": "secret"}), "secret")
    ],
    ("message_headers", "raw"): [(message(raw_email_ref=ARTIFACT), ARTIFACT)],
    ("message_headers", "subject"): [(message(subject="secret"), "secret")],
    ("message_headers", "body"): [
        (message(body="secret"), "secret"),
        (message(body_multipart=[MIME]), "secret"),
    ],
    ("payloads", "artifact"): [(make_object("artifact", payload_bin="c2Vj", url=None), "c2Vj")],
    ("payloads", "traffic"): [
        (make_object("network-traffic", src_payload_ref=ARTIFACT), ARTIFACT),
        (make_object("network-traffic", dst_payload_ref=ARTIFACT), ARTIFACT),
        (traffic(message_body_data_ref=ARTIFACT), ARTIFACT),
    ],
    ("payloads", "secrets"): [
        (traffic(request_header={"Cookie": ["secret"]}), "secret"),
        (make_object("user-account", user_id="1001", credential="secret"), "secret"),
    ],
    ("payloads", "session"): [
        (windows_process(window_title="secret - Notepad"), "secret"),
        (windows_process(startup_info={"lpTitle": "secret"}), "secret"),
        (make_object("network-traffic", ipfix={"userName": "secret"}), "secret"),
    ],
    ("payloads", "metadata"): [
        (file_with("pdf-ext", "document_info_dict", Author="secret"), "secret"),
        (file_with("raster-image-ext", "exif_tags", Artist="secret"), "secret"),
    ],
    ("payloads", "content"): [(make_object("file", content_ref=ARTIFACT), ARTIFACT)],
    ("payloads", "command_line"): [(make_object("process", command_line="secret"), "secret")],
    ("payloads", "environment"): [
        (make_object("process", environment_variables={"A": "secret"}), "secret")
    ],
}
"""For each property mode objects, with the part that must be removed."""


class Trial(NamedTuple):
    """One mode of one setting, an object that it applies to, and the secret in it."""

    rule: str
    setting: str
    mode: str
    subject: Object
    secret: str

    def __str__(self) -> str:
        return f"{self.rule}.{self.setting}={self.mode}"


def trials() -> Iterator[Trial]:
    """Yield each setting in each mode on each object that it applies to."""
    of_texts = [
        (*setting, place(text), secret)
        for setting, (text, secret) in TEXTS.items()
        for place in PLACES.values()
    ]
    others = [(*setting, *each) for setting, many in (VALUES | PROPERTIES).items() for each in many]
    for rule, setting, subject, secret in of_texts + others:
        for mode in setting_modes(rule)[setting]:
            marks = {} if "object_marking_refs" in subject else {"object_marking_refs": [GREEN]}
            yield Trial(rule, setting, mode, subject | marks, dumps(secret)[1:-1])
