"""personal_data: national identity numbers, and numbers of identity documents."""

import pytest
from support.rules import sanitise_description

RULE = "personal_data"
MASK = "[removed: national identity number]"


class TestNumbers:
    @pytest.mark.parametrize(
        ("words", "number"),
        [
            ("SteuerID", "86095742719"),
            ("Sozialversicherungsnummer", "65 180539 W 001"),
            ("SVNR:", "1237 010180"),
            ("D.N.I.", "54362315K"),
            ("C.F.", "RCCMNL83S18D969H"),
            ("contribuinte n.º", "501964843"),
            ("Cartão de Cidadão", "00000000 0 ZZ4"),
            ("RUT", "12.531.909-2"),
            ("DNI", "20.267.565"),
            ("CUIT", "20-05536168-2"),
            ("EMŠO", "0101006500006"),
            ("pnr", "850709-9805"),
            ("RČ", "710319/2745"),
            ("rijksregisternummer", "85.07.30-033 28"),
            ("SIN", "123-456-782"),
            ("СНИЛС", "112-233-445 95"),
        ],
    )
    def test_a_national_id_beside_its_word_is_masked(self, words: str, number: str) -> None:
        assert sanitise_description(RULE, f"im Formular {words} {number} war") == (
            f"im Formular {words} {MASK} war"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "SVNR: 1238 010180",
            "Sozialversicherungsnummer 65 180539 W 002",
            "sin 123456782",
            "versions 20.267.565",
            "rut 12.531.909-3",
            "СНИЛС 112-233-445 96",
        ],
    )
    def test_a_national_id_with_wrong_check_digit_or_no_word_stays(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text


class TestPapers:
    @pytest.mark.parametrize(
        ("words", "number"),
        [
            ("passport no.", "533401372"),
            ("Reisepass-Nr.", "C01X00T47"),
            ("паспорт:", "4510 123456"),
            ("passeport n°", "09AB12345"),
            ("Personalausweis:", "L01X00T471"),
            ("carte d'identité", "880692310285"),
            ("carta d'identità", "CA12345AB"),
            ("driver's license #", "D1234567"),
            ("Führerschein", "B072RRE2I55"),
            ("driving licence no.", "MORGA753116SM9IJ"),
            ("driving licence:", "MORGA 753116 SM9IJ 35"),
        ],
    )
    def test_a_number_right_behind_a_word_for_a_document_is_masked(
        self, words: str, number: str
    ) -> None:
        assert (
            sanitise_description(RULE, f"scan of {words} {number}.") == f"scan of {words} {MASK}."
        )

    @pytest.mark.parametrize("text", ["passport533401372", "ReisepassNrC01X00T47"])
    def test_one_is_masked_though_nothing_parts_it_from_the_word_nor_both_from_a_text(
        self, text: str
    ) -> None:
        assert sanitise_description(RULE, text) == text[: -len("533401372")] + MASK

    @pytest.mark.parametrize(
        "text",
        [
            "pass: 12345678",
            "passport control 2026",
            "passport.php?x=12345678",
            "identity card reader",
            "the passport of 12345678",
        ],
    )
    def test_numbers_without_a_word_for_a_document_stay(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text


@pytest.mark.parametrize("letter", ["\u0130", "\u0131", "\u017f", "\u212a"])
def test_a_letter_that_is_taken_for_one_of_ascii_behind_an_account_number_is_no_end_of_time(
    letter: str,
) -> None:
    number = "DE89370400440532013000"
    assert number not in sanitise_description(RULE, f"{number}closedfr{letter}day")
    assert (
        sanitise_description(RULE, f"ab12 1234 1234 12{letter}x") == f"ab12 1234 1234 12{letter}x"
    )
