"""Statement markings: the words by which one seems to limit sharing."""

import re

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject

_LIMITS = compile_lazily(
    r"(?<![^\W_])(?:TLP|FOUO|VS-?NfD|confidential(?:ly)?|classified|top secret"
    r"|(?:for )?(?:official|internal) use only|not for (?:distribution|redistribution|release)"
    r"|do not (?:share|distribute|redistribute|forward|publish)"
    r"|vertraulich\w{0,4}|geheim|verschlusssache|nur f[üu]e?r den (?:internen|dienst)\w{0,12}"
    r"|confidentiel\w{0,6}|diffusion restreinte|ne pas diffuser|confidencial\w{0,5}|no difundir"
    r"|riservat[oaie]|vertrouwelijk|poufne|конфиденциально|секретно)(?![^\W_])"
    r"|机密|機密|保密|社外秘|대외비",
    re.IGNORECASE,
)


def seems_to_limit_sharing(definition: StixObject) -> bool:
    """True if a marking definition has such words: a reviewer must read it."""
    texts = f"{definition.get('name', '')}\n{definition.get('definition')}"
    return _LIMITS.search(texts) is not None
