"""A valid object of each STIX 2.1 type, and a hypothesis strategy for varied ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

UUID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
TIME = "2026-01-01T00:00:00.000Z"
LATER = "2026-01-02T00:00:00.000Z"
SHA256 = "ab" * 32


def ref(kind: str, uuid: str = UUID) -> str:
    """Build an id of that type."""
    return f"{kind}--{uuid}"


DOMAIN_OBJECTS: dict[str, dict[str, Any]] = {
    "attack-pattern": {"name": "a"},
    "campaign": {"name": "a", "first_seen": TIME, "last_seen": LATER},
    "course-of-action": {"name": "a"},
    "grouping": {"context": "suspicious-activity", "object_refs": [ref("malware")]},
    "identity": {"name": "a", "roles": ["buyer"]},
    "incident": {"name": "a"},
    "indicator": {
        "pattern": "[domain-name:value = 'a.evil-shop.ru']",
        "pattern_type": "stix",
        "valid_from": TIME,
        "valid_until": LATER,
    },
    "infrastructure": {"name": "a", "first_seen": TIME, "last_seen": LATER},
    "intrusion-set": {"name": "a", "first_seen": TIME, "last_seen": LATER},
    "location": {"region": "northern-europe"},
    "malware": {"is_family": True, "name": "a", "sample_refs": [ref("file")]},
    "malware-analysis": {
        "product": "a",
        "result": "malicious",
        "analysis_started": TIME,
        "analysis_ended": LATER,
        "analysis_sco_refs": [ref("file")],
    },
    "note": {"content": "a", "object_refs": [ref("malware")]},
    "observed-data": {
        "first_observed": TIME,
        "last_observed": LATER,
        "number_observed": 1,
        "object_refs": [ref("file")],
    },
    "opinion": {"opinion": "agree", "object_refs": [ref("malware")]},
    "report": {"name": "a", "published": TIME, "object_refs": [ref("malware")]},
    "threat-actor": {"name": "a", "first_seen": TIME, "last_seen": LATER},
    "tool": {"name": "a"},
    "vulnerability": {"name": "a"},
    "relationship": {
        "relationship_type": "uses",
        "source_ref": ref("malware"),
        "target_ref": ref("tool"),
        "start_time": TIME,
        "stop_time": LATER,
    },
    "sighting": {"sighting_of_ref": ref("malware"), "first_seen": TIME, "last_seen": LATER},
    "language-content": {"object_ref": ref("malware"), "contents": {"de": {"name": "b"}}},
}
"""Properties of a valid object of each type, without the common ones."""

OBSERVABLES: dict[str, dict[str, Any]] = {
    "artifact": {"payload_bin": "YQ=="},
    "autonomous-system": {"number": 64496},
    "directory": {"path": "/tmp", "contains_refs": [ref("file")]},
    "domain-name": {"value": "evil-shop.ru", "resolves_to_refs": [ref("ipv4-addr")]},
    "email-addr": {"value": "a@evil-shop.ru", "belongs_to_ref": ref("user-account")},
    "email-message": {"is_multipart": False, "from_ref": ref("email-addr"), "date": TIME},
    "file": {"hashes": {"SHA-256": SHA256}, "parent_directory_ref": ref("directory")},
    "ipv4-addr": {"value": "45.12.3.4", "belongs_to_refs": [ref("autonomous-system")]},
    "ipv6-addr": {"value": "2a00:1::1", "resolves_to_refs": [ref("mac-addr")]},
    "mac-addr": {"value": "d2:fb:49:24:37:18"},
    "mutex": {"name": "a"},
    "network-traffic": {
        "protocols": ["tcp"],
        "src_ref": ref("ipv4-addr"),
        "dst_port": 80,
        "start": TIME,
        "end": LATER,
    },
    "process": {"pid": 1, "image_ref": ref("file"), "created_time": TIME},
    "software": {"name": "a", "languages": ["en"]},
    "url": {"value": "https://evil-shop.ru/a"},
    "user-account": {
        "user_id": "a",
        "account_first_login": TIME,
        "account_last_login": LATER,
    },
    "windows-registry-key": {"key": "HKEY_LOCAL_MACHINE\\Software\\a", "modified_time": TIME},
    "x509-certificate": {
        "serial_number": "1",
        "validity_not_before": TIME,
        "validity_not_after": LATER,
    },
}
"""The same for observables."""


def make_object(kind: str, **more: Any) -> dict[str, Any]:
    """Build a valid object of that type; `more` adds or replaces properties, None removes one."""
    subject = {"type": kind, "spec_version": "2.1", "id": ref(kind)}
    if kind in DOMAIN_OBJECTS:
        subject |= {"created": TIME, "modified": TIME, **DOMAIN_OBJECTS[kind]}
    else:
        subject |= OBSERVABLES[kind]
    return {name: value for name, value in (subject | more).items() if value is not None}


_words = st.text(alphabet="aA bZ-_.\u00e9\u200b\u00ad0", min_size=1, max_size=12)
_times = st.sampled_from((TIME, LATER, "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.123456Z"))
_hashes = st.dictionaries(
    st.sampled_from(("md5", "MD5", "sha256", "SHA-256", "SHA1", "x_own")),
    st.text(alphabet="0aF", min_size=32, max_size=64),
    min_size=1,
)
_selectors = st.sampled_from(("id", "labels", "labels.[0]", "labels.[1]", "name", "x_own", "zzz"))
_OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "labels": st.lists(st.sampled_from(("a", "A", " a", " ", "b c")), min_size=1, max_size=4),
    "created": _times,
    "modified": _times,
    "valid_until": _times,
    "last_seen": _times,
    "name": _words,
    "description": _words,
    "spec_version": st.sampled_from(("2.0", "2.1")),
    "lang": st.sampled_from(("en", "pt-BR", "no language")),
    "confidence": st.integers(-1, 101),
    "x_own": _words,
    "created_by_ref": st.sampled_from((ref("identity"), ref("source"))),
    "object_marking_refs": st.lists(
        st.sampled_from((ref("marking-definition"), ref("marking-definition", OTHER))), max_size=3
    ),
    "granular_markings": st.lists(
        st.fixed_dictionaries(
            {
                "marking_ref": st.just(ref("marking-definition")),
                "selectors": st.lists(_selectors, min_size=1, max_size=2),
            }
        ),
        min_size=1,
        max_size=2,
    ),
    "external_references": st.lists(
        st.fixed_dictionaries(
            {"source_name": _words, "url": st.just("https://a.example/"), "hashes": _hashes}
        ),
        min_size=1,
        max_size=2,
    ),
    "hashes": _hashes,
    "value": st.sampled_from(
        (
            "EVIL-shop.ru",
            "45.12.3.4/32",
            "D2-FB-49-24-37-18",
            "a@B.ru",
            "HTTP://A.ru:80/B",
            " a.ru.",
        )
    ),
    "pattern": st.sampled_from(
        (
            "[domain-name:value='A.ru'] OR [domain-name:value='b.ru']",
            "[file:hashes.sha256 = 'AB']",
            "[url:value = 'HTTP://a.ru/\u200bB']",
            "rule a { condition: true }",
        )
    ),
    "pattern_type": st.sampled_from(("stix", "yara", "zeek")),
    "key": st.sampled_from(("hklm\\a", "HKEY_LOCAL_MACHINE\\a", "a")),
    "indicator_types": st.lists(_words, min_size=1, max_size=3),
    "object_refs": st.lists(
        st.sampled_from((ref("file"), ref("malware"), ref("file"))), min_size=1, max_size=4
    ),
}


@st.composite
def objects(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Draw an object of that type, valid except for up to five drawn properties."""
    names = draw(st.lists(st.sampled_from(sorted(_OPTIONAL)), max_size=5, unique=True))
    return make_object(kind, **{name: draw(_OPTIONAL[name]) for name in names})


def yara_bomb(length: int, number: int = 0) -> str:
    """A rule of `length` characters that takes minutes: nested repeated alternations."""
    group = "(" * 60 + "a" + "|.)+" * 60
    head = f'rule a {{ strings: $a = "{number}" $b = /xyz'
    tail = "/s condition: any of them }"
    return (head + group * ((length - len(head) - len(tail)) // len(group)) + tail).ljust(length)
