"""The command `tocsin`: what it is given, and how it ends."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tocsin.admission.errors import PolicyError, ShareError
from tocsin.clients.cli import commands
from tocsin.clients.cli.commands import (
    FAILED,
    WRONG_USAGE,
    WrongUsage,
    exit_code,
)
from tocsin.clients.output import FORMATS
from tocsin.clients.render import say
from tocsin.config import (
    CLIENT_FILE,
    TLP_WORDS,
    ClientSettings,
    ConfigError,
    load_client,
    stdio,
)

_CODES = """\
exit codes: 0 all well; 1 something failed or was refused; 2 wrong usage;
3 hub not reachable or access denied; 130 interrupted; 141 nobody reads on"""
_ABOUT = f"""\
Share indicators with a Tocsin hub, or any TAXII 2.1 server, and read what others share.

  tocsin collections --url https://hub.example/taxii2/
  tocsin check report.txt
  tocsin push report.txt --to inbox --tlp green
  tocsin poll green --format csv --output green.csv --state green.state

Hub, key and what sanitising must know of you come from the options, else from TOCSIN_URL,
TOCSIN_KEY and TOCSIN_CERT, else from client.toml (--config FILE, ./client.toml,
~/.config/tocsin/client.toml).

{_CODES}"""
_CHECK = f"""\
Show what admission makes of files, offline; nothing is sent.

  tocsin check report.txt bundle.json
  cat iocs | tocsin check - --as iocs.txt --json
  tocsin check bundle.json --term acme.example --term 'ACME Corp'
  tocsin check report.txt --explain --diff

verdicts: ready (would be offered to a hub), duplicate (the hub has it anyway), held (an analyst
must look at it: it is not sent), refused (never shared; the findings say why).
--json: an object a line for each candidate, {{"file", "error"}} for a file that no format takes,
at last {{"counts": ...}}; with --diff each has its object "before" as well.  The exit code is 1 if
anything was refused or a file could not be read.

{_CODES}"""
_PUSH = f"""\
Offer files to a collection; what the preview refuses or holds is not sent.

  tocsin push bundle.json iocs.csv --to inbox
  tocsin push report.txt --to inbox --tlp green --yes --json
  cat iocs | tocsin push - --as iocs.csv --to inbox

On a terminal it shows what will be sent and asks first.  It waits until the hub has decided.
--json: an object a line for each candidate, with the hub's verdict and public id; at last
{{"status": <TAXII status>, "statuses": [ids], "counts": ...}}.  verdicts: admitted, merged,
duplicate, held, refused; pending (not decided yet), unsent (the hub went away).

{_CODES}"""
_POLL = f"""\
Read a collection; with --state, what is new since the last poll.

  tocsin poll green
  tocsin poll green --output green.jsonl --state green.state
  tocsin poll green --format list --type indicator > block.txt
  tocsin poll green --state s --output all.jsonl --follow 60

jsonl, csv and list are added to --output when there is a --state, and replace it otherwise;
a bundle replaces it always, and its cursor moves once it is complete.  An interrupted poll goes
on where it was; what a pipe has taken counts as read.  One state file may serve many collections.

{_CODES}"""
_STATUS = f"""\
Show what became of a submission, by the id of its status.

  tocsin status 2d086da7-4bdc-4f91-900e-d77486753710
  tocsin status 2d086da7-4bdc-4f91-900e-d77486753710 --json

--json: the TAXII status resource.  The exit code is 1 if any object failed.

{_CODES}"""
_COLLECTIONS = f"""\
Show the collections that there are for this key.

  tocsin collections
  tocsin collections --json

--json: an object a line for each collection.

{_CODES}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; answers the exit code."""
    stdio.open_missing_streams()
    arguments = parser().parse_args(argv)
    with _warnings_said(logging.INFO if arguments.verbose else logging.WARNING):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        code = int(arguments.run(arguments, _settings(arguments)))
        sys.stdout.flush()
        return code
    except (WrongUsage, ConfigError, PolicyError) as error:
        say(str(error))
        return WRONG_USAGE
    except ShareError as error:
        say(str(error))
        return exit_code(error)
    except BrokenPipeError:
        stdio.discard_output()
        return stdio.PIPE_CLOSED
    except OSError as error:
        say(f"{error.filename or 'the output'}: {error.strerror}")
        stdio.discard_output()
        return FAILED
    except KeyboardInterrupt:
        say(
            "interrupted; with --state what was written stays, and the next poll goes on from there"
        )
        return stdio.INTERRUPTED


class _Screen(logging.Handler):
    """Says what our own modules log; the libraries' words are for their makers."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        say(record.getMessage())


@contextmanager
def _warnings_said(level: int) -> Iterator[None]:
    screen = _Screen()
    screen.addFilter(logging.Filter("tocsin"))
    own, root = logging.getLogger("tocsin"), logging.getLogger()
    before = own.level
    own.setLevel(level)
    root.addHandler(screen)
    try:
        yield
    finally:
        root.removeHandler(screen)
        own.setLevel(before)


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    root = argparse.ArgumentParser(
        prog="tocsin",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"tocsin {version('tocsin')}")
    subparsers = root.add_subparsers(required=True, metavar="COMMAND")
    common, online = _common(), _online()
    offering = _offering()
    kinds = {
        "check": ("show what admission makes of files, offline", _CHECK, [common, offering]),
        "push": ("offer files to a collection", _PUSH, [common, online, offering]),
        "poll": ("read a collection", _POLL, [common, online]),
        "status": ("show what became of a submission", _STATUS, [common, online]),
        "collections": ("show the collections", _COLLECTIONS, [common, online]),
    }
    made = {
        name: subparsers.add_parser(
            name,
            help=sentence,
            description=about,
            parents=parents,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, (sentence, about, parents) in kinds.items()
    }
    _check_options(made["check"])
    _push_options(made["push"])
    _poll_options(made["poll"])
    made["status"].add_argument("id", metavar="ID")
    made["status"].set_defaults(run=commands.status)
    made["collections"].set_defaults(run=commands.collections)
    for name in ("check", "push", "status", "collections"):
        made[name].add_argument("--json", action="store_true", help="JSON lines, for programs")
    return root


def _common() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--config", metavar="FILE", help="a client.toml")
    options.add_argument("--verbose", action="store_true", help="say more on standard error")
    return options


def _online() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--url", help="the hub's discovery URL, or an API root's")
    options.add_argument(
        "--key", help="account:secret; TOCSIN_KEY keeps it out of the list of processes"
    )
    options.add_argument(
        "--cert", metavar="FILE", help="a client certificate with its private key, in PEM"
    )
    options.add_argument(
        "--ca", metavar="FILE", help="the authority of the hub's certificate, in PEM"
    )
    return options


def _offering() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("files", nargs="+", metavar="FILE", help="- is standard input")
    options.add_argument(
        "--as", dest="form", metavar="NAME", help="read the files as if so named: report.txt"
    )
    options.add_argument("--tlp", choices=TLP_WORDS, help="marks what carries no mark")
    options.add_argument(
        "--term",
        action="append",
        dest="terms",
        metavar="TERM",
        help="a name, domain or network of yours to keep out of what is shared; several by comma",
    )
    return options


def _check_options(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--explain", action="store_true", help="what each stage did, where, why, and what to do"
    )
    options.add_argument("--diff", action="store_true", help="each object before and after")
    options.set_defaults(run=commands.check)


def _push_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("--to", required=True, metavar="COLLECTION", help="id, alias or title")
    options.add_argument("--yes", action="store_true", help="do not ask")
    options.add_argument("--no-wait", action="store_true", help="do not wait for the decision")
    options.add_argument(
        "--timeout",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="wait so long for the decision (300)",
    )
    options.add_argument(
        "--raw",
        action="store_true",
        help="send objects unexamined, for collections that keep what is sent as it is",
    )
    options.set_defaults(run=commands.push_files)


def _poll_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("collection", metavar="COLLECTION", help="id, alias or title")
    options.add_argument("--format", choices=FORMATS, default="jsonl", help="(jsonl)")
    options.add_argument("--output", metavar="FILE", help="- is standard output, as is none")
    options.add_argument("--state", metavar="FILE", help="remembers how far was read")
    options.add_argument("--added-after", metavar="TIME", help="begin after this RFC 3339 time")
    options.add_argument(
        "--type", action="append", metavar="TYPE", help="only these STIX types; repeatable"
    )
    options.add_argument(
        "--limit", type=_count, default=1000, metavar="N", help="objects a page (1000)"
    )
    options.add_argument(
        "--follow", type=_seconds, metavar="SECONDS", help="ask again and again, at this interval"
    )
    options.set_defaults(run=commands.poll_collection)


def _settings(arguments: argparse.Namespace) -> ClientSettings:
    here = Path("client.toml")
    path = Path(arguments.config) if arguments.config else None
    if not path and not os.environ.get(CLIENT_FILE) and here.is_file():
        path = here
    given = {name: getattr(arguments, name, None) for name in ("url", "key", "cert", "ca")}
    terms = getattr(arguments, "terms", None)
    return load_client(path, os.environ, given | {"terms": terms and ",".join(terms)})


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 10**7:
        raise argparse.ArgumentTypeError("must be a number of seconds greater than 0")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError("must be a whole number greater than 0")
    return int(text)
