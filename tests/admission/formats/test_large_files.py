"""Lists, tables and texts that are larger than memory give the candidates of small ones."""

import io

import pytest

from tocsin.admission import formats
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction import file_lines, references_and_contacts, verified_file
from tocsin.admission.model import Tlp

_OPTIONS = formats.ReadOptions(now=1_790_000_000_000_000, tlp=Tlp.GREEN)
_HOSTS = "".join(f"host{number}.bad-portal.top\n" for number in range(400))
_LISTS = {
    "hosts": _HOSTS,
    "a level in the middle": _HOSTS + "# TLP:AMBER from here on\n" + _HOSTS.replace("top", "org"),
    "repeated values": _HOSTS * 2,
    "an id in a heading": f"# hosts of CVE-2021-44228\n{_HOSTS}# others, recvent.com\na.top\n",
    "an id beside a value": _HOSTS + "evil.com # exploits CVE-2021-44228, T1566.001\n",
    "ids beside no value": _HOSTS + "# CVE-2021-44228\n",
    "hosts file": _HOSTS.replace("host", "0.0.0.0 host") + "127.0.0.1 localhost\n",
    "defanged": _HOSTS.replace(".bad", "[.]bad").replace("host", "hxxp://host"),
    "placeholders": _HOSTS + "http://evil.com/<user_id>\n" * 3,
    "line feeds of Windows": _HOSTS.replace("\n", "\r\n"),
    "no line feed at the end": _HOSTS + "last.bad-portal.top",
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lines, "_BLOCK", 512)
    monkeypatch.setattr(verified_file, "_BLOCK", 700)


@pytest.mark.slow
@pytest.mark.parametrize("text", _LISTS.values(), ids=_LISTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_the_candidates_are_those_of_the_whole(text: str, encoding: str) -> None:
    content = (text + "# für\n").encode(encoding)
    large = formats.read_large("list.txt", io.BytesIO(content), _OPTIONS)
    assert large is not None
    found = list(large)
    assert len(found) > 300
    assert found == list(formats.read("list.txt", content, _OPTIONS))


_REPORT = """\
TLP:AMBER report on the operators

Author: Jane Doe <jane@lab.org>
They wrote from op@mail.evil.net, and used
c2[.]evil[.]net and hxxp://evil[.]org/a.bin with www.lab.org. They exploit CVE-2021-44228.

rule Named {
  strings: $a = "not.one.net"
  condition: $a
}
Victims
* Bank Ltd, bob@bank.example-host.top

# References
https://blog.example-host.top/report
"""
_TEXTS = {
    "a report": _REPORT * 20,
    "a ransom note at the end": _REPORT * 20 + "your files are encrypted, contact us: a@evil.biz\n",
    "hosts that are defanged at the end": "seen x@evil.net then\n" * 90 + "from evil[.]net there\n",
}


@pytest.mark.parametrize("text", _TEXTS.values(), ids=_TEXTS)
@pytest.mark.parametrize("name", ["report.txt", "report.md", "report.adoc"])
def test_the_candidates_of_a_report_are_those_of_the_whole(
    text: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(formats.read(name, text.encode(), _OPTIONS))
    monkeypatch.setattr(references_and_contacts, "_SEARCHED", 3)
    large = formats.read_large(name, io.BytesIO(text.encode()), _OPTIONS)
    assert large is not None
    assert list(large) == whole and whole


_ROWS = "".join(
    f'bad{n}.top,{90 - n % 50},"seen by ""a sensor"", twice",2026-05-{n % 28 + 1:02}\n'
    for n in range(400)
)
_HEADINGS = "domain,confidence,description,first_seen\n"
_TABLES = {
    "headings": _HEADINGS + _ROWS,
    "no headings": _ROWS,
    "titles and comments": f"Our table of May\n# TLP:AMBER\n{_HEADINGS}{_ROWS}# CVE-2021-44228\n",
    "rows of several lines": _HEADINGS + _ROWS.replace("twice", "twice\non a line"),
    "a quote that is never closed": f'{_HEADINGS}{_ROWS}evil.com,50,"open,2026-05-01\n{_ROWS}',
    "repeated values": _HEADINGS + _ROWS * 2,
    "semicolons": (_HEADINGS + _ROWS).replace(",", ";"),
}


@pytest.mark.slow
@pytest.mark.parametrize("text", _TABLES.values(), ids=_TABLES)
@pytest.mark.parametrize("name", ["table.csv", "table.tsv"])
def test_the_candidates_of_a_table_are_those_of_the_whole(text: str, name: str) -> None:
    large = formats.read_large(name, io.BytesIO(text.encode()), _OPTIONS)
    assert large is not None
    found = list(large)
    assert len(found) >= 400
    assert found == list(formats.read(name, text.encode(), _OPTIONS))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", _HOSTS.encode("utf-16")),
        ("list.json", b'["evil.com", {"deny": "evil.org"}]'),
        ("list.txt", b'[\n"evil.com",\n"evil.org"]\n'),
        ("list.csv", b"domain,seen\revil.com,2026-01-01\r"),
        ("list.txt", b"%PDF-1.7\nevil.com\n"),
    ],
)
def test_others_are_read_as_a_whole(name: str, content: bytes) -> None:
    assert formats.read_large(name, io.BytesIO(content), _OPTIONS) is None


def test_a_list_that_changes_while_it_is_read_is_an_error() -> None:
    stream = io.BytesIO(_HOSTS.encode())
    large = formats.read_large("list.txt", stream, _OPTIONS)
    assert large is not None
    next(large)
    stream.seek(9_000)
    stream.write(b"x")
    with pytest.raises(Unprocessable, match="changed while it was read"):
        list(large)
