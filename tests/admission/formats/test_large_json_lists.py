"""Lists as JSON that are larger than memory give the candidates of small ones."""

import io
import json
import random
from typing import Any

import pytest
from support.examples import examples
from support.reading import list_or_error, read_large

from tocsin.admission import formats
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction import json_stream, tlp_words, verified_file
from tocsin.admission.extraction.tlp_words import find_strictest_in_pieces, find_strictest_tlp
from tocsin.admission.formats import json_list
from tocsin.admission.model import Tlp, Verdict

OPTIONS = formats.ReadOptions(now=1_790_000_000_000_000, tlp=Tlp.GREEN)
HOSTS = [f"host{number}.bad-portal.top" for number in range(200)]


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_file, "_BLOCK", 512)
    monkeypatch.setattr(json_list, "_LONGEST_KEPT", 300)


LISTS = {
    "an array": HOSTS,
    "repeated values": [*HOSTS, *HOSTS, "https://bad-portal.top/x"],
    "values of all kinds": [*HOSTS, 5, None, "what?", "CVE-2021-44228", "http://evil.com/<id>"],
    "allowed values in front": {"allow": [*HOSTS[:50], "good.com"], "deny": HOSTS},
    "allowed values behind": {"deny": HOSTS, "allow": HOSTS[150:]},
    "names in each other": {"data": {"a": {"blocklist": HOSTS, "n": 1}}, "deny": ["evil.com"]},
    "two lists of one name": {"a": {"deny": HOSTS[:90]}, "a.deny": HOSTS[60:]},
    "other lists": {"deny": HOSTS, "scores": list(range(300)), "sources": HOSTS},
    "a level": {"tlp": "amber", "deny": HOSTS},
    "a level that is none": {"tlp": "mauve", "deny": HOSTS},
    "a level in a text": {"deny": [*HOSTS[:99], "xTLP:RED is TLP:AMBER+STRICT", *HOSTS[99:]]},
    "arrays in an array": {"deny": [*HOSTS, [1], {"a": [2]}]},
}


@pytest.mark.parametrize("value", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_candidates_are_those_of_the_whole(value: Any, indent: int | None, mark: bytes) -> None:
    content = mark + json.dumps(value, indent=indent).encode()
    found = formats.read_large("list.json", io.BytesIO(content), OPTIONS)
    assert found is not None
    assert list_or_error(lambda: found) == list_or_error(
        lambda: formats.read("list.json", content, OPTIONS)
    )


def test_a_value_that_is_allowed_behind_it_is_refused() -> None:
    content = json.dumps({"deny": HOSTS, "allow": HOSTS[150:]}).encode()
    found = read_large("list.json", content, OPTIONS)
    assert found is not None
    assert [each.verdict for each in found] == [Verdict.OPEN] * 150 + [Verdict.REFUSED] * 50


TEXT = json.dumps({"deny": HOSTS, "allow": []})


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1],
        TEXT + "]",
        TEXT.replace('"host150.bad-portal.top"', '"host150.bad-portal.top'),
        TEXT.replace('"host150.bad-portal.top"', "NaN"),
        TEXT.replace('"host150.bad-portal.top"', '"\\ud800"'),
        TEXT.replace('"host150.bad-portal.top"', "[" * 70 + "]" * 70),
        TEXT.replace('"allow"', '"deny"'),
        TEXT.replace('"allow": []', '"allow": [,]'),
        json.dumps({"objects": HOSTS}),
        json.dumps({"deny": HOSTS, "type": "bundle"}),
        json.dumps({"deny": HOSTS, "response": {}}),
        json.dumps([*HOSTS, {"Event": {}}]),
        json.dumps({"names": HOSTS}),
        json.dumps(["no", "values"] * 100),
    ],
)
def test_others_are_read_as_a_whole(text: str) -> None:
    assert read_large("list.json", text.encode(), OPTIONS) is None


@pytest.mark.parametrize("name", ["whitelist.json", "list.rules"])
def test_a_name_may_speak_against_it(name: str) -> None:
    assert read_large(name, TEXT.encode(), OPTIONS) is None


def test_a_list_that_changes_while_it_is_read_is_an_error() -> None:
    stream = io.BytesIO(TEXT.encode())
    found = formats.read_large("list.json", stream, OPTIONS)
    assert found is not None
    next(found)
    stream.seek(TEXT.index("host180"))
    stream.write(b"g")
    with pytest.raises(Unprocessable, match="changed while it was read"):
        list(found)


@pytest.mark.parametrize("seed", range(examples(80, 40)))
def test_any_list_is_read_alike_in_both_ways(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(json_list, "_LONGEST_KEPT", chance.choice([5, 50, 500]))
    monkeypatch.setattr(json_stream, "_PIECE", chance.choice([7, 100, 1 << 20]))
    content = spoil(json.dumps(any_list(chance), indent=chance.choice([None, 1])).encode(), chance)
    found = formats.read_large("list.json", io.BytesIO(content), OPTIONS)
    if found is not None:
        whole = list_or_error(lambda: formats.read("list.json", content, OPTIONS))
        assert list_or_error(lambda: found) == whole


def any_list(chance: random.Random, depth: int = 0) -> Any:
    values = chance.sample(HOSTS, 5) * chance.randint(0, 2) + ["evil.com", "EVIL[.]com", "what?"]
    if depth == 0 and chance.random() < 0.3:
        return values
    names = ["deny", "allow", "data", "tlp", "type", "list", "a", "a.deny", ""]
    return {
        name: any_list(chance, depth + 1)
        if depth < 5 and chance.random() < 0.3
        else chance.choice([values, values, values, [], 5, "green", "TLP:AMBER"])
        for name in chance.sample(names, chance.randint(1, 4))
    }


def spoil(content: bytes, chance: random.Random) -> bytes:
    """The file with something that parsers disagree about."""
    at = chance.randrange(len(content) + 1)
    depth = chance.randint(55, 70)
    return chance.choice(
        [
            content,
            content,
            content[:at],
            content[:at] + bytes([chance.randrange(256)]) + content[at:],
            content.replace(b'"evil.com"', chance.choice([b"NaN", b'"\\ud800"', b"1e999"]), 1),
            content.replace(b'"deny"', b'"deny": [], "deny"', 1),
            content.replace(b'"deny"', b'"d\\u0065ny"'),
            content.replace(b'"evil.com"', b"[" * depth + b"]" * depth, 1),
            content.replace(b'"evil.com"', b'"tLp:red TLP", "TLP:AMBER", "TLP:REDdish"'),
            content.replace(b",", b"\t,\r\n") + b"\n",
            content.replace(b"[", b"[ \r", 2),
        ]
    )


@pytest.mark.parametrize("seed", range(examples(100, 60)))
def test_levels_are_found_wherever_a_text_is_cut(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tlp_words, "_OVERLAP", 22)
    chance = random.Random(seed)
    words = [
        "TLP:AMBER",
        "+strict",
        "TLP:RED",
        "dish",
        "tLp:red",
        "\n",
        " ",
        "x" * 30,
        "tlp: -green",
    ]
    text = "".join(chance.choices(words, k=chance.randint(0, 12)))
    cuts = sorted(chance.choices(range(len(text) + 1), k=chance.randint(0, 9)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert find_strictest_in_pieces(pieces) == find_strictest_tlp(enumerate(text.split("\n"), 1))
