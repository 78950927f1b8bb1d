"""The files are taken by the tools that they are for."""

import json
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from sigma.collection import SigmaCollection
from sigma.rule import SigmaRule
from support.feed_states import files_of, filled_state, listing, write_files
from support.packets import connection, dns_query, http_request, write_pcap
from support.programs import require_program
from suricataparser import parse_rule

from tocsin.admission.patterns.grammar import quote_string

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
_LABEL = "a" * 62
VALUES = {
    "domain-name:value": ["bad.test", "_x.bad.test", "bücher.example", f"{_LABEL}.{_LABEL}.test"],
    "ipv4-addr:value": ["198.51.100.7", "198.51.100.0/25", "203.0.113.0/24"],
    "ipv6-addr:value": ["2001:db8::7", "2001:db8:1::/48", "2001:0:0:1:0:0:0:1", "1:2:3:4:5:6:7:0"],
    "url:value": [
        'http://bad.test/a;b?c="d"|e:f\'g\\h(i),j!k',
        "http://198.51.100.7:8080/x",
        "http://[2001:db8::7]/ä",
        "https://bad.test",
    ],
    "email-addr:value": ["me+x@bad.test"],
    "file:hashes.MD5": [MD5],
    "file:hashes.'SHA-1'": [MD5 + "0" * 8],
    "file:hashes.'SHA-256'": [MD5 * 2],
    "file:hashes.'SHA-512'": [MD5 * 4],
}
OBJECTS = [
    listing(f"[{path} = {quote_string(value)}]")
    for path, values in VALUES.items()
    for value in values
]


def run(*words: object) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def check_rules(folder: Path, rules: Path) -> None:
    suricata = require_program("suricata", "suricata")
    place = ("--set", f"default-rule-path={folder}", "-l", folder)
    output = run(suricata, "-T", "-S", rules, *place)
    assert "E: " not in output, output


@pytest.mark.slow
@pytest.mark.parametrize("objects", [OBJECTS, []])
def test_suricata_loads_the_rules(tmp_path: Path, objects: list[dict[str, object]]) -> None:
    folder = tmp_path / "rules"
    write_files(folder, files_of(filled_state(tmp_path, objects), "suricata"))
    check_rules(folder, folder / "tocsin-green.rules")


@pytest.mark.slow
def test_suricata_loads_the_rules_whatever_the_length_of_a_url(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    long_url = listing(f"[url:value = 'http://bad.test/{';' * 3900}']")
    network = "2a00:{:x}:ffff:ffff:ffff:ffff:ffff:fff0/124"
    networks = [
        listing(f"[ipv6-addr:value = '{network.format(n)}']") for n in range(0x1000, 0x1100)
    ]
    files = files_of(filled_state(tmp_path, [long_url, *networks, *OBJECTS]), "suricata")
    rules = files["tocsin-green.rules"]
    assert rules.endswith("# URLs too long for a rule, left out: 1\n")
    assert all(network.format(n) in rules for n in range(0x1000, 0x1100))
    write_files(folder, files)
    check_rules(folder, folder / "tocsin-green.rules")


TRAFFIC = {
    "query for a listed name": [dns_query("BAD.test")],
    "request to a listed name": connection("192.0.2.9", http_request("bad.test", "/")),
    "request for a listed URL": connection("192.0.2.9", http_request("x.test", "/a;b?c=%22")),
    "listed URL": connection("192.0.2.9", http_request("x.test", "/p"), port=8080),
    "packet to a listed address": connection("198.51.100.7", b"x", port=99),
    "packet from a listed address": connection("198.51.100.7", b"x", port=99),
    "packet to a listed network": connection("203.0.113.9", b"x", port=99),
}
OTHER_TRAFFIC = [
    dns_query("sub.bad.test"),
    dns_query("bad.test.example"),
    *connection("192.0.2.9", http_request("x.test", "/a;b?c=%22&more")),
    *connection("192.0.2.9", http_request("y.test", "/a;b?c=%22")),
    *connection("198.51.100.8", b"x", port=99),
]


class TestSuricataAlerts:
    def alerts(self, tmp_path: Path, frames: list[bytes]) -> str:
        listed = {
            "domain-name": ["bad.test"],
            "url": ["http://x.test/a;b?c=%22", "http://x.test:8080/p"],
            "ipv4-addr": ["198.51.100.7", "203.0.113.0/24"],
        }
        objects = [
            listing(f"[{kind}:value = {quote_string(value)}]")
            for kind, values in listed.items()
            for value in values
        ]
        folder = tmp_path / "rules"
        write_files(folder, files_of(filled_state(tmp_path, objects), "suricata"))
        write_pcap(tmp_path / "traffic", frames)
        suricata = require_program("suricata", "suricata")
        place = ("--set", f"default-rule-path={folder}", "-l", tmp_path, "-k", "none")
        rules = ("-S", folder / "tocsin-green.rules", "-r", tmp_path / "traffic")
        run(suricata, *rules, *place, "--set", "outputs.0.fast.enabled=yes")
        return (tmp_path / "fast.log").read_text()

    @pytest.mark.slow
    @pytest.mark.parametrize("text", TRAFFIC)
    def test_listed_traffic_raises_an_alert(self, tmp_path: Path, text: str) -> None:
        assert text in self.alerts(tmp_path, TRAFFIC[text])

    @pytest.mark.slow
    def test_other_traffic_raises_none(self, tmp_path: Path) -> None:
        assert self.alerts(tmp_path, OTHER_TRAFFIC) == ""


def test_the_rules_for_snort_can_be_parsed(tmp_path: Path) -> None:
    rules = files_of(filled_state(tmp_path, OBJECTS), "snort")["tocsin.rules"].splitlines()
    assert len(rules) == len(VALUES["domain-name:value"]) + 3
    for rule in rules:
        parsed = parse_rule(rule)
        assert parsed is not None and parsed.sid


@pytest.mark.slow
def test_suricata_loads_a_hundred_thousand_names_and_ten_thousand_urls(tmp_path: Path) -> None:
    names = [listing(f"[domain-name:value = 'h{n}.test']") for n in range(100_000)]
    urls = [listing(f"[url:value = 'http://bad.test/{n}']") for n in range(10_000)]
    folder = tmp_path / "rules"
    write_files(folder, files_of(filled_state(tmp_path, names + urls), "suricata"))
    check_rules(folder, folder / "tocsin-green.rules")


def test_named_checkzone_takes_the_zone(tmp_path: Path) -> None:
    checker = require_program("named-checkzone", "bind9-utils")
    long_names = [listing(f"[domain-name:value = '{'a.' * n}test']") for n in range(1, 125)]
    zone = tmp_path / "zone"
    files = files_of(filled_state(tmp_path, [*OBJECTS, *long_names]), "rpz")
    zone.write_text(files["rpz.zone"])
    origin = f"rpz.{'o' * 40}.example.org"
    assert run(checker, origin, zone).endswith("OK\n")


@pytest.mark.slow
def test_pymisp_reads_the_feed(tmp_path: Path) -> None:
    ended = {**listing("[domain-name:value = 'gone.test']", 1), "revoked": True}
    current = {**ended, "revoked": False, "modified": "2025-12-01T00:00:00.000Z"}
    files = files_of(filled_state(tmp_path, [*OBJECTS, current, ended]), "misp")
    (name,) = json.loads(files["manifest.json"])
    event = import_module("pymisp").MISPEvent()  # not above: it takes two seconds
    event.load(files[f"{name}.json"])
    assert event.uuid == name
    living = [each for each in event.attributes if not each.deleted]
    assert len(living) == len(OBJECTS)
    assert len(event.attributes) == len(OBJECTS) + 1
    (digest, uuid), *_ = (line.split(",") for line in files["hashes.csv"].splitlines())
    assert uuid == name and len(digest) == 32


def test_pysigma_reads_the_rules(tmp_path: Path) -> None:
    files = files_of(filled_state(tmp_path, OBJECTS), "sigma")
    assert len(files) == 7
    for text in files.values():
        (rule,) = SigmaCollection.from_yaml(text).rules
        assert isinstance(rule, SigmaRule) and not rule.errors
        for condition in rule.detection.parsed_condition:
            assert condition.parsed is not None
