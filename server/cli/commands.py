"""The commands of tocsin-hub: what each takes, and what it does with an opened hub."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tocsin.admission.errors import ShareError
from tocsin.admission.timestamps import micros
from tocsin.conformance import cli as conformance
from tocsin.server.cli import operations, partners, view_definitions
from tocsin.server.cli.partners import tlp, words
from tocsin.server.integrations.medallion.importer import (
    NOTICE,
    Wish,
    medallion,
    take_over,
)
from tocsin.server.model import CollectionKind
from tocsin.server.runtime import Runtime

_EXAMPLES = """\
examples:
  tocsin-hub serve
  tocsin-hub serve --data /srv/tocsin --host 127.0.0.1 --port 8420
  tocsin-hub partner add acme --name "ACME Corp" --term acme.example --read clear,green
  tocsin-hub partner change acme --read clear,green,iocs --reliability B
  tocsin-hub key issue acme
  tocsin-hub key certificate acme acme.pem
  tocsin-hub collection add ics --kind feed --max-tlp green --title "Industrial control"
  tocsin-hub collection add iocs --kind aggregate --source clear,scratch --type indicator
  tocsin-hub collection add october --kind snapshot --source green --at 2026-11-01T00:00:00Z
  tocsin-hub review list
  tocsin-hub public revoke indicator--… --reason "the host was cleaned"
  tocsin-hub benign add cdn.example.com --reason "our own CDN"
  tocsin-hub import medallion data.json --dry-run
  tocsin-hub conformance https://taxii.example/taxii2/ --key me:secret

exit codes: 0 all well, 1 refused or failed, 2 wrong usage, 3 the database cannot be reached,
130 interrupted, 141 nobody reads on
"""

Told = operations.Answer | list[operations.Answer]
"""What a command answers."""


def say(text: str) -> None:
    """A sentence for whoever runs the command, on standard error."""
    print(text, file=sys.stderr, flush=True)


def serving(hub: Runtime, options: argparse.Namespace) -> Told:
    """Stands for `serve`."""
    raise AssertionError("serve opens the hub itself")


def working(hub: Runtime, options: argparse.Namespace) -> Told:
    """Stands for `work`."""
    raise AssertionError("work opens the hub itself")


def _key_issue(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.new_key(hub, options.account)


def _key_certificate(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.register_certificate(hub, options.account, options.file.read_bytes())


def _key_list(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.keys(hub, options.account)


def _key_revoke(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.revoke_key(hub, options.account, options.id)


def _collection_list(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.collections(hub)


def _collection_add(hub: Runtime, options: argparse.Namespace) -> Told:
    new = operations.collection_of(options.alias, CollectionKind(options.kind), options.title)
    sources, types = words(options.source), frozenset(words(options.type))
    wish = view_definitions.Wish(sources, types, options.max_tlp, options.active_only, options.at)
    return operations.add_collection(hub, view_definitions.gathered(hub.services.store, new, wish))


def _review_list(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.reviews(hub, options.partner)


def _review_release(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.decide(hub, options.review, release=True, reason="")


def _review_reject(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.decide(hub, options.review, release=False, reason=options.reason)


def _public_revoke(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.revoke(hub, options.public, options.reason)


def _benign_add(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.forbid(hub, options.value, options.reason)


def _benign_list(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.forbidden(hub)


def _benign_remove(hub: Runtime, options: argparse.Namespace) -> Told:
    return operations.allow(hub, options.value)


def _import_medallion(hub: Runtime, options: argparse.Namespace) -> Told:
    wish = Wish(
        roots=frozenset(options.root),
        collections=frozenset(options.collection),
        prefix=options.into,
        cursor=options.cursor and micros(options.cursor),
        dry=options.dry_run,
    )
    with medallion(options.source) as sources:
        taken = take_over(hub, sources, wish)
    for line in NOTICE:
        say(line)
    return taken


Run = Callable[[Runtime, argparse.Namespace], Told]


def parser() -> argparse.ArgumentParser:
    """The command line; `run` of what it understood is the command's function."""
    root = argparse.ArgumentParser(
        prog="tocsin-hub",
        description="A TAXII 2.1 hub for automated indicator sharing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"tocsin-hub {version('tocsin')}")
    subjects = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(subjects)
    _command(subjects, "work", working, "admit and pack beside the hubs of a MongoDB")
    _add_partner(_group(subjects, "partner", "organisations that share", partners.NameAnywhere))
    _add_key(_group(subjects, "key", "credentials of accounts"))
    _add_collection(_group(subjects, "collection", "inboxes, feeds and verbatim collections"))
    _add_review(_group(subjects, "review", "what waits for an analyst"))
    _add_aftercare(subjects)
    _add_import(_group(subjects, "import", "what other servers have"))
    outside = subjects.add_parser("conformance", help=conformance.SUMMARY)
    outside.set_defaults(run=conformance.main)
    conformance.add_options(outside)
    return root


_Subjects = argparse._SubParsersAction


def _group(
    subjects: _Subjects[argparse.ArgumentParser],
    name: str,
    text: str,
    kind: type[argparse.ArgumentParser] = argparse.ArgumentParser,
) -> _Subjects[argparse.ArgumentParser]:
    group = subjects.add_parser(name, help=text, description=text)
    return group.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=kind
    )


def _command(
    subjects: _Subjects[argparse.ArgumentParser], name: str, run: Run, text: str
) -> argparse.ArgumentParser:
    command = subjects.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    command.add_argument("--data", type=Path, metavar="DIR", help="the data directory")
    command.add_argument(
        "--mongo-uri", metavar="URI", help="a MongoDB instead of the embedded engine"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="a hub.toml")
    command.add_argument("--json", action="store_true", help="answer as JSON")
    return command


def _add_serve(subjects: _Subjects[argparse.ArgumentParser]) -> None:
    command = _command(subjects, "serve", serving, "answer TAXII 2.1 requests until SIGTERM")
    command.add_argument("--host", help="the address to listen on")
    command.add_argument("--port", type=int, help="the port to listen on; 0: any free one")
    command.add_argument(
        "--tls-cert", dest="tls_certificate", metavar="FILE", help="certificate and chain, in PEM"
    )
    command.add_argument("--tls-key", metavar="FILE", help="its key, unless it is in the same file")
    command.add_argument(
        "--tls-client-ca", metavar="FILE", help="whose client certificates are taken, in PEM"
    )
    command.add_argument(
        "--ready-file", type=Path, metavar="F", help="gets the URL and the pid once the hub answers"
    )


def _add_partner(group: _Subjects[argparse.ArgumentParser]) -> None:
    command = _command(group, "add", partners.add, "a partner with an account and a key")
    partners.options_of_add(command)
    words = "another name, right or standing of a partner; what is not named stays as it is"
    command = _command(group, "change", partners.change, words)
    partners.options_of_change(command)
    _command(group, "list", partners.listed, "partners, their accounts and rights")


def _add_key(group: _Subjects[argparse.ArgumentParser]) -> None:
    name = "the account's name, for instance the partner's slug"
    command = _command(group, "issue", _key_issue, "a new key of an account, shown this once")
    command.add_argument("account", help=name)
    command = _command(
        group, "certificate", _key_certificate, "let a client certificate open an account"
    )
    command.add_argument("account", help=name)
    command.add_argument("file", type=Path, help="the certificate, in PEM or DER")
    command = _command(group, "list", _key_list, "keys and certificates of an account, by digest")
    command.add_argument("account", help=name)
    command = _command(group, "revoke", _key_revoke, "let a key or certificate open nothing more")
    command.add_argument("account", help=name)
    command.add_argument("id", help="as `key list` shows it, or how it begins")


def _add_collection(group: _Subjects[argparse.ArgumentParser]) -> None:
    _command(group, "list", _collection_list, "ids and aliases")
    command = _command(group, "add", _collection_add, "one more collection")
    command.add_argument("alias", help="a short name: small letters, digits, hyphens")
    command.add_argument("--kind", required=True, choices=[kind.value for kind in CollectionKind])
    command.add_argument(
        "--max-tlp", type=tlp, help="the strictest a feed takes (amber), or an aggregate shows"
    )
    command.add_argument("--title", default="", help="what people read")
    views = command.add_argument_group("aggregates and snapshots")
    views.add_argument(
        "--source", action="append", default=[], help="the collections that it shows, by comma"
    )
    views.add_argument(
        "--type", action="append", default=[], help="aggregate: only these STIX types, by comma"
    )
    views.add_argument(
        "--active-only", action="store_true", help="aggregate: nothing revoked or expired"
    )
    views.add_argument(
        "--at", type=_instant, metavar="TIME", help="snapshot: as of when, in UTC; else now"
    )


def _add_review(group: _Subjects[argparse.ArgumentParser]) -> None:
    command = _command(group, "list", _review_list, "questions, the oldest first")
    command.add_argument("--partner", help="of one partner only")
    command = _command(group, "release", _review_release, "admit it after all")
    command.add_argument("review", nargs="+", metavar="ID", help="as `review list` shows it")
    command = _command(group, "reject", _review_reject, "refuse it for good")
    command.add_argument("review", nargs="+", metavar="ID", help="as `review list` shows it")
    command.add_argument("--reason", default="", help="for the submitter to read")


def _add_aftercare(subjects: _Subjects[argparse.ArgumentParser]) -> None:
    public = _group(subjects, "public", "what is published")
    command = _command(public, "revoke", _public_revoke, "revoke it for ever, in every feed")
    command.add_argument("public", nargs="+", metavar="ID", help="a public id")
    command.add_argument("--reason", required=True, help="for the journal")
    benign = _group(subjects, "benign", "the hub's own list of values that nobody may send")
    command = _command(benign, "add", _benign_add, "never again: refused, and revoked everywhere")
    command.add_argument("value", nargs="+", help="a domain, IP address, URL, e-mail, hash")
    command.add_argument("--reason", default="", help="shown to whoever sends it")
    _command(benign, "list", _benign_list, "what is on it")
    command = _command(benign, "remove", _benign_remove, "it may be sent again")
    command.add_argument("value", nargs="+", help="as `benign list` shows it")


def _add_import(group: _Subjects[argparse.ArgumentParser]) -> None:
    text = "a medallion's collections, as verbatim collections; may be run again"
    command = _command(group, "medallion", _import_medallion, text)
    command.add_argument("source", help="its JSON data file, or the mongodb:// URI of its database")
    command.add_argument("--root", action="append", default=[], help="of this API root only")
    command.add_argument(
        "--collection", action="append", default=[], help="this one only: its id, alias or title"
    )
    command.add_argument("--into", default="", metavar="PREFIX", help="aliases are PREFIX-…")
    command.add_argument(
        "--cursor", metavar="ADDED_AFTER", help="tell where a poller goes on that came so far there"
    )
    command.add_argument("--dry-run", action="store_true", help="tell what would be taken over")


def _instant(text: str) -> int:
    try:
        return micros(text)
    except ShareError as error:
        said = f"{error}; it looks like 2026-01-31T00:00:00Z"
        raise argparse.ArgumentTypeError(said) from error
