"""Documents in bounded processes (tocsin.admission.documents.bounded)."""

from pathlib import Path

import pytest
from support.documents import pdf
from support.reading import read_file

from tocsin.admission.bounded_process import BoundedTask, Limits
from tocsin.admission.documents import DocumentText, bounded
from tocsin.admission.errors import Malformed, TooLarge, Unprocessable

KINDS = ("html", "pdf", "docx", "xlsx", "mail", "openioc", "sigma")


def replace_reader(monkeypatch: pytest.MonkeyPatch, folder: Path, line: str) -> None:
    """Let another program read documents."""
    task = folder / "task.py"
    task.write_text(f"import os\ndef prepare(): return read\ndef read(request): {line}")
    limits = Limits(seconds=1.0, memory=300_000_000, answer=1_000)
    monkeypatch.setattr(bounded, "_task", lambda kind: BoundedTask(str(task), limits))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise ValueError", "it cannot be read"),
        ("os.kill(os.getpid(), 11)", "it cannot be read"),
        ("os.abort()", "more than 800 MB of memory"),
        ("bytes(10**10)", "more than 800 MB of memory"),
        ("return bytes(2000)", "more than 800 MB of memory"),
        ("\n while True: pass", "more than 30 s of processor time"),
    ],
)
def test_a_reader_that_ends_or_exceeds_a_limit_refuses_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    replace_reader(monkeypatch, tmp_path, line)
    with pytest.raises(Malformed, match=message):
        read_file("a.pdf", pdf(["evil[.]com"]))


def test_a_file_that_is_too_long_is_refused_before_a_process_starts() -> None:
    with pytest.raises(TooLarge, match="longer than 64 MB: split it"):
        bounded.read_document("pdf", bytes(bounded.LONGEST_FILE + 1), DocumentText)


def test_a_system_without_limits_refuses_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "is_supported", lambda: False)
    with pytest.raises(Unprocessable, match="send the indicators as CSV or text"):
        read_file("a.pdf", pdf(["evil[.]com"]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"<" * 100, b"PK\x03\x04" * 20])
def test_no_reader_fails_at_a_file_of_another_kind(kind: str, content: bytes) -> None:
    outcome = bounded._task(kind).run([content])[0]
    assert outcome.exceeded is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_loads_nothing_of_the_rest_of_admission(kind: str, tmp_path: Path) -> None:
    task = tmp_path / "task.py"
    task.write_text(
        "import importlib, sys, types\n"
        "def prepare():\n"
        f"    folder = {str(Path(bounded.__file__).parents[1])!r}\n"
        "    for name in ('tocsin', 'tocsin.admission'):\n"
        "        sys.modules[name] = types.ModuleType(name)\n"
        "        sys.modules[name].__path__ = [folder]\n"
        f"    importlib.import_module('tocsin.admission.documents.{kind}')\n"
        "    found = [n for n in sys.modules if n.startswith('tocsin.admission.')]\n"
        "    return lambda request: ' '.join(found).encode()\n"
    )
    limits = Limits(seconds=5.0, memory=800_000_000, answer=10_000)
    outcome = BoundedTask(str(task), limits).run([b""])[0]
    loaded = outcome.content.decode().split()
    own = ["documents", "errors", "extraction", "extraction.text_encoding", "lazy_patterns"]
    own += ["observables", "observables.domain_names", "observables.refang"]  # few and small
    others = [name.removeprefix("tocsin.admission.") for name in loaded]
    assert [n for n in others if n not in own and not n.startswith("documents.")] == []
