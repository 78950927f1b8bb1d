"""MISP files that are larger than memory give the candidates of small ones."""

import io
import json
import random
from typing import Any

import pytest
from support.examples import examples
from support.misp_events import MD5, NOW, STAMP, attribute, event, object_, uuid
from support.reading import list_or_error, read_large

from tocsin.admission import formats
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction import json_stream, verified_file
from tocsin.admission.formats.misp import large
from tocsin.admission.model import Tlp

OPTIONS = formats.ReadOptions(now=NOW, tlp=Tlp.GREEN)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_file, "_BLOCK", 512)
    monkeypatch.setattr(large, "_LONGEST_EVENT", 2_000)
    monkeypatch.setattr(large, "_LONGEST_KEPT", 100)


SHORT = event(attribute(), attribute("ip-dst", "198.51.100.7", 2))
LONG = event(
    *(attribute("domain", f"h{n}.bad-portal.top", n) for n in range(40)),
    attribute("target-email", "victim@acme.example", 50, comment="of ACME"),
    attribute("link", "https://report.example/ACME", 51, category="External analysis"),
    attribute("link", "https://report.example/1", 52, category="External analysis"),
    attribute("domain", "h3.bad-portal.top", 3, comment="seen by Umbrella Corp"),
    Object=[object_("file", attribute("md5", MD5, 60), attribute("filename", "a.exe", 61))] * 2,
    Orgc={"name": "Umbrella Corp"},
    Tag=[{"name": "tlp:amber"}],
)
SHAPES = {
    "an event": LONG,
    "a bare event": LONG["Event"],
    "a list": [SHORT, LONG, SHORT],
    "a response": {"response": [LONG, SHORT, LONG]},
    "a response with others": {"page": 1, "response": [SHORT, LONG], "limit": [1, {"a": []}]},
    "an event as a response": {"response": LONG},
    "a list of bare events": [LONG["Event"], SHORT["Event"]],
    "values that are no events": [LONG, 5, "x", [], {}, SHORT],
    "a search for attributes": {"response": {"Attribute": LONG["Event"]["Attribute"]}},
    "no list": {"Event": LONG["Event"] | {"Object": {}}},
    "an event of another organisation": {"Event": LONG["Event"] | {"distribution": "0"}},
    "a draft": {"Event": LONG["Event"] | {"published": False}},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("indent", [None, 1])
def test_the_candidates_are_those_of_the_whole(shape: Any, indent: int | None) -> None:
    content = json.dumps(shape, indent=indent).encode()
    stream = io.BytesIO(content)
    found = formats.read_large("a.json", stream, OPTIONS)
    assert found is not None
    assert list_or_error(lambda: found) == list_or_error(
        lambda: formats.read("a.json", content, OPTIONS)
    )


TEXT = json.dumps({"response": [SHORT, LONG, SHORT]})


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1],
        TEXT[:-2] + "}",
        TEXT + "x",
        TEXT.replace('"h39.bad-portal.top"', '"h39.bad-portal.top'),
        TEXT.replace('"h39.bad-portal.top"', "tru"),
        TEXT.replace('"h39.bad-portal.top"', '"h39", '),
        TEXT.replace('"Orgc"', '"Attribute": [], "Orgc"'),
        TEXT.replace('"h39.bad-portal.top"', "[" * 300 + "]" * 300),
        json.dumps([1, 2, "Event"]),
        json.dumps({"response": [{"type": "indicator"}]}),
    ],
)
def test_a_file_that_is_broken_anywhere_gives_no_event(text: str) -> None:
    assert read_large("a.json", text.encode(), OPTIONS) is None


def test_an_attribute_that_no_parser_would_take_is_refused_alone() -> None:
    content = TEXT.replace(f'"{STAMP}"', "NaN", 5).replace("h39", "\\ud800").encode()
    found = read_large("a.json", content, OPTIONS)
    assert found is not None
    assert [each.object is None for each in found].count(True) == 2  # the first event, and h39
    assert found == list(formats.read("a.json", content, OPTIONS))


def test_a_file_that_changes_while_it_is_read_is_an_error() -> None:
    stream = io.BytesIO(TEXT.encode())
    found = formats.read_large("a.json", stream, OPTIONS)
    assert found is not None
    next(found)
    stream.seek(TEXT.index("h30.bad"))
    stream.write(b"g")
    with pytest.raises(Unprocessable, match="changed while it was read"):
        list(found)


@pytest.mark.parametrize("seed", range(examples(80, 40)))
def test_any_file_is_read_alike_in_both_ways(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(large, "_LONGEST_EVENT", chance.choice([10, 500, 3_000]))
    monkeypatch.setattr(large, "_LONGEST_MEMBER", chance.choice([100, 1_000]))
    monkeypatch.setattr(json_stream, "_PIECE", chance.choice([7, 100, 1 << 20]))
    content = spoil(json.dumps(any_file(chance), indent=chance.choice([None, 1])).encode(), chance)
    found = formats.read_large("a.misp", io.BytesIO(content), OPTIONS)
    if found is not None:
        whole = list_or_error(lambda: formats.read("a.misp", content, OPTIONS))
        assert list_or_error(lambda: found) == whole


def any_file(chance: random.Random) -> Any:
    events = [any_event(chance) for _ in range(chance.randint(0, 4))]
    return chance.choice([events, {"response": events}, any_event(chance), [*events, 1, "x", {}]])


def any_event(chance: random.Random) -> Any:
    tags = [[{"name": "tlp:green"}], [{"name": "tlp:mauve"}], []]
    more = {
        "Tag": chance.choice(tags),
        "Orgc": {"name": "Umbrella Corp"},
        "published": False,
        "distribution": chance.choice("01359"),
        "ShadowAttribute": [attribute("target-user", "Bob Smith")],
        "Attribute": chance.choice([None, {}, [], [1, "x"]]),
        "Object": [object_("person", *any_attributes(chance)) for _ in range(2)],
    }
    some = {name: value for name, value in more.items() if chance.random() < 0.25}
    made = event(*any_attributes(chance), **some)
    return chance.choice([made, made, made["Event"], {"Event": 1}])


def any_attributes(chance: random.Random) -> list[Any]:
    kinds = ["domain", "link", "md5", "filename", "target-email", "vulnerability", "first-name"]
    values = ["evil.com", "https://report.example/x", MD5, "a.exe", "Bob Smith", "CVE-2021-1", 5]
    return [
        attribute(
            chance.choice(kinds),
            chance.choice(values),
            chance.randrange(9),
            category=chance.choice(["External analysis", "Payload delivery"]),
            comment=chance.choice(["", "by Umbrella Corp", "TLP:AMBER", '{["}]']),
            deleted=chance.random() < 0.1,
        )
        for _ in range(chance.choice([0, 1, 4, 9]))
    ]


def spoil(content: bytes, chance: random.Random) -> bytes:
    """The file with something that parsers disagree about."""
    at = chance.randrange(len(content) + 1)
    return chance.choice(
        [
            content,
            content,
            content[:at],
            content[:at] + bytes([chance.randrange(256)]) + content[at:],
            content.replace(b'"evil.com"', b'"\\ud800"', 1),
            content.replace(f'"{STAMP}"'.encode(), b"NaN", chance.choice([1, -1])),
            content.replace(b'"to_ids"', b'"uuid": "x", "to_ids"', 1),
            content.replace(b'"info"', b'"Attribute": [], "info"', 1),
            content.replace(b'"Attribute"', b'"Attr\\u0069bute"'),
            content.replace(f'"{STAMP}"'.encode(), b"[" * 90 + b"]" * 90, 1),
            content.replace(f'"{STAMP}"'.encode(), b"1" * 5_000, 1),
            b"\xef\xbb\xbf\r\n" + content.replace(b",", b"\t,\r\n") + b"\n\n",
        ]
    )


def test_an_id_that_comes_again_in_a_long_event_is_a_duplicate_or_refused() -> None:
    content = json.dumps([LONG, LONG, event(attribute("domain", "other.top", 3))]).encode()
    found = read_large("a.json", content, OPTIONS)
    assert found is not None
    verdicts = [each.verdict.value for each in found if each.source_id == f"indicator--{uuid(3)}"]
    assert verdicts == ["open", "refused", "duplicate", "refused", "refused"]
