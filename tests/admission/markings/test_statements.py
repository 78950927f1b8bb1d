"""Words by which a statement seems to limit sharing."""

import pytest

from tocsin.admission.markings.statements import seems_to_limit_sharing
from tocsin.admission.model import StixObject


def statement(text: str, **more: str) -> StixObject:
    """A marking definition with this text."""
    body = {"definition_type": "statement", "definition": {"statement": text}}
    return {"type": "marking-definition", **body, **more}


@pytest.mark.parametrize(
    "text",
    [
        *("TLP:RED", "see tlp red", "Strictly confidential!", "CONFIDENTIAL", "Classified"),
        *(
            "TLP_AMBER",
            "x_TLP_y",
            "Streng vertraulich",
            "Nur f\u00fcr den Dienstgebrauch",
            "VS-NfD",
        ),
        *("diffusion restreinte", "confidentielle", "informaci\u00f3n confidencial", "riservato"),
        *(
            "For official use only",
            "do not share",
            "Not for distribution",
            "\u673a\u5bc6\u6587\u4ef6",
        ),
    ],
)
def test_words_that_limit_sharing_are_found_in_text_and_name(text: str) -> None:
    assert seems_to_limit_sharing(statement(text))
    assert seems_to_limit_sharing(statement("Copyright 2026", name=f"Notes, {text}"))


@pytest.mark.parametrize(
    "text",
    [
        *("Copyright 2026", "unclassified", "in confidence", "a tlpx file", "confidence in it"),
        *("share it with everybody", "for distribution", "CC-BY 4.0", "secretary of the CERT"),
    ],
)
def test_other_words_do_not_limit_sharing(text: str) -> None:
    assert not seems_to_limit_sharing(statement(text, name=text))
