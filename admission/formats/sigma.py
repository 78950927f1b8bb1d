"""Sigma rules (YAML): each rule of a file becomes an indicator, named by its title."""

import re
from collections.abc import Iterator

from tocsin.admission.documents import SigmaFile, SigmaRule
from tocsin.admission.documents.bounded import read_document
from tocsin.admission.extraction.dates import parse_date
from tocsin.admission.extraction.external_ids import find_external_ids, take_external_ids
from tocsin.admission.extraction.indicators import IndicatorDetails, refused_candidate
from tocsin.admission.extraction.rule_indicators import Rule, RuleBuilder
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Candidate, Tlp

_ENDINGS = (".yml", ".yaml", ".sigma")
_PARTS = (
    compile_lazily(r"^title:", re.MULTILINE),
    compile_lazily(r"^(?:logsource|correlation):", re.MULTILINE),
)
_LINK = compile_lazily(r"https?://[^\s@\"]{4,1000}")
_TAG_OF_CATALOGUE = compile_lazily(
    r"(?:attack\.((?:ta|[tsg])\d{4}(?:\.\d{3})?)|(cve)[.-](\d{4})[.-](\d{4,10}))", re.IGNORECASE
)
"""Tags with an id (Sigma's appendix on tags): `attack.t1059.001`, `cve.2021-44228`."""
_SAMPLE = 262_144


def _accepts(name: str, content: bytes) -> bool:
    if not name.lower().endswith(_ENDINGS):
        return False
    start = decode_text(content[:_SAMPLE])
    return all(part.search(start) for part in _PARTS)


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    text = decode_text(content)
    file = read_document("sigma", text.encode(), SigmaFile)
    level, notes = find_strictest_tlp(enumerate(text.split("\n"), 1))
    rules = RuleBuilder(options, level, notes)
    for each in file.rules:
        try:
            details = _parse_details(each, rules)
        except ValueError as error:
            message = f"line {each.line}: {error}"
            yield refused_candidate(rules.builder.next_index(), message)
            continue
        rule = Rule(each.title or "Sigma rule", each.text, each.line)
        yield rules.build(rule, "sigma", details)


def _parse_details(rule: SigmaRule, rules: RuleBuilder) -> IndicatorDetails:
    """Read the properties that a rule states.  Raises ValueError for a TLP level that is none."""
    stated = [tag[4:] for tag in rule.tags if tag.lower().startswith(("tlp.", "tlp:"))]
    levels = [Tlp.parse(each) for each in stated]
    links = [link for link in rule.references if _LINK.fullmatch(link)]
    ids = find_external_ids((*map(_write_id, rule.tags), *links))
    return IndicatorDetails(
        tlp=max([*levels, *([] if rules.level is None else [rules.level])], default=None),
        first_seen=parse_date(rule.date, rules.options.now),
        labels=tuple(tag for tag in rule.tags if not tag.lower().startswith("tlp")),
        references=tuple(link for link in links if not take_external_ids(link)[1]),
        external_ids=ids,
    )


def _write_id(tag: str) -> str:
    """The id of a tag as its catalogue writes it; empty if it has none."""
    found = _TAG_OF_CATALOGUE.fullmatch(tag)
    if found is None:
        return ""
    if found[2]:
        return f"CVE-{found[3]}-{found[4]}"
    return f"https://attack.mitre.org/{found[1].upper().replace('.', '/')}"


FORMAT = Format(
    name="sigma",
    description="Sigma rules (YAML): each rule as an indicator",
    extensions=(".yml", ".yaml"),
    accepts=_accepts,
    read=_read_file,
)
