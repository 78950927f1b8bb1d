"""Records in JSON, each with a type and a value, as programs export indicators."""

import json
from typing import Any

import pytest

from tocsin.admission.errors import Malformed
from tocsin.admission.formats import ReadOptions, detect_format, explain_unreadable, read
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import StixObject, Tlp, Verdict

NOW = 1_790_000_000_000_000
MD5, SHA256 = "d" * 32, "e" * 64


def read_candidates(content: object, name: str = "export.json", **columns: str) -> Any:
    options = ReadOptions(now=NOW, columns=columns)
    return list(read(name, json.dumps(content).encode(), options))


def objects(content: object) -> list[StixObject]:
    return [each.object for each in read_candidates(content) if each.is_open]


def values(content: object, **columns: str) -> list[str]:
    """The values in the patterns, without refusals."""
    found = (each.object for each in read_candidates(content, **columns) if each.is_open)
    return [each["pattern"].split(" = ")[1][1:-2] for each in found]


def messages(candidates: Any) -> str:
    return "\n".join(finding.message for each in candidates for finding in each.findings)


def detected_format(content: object, name: str = "export.json") -> str | None:
    form = detect_format(name, json.dumps(content).encode())
    return None if form is None else form.name


def record(value: Any = "evil.top", kind: Any = "domain", **others: object) -> dict[str, object]:
    return {"type": kind, "value": value, **others}


def level(found: StixObject) -> Tlp:
    (ref,) = found["object_marking_refs"]
    return next(level for level, id in TLP_2_IDS.items() if id == ref)


OTX = {
    "name": "Campaign against Contoso",
    "description": "written by j.doe@contoso.example",
    "author_name": "jdoe",
    "tags": ["carbanak", "fin7"],
    "references": ["https://blog.example/a", "https://blog.example/b"],
    "malware_families": [{"id": "Carbanak", "display_name": "Carbanak", "target": None}],
    "TLP": "amber",
    "indicators": [
        {
            **{"id": 1, "indicator": "evil.top", "type": "domain", "title": "C2", "content": ""},
            **{"created": "2026-09-01T08:00:00", "expiration": None, "is_active": 1},
        },
        {"id": 2, "indicator": "203.0.114.7", "type": "IPv4", "expiration": "2027-01-01T00:00:00"},
        {"id": 3, "indicator": "http://evil.top/a", "type": "URL", "is_active": 0},
        {"id": 4, "indicator": MD5, "type": "FileHash-MD5", "is_active": 1},
        {"id": 5, "indicator": "rule a {condition: true}", "type": "YARA", "is_active": 1},
    ],
}
CROWDSTRIKE = {
    "meta": {"trace_id": "x"},
    "errors": [],
    "resources": [
        {
            **{"id": "domain_evil.top", "indicator": "evil.top", "type": "domain"},
            **{"deleted": False, "published_date": 1_760_692_123, "malicious_confidence": "high"},
            **{
                "malware_families": ["X-Agent"],
                "labels": [{"name": "Actor/Bear", "created_on": 1}],
            },
            "relations": [{"id": "y", "indicator": "203.0.114.9", "type": "ip_address"}],
        },
        {"indicator": SHA256, "type": "hash_sha256", "deleted": True},
    ],
}
THREATSTREAM = {
    "meta": {"limit": 1000, "total_count": 3},
    "objects": [
        {
            **{"itype": "mal_domain", "value": "evil.top", "type": "domain", "confidence": 75},
            **{"ip": "203.0.114.9", "rdns": "host9.hoster.example", "classification": "private"},
            **{"tlp": "", "tags": [{"id": "a", "name": "emotet"}], "status": "active"},
            **{"created_ts": "2026-09-01T08:00:00.000Z", "meta": {"detail": "by user 12"}},
        },
        {"itype": "c2_ip", "value": "203.0.114.8", "type": "ip", "status": "falsepos"},
        {"itype": "compromised_email", "value": "boss@ours.example", "type": "email"},
    ],
}


class TestExports:
    def test_a_pulse_of_otx_gives_its_active_indicators(self) -> None:
        assert values(OTX) == ["evil.top", "203.0.114.7", MD5]
        found = objects(OTX)[0]
        assert (found["name"], found["created"]) == ("C2", "2026-09-01T08:00:00.000Z")
        assert found["labels"] == ["carbanak", "fin7"]
        links = [each["url"] for each in found["external_references"]]
        assert links == ["https://blog.example/a", "https://blog.example/b"]
        assert {level(each) for each in objects(OTX)} == {Tlp.AMBER}
        assert objects(OTX)[1]["valid_until"] == "2027-01-01T00:00:00.000Z"

    def test_the_texts_around_records_are_not_shared(self) -> None:
        shared = json.dumps(objects(OTX))
        assert not any(each in shared for each in ("Contoso", "contoso", "jdoe"))

    def test_pulses_in_a_list_keep_what_is_theirs(self) -> None:
        other = {"tags": ["qakbot"], "TLP": "green", "indicators": [record("bad.top")]}
        found = objects({"results": [OTX, other], "count": 2})
        assert found[-1]["labels"] == ["qakbot"]
        assert [level(each) for each in found] == [Tlp.AMBER] * 3 + [Tlp.GREEN]

    def test_an_answer_of_crowdstrike_gives_indicators_but_not_their_relations(self) -> None:
        [found] = objects(CROWDSTRIKE)
        assert found["pattern"] == "[domain-name:value = 'evil.top']"
        assert (found["confidence"], found["valid_from"][:10]) == (85, "2025-10-17")
        assert found["labels"] == ["x-agent", "actor/bear"]
        assert "record 2: not an indicator, since its 'deleted' is true" in messages(
            read_candidates(CROWDSTRIKE)
        )

    def test_of_threatstream_the_value_is_read_and_not_what_is_beside_it(self) -> None:
        [found] = objects(THREATSTREAM)
        assert found["pattern"] == "[domain-name:value = 'evil.top']"
        assert (found["confidence"], found["labels"]) == (75, ["emotet"])
        said = messages(read_candidates(THREATSTREAM))
        assert "not read, since a record is about its value alone: 'ip'" in said
        assert "record 2: not an indicator, since its 'status' is falsepos" in said
        assert "record 3: describes people or victims" in said

    def test_threatfox_has_a_list_for_each_record(self) -> None:
        content = {
            "1": [{"ioc_value": "203.0.114.8:443", "ioc_type": "ip:port", "malware": "win.emotet"}],
            "2": [{"ioc_value": MD5, "ioc_type": "md5_hash", "reporter": "x@y.example"}],
        }
        assert values(content) == ["203.0.114.8", MD5]

    def test_an_answer_of_threatfox_has_the_value_as_ioc(self) -> None:
        found = {"ioc": "203.0.114.8:443", "ioc_type": "ip:port", "reporter": "abuse_ch"}
        assert values({"query_status": "ok", "data": [found]}) == ["203.0.114.8"]

    def test_observables_of_thehive_need_ioc(self) -> None:
        content = [
            {"dataType": "domain", "data": "evil.top", "ioc": True, "tlp": 1},
            {"dataType": "hostname", "data": "pc-12.ours.example", "ioc": False, "tlp": 2},
            {"dataType": "domain", "data": "bad.top", "ioc": True, "tlp": 3},
        ]
        assert [level(each) for each in objects(content)] == [Tlp.GREEN, Tlp.RED]
        assert "record 2: not an indicator, since its 'ioc' is false" in messages(
            read_candidates(content)
        )

    def test_defender_has_names_in_camel_case(self) -> None:
        content = {
            "@odata.context": "x",
            "value": [
                {
                    **{"indicatorValue": "203.0.114.8", "indicatorType": "IpAddress"},
                    **{"action": "AlertAndBlock", "expirationTime": "2027-12-12T00:00:00Z"},
                },
                {"indicatorValue": SHA256, "indicatorType": "FileSha256", "action": "Allowed"},
            ],
        }
        [found] = objects(content)
        assert found["valid_until"] == "2027-12-12T00:00:00.000Z"


class TestLevels:
    @pytest.mark.parametrize(
        "members",
        [
            {"tlp": "red"},
            {"CustomFields": {"trafficlightprotocol": "RED"}},
            *({"tlp": {"id": 1, "name": "red"}}, {"tlp": {"value": 3}}, {"tlp": 3.0}),
            *({"marking": "RED"}, {"markings": [{"label": "red"}]}, {"tlp": ["green", "red"]}),
            {"comments": [{"content": "handle as TLP:RED"}]},
            {"description": "x" * 3000 + " TLP:RED"},
        ],
    )
    def test_a_level_anywhere_in_a_record_counts(self, members: dict[str, object]) -> None:
        first, second = objects([record(**members), record("bad.top", tlp="green")])
        assert (level(first), level(second)) == (Tlp.RED, Tlp.GREEN)

    def test_a_level_in_a_text_around_records_counts(self) -> None:
        [found] = objects({"info": "TLP:RED", "list": [record(tlp="green")]})
        assert level(found) is Tlp.RED

    @pytest.mark.parametrize(
        "members", [{"header": {"tlp": "red"}}, {"markings": [{"name": "TLP:RED"}]}]
    )
    def test_a_level_beside_records_counts(self, members: dict[str, object]) -> None:
        content = [{**members, "list": [record()]}, {"list": [record("bad.top", tlp="green")]}]
        assert [level(each) for each in objects({"results": content})] == [Tlp.RED, Tlp.GREEN]

    @pytest.mark.parametrize("stated", ["purple", {"name": "purple"}, ["purple"]])
    def test_a_level_that_is_none_refuses_a_record(self, stated: object) -> None:
        assert values([record(tlp=stated), record("bad.top", tlp={})]) == ["bad.top"]

    def test_a_record_whose_level_is_none_is_refused(self) -> None:
        content = [record(tlp="purple"), record("bad.top", tlp_note="for all")]
        assert values(content) == ["bad.top"]
        assert "record 1: not a TLP level: 'purple'" in messages(read_candidates(content))


class TestWhatIsLeftOut:
    @pytest.mark.parametrize(
        "name",
        [
            *("whitelist", "allowed", "victims", "recipients", "ignored", "users", "clients"),
            *("reporter", "employees", "assets", "ourDomains", "internal_assets", "labels"),
        ],
    )
    def test_lists_by_their_names(self, name: str) -> None:
        content = {"data": {name: [record()], "bad": [record("bad.top")]}}
        assert values(content) == ["bad.top"]
        assert f"of people or victims: '{name}'" in messages(read_candidates(content))
        assert detected_format({name: [record()]}) is None

    @pytest.mark.parametrize("name", ["our_blocklist", "hosts", "domains", "results", "malware"])
    def test_not_other_lists(self, name: str) -> None:
        assert values({name: [record()]}) == ["evil.top"]

    def test_a_file_by_its_name(self) -> None:
        assert detected_format([record()]) == "records"
        assert detected_format([record()], "benign.json") is None

    def test_a_site_that_was_hacked_is_held(self) -> None:
        held, flagged, other = read_candidates(
            [record(category="compromised site"), record("b.top", hacked=True), record("c.top")]
        )
        assert held.verdict is flagged.verdict is Verdict.HELD and other.is_open
        assert "record 1: its 'category' is 'compromised site'" in messages([held])

    def test_a_list_of_people(self) -> None:
        content = [record("joe@ours.example", "email", firstname="Joe", lastname="Doe")]
        assert values(content) == []

    def test_comments_about_a_record(self) -> None:
        content = [record(comments=[{"user": "jane", "content": "seen at ours"}], note="c2")]
        [found] = objects(content)
        assert found["description"] == "c2"

    @pytest.mark.parametrize(
        "members",
        [
            *({"status": "inactive"}, {"expirationStatus": "Expired"}, {"state": "WHITELISTED"}),
            *({"verdict": "benign"}, {"reputation": "GOOD"}, {"status": {"name": "Revoked"}}),
            *({"tags": ["c2", "false-positive"]}, {"labels": "whitelisted"}, {"list": "allowlist"}),
            *({"meta": {"maliciousness": "safe"}}, {"customFields": {"falsepositive": True}}),
            *({"active": "N"}, {"isMalicious": False}, {"internal": True}, {"is_active": 0.0}),
            *({"manualScore": False, "score": 1}, {"role": "victim"}, {"message": "recipient"}),
            *({"on_whitelist": True}, {"comment": "False positive"}, {"statut": "inactif"}),
            *({"is_target": True}, {"target": "yes"}, {"victime": "oui"}),
        ],
    )
    def test_records_whose_state_says_so(self, members: dict[str, object]) -> None:
        found = read_candidates([record(**members), record("bad.top", status="active")])
        assert [each.object["name"] for each in found if each.is_open] == ["bad.top"]
        assert "record 1: " in messages(found)

    @pytest.mark.parametrize(
        "members",
        [
            *({"status": "offline"}, {"domain_type": "expired"}, {"exclude_from_report": True}),
            *({"ignoreSimilarity": True}, {"score": 1}, {"mobile_action": "allow"}),
            *({"relations": [{"status": "inactive"}]}, {"device": {"status": "clean"}}),
            *({"source": "Customer portal"}, {"detected_on": "our mail server"}, {"harmless": 1}),
            *({"file_status": "deleted"}, {"verdict": "phishing", "av_verdict": "benign"}),
            {"archive_password": "infected", "reporter": "joe@cert.example"},
        ],
    )
    def test_members_that_say_something_else(self, members: dict[str, object]) -> None:
        assert values([record(**members)]) == ["evil.top"]

    @pytest.mark.parametrize(
        "members",
        [
            *({"action": "allow"}, {"resolution": "FalsePositive"}, {"name": "Global Allow List"}),
            *({"name": "Whitelisted domains"}, {"title": "Whitelist 2026"}),
            {"name": f"{'of our customers ' * 20}allow list"},
        ],
    )
    def test_records_in_an_object_that_says_so(self, members: dict[str, str]) -> None:
        inside: dict[str, object] = {"list": [record()], **members}
        found = read_candidates({"first": inside, "second": [record("bad.top")]})
        assert [each.object["name"] for each in found if each.is_open] == ["bad.top"]

    @pytest.mark.parametrize(
        "members", [{"deleted": 1, "excluded": 1}, {"name": "Phishing warning list"}, {"ok": True}]
    )
    def test_records_in_another_object(self, members: dict[str, object]) -> None:
        assert values({"list": [record()], **members}) == ["evil.top"]

    def test_a_second_type_says_so(self) -> None:
        content = [record("joe@ours.top", "email", itype="compromised_email"), record()]
        assert values(content) == ["evil.top"]

    def test_texts_in_a_list_are_not_among_what_is_not_read(self) -> None:
        content = {"tags": ["a"], "targeted_countries": ["Germany"], "list": [record()]}
        assert "not read" not in messages(read_candidates(content))

    def test_mailboxes_beside_passwords(self) -> None:
        content = [record("joe@ours.top", "email", password="x"), record(MD5, "md5", password="x")]
        assert values(content) == [MD5]

    @pytest.mark.parametrize("name", ["revoked", "false_positive", "isDeleted", "whitelisted"])
    def test_records_that_say_so(self, name: str) -> None:
        assert values([record(**{name: True}), record("bad.top", **{name: False})]) == ["bad.top"]

    @pytest.mark.parametrize("other", ["entity", "data", "Value", "artifact"])
    def test_another_value_beside_the_value(self, other: str) -> None:
        content = [{"type": "domain", other: "db.ours.example", "indicator": "evil.top"}]
        assert values(content) == ["evil.top"]
        assert f"about its value alone: '{other}'" in messages(read_candidates(content))

    def test_the_value_is_where_one_stands(self) -> None:
        content = [{"indicator": "Bad domain", "type": "domain", "value": "evil.top"}]
        assert values(content) == ["evil.top"]

    @pytest.mark.parametrize("name", ["feed.name", "scan.evil.top", "joe@ours.example", MD5])
    def test_members_whose_names_are_values(self, name: str) -> None:
        content = [record(**{name: "x", "victim": "db.ours.top"}), record("bad.top")]
        assert values(content) == ["evil.top", "bad.top"]

    def test_tags_that_are_values(self) -> None:
        content = {"tags": ["ours.top", "a"], "list": [record(labels=["db.ours.top"])]}
        [found] = objects(content)
        assert (found["pattern"][-11:], found["labels"]) == ("'evil.top']", ["a"])
        assert values([record(family="ours.top"), record("bad.top")]) == ["evil.top", "bad.top"]

    def test_values_beside_the_value_but_for_those_that_the_user_names(self) -> None:
        content = [record(c2_ip="203.0.114.8")]
        assert values(content) == ["evil.top"]
        assert values(content, c2_ip="ip") == ["evil.top", "203.0.114.8"]


def read_text(text: str, name: str = "export.jsonl") -> Any:
    return list(read(name, text.encode(), ReadOptions(now=NOW)))


class TestLines:
    @pytest.mark.parametrize("name", ["export.jsonl", "a.ndjson", "export.json", "export.log"])
    def test_a_record_may_be_on_each_line(self, name: str) -> None:
        lines = [record(), record("203.0.114.8", "ip", tlp="red"), record("old.top", active=False)]
        found = read_text("\r\n".join(map(json.dumps, lines)) + "\n\n", name)
        assert [each.verdict for each in found] == [Verdict.OPEN, Verdict.OPEN, Verdict.REFUSED]
        assert level(found[1].object) is Tlp.RED
        assert "record 3: not an indicator, since its 'active' is false" in messages(found)

    def test_a_line_may_be_an_object_around_records(self) -> None:
        found = read_text(f"{json.dumps(OTX)}\n{json.dumps({'data': [record('b.top')]})}\n")
        patterns = [each.object["pattern"] for each in found if each.is_open]
        assert patterns[0] == patterns[-1].replace("b.top", "evil.top")
        assert "[domain-name:value = 'b.top']" in patterns

    @pytest.mark.parametrize("text", ["[\n{0},\n{0}\n", "{0},\n{0}\n"])
    def test_a_broken_list_with_a_record_on_each_line_is_not_read_in_part(self, text: str) -> None:
        whole = text.replace("{0}", json.dumps(record()))
        form = detect_format("a.log", whole.encode())
        assert form is None or form.name != "records"
        with pytest.raises(Malformed, match="not JSON"):
            read_text(whole, "a.json")

    def test_a_line_that_cannot_be_read_is_refused_alone(self) -> None:
        lines = [json.dumps(record(f"e{number}.top")) for number in range(50)]
        lines[1] = lines[40] = '{"type": "domain", "value": "cut'
        found = read_text("\n".join(lines))
        refused = [each for each in found if each.verdict is Verdict.REFUSED]
        assert len(found) == 50 and len(refused) == 2
        assert "line 2: " in messages(refused[:1]) and "line 41: " in messages(refused[1:])

    def test_a_refusal_shows_the_value_unless_it_may_be_a_persons(self) -> None:
        lines = [record("old\u202e.top", status="expired"), record("j.doe@acme.org", "recipient")]
        lines += [record("pc1.ours.top", role="victim"), record("hxxp://" + 99 * "a", ioc=False)]
        found = read_text("\n".join(map(json.dumps, [record(), *lines])))
        assert [each.excerpt for each in found[1:]] == [*("old.top", "", "", "hxxp://" + 53 * "a")]

    def test_a_file_with_many_lines_that_cannot_be_read_is_not_read(self) -> None:
        start = f"{json.dumps(record())}\n"
        assert len(read_text(start + "{\n" * 1000)) == 1001
        assert detect_format("a.jsonl", (start + "{\n" * 1001).encode()) is None

    def test_the_first_lines_tell_that_it_is_one(self) -> None:
        event, last = '{"event": "start"}\n', json.dumps(record())
        assert detect_format("a.jsonl", (event * 10 + f"{last}\n" * 40).encode()) is not None
        assert detect_format("a.jsonl", (event * 20 + f"{last}\n" * 40).encode()) is None

    def test_a_record_may_be_alone_in_an_object(self) -> None:
        lines = [{"preview": False, "result": record()}, {"_source": record("b.top"), "_id": 1}]
        assert len(read_text("\n".join(map(json.dumps, lines)))) == 2
        assert values({"hits": {"hits": lines}}) == ["evil.top", "b.top"]
        assert values({"query": record("ours.example"), "results": [record()]}) == ["evil.top"]
        assert detected_format({"query": record("ours.example")}) is None

    def test_a_file_may_be_one_record(self) -> None:
        assert values(record()) == ["evil.top"]
        assert values(record(tags=["c2"], related=[record("b.top")])) == ["evil.top"]
        assert values({"type": "domain", "data": [record("b.top")]}) == ["b.top"]
        assert values(record(status="revoked")) == []


class TestRecordsWithoutType:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ([{"indicator": "evil.top", "comment": "x"}], ["evil.top"]),
            ([{"ip": "203.0.114.8", "ioc": "evil.top"}], ["evil.top"]),
            ([{"ip": "203.0.114.9", "c2_ip": "203.0.114.8"}], ["203.0.114.8"]),
            ({"iocs": [{"ip": "203.0.114.9", "cc_ip": "203.0.114.8"}]}, ["203.0.114.8"]),
            ([{"url": "https://ours.example", "phishing_url": "http://a.top/"}], ["http://a.top/"]),
            ({"iocs": [{"ip": "203.0.114.8", "port": 443}]}, ["203.0.114.8"]),
            ({"iocs": {"urls": [{"url": "http://evil.top/a"}]}}, ["http://evil.top/a"]),
            ({"c2_servers": [{"domain": "evil.top", "ip": "203.0.114.8"}]}, ["evil.top"]),
            (
                {"iocs": [{"hostname": "b.top", "domain": "a.top"}, {"host": "c.top"}]},
                ["a.top", "c.top"],
            ),
            ({"result": {"indicator": "evil.top", "campaign": "a"}}, ["evil.top"]),
            ({"indicator": "evil.top", "campaign": "a"}, ["evil.top"]),
            (
                [{"ioc": {"ip": "203.0.114.8"}}, {"ioc": {"ip": "203.0.114.7"}}],
                ["203.0.114.8", "203.0.114.7"],
            ),
            (
                {
                    "a1": [
                        {
                            "url": "http://evil.top/a",
                            "host": "evil.top",
                            "urlhaus_link": "https://b/",
                        }
                    ]
                },
                ["http://evil.top/a"],
            ),
            ([{"phish_id": "7", "url": "http://evil.top/a", "target": "A"}], ["http://evil.top/a"]),
        ],
    )
    def test_are_read_if_a_name_says_that_they_are_indicators(
        self, content: object, expected: list[str]
    ) -> None:
        assert values(content) == expected

    def test_the_name_of_the_file_may_say_so(self) -> None:
        content = [{"ip": "203.0.114.8"}]
        assert detected_format(content) is None
        (found,) = read_candidates(content, "iocs-2026.json")
        assert found.object["pattern"] == "[ipv4-addr:value = '203.0.114.8']"
        assert detected_format({"urls": [{"url": "http://a.top/"}]}, "iocs.json") == "records"
        assert detected_format({"systems": content}, "iocs.json") is None

    @pytest.mark.parametrize(
        "content",
        [
            [{"ip": "203.0.114.8", "country": "DE"}],
            [{"asn": 1, "ip": "203.0.114.8", "timestamp": "x", "malware": "emotet"}],
            {"botnet": "emotet", "bots": [{"ip": "203.0.114.8"}]},
            [{"ip": "203.0.114.8", "actor": "Jane Doe", "threat": {"is_tor": False}}],
            [{"domain": "ours.example", "ransomware": "X", "verdict": "malicious"}],
            {"malware": {"contacted_hosts": [{"ip": "203.0.114.8", "tags": ["c2"]}]}},
            {"iocs": {"network": {"hosts": [{"ip": "203.0.114.8"}]}}},
            {"iocs": {"references": [{"url": "https://blog.example/a"}]}},
            {"blocked": [{"ip": "203.0.114.8"}], "phishing_results": [{"ip": "203.0.114.8"}]},
        ],
    )
    def test_are_not_read_without_such_a_name(self, content: object) -> None:
        assert detected_format(content) is None

    @pytest.mark.parametrize(
        "member",
        [
            {"user": "jdoe"},
            {"ComputerName": "pc1"},
            {"device_id": "pc1"},
            {"src_ip": "203.0.114.9"},
            {"DestinationPort": 443},
            {"victim": "Contoso"},
            {"post_title": "Contoso"},
            {"infection": "emotet"},
            {"recipient": "j.doe@acme.org"},
            {"email": "j.doe@acme.org"},
            {"alert_id": 7},
            {"info": {"os": "x", "user": "jdoe"}},
        ],
    )
    def test_events_are_not_read(self, member: dict[str, object]) -> None:
        content = {"iocs": [{"ip": "203.0.114.8", "malware": "X", **member}]}
        assert detected_format(content) is None

    def test_an_event_among_indicators_is_refused(self) -> None:
        plain = [{"ip": "203.0.114.7", "user": ""}, {"ip": "203.0.114.8"}]
        found = read_candidates([*plain, {**plain[0], "user": "jdoe"}], "iocs.json")
        assert [each.is_open for each in found] == [True, True, False]
        assert "record 3: for its 'user' it may be an event" in messages(found)
        assert found[2].excerpt == ""

    def test_their_names_are_not_shared(self) -> None:
        found, named = objects([{"ioc": "a.top", "name": "Jane Doe"}, record(name="Bad host")])
        assert found["name"] == "a.top" and named["name"] == "Bad host"

    def test_all_hashes_of_a_file_are_read(self) -> None:
        content = [{"md5": MD5, "sha256": SHA256, "url": "http://a.top/"}]
        assert values({"iocs": content}) == [MD5, SHA256]

    def test_a_mailbox_is_not_read(self) -> None:
        assert detected_format([{"ioc": "j.doe@acme.org"}]) is None

    def test_among_records_with_a_type_they_need_no_such_name(self) -> None:
        untyped = {"value": "b.top", "domain": "c.top"}
        assert values([record(), untyped]) == ["evil.top", "b.top"]
        assert values([record(), {"type": "x", **untyped, "user": "jdoe"}]) == ["evil.top"]

    def test_a_note_says_which_list_is_not_read(self) -> None:
        content = {"iocs": [{"ip": "203.0.114.8"}], "seen": [{"ip": "203.0.114.9"}]}
        found = read_candidates(content)
        assert len(found) == 1
        assert "a list of objects is not read: in a record, nothing says that 'ip'" in messages(
            found
        )


class TestExplanations:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ([{"id": 1, "risk": 5}], "no member is known to hold an indicator ('id', 'risk')"),
            ([{"ip": "203.0.114.8"}], "nothing says that 'ip' is an attacker's"),
            ({"iocs": [{"ip": "203.0.114.8", "user": "jdoe"}]}, "for its 'user' it may be"),
            ({"ip": "203.0.114.8", "country": "DE"}, "nothing says that 'ip' is an attacker's"),
            ([{f"n{n}": 1} for n in range(2001)], "too many different names"),
        ],
    )
    def test_say_why_no_records_are_in_a_file(self, content: object, reason: str) -> None:
        assert reason in explain_unreadable("a.json", json.dumps(content).encode())

    def test_name_the_line_that_is_not_json(self) -> None:
        lines = json.dumps(record()) + "\n" + "{\n" * 1001
        why = explain_unreadable("a.jsonl", lines.encode())
        assert "too many lines are not JSON: line 2: " in why

    @pytest.mark.parametrize(
        ("name", "reason"), [("allowlist", "of allowed values"), ("victims", "of victims, people")]
    )
    def test_say_that_a_file_by_its_name_allows_or_lists_victims(
        self, name: str, reason: str
    ) -> None:
        why = explain_unreadable(f"{name}.json", json.dumps([record()]).encode())
        assert f"the name of the file is that of a list {reason}" in why


class TestNotes:
    def test_columns_for_what_stands_around_are_named_only_if_it_is_there(self) -> None:
        said = messages(read_candidates([record()])).partition("columns read as")[2]
        assert said.endswith('1 "type" = type, 2 "value" = value')
        said = messages(read_candidates({"tags": ["c2"], "items": [record(tlp="green")]}))
        assert '"value" = value, 3 "tags" = tags, 4 "tlp" = tlp' in said

    @pytest.mark.parametrize("value", [None, False, [], {}, "", 0])
    def test_a_record_without_a_value_costs_no_other(self, value: object) -> None:
        found = read_candidates([record(), record(value), record("b.top")])
        assert [each.is_open for each in found] == [True, False, True]


class TestOtherJson:
    @pytest.mark.parametrize(
        "content",
        [
            {"Answer": [{"name": "ours.example", "type": "A", "data": "203.0.114.8"}]},
            {"hosts": [{"type": "server", "value": "db1.ours.example"}]},
            {"Attribute": [record(kind="ip-dst", to_ids=True, distribution="0")]},
            [{"type": "domain", "host": "evil.top"}],
            [{"a": 1}, {"b": 2}],
        ],
    )
    def test_is_not_read(self, content: object) -> None:
        assert detected_format(content) is None

    def test_a_level_more_of_objects_is_not_searched(self) -> None:
        content: object = [record()]
        for _ in range(3):
            content = {"data": content}
        assert detected_format(content) == "records"
        assert detected_format({"data": content}) is None


class TestHostileRecords:
    def test_cells_cannot_end_a_row_or_begin_a_comment(self) -> None:
        content = [
            record("evil.top\nbad.top", "domain"),
            record("a.top\t203.0.114.8", "#domain"),
            record('"b.top', "domain", note='"'),
            record("c.top", "domain", note="\ttlp: red\n"),
        ]
        found = read_candidates(content)
        assert len([each for each in found if each.verdict is not Verdict.REFUSED]) >= 2
        assert "c.top" in values(content)
        assert all("record" in each.findings[-1].message for each in found if not each.is_open)

    def test_a_record_is_not_lost_for_its_type(self) -> None:
        content = [record(), record("https://blog.example/a", "report"), {"type": "x:"}]
        content += [record("bad.top", "# domain"), record()]
        found = read_candidates(content)
        said = messages(found)
        assert len(found) == 5
        assert "record 2: about the report itself" in said
        assert "record 3: no indicator found" in said
        assert "record 5: duplicate of record 1" in said

    @pytest.mark.slow
    def test_more_members_than_a_table_has_columns(self) -> None:
        many = {f"m{number}": 1 for number in range(1996)}
        assert values([record(**many, victim="db.ours.top")]) == ["evil.top"]

    def test_that_have_too_many_names_are_not_read(self) -> None:
        lists = {"a": [record(**{f"m{n}": 1 for n in range(1997)})]}
        assert detected_format(lists) == "records"
        assert detected_format(lists | {"x": [record(a=1, b=2)]}) is None

    def test_of_which_each_has_other_names_are_not_read(self) -> None:
        content = [record(f"e{number}.top", **{f"m{number}": 1}) for number in range(700)]
        assert detected_format(content[:500]) == "records"
        assert detected_format(content) is None

    def test_each_record_is_read_or_refused(self) -> None:
        content = [record(), {"value": "no-type.top"}, {"type": "domain"}, record(), 7, "text"]
        found = read_candidates(content)
        assert [each.verdict for each in found] == [
            *(Verdict.OPEN, Verdict.OPEN, Verdict.REFUSED, Verdict.DUPLICATE)
        ]
        assert "record 4: duplicate of record 1" in messages(found)
