"""`tocsin-hub migrate` and `compact`: a newer schema, or fresh files, for the database."""

from __future__ import annotations

from contextlib import closing, nullcontext

import click

from tocsin.admission.errors import NotFound, Unprocessable
from tocsin.config.command_line import format_examples
from tocsin.config.settings import HubSettings
from tocsin.server.cli.command import AS_JSON, AS_PERSON, Answer, print_result
from tocsin.server.cli.settings import print_notice, with_settings
from tocsin.server.store import Store
from tocsin.server.store.embedded import database, has_database, require_no_hub, rewrite
from tocsin.server.store.journal import OPERATOR, operator_name


@click.command(
    "migrate",
    epilog=format_examples("tocsin-hub migrate", "tocsin-hub migrate --data /srv/tocsin --json"),
)
@with_settings
@AS_PERSON
@AS_JSON
def migrate_command(settings: HubSettings, as_json: bool, person: str) -> None:
    """Bring the database to the schema of this version.

    Stop every hub and worker first, and make a backup. An interrupted migration is continued by
    running it again; on a current database it changes nothing.
    """
    versions = migrate_database(settings, operator_name(person))
    print_result(versions, as_json=as_json)
    if versions["from_version"] == versions["to_version"]:
        print_notice("tocsin-hub: the schema is current; nothing was changed")


def migrate_database(settings: HubSettings, actor: str = OPERATOR) -> Answer:
    """Migrate the database of these settings; its schema versions before and after.

    The journal records the changes with `actor`.

    Raises NotFound if the data directory has no hub, Unavailable if the database is newer than
    this program, or older and the hub of an embedded engine is running: it would write what no
    later migration can bring together with what was moved.
    """
    if not settings.mongo_uri and not has_database(settings.data):
        raise NotFound(f"{settings.data} has no hub; name its data directory with --data")
    own = settings.mongo_uri
    place = nullcontext(own) if own else database(settings.data, print_notice)
    with place as uri, closing(Store.connect(uri, name=settings.database)) as store:
        if not own and store.is_outdated:
            require_no_hub(settings.data)
        before, after = store.migrate()
        versions = {"from_version": before, "to_version": after}
        if before < after:
            store.prepare()  # what is new may be part of a transaction only once it exists
            store.commit(lambda txn: txn.add_journal_entry("migrate", actor, versions))
    return {**versions}


@click.command(
    "compact",
    short_help="Rewrite the embedded database without what was deleted.",
    epilog=format_examples("tocsin-hub compact --data /srv/tocsin --json"),
)
@with_settings
@AS_JSON
def compact_command(settings: HubSettings, as_json: bool) -> None:
    """Rewrite the embedded database, so that its files hold nothing that was deleted.

    Stop the hub first. It needs free space for a copy of the database, and says how much if there
    is less. If it is interrupted, the database is as it was, or rewritten as a whole.
    """
    print_result(compact_database(settings), as_json=as_json)


def compact_database(settings: HubSettings) -> Answer:
    """Rewrite the embedded database of these settings; its octets before and after.

    Raises NotFound if the data directory has no hub, Unprocessable with a MongoDB, Unavailable if
    a hub is running or there is no room.
    """
    if settings.mongo_uri:
        raise Unprocessable(
            "compact is for the embedded engine; docs/retention.md says what to do with MongoDB"
        )
    if not has_database(settings.data):
        raise NotFound(f"{settings.data} has no hub; name its data directory with --data")
    before, after = rewrite(settings.data, print_notice)
    return {"octets_before": before, "octets_after": after}
