"""Statement markings: the words by which one seems to limit sharing."""

import re

from tocsin.admission.model import StixObject

_LIMITS = re.compile(r"\bTLP\b|\b(?:strictly )?confidential\b|\bclassified\b", re.IGNORECASE)


def seems_to_limit_sharing(definition: StixObject) -> bool:
    """True if a marking definition has such words: a reviewer must read it."""
    texts = f"{definition.get('name', '')}\n{definition.get('definition')}"
    return _LIMITS.search(texts) is not None
