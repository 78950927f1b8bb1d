"""Reports of sandboxes: CAPE and Cuckoo, Joe Sandbox, Hybrid Analysis.

A sample is read if the report calls it malicious, and so are the servers in a configuration that
was extracted from it.  The hosts that it contacted may be harmless, such as a service for
certificates or the updates of Windows, so they are held unless the report calls them malicious.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, starmap
from typing import Any

from tocsin.admission.extraction.field_names import split_heading
from tocsin.admission.formats.json_records.exported_values import (
    SAMPLE,
    ExportedValue,
    Members,
    find_object,
    find_statements,
    find_texts,
    list_objects,
    list_parts,
    read_hashes,
)
from tocsin.admission.lazy_patterns import compile_lazily

_OF_SERVERS = frozenset(
    (
        *("c2", "c2s", "cnc", "cncs", "c2 server", "c2 servers", "c2 url", "c2 urls"),
        *("c2 address", "c2 addresses", "c2 domain", "c2 domains", "c2 host", "c2 hosts"),
    )
)
"""Members of extracted configurations; others may name a mailbox that was stolen."""
_SERVER = compile_lazily(r"(?:(?:tcp|udp|ssl|tls)://)?([^:/]+)(?::\d{1,5})?/?")
"""A server in a configuration, as `tcp://evil.top:443`."""
_GENERIC = compile_lazily(r"(?i)(?:unpacked|injected|extracted|decompressed|decoded)\b|.*shellcode")
"""Kinds of payloads that any program may have."""
_HIGH_SCORE = 7
_CONTACTED = "contacted by a malicious sample, which may be harmless"
_SUSPICIOUS = "called suspicious, but not malicious, by the report"
_HARMLESS = "not an indicator, since its report does not call it malicious"


def read_cape(value: object) -> Iterator[ExportedValue] | None:
    """The values of reports of CAPE and Cuckoo; None if the value is something else."""
    reports = list_objects(value)
    if not any(_is_cape(each) for each in reports[:SAMPLE]):
        return None
    return chain.from_iterable(map(_read_cape_report, filter(_is_cape, reports)))


def _is_cape(found: Members) -> bool:
    names = found.keys()
    return names >= {"info", "target"} and bool(names & {"CAPE", "signatures", "malscore"})


def _read_cape_report(report: Members) -> Iterator[ExportedValue]:
    about = find_object(report, "info")  # it may state a level; elsewhere are the sample's words
    around = find_statements(report)
    cape = find_object(report, "CAPE")
    servers = list(dict.fromkeys(_find_servers(list_objects(cape.get("configs")))))
    is_detected = bool(servers or report.get("detections") or report.get("malfamily"))
    if not is_detected and _find_score(report) < _HIGH_SCORE:
        return
    doubt = "" if is_detected else _SUSPICIOUS
    yield from read_hashes(find_object(find_object(report, "target"), "file"), about, around, doubt)
    yield from (ExportedValue("", each, about, around) for each in servers)
    for payload in list_objects(cape.get("payloads")):
        kind = str(payload.get("cape_type") or "")
        is_named = kind and not _GENERIC.match(kind)
        doubt = "" if is_named and is_detected else _SUSPICIOUS
        yield from read_hashes(payload, about, around, doubt)
    for each in _find_contacted(find_object(report, "network")):
        yield ExportedValue("", each, about, around, doubt=_CONTACTED)


def _find_score(report: Members) -> float:
    scores = (report.get("malscore"), find_object(report, "info").get("score"))
    return max((each for each in scores if isinstance(each, int | float)), default=0)


def _find_servers(configs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The servers in configurations, which stand under the name of the malware."""
    for config in configs:
        for held in (config, *(each for each in config.values() if isinstance(each, dict))):
            names = (name for name in held if split_heading(name) in _OF_SERVERS)
            yield from map(_strip_scheme_and_port, find_texts(held, *names))


def _strip_scheme_and_port(text: str) -> str:
    found = _SERVER.fullmatch(text)
    return found[1] if found else text


def _find_contacted(network: Members) -> Iterator[str]:
    """The hosts and URLs of connections; `hosts` are addresses, or objects with one."""
    yield from find_texts(network, "hosts")
    for name, key in (("hosts", "ip"), ("domains", "domain"), ("dns", "request"), ("http", "uri")):
        for each in list_objects(network.get(name)):
            yield from find_texts(each, key)


def read_joe(value: object) -> Iterator[ExportedValue] | None:
    """The values of reports of Joe Sandbox; None if the value is something else."""
    parts = [
        (report, around)
        for report, around in list_parts(value, "analysis")
        if report.keys() >= {"fileinfo", "signaturedetections"}
    ]
    return chain.from_iterable(starmap(_read_joe_report, parts)) if parts else None


def _read_joe_report(report: Members, around: Members | None) -> Iterator[ExportedValue]:
    """The values that a report marks one by one, and the sample if one strategy says `MAL`."""
    strategies = list_objects(find_object(report, "signaturedetections").get("strategy"))
    if any(each.get("detection") == "MAL" for each in strategies):
        yield from read_hashes(find_object(report, "fileinfo"), report, around)
    for kind, text in chain(_find_marked(report), _find_marked_files(report)):
        yield ExportedValue(kind, text, report, around)


def _find_marked(report: Members) -> Iterator[tuple[str, str]]:
    contacted = find_object(report, "contacted")
    of_kinds = (
        ("ip", find_object(contacted, "ips").get("ip"), ("$", "@ip")),
        ("domain", find_object(contacted, "domains").get("domain"), ("@name", "name")),
        ("url", find_object(report, "urlinfo").get("url"), ("@name", "name")),
    )
    for kind, marked, names in of_kinds:
        for each in filter(_is_marked, list_objects(marked)):
            yield from ((kind, text) for text in find_texts(each, *names))


def _find_marked_files(report: Members) -> Iterator[tuple[str, str]]:
    for file in filter(_is_marked, list_objects(find_object(report, "droppedinfo").get("hash"))):
        for each in list_objects(file.get("value")):
            yield from (("hash", text) for text in find_texts(each, "$"))


def _is_marked(found: Members) -> bool:
    return found.get("@malicious") in ("true", True)


def read_hybrid_analysis(value: object) -> Iterator[ExportedValue] | None:
    """The values of reports of Hybrid Analysis, and of a search; None if it is something else."""
    parts = list(list_parts(value, "result"))
    if not any(_is_of_hybrid_analysis(each) for each, _ in parts[:SAMPLE]):
        return None
    reports = ((each, around) for each, around in parts if _is_of_hybrid_analysis(each))
    return chain.from_iterable(starmap(_read_hybrid_report, reports))


def _is_of_hybrid_analysis(found: Members) -> bool:
    names = found.keys()
    is_report = names >= {"verdict", "sha256", "threat_score"}
    return is_report and bool(names & {"job_id", "environment_id", "vx_family"})


def _read_hybrid_report(report: Members, around: Members | None) -> Iterator[ExportedValue]:
    verdict = report["verdict"]
    doubt = _SUSPICIOUS if verdict == "suspicious" else ""
    refusal = "" if verdict in ("malicious", "suspicious") else _HARMLESS
    yield from read_hashes(report, report, around, doubt, refusal)
    contacted = find_texts(report, "hosts", "domains") if verdict == "malicious" else ()
    for each in contacted:
        yield ExportedValue("host", each, report, around, doubt=_CONTACTED)
