"""tocsin-hub: the hub's command.  Words in, words out; what they do is elsewhere."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence

from tocsin.admission.errors import ShareError, Unavailable
from tocsin.admission.policy import PolicyError
from tocsin.config import (
    ConfigError,
    HubSettings,
    load_hub,
    stdio,
)
from tocsin.conformance import cli as conformance
from tocsin.server.cli.commands import (
    Told,
    parser,
    say,
    serving,
    working,
)
from tocsin.server.runtime import open_runtime, run_worker, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    stdio.opened()
    options = parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        stdio.dropped()
        return stdio.PIPE_CLOSED
    except OSError as error:
        say(f"tocsin-hub: {error.strerror or error}: {error.filename or 'address, file or output'}")
        stdio.dropped()
        return 1
    except KeyboardInterrupt:
        say("tocsin-hub: interrupted")
        return stdio.INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    if options.run is conformance.main:
        return int(conformance.main(options))  # looks at any server: needs no hub here
    try:
        settings = load_hub(options.config, os.environ, _overrides(options))
        logging.basicConfig(
            level=settings.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
        if options.run is serving:
            serve(settings, options.ready_file, say)
            return 0
        if options.run is working:
            run_worker(settings, say)
            return 0
        logging.getLogger().setLevel(logging.WARNING)
        return _at_the_desk(settings, options)
    except (ConfigError, PolicyError) as error:
        say(f"tocsin-hub: {error}")
        return 2
    except ShareError as error:
        say(f"tocsin-hub: {error}")
        return 3 if isinstance(error, Unavailable) else 1


def _at_the_desk(settings: HubSettings, options: argparse.Namespace) -> int:
    new = not settings.mongo_uri and not settings.data.exists()
    with open_runtime(settings, lambda text: None) as hub:
        if new:
            say(f"tocsin-hub: there was no hub in {settings.data}, a new one was begun there;")
            say("  if that is not what you meant, name the data directory of yours with --data")
        answer = options.run(hub, options)
    if options.json:
        print(json.dumps(answer))
    else:
        _print(answer)
    return 0


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    names = ("data", "mongo_uri", "host", "port", "tls_certificate", "tls_key", "tls_client_ca")
    return {name: getattr(options, name, None) for name in names}


def _print(answer: Told) -> None:
    if answer == []:
        say("tocsin-hub: there are none")
    for row in answer if isinstance(answer, list) else [answer]:
        for name, value in row.items():
            shown = json.dumps(value) if isinstance(value, list | dict) else value
            print(f"{name}: {shown}")
        if isinstance(answer, list):
            print()
