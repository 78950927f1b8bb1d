"""Whoever agreed to be named and does so no longer is not named again.

What was published meanwhile stays as it is.  But whenever the hub looks at such
an object again, what it remembers of it loses the name, and so does the object.
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
from tocsin.admission.rules.anonymise_source import nameless
from tocsin.server.model import Partner, PublicObject


@dataclass(frozen=True, slots=True)
class Naming:
    """Who may be named now."""

    partners: Callable[[], Iterable[Partner]]

    def settled(self, publics: Collection[PublicObject]) -> list[PublicObject]:
        """The same, without the names of those whose consent has ended."""
        if not any(each.may_be_named for public in publics for each in public.contributions):
            return list(publics)
        known = {each.slug: each.submitter() for each in self.partners()}
        return [_settled(public, known) for public in publics]


def _settled(public: PublicObject, known: Mapping[str, Submitter]) -> PublicObject:
    said = tuple(_said(each, known) for each in public.contributions)
    return public if said == public.contributions else replace(public, contributions=said)


def _said(spoken: Contribution, known: Mapping[str, Submitter]) -> Contribution:
    submitter = known.get(spoken.partner)
    if not spoken.may_be_named or submitter is None or submitter.consent in CONSENTS_TO_NAME:
        return spoken

    def bare(layers: Iterable[Layer]) -> tuple[Layer, ...]:
        return tuple((level, nameless(layer, submitter)) for level, layer in layers)

    return replace(
        spoken,
        object=nameless(spoken.object, submitter),
        stricter_layers=bare(spoken.stricter_layers),
        unresolved_layers=bare(spoken.unresolved_layers),
        may_be_named=False,
    )
