"""Compressed answers and bodies (RFC 9110 sections 8.4 and 12.5.3)."""

import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import requests
import zstandard
from support.chunked_posts import post_chunked
from support.taxii_hub import GREEN, MT, TaxiiHub, indicator

from tocsin.admission.errors import TooLarge
from tocsin.server.taxii import content

UNDO: dict[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda octets: zstandard.ZstdDecompressor().decompress(octets),
    None: bytes,
}


@pytest.fixture
def taxii() -> Any:
    taxii = TaxiiHub(max_content_length=5000)
    taxii.feeds.add(GREEN.id, *(indicator(n) for n in range(40)))
    return taxii


def read(taxii: Any, accept: Any, path: Any = "green/objects/", **headers: Any) -> Any:
    return taxii.get(path, headers={"Accept-Encoding": accept, **headers})


class TestAnswers:
    @pytest.mark.parametrize(
        ("accept", "chosen"),
        [
            ("gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("GZip", "gzip"),
            ("zstd", "zstd"),
            ("gzip, deflate, br, zstd", "zstd"),
            ("gzip, deflate", "gzip"),
            ("gzip;q=1.0, zstd;q=0.5", "gzip"),
            ("zstd;q=0, gzip;q=0.001", "gzip"),
            ("*", "zstd"),
            ("*;q=0.5, zstd;q=0", "gzip"),
            ("gzip;q=0", None),
            ("*;q=0", None),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", "gzip"),
            ("br, deflate", None),
            ("", None),
            (None, None),
            (";;;,", None),
        ],
    )
    def test_the_coding_with_the_highest_quality_is_chosen(
        self, taxii: Any, accept: None | str, chosen: None | str
    ) -> None:
        answer = read(taxii, accept)
        assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, chosen)
        assert UNDO[chosen](answer.data) == read(taxii, None).data
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        assert (answer.headers["Content-Type"], answer.headers["Vary"]) == (MT, "Accept-Encoding")

    @pytest.mark.parametrize("accept", ["gzip", "zstd"])
    def test_compression_makes_an_answer_shorter(self, taxii: Any, accept: str) -> None:
        assert len(read(taxii, accept).data) * 4 < len(read(taxii, None).data)

    def test_a_short_answer_is_not_compressed(self, taxii: Any) -> None:
        answer = read(taxii, "gzip", "green/objects/?limit=1")
        assert "Content-Encoding" not in answer.headers and answer.json["objects"]

    def test_head_has_the_headers_of_the_compressed_answer(self, taxii: Any) -> None:
        asked = {"Accept-Encoding": "gzip"}
        head = taxii.get("green/objects/", method="HEAD", headers=asked)
        get = taxii.get("green/objects/", headers=asked)
        for name in ("Content-Encoding", "Content-Length", "ETag"):
            assert head.headers[name] == get.headers[name]

    def test_each_coding_has_its_own_strong_tag(self, taxii: Any) -> None:
        tags = {read(taxii, accept).headers["ETag"] for accept in (None, "gzip", "zstd")}
        assert len(tags) == 3 and not any(tag.startswith("W/") for tag in tags)

    @pytest.mark.parametrize("accept", ["gzip", "zstd"])
    def test_equal_tags_stand_for_equal_octets(self, taxii: Any, accept: str) -> None:
        first, second = read(taxii, accept), read(taxii, accept)
        assert (first.headers["ETag"], first.data) == (second.headers["ETag"], second.data)

    @pytest.mark.parametrize("accept", [None, "gzip", "zstd"])
    @pytest.mark.parametrize("path", ["green/objects/", "green/objects/?limit=1"])
    def test_a_tag_matches_in_its_coding(self, taxii: Any, accept: None | str, path: str) -> None:
        tag = read(taxii, accept, path).headers["ETag"]
        answer = read(taxii, accept, path, **{"If-None-Match": tag})
        assert (answer.status_code, answer.headers["ETag"], answer.data) == (304, tag, b"")
        assert "Content-Encoding" not in answer.headers

    def test_the_tag_of_a_coding_that_is_not_accepted_now_does_not_match(self, taxii: Any) -> None:
        tag = read(taxii, "zstd").headers["ETag"]
        assert read(taxii, "gzip", **{"If-None-Match": tag}).status_code == 200

    def test_errors_have_a_vary_header_too(self, taxii: Any) -> None:
        assert read(taxii, "gzip", "nowhere/").headers["Vary"] == "Accept-Encoding"

    def test_the_clients_library_asks_for_gzip_by_itself(self) -> None:
        asked = requests.Session().headers["Accept-Encoding"]
        assert content.negotiate_coding(str(asked)) in ("gzip", "zstd")


def envelope(length: Any) -> Any:
    body = json.dumps({"objects": [indicator()]}).encode()
    return body + b" " * (length - len(body))


class TestBodies:
    def post(self, taxii: Any, octets: Any, name: Any = "gzip") -> Any:
        return taxii.post("scratch", octets, headers={"Content-Encoding": name})

    @pytest.mark.parametrize("name", ["gzip", "GZIP", "x-gzip"])
    def test_a_gzip_body_is_accepted_and_stored_decompressed(self, taxii: Any, name: str) -> None:
        body = envelope(600)
        assert self.post(taxii, gzip.compress(body), name).status_code == 202
        assert taxii.intake.received == [body]

    @pytest.mark.parametrize("name", ["identity", ""])
    def test_identity_is_accepted_as_a_coding(self, taxii: Any, name: str) -> None:
        assert self.post(taxii, envelope(600), name).status_code == 202

    @pytest.mark.parametrize(("surplus", "status"), [(-1, 202), (0, 202), (1, 413)])
    def test_the_limit_counts_decompressed_octets(
        self, taxii: Any, surplus: int, status: int
    ) -> None:
        assert self.post(taxii, gzip.compress(envelope(5000 + surplus))).status_code == status

    def test_a_gzip_bomb_is_refused_before_it_is_decompressed(self, taxii: Any) -> None:
        packed = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = b"".join(packed.compress(b" " * 1_000_000) for _ in range(4)) + packed.flush()
        assert len(bomb) < 5000
        answer = self.post(taxii, bomb)
        assert (answer.status_code, answer.json["http_status"]) == (413, "413")
        assert taxii.intake.received == []

    @pytest.mark.slow
    def test_a_gzip_bomb_takes_no_more_memory_than_the_limit(self) -> None:
        bomb = gzip.compress(b" " * 50_000_000)
        tracemalloc.start()
        with pytest.raises(TooLarge):
            list(content.decompress([bomb], 5000, TooLarge("too large")))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 1_000_000

    def test_a_gzip_body_longer_than_the_limit_is_not_read(self, taxii: Any) -> None:
        answer = self.post(taxii, b"\x1f\x8b" * 2501)
        assert answer.status_code == 413

    def test_chunks_are_decompressed_as_they_arrive(self, taxii: Any) -> None:
        body = io.BytesIO(gzip.compress(envelope(4000)))
        environ = {"HTTP_CONTENT_ENCODING": "gzip"}
        assert post_chunked(taxii, "scratch", body, **environ).status_code == 202

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda octets: octets[:-1],
            lambda octets: octets[:30],
            lambda octets: b"",
            lambda octets: octets + b"more",
            lambda octets: octets + octets,
            lambda octets: octets[:40] + b"\xff\xff\xff" + octets[43:],
            lambda octets: octets[:-8] + b"\0\0\0\0" + octets[-4:],
            lambda octets: gzip.decompress(octets),
        ],
    )
    def test_a_body_that_is_not_one_complete_gzip_stream_is_malformed(
        self, taxii: Any, spoil: Any
    ) -> None:
        answer = self.post(taxii, spoil(gzip.compress(envelope(600))))
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, MT)
        assert "gzip" in answer.json["description"]
        assert taxii.intake.received == []
