"""The documents say what is there: settings, commands, links, examples."""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from msgspec.structs import fields
from support.layers import LAYERS, PACKAGES
from support.paths import ROOT
from support.syntax import statements

from tocsin.admission.formats import formats
from tocsin.clients.cli.main import tocsin
from tocsin.config.settings import ClientSettings, HubSettings
from tocsin.server.cli.main import tocsin_hub

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
GUIDES = "\n".join(TEXTS[each] for each in PAGES if each.parent.name != "decisions")
OTHER_VARIABLES = {
    "TOCSIN_HUB_CONFIG",
    "TOCSIN_CLIENT_CONFIG",
    "TOCSIN_AS",
    "TOCSIN_COMPARE",
    "TOCSIN_TEST_ALL",
    "TOCSIN_TEST_EXAMPLES",
    "TOCSIN_TEST_MONGO",
    "TOCSIN_TEST_PROGRAMS",
}
MODULES = sorted(
    ".".join(("tocsin", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The places in a page that a link may lead to."""
    headings = re.findall(r"^#+ (.+)$", TEXTS[page], re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}


FORMATS = TEXTS[ROOT / "docs" / "formats.md"]
PROGRAMS: dict[str, click.Command] = {"tocsin": tocsin, "tocsin-hub": tocsin_hub}


def branches(command: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A program's subcommands, down to those that have none; hidden ones left out."""

    def leaves(path: tuple[str, ...], found: click.Command) -> Iterator[tuple[str, ...]]:
        if not isinstance(found, click.Group):
            yield path
            return
        context = click.Context(found)
        for name in found.list_commands(context):
            inner = found.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from leaves((*path, name), inner)

    return list(leaves(command, PROGRAMS[command[0]]))


def mentions(text: str, program: str) -> Iterator[tuple[str, ...]]:
    """Commands that the code in a text gives: lines of blocks, and `code` within sentences."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in [*"\n".join(blocks).splitlines(), *inline]:
        if found := re.match(rf"\s*{program}((?: [a-z][a-z-]*)+)", line.split(" #")[0]):
            yield (program, *found[1].split())


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Any) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        file, _, anchor = target.partition("#")
        assert "://" not in target, f"{target}: link to files of the project only"
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def test_text_that_only_the_site_includes_has_a_link_to_its_file() -> None:
    for page in PAGES:
        for file in re.findall(r'^--8<-- "(.+)"$', TEXTS[page], re.MULTILINE):
            assert f"]({'../' * len(page.relative_to(ROOT).parent.parts)}{file})" in TEXTS[page]


def test_lines_for_a_crontab_give_the_path_of_the_program() -> None:
    lines = re.findall(r"^(?:[\d*/,-]+ +){5}(\S+)", "\n".join(TEXTS.values()), re.MULTILINE)
    assert len(lines) > 3
    assert [each for each in lines if not each.startswith("/")] == []


def test_programs_that_read_the_files_of_a_mirror_are_allowed_to() -> None:
    text = TEXTS[ROOT / "docs" / "export.md"]
    named = set(re.findall(r'"/srv/lists/(\w+)/', text))
    polled = re.findall(r"poll green --mirror /srv/lists --format (\w+) --mode 644", text)
    assert named and named - set(polled) == set()


def test_every_variable_named_is_one_that_is_read() -> None:
    settings = {each.name for kind in (HubSettings, ClientSettings) for each in fields(kind)}
    known = {f"TOCSIN_{name.upper()}" for name in settings} | OTHER_VARIABLES
    assert set(re.findall(r"\bTOCSIN_[A-Z_]+\b", "\n".join(TEXTS.values()))) - known == set()


def test_every_test_that_the_threat_model_names_is_there() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    named = re.findall(r"`((?:admission|server|clients)/[\w/.]+)`", text)
    assert len(named) > 20
    assert [each for each in named if not (ROOT / "tests" / each).exists()] == []


def test_every_decision_answers_its_question() -> None:
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        text = TEXTS[page]
        assert text.startswith(f"# {page.name[:4]} "), page.name
        assert all(f"**{part}.**" in text for part in ("Question", "Decision", "Why")), page.name


def test_the_table_of_formats_lists_those_that_are_found_and_their_endings() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", FORMATS, re.MULTILINE)
    listed = {name: tuple(re.findall(r"`(\.\w+)`", endings)) for name, endings in rows}
    assert listed == {each.name: each.extensions for each in formats()}
    assert len(listed) == len(rows) == len(formats())


@pytest.mark.parametrize("program", ["tocsin", "tocsin-hub"])
class TestCommands:
    def test_every_subcommand_is_documented(self, program: str) -> None:
        missing = [" ".join(each) for each in branches((program,)) if " ".join(each) not in GUIDES]
        assert missing == []

    def test_every_command_documented_is_there(self, program: str) -> None:
        known = branches((program,))
        for given in mentions(GUIDES, program):
            assert any(given[: len(each)] == each or each[: len(given)] == given for each in known)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: Any) -> None:
    runner = doctest.DocTestRunner()
    for each in doctest.DocTestFinder().find(importlib.import_module(name)):
        if each.examples:  # for each run, all files that were ever read are looked at again
            runner.run(each)
    assert runner.summarize().failed == 0


DEVELOP = TEXTS[ROOT / "docs" / "develop.md"]


def section(heading: str) -> str:
    """The text of docs/develop.md below a heading."""
    return DEVELOP.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]


def resolve(name: str) -> object:
    """The function of a dotted name; raises if there is none."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise LookupError(name)


@pytest.mark.parametrize("heading", ["A submission", "A poll"])
def test_every_step_of_a_walk_is_a_function(heading: str) -> None:
    steps = re.findall(r"^\d+\. `([\w.]+)` ", section(heading), re.MULTILINE)
    assert len(steps) == len(re.findall(r"^\d+\. ", section(heading), re.MULTILINE)) <= 10
    assert [name for name in steps if not callable(resolve(name))] == []


_INDIRECT = re.compile(r"(?:^|[.:]\s+|\n\n\s*)(?:What|Whether|Whoever)\b[^?]*?(?:[.:]|$)")
"""A sentence without a subject of its own, as in `Whoever sent it.`; a question is none."""


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every text that stands alone."""
    for node in statements(ast.parse(path.read_text("utf-8"), str(path))):
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.lineno, value.value


def test_sentences_of_docstrings_have_a_subject() -> None:
    folders = (*PACKAGES, "tests", "bench", "scripts")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    texts = [(f"{named(f)}:{line}", text) for f in files for line, text in docstrings(f)]
    assert len(texts) > 5_000
    assert [place for place, text in texts if _INDIRECT.search(text)] == []


@pytest.mark.parametrize("text", ["What is there.", "It is.  Whoever asks", "A: Whether so"])
def test_a_sentence_without_a_subject_is_found(text: str) -> None:
    assert _INDIRECT.search(text) and not _INDIRECT.search("See what is there.  What is it?")


def test_the_layers_are_drawn_as_they_are_held() -> None:
    """Copy the drawing from the failure when LAYERS changes."""
    lines = (" | ".join(each.removeprefix("tocsin.") for each in line) for line in LAYERS)
    [drawing] = re.findall(r"```text\n(.*?)```", section("Layers"), re.DOTALL)
    assert drawing == "".join(f"{line}\n" for line in lines)
