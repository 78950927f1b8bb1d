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

from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Contribution,
    Layer,
    Submitter,
)
from tocsin.admission.rules.anonymise_source import anonymise_object
from tocsin.server.model import Partner, PublicObject


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who may be named now."""

    partners: Callable[[], Iterable[Partner]]

    def remove_names(self, publics: Collection[PublicObject]) -> list[PublicObject]:
        """The same objects, without the names of partners whose consent has ended."""
        if not any(each.may_be_named for public in publics for each in public.contributions):
            return list(publics)
        known = {each.slug: each.submitter() for each in self.partners()}
        return [_remove_names(public, known) for public in publics]


def _remove_names(public: PublicObject, known: Mapping[str, Submitter]) -> PublicObject:
    left = tuple(_remove_name(each, known) for each in public.contributions)
    return public if left == public.contributions else replace(public, contributions=left)


def _remove_name(named: Contribution, known: Mapping[str, Submitter]) -> Contribution:
    submitter = known.get(named.partner)
    if not named.may_be_named or submitter is None or submitter.consent in CONSENTS_TO_NAME:
        return named

    def bare(layers: Iterable[Layer]) -> tuple[Layer, ...]:
        return tuple((level, anonymise_object(layer, submitter)) for level, layer in layers)

    return replace(
        named,
        object=anonymise_object(named.object, submitter),
        stricter_layers=bare(named.stricter_layers),
        unresolved_layers=bare(named.unresolved_layers),
        may_be_named=False,
    )
