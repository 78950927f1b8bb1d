"""Independent sources: which contributions go back to one origin.

Ten partners that forward one report are one source.  Confidence and all counts
are worked out over these groups.
"""

import hashlib
from collections.abc import Iterable
from urllib.parse import urlsplit

from tocsin.admission.model import Assessment, Contribution, StixObject

_CATALOGUES = frozenset(("cve", "cwe", "capec", "mitre", "nvd", "attack", "d3fend"))
"""Prefixes of `source_name` of public catalogues.

Partners that know nothing of each other cite them, so a shared entry proves no common origin.
"""


_MOST_REPORTS = 8
"""Reports that a contribution may cite; each has two origins if it has an id and a URL."""

Evidence = Contribution | Assessment
"""Anything that makes a partner a source for an object."""

_Origin = tuple[str, ...]


def group_by_origin(evidence: Iterable[Evidence]) -> list[list[Evidence]]:
    """Group the evidence, which is in order of precedence; each group is one independent source.

    A piece of evidence that depends on none of the sources so far is a source of its own; any
    other joins the first source that it depends on.  Pieces depend on each other if they come
    from one partner or group of partners, or if they cite the same report.  So one more piece at
    the end takes no source away.

    If a source cites several reports, only those that it shares with every contribution that
    joined it remain its origins; so a contribution that cites every known report replaces one
    source at most.  One that cites many comes after the others and joins the first source whatever
    it cites: of what partners cite only one's is published, and nobody shall find out what the
    others cite by guesses that change the count.
    """
    every = list(evidence)
    if len(every) < 2:  # nearly always
        return [every] if every else []
    groups: list[list[Evidence]] = []
    cited: list[set[_Origin]] = []
    known: dict[_Origin, int] = {}
    for each in sorted(every, key=_may_guess):
        senders, reports = _senders(each), _reports(each)
        at = _first_known(senders, known)
        if at is None and _may_guess(each) and groups:
            at = 0
        if at is None:
            at = _first_known(reports, known)
            if at is not None:
                for other in cited[at] - reports:
                    del known[other]
                cited[at] &= reports
        if at is None:
            at = len(groups)
            groups.append([])
            cited.append(reports)
            known |= dict.fromkeys((*senders, *reports), at)
        groups[at].append(each)
    return groups


def _first_known(origins: Iterable[_Origin], known: dict[_Origin, int]) -> int | None:
    return min((known[origin] for origin in origins if origin in known), default=None)


def _senders(evidence: Evidence) -> set[_Origin]:
    group = {("group", evidence.group)} if evidence.group else set()
    return {("partner", evidence.partner)} | group


def _reports(evidence: Evidence) -> set[_Origin]:
    """The reports that the evidence cites, but for those that came late.

    Nothing else is evidence of a common origin: a partner's own ids are private, and a count that
    depends on them would confirm a guessed one.
    """
    if isinstance(evidence, Assessment) or _may_guess(evidence):
        return set()
    found, early = _cited_origins(evidence.object), evidence.early_reports
    return found if early is None else {each for each in found if _digest(each) in early}


def early_reports(new: Contribution, own: Iterable[Contribution]) -> frozenset[str]:
    """Digests of the reports that a contribution cites as its partner's earlier ones did."""
    before = {report for each in own for report in _reports(each)}
    return frozenset(_digest(each) for each in before & _cited_origins(new.object))


def _digest(origin: _Origin) -> str:
    return hashlib.blake2b("\0".join(origin).encode(), digest_size=8).hexdigest()


def _may_guess(evidence: Evidence) -> bool:
    """True if it cites so much that it may be guesses at what others cite."""
    if isinstance(evidence, Assessment):
        return False
    return len(_cited_reports(evidence.object)) > _MOST_REPORTS


def _cited_origins(subject: StixObject) -> set[_Origin]:
    return {origin for report in _cited_reports(subject) for origin in report}


def _cited_reports(subject: StixObject) -> set[frozenset[_Origin]]:
    """The reports that an object cites, each by its origins."""
    cited = subject.get("external_references", ())
    return {origins for each in cited if (origins := _report_origins(each))}


def _report_origins(reference: StixObject) -> frozenset[_Origin]:
    """The origins an external reference proves; none for a catalogue entry or a bare site."""
    name = str(reference.get("source_name", "")).casefold()
    if any(name.startswith(each) for each in _CATALOGUES):
        return frozenset()
    found: set[_Origin] = set()
    if reference.get("external_id"):
        found.add(("report", name, str(reference["external_id"])))
    url = str(reference.get("url", ""))
    if _is_page_url(url):
        found.add(("url", url))
    return frozenset(found)


def _is_page_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.path.strip("/") or parts.query)
