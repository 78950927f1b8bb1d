"""What a file or a message carried is looked at by nobody's eyes here, so it does not pass unseen.

The hashes and the name of an artifact pass; its content waits for an analyst.
Of an e-mail message, recipients and the way it took say who was attacked:
they go, the sender and the subject stay.
"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.admission.model import Action, Candidate, Finding, Path, Surroundings
from tocsin.admission.texts import rewritten

DEFAULTS: Mapping[str, object] = {}

_RULE = "payloads"
_OF_THE_VICTIM = (
    "to_refs",
    "cc_refs",
    "bcc_refs",
    "received_lines",
    "additional_header_fields",
    "raw_email_ref",
)


def apply(candidate: Candidate, around: Surroundings) -> Candidate:
    """An artifact's content is held; recipients and received lines of a message are stripped."""
    subject = candidate.object
    if subject is None:
        return candidate
    if subject.get("type") == "artifact" and "payload_bin" in subject:
        message = "carries a file's content: an analyst decides; hashes and name pass without"
        return candidate.held(Finding("sanitise", _RULE, Action.HELD, message, "payload_bin"))
    if subject.get("type") != "email-message":
        return candidate
    gone: dict[Path, str | None] = {(name,): None for name in _OF_THE_VICTIM if name in subject}
    if not gone:
        return candidate
    message = "says who received the message"
    found = (Finding("sanitise", _RULE, Action.STRIPPED, message, str(path[0])) for path in gone)
    return candidate.changed(rewritten(subject, gone), *found)
