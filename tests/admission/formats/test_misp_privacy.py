"""MISP events: how widely they may be shared, what is never shared, hostile input."""

import json
from typing import Any

import pytest
from support.misp_events import (
    MD5,
    attribute,
    built_objects,
    event,
    examine_event,
    object_,
    patterns,
    read,
    tlp_of,
    uuid,
)
from support.reading import messages

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Action, Tlp, Verdict


class TestTlpAndDistribution:
    @pytest.mark.parametrize(
        ("of_event", "of_attribute", "expected"),
        [
            ([], [], Tlp.GREEN),
            (["tlp:clear"], [], Tlp.CLEAR),
            (["tlp:white"], [], Tlp.CLEAR),
            (["TLP:AMBER"], [], Tlp.AMBER),
            (["tlp:clear"], ["tlp:amber+strict"], Tlp.AMBER_STRICT),
            (["tlp:amber"], ["tlp:green"], Tlp.AMBER),
            (["tlp:red"], [], Tlp.RED),
        ],
    )
    def test_the_strictest_tag_of_event_and_attribute_counts(
        self, of_event: Any, of_attribute: Any, expected: Any
    ) -> None:
        tags = [{"name": each} for each in of_event]
        own = [{"name": each} for each in of_attribute]
        assert tlp_of(event(attribute(Tag=own), Tag=tags)) is expected

    def test_a_tag_of_an_object_applies_to_its_attributes(self) -> None:
        tags = [{"name": "tlp:amber"}]
        assert tlp_of(event(Object=[object_("url", attribute(), Tag=tags)])) is Tlp.AMBER

    def test_nested_event_tags_are_read(self) -> None:
        assert tlp_of(event(attribute(), EventTag=[{"Tag": {"name": "TLP:AMBER"}}])) is Tlp.AMBER

    @pytest.mark.parametrize("where", ["info", "comment"])
    def test_a_tlp_level_in_a_text_counts(self, where: str) -> None:
        more = {where: "TLP:AMBER, do not forward"}
        content = event(attribute(**more)) if where == "comment" else event(attribute(), **more)
        assert tlp_of(content) is Tlp.AMBER

    @pytest.mark.parametrize("where", ["info", "comment"])
    def test_a_tlp_level_at_the_end_of_a_long_text_counts(self, where: str) -> None:
        more = {where: "word " * 600 + "TLP:AMBER"}
        content = event(attribute(**more)) if where == "comment" else event(attribute(), **more)
        assert tlp_of(content) is Tlp.AMBER

    def test_a_tlp_level_in_the_comment_of_an_object_applies_to_its_attributes(self) -> None:
        assert tlp_of(event(Object=[object_("url", attribute(), comment="TLP:AMBER")])) is Tlp.AMBER

    def test_a_tlp_level_in_the_comment_of_a_vulnerability_counts(self) -> None:
        content = attribute("vulnerability", "CVE-2021-44228", comment="TLP:RED")
        (vulnerability,) = built_objects(event(content), "vulnerability")
        assert vulnerability["object_marking_refs"] == [TLP_2_IDS[Tlp.RED]]

    @pytest.mark.parametrize("tag", ['"tlp:red"', "\u200btlp:red", "\uff34\uff2c\uff30:red"])
    def test_a_disguised_tlp_tag_is_not_ignored(self, tag: str) -> None:
        (candidate, *_) = read(event(attribute(Tag=[{"name": tag}])))
        refused = candidate.verdict is Verdict.REFUSED
        assert refused or candidate.object["object_marking_refs"] == [TLP_2_IDS[Tlp.RED]]

    @pytest.mark.parametrize(
        ("distribution", "tlp", "expected"),
        [
            ("1", Tlp.CLEAR, Tlp.AMBER),
            ("2", Tlp.CLEAR, Tlp.GREEN),
            ("3", Tlp.CLEAR, Tlp.CLEAR),
            (1, Tlp.AMBER_STRICT, Tlp.AMBER_STRICT),
            ("1", None, Tlp.AMBER),
            ("2", None, Tlp.AMBER),
        ],
    )
    def test_a_distribution_is_never_widened(
        self, distribution: int | str, tlp: Any, expected: Any
    ) -> None:
        assert tlp_of(event(attribute(), distribution=distribution), tlp=tlp) is expected

    def test_a_distribution_overrides_a_wider_tag(self) -> None:
        content = event(attribute(), distribution="1", Tag=[{"name": "tlp:clear"}])
        assert tlp_of(content) is Tlp.AMBER

    @pytest.mark.parametrize("distribution", ["0", "4", 0, "9", [], True])
    def test_distribution_to_the_organisation_or_a_sharing_group_is_refused(
        self, distribution: Any
    ) -> None:
        (whole,) = read(event(attribute(), distribution=distribution))
        (alone, _) = read(event(attribute(distribution=distribution)))
        assert whole.verdict is alone.verdict is Verdict.REFUSED

    @pytest.mark.parametrize("tag", ["tlp:ex:chr", "tlp:unclear", "tlp:"])
    def test_an_unknown_tlp_level_is_refused(self, tag: str) -> None:
        (candidate,) = read(event(attribute(), Tag=[{"name": tag}]))
        assert candidate.verdict is Verdict.REFUSED

    @pytest.mark.parametrize("tags", ["tlp:red", [None], [{"name": 1}], {"name": "tlp:red"}])
    def test_unreadable_tags_are_refused(self, tags: Any) -> None:
        candidates = read(event(attribute(Tag=tags), attribute(value="evil.org", number=2)))
        assert [each.verdict for each in candidates[:2]] == [Verdict.REFUSED, Verdict.OPEN]

    @pytest.mark.parametrize("published", [False, "0", 0])
    def test_the_objects_of_a_draft_are_held(self, published: bool | int | str) -> None:
        held = read(event(attribute(), published=published))
        assert [each.verdict for each in held] == [Verdict.HELD] * 2
        assert all("not published in MISP" in message for message in messages(held))

    def test_a_draft_is_examined_and_then_held(self) -> None:
        comment = "ask joe.bloggs@gmail.com"
        held, _ = examine_event(event(attribute(comment=comment), published=False))
        assert held.verdict is Verdict.HELD
        assert "joe.bloggs" not in str(held.object)
        assert "joe.bloggs" in str(held.original)

    def test_a_refused_object_of_a_draft_stays_refused(self) -> None:
        refused, *_ = examine_event(event(attribute("ip-dst", "10.0.0.1"), published=False))
        assert refused.verdict is Verdict.REFUSED

    @pytest.mark.parametrize("more", [{}, {"published": True}, {"published": "1"}])
    def test_an_event_without_the_flag_is_not_a_draft(self, more: dict[str, Any]) -> None:
        assert read(event(attribute(), **more))[0].verdict is Verdict.OPEN


class TestFileNames:
    @pytest.mark.parametrize(
        "restriction",
        [
            {"to_ids": False},
            {"distribution": "0"},
            {"distribution": "1"},
            {"deleted": True},
            {"Tag": [{"name": "tlp:red"}]},
            {"comment": "TLP:RED"},
        ],
    )
    def test_a_name_that_is_restricted_further_than_its_hash_is_not_shared(
        self, restriction: dict[str, Any]
    ) -> None:
        name = attribute("filename", "setup.exe", 1, **restriction)
        content = event(Object=[object_("file", name, attribute("md5", MD5, 2))])
        assert "setup.exe" not in str([each.object for each in read(content)])

    def test_names_of_senders_are_masked_in_the_name_of_a_file(self) -> None:
        name = attribute("filename", "ACME Corp.exe", 1)
        content = event(
            Object=[object_("file", name, attribute("md5", MD5, 2))], Orgc={"name": "ACME Corp"}
        )
        assert "ACME" not in str([each.object for each in read(content)])


class TestNeverShared:
    def test_senders_creators_and_sharing_groups_are_not_shared(self) -> None:
        content = event(
            attribute(comment="ACME Corp saw it, ask bob@acme.example; Blue Team too"),
            info="ACME Corp: invoices",
            Org={"name": "Blue Team"},
            Orgc={"name": "ACME Corp"},
            event_creator_email="bob@acme.example",
            SharingGroup={"name": "Secret Circle"},
            Tag=[{"name": "ACME Corp"}],
        )
        text = json.dumps([each.object for each in read(content)])
        for word in ("ACME", "Blue Team", "bob@", "Secret Circle"):
            assert word not in text
        assert "invoices" in text

    @pytest.mark.parametrize("kind", ["target-org", "target-email", "target-machine", "full-name"])
    def test_victims_and_persons_of_the_event_are_masked_in_texts(self, kind: str) -> None:
        victim = attribute(kind, "North Mill", 2, to_ids=False)
        content = event(attribute(comment="Sent to north mill"), victim)
        assert built_objects(content)[0]["description"] == "Sent to [removed: name or victim]"
        masked = "names of senders, victims and persons in the event are masked"
        assert masked in messages(read(content))

    @pytest.mark.parametrize(
        "kind", ["target-user", "full-name", "phone-number", "email-body", "text", "attachment"]
    )
    def test_people_and_free_text_with_to_ids_are_refused(self, kind: str) -> None:
        candidates = read(event(attribute(kind, "Jane Doe of North Mill")))
        assert {each.verdict for each in candidates} == {Verdict.REFUSED}
        assert not any("Jane" in message for message in messages(candidates))

    def test_texts_are_left_out_if_too_many_names_would_be_masked(self) -> None:
        victims = [attribute("target-user", f"user{n}", n, to_ids=False) for n in range(2, 400)]
        content = event(attribute(comment="user399 clicked", Tag=[{"name": "user399"}]), *victims)
        (found,) = built_objects(content)
        assert "description" not in found and "labels" not in found
        assert any("too many" in message for message in messages(read(content)))

    def test_a_victims_own_host_is_not_an_indicator(self) -> None:
        victim = attribute("target-machine", "mill.example.com", 2, to_ids=False)
        candidates = read(event(attribute("hostname", "mill.example.com"), victim))
        assert candidates[0].verdict is Verdict.REFUSED

    def test_a_recipient_is_held_for_review(self) -> None:
        (candidate, _) = examine_event(event(attribute("email-dst", "jane@mill.com")))
        assert candidate.verdict is Verdict.HELD

    def test_a_person_object_is_not_shared(self) -> None:
        part = attribute("email-src", "jane@mill.com", object_relation="e-mail")
        assert patterns(Object=[object_("person", part)]) == []

    @pytest.mark.parametrize(
        "more",
        [
            {"AttributeTag": [{"Tag": {"name": "tlp:red"}}]},
            {"comment": "TLP:RED, only for you"},
            {"deleted": "1"},
        ],
    )
    @pytest.mark.parametrize("of_object", [False, True])
    def test_a_restricted_or_deleted_link_is_not_shared(self, more: Any, of_object: bool) -> None:
        shown = {"category": "External analysis", "to_ids": False}
        link = attribute("link", "https://blog.example.net/a", 2, **shown)
        inner = object_("report", link, **more) if of_object else object_("report", link | more)
        (indicator,) = built_objects(event(attribute(), Object=[inner]))
        assert "external_references" not in indicator

    @pytest.mark.parametrize("deleted", [True, 1, "1", "TRUE", "yes"])
    def test_deleted_attributes_are_not_shared_in_any_spelling_of_the_flag(
        self, deleted: bool | int | str
    ) -> None:
        assert patterns(attribute(deleted=deleted)) == []

    @pytest.mark.parametrize("exportable", [False, 0, "0", "false"])
    def test_tags_that_are_not_exportable_are_not_shared_in_any_spelling_of_the_flag(
        self, exportable: bool | int | str
    ) -> None:
        tags = [{"name": "harbour-case", "exportable": exportable}]
        (indicator,) = built_objects(event(attribute(Tag=tags)))
        assert "labels" not in indicator

    @pytest.mark.parametrize("label", ["quux-motors", "QuuxMotors", "quux_motors_soc"])
    def test_a_sender_in_a_free_tag_or_comment_is_not_shared_however_it_is_joined(
        self, label: str
    ) -> None:
        content = attribute(Tag=[{"name": label}], comment=f"as {label} has it")
        (indicator,) = built_objects(event(content, Orgc={"name": "(Quux Motors)"}))
        assert "labels" not in indicator
        assert "otors" not in indicator["description"]

    def test_an_unshared_tag_of_an_object_is_counted_once(self) -> None:
        tags = [{"name": "harbour-case", "local": True}]
        inner = object_("url", attribute(), attribute(value="bad.com", number=2), Tag=tags)
        assert any("not shared: 1 tags" in each for each in messages(read(event(Object=[inner]))))

    def test_names_in_proposals_are_masked(self) -> None:
        proposal = {"type": "target-user", "value": "@jane_quux"}
        content = attribute(comment="sent to jane_quux", ShadowAttribute=[proposal])
        (indicator,) = built_objects(event(content))
        assert indicator["description"] == "sent to [removed: name or victim]"

    def test_deleted_attributes_and_proposals_are_not_shared(self) -> None:
        gone = attribute(value="old.com", number=2, deleted=True)
        content = event(attribute(ShadowAttribute=[{"value": "maybe.com"}]), gone)
        content["Event"]["ShadowAttribute"] = [{"value": "perhaps.com"}]
        assert [each["pattern"] for each in built_objects(content)] == [
            "[domain-name:value = 'evil.com']"
        ]
        assert (
            "1 domain deleted" in messages(read(content))[0]
            and "2 proposals" in messages(read(content))[0]
        )

    def test_the_bytes_of_a_sample_are_not_shared(self) -> None:
        candidates = read(event(attribute("malware-sample", f"x|{MD5}", data="UEsDBA==")))
        assert "UEsDBA" not in json.dumps([each.object for each in candidates])

    @pytest.mark.parametrize(
        "tag",
        [
            {"name": "internal", "local": True},
            {"name": "ours", "exportable": False},
            {"name": 'workflow:state="draft"'},
            {"name": 'misp-galaxy:target-information="Luxembourg"'},
            {"name": 'misp-galaxy:sector="Bank"'},
            {"name": 'customer:name="North Mill"'},
        ],
    )
    def test_tags_about_anything_but_the_threat_are_not_shared(self, tag: Any) -> None:
        candidates = read(event(attribute(Tag=[tag])))
        assert "labels" not in candidates[0].object
        assert "1 tags" in messages(candidates)[0]


class TestHostile:
    @pytest.mark.parametrize(
        "value", [None, 7, [], {}, "", " ", "a\x00b.com", "a\nb.com", "x" * 9000]
    )
    def test_a_bad_value_does_not_spoil_its_neighbours(self, value: Any) -> None:
        candidates = read(event(attribute(value=value), attribute(value="evil.org", number=2)))
        assert [each.verdict for each in candidates] == [
            Verdict.REFUSED,
            Verdict.OPEN,
            Verdict.OPEN,
        ]
        assert messages(candidates)[0].startswith("attribute 1 (domain): ")

    @pytest.mark.parametrize("raw", [b"NaN", b'{"a": 1, "a": 2}', b'"\\ud800"', b"1e999", b"[]"])
    def test_an_attribute_of_broken_json_does_not_spoil_its_neighbours(self, raw: bytes) -> None:
        good = json.dumps(attribute()).encode()
        candidates = read(b'{"Event": {"info": "a", "Attribute": [%s, %s]}}' % (raw, good))
        assert [c.verdict for c in candidates] == [Verdict.REFUSED, Verdict.OPEN, Verdict.OPEN]

    @pytest.mark.parametrize("name", ["Attribute", "Object", "Tag"])
    @pytest.mark.parametrize("value", ["text", 7, {"a": 1}])
    def test_a_property_that_should_be_a_list_is_refused_by_name(
        self, name: str, value: Any
    ) -> None:
        candidates = read({"Event": {"info": "a", "Attribute": [], name: value}})
        assert [c.verdict for c in candidates] == [Verdict.REFUSED]

    @pytest.mark.parametrize(
        "name",
        [
            *("comment", "uuid", "type", "category", "timestamp", "first_seen", "Sighting"),
            *("ShadowAttribute", "object_relation", "deleted", "to_ids"),
        ],
    )
    @pytest.mark.parametrize("value", [None, 7, "x", [1], {"a": [None]}, True])
    def test_an_attribute_property_of_a_wrong_type_does_not_raise(
        self, name: Any, value: Any
    ) -> None:
        part = attribute(number=1) | {name: value}
        neighbour = attribute("domain", "evil.org", 2)
        content = examine_event(
            event(part, neighbour, Object=[object_("file", part | {"uuid": uuid(3)})])
        )
        assert any(c.object and "evil.org" in str(c.object.get("pattern")) for c in content)
        assert not any(f.rule == "fault" for c in content for f in c.findings)

    @pytest.mark.parametrize("name", ["info", "date", "timestamp", "uuid", "Orgc", "published"])
    @pytest.mark.parametrize("value", [None, 7, [1], {"a": None}])
    def test_an_event_property_of_a_wrong_type_does_not_raise(self, name: str, value: Any) -> None:
        assert examine_event(event(attribute(), **{name: value}))

    def test_a_quote_in_a_value_is_escaped_in_the_pattern(self) -> None:
        (found,) = built_objects(event(attribute("mutex", "a' OR file:name = 'b")))
        assert found["pattern"] == "[mutex:name = 'a\\' OR file:name = \\'b']"

    @pytest.mark.slow
    def test_a_long_object_is_parsed_once_for_all_its_attributes(self) -> None:
        inner = [attribute(value=f"evil{i}.com", number=i + 1) for i in range(2_000)]
        more = {
            "comment": "TLP" + "x" * 2_000_000,
            "Tag": [{"name": f"t{i}"} for i in range(9_000)],
        }
        assert len(built_objects(event(Object=[object_("url", *inner, **more)]))) == 2_000

    def test_texts_are_left_out_if_the_names_are_too_long(self) -> None:
        names = ["a " * 90 + f"b{i}" for i in range(200)]
        content = [attribute("target-user", each, 9 + i) for i, each in enumerate(names)]
        (indicator,) = built_objects(event(attribute(comment="a " * 900), *content))
        assert "description" not in indicator

    def test_an_attribute_nested_too_deeply_is_refused(self) -> None:
        deep = b"[" * 100 + b"]" * 100
        part = json.dumps(attribute()).encode()
        raw = b'{"Event": {"info": "a", "Attribute": [{"x": %s}, %s]}}' % (deep, part)
        assert [c.verdict for c in read(raw)][:2] == [Verdict.REFUSED, Verdict.OPEN]

    def test_an_invalid_yara_rule_is_refused(self) -> None:
        (candidate, _) = examine_event(event(attribute("yara", "not a rule")))
        assert candidate.verdict is Verdict.REFUSED

    def test_refusals_do_not_repeat_the_value(self) -> None:
        candidates = read(
            event(attribute("domain", "no host of Jane's"), attribute("md5", "Jane", 2))
        )
        assert all(f.action is not Action.NOTED for c in candidates[:2] for f in c.findings)
        assert not any("Jane" in message for message in messages(candidates))
