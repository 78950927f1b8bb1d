"""The endpoints of TAXII 2.1 (sections 4 and 5), thin.

Each asks, in this order: who, whether the collection is there, whether it is
allowed, which media types, how long, and only then what was sent or asked.
The answers are spelt in `wire.py`, rights decided in `access.py`.
"""

import re
import time
from dataclasses import dataclass, replace

import flask
from flask import request

from tocsin.admission.errors import NotAuthenticated, NotFound
from tocsin.server import auth
from tocsin.server.model import Account, Collection
from tocsin.server.taxii import content, resources
from tocsin.server.taxii import query as filters
from tocsin.server.taxii.paging import Reading
from tocsin.server.taxii.protocols import CLIENT_CERTIFICATE, ClientCertificate, TaxiiServices
from tocsin.server.taxii.query import Asked, Endpoint
from tocsin.server.taxii.request_context import visit

DISCOVERY = "/taxii2/"

_STATUS_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII
)


def blueprint(hub: TaxiiServices) -> flask.Blueprint:
    """The TAXII endpoints of a hub.  `register` adds errors, headers and log."""
    door = Door(hub)
    paths = flask.Blueprint("taxii", __name__)
    collection = f"{resources.ROOT}collections/<name>/"
    one = f"{collection}objects/<object_id>/"
    for path, method, view in (
        (DISCOVERY, "GET", door.discovery),
        (resources.ROOT, "GET", door.api_root),
        (f"{resources.ROOT}status/<id>/", "GET", door.status),
        (f"{resources.ROOT}collections/", "GET", door.collections),
        (collection, "GET", door.collection),
        (f"{collection}manifest/", "GET", door.manifest),
        (f"{collection}objects/", "GET", door.objects),
        (f"{collection}objects/", "POST", door.add_objects),
        (one, "GET", door.object),
        (one, "DELETE", door.delete_object),
        (f"{one}versions/", "GET", door.versions),
    ):
        for rule in (path, path.rstrip("/")):  # many clients leave the last slash out
            paths.add_url_rule(rule, view.__name__, view, methods=[method], strict_slashes=True)
    paths.before_request(door.admit)
    return paths


@dataclass(frozen=True, slots=True)
class Door:
    """The endpoints, each a method."""

    hub: TaxiiServices

    def admit(self) -> None:
        """Authenticates the request and counts it; raises NotAuthenticated, TooOften.

        Only discovery may be public, and then not with a wrong credential.
        """
        try:
            account = self._guest()
        except NotAuthenticated:
            public = self.hub.settings.public_discovery and request.endpoint == "taxii.discovery"
            if "Authorization" in request.headers or not public:
                raise
            return
        visit().account = account
        try:
            self.hub.rates.take(account.name)
        finally:
            visit().allowance = self.hub.rates.allowance(account.name)

    def discovery(self) -> flask.Response:
        """GET /taxii2/ (section 4.1)."""
        content.accept(request.headers.get("Accept"))
        return _answer(resources.encoded(resources.discovery(self.hub.settings)))

    def api_root(self) -> flask.Response:
        """GET /hub/ (section 4.2)."""
        content.accept(request.headers.get("Accept"))
        return _answer(resources.encoded(resources.api_root(self.hub.settings)))

    def status(self, id: str) -> flask.Response:
        """GET /hub/status/<id>/ (section 4.3); to the submitter's partner and the operator."""
        found = self.hub.statuses.find(id, raw=False) if _STATUS_ID.fullmatch(id) else None
        if found is None or not auth.may_read_status(visit().guest, found):
            raise NotFound("there is no such status, or it is not this account's")
        content.accept(request.headers.get("Accept"))
        return _answer(resources.encoded(resources.status(found, self.hub.statuses.records(id))))

    def collections(self) -> flask.Response:
        """GET /hub/collections/ (section 5.1)."""
        content.accept(request.headers.get("Accept"))
        known = auth.visible_collections(visit().guest, self.hub.feeds.collections())
        return _answer(resources.encoded(resources.collections([_as_seen(one) for one in known])))

    def collection(self, name: str) -> flask.Response:
        """GET /hub/collections/<id or alias>/ (section 5.2)."""
        found = _found(auth.find_collection(visit().guest, self.hub.feeds.collections(), name))
        content.accept(request.headers.get("Accept"))
        return _answer(resources.encoded(_as_seen(found)))

    def manifest(self, name: str) -> flask.Response:
        """GET …/manifest/ (section 5.3)."""
        feed = self._readable(name, content.STIX)
        return self._read(feed, self._asked(Endpoint.MANIFEST), Endpoint.MANIFEST)

    def objects(self, name: str) -> flask.Response:
        """GET …/objects/ (section 5.4)."""
        feed = self._readable(name)
        return self._read(feed, self._asked(Endpoint.OBJECTS), Endpoint.OBJECTS)

    def object(self, name: str, object_id: str) -> flask.Response:
        """GET …/objects/<id>/ (section 5.6)."""
        return self._of_one(name, object_id, Endpoint.OBJECT)

    def versions(self, name: str, object_id: str) -> flask.Response:
        """GET …/objects/<id>/versions/ (section 5.8)."""
        return self._of_one(name, object_id, Endpoint.VERSIONS)

    def add_objects(self, name: str) -> flask.Response:
        """POST …/objects/ (section 5.5)."""
        account = visit().guest
        inbox = _found(auth.find_writable(account, self.hub.feeds.collections(), name))
        content.accept(request.headers.get("Accept"))
        content.content_type(request.headers.get("Content-Type"))
        packed = content.of_body(request.headers.get("Content-Encoding"))
        octets = content.read(self.hub.settings.max_content_length, packed)
        objects = resources.envelope(octets, self.hub.settings.max_objects)
        visit().objects = len(objects)
        taken = self.hub.intake.receive(account, inbox, objects, octets)
        records = self.hub.statuses.records(taken.id)
        return _answer(resources.encoded(resources.status(taken, records)), 202)

    def delete_object(self, name: str, object_id: str) -> flask.Response:
        """DELETE …/objects/<id>/ (section 5.7): all versions, unless told which."""
        account = visit().guest
        feed = _found(auth.find_deletable(account, self.hub.feeds.collections(), name))
        content.accept(request.headers.get("Accept"))
        meant = filters.doomed(request.args.items(multi=True))
        gone = self.hub.intake.remove(
            account, feed, object_id, meant.keywords, meant.versions, meant.specs
        )
        visit().objects = gone
        if not gone:
            raise NotFound("this collection has no such object, or no such version of it")
        return _answer(b"")

    def _readable(self, name: str, *also: str) -> Collection:
        feed = auth.find_readable(visit().guest, self.hub.feeds.collections(), name)
        content.accept(request.headers.get("Accept"), *also)
        return _found(feed)

    def _asked(self, endpoint: Endpoint) -> Asked:
        settings = self.hub.settings
        pairs = request.args.items(multi=True)
        sizes = settings.page_size, settings.page_cap
        return filters.asked(pairs, endpoint, *sizes, settings.interop_filters)

    def _of_one(self, name: str, object_id: str, endpoint: Endpoint) -> flask.Response:
        """A page about one object; NotFound if it, or each version asked for, is not here."""
        feed = self._readable(name)
        asked = self._asked(endpoint)
        query = replace(asked.query, ids=frozenset({object_id}))
        if not self.hub.feeds.knows(feed.id, object_id):
            raise NotFound("this collection has no such object")
        if query.versions and not query.keywords:
            anywhere = replace(query, limit=1, added_after=None, filters=())
            if not self.hub.feeds.page(feed.id, anywhere, bodies=False).entries:
                raise NotFound("this collection has no such version of the object")
        return self._read(feed, replace(asked, query=query), endpoint)

    def _read(self, feed: Collection, asked: Asked, endpoint: Endpoint) -> flask.Response:
        return Reading(self.hub, feed, asked, endpoint, lambda: self._recheck(feed)).answer()

    def _recheck(self, feed: Collection) -> None:
        """Raises unless the reader's credential and right still hold."""
        visit().account = self._guest()
        auth.find_readable(visit().guest, self.hub.feeds.collections(), feed.id)

    def _guest(self) -> Account:
        return auth.authenticate(
            request.headers.get("Authorization"),
            self.hub.people,
            _shown_certificate(),
            self.hub.settings.schemes,
        )


def _shown_certificate() -> str:
    """The fingerprint of the connection's certificate, unless it has expired meanwhile."""
    shown: ClientCertificate | None = request.environ.get(CLIENT_CERTIFICATE)
    return shown.fingerprint if shown and shown.expires > time.time() else ""


def _answer(body: bytes, status: int = 200) -> flask.Response:
    return flask.Response(body, status, content_type=content.MEDIA_TYPE)


def _found(collection: Collection) -> Collection:
    """Notes the collection for the log."""
    visit().collection = collection.alias or collection.id
    return collection


def _as_seen(collection: Collection) -> resources.Resource:
    account = visit().guest
    return resources.collection(
        collection,
        can_read=auth.may_read(account, collection),
        can_write=auth.may_write(account, collection),
    )
