"""The words of `tocsin-hub conformance`: options in, a report and an exit code out."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tocsin.conformance import report
from tocsin.conformance.client import Options, SkipCheck, basic_auth_header
from tocsin.conformance.http import Response, Target, Unreachable
from tocsin.conformance.model import Check, Outcome, Result
from tocsin.conformance.registry import select_checks
from tocsin.conformance.runner import run_checks
from tocsin.conformance.server import Server

SUMMARY = "Check any TAXII 2.1 server against the standard, from outside."
EPILOG = """\
examples:
  tocsin-hub conformance https://taxii.example/taxii2/ --key me:secret
      reads, and tries what has to be refused
  tocsin-hub conformance … --collection scratch
      also adds objects to a collection that may be read and written, and
      deletes them again
  tocsin-hub conformance … --collection scratch --other-key you:secret
      a second account, to see what accounts may learn of each other
  tocsin-hub conformance … --only 16 --only 17.10
  tocsin-hub conformance … --json > report.json
  tocsin-hub conformance … --junit report.xml
  tocsin-hub conformance --list

Give the checks a collection of their own: while they run, others would see
their objects there, and a weak server may not get over the last ones (12.12,
12.14; --skip 12.14 leaves one out).
Some bodies are as long as the server's max_content_length (up to 16 MiB).

levels:
  MUST      the standard demands it; where it is not kept, the check fails
  SHOULD    the standard recommends it; a warning
  decision  the standard leaves it open, and this is how we read it; a warning

exit codes: 0 no failure, 1 a failure (with --strict a warning too),
2 wrong usage, 3 the server cannot be reached or rejects the credential
"""


class WrongUsage(Exception):
    """An option that cannot be used; the text says why."""


class CannotConnect(Exception):
    """The server cannot be reached, or lets the account not in."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tocsin-hub conformance",
        description=SUMMARY,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "url", nargs="?", metavar="URL", help="the discovery URL, for instance https://host/taxii2/"
    )
    add("--key", metavar="A:S", help="account:secret (HTTP Basic); otherwise $TOCSIN_KEY")
    add("--token", metavar="T", help="a bearer token instead of a key")
    add("--other-key", metavar="A:S", help="account:secret of a second account")
    add("--cert", metavar="FILE", help="a client certificate with its key, PEM")
    add("--ca", metavar="FILE", help="the authority that signed the server's certificate, PEM")
    add("--collection", default="", metavar="C", help="id or alias; the checks may write there")
    add(
        "--root", default="", metavar="ROOT", help="path or URL of the API root, if not the default"
    )
    add("--only", action="append", default=[], metavar="N", help="a section (16) or check (16.3)")
    add("--skip", action="append", default=[], metavar="N", help="leave a section or check out")
    add("--timeout", type=float, default=15.0, metavar="S", help="seconds for each answer (15)")
    add("--strict", action="store_true", help="warnings count as failures")
    add("--json", action="store_true", help="the report as JSON")
    add("--junit", type=Path, metavar="FILE", help="the report as JUnit XML as well")
    add("--list", action="store_true", help="list the checks and ask nothing")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Look at a server and return the exit code.

    Raises SystemExit for wrong options and for --help, as argparse does.
    """
    options = _parser().parse_args(arguments)
    try:
        checks = _wanted(options)
        if options.list:
            return _list(options, checks)
        subject = Server(_options(options))
        _enter(subject)
        return _run(options, checks, subject)
    except WrongUsage as error:
        _say(f"tocsin-hub conformance: {error}")
        return 2
    except CannotConnect as error:
        _say(f"tocsin-hub conformance: {error}")
        return 3


def _wanted(options: argparse.Namespace) -> list[Check]:
    for each in (*options.only, *options.skip):
        if not select_checks([each]):
            raise WrongUsage(f"no check has the number {each}; see --list")
    left_out = select_checks(options.skip) if options.skip else []
    return [each for each in select_checks(options.only) if each not in left_out]


def _list(options: argparse.Namespace, checks: list[Check]) -> int:
    if options.json:
        print(json.dumps([report.check_as_json(each) for each in checks]))
    else:
        print("\n".join(report.list_checks(checks)))
    return 0


def _run(options: argparse.Namespace, checks: list[Check], subject: Server) -> int:
    progress = _Progress(len(checks))
    try:
        results = run_checks(subject, checks, progress)
    finally:
        progress.clear()
        left = subject.delete_posted()
    if options.junit:
        _write(options.junit, report.format_junit(results))
    if options.json:
        print(json.dumps(report.format_json(results, options.url, left)))
    else:
        print("\n".join(report.format_text(results, colour=_colour(sys.stdout))))
        if left:
            of = "object" if len(left) == 1 else "objects"
            print(f"  {len(left)} {of} of the checks could not be deleted, the first: {left[0]}")
    return 0 if report.is_conformant(results, strict=options.strict) else 1


def _options(options: argparse.Namespace) -> Options:
    key = options.key or ("" if options.token else os.environ.get("TOCSIN_KEY", ""))
    for name, given in (("--key", key), ("--other-key", options.other_key or "")):
        if given and ":" not in given:
            raise WrongUsage(f"{name}: account:secret is expected")
    if options.key and options.token:
        raise WrongUsage("either --key or --token")
    target, discovery = _target(options)
    return Options(
        target,
        discovery,
        credential=basic_auth_header(key)
        if key
        else f"Bearer {options.token}"
        if options.token
        else "",
        other=basic_auth_header(options.other_key) if options.other_key else "",
        root=_root_path(options.root, target),
        collection=options.collection,
        certificate=bool(options.cert),
    )


def _target(options: argparse.Namespace) -> tuple[Target, str]:
    try:
        parts = urlsplit(options.url or "")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise WrongUsage(f"the URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongUsage("a URL is expected, for instance https://host/taxii2/")
    if parts.username is not None:
        raise WrongUsage("give the credential with --key, not in the URL")
    if not options.timeout > 0:
        raise WrongUsage("--timeout: a number of seconds above 0 is expected")
    if parts.scheme == "http" and (options.cert or options.ca):
        raise WrongUsage("--cert and --ca need a URL that begins with https://")
    tls = _tls(options) if parts.scheme == "https" else None
    path = parts.path if parts.path not in ("", "/") else "/taxii2/"
    return Target(parts.scheme, parts.hostname, port, options.timeout, tls), path


def _root_path(given: str, target: Target) -> str:
    """The path of the API root that is given as a path or as a URL on the server that is asked."""
    if not given:
        return ""
    path = given
    if "://" in given:
        origin = f"{target.scheme}://{target.host}:{target.port}"
        try:
            parts = urlsplit(given)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise WrongUsage(f"--root: {error}") from error
        if f"{parts.scheme}://{parts.hostname}:{port}" != origin:
            raise WrongUsage(f"--root: must be a path, or a URL at {origin}")
        path = parts.path
    return f"/{path.strip('/')}/".replace("//", "/")


def _tls(options: argparse.Namespace) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if options.cert:
            context.load_cert_chain(options.cert)
    except (OSError, ssl.SSLError) as error:
        raise WrongUsage(f"--ca or --cert cannot be used: {error}") from error
    return context


def _enter(subject: Server) -> None:
    """Check that the server lets the account in; CannotConnect says why not."""
    try:
        _let_in(subject.discovery)
        listed = subject.get(f"{subject.root}collections/")
        _let_in(listed)
    except Unreachable as error:
        target = subject.options.target
        where = f"{target.scheme}://{target.host}:{target.port}"
        raise CannotConnect(f"{where} cannot be reached: {error}") from error
    except SkipCheck as reason:
        raise CannotConnect(str(reason)) from reason
    if subject.options.collection:
        if listed.status != 200:
            raise CannotConnect(
                f"there are no collections: {listed.request.path} answers {listed.status}"
            )
        _find(subject)


def _let_in(answer: Response) -> None:
    if answer.status in (401, 403):
        path = answer.request.path
        raise CannotConnect(f"access denied: {path} answers {answer.status}; see --key and --cert")


def _find(subject: Server) -> None:
    try:
        subject.writable_path  # noqa: B018  (whether it is there)
    except SkipCheck as reason:
        seen = [str(each.get("alias") or each.get("id")) for each in subject.collections]
        raise WrongUsage(f"--collection: {reason}; it sees {', '.join(seen) or 'none'}") from reason


class _Progress:
    """Progress of the run, on a terminal only."""

    def __init__(self, total: int) -> None:
        self._total, self._made = total, 0
        self._wrong = 0
        self._shown = sys.stderr.isatty()

    def __call__(self, result: Result) -> None:
        self._made += 1
        self._wrong += result.outcome is Outcome.FAILED
        if self._shown:
            name = result.check.name[:60]
            line = f"\r\x1b[K{self._made}/{self._total}, {self._wrong} failed: {name}"
            print(line, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Wipe the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _colour(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and "NO_COLOR" not in os.environ


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise WrongUsage(f"--junit: {error.strerror}: {path}") from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
