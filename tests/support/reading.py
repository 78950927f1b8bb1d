"""Reading files in tests: candidates, patterns and messages."""

import io
from collections.abc import Callable
from typing import Any

from tocsin.admission import examine, formats, parse_policy
from tocsin.admission.errors import ShareError
from tocsin.admission.model import Candidate, Submitter, Tlp, Verdict
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000


def read_file(name: str, content: bytes | str, tlp: Tlp | None = None) -> list[Candidate]:
    """The candidates of a file."""
    raw = content.encode() if isinstance(content, str) else content
    return list(formats.read(name, raw, formats.ReadOptions(now=NOW, tlp=tlp)))


def read_large(name: str, content: bytes, options: formats.ReadOptions) -> list[Candidate] | None:
    """The candidates of a file that is read in parts; None if it must be read as a whole."""
    found = formats.read_large(name, io.BytesIO(content), options)
    return None if found is None else list(found)


def list_or_error(read: Callable[[], Any]) -> Any:
    """The candidates, or the error."""
    try:
        return list(read())
    except ShareError as error:
        return type(error), str(error)


def format_name(name: str, content: bytes | str) -> str:
    """The name of the format that accepts a file; empty if none does."""
    raw = content.encode() if isinstance(content, str) else content
    found = formats.detect_format(name, raw)
    return "" if found is None else found.name


def patterns(candidates: list[Candidate]) -> list[str]:
    """The patterns of the candidates that are open."""
    return [each.object["pattern"] for each in candidates if each.is_open and each.object]


def values(candidates: list[Candidate]) -> list[str]:
    """The values in simple patterns: `evil.com`."""
    return [each.split("'")[-2] for each in patterns(candidates)]


def values_read(candidates: list[Candidate]) -> list[str]:
    """The same, also of those that are held."""
    return [each.object["pattern"].split("'")[-2] for each in candidates if each.object]


def messages(candidates: list[Candidate]) -> list[str]:
    """The messages of all findings."""
    return [finding.message for each in candidates for finding in each.findings]


def refusals(candidates: list[Candidate]) -> list[str]:
    """The messages of candidates that are refused."""
    return messages([each for each in candidates if each.verdict is Verdict.REFUSED])


def judge(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates after admission, by the default policy."""
    policy = parse_policy(policy_text(None))
    return examine(candidates, policy, Submitter(), WarningLists([]), NOW)


def external_ids(candidate: Candidate) -> list[str]:
    """The ids of the external references of a candidate that have one."""
    references = (candidate.object or {}).get("external_references", ())
    return [each["external_id"] for each in references if "external_id" in each]
