"""Small documents made by hand: PDF, DOCX, XLSX, mails."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from html import escape

_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip archive of these parts."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of WordprocessingML."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table of WordprocessingML."""
    made = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in made)}</w:tbl>"


def docx(body: str, **parts: str) -> bytes:
    """A DOCX with this body in WordprocessingML; other parts by name: `header1`, `comments`."""
    document = f"<w:document {_WORD}><w:body>{body}</w:body></w:document>"
    others = {
        f"word/{name}.xml": f"<w:part {_WORD}>{content}</w:part>" for name, content in parts.items()
    }
    return zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": document, **others})


def cell(place: str, value: str | float, style: int = 0) -> str:
    """A cell of SpreadsheetML."""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}" s="{style}"><v>{value}</v></c>'


def rows(*values: Sequence[str | float]) -> str:
    """Rows of SpreadsheetML from row 1 and column A; at most 26 columns."""
    return "".join(
        f'<row r="{number}">'
        + "".join(cell(f"{chr(65 + n)}{number}", each) for n, each in enumerate(row) if each != "")
        + "</row>"
        for number, row in enumerate(values, 1)
    )


def xlsx(
    sheets: Mapping[str, str], hidden: Sequence[str] = (), others: Mapping[str, str] | None = None
) -> bytes:
    """An XLSX whose sheets have these rows in SpreadsheetML."""
    states = {name: ' state="hidden"' for name in hidden}
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"{states.get(name, "")}/>'
        for n, name in enumerate(sheets, 1)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_LINKS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    parts = {
        f"xl/worksheets/sheet{n}.xml": f"<worksheet {_SHEET}><sheetData>{content}</sheetData>"
        "</worksheet>"
        for n, content in enumerate(sheets.values(), 1)
    }
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.xml": f'<workbook {_SHEET} xmlns:r="{_LINKS}"><sheets>{listed}</sheets>'
            "</workbook>",
            "xl/_rels/workbook.xml.rels": f"<Relationships>{links}</Relationships>",
            **parts,
            **(others or {}),
        }
    )


def pdf(*pages: Sequence[str]) -> bytes:
    """A PDF whose pages have these lines of text."""
    return pdf_of_streams(*(_show(lines) for lines in pages))


def pdf_of_tables(*pages: Sequence[Sequence[str]], columns: Sequence[int]) -> bytes:
    """A PDF whose pages have rows of cells; `columns` are the points at which they begin."""
    return pdf_of_streams(*(_show_rows(rows, columns) for rows in pages))


def _show_rows(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> bytes:
    return "".join(
        f"BT /F1 8 Tf 1 0 0 1 {left} {800 - 14 * number} Tm ({_escape(cell)}) Tj ET\n"
        for number, row in enumerate(rows)
        for left, cell in zip(columns, row, strict=False)
        if cell
    ).encode("latin-1")


def _show(lines: Sequence[str]) -> bytes:
    shown = "".join(f"({_escape(line)}) Tj T*\n" for line in lines)
    return f"BT /F1 10 Tf 12 TL 40 800 Td\n{shown}ET".encode("latin-1")


def _escape(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def pdf_of_streams(*streams: bytes, trailer: str = "") -> bytes:
    """A PDF whose pages have these streams of operators as their content."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(streams)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(streams)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, stream in enumerate(streams):
        packed = zlib.compress(stream)
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>"
            + f"/Contents {5 + 2 * number} 0 R>>".encode(),
            f"<</Length {len(packed)}/Filter/FlateDecode>>stream\n".encode()
            + packed
            + b"\nendstream",
        ]
    made = bytearray(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(made)
    made += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    made += b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    made += f"trailer<</Size {len(objects) + 1}/Root 1 0 R{trailer}>>\n".encode()
    return bytes(made + f"startxref\n{start}\n%%EOF\n".encode())


def mail(
    text: str = "", page: str = "", files: Mapping[str, bytes] | None = None, **fields: str
) -> EmailMessage:
    """A message; names of fields with `_` for `-`."""
    made = EmailMessage()
    defaults = {"From": "evil@bad-mailer.com", "To": "jane.doe@acme.example", "Subject": "Invoice"}
    for name, value in (defaults | fields).items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    if page:
        made.add_alternative(page, subtype="html")
    for name, content in (files or {}).items():
        made.add_attachment(content, "application", "octet-stream", filename=name)
    return made
