"""Mails: the phishing mail that somebody received, as .eml or as Outlook's .msg.

The sender, the links and the hashes of attached files become indicators; those of pictures
that the text shows do not.  Who received it, its subject and its words are never shared; a
link that names a recipient is cut.  A mail with defanged values is a report about an attack,
and is read as text.  If a mail carries another as an attachment, the attached one is
the attack, and who passed it on counts as a recipient.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tocsin.admission.documents import DocumentText, Mail
from tocsin.admission.documents.bounded import (
    join_parts,
    read_document,
    read_text_of,
    with_notes,
    without_lines,
)
from tocsin.admission.extraction.indicators import (
    CandidateBuilder,
    IndicatorDetails,
    refused_candidate,
)
from tocsin.admission.extraction.mailboxes import DEFANGED
from tocsin.admission.extraction.prose import find_in_line, split_line
from tocsin.admission.extraction.rewritten_links import cut_url, host_of, is_wrapped, unwrap
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.mail.forwarding import is_forwarded
from tocsin.admission.formats.mail.recipients import Recipients
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Action, Candidate, Finding
from tocsin.admission.observables.ioc_types import IocType, RecognisedIoc, recognise_ioc

_ENDINGS = (".eml", ".msg")
_OTHER_ENDINGS = (".md", ".adoc", ".asciidoc", ".csv", ".tsv", ".mbox")
"""Files with these names are no mails.  One that is saved as `.txt` is: read as a text, it would
show where it passed and who received it."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OUTLOOK = "__properties_version1.0".encode("utf-16-le")
_HEAD = re.compile(rb"(?:[!-9;-~]{1,80}:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_FIELD = re.compile(rb"[!-9;-~]{1,80}:")
_MBOX_LINE = re.compile(rb"\AFrom [^\n]{1,400}\n")
"""The line before a message in a mailbox file."""
_ON_ITS_WAY = re.compile(rb"^(?:received|return-path|mime-version|message-id):", re.I | re.M)
_NOTHING = "no sender, link or attached file to share was found in the mail"
_REPORT_OF_ABUSE = (
    "it is a report of abuse, whose sender and files are the reporter's: send the addresses and"
    " URLs in it as text"
)
_CARRIER = "a mail that carries others is taken for a report of them: only those are read"
_READ_AS_MAIL = (
    "read as a mail: only the sender, links and attached files are taken; "
    "save what you write about a mail in a text of its own"
)
_URL_PATTERN = compile_lazily(r"\[url:value = '((?:[^'\\]|\\.)*)'\]")
_STATION = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_HEAD = 262_144
_CHECK = compile_lazily(r"\b(dmarc|spf|dkim)=(\w+)", re.IGNORECASE)
_LONGEST_CHECKS = 20_000
"""Characters of the results of checks that are read; a server writes a few hundred."""


def _accepts(name: str, content: bytes) -> bool:
    if content.startswith(_OLE):
        return _OUTLOOK in content
    lower = name.lower()
    if lower.endswith(_OTHER_ENDINGS):
        return False
    start = content[:65_536].lstrip().replace(b"\r\n", b"\n")
    if lower.endswith(".eml"):
        return _FIELD.match(_MBOX_LINE.sub(b"", start, count=1)) is not None
    head = _HEAD.match(start)
    return head is not None and len(set(map(bytes.lower, _ON_ITS_WAY.findall(head[0])))) > 1


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    outer = read_document("mail", content, Mail)
    if outer.reports_abuse and not outer.attached:
        yield refused_candidate(0, _REPORT_OF_ABUSE)
        return
    everyone = Recipients(_find_recipients(outer), _find_names(outer))
    messages = list(_find_attacks(outer))
    parts = (
        (f"message {number}", _read_message(each, everyone, options))
        for number, each in enumerate(messages, 1)
    )
    found = list(join_parts(parts)) or [refused_candidate(0, _NOTHING)]
    is_saved = not name.lower().endswith(_ENDINGS) and not content.startswith(_OLE)
    notes = [_READ_AS_MAIL] if is_saved and not all(map(_is_report, messages)) else []
    notes += [_CARRIER] if outer.attached else []
    yield from with_notes(found, notes)


def _find_attacks(mail: Mail) -> Iterator[Mail]:
    """The messages that are shared: the innermost of those that are attached to each other."""
    if not mail.attached:
        yield mail
    for each in mail.attached:
        yield from _find_attacks(each)


def _find_recipients(mail: Mail) -> Iterator[str]:
    """The people who received a message or one attached to it, or passed it on."""
    yield from mail.recipients
    if mail.attached or _is_forwarded(mail):
        yield from mail.senders
    for each in mail.attached:
        yield from _find_recipients(each)


def _find_names(mail: Mail) -> Iterator[str]:
    """The names of the recipients, which attackers write into links."""
    yield from mail.names
    for each in mail.attached:
        yield from _find_names(each)


def _is_forwarded(mail: Mail) -> bool:
    """True if the sender passed on what somebody else wrote."""
    return is_forwarded(mail.subject, mail.text)


def _is_report(mail: Mail) -> bool:
    """True if a message defangs values: its words are read."""
    return DEFANGED.search(mail.text) is not None


def _read_message(mail: Mail, recipients: Recipients, options: ReadOptions) -> Iterator[Candidate]:
    if _is_report(mail):
        yield from _read_report(mail, recipients, options)
        return
    level, about_level = find_strictest_tlp(enumerate(mail.text.split("\n"), 1))
    details = IndicatorDetails(tlp=level)
    builder = CandidateBuilder(options)
    values = [*_find_senders(mail, recipients), *_find_links(mail, recipients), *_find_files(mail)]
    shared = [(value, note) for value, note in values if value is not None]
    reasons = [note for value, note in values if value is None and note]
    found = (
        builder.build_unless_seen(value, details, 1, (*about_level, *_as_findings(note)))
        for value, note in shared
    )
    named = (without_lines(each) for each in found if each)
    yield from with_notes(named, list(dict.fromkeys(reasons)))


Found = tuple[RecognisedIoc | None, str]
"""A value that is shared, or none, and a note about it."""


def _find_senders(mail: Mail, recipients: Recipients) -> Iterator[Found]:
    if _is_forwarded(mail):
        yield None, "who forwarded the mail is not shared: attach the mail itself"
        return
    failed = find_failed_check(mail.checks)
    for address in mail.senders:
        value = recognise_ioc(address)
        if value is None or value.kind is not IocType.EMAIL:
            continue
        host = value.value.rpartition("@")[2]
        if recipients.are_named_in(value.value) or recipients.own_host(host):
            yield None, "a sender of the recipient's own organisation is not shared"
        elif failed and address == mail.senders[0]:
            yield None, f"the sender is forged ({failed}) and not shared"
        else:
            yield value, ""


def find_failed_check(results: str) -> str:
    """The check that says that the sender is forged, `dmarc=fail`; empty if none does."""
    checks = [
        (name.lower(), result.lower()) for name, result in _CHECK.findall(results[:_LONGEST_CHECKS])
    ]
    if ("dmarc", "fail") in checks:
        return "dmarc=fail"
    passed = ("dkim", "pass") in checks or ("dmarc", "pass") in checks
    failed = next((r for name, r in checks if name == "spf" and r in ("fail", "softfail")), "")
    return f"spf={failed}" if failed and not passed else ""


def _find_links(mail: Mail, recipients: Recipients) -> Iterator[Found]:
    in_text = (value.value for value in _find_urls(mail.text))
    for link in dict.fromkeys([*mail.links, *in_text]):
        url = unwrap(link)
        value = next((each for each in _find_urls(url)), None)
        if value is None:
            continue
        if is_wrapped(url):
            yield None, "links that a mail filter rewrote, and that cannot be read, are left out"
        elif recipients.own_host(host_of(value.value)):
            yield None, "links to the recipient's own organisation are left out"
        elif recipients.may_be_named_in(value.value):
            yield _cut(value.value, recipients)
        else:
            yield value, ""


def _find_files(mail: Mail) -> Iterator[Found]:
    """The hashes of attached files, of attached pictures too.

    Pictures that the text shows (`mail.pictures`) are left out: most are logos, which innocent
    mails show too.
    """
    for digest in mail.attachments:
        yield recognise_ioc(digest), ""


def _find_urls(text: str) -> Iterator[RecognisedIoc]:
    for line in text.split("\n"):
        for part in split_line(line) if "://" in line else ():
            for value in find_in_line(part, False):
                if value.kind is IocType.URL:
                    yield value


def _cut(url: str, recipients: Recipients) -> Found:
    """The part of a link before the recipient's name, or else its host."""
    for part in (cut_url(url), host_of(url)):
        if part and not recipients.may_be_named_in(part):
            return recognise_ioc(part), "shared without the part of the link that names a recipient"
    return None, "links whose host names a recipient are left out"


def _as_findings(note: str) -> Iterable[Finding]:
    return (Finding("validate", "format", Action.REPLACED, note),) if note else ()


def _read_report(mail: Mail, recipients: Recipients, options: ReadOptions) -> Iterator[Candidate]:
    """The candidates of a mail that is a report: of its words, as in any text."""
    notes = ["the mail defangs values: it is read as a report, and its sender is not shared"]
    recipients = recipients.joined_by(mail.senders)
    builder, found, reasons = CandidateBuilder(options), list[Candidate](), list[str]()
    for candidate in read_text_of(DocumentText(mail.text, notes), options):
        shown = str((candidate.object or {}).get("pattern", ""))
        if not recipients.are_named_in(shown):
            found.append(candidate)
            continue
        cut, reason = _cut_candidate(candidate, shown, recipients, builder)
        found += [cut] if cut is not None else []
        if cut is None:
            reasons += [*(each.message for each in candidate.findings), reason]
    yield from with_notes(found, list(dict.fromkeys(reasons)))


def _cut_candidate(
    candidate: Candidate, pattern: str, recipients: Recipients, builder: CandidateBuilder
) -> tuple[Candidate | None, str]:
    """A candidate for the part of a link that names nobody, if there is one; and a note."""
    link = _URL_PATTERN.fullmatch(pattern)
    if link is None:
        return None, "values that name a recipient or a sender are left out"
    value, note = _cut(re.sub(r"\\(.)", r"\1", link[1]), recipients)
    if value is None:
        return None, note
    about = (*candidate.findings, *_as_findings(note))
    made = builder.build_unless_seen(value, IndicatorDetails(), 1, about)
    if made is None or made.object is None or candidate.object is None:
        return None, note
    markings = candidate.object.get("object_marking_refs")
    subject = (
        {**made.object} if markings is None else {**made.object, "object_marking_refs": markings}
    )
    return without_lines(replace(made, object=subject)), note


def _list_never_shared(content: bytes) -> str:
    """The parts of a mail that are read and not shared, with the stations that it passed."""
    head = _HEAD_END.split(content[:_LONGEST_HEAD].lstrip(), maxsplit=1)[0]
    number = 0 if content.startswith(_OLE) else len(_STATION.findall(head))
    stations = f"{number} Received line{'' if number == 1 else 's'}, " if number else ""
    return f"recipients, subject, text, {stations}other header lines, names and content of files"


FORMAT = Format(
    name="mail",
    description="a phishing mail (.eml, Outlook .msg): its sender, links and the hashes of its "
    "files, never its recipients",
    list_never_shared=_list_never_shared,
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
)
