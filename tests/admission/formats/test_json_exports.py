"""Exports of known programs as JSON, of which only what they call malicious is read."""

import json
from typing import Any

import pytest

from tocsin.admission.formats import ReadOptions, detect_format, explain_unreadable, read
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Candidate, Tlp, Verdict

NOW = 1_790_000_000_000_000
MD5, SHA1, SHA256 = "d" * 32, "a" * 40, "e" * 64


def read_candidates(*lines: object, name: str = "export.json") -> Any:
    content = "\n".join(map(json.dumps, lines)).encode()
    return list(read(name, content, ReadOptions(now=NOW)))


def with_verdict(verdict: Verdict, *lines: object) -> list[str]:
    """The values of candidates with this verdict."""
    found = [each for each in read_candidates(*lines) if each.verdict is verdict]
    return [(each.object or each.original)["pattern"].split(" = ")[1][1:-2] for each in found]


def shared(*lines: object) -> list[str]:
    return with_verdict(Verdict.OPEN, *lines)


def held(*lines: object) -> list[str]:
    return with_verdict(Verdict.HELD, *lines)


def explanation(content: object) -> str:
    """Why no format reads a file; empty if one does."""
    raw = json.dumps(content).encode()
    return explain_unreadable("a.json", raw) if detect_format("a.json", raw) is None else ""


class TestVirusTotal:
    @staticmethod
    def reported(
        kind: str = "domain", id: str = "evil-update.top", count: int = 9, **more: object
    ) -> dict[str, Any]:
        stats = {"malicious": count, "suspicious": 0, "harmless": 60, "undetected": 20}
        return {"type": kind, "id": id, "attributes": {"last_analysis_stats": stats, **more}}

    def test_files_domains_addresses_and_urls_are_read(self) -> None:
        found = [
            self.reported("file", SHA256, md5=MD5, sha1=SHA1, meaningful_name="acme-offer.exe"),
            self.reported(),
            self.reported("ip_address", "45.9.70.7"),
            self.reported("url", "f" * 64, url="http://evil-update.top/a"),
        ]
        values = [SHA256, MD5, SHA1, "evil-update.top", "45.9.70.7", "http://evil-update.top/a"]
        assert shared({"data": found}) == shared(found) == values
        assert shared(*({"data": each} for each in found)) == values
        assert "acme" not in str([each.object for each in read_candidates({"data": found})])

    def test_values_in_attributes_are_not_read(self) -> None:
        records = [{"type": "A", "value": "81.2.3.4"}, {"type": "MX", "value": "mx.acme-mail.top"}]
        answer = {"data": self.reported(last_dns_records=records)}
        assert shared(answer) == ["evil-update.top"] and held(answer) == []

    def test_what_few_engines_call_malicious_is_held_and_the_rest_refused(self) -> None:
        answer = {"data": [self.reported(count=2), self.reported(id="a-update.top", count=0)]}
        assert shared(answer) == [] and held(answer) == ["evil-update.top"]
        refused = read_candidates(answer)[-1]
        assert "no engine of VirusTotal calls it malicious" in refused.findings[0].message
        assert refused.excerpt == "a-update.top"

    def test_an_object_without_verdicts_is_refused(self) -> None:
        unknown = {"type": "domain", "id": "a-update.top", "attributes": {"reputation": 0}}
        assert shared({"data": [self.reported(), unknown]}) == ["evil-update.top"]
        assert explanation({"data": [unknown]})
        assert explanation({"data": [{"type": ["domain"], "id": 7, "attributes": {}}]})

    def test_the_level_of_an_object_counts_for_it(self) -> None:
        commented = self.reported(id="a-update.top", note="TLP:RED")
        first, second = read_candidates({"data": [self.reported(), commented]})
        assert "object_marking_refs" not in first.object
        assert second.object["object_marking_refs"] == [TLP_2_IDS[Tlp.RED]]


class TestQRadar:
    @staticmethod
    def named(name: str, *found: str) -> dict[str, Any]:
        elements = [{"source": "J. Doe", "last_seen": 1756115446494, "value": v} for v in found]
        return {"name": name, "element_type": "ALNIC", "data": elements}

    @pytest.mark.parametrize(
        "name",
        [
            "SOC_Malicious_Domains",
            "Phishing URLs",
            "C2 IPs 2026",
            "ACME-IOCs",
            "maliciousDomains",
        ],
    )
    def test_a_set_whose_name_calls_its_values_malicious_is_read(self, name: str) -> None:
        answer = self.named(name, "evil-update.top", "45.9.70.7")
        assert shared(answer) == shared([answer]) == ["evil-update.top", "45.9.70.7"]
        assert "Doe" not in str([each.object for each in read_candidates(answer)])

    @pytest.mark.parametrize(
        "name",
        [
            *("Allowed Malicious Domains", "Trusted C2 IPs", "Domains", "Malware IPs"),
            *("Internal C2 IPs", "Infected malicious IPs", "Hosts contacting malicious servers"),
            *("Phishing victims", "Users of malicious domains", "C2 traffic"),
            *("IOC hits", "Malicious domains contacted", "Malicious IPs our side"),
        ],
    )
    def test_another_set_is_not_read(self, name: str) -> None:
        assert explanation(self.named(name, "mail.acme-update.top", "81.2.3.4"))


class TestThreatConnect:
    @staticmethod
    def indicator(kind: str, summary: str, **more: object) -> dict[str, Any]:
        about = {"ownerName": "ACME Sharing", "rating": 5.0, "confidence": 90}
        return {"id": 7, "type": kind, "summary": summary, **about, **more}

    def test_the_list_of_an_indicator_is_no_owner_of_machines(self) -> None:
        found = [
            self.indicator("Address", "45.9.70.7", ip="45.9.70.7", lastModified="2026-01-02"),
            self.indicator("File", f"{MD5} : {SHA1} : {SHA256}"),
            self.indicator("EmailAddress", "scan@evil-update.top"),
            self.indicator("User Agent", "curl/8"),
        ]
        values = ["45.9.70.7", MD5, SHA1, SHA256, "scan@evil-update.top"]
        assert shared(found) == shared({"data": found, "status": "Success"}) == values
        first = read_candidates(found)[0].object
        assert first["confidence"] == 90 and "ACME" not in str(first)

    def test_those_that_are_private_inactive_or_allowed_are_refused(self) -> None:
        found = [
            self.indicator("Address", "45.9.70.7", privateFlag=True),
            self.indicator("Address", "81.2.3.4", active=False),
            self.indicator("Address", "45.9.70.8", active=True),
            self.indicator("Address", "45.9.70.9", whitelistActive=True),
            self.indicator("Address", "45.9.70.10", ownerName="Own assets"),
            self.indicator("Address", "45.9.70.11", ownerName="ACME Allowlist"),
        ]
        assert (shared(found), held(found)) == (["45.9.70.8"], [])


class TestCowrie:
    @staticmethod
    def event(name: str, address: str = "45.9.70.7", **more: object) -> dict[str, Any]:
        about = {"timestamp": "2026-02-17T07:17:05Z", "session": "234c698b0ee0", "sensor": "hp-1"}
        return {"eventid": f"cowrie.{name}", "src_ip": address, **about, **more}

    def test_those_who_connect_and_their_files_are_read(self) -> None:
        url = "http://evil-update.top/a.sh"
        log = [
            self.event("session.connect", dst_ip="81.2.3.4", dst_port=22),
            self.event("login.success", username="root", password="Sommer2024"),  # noqa: S106
            self.event("session.file_download", "45.9.70.8", url=url, shasum=SHA256),
        ]
        assert shared(*log) == shared(log) == ["45.9.70.7", "45.9.70.8", url, SHA256]
        assert "Sommer2024" not in str(read_candidates(*log))
        assert len(read_candidates(*log)) == 4  # each value once

    def test_the_honeypot_and_whom_an_attacker_wants_to_reach_are_not_read(self) -> None:
        log = [
            self.event("direct-tcpip.request", dst_ip="81.2.3.4", dst_port=25),
            self.event(
                "command.input", input="curl https://mail.acme-update.top/", dst_ip="81.2.3.5"
            ),
            self.event("login.failed", url="https://mail.acme-update.top/"),
        ]
        assert shared(*log) == ["45.9.70.7"] and held(*log) == []


class TestBeacons:
    CONFIG = {
        **{"BeaconType": "HTTPS", "SleepTime": 60000, "Proxy_HyperlinkUser": "jdoe"},
        "HttpPostUri": "/submit.php",
    }

    def config(self, servers: str = "evil-update.top,/a.js,45.9.70.7,/b.js", host: str = "") -> Any:
        return {**self.CONFIG, "C2Server": servers, "HostHeader": host}

    def test_servers_and_hashes_are_read(self) -> None:
        parsed = {"sha256": SHA256, "config": self.config(), "proxy": "proxy.acme-update.top"}
        servers = ["evil-update.top", "45.9.70.7"]
        assert shared(self.config()) == shared([{"BeaconConfig": self.config()}]) == servers
        assert shared(parsed) == shared(parsed, parsed) == [SHA256, *servers]

    def test_names_with_spaces_are_read(self) -> None:
        scan = {"x86": {"md5": MD5, "config": {"Beacon Type": "HTTP", "C2 Server": "45.9.70.7,/a"}}}
        assert shared(scan) == [MD5, "45.9.70.7"]

    def test_the_scanned_host_is_read_unless_it_may_be_a_machine_of_yours(self) -> None:
        scan = {"host": "81.2.3.4", "port": 443, "x64": {"sha256": SHA256, "config": self.config()}}
        assert "81.2.3.4" in shared(scan)
        of_memory = {**scan, "user": "jdoe", "pid": 4711}
        assert "81.2.3.4" not in (*shared(of_memory), *held(of_memory))
        assert "81.2.3.4" not in shared({"host": "81.2.3.4", "config": self.config()})

    def test_servers_behind_another_name_are_held(self) -> None:
        fronted = self.config("cdn.acme-update.top,/a", host="Host: evil-update.top")
        assert shared(fronted, self.config("45.9.70.7,/a")) == ["45.9.70.7"]
        assert held(fronted) == ["cdn.acme-update.top"]


class TestSandboxes:
    @staticmethod
    def cape(**more: object) -> dict[str, Any]:
        sample = {"name": "acme-offer.exe", "md5": MD5, "sha256": SHA256}
        network = {
            "hosts": [{"ip": "45.9.70.7"}, {"ip": "81.2.3.4"}],
            "dns": [{"request": "ocsp.acme-update.top", "answers": [{"data": "81.2.3.5"}]}],
        }
        about = {"info": {"machine": {"name": "win10-jdoe"}}, "target": {"file": sample}}
        return {**about, "malscore": 10.0, "network": network, "signatures": [], **more}

    CONFIG = {"configs": [{"Remcos": {"C2": ["45.9.70.7:2404", "tcp://evil-update.top:443/"]}}]}

    def test_the_sample_and_servers_in_its_configuration_are_read(self) -> None:
        report = self.cape(CAPE=self.CONFIG, detections="Remcos")
        assert shared(report) == [MD5, SHA256, "45.9.70.7", "evil-update.top"]

    def test_the_level_of_a_report_counts(self) -> None:
        first = read_candidates(self.cape(CAPE=self.CONFIG, info={"tlp": "Red"}))[0]
        assert first.object["object_marking_refs"] == [TLP_2_IDS[Tlp.RED]]

    def test_what_the_sample_contacted_is_held(self) -> None:
        report = self.cape(CAPE=self.CONFIG)
        assert held(report) == ["81.2.3.4", "ocsp.acme-update.top"]
        assert "81.2.3.5" not in str(read_candidates(report))

    def test_no_mailbox_of_a_configuration_is_read(self) -> None:
        stolen = {"Protocol": "SMTP", "Host": "mail.acme-update.top", "To": "j@acme-update.top"}
        report = self.cape(CAPE={"configs": [{"AgentTesla": stolen}]}, detections="AgentTesla")
        assert shared(report) == [MD5, SHA256]
        assert not {"mail.acme-update.top", "j@acme-update.top"} & {*held(report)}

    def test_payloads_of_the_malware_are_read_and_others_held(self) -> None:
        payloads = [
            {"sha256": "1" * 64, "cape_type": "Remcos Payload"},
            {"sha256": "2" * 64, "cape_type": "Unpacked PE Image: 32-bit executable"},
        ]
        report = self.cape(CAPE={"payloads": payloads}, detections="Remcos")
        assert shared(report)[-1] == "1" * 64 and "2" * 64 in held(report)

    def test_a_sample_without_a_name_is_held_by_its_score_or_not_read(self) -> None:
        assert shared(self.cape()) == [] and held(self.cape())[:2] == [MD5, SHA256]
        cuckoo = self.cape(malscore=0, info={"score": 8.2})
        assert held(cuckoo)[:2] == [MD5, SHA256]
        assert "calls nothing malicious" in explanation(self.cape(malscore=1.2))

    @pytest.mark.parametrize("detection", ["MAL", "SUS"])
    def test_joe_sandbox_marks_what_is_malicious(self, detection: str) -> None:
        report = {
            "fileinfo": {"filename": "acme-offer.vbs", "md5": MD5},
            "signaturedetections": {"strategy": [{"detection": detection}]},
            "contacted": {
                "ips": {
                    "ip": [
                        {"@malicious": "true", "$": "45.9.70.7"},
                        {"@malicious": "false", "$": "81.2.3.4"},
                    ]
                },
                "domains": {"domain": {"@name": "evil-update.top", "@malicious": "true"}},
            },
            "urlinfo": {"url": [{"@malicious": "false", "@name": "http://acme-update.top/"}]},
            "droppedinfo": {"hash": [{"@malicious": "true", "value": [{"$": SHA256}]}]},
        }
        values = ["45.9.70.7", "evil-update.top", SHA256]
        assert shared({"analysis": report}) == ([MD5] if detection == "MAL" else []) + values
        assert held({"analysis": report}) == []

    def test_hybrid_analysis_says_which_samples_are_malicious(self) -> None:
        about = {"threat_score": 100, "job_id": "6b17", "submit_name": "acme-offer.exe"}
        malicious = {"sha256": SHA256, "verdict": "malicious", "hosts": ["45.9.70.7"], **about}
        suspicious = {"md5": MD5, "sha256": "1" * 64, "verdict": "suspicious", **about}
        clean = {"sha256": "2" * 64, "verdict": "no specific threat", "hosts": ["81.2.3.4"]}
        found = [malicious, suspicious, {**clean, **about}]
        for answer in ({"search_terms": [], "result": found}, found):
            assert shared(answer) == [SHA256]
            assert {*held(answer)} == {"45.9.70.7", MD5, "1" * 64}


_DETAILS = {"rating": 5, "confidence": 90, "ownerName": "ACME Sharing"}
_AROUND_VALUES: list[Any] = [
    {"data": TestVirusTotal.reported()},
    {"data": [{"type": "Host", "summary": "evil-update.top", **_DETAILS}], "status": "Success"},
    {
        "name": "SOC Malicious Domains",
        "element_type": "ALN",
        "data": [{"value": "evil-update.top"}],
    },
    TestSandboxes.cape(CAPE=TestSandboxes.CONFIG, detections="Remcos"),
    {
        "analysis": {
            "fileinfo": {"md5": MD5},
            "signaturedetections": {"strategy": [{"detection": "MAL"}]},
        }
    },
    {"result": [{"verdict": "malicious", "sha256": SHA256, "threat_score": 9, "job_id": "1"}]},
]


def is_red(candidate: Candidate) -> bool:
    subject = candidate.object or candidate.original or {}
    return TLP_2_IDS[Tlp.RED] in subject.get("object_marking_refs", ())


@pytest.mark.parametrize("stated", [{"tlp": "TLP:RED"}, {"comment": "TLP:RED, not to be shared"}])
@pytest.mark.parametrize("export", _AROUND_VALUES)
def test_a_level_stated_around_the_values_counts_for_them(
    export: dict[str, Any], stated: dict[str, str]
) -> None:
    assert True not in map(is_red, read_candidates(export))
    found = read_candidates({**export, **stated})
    assert found and all(map(is_red, found))


def test_the_level_around_some_values_is_not_that_of_others() -> None:
    first, second = ({"data": TestVirusTotal.reported(id=each)} for each in ("a.top", "b.top"))
    found = read_candidates({**first, "tlp": "TLP:RED"}, second)
    assert [*map(is_red, found)] == [True, False]
