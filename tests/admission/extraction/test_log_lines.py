"""Logs name the writer's own machines beside those of attackers."""

from typing import Any

import pytest

from tocsin.admission import formats

NOW = 1_790_000_000_000_000


def read_candidates(text: str, name: str = "events.log") -> Any:
    return list(formats.read(name, text.encode(), formats.ReadOptions(now=NOW)))


def values(text: str, name: str = "events.log") -> Any:
    """The values in the patterns of public addresses, hosts and URLs."""
    made = (each.object for each in read_candidates(text, name) if each.object is not None)
    return [each["pattern"].split(" = ")[1][1:-2] for each in made]


class TestConnections:
    @pytest.mark.parametrize(
        "line",
        [
            "CEF:0|Acme|FW|1|m|Malware|9|src=10.1.2.3 shost=pc.acme.org dst=45.9.70.9 dvc=81.2.3.4",
            "LEEF:1.0|Acme|FW|1|m|src=10.1.2.3|dst=45.9.70.9|srcPostNAT=81.2.3.4|sev=4",
            'devname="fw.acme.org" srcip=10.1.2.3 dstip=45.9.70.9 transip=81.2.3.4 action="deny"',
            '{"src_ip": "10.1.2.3", "dest_ip": "45.9.70.9", "host.name": "pc.acme.org"}',
            "id.orig_h=10.1.2.3 id.resp_h=45.9.70.9",
        ],
    )
    def test_of_a_connection_from_inside_the_other_end_is_an_indicator(self, line: str) -> None:
        assert values(f"Seen today:\n{line}\n") == ["45.9.70.9"]

    def test_of_a_connection_to_the_inside_the_source_is_an_indicator(self) -> None:
        text = "Seen:\ndate=2026-01-31 srcip=45.9.70.9 dstip=10.1.2.3 dstname=srv.acme.org\n"
        assert values(text) == ["45.9.70.9"]

    def test_between_public_addresses_either_end_may_be_the_writers(self) -> None:
        text = "Seen:\nsrcip=45.9.70.9 dstip=81.2.3.4 dstname=vpn.acme.org url=http://evil.com/a\n"
        (found,) = read_candidates(text)
        assert "evil.com" in str(found.object)
        assert "may be yours" in found.findings[-1].message
        assert "line 2" in found.findings[-1].message

    @pytest.mark.parametrize(
        "line", ["CEF:0|Acme|MX|1|v|Virus|8|src=45.9.70.9 msg=found", "Blocked src=45.9.70.9 today"]
    )
    def test_a_source_alone_is_an_indicator(self, line: str) -> None:
        assert values(f"Seen today:\n{line}\n") == ["45.9.70.9"]

    def test_parameters_of_a_url_are_no_fields_of_a_log(self) -> None:
        url = "http://evil.com/?src=a.org&dst=b.org"
        assert values(f"It loads {url} then\n") == [url]


class TestWebServers:
    def test_the_page_from_which_a_request_came_is_not_an_indicator(self) -> None:
        text = '45.9.70.9 - - [31/Jan/2026:08:41:02 +0100] "GET /a HTTP/1.1" 200 5 '
        text += '"https://portal.acme.org/start" "curl"\n'
        assert values(text * 2) == ["45.9.70.9"]


class TestZeek:
    FIELDS = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tquery\n"

    @pytest.mark.parametrize("name", ["dns.log", "dns.txt", "dns.tsv"])
    def test_a_log_of_zeek_is_refused_with_what_to_do(self, name: str) -> None:
        text = f"#separator \\x09\n#set_separator\t,\n#path\tdns\n{self.FIELDS}"
        text += "1.5\tCa\t81.2.3.4\t5\t9.9.9.9\t53\tpc.acme.org\n"
        assert formats.detect_format(name, text.encode()) is None
        assert "send the attacker's" in formats.explain_unreadable(name, text.encode())

    def test_a_list_for_zeek_is_read(self) -> None:
        text = "#fields\tindicator\tindicator_type\tmeta.source\nevil.com\tIntel::DOMAIN\thub\n"
        assert values(text, "intel.dat") == ["evil.com"]
