"""Peak memory of `tocsin poll` at hostile answers; Linux only.

    python bench/client_memory.py

Goal: at most 200 MiB each, whatever a server sends.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.hostile_server import (  # noqa: E402
    FORMATS,
    Octets,
    at_objects,
    bomb,
    many_objects,
    measure_memory,
    whole,
)

LONGEST = 16 * 1024 * 1024
GOAL = 200


def page(body: bytes, *headers: str) -> Octets:
    """Answer every request for objects with one page."""
    return at_objects(partial(list, [whole(body, *headers)]))


def resource(body: bytes) -> Octets:
    """Answer every request with one resource."""
    return lambda *_: [whole(body)]


def answers() -> dict[str, Octets]:
    """The hostile answers, by name."""
    wide = "\U0001f600".encode()
    length = LONGEST - 100
    names = b",".join(b'"%x":0' % number for number in range(400_000))
    ids = b",".join(b'{"id":"%d","x":"%s"}' % (n, b"x" * 130) for n in range(99_000))
    return {
        "1 GB in 1 MB": page(bomb(10**9), "Content-Encoding: gzip"),
        "one long object": page(b'{"objects":[{"id":"' + b"a" * length + b'"}]}'),
        "the same, wide": page(b'{"objects":[{"id":"' + wide + b"a" * (length - 4) + b'"}]}'),
        "a list of texts": page(b'{"objects":[{"labels":[%s""]}]}' % (b'"a",' * (length // 5))),
        "the most values": page(b'{"objects":[{"x":[%s0]}]}' % (b'{"a":0},' * 299_990)),
        "most objects": page(b'{"objects":[' + ids + b"]}"),
        "too many objects": page(many_objects(length)),
        "a list of numbers": page(b'{"objects":[' + b"0," * (length // 2 - 20) + b"0]}"),
        "a resource of objects": resource(b'{"title":[' + b'{"a":0},' * 500_000 + b"0]}"),
        "a resource of names": resource(b"{" + names + b"}"),
    }


def main() -> int:
    """Print the peak of each answer and format; 1 if one is beyond the goal."""
    worst = 0.0
    print(f"{'MiB':22}", *(f"{each:>6}" for each in FORMATS))
    for name, answer in answers().items():
        peaks = [measure_memory(answer, each)[1] for each in FORMATS]
        worst = max(worst, *peaks)
        print(f"{name:22}", *(f"{peak:6.1f}" for peak in peaks))
    print(f"worst {worst:.1f} MiB, goal {GOAL}")
    return int(worst > GOAL)


if __name__ == "__main__":
    raise SystemExit(main())
