"""Parts of texts that hold the writer's own hosts are left out, and masked in texts of objects."""

from typing import Any

import pytest

from tocsin.admission import formats
from tocsin.admission.detectors.own_machines import find_own_machines
from tocsin.admission.detectors.own_parts import find_own_parts, remove_own_parts

NOW = 1_790_000_000_000_000
BEFORE = "Seen today:\n"


def read_candidates(text: str) -> Any:
    return list(formats.read("note.txt", text.encode(), formats.ReadOptions(now=NOW)))


def values(text: str) -> Any:
    made = (each.object for each in read_candidates(text) if each.object is not None)
    return [each["pattern"].split(" = ")[1][1:-2] for each in made]


def mask(text: str) -> str:
    """The text with `#` in the place of such parts."""
    spans = [*find_own_machines(text), *find_own_parts(text)]
    for span in sorted(spans, key=lambda each: -each.start):
        text = f"{text[: span.start]}#{text[span.end :]}"
    return text


class TestRecordsOfDomains:
    @pytest.mark.parametrize(
        "line",
        [
            'bank.org. 3600 IN TXT "v=spf1 ip4:81.2.3.0/26 ip4:81.2.3.9 include:mx.bank.org -all"',
            "it passed: v=spf1 a mx ip4:81.2.3.9 a:mx.bank.org ~all",
        ],
    )
    def test_the_hosts_of_an_spf_record_are_no_indicators(self, line: str) -> None:
        found = values(f"Sent from 45.9.70.7\n{line}\n")
        assert "45.9.70.7" in found
        assert not [each for each in found if each.startswith("81.2.3.") or "mx." in each]

    def test_words_behind_an_spf_record_are_read(self) -> None:
        assert values("Seen v=spf1 ip4:81.2.3.4 -all and then 45.9.70.7\n") == ["45.9.70.7"]

    def test_records_of_dkim_and_dmarc_are_left_out(self) -> None:
        text = f"{BEFORE}s1._domainkey.bank.org, v=DMARC1; rua=mailto:d@bank.org\nevil.top\n"
        assert values(text) == ["evil.top"]


class TestAllowedHosts:
    @pytest.mark.parametrize(
        "line",
        [
            "ignoreip = 127.0.0.1/8 81.2.3.0/24 81.2.3.4",
            "fail2ban.filter [812]: INFO [sshd] Ignore 81.2.3.4 by ip",
            "-A INPUT -s 81.2.3.4/32 -p tcp --dport 22 -j ACCEPT",
            "    ip saddr 81.2.3.4 accept",
            "set allowed_admins { type ipv4_addr; elements = { 81.2.3.4 } }",
            "sudo ufw allow from 81.2.3.4",
            "access-list 10 permit ip host 81.2.3.4 any",
            "  allow 81.2.3.4;",
            "Require ip 81.2.3.4",
            "acl admins src 81.2.3.4",
            "sshd[8]: Accepted publickey for huber from 81.2.3.4 port 5 ssh2",
            "Whitelisted: 81.2.3.4",
            "Ausnahmen (eigene Systeme): 81.2.3.4",
        ],
    )
    def test_hosts_that_are_let_through_are_no_indicators(self, line: str) -> None:
        assert values(f"{BEFORE}evil.top\n{line}\n") == ["evil.top"]

    @pytest.mark.parametrize(
        "line",
        [
            "-A INPUT -s 45.9.70.7/32 -j DROP",
            "    ip saddr 45.9.70.7 drop",
            "fail2ban.actions [8]: NOTICE [sshd] Ban 45.9.70.7",
            "set blocklist { type ipv4_addr; elements = { 45.9.70.7 } }",
            "sshd[8]: Accepted password for root from 45.9.70.7 port 5 ssh2",
        ],
    )
    def test_hosts_that_are_blocked_are_indicators(self, line: str) -> None:
        assert [each.split("/")[0] for each in values(f"{BEFORE}{line}\n")] == ["45.9.70.7"]

    def test_a_note_names_the_lines(self) -> None:
        found = read_candidates(f"{BEFORE}45.9.70.7\nignoreip = 81.2.3.4\n")
        assert "your network are left out, line 3" in found[-1].findings[-1].message


class TestExceptionsOfQueries:
    @pytest.mark.parametrize(
        "line",
        [
            '| where LocalIP !in ("81.2.3.4", "81.2.3.5")',
            "NOT src_ip IN (81.2.3.4, 81.2.3.5) | stats count",
            '| where ClientIP != "81.2.3.4"',
            "NOT host=pc.bank.org",
            '| where Url !contains "bank.org"',
        ],
    )
    def test_values_that_a_query_excludes_are_no_indicators(self, line: str) -> None:
        assert values(f'Seen\n| where RemoteIP in ("45.9.70.7")\n{line}\n') == ["45.9.70.7"]


class TestNearEnds:
    @pytest.mark.parametrize(
        "line",
        [
            "1764545001.123    142 81.2.3.4 TCP_MISS/200 45 GET http://45.9.70.7/ - NONE/- x",
            "queries: info: query: 45.9.70.7 IN A +E(0)K (81.2.3.4)",
            "  TCP    81.2.3.4:51234     45.9.70.7:443    ESTABLISHED",
            "tcp   ESTAB  0   0    81.2.3.4:51234   45.9.70.7:443",
            '[error] failed, client: 45.9.70.7, server: www.bank.org, host: "www.bank.org"',
            "2026-11-30 03:11:22 81.2.3.4 POST /a.asmx - 443 - 45.9.70.7 curl 200",
        ],
    )
    def test_the_writers_end_is_no_indicator(self, line: str) -> None:
        (found,) = values(f"Seen\n{line}\n")
        assert "45.9.70.7" in found

    def test_between_public_addresses_of_zeek_either_end_may_be_the_writers(self) -> None:
        line = "1764545001.1\tCxT\t81.2.3.4\t51234\t45.9.70.7\t443\ttcp\n"
        assert values(f"Seen\nevil.top\n{line}") == ["evil.top"]


class TestTextsOfObjects:
    def test_such_parts_are_found(self) -> None:
        assert mask("TXT v=spf1 ip4:81.2.3.4 -all\nignoreip = 81.2.3.4") == "TXT #\n#"
        assert mask("Received: from evil.top by mx.bank.org (Postfix)") == (
            "Received: from evil.top by # (Postfix)"
        )

    @pytest.mark.parametrize("length", [7_990, 20_000])
    def test_they_are_found_in_long_lines_too(self, length: int) -> None:
        line = f"{'evil.top ' * (length // 9)}v=spf1 ip4:81.2.3.4 -all seen"
        assert "81.2.3.4" not in mask(line)
        assert "81.2.3.4" not in remove_own_parts(line)

    def test_the_relays_of_an_attacker_stay_in_the_line_above(self) -> None:
        hops = (
            "Received: from relay.top by mx.bank.org; today",
            "Received: from evil.top by relay.top; today",
        )
        assert mask("\n".join(hops)) == (
            "Received: from relay.top by #; today\nReceived: from evil.top by #; today"
        )

    @pytest.mark.parametrize(
        "text",
        [
            'if (a != "evil.top")',
            "45.9.70.7 is a C2 of evil.top",
            "It may permit any attacker to call 45.9.70.7",
            "a second host, server: 45.9.70.7",
        ],
    )
    def test_other_texts_have_none(self, text: str) -> None:
        assert mask(text) == text


class TestAddressesThatWordsCallOwn:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            (
                "seen from our mail server 81.2.3.4 to 45.9.70.7",
                "seen from our mail server # to 45.9.70.7",
            ),
            ("it hit our web proxy (81.2.3.0/24)", "it hit our web proxy (#)"),
            ("our public IP address is 81.2.3.4", "our public IP address is #"),
            ("Our gateways: 81.2.3.4, 2a01:4f8::1 and 81.2.3.5", "Our gateways: #, # and #"),
            ("unser Mailserver 81.2.3.4 an 45.9.70.7", "unser Mailserver # an 45.9.70.7"),
            ("notre serveur 81.2.3.4 et 81.2.3.5", "notre serveur # et #"),
            ("nuestro servidor 81.2.3.4", "nuestro servidor #"),
            ("allow list: 81.2.3.4, 81.2.3.5 (do not block)", "allow list: #, # (do not block)"),
        ],
    )
    def test_they_are_masked_with_those_of_the_same_list(self, text: str, masked: str) -> None:
        assert mask(text) == masked

    @pytest.mark.parametrize(
        "text",
        [
            "our sensors saw 45.9.70.7 scanning",
            "our firewall blocked 45.9.70.7 twice",
            "our team blocked IP 45.9.70.7",
            "our sensor detected host 45.9.70.7",
            "Our list of malicious servers: 45.9.70.7",
            "Our C2 servers: 45.9.70.7",
            "our customers saw malicious IP 45.9.70.7",
            "unser Team blockierte IP 45.9.70.7",
            "seen at our honeypot server: 45.9.70.7",
            "our web server was attacked by 45.9.70.7",
            "our server runs version 8 and 45.9.70.7 asked for it",
        ],
    )
    def test_others_stay(self, text: str) -> None:
        assert mask(text) == text
