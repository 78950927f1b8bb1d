"""personal_data: notations of e-mail addresses and numbers in many countries."""

from typing import Any

import pytest
from support.rules import sanitise_description

RULE = "personal_data"


def is_masked(text: Any, secret: Any, what: Any) -> Any:
    """True if exactly the secret in a text is replaced by its mask."""
    return sanitise_description(RULE, text) == text.replace(secret, f"[removed: {what}]")


class TestTelephones:
    @pytest.mark.parametrize(
        ("word", "number"),
        [
            ("Mobilnummer:", "0151-23456789"),
            ("Festnetz", "040 3344556"),
            ("Durchwahl", "0711 279-4410"),
            ("Natel", "079 123 45 67"),
            ("Téléphone :", "01 42 68 53 00"),
            ("tél", "0612345678"),
            ("móvil:", "612 34 56 78"),
            ("Tfno.", "900 123 456"),
            ("cellulare", "347-1234567"),
            ("telemóvel", "912 345 678"),
            ("celular", "(11) 98765-4321"),
            ("telefoon", "020-6241111"),
            ("puhelin", "09 1234 5678"),
            ("telefonszám:", "06 1 234 5678"),
            ("тел.", "8 (495) 123-45-67"),
            ("τηλ.", "210 123 4567"),
            ("電話:", "03-1234-5678"),
            ("연락처", "010-1234-5678"),
        ],
    )
    def test_a_telephone_word_is_known_in_many_languages(self, word: str, number: str) -> None:
        assert is_masked(f"{word} {number}, bitte", number, "telephone number")

    @pytest.mark.parametrize(
        ("words", "number"),
        [
            ("joignable au", "06 12 34 56 79"),
            ("llamar al", "963 123 456"),
            ("chiamare il", "02 1234 5678"),
            ("Rückruf unter", "0641 9327 114"),
            ("kom.", "601 234 567"),
            ("| T", "0641 93 27"),
            ("M:", "0171 4432190"),
        ],
    )
    def test_a_weak_telephone_word_needs_a_number_in_groups(self, words: str, number: str) -> None:
        assert is_masked(f"Lang {words} {number}", number, "telephone number")
        ungrouped = f"Lang {words} 4432190123"
        assert sanitise_description(RULE, ungrouped) == ungrouped

    @pytest.mark.parametrize(
        "text",
        ["Telefonica 12345678", "The T 1234 5678x model", "fixed in build 1234 5678", "ID 4432190"],
    )
    def test_words_that_look_alike_announce_no_telephone(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text


class TestMailboxes:
    @pytest.mark.parametrize(
        "address",
        [
            "jane{at}bank{dot}test",
            "jane [ at ] bank [ dot ] test",
            "jane[ @ ]bank[ . ]test",
            "jane AT bank DOT test",
            "jane_bank.test#EXT#@tenant.onmicrosoft.test",
            "bounces+jane=bank.test@mailer.test",
        ],
    )
    def test_an_email_address_is_masked_whole_in_every_notation(self, address: str) -> None:
        assert is_masked(f"sent to {address}, twice", address, "e-mail address")

    def test_a_setting_before_an_address_is_not_part_of_it(self) -> None:
        assert is_masked("to=jane@bank.test", "jane@bank.test", "e-mail address")


class TestNumbers:
    @pytest.mark.parametrize("number", ["4539.1488.0343.6467", "4539/1488/0343/6467"])
    def test_a_card_may_be_written_in_fours_with_dots_or_slashes(self, number: str) -> None:
        assert is_masked(f"paid with {number} then", number, "payment card number")

    def test_four_groups_of_digits_without_check_digit_are_no_card(self) -> None:
        assert sanitise_description(RULE, "part 4539.1488.0343.6468") == "part 4539.1488.0343.6468"

    def test_an_iban_may_have_dots(self) -> None:
        assert is_masked("IBAN CH93.0076.2011.6238.5295.7", "CH93.0076.2011.6238.5295.7", "IBAN")

    def test_a_social_security_number_may_have_dots_beside_its_word(self) -> None:
        assert is_masked("ssn 536.22.8714", "536.22.8714", "US social security number")
        assert sanitise_description(RULE, "version 536.22.8714") == "version 536.22.8714"
