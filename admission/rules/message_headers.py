"""Who received an e-mail message says who was attacked.

Recipients and the way that the message took go; sender and date stay.  What
it was about, its subject and its body, may tell as much: they wait for an
analyst while the rest goes on.  A pattern on a recipient waits as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tocsin.admission.masking import PROPERTY, VALUE, settled
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Rule,
    RuleContext,
    StixObject,
)
from tocsin.admission.observables.extract import extract_observables

DEFAULTS: Mapping[str, object] = {
    "recipients": "strip",  # to, cc, bcc
    "received": "strip",  # the servers that it passed
    "headers": "strip",  # all further header fields
    "raw": "strip",  # the message as it was
    "subject": "ask",
    "body": "ask",
    "values": "hold",  # a pattern on recipients or received lines
}
MODES = {**{name: PROPERTY for name in DEFAULTS if name != "values"}, "values": VALUE}

_RULE = "message_headers"
_PROPERTIES = {
    "to_refs": ("recipients", "says who received the message"),
    "cc_refs": ("recipients", "says who received the message"),
    "bcc_refs": ("recipients", "says who received the message"),
    "received_lines": ("received", "says which way the message took"),
    "additional_header_fields": ("headers", "may say who received the message"),
    "raw_email_ref": ("raw", "the whole message, its recipients included"),
    "subject": ("subject", "may say whom the message was written for"),
    "body": ("body", "may say whom the message was written for"),
    "body_multipart": ("body", "may say whom the message was written for"),
}
_OF_THE_VICTIM = re.compile(
    r"(?:to|cc|bcc)_refs\b|received_lines\b"
    r"|additional_header_fields\.'?(?:(?:resent-)?(?:to|cc|bcc)|delivered-to|x-original-to"
    r"|envelope-to|received|x-(?:forwarded|envelope)-to)\b",
    re.IGNORECASE,
)


def prepared(around: RuleContext) -> Rule:
    """Takes out what says who received a message."""
    settings = {**DEFAULTS, **around.settings}

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        if subject.get("type") == "email-message":
            found = [
                ((name,), str(settings[mode]), message)
                for name, (mode, message) in _PROPERTIES.items()
                if name in subject
            ]
            return settled(candidate, _RULE, found)
        if settings["values"] != "keep" and _about_recipients(subject):
            return _judged(candidate, refused=settings["values"] == "refuse")
        return candidate

    return apply


def _about_recipients(subject: StixObject) -> bool:
    return subject.get("type") == "indicator" and any(
        each.kind == "email-message" and _OF_THE_VICTIM.match(each.property)
        for each in extract_observables(subject)
    )


def _judged(candidate: Candidate, *, refused: bool) -> Candidate:
    message = "matches on who received a message"
    if refused:
        message += ": match on the sender or the subject"
        return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, message, "pattern"))
    message += ": an analyst decides; one on the sender or the subject passes without"
    return candidate.hold(Finding("sanitise", _RULE, Action.HELD, message, "pattern"))
