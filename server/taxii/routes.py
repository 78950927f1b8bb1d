"""The TAXII 2.1 endpoints (sections 4 and 5).

Each checks, in this order: credential, collection, right, media types, length, and only then the
query or the body.  `resources.py` formats the answers; `server/auth.py` and
`server/agreements.py` decide rights.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import flask
from flask import request

from tocsin.admission.errors import NotAuthenticated, NotFound
from tocsin.server import auth
from tocsin.server.agreements import narrow_account
from tocsin.server.model import Account, Agreement, Collection, Partner, Query, Submission
from tocsin.server.taxii import content, resources, tlp1
from tocsin.server.taxii.paging import PageRequest
from tocsin.server.taxii.protocols import CLIENT_CERTIFICATE, ClientCertificate, TaxiiServices
from tocsin.server.taxii.query import (
    Endpoint,
    ParsedQuery,
    parse_delete_query,
    parse_query,
    parse_submission_query,
)
from tocsin.server.taxii.request_context import request_context

DISCOVERY = "/taxii2/"

_POLL = re.compile(rf"{resources.ROOT}collections/[^/]{{1,100}}/(?:objects|manifest)/?")
_QUICK_HEAD = 4_096
"""Characters of a head that is parsed in much less than a millisecond."""
_NOT_MODIFIED = 304
_STATUS_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII
)


def is_quick_poll(environ: Mapping[str, Any]) -> bool:
    """True for a request for a page or a manifest that can often be answered from memory.

    Not with a filter, which asks the database, with a wait, or with a head that is long to parse.
    `environ` is its WSGI environment.
    """
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or "HTTP_PREFER" in environ:
        return False
    if "match" in environ["QUERY_STRING"] or not _POLL.fullmatch(environ["PATH_INFO"]):
        return False
    texts = (value for value in environ.values() if isinstance(value, str))
    return sum(map(len, texts)) <= _QUICK_HEAD


def blueprint(services: TaxiiServices) -> flask.Blueprint:
    """The TAXII endpoints of a hub.  `middleware.register` adds errors, headers and log."""
    endpoints = Endpoints(services)
    routes = flask.Blueprint("taxii", __name__)
    collection = f"{resources.ROOT}collections/<name>/"
    one = f"{collection}objects/<object_id>/"
    for path, method, view in (
        (DISCOVERY, "GET", endpoints.discovery),
        (resources.ROOT, "GET", endpoints.api_root),
        (f"{resources.ROOT}status/<id>/", "GET", endpoints.status),
        (f"{resources.ROOT}submissions/", "GET", endpoints.submissions),
        (f"{resources.ROOT}collections/", "GET", endpoints.collections),
        (collection, "GET", endpoints.collection),
        (f"{collection}manifest/", "GET", endpoints.manifest),
        (f"{collection}objects/", "GET", endpoints.objects),
        (f"{collection}objects/", "POST", endpoints.add_objects),
        (one, "GET", endpoints.object),
        (one, "DELETE", endpoints.delete_object),
        (f"{one}versions/", "GET", endpoints.versions),
    ):
        for rule in (path, path.rstrip("/")):  # many clients omit the trailing slash
            routes.add_url_rule(rule, view.__name__, view, methods=[method], strict_slashes=True)
    routes.before_request(endpoints.authenticate)
    return routes


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints, one method each."""

    services: TaxiiServices

    def authenticate(self) -> None:
        """Identify the account and count the request; raises NotAuthenticated, TooManyRequests.

        Only discovery can be public, and then not with a wrong credential.
        """
        try:
            account = self._account()
        except NotAuthenticated:
            is_discovery = request.endpoint == "taxii.discovery"
            public = self.services.settings.public_discovery and is_discovery
            if "Authorization" in request.headers or not public:
                raise
            return
        request_context().account = account
        if request_context().allowance is not None:
            return  # counted before its body was waited for
        try:
            self.services.rate_limiter.take(account.name)
        finally:
            request_context().allowance = self.services.rate_limiter.allowance(account.name)

    def discovery(self) -> flask.Response:
        """GET /taxii2/ (section 4.1)."""
        content.check_accept(request.headers.get("Accept"))
        return _answer(resources.format_discovery(self.services.settings))

    def api_root(self) -> flask.Response:
        """GET /hub/ (section 4.2)."""
        content.check_accept(request.headers.get("Accept"))
        return _answer(resources.format_api_root(self.services.settings))

    def status(self, id: str) -> flask.Response:
        """GET /hub/status/<id>/ (section 4.3); for the submitter's partner and the operator."""
        statuses = self.services.statuses
        submission = statuses.find(id, raw=False) if _STATUS_ID.fullmatch(id) else None
        reader = request_context().authenticated
        if submission is None or not auth.may_read_status(reader, submission):
            raise NotFound("no such status, or it belongs to another partner")
        content.check_accept(request.headers.get("Accept"))
        return _answer(resources.format_status(submission, statuses.records(id)))

    def submissions(self) -> flask.Response:
        """GET /hub/submissions/, an extension: what the account's own partner sent."""
        content.check_accept(request.headers.get("Accept"))
        settings = self.services.settings
        sizes = settings.page_size, settings.page_cap
        limit, before = parse_submission_query(request.args.items(multi=True), *sizes)
        account = request_context().authenticated
        found: Sequence[Submission] = ()
        if auth.may_list_submissions(account):
            found = self.services.statuses.list_of_partner(account.partner, limit + 1, before)
        visible = auth.visible_collections(account, request_context().hub.collections)
        names = {each.id: each.alias for each in visible}
        return _answer(resources.format_submissions(found, limit, names))

    def collections(self) -> flask.Response:
        """GET /hub/collections/ (section 5.1)."""
        content.check_accept(request.headers.get("Accept"))
        reader = request_context().authenticated
        visible = auth.visible_collections(reader, request_context().hub.collections)
        return _answer(resources.format_collections([_format_collection(c) for c in visible]))

    def collection(self, name: str) -> flask.Response:
        """GET /hub/collections/<id or alias>/ (section 5.2)."""
        reader = request_context().authenticated
        found = _note(auth.find_collection(reader, request_context().hub.collections, name))
        content.check_accept(request.headers.get("Accept"))
        return _answer(_format_collection(found))

    def manifest(self, name: str) -> flask.Response:
        """GET …/manifest/ (section 5.3)."""
        feed = self._readable(name, content.STIX)
        return self._page(feed, self._parse_query(feed, Endpoint.MANIFEST), Endpoint.MANIFEST)

    def objects(self, name: str) -> flask.Response:
        """GET …/objects/ (section 5.4)."""
        feed = self._readable(name)
        return self._page(feed, self._parse_query(feed, Endpoint.OBJECTS), Endpoint.OBJECTS)

    def object(self, name: str, object_id: str) -> flask.Response:
        """GET …/objects/<id>/ (section 5.6)."""
        return self._page_of_object(name, object_id, Endpoint.OBJECT)

    def versions(self, name: str, object_id: str) -> flask.Response:
        """GET …/objects/<id>/versions/ (section 5.8)."""
        return self._page_of_object(name, object_id, Endpoint.VERSIONS)

    def add_objects(self, name: str) -> flask.Response:
        """POST …/objects/ (section 5.5)."""
        account = request_context().authenticated
        collections = request_context().hub.collections
        inbox = _note(auth.find_writable(account, collections, name))
        self.services.readiness.check_room()
        content.check_accept(request.headers.get("Accept"))
        content.check_content_type(request.headers.get("Content-Type"))
        coding = content.parse_content_encoding(request.headers.get("Content-Encoding"))
        octets = content.read_body(self.services.settings.max_content_length, coding)
        objects = resources.parse_envelope(octets, self.services.settings.max_objects)
        request_context().objects = len(objects)
        receipt = self.services.intake.receive(account, inbox, objects, octets, collections)
        return _answer(resources.format_status(receipt.submission, receipt.records), 202)

    def delete_object(self, name: str, object_id: str) -> flask.Response:
        """DELETE …/objects/<id>/ (section 5.7): all versions, unless some are named."""
        account = request_context().authenticated
        feed = _note(auth.find_deletable(account, request_context().hub.collections, name))
        content.check_accept(request.headers.get("Accept"))
        query = parse_delete_query(request.args.items(multi=True))
        deleted = self.services.intake.remove(
            account, feed, object_id, query.keywords, query.versions, query.specs
        )
        request_context().objects = deleted
        if not deleted:
            raise NotFound("this collection has no such object, or no such version of it")
        return flask.Response(content_type=content.MEDIA_TYPE)

    def _readable(self, name: str, *alternatives: str) -> Collection:
        """The collection to read; `alternatives` are further types that `Accept` can name."""
        reader = request_context().authenticated
        feed = auth.find_readable(reader, request_context().hub.collections, name)
        content.check_accept(request.headers.get("Accept"), *alternatives)
        return _note(feed)

    def _parse_query(self, feed: Collection, endpoint: Endpoint) -> ParsedQuery:
        settings = self.services.settings
        pairs = request.args.items(multi=True)
        if auth.sees_tlp1(request_context().authenticated, feed):
            pairs = tlp1.read_query(pairs)
        sizes = settings.page_size, settings.page_cap
        return parse_query(pairs, endpoint, *sizes, settings.interop_filters)

    def _page_of_object(self, name: str, object_id: str, endpoint: Endpoint) -> flask.Response:
        """A page about one object; NotFound without the object or any requested version."""
        feed = self._readable(name)
        if auth.sees_tlp1(request_context().authenticated, feed):
            object_id = tlp1.read_id(object_id)
        parsed = self._parse_query(feed, endpoint)
        query = replace(parsed.query, ids=frozenset({object_id}))
        check_first = "Prefer" in request.headers or request.if_none_match.star_tag
        if check_first:
            self._check_exists(feed, query)
        answer = self._page(feed, replace(parsed, query=query), endpoint)
        has_some = request_context().objects or answer.status_code == _NOT_MODIFIED
        if not check_first and not has_some:  # so that what is there costs no further look-up
            self._check_exists(feed, query)
        return answer

    def _check_exists(self, feed: Collection, query: Query) -> None:
        """Raises NotFound without the object or any requested version."""
        (object_id,) = query.ids
        if not self.services.feeds.knows(feed.id, object_id):
            raise NotFound("this collection has no such object")
        if query.versions and not query.keywords:
            unfiltered = replace(query, limit=1, added_after=None, filters=())
            if not self.services.feeds.page(feed.id, unfiltered, bodies=False).entries:
                raise NotFound("this collection has no such version of the object")

    def _page(self, feed: Collection, parsed: ParsedQuery, endpoint: Endpoint) -> flask.Response:
        def recheck() -> None:
            self.recheck(feed)

        return PageRequest(self.services, feed, parsed, endpoint, recheck).answer()

    def recheck(self, feed: Collection) -> None:
        """Decide anew if the reader may read the collection; raises NotFound or NotAllowed."""
        request_context().account = self._account()
        reader = request_context().authenticated
        auth.find_readable(reader, request_context().hub.collections, feed.id)

    def _account(self) -> Account:
        certificate = _certificate_fingerprint()
        if certificate or "Authorization" in request.headers:  # else nothing is looked up
            self.services.readiness.check_database()
            request_context().state = self.services.feeds.look(_collection_name())
        state = request_context().state or _NO_CREDENTIAL
        account = auth.authenticate(
            request.headers.get("Authorization"),
            state,
            certificate,
            self.services.settings.schemes,
        )
        required = self.services.settings.require_agreements
        return narrow_account(account, state, self.services.clock(), required=required)


class _NoCredentialLookup:
    """An account lookup for a request without a credential: it finds nothing."""

    collections: Sequence[Collection] = ()

    def find_account_by_credential(self, digest: str) -> Account | None:
        """None, since no account is looked up."""

    def agreements_of(self, partner: str) -> Sequence[Agreement]:
        """No agreements, since no account is looked up."""
        return ()

    def find_partner(self, slug: str) -> Partner | None:
        """None, since no account is looked up."""


_NO_CREDENTIAL = _NoCredentialLookup()


def _collection_name() -> str:
    """The id or alias in the request's path; empty without one."""
    return str((request.view_args or {}).get("name", ""))


def _certificate_fingerprint() -> str:
    """The fingerprint of the connection's client certificate; empty if it has expired."""
    certificate: ClientCertificate | None = request.environ.get(CLIENT_CERTIFICATE)
    return certificate.fingerprint if certificate and certificate.expires > time.time() else ""


def _answer(resource: resources.Resource, status: int = 200) -> flask.Response:
    return flask.Response(resources.encode(resource), status, content_type=content.MEDIA_TYPE)


def _note(collection: Collection) -> Collection:
    """Note the collection for the log."""
    request_context().collection = collection.alias or collection.id
    return collection


def _format_collection(collection: Collection) -> resources.Resource:
    """The collection as the requesting account sees it."""
    account = request_context().authenticated
    return resources.format_collection(
        collection,
        can_read=auth.may_read(account, collection),
        can_write=auth.may_write(account, collection),
    )
