"""Generated submissions with secrets wherever STIX allows text (hypothesis strategies)."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import strategies as st
from support.stix_objects import DOMAIN_OBJECTS, OBSERVABLES, UUID, make_object

from tocsin.admission.errors import Unprocessable
from tocsin.admission.markings.tlp import TLP_1_IDS, TLP_2_IDS
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.free_text import matched_values
from tocsin.admission.stix.schemas import schemas
from tocsin.admission.stix.validate import validate
from tocsin.config.loading import policy_text
from tocsin.server.model import Partner

NOW = 1_790_000_000_000_000
SENT = "2019-03-07T04:05:06.789Z"
"""The creation time of every submitted object; if published, it would identify the sender."""
AMBER = "zamberqword"
"""Part of every text that only readers of TLP:AMBER may see."""
QUUX = Partner(
    "quuxslug", "Quux Motors", terms=("quux-motors.example", "Zorbl Nine"), mask_everywhere=True
)
VEXIL = Partner(
    "vexilslug", "Vexil Dairy", terms=("vexil-dairy.example", "45.13.0.0/16"), mask_everywhere=True
)
PARTNERS = {QUUX.slug: "5ec2e701", VEXIL.slug: "5ec2e702"}
"""The start of the ids that each partner sends."""
NAMES = {QUUX.slug: "Quux Motors", VEXIL.slug: "Vexil Dairy"}
POLICY = parse_policy(policy_text(None))

Object = dict[str, Any]

SECRETS = {
    "name": ("{name}", "{name}"),
    "slug": ("{slug}", "{slug}"),
    "domain": ("vpn.quux-motors.example", "quux-motors"),
    "product": ("Zorbl Nine", "zorbl nine"),
    "network": ("45.13.7.8", "45.13.7.8"),
    "e-mail": ("jqroez.doe@bank.test", "jqroez"),
    "telephone": ("+49 30 901820", "30 901820"),
    "card": ("4111 1111 1111 1111", "4111 1111"),
    "IBAN": ("DE89 3704 0044 0532 0130 00", "3704 0044"),
    "SSN": ("078-05-1121", "078-05-1121"),
    "identity number": ("PESEL 44051401359", "44051401359"),
    "person": ("Reported by Joqan Roe-Smith", "joqan"),
    "postal address": ("Musterstraße 12a, 10115 Berlin", "musterstraße"),
    "user": (r"C:\Users\jqroez\Desktop", "jqroez"),
    "home": ("/home/jqroez/.ssh", "jqroez"),
    "password": ("https://jqroez:huntqer2@evil.top/x", "huntqer2"),
    "token": ("https://evil.top/?sid=0123abcd", "0123abcd"),
    "address in a URL": ("https://evil.top/?to=jqroez%40bank.com", "jqroez"),
    "address in base64": ("https://evil.top/?to=anFyb2V6QGJhbmsuY29t", "anfyb2v6qgjhbmsu"),
    "private address": ("10.31.77.5", "10.31.77.5"),
    "handle": ("@jqroez_x", "jqroez"),
    "post": ("https://x.com/jqroez/status/2081543335966347395", "jqroez"),
}
"""By kind: the planted text, and the part of it that must never be published."""

_GUESSED = frozenset(("person", "postal address"))
"""Kinds that are recognised by capitals and words, so they are planted without disguise."""
_WITH_CASE = frozenset(("user", "home", "address in base64", "slug"))
_IN_VALUES = ("name", "domain", "product", "network", "user", "password", "address in a URL")
"""Kinds for which an indicator or an observable on the value is held."""


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _escaped(text: str, form: str) -> str:
    return "".join(c if c.isalnum() else form.format(ord(c)) for c in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "lower": str.lower,
    "defanged": lambda text: text.replace(".", "[.]").replace("@", "[@]"),
    "full width": _wide,
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "entities": lambda text: _escaped(text, "&#{};"),
    "JSON escapes": lambda text: _escaped(text, "\\u{:04x}"),
    "zero width": lambda text: "\u200b".join(text),
    "joiner": lambda text: f"{text[:4]}\u200d{text[4:]}",
    "direction": lambda text: f"{text[:4]}\u200e{text[4:]}",
    "tag": lambda text: f"{text[:4]}\U000e0041{text[4:]}",
    "hard blanks": lambda text: text.replace(" ", "\u00a0"),
    "hard hyphens": lambda text: text.replace("-", "\u2011"),
}
_CASES = ("upper", "lower")
_FRAMES = (
    "{}",
    "Seen: {} today",
    "\n- {}\n",
    "({})",
    "see also {}, and more",
    "x, {} – so",
    '"{}"',
)

SHAPES: dict[str, Callable[[Any], Any]] = {
    "text": lambda text: text,
    "item": lambda text: [text],
    "value": lambda text: {"key": text},
    "name": lambda text: {text: "value"},
    "value in a list": lambda text: [{"name": text}],
    "values": lambda text: {"key": [text]},
    "names deeper": lambda text: {"key": {text: "value"}},
}
"""Values that contain the text."""

_DEEPER: dict[str, Callable[[Any], Any]] = {
    "external_references.source_name": lambda x: [{"source_name": x, "external_id": "1"}],
    "external_references.description": lambda x: [
        {"source_name": "a", "external_id": "1", "description": x}
    ],
    "external_references.url": lambda x: [{"source_name": "a", "external_id": "1", "url": x}],
    "external_references.external_id": lambda x: [{"source_name": "a", "external_id": x}],
    "external_references.x_more": lambda x: [{"source_name": "a", "external_id": "1", "x_more": x}],
    "external_references.hashes": lambda x: [
        {"source_name": "a", "url": "https://a.top/x", "hashes": x}
    ],
    "kill_chain_phases.kill_chain_name": lambda x: [{"kill_chain_name": x, "phase_name": "a"}],
    "kill_chain_phases.phase_name": lambda x: [{"kill_chain_name": "a", "phase_name": x}],
    "extensions.pdf-ext": lambda x: {"pdf-ext": {"document_info_dict": x}},
    "extensions.ntfs-ext": lambda x: {"ntfs-ext": {"alternate_data_streams": [{"name": x}]}},
    "extensions.archive-ext": lambda x: {
        "archive-ext": {"contains_refs": ["file--" + UUID], "comment": x}
    },
    "extensions.windows-process-ext": lambda x: {"windows-process-ext": {"window_title": x}},
    "extensions.windows-service-ext": lambda x: {
        "windows-service-ext": {"service_name": "a", "descriptions": x}
    },
    "extensions.unix-account-ext": lambda x: {"unix-account-ext": {"home_dir": x}},
    "extensions.extension-definition": lambda x: {f"extension-definition--{UUID}": {"a": x}},
}
_FIXED = frozenset(("id", "type", "created", "modified", "extensions", "granular_markings"))
_PLAIN = "plainword"


@dataclass(frozen=True)
class PlantedProperty:
    """A property of one type of object that can hold a text."""

    name: str
    shape: str

    def plant(self, subject: Object, text: str) -> Object:
        """Return the object with the text in this place."""
        held = SHAPES[self.shape](text)
        value = _DEEPER[self.name](held) if self.name in _DEEPER else held
        return {**subject, self.name.partition(".")[0]: value}


_STRIPPED = (PlantedProperty("x_own", "value"), PlantedProperty("x_own", "names deeper"))
"""Places in custom properties, which are removed."""


@cache
def places(kind: str) -> tuple[PlantedProperty, ...]:
    """Find the places in objects of the type that may hold a text and leave the object valid."""
    names = [*sorted(schemas()[kind].properties - _FIXED), *_DEEPER, "x_own"]
    every = (PlantedProperty(name, shape) for name in names for shape in SHAPES)
    return tuple(place for place in every if _is_allowed(kind, place))


def _is_allowed(kind: str, place: PlantedProperty) -> bool:
    subject = place.plant(make_object(kind), _PLAIN)
    try:
        valid = validate(Candidate(0, subject), POLICY, NOW)
        kept = _PLAIN in json.dumps(valid.object) or place in _STRIPPED
        return (
            valid.is_open and kept and _PLAIN not in [text for _, text in matched_values(subject)]
        )
    except (Unprocessable, TypeError):
        return False


@dataclass
class Planted:
    """A submission of one partner, and the secrets in it."""

    slug: str
    objects: list[Object] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def body(self, escaped: bool) -> bytes:  # noqa: FBT001
        """Return the envelope; with `escaped`, each character of each text as a JSON escape."""
        text = json.dumps({"objects": self.objects})
        if escaped:
            text = re.sub(r"(?<=: \")[^\"\\]+(?=\")", lambda m: _all_escaped(m[0]), text)
        return text.replace(UUID, PARTNERS[self.slug] + UUID[8:]).encode()


def _all_escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" for c in text) if UUID not in text else text


@st.composite
def secrets(draw: st.DrawFn, slug: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    """Draw a text with a secret in one of many spellings, and the secret."""
    kind = draw(st.sampled_from(kinds))
    text, part = (
        each.replace("{name}", NAMES[slug]).replace("{slug}", slug) for each in SECRETS[kind]
    )
    if kind in _GUESSED:
        return f"{text}.", part
    known = [each for each in SPELLINGS if kind not in _WITH_CASE or each not in _CASES]
    disguised = SPELLINGS[draw(st.sampled_from(known))](text)
    return draw(st.sampled_from(_FRAMES)).format(disguised), part.lower()


@st.composite
def submissions(draw: st.DrawFn, slug: str) -> Planted:
    """Draw a few objects of any type that refer to each other, with secrets in some places."""
    sent = Planted(
        slug,
        [_author(slug), make_object("malware"), make_object("file", name="a"), make_object("tool")],
    )
    every = sorted({**DOMAIN_OBJECTS, **OBSERVABLES})
    for kind in draw(st.lists(st.sampled_from(every), min_size=2, max_size=5, unique=True)):
        subject = make_object(kind)
        chosen = draw(st.lists(st.sampled_from(places(kind)), min_size=1, max_size=3))
        for place in chosen:
            known = tuple(k for k in SECRETS if place.shape == "text" or k not in _GUESSED)
            text, part = draw(secrets(slug, known))
            subject = place.plant(subject, text)
            sent.secrets.add(part)
        sent.objects = [each for each in sent.objects if each["type"] != kind]
        sent.objects.append(draw(marked(subject)))
    sent.objects += draw(st.lists(indicators(slug, sent), min_size=1, max_size=3))
    sent.objects = [_set_stamps(each) for each in sent.objects]
    return sent


@st.composite
def marked(draw: st.DrawFn, subject: Object) -> Object:
    """Mark the object with one of three TLP levels; texts of TLP:AMBER contain AMBER."""
    level = draw(st.sampled_from((Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER)))
    ids = draw(st.sampled_from((TLP_1_IDS, TLP_2_IDS)))
    subject = {**subject, "object_marking_refs": [ids[level]]}
    name = draw(st.sampled_from(("description", "labels", "external_references")))
    if name not in schemas()[subject["type"]].properties or name in subject:
        return subject
    if level is Tlp.AMBER or draw(st.booleans()):
        held = {
            "description": f"a {AMBER}",
            "labels": ["open", AMBER],
            "external_references": [{"source_name": "a", "description": AMBER}],
        }[name]
        where = {"labels": "labels.[1]"}.get(name, name)
        subject[name] = held
        if level is not Tlp.AMBER:
            subject["granular_markings"] = [{"marking_ref": ids[Tlp.AMBER], "selectors": [where]}]
    return subject


@st.composite
def indicators(draw: st.DrawFn, slug: str, sent: Planted) -> Object:
    """Draw an indicator that all partners report, or one whose pattern contains a secret."""
    number = draw(st.integers(0, 2))
    pattern = f"[domain-name:value = 'shared{number}.evil-shop.ru']"
    if draw(st.booleans()):
        kind = draw(st.sampled_from(_IN_VALUES))
        text = SECRETS[kind][0].replace("{name}", NAMES[slug])
        quoted = text.replace("\\", "\\\\")
        pattern = f"[url:value = '{quoted}' OR file:name = '{quoted}']"
        sent.secrets.add(SECRETS[kind][1].replace("{name}", NAMES[slug]).lower())
    subject = make_object("indicator", id=f"indicator--{UUID[:-2]}{draw(st.integers(10, 99))}")
    text, part = draw(secrets(slug, tuple(SECRETS)))
    sent.secrets.add(part)
    texts = {"pattern": pattern, "name": text, "confidence": draw(st.integers(0, 100))}
    return draw(marked({**subject, **texts}))


def _author(slug: str) -> Object:
    return make_object(
        "identity",
        name=NAMES[slug],
        identity_class="organization",
        contact_information=f"soc@{slug}.test",
    )


def _set_stamps(subject: Object) -> Object:
    if subject["type"] in OBSERVABLES:
        return subject
    stamps = {"created": SENT, "modified": SENT, "created_by_ref": f"identity--{UUID}"}
    if "object_modified" in subject:
        stamps["object_modified"] = SENT
    return {**subject, **stamps}


def decoded_texts(body: bytes) -> Iterator[str]:
    """Yield the text of a response as received, and decoded in all known ways."""
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):  # with its headers it is not JSON
        text += json.dumps(json.loads(text[text.find("{") :]), ensure_ascii=False)
    once = unicodedata.normalize("NFKC", urllib.parse.unquote(html.unescape(text)))
    once = re.sub(r"\\+u00([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), once)
    shown = "".join(c for c in once if unicodedata.category(c) != "Cf")
    shown = shown.lower().replace("[.]", ".").replace("[@]", "@").replace("\u2010", "-")
    yield text.lower()
    yield shown


def encodings_of(secret: str) -> tuple[str, ...]:
    """Return the secret, and its middle in base64 at each alignment."""
    coded = [base64.b64encode(b"x" * n + secret.encode()).decode()[4:-4] for n in range(3)]
    return (secret, *(each.lower() for each in coded if len(each) > 7))  # noqa: PLR2004
