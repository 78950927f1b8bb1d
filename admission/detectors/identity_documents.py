"""Numbers of passports, identity cards and driving licences, right behind the word for it.

Their forms differ from country to country and few have a check digit, so only
what stands directly behind the word counts, and only if it has digits enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.terms import among

_PAPERS = re.compile(
    r"""(?<!\w)(?:
        passport | reisepass | pass(?=-?nr|-?nummer) | passeport | pasaporte | passaporto
      | passaporte | paspoort | paszport | pasaport | паспорт | 護照 | 护照
      | personalausweis | ausweis | identit(?:y|ä[th]s)?[ -]?(?:card|karte)
      | carte\ (?:nationale\ )?d['’]identit[ée] | cni | carta\ d['’]identit[àa]
      | documento\ de\ identi(?:dad|dade) | id[ -]?card | identiteitskaart | dowód\ osobisty
      | driver['’]?s?\ licen[cs]e | driving\ licen[cs]e | führerschein | permis\ de\ conduire
      | permiso\ de\ conducir | patente\ di\ guida | carta\ de\ condução | rijbewijs
    )
    (?:[ -]?(?:n(?:umber|ummer|umero|úmero|uméro|o|r|°|º|um)|id|\#)s?\.?(?:\ ?[º°])?)?
    \ ?[:=\#]?\ {0,2}
    (?P<number>(?=[a-z\d]{0,12}(?:\d[a-z]{0,3}){4})[a-z]{0,3}\d[a-z\d]{4,11})(?![\w@/]|[.-]\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_may = among(
    *("pas", "ausweis", "ident", "cni", "card", "dow", "licen", "permi", "patent", "condu", "rijb")
)


def papers(text: str) -> Iterator[tuple[int, int]]:
    """Where such numbers stand."""
    if _may(text):
        yield from (found.span("number") for found in _PAPERS.finditer(text))
