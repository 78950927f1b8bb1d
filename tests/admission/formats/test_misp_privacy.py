"""Events of MISP: how widely they are shared, what never leaves, and what hostile ones cost."""

import json

import pytest
from support.misp_events import (
    MD5,
    attribute,
    event,
    level,
    made,
    object_,
    patterns,
    read,
    said,
    shared,
    uuid,
)

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Action, Tlp, Verdict


class TestHowWidely:
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
        self, of_event, of_attribute, expected
    ):
        tags = [{"name": each} for each in of_event]
        own = [{"name": each} for each in of_attribute]
        assert level(event(attribute(Tag=own), Tag=tags)) is expected

    def test_a_tag_of_an_object_counts_for_what_is_in_it(self):
        tags = [{"name": "tlp:amber"}]
        assert level(event(Object=[object_("url", attribute(), Tag=tags)])) is Tlp.AMBER

    def test_tags_may_stand_inside_others_as_in_the_index_of_events(self):
        assert level(event(attribute(), EventTag=[{"Tag": {"name": "TLP:AMBER"}}])) is Tlp.AMBER

    @pytest.mark.parametrize("where", ["info", "comment"])
    def test_a_level_in_words_counts(self, where):
        more = {where: "TLP:AMBER, do not forward"}
        told = event(attribute(**more)) if where == "comment" else event(attribute(), **more)
        assert level(told) is Tlp.AMBER

    @pytest.mark.parametrize("where", ["info", "comment"])
    def test_a_level_at_the_end_of_many_words_counts(self, where):
        more = {where: "word " * 600 + "TLP:AMBER"}
        told = event(attribute(**more)) if where == "comment" else event(attribute(), **more)
        assert level(told) is Tlp.AMBER

    def test_a_level_in_the_comment_of_an_object_counts_for_what_is_in_it(self):
        assert level(event(Object=[object_("url", attribute(), comment="TLP:AMBER")])) is Tlp.AMBER

    def test_a_level_in_the_comment_of_a_vulnerability_counts(self):
        told = attribute("vulnerability", "CVE-2021-44228", comment="TLP:RED")
        (vulnerability,) = made(event(told), "vulnerability")
        assert vulnerability["object_marking_refs"] == [TLP_2_IDS[Tlp.RED]]

    @pytest.mark.parametrize("tag", ['"tlp:red"', "\u200btlp:red", "\uff34\uff2c\uff30:red"])
    def test_a_tag_that_looks_like_a_level_never_goes_for_none(self, tag):
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
    def test_a_distribution_is_never_widened(self, distribution, tlp, expected):
        assert level(event(attribute(), distribution=distribution), tlp=tlp) is expected

    def test_a_distribution_goes_before_a_wider_tag(self):
        told = event(attribute(), distribution="1", Tag=[{"name": "tlp:clear"}])
        assert level(told) is Tlp.AMBER

    @pytest.mark.parametrize("distribution", ["0", "4", 0, "9", [], True])
    def test_what_misp_gives_to_nobody_here_is_refused(self, distribution):
        (whole,) = read(event(attribute(), distribution=distribution))
        (alone, _) = read(event(attribute(distribution=distribution)))
        assert whole.verdict is alone.verdict is Verdict.REFUSED

    @pytest.mark.parametrize("tag", ["tlp:ex:chr", "tlp:unclear", "tlp:"])
    def test_a_level_that_nobody_knows_is_refused(self, tag):
        (candidate,) = read(event(attribute(), Tag=[{"name": tag}]))
        assert candidate.verdict is Verdict.REFUSED

    @pytest.mark.parametrize("tags", ["tlp:red", [None], [{"name": 1}], {"name": "tlp:red"}])
    def test_tags_that_cannot_be_read_are_refused_since_one_may_be_a_level(self, tags):
        told = read(event(attribute(Tag=tags), attribute(value="evil.org", number=2)))
        assert [each.verdict for each in told[:2]] == [Verdict.REFUSED, Verdict.OPEN]

    @pytest.mark.parametrize("published", [False, "0", 0])
    def test_a_draft_is_refused(self, published):
        (candidate,) = read(event(attribute(), published=published))
        assert "publish it in MISP" in said([candidate])[0]


class TestWhatNeverLeaves:
    def test_neither_senders_nor_creators_nor_sharing_groups(self):
        told = event(
            attribute(comment="ACME Corp saw it, ask bob@acme.example; Blue Team too"),
            info="ACME Corp: invoices",
            Org={"name": "Blue Team"},
            Orgc={"name": "ACME Corp"},
            event_creator_email="bob@acme.example",
            SharingGroup={"name": "Secret Circle"},
            Tag=[{"name": "ACME Corp"}],
        )
        text = json.dumps([each.object for each in read(told)])
        for word in ("ACME", "Blue Team", "bob@", "Secret Circle"):
            assert word not in text
        assert "invoices" in text

    @pytest.mark.parametrize("kind", ["target-org", "target-email", "target-machine", "full-name"])
    def test_whom_the_event_names_as_victim_or_person_stands_in_no_text(self, kind):
        victim = attribute(kind, "North Mill", 2, to_ids=False)
        told = event(attribute(comment="Sent to north mill"), victim)
        assert made(told)[0]["description"] == "Sent to [removed: name or victim]"
        assert "whom the event names is masked" in said(read(told))

    @pytest.mark.parametrize(
        "kind", ["target-user", "full-name", "phone-number", "email-body", "text", "attachment"]
    )
    def test_people_and_free_text_are_no_indicators_even_with_to_ids(self, kind):
        told = read(event(attribute(kind, "Jane Doe of North Mill")))
        assert {each.verdict for each in told} == {Verdict.REFUSED}
        assert not any("Jane" in message for message in said(told))

    def test_if_very_many_are_named_no_text_is_shared(self):
        victims = [attribute("target-user", f"user{n}", n, to_ids=False) for n in range(2, 400)]
        told = event(attribute(comment="user399 clicked", Tag=[{"name": "user399"}]), *victims)
        (found,) = made(told)
        assert "description" not in found and "labels" not in found
        assert any("too many" in message for message in said(read(told)))

    def test_a_victim_s_own_host_is_no_indicator(self):
        victim = attribute("target-machine", "mill.example.com", 2, to_ids=False)
        told = read(event(attribute("hostname", "mill.example.com"), victim))
        assert told[0].verdict is Verdict.REFUSED

    def test_a_recipient_waits_for_an_analyst(self):
        (candidate, _) = shared(event(attribute("email-dst", "jane@mill.com")))
        assert candidate.verdict is Verdict.HELD

    def test_a_person_object_gives_nothing(self):
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
    def test_a_link_that_is_restricted_or_deleted_with_what_it_is_in(self, more, of_object):
        said = {"category": "External analysis", "to_ids": False}
        link = attribute("link", "https://blog.example.net/a", 2, **said)
        inner = object_("report", link, **more) if of_object else object_("report", link | more)
        (indicator,) = made(event(attribute(), Object=[inner]))
        assert "external_references" not in indicator

    @pytest.mark.parametrize("deleted", [True, 1, "1", "TRUE", "yes"])
    def test_what_is_deleted_in_any_spelling(self, deleted):
        assert patterns(attribute(deleted=deleted)) == []

    @pytest.mark.parametrize("exportable", [False, 0, "0", "false"])
    def test_tags_that_are_not_exportable_in_any_spelling(self, exportable):
        tags = [{"name": "harbour-case", "exportable": exportable}]
        (indicator,) = made(event(attribute(Tag=tags)))
        assert "labels" not in indicator

    @pytest.mark.parametrize("label", ["quux-motors", "QuuxMotors", "quux_motors_soc"])
    def test_a_free_tag_or_comment_with_a_sender_s_name_however_it_is_joined(self, label):
        told = attribute(Tag=[{"name": label}], comment=f"as {label} has it")
        (indicator,) = made(event(told, Orgc={"name": "(Quux Motors)"}))
        assert "labels" not in indicator
        assert "otors" not in indicator["description"]

    def test_a_tag_of_an_object_that_is_kept_back_is_counted_once(self):
        tags = [{"name": "harbour-case", "local": True}]
        inner = object_("url", attribute(), attribute(value="bad.com", number=2), Tag=tags)
        assert any("not shared: 1 tags" in each for each in said(read(event(Object=[inner]))))

    def test_whom_only_a_proposal_names(self):
        proposal = {"type": "target-user", "value": "@jane_quux"}
        told = attribute(comment="sent to jane_quux", ShadowAttribute=[proposal])
        (indicator,) = made(event(told))
        assert indicator["description"] == "sent to [removed: name or victim]"

    def test_neither_deleted_attributes_nor_proposals(self):
        gone = attribute(value="old.com", number=2, deleted=True)
        told = event(attribute(ShadowAttribute=[{"value": "maybe.com"}]), gone)
        told["Event"]["ShadowAttribute"] = [{"value": "perhaps.com"}]
        assert [each["pattern"] for each in made(told)] == ["[domain-name:value = 'evil.com']"]
        assert "1 domain deleted" in said(read(told))[0] and "2 proposals" in said(read(told))[0]

    def test_the_bytes_of_a_sample(self):
        told = read(event(attribute("malware-sample", f"x|{MD5}", data="UEsDBA==")))
        assert "UEsDBA" not in json.dumps([each.object for each in told])

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
    def test_tags_about_anything_but_the_threat(self, tag):
        told = read(event(attribute(Tag=[tag])))
        assert "labels" not in told[0].object
        assert "1 tags" in said(told)[0]


class TestHostile:
    @pytest.mark.parametrize(
        "value", [None, 7, [], {}, "", " ", "a\x00b.com", "a\nb.com", "x" * 9000]
    )
    def test_a_value_that_is_none_costs_no_neighbour(self, value):
        told = read(event(attribute(value=value), attribute(value="evil.org", number=2)))
        assert [each.verdict for each in told] == [Verdict.REFUSED, Verdict.OPEN, Verdict.OPEN]
        assert said(told)[0].startswith("attribute 1 (domain): ")

    @pytest.mark.parametrize("raw", [b"NaN", b'{"a": 1, "a": 2}', b'"\\ud800"', b"1e999", b"[]"])
    def test_what_is_no_proper_json_costs_no_neighbour(self, raw):
        good = json.dumps(attribute()).encode()
        told = read(b'{"Event": {"info": "a", "Attribute": [%s, %s]}}' % (raw, good))
        assert [c.verdict for c in told] == [Verdict.REFUSED, Verdict.OPEN, Verdict.OPEN]

    @pytest.mark.parametrize("name", ["Attribute", "Object", "Tag"])
    @pytest.mark.parametrize("value", ["text", 7, {"a": 1}])
    def test_something_else_where_a_list_should_be_is_told(self, name, value):
        told = read({"Event": {"info": "a", "Attribute": [], name: value}})
        assert [c.verdict for c in told] == [Verdict.REFUSED]

    @pytest.mark.parametrize(
        "name",
        [
            *("comment", "uuid", "type", "category", "timestamp", "first_seen", "Sighting"),
            *("ShadowAttribute", "object_relation", "deleted", "to_ids"),
        ],
    )
    @pytest.mark.parametrize("value", [None, 7, "x", [1], {"a": [None]}, True])
    def test_nothing_of_another_type_raises(self, name, value):
        part = attribute(number=1) | {name: value}
        neighbour = attribute("domain", "evil.org", 2)
        told = shared(event(part, neighbour, Object=[object_("file", part | {"uuid": uuid(3)})]))
        assert any(c.object and "evil.org" in str(c.object.get("pattern")) for c in told)
        assert not any(f.rule == "fault" for c in told for f in c.findings)

    @pytest.mark.parametrize("name", ["info", "date", "timestamp", "uuid", "Orgc", "published"])
    @pytest.mark.parametrize("value", [None, 7, [1], {"a": None}])
    def test_nor_does_anything_of_the_event(self, name, value):
        assert shared(event(attribute(), **{name: value}))

    def test_a_quote_ends_no_pattern(self):
        (found,) = made(event(attribute("mutex", "a' OR file:name = 'b")))
        assert found["pattern"] == "[mutex:name = 'a\\' OR file:name = \\'b']"

    def test_what_an_object_says_at_length_is_read_once_for_all_that_is_in_it(self):
        inner = [attribute(value=f"evil{i}.com", number=i + 1) for i in range(2_000)]
        more = {
            "comment": "TLP" + "x" * 2_000_000,
            "Tag": [{"name": f"t{i}"} for i in range(9_000)],
        }
        assert len(made(event(Object=[object_("url", *inner, **more)]))) == 2_000

    def test_very_long_names_silence_the_texts(self):
        names = ["a " * 90 + f"b{i}" for i in range(200)]
        told = [attribute("target-user", each, 9 + i) for i, each in enumerate(names)]
        (indicator,) = made(event(attribute(comment="a " * 900), *told))
        assert "description" not in indicator

    def test_what_is_nested_too_deeply_is_refused(self):
        deep = b"[" * 100 + b"]" * 100
        part = json.dumps(attribute()).encode()
        raw = b'{"Event": {"info": "a", "Attribute": [{"x": %s}, %s]}}' % (deep, part)
        assert [c.verdict for c in read(raw)][:2] == [Verdict.REFUSED, Verdict.OPEN]

    def test_a_rule_that_is_none_is_refused_by_admission(self):
        (candidate, _) = shared(event(attribute("yara", "not a rule")))
        assert candidate.verdict is Verdict.REFUSED

    def test_every_fault_is_a_finding_that_repeats_no_value(self):
        told = read(event(attribute("domain", "no host of Jane's"), attribute("md5", "Jane", 2)))
        assert all(f.action is not Action.NOTED for c in told[:2] for f in c.findings)
        assert not any("Jane" in message for message in said(told))
