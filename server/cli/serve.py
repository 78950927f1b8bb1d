"""`tocsin-hub serve` and `tocsin-hub work`: the two commands that run until SIGTERM."""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path

import click

from tocsin.config.command_line import format_examples
from tocsin.config.conversion import ConfigError
from tocsin.config.settings import HubSettings
from tocsin.server.cli.settings import print_notice, with_settings
from tocsin.server.processes.memory import limit_arenas
from tocsin.server.processes.signals import stop_on_signal
from tocsin.server.secrets import has_secrets, read_secrets
from tocsin.server.store.embedded import Engine, has_database

_FILE = click.Path(path_type=Path)
_SERVING = "tocsin.server.serving"
"""The hub's program."""
_ANSWERING = "tocsin.server.answering.program"
"""That of the processes that answer requests."""


@click.command(
    "serve",
    epilog=format_examples(
        "tocsin-hub serve",
        "tocsin-hub serve --data /srv/tocsin --host 127.0.0.1 --port 8420",
        "tocsin-hub serve --workers 4",
        "tocsin-hub serve --config hub.toml --ready-file ready.json",
        "tocsin-hub serve --host 0.0.0.0 --port 443 \\",
        "  --tls-cert hub.pem --tls-key hub.key",
    ),
)
@click.option("--host", help="The address to listen on.")
@click.option(
    "--workers",
    "answering_processes",
    type=int,
    metavar="N",
    help="Number of processes that answer requests; 0: the first one answers them itself; "
    "-1: as many as suit the processors.",
)
@click.option("--port", type=int, help="The port to listen on; 0 takes any free one.")
@click.option(
    "--tls-cert",
    "tls_certificate",
    type=_FILE,
    metavar="FILE",
    help="The hub's certificate and chain, in PEM.",
)
@click.option(
    "--tls-key", type=_FILE, metavar="FILE", help="Its key, unless it is in the same file."
)
@click.option(
    "--tls-client-ca",
    type=_FILE,
    metavar="FILE",
    help="The authorities of client certificates, in PEM.",
)
@click.option(
    "--ready-file",
    type=_FILE,
    metavar="FILE",
    help="Write the URL and the process id there once the hub answers.",
)
@with_settings
def serve_command(settings: HubSettings, ready_file: Path | None) -> None:
    """Answer TAXII 2.1 requests until SIGTERM."""
    if ready_file is not None and not ready_file.absolute().parent.is_dir():
        raise ConfigError(f"--ready-file: cannot write {ready_file}: its folder does not exist")
    if has_secrets(settings.data):
        read_secrets(settings.data)  # before the engine closes the directory to other users
    limit_arenas()
    stop = threading.Event()
    stop_on_signal(stop)
    if settings.policy is not None and not has_database(settings.data):
        import_module("tocsin.server.runtime").check_policy(settings)
    # The hub's program is imported while the engine starts, which takes at least as long.
    engine = None if settings.mongo_uri else Engine.begin(settings.data, print_notice)
    try:
        answer = import_module(_ANSWERING).main
        import_module(_SERVING).serve(
            settings, ready_file, print_notice, answer=answer, engine=engine, stop=stop
        )
    finally:
        if engine is not None:
            engine.stop()


@click.command(
    "work",
    epilog=format_examples(
        "tocsin-hub work --mongo-uri 'mongodb://db.example/?replicaSet=rs0'",
    ),
)
@with_settings
def work_command(settings: HubSettings) -> None:
    """Process submissions beside the hubs of a MongoDB."""
    limit_arenas()
    import_module(_SERVING).run_worker(settings, print_notice)
