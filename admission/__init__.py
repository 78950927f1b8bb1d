"""Admission: validate, normalise, identify and sanitise submitted objects.

Pure: no network, no database, no wall clock (time is an argument).  The same
policy gives the same result in the client, where personal data never leaves
the partner's premises, and in the hub, which trusts no client.

Names are loaded when they are first used: a command that needs only the errors starts sooner.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.admission.errors import PolicyError
    from tocsin.admission.model import Action, Candidate, Finding, Submitter, Tlp, Verdict
    from tocsin.admission.pipeline import Pipeline, examine
    from tocsin.admission.policy import Policy, parse_policy

__all__ = [
    "Action",
    "Candidate",
    "Pipeline",
    "Finding",
    "Policy",
    "PolicyError",
    "Submitter",
    "Tlp",
    "Verdict",
    "examine",
    "parse_policy",
]
_MODULES = {
    **dict.fromkeys(("Action", "Candidate", "Finding", "Submitter", "Tlp", "Verdict"), "model"),
    **dict.fromkeys(("Pipeline", "examine"), "pipeline"),
    **dict.fromkeys(("Policy", "parse_policy"), "policy"),
    "PolicyError": "errors",
}


def __getattr__(name: str) -> object:
    """The value of a name in `__all__` (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
