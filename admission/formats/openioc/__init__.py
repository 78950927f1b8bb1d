"""OpenIOC 1.0 and 1.1 (Mandiant): each alternative becomes an indicator.

Items that are joined by AND become one pattern; if STIX cannot say one of them, the
others alone would match too much, so all of them are refused.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tocsin.admission.documents import IocItem, OpenIoc
from tocsin.admission.documents.bounded import read_document
from tocsin.admission.extraction.dates import parse_date
from tocsin.admission.extraction.external_ids import find_external_ids
from tocsin.admission.extraction.indicators import (
    CandidateBuilder,
    IndicatorDetails,
    refused_candidate,
)
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.openioc.terms import Comparison, build_comparison
from tocsin.admission.model import Candidate

_SAMPLE = 4_096
_SCHEMAS = ("schemas.mandiant.com/2010/ioc", "openioc.org/schemas")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class _Pattern:
    value: str
    pattern: str


class _Unsupported(Exception):
    """An item that STIX patterns cannot express; the text is for the submitter."""


def _accepts(name: str, content: bytes) -> bool:
    start = decode_text(content[:_SAMPLE]).lstrip("\ufeff \t\n")
    return start.startswith("<") and any(each in start for each in _SCHEMAS)


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    ioc = read_document("openioc", content, OpenIoc)
    level, notes = find_strictest_tlp(enumerate(decode_text(content).split("\n"), 1))
    date = parse_date(ioc.date, options.now)
    single = IndicatorDetails(
        tlp=level, first_seen=date, external_ids=find_external_ids((ioc.title,))
    )
    joined = replace(single, name=ioc.title[:_LONGEST_NAME])
    builder = CandidateBuilder(options)
    for number, item in enumerate(_alternatives(ioc.criteria), 1):
        try:
            pattern = _build_pattern(item)
        except _Unsupported as error:
            yield refused_candidate(builder.next_index(), f"item {number}: {error}")
            continue
        details = joined if item.operator else single
        yield builder.build(pattern, details, ("item", number), notes)


def _alternatives(items: Iterable[IocItem]) -> Iterator[IocItem]:
    """The items that are indicators by themselves: groups joined by OR are taken apart."""
    for item in items:
        if item.operator == "AND" and len(item.members) > 1:
            yield item
        elif item.operator:
            yield from _alternatives(item.members)
        else:
            yield item


def _build_pattern(item: IocItem) -> _Pattern:
    """The pattern of an item or a group.  Raises _Unsupported."""
    if not item.operator:
        made = _compare(item)
        return _Pattern(made.value, f"[{made.expression}]")
    comparisons = [_compare(each) for each in item.members if not each.operator]
    groups = [_build_pattern(each) for each in item.members if each.operator]
    values = [made.value for made in comparisons] + [each.value for each in groups]
    if item.operator == "AND":
        expressions = _join_by_subject(comparisons)
    else:
        expressions = [f"[{made.expression}]" for made in comparisons]
    expressions += [f"({each.pattern})" for each in groups]
    return _Pattern(
        f" {item.operator.lower()} ".join(values)[:_LONGEST_NAME],
        f" {item.operator} ".join(expressions),
    )


def _compare(item: IocItem) -> Comparison:
    made = build_comparison(item)
    if made is None:
        negation = "not " if item.negated else ""
        what = f"{item.search[:60]} {negation}{item.condition[:20]}"
        raise _Unsupported(
            f"no STIX pattern for {what!a} with this value: send it as STIX, Sigma or YARA"
        )
    return made


def _join_by_subject(comparisons: Sequence[Comparison]) -> list[str]:
    """One observation for each kind of thing: the hash and the name of a file are one file's."""
    by_subject: dict[str, list[str]] = {}
    for made in comparisons:
        by_subject.setdefault(made.subject, []).append(made.expression)
    return [f"[{' AND '.join(each)}]" for each in by_subject.values()]


FORMAT = Format(
    name="openioc",
    description="OpenIOC 1.0 or 1.1: each alternative as an indicator",
    never_shared="the author",
    extensions=(".ioc",),
    accepts=_accepts,
    read=_read_file,
)
