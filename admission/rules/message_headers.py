"""Remove the recipients of e-mail messages, which identify the victim.

Recipients and the route of the message are removed; sender and date stay.  Subject and
body may say as much: they are removed and a reviewer is asked.  A pattern on a recipient
is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import (
    PROPERTY_MODES,
    VALUE_MODES,
    Removal,
    block_object,
    hold_or_refuse,
    remove_properties,
)
from tocsin.admission.model import Candidate, Rule, RuleContext, StixObject
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.patterns.canonical import path_steps

DEFAULTS: Mapping[str, object] = {
    "recipients": "strip",  # to, cc, bcc
    "received": "strip",  # the servers that it passed
    "headers": "strip",  # all further header fields
    "raw": "strip",  # the message as it was
    "subject": "ask",
    "body": "ask",
    "values": "hold",  # a pattern on recipients or received lines
}
MODES = {**{name: PROPERTY_MODES for name in DEFAULTS if name != "values"}, "values": VALUE_MODES}

_RULE = "message_headers"
_INSTEAD_OF_RECIPIENT = "leave it out, or send an indicator about it"
_PROPERTIES = {
    "to_refs": ("recipients", "says who received the message"),
    "cc_refs": ("recipients", "says who received the message"),
    "bcc_refs": ("recipients", "says who received the message"),
    "received_lines": ("received", "says which servers the message passed"),
    "additional_header_fields": ("headers", "may say who received the message"),
    "raw_email_ref": ("raw", "refers to the whole message with its recipients"),
    "subject": ("subject", "may say who received the message"),
    "body": ("body", "may say who received the message"),
    "body_multipart": ("body", "may say who received the message"),
}
"""By property of an e-mail message (STIX 2.1 section 6.6.1): its setting, and the reason."""
_RECIPIENT_PROPERTIES = frozenset(("to_refs", "cc_refs", "bcc_refs", "received_lines"))
_HEADERS = "additional_header_fields"
_RECIPIENT_HEADER = compile_lazily(
    r"(?!.*(?:reply|errors|follow-?up|notification|abuse|report|complaints|receipt|return)-to$)"
    r"(?:(?:.*-)?(?:to|b?cc)$|.*(?:rcpt|recipient|receive[dr]|delivered))"
)
"""Header fields that name a recipient, or a server on the way to one; those that say where answers
go name the sender."""


def build_rule(context: RuleContext) -> Rule:
    """Remove the properties that identify recipients; hold patterns on them."""
    settings = {**DEFAULTS, **context.settings}

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        if subject.get("id") in context.recipients:
            # An address that is only there because a message went to it.
            mode, reason = str(settings["recipients"]), "says who received a message"
            return block_object(candidate, _RULE, mode, reason, _INSTEAD_OF_RECIPIENT)
        if subject.get("type") == "email-message":
            removals = [
                Removal((name,), str(settings[setting]), reason)
                for name, (setting, reason) in _PROPERTIES.items()
                if name in subject
            ]
            return remove_properties(candidate, _RULE, removals)
        if settings["values"] != "keep" and _matches_on_recipients(subject):
            return _block(candidate, str(settings["values"]))
        return candidate

    return apply


def _matches_on_recipients(subject: StixObject) -> bool:
    return subject.get("type") == "indicator" and any(
        each.kind == "email-message" and _leads_to_recipient(each.property)
        for each in extract_observables(subject)
    )


@lru_cache(maxsize=1024)
def _leads_to_recipient(path: str) -> bool:
    steps = path_steps(path)
    if steps[0] in _RECIPIENT_PROPERTIES:
        return True
    name = steps[1].strip().lower().replace("_", "-") if len(steps) > 1 else ""
    return steps[0] == _HEADERS and _RECIPIENT_HEADER.match(name) is not None


def _block(candidate: Candidate, mode: str) -> Candidate:
    message = "matches on who received a message: match on the sender or the subject"
    if mode == "hold":
        message = f"held for review: {message} to have it published at once"
    return hold_or_refuse(candidate, _RULE, mode, message, "pattern")
