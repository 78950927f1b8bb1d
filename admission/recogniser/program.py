"""The model, run in a bounded process: how likely each word of a passage is part of a name.

The heavy libraries and the weights are loaded by `prepare`, which only that process calls.
One thread, one passage at a time: the figures of a passage depend on nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tocsin.admission.recogniser.wordpiece import Piece, read_vocabulary, split_pieces

DISTRIBUTION = "tocsin_names"
"""The package that holds the weights."""
LABELS = {
    "person": ("GIVEN_NAME", "SURNAME"),
    "address": (
        *("BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS", "CITY", "STATE", "ZIP_CODE"),
    ),
    "street": ("STREET_NAME",),
}
"""The labels of the model that count for each of our figures."""
_LEAST = 0.1
"""Pieces with lower figures are not mentioned."""
_DIGITS = 3


def prepare() -> Callable[[bytes], bytes]:
    """The function that reads passages, for `bounded_program`.

    Its answer is a JSON list of `[start, end, person, address, street]`: a piece of a word and
    how likely it is part of each.
    """
    folder = find_weights()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with open(folder / "vocab.txt", encoding="utf-8", newline="\n") as lines:
        vocabulary = read_vocabulary(lines)
    model = _Model(folder / "model_q4.onnx", config["max_position_embeddings"], vocabulary)
    columns = [_find_columns(config["id2label"], labels) for labels in LABELS.values()]

    def read(request: bytes) -> bytes:
        found = model.read(request.decode("utf-8", "replace"), columns)
        return json.dumps([row for row in found if max(row[2:]) >= _LEAST]).encode()

    return read


def find_weights() -> Path:
    """The folder of the weights.  Raises ModuleNotFoundError if they are not installed."""
    spec = importlib.util.find_spec(DISTRIBUTION)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{DISTRIBUTION} is not installed")
    return Path(spec.origin).parent


def _find_columns(labels: dict[str, str], wanted: Sequence[str]) -> list[int]:
    """The columns of the labels, which are `B-NAME` at the beginning and `I-NAME` behind it."""
    return [int(number) for number, label in labels.items() if label[2:] in wanted]


class _Model:
    """The network with its vocabulary."""

    def __init__(self, file: Path, most_pieces: int, vocabulary: dict[str, int]) -> None:
        self._numpy: Any = importlib.import_module("numpy")
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # memory does not grow with the longest passage
        self._session = runtime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._vocabulary = vocabulary
        self._ends = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._most = most_pieces - len(self._ends)

    def read(self, text: str, columns: Sequence[Sequence[int]]) -> Iterator[list[float]]:
        """Each piece with the sum of each group of columns."""
        pieces = list(split_pieces(text, self._vocabulary))
        for start in range(0, len(pieces), self._most):
            part = pieces[start : start + self._most]
            likely = self._run(part)
            for place, piece in enumerate(part, 1):
                sums = [round(float(likely[place][group].sum()), _DIGITS) for group in columns]
                yield [piece.start, piece.end, *sums]

    def _run(self, pieces: Sequence[Piece]) -> Any:
        """The likelihood of each label, for each piece and the two ends."""
        first, last = self._ends
        ids = self._numpy.array([[first, *(piece.id for piece in pieces), last]], dtype="int64")
        given = {
            "input_ids": ids,
            "attention_mask": self._numpy.ones_like(ids),
            "token_type_ids": self._numpy.zeros_like(ids),
        }
        [scores], *_ = self._session.run(
            None, {n: v for n, v in given.items() if n in self._inputs}
        )
        powers = self._numpy.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
