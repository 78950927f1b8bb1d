"""Labels and tags of submitters as STIX `indicator_types` (STIX 2.1 section 10.13)."""

from collections.abc import Sequence

from tocsin.admission.word_lists import load_words

_PACKAGE = "tocsin.admission.extraction"
_VOCABULARY = (
    "anomalous-activity",
    "anonymization",
    "benign",
    "compromised",
    "malicious-activity",
    "attribution",
    "unknown",
)
_TYPES: dict[str, str] = {
    **dict.fromkeys(load_words(_PACKAGE, "malicious_activity"), "malicious-activity"),
    **dict.fromkeys(load_words(_PACKAGE, "anomalous_activity"), "anomalous-activity"),
    **dict.fromkeys(load_words(_PACKAGE, "anonymization"), "anonymization"),
    **dict.fromkeys(load_words(_PACKAGE, "benign"), "benign"),
    **{word: word for word in _VOCABULARY},
}


def find_indicator_types(labels: Sequence[str]) -> tuple[str, ...]:
    """The indicator types that labels in lower case mean, each once."""
    return tuple(dict.fromkeys(_TYPES[each] for each in labels if each in _TYPES))


def drop_indicator_types(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that are not themselves an indicator type of the vocabulary."""
    return tuple(each for each in labels if each not in _TYPES.values())
