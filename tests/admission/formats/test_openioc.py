"""OpenIOC (tocsin.admission.formats.openioc)."""

from collections.abc import Callable

import pytest
from support.reading import external_ids, format_name, patterns, read_file, refusals, values

from tocsin.admission.errors import Malformed

MD5 = "44d88612fea8a8f36de82e1278abb02f"


def item(search: str, content: str, condition: str = "is", more: str = "") -> str:
    return (
        f'<IndicatorItem condition="{condition}" {more}><Context search="{search}" type="mir"/>'
        f'<Content type="string">{content}</Content></IndicatorItem>'
    )


def group(operator: str, *members: str) -> str:
    return f'<Indicator operator="{operator}">{"".join(members)}</Indicator>'


def ioc_1_0(*items: str) -> str:
    return (
        '<?xml version="1.0"?><ioc xmlns="http://schemas.mandiant.com/2010/ioc">'
        "<short_description>A campaign</short_description><authored_by>Jane Doe</authored_by>"
        "<authored_date>2013-01-02T03:04:05</authored_date>"
        f"<definition>{group('OR', *items)}</definition></ioc>"
    )


def ioc_1_1(*items: str) -> str:
    return (
        '<OpenIOC xmlns="http://openioc.org/schemas/OpenIOC_1.1"><metadata>'
        "<short_description>A campaign</short_description><authored_by>Jane Doe</authored_by>"
        "<authored_date>2013-01-02T03:04:05</authored_date></metadata>"
        f"<criteria>{group('OR', *items)}</criteria></OpenIOC>"
    )


@pytest.mark.parametrize("make", [ioc_1_0, ioc_1_1])
class TestBothVersions:
    def test_each_alternative_becomes_an_indicator(self, make: Callable[..., str]) -> None:
        text = make(
            item("FileItem/Md5sum", MD5),
            item("Network/DNS", "evil[.]com", "contains"),
            item("PortItem/remoteIP", "198.51.100.7"),
            item("UrlHistoryItem/URL", "http://evil.com/a"),
            item("Email/From", "evil@bad-mailer.com"),
        )
        assert format_name("a", text) == "openioc"
        assert values(read_file("a.ioc", text)) == [
            MD5,
            "evil.com",
            "198.51.100.7",
            "http://evil.com/a",
            "evil@bad-mailer.com",
        ]

    def test_the_date_is_that_of_the_file_and_the_author_is_not_shared(
        self, make: Callable[..., str]
    ) -> None:
        (found,) = read_file("a.ioc", make(item("Network/DNS", "evil.com")))
        assert found.object and found.object["valid_from"] == "2013-01-02T03:04:05.000Z"
        assert "Jane" not in str(found.object)

    def test_ids_in_the_title_become_references(self, make: Callable[..., str]) -> None:
        text = make(item("Network/DNS", "evil.com")).replace("A campaign", "Uses CVE-2024-3408")
        (found,) = read_file("a.ioc", text)
        assert external_ids(found) == ["CVE-2024-3408"]


class TestPatterns:
    @pytest.mark.parametrize(
        ("search", "condition", "content", "pattern"),
        [
            ("FileItem/FileName", "is", "a.exe", "[file:name = 'a.exe']"),
            ("FileItem/FileName", "contains", "evil", "[file:name LIKE '%evil%']"),
            ("FileItem/FileName", "starts-with", "evil", "[file:name LIKE 'evil%']"),
            ("FileItem/FileName", "ends-with", ".scr", "[file:name LIKE '%.scr']"),
            ("FileItem/FileName", "matches", "^a+$", "[file:name MATCHES '^a+$']"),
            ("FileItem/SizeInBytes", "is", "42", "[file:size = 42]"),
            ("UrlHistoryItem/URL", "contains", "evil.com/a", "[url:value LIKE '%evil.com/a%']"),
            (
                "RegistryItem/ValueName",
                "is",
                "it's",
                r"[windows-registry-key:values[*].name = 'it\'s']",
            ),
        ],
    )
    def test_conditions_become_comparisons(
        self, search: str, condition: str, content: str, pattern: str
    ) -> None:
        text = ioc_1_1(item(search, content, condition))
        assert patterns(read_file("a.ioc", text)) == [pattern]

    def test_items_joined_by_and_become_one_pattern_for_each_thing(self) -> None:
        joined = group(
            "AND",
            item("FileItem/FileName", "a.exe"),
            item("FileItem/Md5sum", MD5),
            group("OR", item("Network/DNS", "evil.com"), item("Network/DNS", "evil.org")),
        )
        (found,) = read_file("a.ioc", ioc_1_1(joined))
        assert found.object
        assert found.object["pattern"] == (
            f"[file:name = 'a.exe' AND file:hashes.'MD5' = '{MD5}'] AND "
            "([domain-name:value = 'evil.com'] OR [domain-name:value = 'evil.org'])"
        )
        assert found.object["name"] == "A campaign"

    @pytest.mark.parametrize(
        "odd",
        [
            item("FileItem/FileExtension", "exe"),
            item("FileItem/FileName", "a.exe", more='negate="true"'),
            item("FileItem/FileName", "a.exe", "isnot"),
            item("FileItem/FileName", "a.exe", "greater-than"),
            item("Network/DNS", "no host"),
            item("Email/To", "jane@acme.example"),
        ],
    )
    def test_an_item_that_stix_cannot_express_is_refused_with_the_items_joined_to_it(
        self, odd: str
    ) -> None:
        text = ioc_1_1(odd, group("AND", item("Network/DNS", "evil.org"), odd))
        text = text.replace(
            "</criteria>", group("OR", item("Network/DNS", "evil.com")) + "</criteria>"
        )
        found = read_file("a.ioc", text)
        assert values(found) == ["evil.com"]
        assert [each.partition(":")[0] for each in refusals(found)] == ["item 1", "item 2"]
        assert "jane@" not in "".join(refusals(found))


class TestHostile:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('<!DOCTYPE a [<!ENTITY b "c">]>' + ioc_1_1().removeprefix("<?xml"), "document type"),
            (ioc_1_1(*["<a>"] * 300), "nested deeper than 200"),
            (ioc_1_1(group("AND", "<Indicator>" * 30)), "nested deeper than 20"),
            (ioc_1_1() + "<", "not well-formed"),
        ],
    )
    def test_hostile_xml_is_refused(self, text: str, reason: str) -> None:
        with pytest.raises(Malformed, match=reason):
            read_file("a.ioc", text)
