"""Indicators whose pattern is a rule in another language than STIX: YARA, Sigma, Snort, Suricata.

The rule is shared as it was written.  Its id follows from it, as that of a value does.
"""

from dataclasses import dataclass, field

from tocsin.admission.extraction.indicators import CandidateBuilder, IndicatorDetails
from tocsin.admission.formats import ReadOptions
from tocsin.admission.model import Candidate, Finding, Tlp

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a file."""

    name: str
    pattern: str
    line: int
    """The line on which it begins, from 1."""

    @property
    def value(self) -> str:
        """The name, by which people know it."""
        return self.name[:LONGEST_NAME]


@dataclass(slots=True)
class RuleBuilder:
    """Builds the candidates of one file of rules in one language."""

    options: ReadOptions
    level: Tlp | None
    """The strictest TLP level that the file states; it applies to all of it."""
    notes: tuple[Finding, ...] = ()
    """A finding that reports it."""
    builder: CandidateBuilder = field(init=False)

    def __post_init__(self) -> None:
        self.builder = CandidateBuilder(self.options)

    def build(self, rule: Rule, language: str, details: IndicatorDetails) -> Candidate:
        """The next candidate, an indicator with `language` as its `pattern_type`."""
        candidate = self.builder.build(rule, details, ("line", rule.line), self.notes)
        assert candidate.object is not None  # noqa: S101  (it is built, not parsed)
        return candidate.with_object({**candidate.object, "pattern_type": language})
