"""Command lines of earlier versions, translated into those of this one.

Works on the words of the command line alone, before click reads them.  The whole module goes
with the next release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_RENAMED = {"benign": "exclusion", "public": "object"}
_SEVERAL_VALUES = ("--sector", "--term", "--read", "--write")
_FLAGS = ("--disable", "--enable", "--json", "--help", "-h")


def modernise(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command line in today's words, and a note for each thing that was called otherwise.

    >>> modernise(["benign", "list"])
    (['exclusion', 'list'], ['`benign list` is deprecated; use `exclusion list`'])
    """
    if words and words[0] in _RENAMED:
        old, new = words[0], _RENAMED[words[0]]
        action = f" {words[1]}" if len(words) > 1 and not words[1].startswith("-") else ""
        if old == "public" and action not in ("", " revoke"):  # it never had another
            return list(words), []
        note = f"`{old}{action}` is deprecated; use `{new}{action}`"
        return [new, *words[1:]], [note]
    if words[:1] == ["partner"] and words[1:2] in (["add"], ["change"]):
        return _split_values(list(words))
    return list(words), []


def _split_values(words: list[str]) -> tuple[list[str], list[str]]:
    """Repeat an option for each of its values: `--term a b` becomes `--term a --term b`.

    A short name that seemed to be the last of the values is one again, if only one option has
    several.
    """
    groups = list(_group_by_option(words[2:]))
    if sum(len(_arguments(group)) for group in groups) <= 1:
        return words, []
    several = [g for g in groups if g[0] in _SEVERAL_VALUES and len(g) > 2]
    slug = []
    if len(several) == 1 and not any(_arguments(g) for g in groups if g is not several[0]):
        slug = [several[0].pop()]
    notes = [
        f"`{option} {' '.join(values)}` is deprecated; use `{option} {','.join(values)}`"
        for option, *values in several
        if len(values) > 1
    ]
    for group in several:
        group[:] = [word for value in group[1:] for word in (group[0], value)]
    options = (word for group in groups[1:] for word in group)
    return [*words[:2], *slug, *groups[0][1:], *options], notes


def _group_by_option(words: Sequence[str]) -> Iterator[list[str]]:
    """Each option with what follows it; at first, an empty word and what precedes the options."""
    group = [""]
    for word in words:
        if word.startswith("-") and len(word) > 1:
            yield group
            group = []
        group.append(word)
    yield group


def _arguments(group: list[str]) -> list[str]:
    """The words of a group that click takes for arguments of the command."""
    own = 1 if not group[0] or group[0] in _FLAGS or "=" in group[0] else 2
    return group[own:]
