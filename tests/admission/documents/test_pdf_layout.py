"""The layout of a page takes time by its words, not by the square of those of a line."""

import io
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf._text_extraction._layout_mode import _text_state_manager
from support.documents import pdf_of_streams

from tocsin.admission.documents import pdf_layout


def test_offsets_within_a_line_are_multiplied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = b" ".join(b"-%d (w%d)" % (200 + n % 90, n) for n in range(300))
    line, following = b"[" + offsets + b"] TJ", b"0 -9 Td [(next) -900 (line)] TJ"
    stream = b" ".join((b"BT /F1 6 Tf 1 0 0 1 20 700 Tm", line, following, b"ET"))
    content = pdf_of_streams(stream)

    def lay_out_page() -> tuple[str, int]:
        multiplied: list[object] = []

        def count(one: object, other: object) -> object:
            multiplied.append(one)
            return multiply(one, other)

        monkeypatch.setattr(_text_state_manager, "mult", count)
        monkeypatch.setattr(pdf_layout, "mult", count)
        [page] = PdfReader(io.BytesIO(content)).pages
        return pdf_layout.lay_out(page), len(multiplied)

    multiply: Any = vars(_text_state_manager)["mult"]
    text, quick = lay_out_page()
    monkeypatch.setattr(
        _text_state_manager.TextStateManager, "add_trm", pdf_layout._MANAGER["add_trm"]
    )
    as_before, slow = lay_out_page()
    assert text == as_before and "w299" in text and "next" in text
    assert quick < 300 * 5 < slow / 10
