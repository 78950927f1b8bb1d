"""STIX 1.x as XML, converted by the elevator in a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.presence import present

from tocsin.admission.bounded_process import BoundedTask, Limits
from tocsin.admission.errors import Malformed, TooLarge, Unprocessable
from tocsin.admission.formats import ReadOptions, detect_format, read, stix1
from tocsin.admission.markings.tlp import TLP_1_IDS
from tocsin.admission.model import Candidate, Tlp, Verdict

pytestmark = pytest.mark.slow

OPTIONS = ReadOptions(1_790_000_000_000_000)
REAL = Path(os.environ.get("TOCSIN_REAL", "none")) / "iocs" / "stix1-xml"
PACKAGE = """<?xml version="1.0" encoding="UTF-8"?>
<stix:STIX_Package
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xmlns:stix="http://stix.mitre.org/stix-1"
    xmlns:stixCommon="http://stix.mitre.org/common-1"
    xmlns:indicator="http://stix.mitre.org/Indicator-2"
    xmlns:cybox="http://cybox.mitre.org/cybox-2"
    xmlns:DomainNameObj="http://cybox.mitre.org/objects#DomainNameObject-1"
    xmlns:acme="http://acme.example/"
    id="acme:Package-1a111111-1111-4111-8111-111111111111" version="1.2"
    timestamp="2014-05-08T09:00:00.000000Z">
  <stix:Indicators>
    <stix:Indicator id="acme:indicator-2a111111-1111-4111-8111-111111111111"
        timestamp="2014-05-08T09:00:00.000000Z" xsi:type="indicator:IndicatorType">
      <indicator:Title>A domain of the campaign</indicator:Title>
      <indicator:Observable id="acme:Observable-3a111111-1111-4111-8111-111111111111">
        <cybox:Object id="acme:Object-4a111111-1111-4111-8111-111111111111">
          <cybox:Properties xsi:type="DomainNameObj:DomainNameObjectType">
            <DomainNameObj:Value condition="Equals">evil-shop.ru</DomainNameObj:Value>
          </cybox:Properties>
        </cybox:Object>
      </indicator:Observable>
    </stix:Indicator>
  </stix:Indicators>
</stix:STIX_Package>
"""


INDICATORS = PACKAGE[PACKAGE.index("  <stix:Indicators>") : PACKAGE.index("</stix:STIX_Package>")]
PRODUCER = """
      <indicator:Producer>
        <stixCommon:Identity><stixCommon:Name>North</stixCommon:Name></stixCommon:Identity>
      </indicator:Producer>"""
RED = """
  <stix:STIX_Header>
    <stix:Handling>
      <marking:Marking xmlns:marking="http://data-marking.mitre.org/Marking-1">
        <marking:Controlled_Structure>//node() | //@*</marking:Controlled_Structure>
        <marking:Marking_Structure
            xmlns:tlp="http://data-marking.mitre.org/extensions/MarkingStructure#TLP-1"
            xsi:type="tlp:TLPMarkingStructureType" color="RED"/>
      </marking:Marking>
    </stix:Handling>
  </stix:STIX_Header>
"""


def wrapped(text: Any, header: Any = "") -> Any:
    """The package's content in a package that is related to one that has nothing else."""
    inner = (
        "<stix:Related_Packages><stix:Related_Package>"
        '<stix:Package id="acme:Package-5a111111-1111-4111-8111-111111111111" version="1.2">'
        f"{text}</stix:Package></stix:Related_Package></stix:Related_Packages>"
    )
    return PACKAGE.replace(INDICATORS, header + inner)


def indicators(text: Any) -> Any:
    found = [c.object for c in read("a.xml", text.encode(), OPTIONS)]
    return [each for each in found if each and each["type"] == "indicator"]


def with_document_type(declaration: Any) -> Any:
    return PACKAGE.replace("?>", f"?>\n{declaration}", 1).encode()


@pytest.fixture
def elevator() -> None:
    if not stix1.is_installed():
        pytest.skip("needs tocsin[stix1]")


class TestDetection:
    @pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_xml_in_the_namespace_of_stix_1_is_accepted_under_any_name(self, coding: str) -> None:
        assert present(detect_format("a.txt", PACKAGE.encode(coding))).name == "stix1"

    @pytest.mark.parametrize("content", [b"<a/>", b"http://stix.mitre.org/stix-1", b"{}"])
    def test_other_xml_is_not_accepted(self, content: bytes) -> None:
        found = detect_format("a.xml", content)
        assert found is None or found.name != "stix1"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Candidate], list[Path]]:
    """The candidates of `PACKAGE`, and the files that were left in a home directory."""
    if not stix1.is_installed():
        pytest.skip("needs tocsin[stix1]")
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("HOME", str(home))
        changed.setattr("tempfile.tempdir", str(home))
        return list(read("a.xml", PACKAGE.encode(), OPTIONS)), list(home.iterdir())


class TestReading:
    def test_a_package_becomes_stix_2_1_objects(
        self, converted: tuple[list[Candidate], list[Path]]
    ) -> None:
        found = [c.object for c in converted[0]]
        (indicator,) = [each for each in found if present(each)["type"] == "indicator"]
        assert present(indicator)["pattern"] == "[domain-name:value = 'evil-shop.ru']"
        assert present(indicator)["id"] == "indicator--2a111111-1111-4111-8111-111111111111"
        assert present(indicator)["spec_version"] == "2.1"

    def test_the_elevator_leaves_no_files_in_the_home_directory(
        self, converted: tuple[list[Candidate], list[Path]]
    ) -> None:
        assert converted[1] == []

    def test_the_elevator_is_loaded_without_compiling_a_grammar(self, elevator: Any) -> None:
        code = "import sys, tocsin.admission.formats.stix1.elevate as e; e.prepare()"
        code += "; print('stix2validator' in sys.modules, 'lark' in sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert loaded.stdout == "True False\n", loaded.stderr

    def test_what_has_no_id_gets_the_same_one_each_time(self, elevator: Any) -> None:
        where = "      <indicator:Observable id"
        named = PACKAGE.replace(where, f"{PRODUCER}\n{where}")
        first, again = (
            [present(c.object)["id"] for c in read("a.xml", named.encode(), OPTIONS)]
            for _ in range(2)
        )
        assert len(set(first)) > 1 and again == first
        other = named.replace("North", "South")
        assert {c.source_id for c in read("a.xml", other.encode(), OPTIONS)} != set(first)

    def test_another_encoding_is_the_same_package(self, elevator: Any) -> None:
        sixteen = PACKAGE.replace("UTF-8", "UTF-16").encode("utf-16")
        (found,) = [
            c.object
            for c in read("a.xml", sixteen, OPTIONS)
            if present(c.object)["type"] == "indicator"
        ]
        assert present(found)["pattern"] == "[domain-name:value = 'evil-shop.ru']"

    def test_packages_inside_a_package_are_read_however_deep(self, elevator: Any) -> None:
        deeper = wrapped(INDICATORS)
        deeper = deeper[deeper.index("<stix:Related_Packages>") : deeper.index("</stix:STIX_P")]
        (indicator,) = indicators(wrapped(deeper))  # the next test reads one level
        assert indicator["pattern"] == "[domain-name:value = 'evil-shop.ru']"

    def test_the_markings_of_a_package_apply_to_nested_packages(self, elevator: Any) -> None:
        header = "<stix:STIX_Header><stix:Title>Their own</stix:Title></stix:STIX_Header>"
        for text in (wrapped(INDICATORS, RED), wrapped(header + INDICATORS, RED)):
            (indicator,) = indicators(text)
            (marking,) = indicator["object_marking_refs"]
            assert marking == TLP_1_IDS[Tlp.RED]

    def test_a_nested_package_that_cannot_be_converted_takes_no_other_along(
        self, elevator: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        nested = wrapped(INDICATORS.replace(":DomainNameObjectType", ":NoSuchType"))
        nested = nested[nested.index("<stix:Related_Packages>") : nested.index("</stix:STIX_P")]
        text = PACKAGE.replace(INDICATORS, INDICATORS + nested)
        good, bad = read("a.xml", text.encode(), OPTIONS)
        assert present(good.object)["type"] == "indicator"
        assert (good.index, bad.index, bad.verdict) == (0, 1, Verdict.REFUSED)
        assert bad.findings[0].message == (
            "the package acme:Package-5a111111-1111-4111-8111-111111111111 cannot be converted:"
            " check it against its schemas"
        )
        assert "KeyError: 'NoSuchType'" in ascii(caplog.text).replace("\\", "")

    def test_a_package_that_cannot_be_converted_takes_no_nested_one_along(
        self, elevator: Any
    ) -> None:
        text = wrapped(INDICATORS).replace('version="1.2"\n', 'version="9.9"\n')
        good, bad = read("a.xml", text.encode(), OPTIONS)
        assert present(good.object)["type"] == "indicator"
        assert "Package-1a111111" in bad.findings[0].message

    @pytest.mark.parametrize(
        ("end", "message"),
        [
            ("raise ValueError", "the elevator failed at this document"),
            ("os.kill(os.getpid(), 9)", "the elevator failed at this document"),
            ("bytes(10**10)", "out of time or memory: send smaller packages"),
        ],
    )
    def test_the_message_says_how_the_elevator_ended(
        self, elevator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, message: str
    ) -> None:
        task = tmp_path / "task.py"
        task.write_text(f"import os\ndef prepare(): return fail\ndef fail(request): {end}")
        limits = Limits(seconds=2.0, memory=300_000_000, answer=1_000)
        monkeypatch.setattr(stix1, "_elevator", lambda: BoundedTask(str(task), limits))
        with pytest.raises(Malformed, match=message):
            list(read("a.xml", PACKAGE.encode(), OPTIONS))

    def test_broken_xml_is_refused_with_a_remedy(self, elevator: Any) -> None:
        with pytest.raises(Malformed, match="check it against its schemas"):
            list(read("a.xml", PACKAGE[:-30].encode(), OPTIONS))


class TestHostile:
    @pytest.mark.parametrize(
        "declaration",
        [
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">',
            "<!doctype a>",
            '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]>',
        ],
    )
    @pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
    def test_a_document_type_is_refused_before_anything_reads_it(
        self, declaration: str, coding: str
    ) -> None:
        hostile = with_document_type(declaration).decode().encode(coding)
        with pytest.raises((Malformed, Unprocessable)) as process:
            list(read("a.xml", hostile, OPTIONS))
        assert "document type" in str(process.value) or "tocsin[stix1]" in str(process.value)

    def test_a_document_type_hidden_by_utf_7_is_refused(self, elevator: Any) -> None:
        hidden = with_document_type("+ADwAIQ-DOCTYPE a+AD4").replace(b"UTF-8", b"UTF-7")
        with pytest.raises(Malformed):
            list(read("a.xml", hidden, OPTIONS))

    def test_deep_nesting_is_refused(self, elevator: Any) -> None:
        deep = PACKAGE.replace("</stix:STIX_Package>", "<a>" * 5000 + "</a>" * 5000)
        with pytest.raises(Malformed, match="nested"):
            list(read("a.xml", deep.encode(), OPTIONS))

    @pytest.mark.parametrize(
        "level",
        [
            "<a><!-- </a> -->",
            "<a><![CDATA[</a>]]>",
            "<a><?b </a>?>",
            "<a b='>'><c d='/>'/>",
            "<\u00e9>",
            "<a b='/'>",
        ],
    )
    def test_nothing_in_a_document_hides_deep_nesting(self, elevator: Any, level: str) -> None:
        deep = PACKAGE.replace("</stix:STIX_Package>", level * 201)
        with pytest.raises(Malformed, match="nested deeper than 200 levels"):
            list(read("a.xml", deep.encode(), OPTIONS))

    def test_many_siblings_are_not_deep_nesting(self, elevator: Any) -> None:
        siblings = '<x a=">"/>' * 201 + "<!-- <a> -->" * 402
        wide = PACKAGE.replace("  <stix:Indicators>", f"{siblings}<stix:Indicators>")
        assert list(read("a.xml", wide.encode(), OPTIONS))

    @pytest.mark.parametrize("piece", ["<!--", "<a b='", "<a/>", "x"])
    def test_a_hostile_document_is_refused_in_linear_time(self, elevator: Any, piece: str) -> None:
        hostile = PACKAGE + piece * (4_000_000 // len(piece)) + "]>"
        started = time.thread_time()
        with pytest.raises(Malformed):
            list(read("a.xml", hostile.encode(), OPTIONS))
        assert time.thread_time() - started < 10

    def test_an_overlong_file_is_refused(self) -> None:
        with pytest.raises(TooLarge):
            list(read("a.xml", PACKAGE.encode() + b" " * 8_000_000, OPTIONS))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data ($TOCSIN_REAL)")
def test_real_packages_are_read(elevator: Any) -> None:
    for path in sorted(REAL.rglob("*.xml"))[:2]:
        assert list(read(path.name, path.read_bytes(), OPTIONS))
