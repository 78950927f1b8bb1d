"""The rules of the policy, in order, over one candidate.

Each rule sees what the rule before it left.  A rule that refuses a candidate is
the last to look at it.  One that is held goes on through the others: what no
analyst could release is refused at once, and he is told of all that he decides.
What was there before the first rule is kept beside a candidate that waits, so
that a release can start from the full text.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tocsin.admission.model import Action, Candidate, Verdict

Rule = Callable[[Candidate], Candidate]
"""The candidate without what the rule takes out, held, refused, or as it was."""


def sanitise(candidate: Candidate, rules: Sequence[Rule]) -> Candidate:
    """The candidate after every rule."""
    full, refused = candidate.object, Verdict.REFUSED
    for rule in rules:
        if candidate.verdict is refused:
            break
        candidate = rule(candidate)
    asked = Action.ASKED
    waits = not candidate.open or any(f.action is asked for f in candidate.findings)
    return replace(candidate, original=full) if waits else candidate
