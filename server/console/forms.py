"""Forms: the fields that were sent, and where to go next."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import unquote, urlencode

import flask
from flask import request
from werkzeug.wrappers import Response

from tocsin.admission.errors import Malformed
from tocsin.server.console.services import ROOT

_LONGEST_FIELD = 10_000
_LONGEST_PATH = 2_000
_COMMAND = re.compile("; `[a-z-]+ [a-z]+[^`]*` [a-z ]+$")
_TOO_LONG = "These are {:,} characters; {:,} can be sent at most: shorten the text."
_BAD_QUOTES = (
    "a double quote is not closed, or something follows it: put only what contains a comma "
    "between two of them"
)
_CHANGED = (
    "{}: somebody has changed this since you opened the page; it is now: {}."
    " Look at it, and save again."
)
Fields = Mapping[str, Sequence[str]]
"""The values of the fields of a form, by name."""
_MOST_DIGITS = 18
"""Digits of a number that the database can hold."""


class FieldErrors(Malformed):
    """Fields of a form that cannot be read."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        """`errors`: a sentence for each field, by its name."""
        super().__init__(*errors.values())
        self.errors = dict(errors)


def text_field(name: str, longest: int = _LONGEST_FIELD) -> str:
    """A field of the form, without spaces at its ends; empty if it was not sent.

    Raises FieldErrors if it has more than `longest` characters: what is cut off would be lost
    without a word, and a term of a partner would then not be masked any more.
    """
    form = sent_fields([name])
    if errors := find_too_long(form, longest):
        raise FieldErrors(errors)
    return form[name]


def sent_fields(names: Iterable[str]) -> dict[str, str]:
    """Fields of the form as `text_field` reads them, however long, to be shown again."""
    given = ((name, request.form.get(name, "")) for name in names)
    return {name: text.replace("\r\n", "\n").strip() for name, text in given}


def find_too_long(form: Mapping[str, str], longest: int = _LONGEST_FIELD) -> dict[str, str]:
    """A sentence for each field with more than `longest` characters, by its name."""
    return {
        name: _TOO_LONG.format(len(text), longest)
        for name, text in form.items()
        if len(text) > longest
    }


def _parse_shown() -> dict[str, list[str]] | None:
    """The fields of a form as its page showed them; None if the form does not say."""
    with suppress(ValueError, AttributeError, TypeError, RecursionError):
        found = json.loads(request.form.get("shown", "")).items()
        return {str(name): sorted(map(str, values)) for name, values in found}
    return None


def find_changed(stored: Fields, labels: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each field that somebody has changed since the form was opened, by name.

    To save the form as it is would undo that, and a new term would not be masked any more.
    `stored` has the fields as they are now, `labels` those to compare with what they are called;
    the form has in `shown` what was stored when its page was made, as JSON.
    """
    shown = _parse_shown()
    if shown is None:
        return {}
    return {
        name: _CHANGED.format(label, ", ".join(filter(None, stored.get(name, ()))) or "–")
        for name, label in labels.items()
        if sorted(stored.get(name, ())) != shown.get(name, [])
    }


def merge_entered(
    stored: Fields, names: Iterable[str], boxes: Collection[str]
) -> dict[str, Sequence[str]]:
    """The fields that the person has changed in the form as they entered them, others as stored.

    `boxes` are those that a form without a selected box leaves out.
    """
    shown, merged = _parse_shown() or {}, dict[str, Sequence[str]]()
    for name in names:
        old = stored.get(name, ())
        given = request.form.getlist(name)
        entered = [each.replace("\r\n", "\n").strip() for each in given]
        is_left = not entered and name not in boxes
        is_same = sorted(entered) == shown.get(name, sorted(old))
        merged[name] = old if is_left or is_same else entered
    return merged


def number_field(name: str, otherwise: int) -> int:
    """A number in the query string, of at most six digits."""
    text = request.args.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else otherwise


def parse_number(text: str) -> int | None:
    """A number that is written in decimal digits; None for all else, and if it is too long.

    >>> parse_number("12"), parse_number("-1"), parse_number("9" * 5_000)
    (12, None, None)
    """
    is_number = text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


def go(path: str) -> Response:
    """After a form: a page below the root of the console, so that Back and reload are safe."""
    return flask.redirect(f"{ROOT}{path}", HTTPStatus.SEE_OTHER)


def refuse(page: str, status: int) -> Response:
    """After a form that was not taken: a page without an address, so that the browser keeps its."""
    answer = flask.make_response(page, status)
    answer.headers["HX-Push-Url"] = "false"
    return answer


def url_with(**changes: object) -> str:
    """The URL of this page with other values in its query; an empty one goes."""
    query = request.args.to_dict() | {name: str(value) for name, value in changes.items()}
    text = urlencode({name: value for name, value in query.items() if value})
    return f"{ROOT}{request.path}{'?' if text else ''}{text}"


def sentence(error: Exception) -> str:
    """The text of an error as a sentence, without the command that it names in the end.

    A mailbox at its beginning stays as it is.

    >>> sentence(ValueError("there is a partner acme already; `partner change` changes it"))
    'There is a partner acme already.'
    """
    text = _COMMAND.sub("", str(error))
    is_mailbox = "@" in text.partition(" ")[0]
    start = text[:1] if is_mailbox else text[:1].upper()
    return f"{start}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


def split_words(text: str) -> tuple[str, ...]:
    """The words of a list that commas separate."""
    return tuple(word for part in text.split(",") if (word := part.strip()))


def parse_list(text: str) -> tuple[str, ...]:
    """The words of a list that commas separate; one with a comma stands in double quotes.

    >>> parse_list('acme.example, "ACME, Inc."')
    ('acme.example', 'ACME, Inc.')

    Raises Malformed if a quote is not closed.
    """
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise Malformed(_BAD_QUOTES) from error
    return tuple(word.strip() for row in rows for word in row if word.strip())


def format_list(words: Iterable[str]) -> str:
    """The inverse of `parse_list`.

    >>> format_list(["acme.example", "ACME, Inc."])
    'acme.example, "ACME, Inc."'
    """
    return ", ".join(
        '"{}"'.format(each.replace('"', '""')) if {",", '"'} & set(each) else each for each in words
    )


def safe_next(given: str) -> str:
    """The page of the console to which a person wanted to go; its start for anything else.

    >>> safe_next("/console/review?rule=a"), safe_next("//evil.test"), safe_next("/console//evil")
    ('/console/review?rule=a', '/console/', '/console/')
    """
    start = f"{ROOT}/"
    is_ours = (
        given.startswith(start)
        and not given.startswith(f"{start}/")
        and "/.." not in unquote(given.partition("?")[0])  # browsers go up from there
        and "\\" not in given
        and given.isprintable()
        and len(given) <= _LONGEST_PATH
    )
    return given if is_ours else start


def show_again(
    template: str, errors: Mapping[str, str], status: int = 422, **values: object
) -> Response:
    """Show a form again with what was entered; `errors` has a text for each wrong field."""
    page = flask.render_template(template, errors=errors, **values)
    return flask.make_response(page, status)
