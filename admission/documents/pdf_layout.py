"""The text of a page of a PDF in its layout, as pypdf draws it on a grid of characters."""

from collections.abc import Sequence
from typing import Any

from pypdf import PageObject

from tocsin.admission.documents.pdf_forms import draw_forms

try:
    from pypdf._text_extraction import mult
    from pypdf._text_extraction._layout_mode import _text_state_manager as _text_state
except ImportError:  # a later version has other parts; then it is only slower
    _MANAGER: dict[str, Any] = {}
else:
    _MANAGER = dict(vars(_text_state.TextStateManager))


def lay_out(page: PageObject) -> str:
    """The text of a page with the columns of its tables apart."""
    draw_forms(page)
    return page.extract_text(extraction_mode="layout")


def _add_offset(manager: Any, operands: Sequence[float]) -> Any:
    """Add an offset within a line, in the place of pypdf's `TextStateManager.add_trm`.

    That keeps all offsets of a line and multiplies them again for each word, which takes most of
    the time of justified text.  Here they are multiplied once.
    """
    whole = manager._complete_matrix(operands)
    offset = manager.new_transform(*whole, is_text=True, is_render=True)
    maps = manager.transform_stack.maps
    if maps[0]["is_render"]:
        maps[0] = manager.new_transform(*mult(offset, maps[0]), is_text=True, is_render=True)
    else:
        manager.transform_stack = manager.transform_stack.new_child(offset)
    return manager.transform_stack


if {"_complete_matrix", "add_trm", "new_transform", "reset_trm"} <= _MANAGER.keys():
    vars(_text_state)["TextStateManager"].add_trm = _add_offset
