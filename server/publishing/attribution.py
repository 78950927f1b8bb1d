"""A partner whose consent has ended is not named again.

What was published meanwhile stays as it is.  But whenever the hub computes such
an object anew, the contribution loses the name, and so does the next version.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
)
from dataclasses import dataclass, replace

from tocsin.admission.markings.acs import anonymise_definition, is_acs
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Contribution,
    Layer,
    StixObject,
    Submitter,
)
from tocsin.admission.rules.anonymise_source import anonymise_object
from tocsin.server.model import Partner, PublicObject


@dataclass(frozen=True, slots=True)
class Attribution:
    """The names of partners that may be published now."""

    partners: Callable[[], Iterable[Partner]]
    acs_custodian: str = ""
    """The hub's organisation in ACS, in whose name markings are published."""

    def remove_names(self, publics: Collection[PublicObject]) -> list[PublicObject]:
        """The same objects, without the names of partners whose consent has ended."""
        if not any(each.may_be_named for public in publics for each in public.contributions):
            return list(publics)
        known = {each.slug: each.submitter() for each in self.partners()}
        return [self._remove_names(public, known) for public in publics]

    def _remove_names(self, public: PublicObject, known: Mapping[str, Submitter]) -> PublicObject:
        left = tuple(self._remove_name(each, known) for each in public.contributions)
        return public if left == public.contributions else replace(public, contributions=left)

    def _remove_name(self, named: Contribution, known: Mapping[str, Submitter]) -> Contribution:
        submitter = known.get(named.partner)
        if not named.may_be_named or submitter is None or submitter.consent in CONSENTS_TO_NAME:
            return named

        def bare(layers: Iterable[Layer]) -> tuple[Layer, ...]:
            return tuple((level, self._anonymise(layer, submitter)) for level, layer in layers)

        return replace(
            named,
            object=self._anonymise(named.object, submitter),
            stricter_layers=bare(named.stricter_layers),
            unresolved_layers=bare(named.unresolved_layers),
            may_be_named=False,
        )

    def _anonymise(self, subject: StixObject, submitter: Submitter) -> StixObject:
        if not is_acs(subject):
            return anonymise_object(subject, submitter)
        marks = {name: subject[name] for name in ("object_marking_refs",) if name in subject}
        return anonymise_definition(subject, self.acs_custodian) | marks
