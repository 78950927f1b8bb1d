"""What is written down of an object so that views can choose: level, revoked, expiry.

Read once, when the object goes into a feed; whoever reads the feed never parses
it again.  What cannot be read is taken for the least that may be shown.
"""

from __future__ import annotations

from tocsin.admission.errors import Malformed
from tocsin.admission.markings import read
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import micros
from tocsin.server.model import Traits


def traits(subject: StixObject, tlp: Tlp) -> Traits:
    """The traits of an object of this level."""
    return Traits(tlp, subject.get("revoked", False) is not False, _until(subject))


def strictest(subject: StixObject) -> Tlp:
    """The strictest level in an object's own markings, those of its parts included.

    RED if there is none, or if a marking cannot be read: its definition might say anything.
    """
    marks = read(subject, {})
    return Tlp.RED if marks.tlp is None or marks.unknown else marks.tlp


def _until(subject: StixObject) -> int | None:
    said = subject.get("valid_until")
    if said is None:
        return None
    try:
        return micros(said) if isinstance(said, str) else 0
    except Malformed:
        return 0
