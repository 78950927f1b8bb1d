"""Links that mail filters rewrote (tocsin.admission.extraction.rewritten_links)."""

import base64
from urllib.parse import quote

import pytest
from support.documents import mail
from support.reading import messages, read_file, refusals, values

from tocsin.admission.extraction.rewritten_links import is_wrapped, unwrap

LINK = "https://evil.com/a-b_c?d=e"
QUOTED = quote(LINK, safe="")
ENCODED = base64.b64encode(LINK.encode()).decode()
RESTORED = "the link is restored that a mail filter rewrote"
WRAPPED = [
    f"https://eur01.safelinks.protection.outlook.com/?url={QUOTED}&data=05%7Cjane%40bank.com%7C",
    f"https://urldefense.proofpoint.com/v1/url?u={LINK}&k=jane",
    "https://urldefense.proofpoint.com/v2/url?u=https-3A__evil.com_a-2Db-5Fc-3Fd-3De&r=jane",
    f"https://urldefense.com/v3/__{LINK}__;!!abc!def$",
    f"https://linkprotect.cudasvc.com/url?a={QUOTED}&c=E,1,jane&typo=1",
    f"https://secure-web.cisco.com/1AbCd-jane/{QUOTED}",
    f"https://eu-central-1.protection.sophos.com/?d=evil.com&u={ENCODED}&i=jane",
    f"https://imsva91-ctp.trendmicro.com:443/wis/clicktime/v1/query?url={QUOTED}&umid=jane",
    f"https://protect2.fireeye.com/v1/url?k=jane&u={QUOTED}",
    f"https://clicktime.symantec.com/3AbC/jane?u={QUOTED}",
]
UNREADABLE = [
    "https://protect-us.mimecast.com/s/jane?domain=evil.com",
    "https://urldefense.com/v3/__https://evil.com/*a__;Kw!!abc!def$",
    "https://eu-west-1.protection.sophos.com/?d=evil.com&u=__&i=jane",
    "https://secure-web.cisco.com/1AbCd-jane",
]


@pytest.mark.parametrize("wrapped", WRAPPED)
class TestRestored:
    def test_the_link_is_read_out_of_that_of_the_filter(self, wrapped: str) -> None:
        assert is_wrapped(wrapped)
        assert unwrap(wrapped) == LINK

    @pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv"])
    def test_texts_and_tables_give_the_link_and_say_so(self, wrapped: str, name: str) -> None:
        cell = f'"{wrapped}"' if name == "a.csv" else wrapped
        found = read_file(name, f"url\n{cell}\n".encode())
        assert values(found) == [LINK]
        assert RESTORED in messages(found)

    def test_mails_give_the_link(self, wrapped: str) -> None:
        found = read_file("a.eml", mail(f"see {wrapped} now").as_bytes())
        assert values(found)[1:] == [LINK]

    def test_a_reference_in_a_table_is_restored(self, wrapped: str) -> None:
        (found,) = read_file("a.csv", f'domain,reference\nevil.com,"{wrapped}"\n'.encode())
        subject = found.object or {}
        assert [each["url"] for each in subject["external_references"]] == [LINK]


@pytest.mark.parametrize("wrapped", UNREADABLE)
class TestLeftOut:
    @pytest.mark.parametrize("name", ["a.txt", "a.csv"])
    def test_one_that_cannot_be_read_is_left_out_and_that_is_said(
        self, wrapped: str, name: str
    ) -> None:
        found = read_file(name, f"url\n{wrapped}\nhttp://evil.com/b\n".encode())
        assert values(found) == ["http://evil.com/b"]
        assert "line 2: a link that a mail filter rewrote" in refusals(found)[0]

    def test_a_reference_that_cannot_be_read_is_left_out(self, wrapped: str) -> None:
        (found,) = read_file("a.csv", f"domain,reference\nevil.com,{wrapped}\n".encode())
        assert "external_references" not in (found.object or {"external_references": ""})


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.com/?url=https%3A%2F%2Fevil.org&cisco",
        "https://safelinks.protection.outlook.com.evil.com/?url=https%3A%2F%2Fevil.org",
        "https://www.sophos.com/?u=aHR0cDovL2E=",
    ],
)
def test_other_links_stay_as_they_are(link: str) -> None:
    assert (unwrap(link), is_wrapped(link)) == (link, False)
    assert values(read_file("a.csv", f"url\n{link}\n".encode())) == [link]
