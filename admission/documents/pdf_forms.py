"""Forms of a PDF: parts of pages that are drawn like pictures, and may hold all of the text.

pypdf reads them for the plain text of a page and leaves them out of its layout.
"""

from collections.abc import Iterator
from typing import Any

from pypdf import PageObject
from pypdf.generic import (
    ArrayObject,
    ContentStream,
    DictionaryObject,
    FloatObject,
    NameObject,
    StreamObject,
)

_DEEPEST = 5
"""Levels of forms in forms, which may contain themselves."""
_MOST_OPERATIONS = 200_000
_IDENTITY = ArrayObject(map(FloatObject, (1, 0, 0, 1, 0, 0)))

_Operation = tuple[list[Any], bytes]


def draw_forms(page: PageObject) -> None:
    """Put the operations of the forms of a page into its own, if it draws any."""
    resources = _dictionary(page, "/Resources")
    if not any(_is_form(each.get_object()) for each in _dictionary(resources, "/XObject").values()):
        return
    drawing = _Drawing(page)
    operations = [each for each in drawing.draw(page.get_contents(), resources, 0)]
    content = ContentStream(None, page.pdf)
    content.operations = operations
    page[NameObject("/Contents")] = content
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): drawing.fonts})


def _dictionary(owner: DictionaryObject, name: str) -> DictionaryObject:
    found = owner.get(name, DictionaryObject()).get_object()
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def _is_form(drawn: object) -> bool:
    return isinstance(drawn, StreamObject) and drawn.get("/Subtype") == "/Form"


class _Drawing:
    """The operations that draw a page, and the fonts of all its forms."""

    def __init__(self, page: PageObject) -> None:
        self.fonts = DictionaryObject()
        self._prefixes: dict[int, str] = {}
        """The beginning of the new names of fonts, for each dictionary of the reader's."""
        self._pdf = page.pdf
        self._left = _MOST_OPERATIONS

    def draw(
        self, content: ContentStream | None, resources: DictionaryObject, depth: int
    ) -> Iterator[_Operation]:
        """The operations of a page or form, each form in its place; fonts have new names."""
        fonts = _dictionary(resources, "/Font")
        prefix = self._prefixes.setdefault(id(fonts), f"/Drawn{len(self._prefixes)}")
        for name, font in fonts.items():
            self.fonts[NameObject(prefix + name[1:])] = font
        forms = _dictionary(resources, "/XObject")
        for operands, operator in content.operations if content is not None else ():
            self._left -= 1
            if self._left < 0:
                raise ValueError("too many operations")
            if operator == b"Tf" and operands:
                yield [NameObject(prefix + str(operands[0])[1:]), *operands[1:]], operator
            elif operator != b"Do":
                yield operands, operator
            elif operands and depth < _DEEPEST:
                form = forms.get(operands[0])
                yield from self._draw_form(form.get_object(), resources, depth) if form else ()

    def _draw_form(
        self, form: object, resources: DictionaryObject, depth: int
    ) -> Iterator[_Operation]:
        if not isinstance(form, StreamObject) or not _is_form(form):
            return
        own = _dictionary(form, "/Resources") or resources
        yield [], b"q"
        yield list(form.get("/Matrix", _IDENTITY).get_object()), b"cm"
        yield from self.draw(ContentStream(form, self._pdf), own, depth + 1)
        yield [], b"Q"
