"""Private data is found in property names, and in disguised text."""

import time
import tracemalloc
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from support.planted_secrets import POLICY, SPELLINGS
from support.slowness import measure_slowness
from support.stix_objects import make_object

from tocsin.admission import Pipeline
from tocsin.admission.detectors import disguises
from tocsin.admission.detectors.disguises import decode_text, fold_text
from tocsin.admission.model import Candidate, Submitter, Verdict
from tocsin.admission.warninglists.index import WarningLists

QUUX = Submitter(partner="quux", names=("Quux Motors",))
KEEPING = replace(POLICY, custom_properties="keep")
NOW = 1_790_000_000_000_000


def examine(subject: Any, policy: Any = POLICY) -> Any:
    candidate = Candidate(0, subject, subject["id"], subject.get("modified"))
    (candidate,) = Pipeline(policy, QUUX, WarningLists([])).examine([candidate], NOW)
    return candidate


def examine_description(text: Any) -> Any:
    return examine(make_object("malware", description=text)).object["description"]


class TestNamesOfProperties:
    @pytest.mark.parametrize("name", ["x_quux_motors", "jane@bank.test", "to 10.1.2.3", "Quux"])
    def test_a_property_name_with_private_data_is_removed_with_its_value(self, name: str) -> None:
        reference = {"source_name": "a", "external_id": "1", "x_more": {name: "b", "c": "d"}}
        candidate = examine(make_object("malware", external_references=[reference]), KEEPING)
        assert candidate.object["external_references"][0]["x_more"] == {"c": "d"}
        assert not any(name in f"{f.path} {f.message}" for f in candidate.findings)

    def test_the_value_of_a_removed_name_is_not_searched_again(self) -> None:
        inner = {"jane@bank.test": {"of": "joan@bank.test"}}
        reference = {"source_name": "a", "external_id": "1", "x_more": inner}
        candidate = examine(make_object("malware", external_references=[reference]), KEEPING)
        assert candidate.object["external_references"] == [{"source_name": "a", "external_id": "1"}]
        assert [f.path for f in candidate.findings if f.rule == "personal_data"] == [
            "external_references[0].x_more"
        ]

    def test_an_object_that_would_be_invalid_without_the_name_is_refused(self) -> None:
        candidate = examine(make_object("file", name=None, hashes={"x_quux_motors": "0" * 32}))
        assert candidate.verdict is Verdict.REFUSED

    def test_names_of_the_standard_and_harmless_names_stay(self) -> None:
        inner = {"document_info_dict": {"Producer": "nobody", "quux": "b", "Title": "c"}}
        candidate = examine(make_object("file", name="a.pdf", extensions={"pdf-ext": inner}))
        assert candidate.object["extensions"]["pdf-ext"] == {
            "document_info_dict": {"Producer": "nobody", "Title": "c"}
        }


class TestDisguises:
    @pytest.mark.parametrize("spelling", sorted(SPELLINGS))
    @pytest.mark.parametrize(
        "text", ["jane.doe@bank.test", "10.1.2.3", "Quux Motors", "DE89 3704 0044 0532 0130 00"]
    )
    def test_private_data_is_masked_in_every_disguise(self, text: str, spelling: Any) -> None:
        description = examine_description(f"Seen: {SPELLINGS[spelling](text)} today")
        assert description.startswith("Seen: [removed: ") and description.endswith("] today")

    @pytest.mark.parametrize(
        "text",
        [
            *("SSN:078-05-1121", "tel=+49 30 901820", "log_10.1.2.3_old", "_10.1.2.3_"),
            *("Tel:+49 30 901820", "card:4111 1111 1111 1111"),
        ],
    )
    def test_private_data_joined_to_a_word_is_masked(self, text: Any) -> None:
        assert "[removed: " in examine_description(text)

    @pytest.mark.parametrize(
        "text",
        [
            *("100% of 40% &amp; more", "C:\\u0041pp", "a_b_c", "CVE-2021-1234567", "port:4444"),
            *("Ünïcödé – 日本語 ①", "https://evil.top/a%20b?c=%41", "\\x41\\x42"),
        ],
    )
    def test_harmless_text_stays_as_it_is_written(self, text: Any) -> None:
        assert examine_description(text) == text

    def test_each_decoded_character_keeps_its_place_in_the_original(self) -> None:
        text = "a%40b\u200d&#46;c \\u0040"
        (reading,) = decode_text(text)
        assert reading.text == "a@b.c @"
        places = [reading.original_span(i, i + 1) for i in range(len(reading.text))]
        assert [text[start:end] for start, end in places] == [
            *("a", "%40", "b", "&#46;", "c", " ", "\\u0040")
        ]

    @pytest.mark.parametrize("text", ["\ufb01\u200b<b>\uff41</b>e\u0301", "\u0430<i>b</i>\u0441"])
    def test_each_folded_character_keeps_its_place_in_the_original(self, text: str) -> None:
        folded = fold_text(text)
        places = [folded.original_span(i, i + 1) for i in range(len(folded.text))]
        assert [fold_text(text[start:end]).text[:1] for start, end in places] == [
            *("f" if each == "i" else each for each in folded.text)
        ]

    def test_a_password_in_a_defanged_url_is_masked(self) -> None:
        description = examine_description("hxxps://jane:hunter2[@]evil[.]top/x")
        assert description == "hxxps://[removed: credentials in a URL]evil[.]top/x"


ARABIC = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")
DEVANAGARI = {ord(str(digit)): chr(0x0966 + digit) for digit in range(10)}
ENTRA_ID = "S-1-12-1-1943430372-1249052806-2496021943-3034400218"
DOMAIN = "bolt-grid.example"


def encode(octets: bytes) -> str:
    return b64encode(octets).decode()


class TestEncodings:
    @pytest.mark.parametrize("digits", [ARABIC, DEVANAGARI])
    @pytest.mark.parametrize(
        "text", ["+49 30 901820", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"]
    )
    def test_numbers_in_the_digits_of_other_scripts_are_masked(
        self, text: str, digits: dict[int, Any]
    ) -> None:
        description = examine_description(f"Seen: {text.translate(digits)} today")
        assert description.startswith("Seen: [removed: ") and description.endswith("] today")

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("jane.doe@<b>bank.test</b>", "{}</b>"),
            ("<i>jane.doe</i>@bank.test", "<i>{}"),
            ("jane.doe<wbr>@<b>bank.test</b>", "{}</b>"),
            ("jane.doe<span class='at'>@</span>bank.test", "{}"),
            ("<b>jane.doe</b><i>@</i><b>bank.test</b>", "<b>{}</b>"),
            ("jane.doe@bank-<br>one.test", "{}"),
            ("jane-<wbr>\r\ndoe@bank.test", "{}"),
            ("jane.doe@\nbank.test", "{}"),
            ("jane.doe@\r\n> bank.test", "{}"),
            ("=?utf-8?Q?jane.doe=40bank.test?=", "=?utf-8?Q?{}?="),
            (f"=?utf-8?B?{encode(b'jane.doe@bank.test')}?=", "{}"),
            ("jane.doe&#0000064;bank.test", "{}"),
            ("jane.doe&#x00040;bank.test", "{}"),
            ("jane.doe@ba&#8203;nk.test", "{}"),
            ("jane.doe@ba&shy;nk.test", "{}"),
            ("jane.doe@ba=\nnk.test", "{}"),
        ],
    )
    def test_an_address_is_masked_in_the_encodings_of_programs(self, text: str, left: str) -> None:
        masked = f"Seen: {left} today".format("[removed: e-mail address]")
        assert examine_description(f"Seen: {text} today") == masked

    @pytest.mark.parametrize("between", [",", "\u00b7", "\u2022", "\n", "\r\n", "\n> "])
    def test_a_card_number_is_masked_whatever_separates_its_groups(self, between: str) -> None:
        text = between.join(("4111", "1111", "1111", "1111"))
        assert examine_description(f"Seen: {text}.") == "Seen: [removed: payment card number]."

    @pytest.mark.parametrize(
        "text",
        [
            *("4111,1111,1111,1111,2222", "80\n4111\n1111\n1111\n1111", "1,2,3,4,5,6,7,8,9,10"),
            *("4111\n1111\n1111\n1111\n443", "4443,8080,8443,9001", "a=40 b=2E x=2Dy"),
            *("size=40px, timeout=2Dfoo", "x-\ny <b>z</b>@ f(1)g(2)", "=?utf-8?B?/////w==?="),
        ],
    )
    def test_lists_of_numbers_and_harmless_signs_stay(self, text: str) -> None:
        assert examine_description(text) == text

    def test_a_security_identifier_of_entra_id_is_masked(self) -> None:
        assert examine_description(f"by {ENTRA_ID}") == "by [removed: account name]"

    def test_a_sign_that_stands_for_several_keeps_its_place(self) -> None:
        text = "CN=x,DC=a,DC=b a@<b>b</b>"
        (reading,) = decode_text(text)
        assert reading.text == "CN=x.a.b a@b</b>"
        start = reading.text.index("a@b")
        assert reading.original_span(start, start + 3) == (text.index("a@"), text.index("</b>"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        *("a@<b>", "a<b>", "a<b>@<b>", "a-<b>", "-<b>a", "a@\n", "a-\n", "(1)a", "a(1)"),
        *(",dc=a", "=40", "a=\n", "=?utf-8?b?a"),
        *("4111\n", "4111,", "4111\u00b7", "ABCDabcd\n", "ABCDabcd\n> ", "&#000", "S-1-12-1-1"),
    ],
)
def test_searching_hostile_encodings_takes_linear_time(piece: str) -> None:
    text = piece * (40_000 // len(piece))
    began = time.process_time()
    examine_description(text)
    assert time.process_time() - began < 5 * measure_slowness()


class TestDomainsInLogs:
    @pytest.mark.parametrize(
        "text",
        [
            *("CN=x,DC=bolt-grid,DC=example", "(4)vpn1(9)bolt-grid(7)example(0)"),
            *("bolt-\ngrid.example", "bolt-grid=\n.example", "bolt=2Dgrid=2Eexample"),
            *("bolt&shy;-grid.example", "bolt&#8203;-grid.example"),
            f"{encode(DOMAIN.encode())[:8]}\r\n{encode(DOMAIN.encode())[8:]}",
            *(encode(DOMAIN.encode("utf-16")), encode(f"\ufeff{DOMAIN}".encode("utf-16-be"))),
            *(encode(b"\0\x9d" + DOMAIN.encode()), encode(b"\xff\x01 at bolt-grid.example \x99")),
        ],
    )
    def test_a_domain_of_the_submitter_is_masked_as_logs_and_mails_write_it(
        self, text: str
    ) -> None:
        submitter = replace(QUUX, terms=(DOMAIN,))
        subject = make_object("malware", description=f"Seen: {text} today")
        pipeline = Pipeline(POLICY, submitter, WarningLists([]))
        (candidate,) = pipeline.examine([Candidate.from_object(0, subject)], NOW)
        description = (candidate.object or {})["description"]
        assert "[removed: victim's name, domain or network]" in description
        assert description.startswith("Seen: ") and description.endswith(" today")
        assert not any(part in description for part in ("bolt", "grid", "vpn1", text[-12:]))

    @pytest.mark.parametrize("word", ["AAAAAAAA", "xY7kQ2mB9cT4wE6r", "A" * 4_000, "ab/Cd\nef/Gh"])
    def test_runs_that_encode_no_text_stay(self, word: str) -> None:
        assert examine_description(f"key {word} end") == f"key {word} end"


class TestPlaces:
    @pytest.mark.parametrize("text", ["/home/jane/.ssh/id_1", "https://x.com/jane/status/2081543"])
    def test_paths_and_links_are_not_taken_for_hashes(self, text: str) -> None:
        candidate = examine(make_object("file", name="a", hashes={"x_key": text}))
        assert "jane" not in str(candidate.object)

    def test_a_text_among_hashes_is_searched(self) -> None:
        candidate = examine(make_object("file", name="a", hashes={"x_key": "ask jane@bank.test"}))
        assert candidate.is_open and "hashes" not in candidate.object

    @pytest.mark.parametrize("name", ["ssdeep", "x_key"])
    def test_a_name_among_the_letters_of_a_hash_is_found(self, name: str) -> None:
        text = "96:s4Ud1Lj96tHHlZDrwciQmA+4uy1I0G4HYuL8:Quux/Motors"
        candidate = examine(make_object("file", hashes={"MD5": "0" * 32, name: text}))
        assert candidate.is_open and candidate.object["hashes"] == {"MD5": "0" * 32}

    @pytest.mark.parametrize("word", ["quux-motors-at", "078-05-1121"])
    def test_a_custom_relationship_type_is_searched(self, word: str) -> None:
        assert (
            examine(make_object("relationship", relationship_type=word)).verdict is Verdict.REFUSED
        )
        assert examine(make_object("relationship", relationship_type="x-at")).is_open

    def test_a_custom_pattern_type_is_searched(self) -> None:
        candidate = examine(make_object("indicator", pattern="a", pattern_type="jane@bank.test"))
        assert "jane" not in str(candidate.object)

    def test_what_is_no_word_of_a_vocabulary_is_left_for_the_rules_to_read(self) -> None:
        candidate = examine(make_object("tool", tool_types=["seen: PESEL 44051401359 today"]))
        assert candidate.object["tool_types"] == [
            "seen: PESEL [removed: national identity number] today"
        ]
        assert "078" not in str(examine(make_object("tool", tool_types=["see 078-05-1121"])).object)
        words = ["Reported by Jane Doe", "mrs doe", "Reported By Vendor"]
        assert examine(make_object("tool", tool_types=words)).object["tool_types"] == [
            *("Reported by [removed: person's name]", "mrs [removed: person's name]"),
            "reported-by-vendor",
        ]
        assert examine(make_object("tool", tool_types=["Remote_Access x"])).object[
            "tool_types"
        ] == ["remote-access-x"]

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("autonomous-system", "rir"), ("x509-certificate", "signature_algorithm")],
    )
    def test_properties_that_do_not_identify_an_observable_are_searched(
        self, kind: str, name: str
    ) -> None:
        candidate = examine(make_object(kind, **{name: "jane@bank.test"}))
        assert candidate.object[name] == "[removed: e-mail address]"

    def test_the_short_name_by_which_the_hub_knows_the_submitter_is_masked(self) -> None:
        assert examine_description("Seen at QUUX.") == "Seen at [removed: submitter's name]."


class TestCodesOfLanguages:
    @pytest.mark.parametrize("code", ["de-x-quux", "de-quux"])
    def test_language_codes_that_contain_the_submitters_name_are_removed(self, code: str) -> None:
        candidate = examine(make_object("malware", lang=code))
        assert candidate.is_open and "lang" not in candidate.object
        marked = [{"lang": code, "selectors": ["name"]}]
        examined = examine(make_object("malware", granular_markings=marked))
        assert not examined.is_open or "quux" not in str(examined.object).lower()

    @pytest.mark.parametrize("code", ["de", "pt-BR", "zh-Hant-TW", "es-419", "de-CH-1996"])
    def test_language_codes_that_name_a_language_stay(self, code: str) -> None:
        marked = [{"lang": code, "selectors": ["name"]}]
        examined = examine(make_object("malware", lang=code, granular_markings=marked)).object
        assert (examined["lang"], examined["granular_markings"]) == (code, marked)


class TestOwnValues:
    @pytest.mark.parametrize(
        "url",
        [
            "https://files.evil.com/o/login%2Fpage.js?alt=media&token=4ac98b2d-9c63-487a",
            "https://evil.com/a%2fb/report_2?session_id=4ac98b2d9c63",
        ],
    )
    def test_stay_in_the_object_s_own_texts_though_they_are_read_otherwise(self, url: str) -> None:
        fields = {"pattern": f"[url:value = '{url}']", "pattern_type": "stix"}
        more = {"valid_from": "2026-01-01T00:00:00Z", "name": url}
        candidate = examine(make_object("indicator", **fields, **more))
        assert candidate.object["name"] == url


@pytest.mark.slow
def test_a_text_of_all_characters_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        for start in range(0x1000, 0x110000, 0x8000):
            text = "".join(map(chr, range(start, min(start + 0x8000, 0x110000))))
            decode_text(text)
            fold_text(text)
        del text
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 60_000_000


@pytest.mark.parametrize("read", [decode_text, fold_text])
def test_characters_without_a_meaning_are_not_remembered(read: Any) -> None:
    read("\u0430")
    before = len(disguises._PLAIN), len(disguises._FOLDED)
    read("".join(map(chr, range(0x100000, 0x101000))))
    assert (len(disguises._PLAIN), len(disguises._FOLDED)) == before
