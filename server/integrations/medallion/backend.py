"""A backend for medallion 3.0.0 over the hub's store: medallion's views, our feeds.

    "backend": {"module": "tocsin.server.integrations.medallion.backend",
                "module_class": "TocsinBackend", "account": "acme", "data": "/srv/tocsin"}

medallion has one set of rights for all its users, so it sees what one account
of the hub sees, and may do what that account may.  Order, dates and `next` are
the hub's own: a walk begun here can be finished at the hub's door.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from tocsin.admission.errors import NotFound, ShareError
from tocsin.config import load_hub
from tocsin.server import auth
from tocsin.server.model import Account, Collection
from tocsin.server.runtime import open_runtime
from tocsin.server.store import OUTAGES
from tocsin.server.taxii import query as filters
from tocsin.server.taxii import resources
from tocsin.server.taxii.page_token import Walk
from tocsin.server.taxii.protocols import TaxiiSettings
from tocsin.server.taxii.query import Endpoint

try:
    from medallion.backends.base import Backend
    from medallion.exceptions import BackendError, ProcessingError
except ImportError as error:
    raise ImportError(
        "medallion is not installed: run pip install 'tocsin[server,medallion]'"
    ) from error

Resource = dict[str, object]
Filters = Mapping[str, str]
Paged = tuple[Resource, dict[str, str]]
"""A resource, and the headers that tell its first and last date_added."""

_ROOT = resources.ROOT.strip("/")
_MEDALLIONS = ("module", "module_class")
"""What medallion's configuration says for itself."""


class TocsinBackend(Backend):  # type: ignore[misc]
    """The hub's collections, as one of its accounts sees them."""

    def __init__(self, *, account: str, config: str | None = None, **chosen: object) -> None:
        """`config` is a `hub.toml`; `chosen` are settings as they would stand in it.

        Raises ConfigError, NotFound if the hub has no such account, Unavailable if its
        database cannot be reached.
        """
        chosen = {name: value for name, value in chosen.items() if name not in _MEDALLIONS}
        settings = load_hub(Path(config) if config else None, os.environ, chosen)
        self._name = account
        with ExitStack() as stack:
            hub = stack.enter_context(open_runtime(settings, lambda text: None))
            self._store, self._intake = hub.services.store, hub.services.intake
            self._settings = TaxiiSettings(
                title=settings.title,
                contact=settings.contact,
                cursor_key=hub.seal.page_token_key,
                max_content_length=settings.max_content_length,
            )
            self._account()
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Let the database go."""
        self._stack.close()

    def server_discovery(self) -> Resource:
        """See Backend.server_discovery."""
        return resources.discovery(self._settings)

    def get_api_root_information(self, api_root: str) -> Resource | None:
        """See Backend.get_api_root_information; None if it is not the hub's one root."""
        return resources.api_root(self._settings) if api_root == _ROOT else None

    def get_collections(self, api_root: str) -> Resource:
        """See Backend.get_collections."""
        with _told():
            known = auth.visible_collections(self._account(), self._store.feeds.collections())
            return resources.collections([self._seen(each) for each in known])

    def get_collection(self, api_root: str, collection_id: str) -> Resource | None:
        """See Backend.get_collection; None if the account may not know of it."""
        with _told():
            try:
                return self._seen(self._found(collection_id))
            except NotFound:
                return None

    def get_object_manifest(  # noqa: PLR0913, D102
        self, api_root: str, collection_id: str, filter_args: Filters, allowed: object, limit: int
    ) -> Paged:
        return self._page(Endpoint.MANIFEST, collection_id, filter_args, limit)

    def get_objects(  # noqa: PLR0913, D102
        self, api_root: str, collection_id: str, filter_args: Filters, allowed: object, limit: int
    ) -> Paged:
        return self._page(Endpoint.OBJECTS, collection_id, filter_args, limit)

    def get_object(  # noqa: PLR0913, D102
        self,
        api_root: str,
        collection_id: str,
        object_id: str,
        filter_args: Filters,
        allowed: object,
        limit: int,
    ) -> Paged:
        return self._page(Endpoint.OBJECT, collection_id, filter_args, limit, object_id)

    def get_object_versions(  # noqa: PLR0913, D102
        self,
        api_root: str,
        collection_id: str,
        object_id: str,
        filter_args: Filters,
        allowed: object,
        limit: int,
    ) -> Paged:
        return self._page(Endpoint.VERSIONS, collection_id, filter_args, limit, object_id)

    def add_objects(
        self, api_root: str, collection_id: str, objs: object, request_time: object
    ) -> Resource:
        """Through admission, like everything; a large envelope waits for a hub that runs."""
        with _told():
            account = self._account()
            inbox = auth.find_writable(account, self._store.feeds.collections(), collection_id)
            raw = json.dumps(objs).encode()
            taken = self._intake.receive(account, inbox, resources.envelope(raw), raw)
            return resources.status(taken, self._store.submissions.records(taken.id))

    def get_status(self, api_root: str, status_id: str) -> Resource | None:
        """See Backend.get_status; None if it is not the account's."""
        with _told():
            found = self._store.submissions.find(status_id, raw=False)
            if found is None or not auth.may_read_status(self._account(), found):
                return None
            return resources.status(found, self._store.submissions.records(found.id))

    def delete_object(  # noqa: PLR0913
        self,
        api_root: str,
        collection_id: str,
        object_id: str,
        filter_args: Filters,
        allowed: object,
    ) -> None:
        """All versions, unless told which: the hub's meaning, not medallion's."""
        with _told():
            account = self._account()
            feed = auth.find_deletable(account, self._store.feeds.collections(), collection_id)
            meant = filters.doomed(filter_args.items())
            which = (meant.keywords, meant.versions, meant.specs)
            if not self._intake.remove(account, feed, object_id, *which):
                raise NotFound("this collection has no such object, or no such version of it")

    def _page(
        self, endpoint: Endpoint, name: str, given: Filters, limit: int, object_id: str = ""
    ) -> Paged:
        """A page as the hub's own door would have it; `limit` is medallion's."""
        with _told():
            feed = auth.find_readable(self._account(), self._store.feeds.collections(), name)
            pairs = {**given, "limit": str(limit)}.items()
            asked = filters.asked(pairs, endpoint, limit, limit)
            query = asked.query
            if object_id:
                query = replace(query, ids=frozenset({object_id}))
                if not self._store.feeds.knows(feed.id, object_id):
                    raise NotFound("this collection has no such object")
            walk = Walk(self._settings.cursor_key, feed.id, endpoint)
            here = query if asked.next is None else walk.resume(query, asked.next)
            bodies = endpoint in (Endpoint.OBJECTS, Endpoint.OBJECT)
            page = self._store.feeds.page(feed.id, here, bodies=bodies)
            next = walk.issue(here, page.entries[-1].position) if page.more else None
            since = query.added_after if asked.next is None else None
            return json.loads(_SPELT[endpoint](page, next)), resources.date_added(page, since)

    def _account(self) -> Account:
        """As it is now: rights may change while medallion runs."""
        found = self._store.accounts.find_account(self._name)
        if found is None or found.disabled:
            raise NotFound(f"the hub has no account {self._name!r} that may be used")
        return found

    def _found(self, name: str) -> Collection:
        return auth.find_collection(self._account(), self._store.feeds.collections(), name)

    def _seen(self, known: Collection) -> Resource:
        account = self._account()
        readable, writable = auth.may_read(account, known), auth.may_write(account, known)
        return resources.collection(known, can_read=readable, can_write=writable)


_SPELT = {
    Endpoint.MANIFEST: resources.manifest,
    Endpoint.OBJECTS: resources.objects,
    Endpoint.OBJECT: resources.objects,
    Endpoint.VERSIONS: resources.versions,
}


@contextmanager
def _told() -> Iterator[None]:
    """The hub's ways of saying no, as medallion's."""
    try:
        yield
    except ShareError as error:
        raise ProcessingError(str(error), int(resources.http_status(error))) from error
    except OUTAGES as error:
        text = "the database cannot be reached; try again in a moment"
        raise BackendError(text, int(HTTPStatus.SERVICE_UNAVAILABLE)) from error
