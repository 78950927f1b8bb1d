"""Recognises forged senders by the checks of the server that received the mail."""

import re

_CHECK = re.compile(r"\b(dmarc|spf|dkim)=(\w+)", re.IGNORECASE)
_LONGEST = 20_000
"""Characters that are read; a server writes a few hundred."""


def find_failed_check(results: str) -> str:
    """The check that says that the sender is forged, `dmarc=fail`; empty if none does."""
    checks = [(name.lower(), result.lower()) for name, result in _CHECK.findall(results[:_LONGEST])]
    if ("dmarc", "fail") in checks:
        return "dmarc=fail"
    passed = ("dkim", "pass") in checks or ("dmarc", "pass") in checks
    failed = next((r for name, r in checks if name == "spf" and r in ("fail", "softfail")), "")
    return f"spf={failed}" if failed and not passed else ""
