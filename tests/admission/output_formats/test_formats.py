"""The files of each format: what they hold, and what hostile texts cannot do in them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.feed_states import NOW, TLP_GREEN, Object, encode, files_of, filled_state, listing

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp
from tocsin.admission.output_formats import output_formats
from tocsin.admission.patterns.grammar import quote_string
from tocsin.admission.timestamps import micros

FORMATS = list(output_formats())
TLP_AMBER = TLP_2_IDS[Tlp.AMBER]
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
ONE_OF_EACH = [
    listing("[domain-name:value = 'bad.test']", confidence=80),
    listing("[ipv4-addr:value = '198.51.100.7']"),
    listing("[ipv4-addr:value = '198.51.100.0/25']"),
    listing("[ipv6-addr:value = '2001:db8::7']"),
    listing("[url:value = 'http://bad.test/a?b=1']"),
    listing("[email-addr:value = 'me@bad.test']"),
    listing(f"[file:hashes.MD5 = '{MD5}']"),
    listing(f"[file:hashes.'SHA-256' = '{MD5 * 2}']"),
]


def texts(folder: Path, format: str, *objects: Object, **options: Any) -> dict[str, str]:
    return files_of(filled_state(folder, objects), format, **options)


def text(folder: Path, format: str, *objects: Object, **options: Any) -> str:
    return "\n".join(texts(folder, format, *objects, **options).values())


@pytest.mark.parametrize("format", FORMATS)
class TestEveryFormat:
    def test_the_order_in_which_objects_came_does_not_show(
        self, tmp_path: Path, format: str
    ) -> None:
        assert texts(tmp_path, format, *ONE_OF_EACH) == texts(tmp_path, format, *ONE_OF_EACH[::-1])

    def test_expired_and_revoked_indicators_are_in_no_format(
        self, tmp_path: Path, format: str
    ) -> None:
        pattern = "[domain-name:value = '{}.example.net']"
        expired = listing(pattern.format("expired"), valid_until="2026-05-31T23:59:59Z")
        revoked = listing(pattern.format("revoked"), 7)
        later = {**revoked, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"}
        current = listing(pattern.format("current"), valid_until="2026-06-01T00:00:01Z")
        found = text(tmp_path, format, expired, revoked, current, later)
        base64_of_current = "Y3VycmVudC5leGFtcGxlLm5ldA=="
        assert "current" in found.replace(base64_of_current, "current").replace(" |07|", "")
        for name in ("expired.example", "revoked.example", "ZXhwaXJlZ", "cmV2b2tlZ"):
            assert name not in found

    def test_an_indicator_below_the_minimum_confidence_is_left_out(
        self, tmp_path: Path, format: str
    ) -> None:
        names = {"low": 49, "high": 50, "unknown": None}
        pattern = "[url:value = 'http://{}.test/' OR domain-name:value = '{}.test']"
        objects = [
            {**listing(pattern.format(name, name)), "confidence": number}
            for name, number in names.items()
        ]
        found = text(tmp_path, format, *objects, least_confidence=50)
        assert ("high.test" in found, "low.test" in found, "unknown.test" in found) == (
            True,
            False,
            False,
        )

    def test_hostile_texts_stay_inside_their_place(self, tmp_path: Path, format: str) -> None:
        hostile = "x\"; alert;)\n=cmd|' /C calc'!A0\r\n\x1b[2J\tevil.invalid CNAME .\u202e\x00 {\""
        plain = texts(tmp_path, format, *ONE_OF_EACH)
        odd = [{**each, "name": hostile, "description": hostile} for each in ONE_OF_EACH]
        found = texts(tmp_path, format, *odd)
        assert found.keys() == plain.keys()
        for name, content in found.items():
            assert content.count("\n") == plain[name].count("\n")
            assert not set(content) & set("\x1b\x00\r")

    def test_a_hostile_id_stays_inside_its_place(self, tmp_path: Path, format: str) -> None:
        hostile = 'indicator--1"; sid:1;)\r\npass ip any any -> any any (msg:"x\tIntel::ADDR\x1b[2J'
        plain = texts(tmp_path, format, *ONE_OF_EACH)
        odd = [{**each, "id": f"{hostile}{n}"} for n, each in enumerate(ONE_OF_EACH)]
        found = texts(tmp_path, format, *odd)
        assert found.keys() == plain.keys()
        for name, content in found.items():
            assert content.count("\n") == plain[name].count("\n")
            assert content.count("; sid:1;") == 0 or name.endswith(("json", "jsonl", "csv"))
            assert not set(content) & set("\x1b\r")

    def test_a_hostile_name_of_the_feed_stays_inside_its_place(
        self, tmp_path: Path, format: str
    ) -> None:
        feed = 'x"; alert\n=1\r\x1b[2J\t; evil.invalid CNAME .\n'
        plain = texts(tmp_path, format, *ONE_OF_EACH)
        found = texts(tmp_path, format, *ONE_OF_EACH, feed=feed)
        assert len(found) == len(plain)
        assert all("/" not in name and "\n" not in name for name in found)
        lines = [content.count("\n") for content in found.values()]
        assert sorted(lines) == sorted(content.count("\n") for content in plain.values())

    def test_an_object_that_cannot_be_read_does_no_harm(self, tmp_path: Path, format: str) -> None:
        state = filled_state(tmp_path, ONE_OF_EACH)
        odd = [b"[1]", b'{"id": 5}', b'{"type":"indicator","pattern":"[x"}', b'{"a":1e999}']
        with state.changing():
            state.apply("feed", odd, "")
        found = "".join(files_of(state, format).values())
        assert "bad.test" in found.replace("YmFkLnRlc3Q=", "bad.test")

    def test_an_empty_feed_has_files(self, tmp_path: Path, format: str) -> None:
        assert texts(tmp_path, format) or format == "sigma"


def test_edl_has_a_sorted_file_for_each_kind(tmp_path: Path) -> None:
    more = [listing(f"[domain-name:value = '{name}.test']") for name in ("c", "a", "b")]
    again = listing("[domain-name:value = 'a.test']", 9)
    files = texts(tmp_path, "edl", *ONE_OF_EACH, *more, again)
    assert files["domain.txt"].split() == ["a.test", "b.test", "bad.test", "c.test"]
    assert files["ipv4.txt"].split() == ["198.51.100.0/25", "198.51.100.7"]
    assert (files["ipv6.txt"], files["md5.txt"]) == ("2001:db8::7\n", f"{MD5}\n")
    assert files["url-without-scheme.txt"] == "bad.test/a?b=1\n"
    assert files["sha512.txt"] == ""


@pytest.mark.parametrize("format", ["edl", "list"])
def test_urls_that_a_text_list_spells_alike_are_there_once(tmp_path: Path, format: str) -> None:
    urls = [f"https://bad.test/{tail}" for tail in ("a*b*", "a%2Ab*", "a*b%2A", "a%2ab")]
    found = text(tmp_path, format, *(listing(f"[url:value = '{url}']") for url in urls))
    assert found.count("https://bad.test/a%2Ab%2A\n") == 1
    assert found.count("https://bad.test/a%2ab\n") == 1


@pytest.mark.parametrize("format", ["edl", "list"])
@pytest.mark.parametrize("sign", list("*^|{}<>`"))
def test_no_value_of_a_text_list_holds_a_wildcard(tmp_path: Path, format: str, sign: str) -> None:
    urls = [f"https://bad.test/{tail}" for tail in (f"a{sign}b", f"?{sign}", f"{sign}/{sign}#x")]
    found = text(tmp_path, format, *(listing(f"[url:value = '{url}']") for url in urls))
    assert f"bad.test/a%{ord(sign):02X}b\n" in found
    assert sign not in found


def test_sensors_that_know_no_wildcard_get_the_url_as_it_is_sent(tmp_path: Path) -> None:
    sent = listing("[url:value = 'http://bad.test/a*b']")
    assert "bad.test/a*b\t" in text(tmp_path, "zeek", sent)
    assert 'content:"/a|2a|b"' in text(tmp_path, "suricata", sent)


@pytest.mark.slow
def test_an_edl_of_a_hundred_thousand_lines_is_in_order(tmp_path: Path) -> None:
    names = [f"h{n * 7919 % 100_000}.bad.test" for n in range(100_000)]
    objects = (listing(f"[domain-name:value = '{name}']", n + 1) for n, name in enumerate(names))
    lines = texts(tmp_path, "edl", *objects)["domain.txt"].splitlines()
    assert lines == sorted(names)


def test_a_value_stays_while_another_indicator_has_it(tmp_path: Path) -> None:
    pattern = "[domain-name:value = 'bad.test']"
    first, second = listing(pattern, 1), listing(pattern, 2, valid_until="2026-05-01T00:00:00Z")
    gone = {**first, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"}
    assert texts(tmp_path, "list", first, second)["values.txt"] == "bad.test\n"
    before = {"now": micros("2026-04-01T00:00:00Z")}
    assert texts(tmp_path, "list", first, second, gone, **before)["values.txt"] == "bad.test\n"
    assert texts(tmp_path, "list", first, second, gone)["values.txt"] == ""


def test_an_observable_alone_is_in_no_block_list(tmp_path: Path) -> None:
    seen = {"type": "domain-name", "id": "domain-name--1", "value": "seen.test"}
    for format in ("edl", "list", "suricata", "snort", "zeek", "rpz", "sigma"):
        assert "seen.test" not in text(tmp_path, format, seen)
    assert "seen.test" in text(tmp_path, "jsonl", seen)


def test_rpz_leaves_room_for_the_origin_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    name = ".".join(["a" * 60] * 4)[:230]
    zone = text(tmp_path, "rpz", listing(f"[domain-name:value = '{name}']"), *ONE_OF_EACH)
    assert name not in zone and zone.endswith("; names longer than 190 octets, left out: 1\n")
    assert "24.0" not in zone and "25.0.100.51.198.rpz-ip CNAME ." in zone


@pytest.mark.parametrize(
    "name", ["8.0.0.0.10.rpz-ip", "1.zz.rpz-client-ip", "test.rpz-nsdname", "rpz.rpz-passthru"]
)
def test_a_name_is_never_another_order_to_the_resolver(tmp_path: Path, name: str) -> None:
    zone = text(tmp_path, "rpz", listing(f"[domain-name:value = '{name}']"), *ONE_OF_EACH)
    assert name not in zone and "bad.test CNAME ." in zone


def test_zeek_has_five_fields_separated_by_tabs(tmp_path: Path) -> None:
    lines = text(tmp_path, "zeek", *ONE_OF_EACH, feed="a\tb").splitlines()
    assert {line.count("\t") for line in lines[1:]} == {3}
    assert lines[0].split("\t")[:3] == ["#fields", "indicator", "indicator_type"]
    kinds = [line.split("\t")[1] for line in lines[1:]]
    assert kinds[:3] == ["Intel::SUBNET", "Intel::ADDR", "Intel::ADDR"]


def test_sigma_takes_wildcards_of_values_literally(tmp_path: Path) -> None:
    files = texts(tmp_path, "sigma", listing("[url:value = 'http://bad.test/?a=*']"))
    rule = yaml.safe_load(files["sigma-url.yml"])
    assert rule["detection"]["values"]["c-uri"] == [r"http://bad.test/\?a=\*"]


def test_elastic_documents_have_the_fields_of_ecs(tmp_path: Path) -> None:
    lines = text(tmp_path, "elastic", *ONE_OF_EACH).split("\n")
    found = [json.loads(line)["threat"]["indicator"] for line in lines if line]
    by_type = {each["type"]: each for each in found}
    assert by_type["domain-name"]["url"] == {"domain": "bad.test"}
    assert by_type["domain-name"]["confidence"] == "High"
    assert by_type["domain-name"]["marking"] == {"tlp": "GREEN"}
    assert by_type["url"]["url"] == {"full": "http://bad.test/a?b=1", "domain": "bad.test"}
    assert {"ip": "2001:db8::7"}.items() <= by_type["ipv6-addr"].items()


def test_sentinel_requests_have_at_most_a_hundred_objects(tmp_path: Path) -> None:
    objects = [listing(f"[domain-name:value = 'h{n}.test']") for n in range(150)]
    lines = text(tmp_path, "sentinel", *objects).splitlines()
    assert [len(json.loads(line)["stixobjects"]) for line in lines] == [100, 50]


def test_opencti_has_scores_and_other_objects_as_they_came(tmp_path: Path) -> None:
    note = {"type": "note", "id": "note--1", "odd": [1]}
    bundle = json.loads(text(tmp_path, "opencti", ONE_OF_EACH[0], note))
    first, second = sorted(bundle["objects"], key=lambda each: each["type"])
    assert (first["x_opencti_score"], first["x_opencti_main_observable_type"]) == (
        80,
        "Domain-Name",
    )
    assert second == note


def test_csv_rows_hold_no_formula(tmp_path: Path) -> None:
    table = text(tmp_path, "csv", listing("[domain-name:value = 'bad.test']", labels=["=1+1"]))
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["value"], row["labels"], row["tlp"]) == ("bad.test", "'=1+1", "green")


@pytest.mark.parametrize("sign", list(";:\"'|\\(),!$&~[]"))
def test_a_url_cannot_end_a_rule(tmp_path: Path, sign: str) -> None:
    pattern = f"[url:value = {quote_string(f'http://bad.test/{sign}x')}]"
    for format in ("suricata", "snort"):
        rules = text(tmp_path, format, listing(pattern)).splitlines()
        (rule,) = (each for each in rules if "/" in each and each.startswith("alert http"))
        content = rule.partition('content:"/')[2].partition('"')[0]
        assert content in ("x", f"{sign}x", f"%{ord(sign):02X}x", f"|{ord(sign):02x}|x")
        assert sign not in content or sign in "&~,|"


def test_rules_keep_their_numbers_when_others_come(tmp_path: Path) -> None:
    def numbers(*objects: Object) -> dict[str, str]:
        rules = text(tmp_path, "snort", *objects).splitlines()
        return {
            rule.partition("content:")[2].partition(";")[0]: rule.partition("sid:")[2]
            for rule in rules
            if rule.startswith("alert")
        }

    more = [listing(f"[domain-name:value = 'h{n}.test']") for n in range(200)]
    few, many = numbers(*ONE_OF_EACH), numbers(*ONE_OF_EACH, *more)
    assert few.items() <= many.items()
    assert len(set(many.values())) == len(many)


class TestMisp:
    def event(self, files: dict[str, str]) -> Any:
        names = [name for name in files if name not in ("manifest.json", "hashes.csv")]
        return json.loads(files[names[0]])["Event"]

    def test_an_attribute_of_an_ended_indicator_is_deleted_and_has_no_value(
        self, tmp_path: Path
    ) -> None:
        sent = listing("[domain-name:value = 'bad.test']", 1)
        gone = {**sent, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"}
        before = self.event(texts(tmp_path, "misp", sent))
        after = self.event(texts(tmp_path, "misp", sent, gone))
        (old,), (new,) = before["Attribute"], after["Attribute"]
        assert (old["uuid"], old["deleted"], new["deleted"]) == (new["uuid"], False, True)
        assert "bad.test" not in json.dumps(after)
        assert int(after["timestamp"]) > int(before["timestamp"])

    def test_an_expired_indicator_changes_the_timestamp_of_its_event(self, tmp_path: Path) -> None:
        end = "2026-05-01T00:00:00Z"
        sent = listing("[domain-name:value = 'bad.test']", valid_until=end)
        after = self.event(texts(tmp_path, "misp", sent))
        assert int(after["timestamp"]) * 1_000_000 == micros(end)

    def test_a_value_that_left_its_indicator_is_deleted(self, tmp_path: Path) -> None:
        first = listing("[domain-name:value IN ('a.test', 'b.test')]", 1)
        second = {
            **listing("[domain-name:value = 'b.test']", 1),
            "modified": "2026-02-01T00:00:00.000Z",
        }
        event = self.event(texts(tmp_path, "misp", first, second))
        assert [each["deleted"] for each in event["Attribute"]] == [True, False]
        assert event["Attribute"][1]["value"] == "b.test"

    @pytest.mark.parametrize("stricter", [1, 2])
    def test_of_a_value_at_two_levels_the_strictest_comes_first(
        self, tmp_path: Path, stricter: int
    ) -> None:
        """MISP takes the first of equal values."""
        marks = {number: TLP_AMBER if number == stricter else TLP_GREEN for number in (1, 2)}
        pattern = "[domain-name:value = 'bad.test']"
        both = [listing(pattern, n, object_marking_refs=[mark]) for n, mark in marks.items()]
        event = self.event(texts(tmp_path, "misp", *both))
        tags = [{"name": "tlp:amber", "colour": "#FFC000", "exportable": True}]
        assert event["Attribute"][0]["Tag"] == event["Tag"] == tags
        assert [each["value"] for each in event["Attribute"]] == ["bad.test"] * 2

    def test_an_attribute_does_not_change_with_another_of_its_value(self, tmp_path: Path) -> None:
        """MISP deletes nothing without notice, and no change to an older timestamp."""
        pattern, later = "[domain-name:value = 'bad.test']", "2026-02-01T00:00:00.000Z"
        sent = [listing(pattern, n) for n in (1, 2)]
        for one, other in (sent, sent[::-1]):
            (before,) = self.event(texts(tmp_path, "misp", one))["Attribute"]
            other = {**other, "modified": later, "object_marking_refs": [TLP_AMBER]}
            gone = {**other, "revoked": True, "modified": "2026-03-01T00:00:00.000Z"}
            for known in ([one, other], [one, other, gone]):
                assert before in self.event(texts(tmp_path, "misp", *known))["Attribute"]

    def test_a_value_stays_while_one_of_its_indicators_is_current(self, tmp_path: Path) -> None:
        """The deleted attribute comes first: MISP would refuse the value otherwise."""
        sent = [listing("[domain-name:value = 'bad.test']", n) for n in (1, 2)]
        for each in sent:
            gone = {**each, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"}
            event = self.event(texts(tmp_path, "misp", *sent, gone))
            assert [each["deleted"] for each in event["Attribute"]] == [True, False]
            assert event["Attribute"][1]["value"] == "bad.test"

    def test_tags_have_the_colours_of_the_taxonomy(self, tmp_path: Path) -> None:
        sent = listing("[domain-name:value = 'bad.test']")
        assert self.event(texts(tmp_path, "misp", sent))["Tag"][0]["colour"] == "#339900"
        unmarked = {**sent, "object_marking_refs": []}
        assert self.event(texts(tmp_path, "misp", unmarked))["Tag"] == []

    def test_the_manifest_names_every_event(self, tmp_path: Path) -> None:
        other = {**listing("[domain-name:value = 'b.test']"), "created": "2026-03-01T00:00:00Z"}
        files = texts(tmp_path, "misp", *ONE_OF_EACH, other)
        manifest = json.loads(files["manifest.json"])
        assert {f"{each}.json" for each in manifest} == files.keys() - {
            "manifest.json",
            "hashes.csv",
        }
        assert len(files["hashes.csv"].splitlines()) == len(ONE_OF_EACH) + 1


def test_a_late_older_version_brings_nothing_back(tmp_path: Path) -> None:
    sent = listing("[domain-name:value = 'bad.test']", 1)
    gone = {**sent, "revoked": True, "modified": "2026-02-01T00:00:00.000Z"}
    state = filled_state(tmp_path, [gone])
    with state.changing():
        state.apply("feed", encode(sent), "")
    assert files_of(state, "list", NOW)["values.txt"] == ""
