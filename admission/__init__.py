"""Admission: validate, normalise, identify and sanitise submitted objects.

Pure: no network, no database, no wall clock (time is an argument).  The same
policy gives the same result in the client, where personal data never leaves
the partner's premises, and in the hub, which trusts no client.
"""

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
