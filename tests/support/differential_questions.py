"""The requests that medallion and the hub are compared with, and the data.

Every endpoint with every filter and header, many of them in random but
repeatable combinations, and at the end the requests that change the data.
"""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass
from itertools import product
from typing import Any

from support.medallion_files import collection, day, threat

PAGE = 20
"""Maximum page size of both servers."""
FULL, READ, WRITE, CLOSED, EMPTY = (str(uuid.UUID(int=n, version=4)) for n in range(1, 6))
SCO = {"type": "ipv4-addr", "id": f"ipv4-addr--{uuid.UUID(int=1, version=4)}", "value": "192.0.2.1"}
OLD = {**threat(50), "type": "tool", "id": f"tool--{uuid.UUID(int=50, version=4)}"}
OLD.pop("spec_version")
SURE, UNSURE = threat(5, confidence=80), threat(6, confidence=30)
UNKNOWN = f"malware--{uuid.UUID(int=999, version=4)}"


@dataclass(frozen=True)
class Question:
    """One request, or one walk over several pages."""

    path: str
    """Below the API root; `/` first: from the top."""
    query: tuple[tuple[str, str], ...] = ()
    """`{date N}` stands for the N-th date of the data."""
    headers: tuple[tuple[str, str | None], ...] = ()
    method: str = "GET"
    body: bytes | None = None
    walk: str = ""
    """`next` or `added_after`: follow the pages by it; `twice`: send the same `next` twice."""

    def parameter(self, name: str) -> str | None:
        """Return a parameter's first value."""
        return dict(reversed(self.query)).get(name)

    def header(self, name: str) -> str | None:
        """Return a header that differs from the default ones."""
        return dict(self.headers).get(name)


def data() -> list[dict[str, Any]]:
    """Build collections with ties, versions, observables, and objects of STIX 2.0."""
    rated = {5: SURE, 6: UNSURE}
    added = [(day(1 + n // 6), rated.get(n) or threat(n)) for n in range(24)]
    added += [(day(6), threat(3, 4)), (day(7), threat(4, 3)), (day(8), threat(3, 2))]
    added += [(day(8), {**SCO, "_date_added": day(8)}), (day(9), OLD)]
    added += [(day(10), {**OLD, "modified": "2019-01-09T00:00:00.000Z"})]
    added += [(day(11), {**OLD, "spec_version": "2.1", "modified": "2019-01-05T00:00:00.000Z"})]
    few = [(day(2), threat(100 + number)) for number in range(3)]
    return [
        collection(*added, id=FULL, title="Full", can_write=True, description="All sorts"),
        collection(*few, id=READ, title="Read"),
        collection(*few, id=WRITE, title="Write", can_read=False, can_write=True),
        collection(*few, id=CLOSED, title="Closed", can_read=False),
        collection(id=EMPTY, title="Empty", can_write=True),
    ]


OBJECTS = f"collections/{FULL}/objects/"
MANIFEST = f"collections/{FULL}/manifest/"
ONE = f"{OBJECTS}{threat(3)['id']}/"
VERSIONS = f"{ONE}versions/"
PLACES = (
    *("/taxii2/", "", "collections/", "status/nosuch/", f"status/{READ}/"),
    *(f"collections/{id}/" for id in (FULL, READ, WRITE, CLOSED, EMPTY, UNKNOWN)),
    *(f"collections/{id}/objects/" for id in (FULL, READ, WRITE, CLOSED, EMPTY, UNKNOWN)),
    *(f"collections/{id}/manifest/" for id in (FULL, READ, WRITE, CLOSED, EMPTY)),
    *(ONE, VERSIONS, f"{OBJECTS}{UNKNOWN}/", f"{OBJECTS}{UNKNOWN}/versions/"),
    *(f"{OBJECTS}{SCO['id']}/", f"{OBJECTS}{SCO['id']}/versions/", f"{OBJECTS}{OLD['id']}/"),
    *("/nowhere/", "/nowhere/collections/", "collections/nosuch/nowhere/"),
)
FEEDS = (OBJECTS, MANIFEST, ONE, VERSIONS, f"{OBJECTS}{OLD['id']}/")
HEADERS: tuple[tuple[str, str | None], ...] = (
    *(("Accept", "application/taxii+json"), ("Accept", "*/*"), ("Accept", None)),
    *(("Accept", "application/taxii+json; version=2.1"), ("Accept", "application/*")),
    *(("Accept", "application/taxii+json;version=2.0"), ("Accept", "text/html")),
    ("Accept", "application/taxii+json;version=2.0, application/taxii+json;version=2.1"),
    ("Accept", "application/taxii+json;version=2.1;q=0.5"),
    ("Accept", "APPLICATION/TAXII+JSON;VERSION=2.1"),
    *(("Authorization", None), ("Authorization", "Basic d3Jvbmc6d3Jvbmc=")),
)
VALUES: dict[str, tuple[str, ...]] = {
    "added_after": (
        *(f"{{date {n}}}" for n in (1, 2, 3, 5, 7, 8, 10, 11)),
        *("1999-01-01T00:00:00Z", "2999-01-01T00:00:00.000000Z"),
        *("junk", "2020-06-02T10:00:00", "2020-06-02T10:00:00.000000+00:00"),
    ),
    "limit": ("1", "2", "3", "7", "20", "21", "1000000", "0", "-1", "many", "1.5"),
    "match[id]": (
        threat(3)["id"],
        f"{threat(3)['id']},{threat(4)['id']},{OLD['id']}",
        UNKNOWN,
        SCO["id"],
    ),
    "match[type]": ("malware", "tool", "tool,ipv4-addr", "nosuch"),
    "match[version]": (
        *("last", "first", "all", "first,last", "all,last", "junk"),
        *("2019-01-02T00:00:00.000Z", "2019-01-02T00:00:00Z,last", "2001-01-01T00:00:00.000Z"),
    ),
    "match[spec_version]": ("2.0", "2.1", "2.0,2.1", "9.9"),
    "match[confidence]": ("80",),
    "other": ("1",),
}


def questions(count: int, seed: int = 1) -> list[Question]:
    """Build requests for every place, header and filter, then random ones up to `count`."""
    found = [Question(place) for place in PLACES]
    found += [Question(place, headers=(h,)) for place, h in product(("", OBJECTS, ONE), HEADERS)]
    found += [
        _walk_with(place, ((name, value),))
        for place in FEEDS
        for name, values in VALUES.items()
        for value in values
    ]
    found += [Question(place, walk="next") for place in FEEDS]
    twice = (("match[type]", "tool"), ("match[type]", "malware"))
    found += [Question(place, twice) for place in FEEDS]
    found += [
        Question(place, (("limit", limit),), walk=walk)
        for place in (OBJECTS, MANIFEST)
        for limit in ("1", "4", "20")
        for walk in ("next", "added_after", "twice")
    ]
    found += [Question(OBJECTS, method=method) for method in ("HEAD", "PUT", "DELETE")]
    chance = random.Random(seed)  # noqa: S311 - the same questions each time
    while len(found) < count - len(WRITES):
        found.append(_random_question(chance))
    return [*found, *WRITES]


def _walk_with(place: str, query: tuple[tuple[str, str], ...]) -> Question:
    """Build a walk to the end, which needs a limit at medallion."""
    names = [name for name, _ in query]
    return Question(place, query + (() if "limit" in names else (("limit", "20"),)), walk="next")


def _random_question(chance: random.Random) -> Question:
    names = chance.sample(sorted(VALUES), chance.randint(1, 4))
    query = [(name, chance.choice(VALUES[name])) for name in names]
    if chance.random() < 0.05:
        query.append(query[0])
    return _walk_with(chance.choice(FEEDS), tuple(query))


def _post(body: object, place: str = OBJECTS, **headers: str | None) -> Question:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Question(place, method="POST", body=octets, headers=named)


def _delete(id: str, place: str = OBJECTS, **query: str) -> Question:
    pairs = tuple((f"match[{name}]", value) for name, value in query.items())
    return Question(f"{place}{id}/", pairs, method="DELETE")


NEW = [threat(number) for number in range(200, 207)]
TWIN = threat(300), threat(300, 2), threat(300, 3)
POISON = threat(400, modified="bogus")
LOOK = (
    Question(OBJECTS, (("limit", "5"), ("match[version]", "all")), walk="next"),
    Question(MANIFEST, (("limit", "20"),), walk="next"),
)
ODD_BODIES: tuple[object, ...] = (b"{nonsense", b"", [], {}, {"objects": []}, {"objects": 7})
WRITES = (
    *(_post({"objects": NEW[:1]}, f"collections/{id}/objects/") for id in (READ, CLOSED, UNKNOWN)),
    _post({}, Content_Type="application/taxii+json"),
    _post({"objects": NEW[:1]}, Content_Type="application/json"),
    _post({"objects": NEW[:1]}, Content_Type=None),
    _post({}, Accept="*/*"),
    *(_post(body) for body in ODD_BODIES),
    _post({"objects": [threat(1, description="a" * 9000)]}),
    _post({"objects": NEW}),
    *LOOK,
    Question(OBJECTS, (("limit", "3"), ("added_after", "{date 11}")), walk="added_after"),
    _post({"objects": [NEW[0], threat(210)]}),
    _post({"objects": [{**NEW[0], "id": UNKNOWN, "type": "tool"}]}),
    _delete(UNKNOWN),
    _post({"objects": [{"type": "malware"}]}),
    _post({"objects": list(TWIN)}),
    _delete(TWIN[0]["id"], version="2019-01-02T00:00:00.000Z"),
    _delete(TWIN[0]["id"], version="2001-01-01T00:00:00.000Z"),
    _delete(TWIN[0]["id"], version="junk"),
    *LOOK,
    _delete(TWIN[0]["id"]),
    Question(f"{OBJECTS}{TWIN[0]['id']}/"),
    _delete(TWIN[0]["id"], version="all"),
    *(_delete(threat(100)["id"], f"collections/{id}/objects/") for id in (READ, WRITE, CLOSED)),
    _delete(UNKNOWN),
    *LOOK,
    _post({"objects": [POISON]}, f"collections/{EMPTY}/objects/"),
    Question(f"collections/{EMPTY}/objects/"),
)
"""Requests that change the data and read it, in this order."""
