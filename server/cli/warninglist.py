"""`tocsin-hub warninglist`: the warning lists, and loading fresher ones."""

from __future__ import annotations

from pathlib import Path

import click

from tocsin.admission.warninglists.index import read_list_documents
from tocsin.admission.warninglists.lists import LIST_REACH
from tocsin.admission.warninglists.sources import compile_lists, read_misp_lists
from tocsin.config.command_line import format_examples
from tocsin.server.cli.command import (
    AS_JSON,
    Answer,
    print_result,
    print_table,
    with_acting_hub,
    with_open_hub,
)
from tocsin.server.runtime import Runtime
from tocsin.server.services import warning_lists_file
from tocsin.server.store import Transaction

_RESTART = "restart the hub to apply them"


@click.group("warninglist")
def warninglist_command() -> None:
    """Lists of harmless values, by which submissions are checked."""


@warninglist_command.command(
    "load",
    short_help="Use MISP's warning lists of a folder or zip file.",
    epilog=format_examples(
        "tocsin-hub warninglist load misp-warninglists/lists",
        "tocsin-hub warninglist load misp-warninglists-main.zip",
    ),
)
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH")
@with_acting_hub
def _load(hub: Runtime, path: Path) -> Answer:
    """Use the lists of a folder or zip file of MISP's misp-warninglists from the next start on.

    They replace the shipped lists of the same name, and lists that were loaded before. Nothing
    changes if one of them cannot be read.
    """
    document = read_misp_lists(path)
    entries = sum(len(each.entries) for each in document.lists.values())
    what = {"source": document.source, "lists": len(document.lists), "entries": entries}
    file = warning_lists_file(hub.settings.data)
    new = file.with_suffix(".new")
    new.write_bytes(compile_lists(document))
    new.replace(file)
    _record(hub, "warninglist.load", what)
    return {**what, "note": _RESTART}


@warninglist_command.command("list", epilog=format_examples("tocsin-hub warninglist list --json"))
@AS_JSON
@with_open_hub
def _list(hub: Runtime, as_json: bool) -> None:
    """List the warning lists that count, with their versions.

    With --json, each also has its title and the name of its source.
    """
    answers: dict[str, Answer] = {}
    documents = read_list_documents(warning_lists_file(hub.settings.data))
    shipped = documents[0].source
    for document in documents:
        for name, each in document.lists.items():
            if name in LIST_REACH:
                answers[name] = {
                    "name": name,
                    "title": each.name,
                    "version": each.version,
                    "entries": len(each.entries),
                    "source": document.source,
                }
    listed = [answers[name] for name in sorted(answers)]
    if as_json:
        print_result(listed, as_json=True)
    else:
        print_table([_make_row(each, shipped) for each in listed])


def _make_row(answer: Answer, shipped: str) -> Answer:
    """The columns for people: with title and source, no line would fit a terminal."""
    origin = "shipped" if answer["source"] == shipped else "loaded"
    return {name: answer[name] for name in ("name", "version", "entries")} | {"origin": origin}


@warninglist_command.command("reset", epilog=format_examples("tocsin-hub warninglist reset"))
@with_acting_hub
def _reset(hub: Runtime) -> Answer:
    """Use the shipped lists again from the next start on."""
    file = warning_lists_file(hub.settings.data)
    was_loaded = file.exists()
    file.unlink(missing_ok=True)
    if was_loaded:
        _record(hub, "warninglist.reset", {})
    return {"loaded": False, "note": _RESTART if was_loaded else "no lists were loaded"}


def _record(hub: Runtime, action: str, details: Answer) -> None:
    def write(txn: Transaction) -> None:
        txn.add_journal_entry(action, hub.actor, details)

    hub.services.store.commit(write)
