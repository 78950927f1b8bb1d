"""`tocsin poll --taxii 2.0`: a server of the version before is read, and nothing is sent to it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.source_servers import Taxii20Server, serve
from support.taxii_servers import Answer, serve_script

from tocsin.admission.errors import NotAllowed
from tocsin.clients.http import Collection
from tocsin.clients.taxii20 import Hub20

Tocsin = Callable[..., tuple[int, list[str], str]]


def indicators(count: int) -> list[tuple[str, dict[str, Any]]]:
    """Indicators of STIX 2.0 with the dates on which they were added, two of each date."""
    built = []
    for n in range(count):
        added = f"2026-01-01T00:00:00.{n // 2:06d}Z"
        about: dict[str, Any] = {
            "type": "indicator",
            "id": f"indicator--00000000-0000-4000-8000-{n:012d}",
        }
        about |= {"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z"}
        about |= {"pattern": f"[domain-name:value = 'old-{n}.top']", "labels": ["malicious"]}
        built.append((added, about))
    return built


@pytest.fixture
def old() -> Iterator[Taxii20Server]:
    with serve(Taxii20Server(objects=indicators(250))) as server:
        yield server


@pytest.fixture
def poll(old: Taxii20Server, tocsin: Tocsin) -> Tocsin:
    """A function that polls the collection with a state."""

    def run(*words: str) -> tuple[int, list[str], str]:
        return tocsin("poll", "Old feed", "--taxii", "2.0", "--url", f"{old.url}/taxii/", *words)

    return run


def test_every_object_is_read_once_and_then_only_what_is_new(
    poll: Tocsin, old: Taxii20Server
) -> None:
    options = ("--state", "s", "--output", "all.jsonl", "--limit", "100")
    assert poll(*options)[0] == 0
    old.objects = indicators(253)
    assert poll(*options)[0] == 0
    ids = [json.loads(line)["id"] for line in Path("all.jsonl").read_text().splitlines()]
    assert ids == [each["id"] for _, each in old.objects]
    assert {headers["Accept"] for path, headers in old.requests if "objects" in path} == {
        "application/vnd.oasis.stix+json; version=2.0"
    }


@pytest.mark.parametrize("about", [{}, {"title": ""}, {"title": None}])
def test_a_mirror_of_a_collection_without_a_title_has_its_values(
    tocsin: Tocsin, old: Taxii20Server, about: dict[str, Any]
) -> None:
    old.objects, old.about = indicators(1), about
    url = f"{old.url}/taxii/"
    assert tocsin("poll", "one", "--taxii", "2.0", "--url", url, "--mirror", "lists")[0] == 0
    assert Path("lists/edl/domain.txt").read_text() == "old-0.top\n"


def test_a_mirror_of_it_has_its_values(poll: Tocsin, old: Taxii20Server) -> None:
    old.objects = indicators(3)
    assert poll("--mirror", "lists")[0] == 0
    (names,) = Path("lists/edl").glob("domain.txt")
    assert names.read_text().split() == ["old-0.top", "old-1.top", "old-2.top"]


def test_the_url_may_be_that_of_the_api_root(tocsin: Tocsin, old: Taxii20Server) -> None:
    words = ("poll", "one", "--taxii", "2.0", "--url", f"{old.url}/root/")
    assert len(tocsin(*words)[1]) == 250


def test_a_server_of_another_version_gets_a_sentence(tocsin: Tocsin, old: Taxii20Server) -> None:
    code, _, err = tocsin("poll", "one", "--url", f"{old.url}/root/")
    assert code != 0 and "does not speak TAXII 2.1" in err and "--taxii 2.0" in err


def test_a_server_that_speaks_only_the_newer_version_gets_another_sentence(tocsin: Tocsin) -> None:
    with serve_script(lambda _: Answer({"title": "no"}, status=406)) as server:
        code, _, err = tocsin("poll", "feed", "--taxii", "2.0", "--url", server.url)
    assert code != 0 and "does not speak TAXII 2.0" in err and "without --taxii 2.0" in err


def test_nothing_is_sent_to_it(old: Taxii20Server) -> None:
    with Hub20(f"{old.url}/taxii/") as hub:
        (found,) = hub.list_collections()
        assert isinstance(found, Collection) and not found.can_write
        with pytest.raises(NotAllowed, match="only read"):
            hub.post_envelope(found, b"{}")
