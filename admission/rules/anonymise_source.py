"""Who sent it, and who reported it to them, gives way.

The hub publishes under its own identity, so the author's reference goes and
the submitter's names are masked, unless the submitter consents to be named to
everyone.  Reporters' handles (`@name`, links to their posts) belong to people
who were not asked, so they go whatever the submitter consents to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tocsin.admission.detectors.terms import DOT, wording
from tocsin.admission.masking import (
    VALUE,
    Search,
    Span,
    masked,
    outside,
)
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Finding,
    Path,
    Rule,
    RuleContext,
    StixObject,
    Submitter,
    format_path,
)
from tocsin.admission.observables.extract import extract_observables
from tocsin.admission.stix.free_text import replace_texts
from tocsin.admission.stix.schemas import standard_types

DEFAULTS: Mapping[str, object] = {
    "handles": True,  # mask reporters' handles and links to their posts
    "posts": "hold",  # an indicator or observable on somebody's post: or refuse, keep
}
MODES = {"posts": VALUE}

_NO_LETTER = re.compile(r"[\W_]+")
_SHORT = 3
"""Names of so few letters stand in too many words."""
_NAME = "submitter's name"
_HANDLE = "reporter's handle"
_RULE = "anonymise_source"

_POST = re.compile(
    rf"""(?<![\w.@-])(?:h(?:tt|xx)ps?(?::|\[:\])//)?(?:www{DOT}|mobile{DOT})?
    (?: (?:(?:fx|vx)?twitter{DOT}com|x{DOT}com|nitter{DOT}net)/@?\w{{1,30}}(?:/status(?:es)?/\d+)?
      | bsky{DOT}app/profile/[\w.:-]{{1,80}}(?:/post/\w+)?
      | (?:[a-z]{{2}}{DOT})?linkedin{DOT}com/(?:in/[\w%-]{{2,100}}|posts/[^\W_]+-[\w%-]{{2,200}})
      | threads{DOT}(?:net|com)/@[\w.]{{1,30}}(?:/post/\w+)?
      | [\w-]{{1,63}}(?:{DOT}[\w-]{{1,63}}){{1,4}}/@\w{{1,30}}(?:@[\w.-]{{1,80}})?(?:/\d+)?
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_STATUS = re.compile(r"/(?:status(?:es)?|posts?)/[\w-]|/@[\w.@-]+/\d", re.IGNORECASE)
"""What makes a link one to a post: a profile may be an attacker's own."""
_SITE = re.compile(r"/@|(?:com|net|app)/", re.IGNORECASE)
_AT = re.compile(
    r"(?<![\w@./+%=\]-])(?:@|\[@\])(\w[\w.]{0,29}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}|\w{2,30})(?![\w/(]|\.\w|@)"
)
_NO_HANDLES = frozenset(
    (
        *("author", "charset", "class", "channel", "context", "def", "deprecated", "echo", "end"),
        *("everyone", "font", "here", "if", "import", "include", "interface", "keyframes"),
        *("media", "override", "page", "param", "property", "return", "throws", "type"),
    )
)
"""Words that follow an @ in scripts, style sheets and chats."""


def prepared(around: RuleContext) -> Rule:
    """Takes out the author's reference, the submitter's names and handles."""
    settings = {**DEFAULTS, **around.settings}
    anonymous = around.submitter.consent not in CONSENTS_TO_NAME
    names = _names(around.submitter) if anonymous else ()
    search = _finder(names, bool(settings["handles"]))

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None or subject.get("id") in around.authors:
            return candidate  # an author's identity gives way to the hub's when it is published
        if anonymous:
            if subject.get("id") in around.author_links:
                message = "says something of the submitter, who stays anonymous: leave it out"
                return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, message))
            candidate = _without_author(candidate, subject, names)
            if _tells(str(subject.get("type")), names):
                message = "the name of its type says who sent it: give the type another name"
                return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, message))
        if settings["posts"] != "keep" and _is_post(subject):
            return _about_post(candidate, refused=settings["posts"] == "refuse")
        return masked(candidate, _RULE, search, besides=_not_own)

    return apply


def nameless(subject: StixObject, submitter: Submitter) -> StixObject:
    """What was taken while the submitter agreed to be named, as if it had not agreed."""
    names = _names(submitter)
    bare = _without_author(Candidate(0, subject), subject, names)
    return masked(bare, _RULE, _finder(names, handles=False), besides=_not_own).object or subject


@lru_cache(maxsize=1024)
def _tells(kind: str, names: tuple[str, ...]) -> bool:
    """Whether a type that somebody made up has a name in it, glued to other letters too."""
    if kind in standard_types():
        return False
    runs = (_NO_LETTER.sub("", name.lower()) for name in names)
    return any(len(run) > _SHORT and run in _NO_LETTER.sub("", kind) for run in runs)


@lru_cache(maxsize=64)
def _finder(names: tuple[str, ...], handles: bool) -> Search:  # noqa: FBT001
    named = wording(names)

    def found(text: str) -> list[Span]:
        spans = [Span(start, end, _NAME) for start, end in named.places(text)]
        return [*spans, *_handles(text)] if handles else spans

    return Search(found)


def _not_own(subject: StixObject, text: str, spans: Sequence[Span]) -> list[Span]:
    """The submitter's names, and the handles that are not what the object is about."""
    names = [span for span in spans if span.what != _HANDLE]
    handles = [span for span in spans if span.what == _HANDLE] if names else spans
    return [*names, *outside(subject, text, handles)]


def _names(submitter: Submitter) -> tuple[str, ...]:
    """What the hub calls the submitter, its short name included."""
    return (*submitter.names, submitter.partner) if submitter.partner else submitter.names


def _handles(text: str) -> list[Span]:
    spans: list[Span] = []
    if "/" in text and _SITE.search(text):
        spans = [Span(*found.span(), _HANDLE) for found in _POST.finditer(text)]
    if "@" in text:
        spans += [
            Span(*found.span(), _HANDLE)
            for found in _AT.finditer(text)
            if found[1].lower() not in _NO_HANDLES
        ]
    return spans


def _is_post(subject: StixObject) -> bool:
    """Whether it is about what somebody wrote: most often who reported it, seldom a dead drop."""
    urls = (each.value for each in extract_observables(subject) if each.kind == "url")
    return any((post := _POST.match(url)) and _STATUS.search(post[0]) for url in urls)


def _about_post(candidate: Candidate, *, refused: bool) -> Candidate:
    place = "pattern" if "pattern" in (candidate.object or {}) else "value"
    message = "is about a person's post, most likely the one that reported it"
    if refused:
        finding = Finding("sanitise", _RULE, Action.REFUSED, f"{message}: leave it out", place)
        return candidate.refuse(finding)
    message += ": an analyst decides whether an attacker wrote it"
    return candidate.hold(Finding("sanitise", _RULE, Action.HELD, message, place))


def _without_author(candidate: Candidate, subject: StixObject, names: tuple[str, ...]) -> Candidate:
    """Without `created_by_ref` and without references to the submitter's own documents."""
    gone: list[tuple[Path, str]] = []
    if "created_by_ref" in subject:
        gone.append((("created_by_ref",), "the author's reference gives way to the hub's"))
    if "authors" in subject and subject.get("type") in ("note", "opinion"):
        gone.append((("authors",), "names of people who wrote it"))
    named = wording(names)
    references = subject.get("external_references")
    for i, reference in enumerate(references if isinstance(references, list) else ()):
        source = reference.get("source_name") if isinstance(reference, dict) else None
        if isinstance(source, str) and named.places(source):
            gone.append((("external_references", i), "a reference to the submitter's own source"))
    if not gone:
        return candidate
    findings = (
        Finding("sanitise", _RULE, Action.STRIPPED, message, format_path(path))
        for path, message in gone
    )
    return candidate.with_object(
        replace_texts(subject, {path: None for path, _ in gone}), *findings
    )
